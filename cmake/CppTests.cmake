# GoogleTests of the rooms: tests/cpp/ROOM_*_test.cc make one executable ROOM_tests, which sees the room
# and what the room itself may see, and links nothing of CPython.

find_package(GTest REQUIRED)
file(MAKE_DIRECTORY "${HPY_ROOTS}/tests")
file(CREATE_LINK "${PROJECT_SOURCE_DIR}/tests" "${HPY_ROOTS}/tests/tests" SYMBOLIC)

foreach(_room stacktrace handles leakdetector debug_ctx)
  file(GLOB _sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/cpp/${_room}_*_test.cc")
  if(NOT _sources)
    continue()
  endif()
  add_executable(${_room}_tests ${_sources})
  target_include_directories(${_room}_tests PRIVATE ${${_room}_INCLUDES} "${HPY_ROOTS}/tests")
  if(NOT _room STREQUAL "stacktrace")
    target_compile_definitions(${_room}_tests PRIVATE HPY_ABI_UNIVERSAL HPY_ABI_VIEW)
  endif()
  target_link_libraries(${_room}_tests PRIVATE
    hpy_${_room} fmt::fmt-header-only GTest::gtest GTest::gtest_main ${CMAKE_DL_LIBS})
  add_test(NAME ${_room} COMMAND ${_room}_tests)
  set_tests_properties(${_room} PROPERTIES TIMEOUT 300)
endforeach()

# Once more in a process that starts no thread before.
add_test(NAME handles_alone COMMAND handles_tests "--gtest_filter=Alone.*:*EachGuard*")
set_tests_properties(handles_alone PROPERTIES TIMEOUT 300)
