# Google Benchmarks: bench/ROOM_*_bench.cc make one executable ROOM_bench, beside what they measure.

find_package(benchmark REQUIRED)

foreach(_room stacktrace handles leakdetector debug_ctx)
  file(GLOB _sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/bench/${_room}_*_bench.cc")
  if(NOT _sources)
    continue()
  endif()
  add_executable(${_room}_bench ${_sources})
  target_include_directories(${_room}_bench PRIVATE ${${_room}_INCLUDES})
  if(NOT _room STREQUAL "stacktrace")
    target_compile_definitions(${_room}_bench PRIVATE HPY_ABI_UNIVERSAL HPY_ABI_VIEW)
  endif()
  target_link_libraries(${_room}_bench PRIVATE hpy_${_room} fmt::fmt-header-only benchmark::benchmark_main)
endforeach()

# What the machine itself needs: no room is in it.
add_executable(limits_bench "${PROJECT_SOURCE_DIR}/bench/limits_bench.cc")
target_link_libraries(limits_bench PRIVATE benchmark::benchmark_main)
