# Asks each interpreter of HPY_PYTHONS what the build must know. Sets HPY_SOABIS, and for each of them
# HPY_<SOABI>_INCLUDE and HPY_<SOABI>_SUFFIX. Interpreters of one SOABI share their binaries, so each is built
# for once.

if(NOT HPY_PYTHONS)
  # scikit-build-core passes the interpreter that pip runs on.
  foreach(_name Python_EXECUTABLE Python3_EXECUTABLE PYTHON_EXECUTABLE)
    if(${_name})
      set(HPY_PYTHONS "${${_name}}")
      break()
    endif()
  endforeach()
endif()
if(NOT HPY_PYTHONS)
  find_program(HPY_PYTHON3 python3 REQUIRED)
  mark_as_advanced(HPY_PYTHON3)
  set(HPY_PYTHONS "${HPY_PYTHON3}")
endif()

set(HPY_SOABIS "")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS cmake/query_python.py)
foreach(_python IN LISTS HPY_PYTHONS)
  execute_process(COMMAND "${_python}" "${PROJECT_SOURCE_DIR}/cmake/query_python.py"
    OUTPUT_VARIABLE _facts RESULT_VARIABLE _failed OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(_failed)
    message(FATAL_ERROR "HPY_PYTHONS names ${_python}, which does not run (${_failed}). "
      "Give the path of a CPython 3.9 or newer.")
  endif()
  foreach(_key VERSION IMPLEMENTATION SOABI EXT_SUFFIX FREE_THREADED INCLUDE HAS_HEADERS)
    string(REGEX MATCH "(^|\n)${_key}=([^\n]*)" _match "${_facts}")
    set(_${_key} "${CMAKE_MATCH_2}")
  endforeach()
  if(NOT _IMPLEMENTATION STREQUAL "cpython" OR _VERSION VERSION_LESS 3.9)
    message(FATAL_ERROR "${_python} is ${_IMPLEMENTATION} ${_VERSION}; hpy needs CPython 3.9 or newer.")
  elseif(_FREE_THREADED)
    message(FATAL_ERROR "${_python} is a free-threaded CPython, which hpy does not support; "
      "use a build with the GIL.")
  elseif(NOT _HAS_HEADERS)
    message(FATAL_ERROR "${_python} has no Python.h in ${_INCLUDE}; "
      "install its headers (on Debian: the package python3-dev).")
  endif()
  if(_SOABI IN_LIST HPY_SOABIS)
    message(STATUS "Python ${_VERSION} at ${_python}: shares the binaries of ${_SOABI}")
  else()
    message(STATUS "Python ${_VERSION} at ${_python}: ${_SOABI}")
    list(APPEND HPY_SOABIS "${_SOABI}")
    set(HPY_${_SOABI}_INCLUDE "${_INCLUDE}")
    set(HPY_${_SOABI}_SUFFIX "${_EXT_SUFFIX}")
  endif()
endforeach()
