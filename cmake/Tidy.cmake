# The target `tidy`: clang-tidy on every C++ file of the rooms and of python/, each again only when it or
# a header changed. It is not part of `all`.

find_program(HPY_CLANG_TIDY clang-tidy)
mark_as_advanced(HPY_CLANG_TIDY)
if(NOT HPY_CLANG_TIDY)
  add_custom_target(tidy
    COMMAND "${CMAKE_COMMAND}" -E echo "clang-tidy was not found: install it (Debian: clang-tidy) and configure again"
    COMMAND "${CMAKE_COMMAND}" -E false VERBATIM)
  return()
endif()

# CPython 3.13 looks for the atomics of GCC 4.9 or newer, and clang says that it is GCC 4.2. Options that
# only gcc knows stand in the compile commands.
set(_tidy_arguments --extra-arg=-D_Py_USE_GCC_BUILTIN_ATOMICS=1
  --extra-arg=-Wno-unknown-warning-option)
set(_stamps "")
file(GLOB _headers CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/*/*.h" "${PROJECT_SOURCE_DIR}/*/*.inc"
  "${PROJECT_SOURCE_DIR}/include/hpy/*.h")
foreach(_room stacktrace handles leakdetector debug_ctx universal python)
  file(GLOB _sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${_room}/*.cc")
  list(FILTER _sources EXCLUDE REGEX "_(test|bench)\\.cc$")
  foreach(_source IN LISTS _sources)
    if(_source MATCHES "/unwind_([a-z]+)\\.cc$" AND NOT CMAKE_MATCH_1 STREQUAL HPY_UNWIND)
      continue()
    endif()
    file(RELATIVE_PATH _name "${PROJECT_SOURCE_DIR}" "${_source}")
    set(_stamp "${PROJECT_BINARY_DIR}/tidy/${_name}.stamp")
    cmake_path(GET _stamp PARENT_PATH _folder)
    file(MAKE_DIRECTORY "${_folder}")
    add_custom_command(OUTPUT "${_stamp}"
      COMMAND "${HPY_CLANG_TIDY}" -p "${PROJECT_BINARY_DIR}" --quiet ${_tidy_arguments} "${_source}"
      COMMAND "${CMAKE_COMMAND}" -E touch "${_stamp}"
      DEPENDS "${_source}" ${_headers} "${PROJECT_SOURCE_DIR}/.clang-tidy"
      COMMENT "clang-tidy ${_name}" VERBATIM)
    list(APPEND _stamps "${_stamp}")
  endforeach()
endforeach()
add_custom_target(tidy DEPENDS ${_stamps})
