# find_package(HPy CONFIG): builds HPy extensions with CMake.
#
#     find_package(HPy CONFIG REQUIRED)
#     hpy_add_module(example ABI universal example.c)
#     hpy_install_module(example DESTINATION .)
#
# hpy_add_module(NAME [ABI cpython|universal|hybrid] sources...)
#     A module target whose file has the name that `import NAME` needs. Without ABI it is that of the
#     variable HPY_ABI, else cpython. For the other two a stub NAME.py is written beside the library.
#     A universal library that uses functions of CPython is refused after linking.
# hpy_install_module(NAME DESTINATION folder [COMPONENT component])
#     Installs the library, and its stub if it has one.
# HPy_VERSION, HPy_INCLUDE_DIR
#
# It is found with -DHPy_DIR="$(python -m hpy.devel --cmakedir)"; scikit-build-core finds it without. The
# interpreter is that of find_package(Python), called before or here.

get_filename_component(_hpy_devel "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(HPy_INCLUDE_DIR "${_hpy_devel}/include")

if(NOT TARGET Python::Interpreter)
  include(CMakeFindDependencyMacro)
  find_dependency(Python 3.9 COMPONENTS Interpreter OPTIONAL_COMPONENTS Development.Module)
endif()

set_property(GLOBAL PROPERTY _HPY_DEVEL "${_hpy_devel}")
unset(_hpy_devel)

function(hpy_add_module name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "ABI" "")
  get_property(devel GLOBAL PROPERTY _HPY_DEVEL)
  set(abi "${arg_ABI}")
  if(NOT abi)
    set(abi "${HPY_ABI}")
  endif()
  if(NOT abi)
    set(abi cpython)
  endif()
  if(NOT abi MATCHES "^(cpython|universal|hybrid)$")
    message(FATAL_ERROR "hpy_add_module(${name}): there is no HPy ABI '${abi}'. "
      "Valid values are: cpython, universal, hybrid.")
  endif()
  if(NOT arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "hpy_add_module(${name}) has no sources; name them after the ABI.")
  endif()

  add_library(${name} MODULE ${arg_UNPARSED_ARGUMENTS})
  string(TOUPPER "${abi}" upper)
  target_compile_definitions(${name} PRIVATE HPY HPY_ABI_${upper})
  set_target_properties(${name} PROPERTIES PREFIX "" OUTPUT_NAME "${name}")

  if(abi STREQUAL "universal")
    target_compile_definitions(${name} PRIVATE HPY_UNIVERSAL_ABI)
    # Before all others, or the real Python.h would be found and not the one that refuses.
    target_include_directories(${name} BEFORE PRIVATE "${devel}/include/hpy/forbid_python_h")
    set(suffix ".hpy0.so")
    set(library "${devel}/lib/universal/libhpy-extra-universal.a")
  else()
    if(NOT TARGET Python::Module)
      message(FATAL_ERROR "hpy_add_module(${name}): the ABI ${abi} needs Python.h, which was not found. "
        "Install the headers of ${Python_EXECUTABLE} (Debian: python3-dev) and call "
        "find_package(Python COMPONENTS Interpreter Development.Module) before find_package(HPy), "
        "or build for the universal ABI.")
    endif()
    # CPython is not linked: its symbols are there when the module is loaded.
    target_include_directories(${name} PRIVATE ${Python_INCLUDE_DIRS})
    if(abi STREQUAL "cpython")
      set(suffix ".${Python_SOABI}.so")
      set(library "${devel}/lib/cpython-${Python_SOABI}/libhpy-ctx-cpython.a")
    else()
      set(suffix ".hpy0-cp${Python_VERSION_MAJOR}${Python_VERSION_MINOR}.so")
      set(library "${devel}/lib/hybrid-${Python_SOABI}/libhpy-extra-hybrid.a")
    endif()
  endif()
  set_target_properties(${name} PROPERTIES SUFFIX "${suffix}" HPY_ABI "${abi}")
  target_include_directories(${name} PRIVATE "${devel}/include")

  if(NOT EXISTS "${library}")
    message(FATAL_ERROR "hpy_add_module(${name}): ${library} is not there. The package hpy was installed "
      "for another Python than ${Python_EXECUTABLE}: install it with that one "
      "(${Python_EXECUTABLE} -m pip install hpy), or set Python_EXECUTABLE.")
  endif()
  target_link_libraries(${name} PRIVATE "${library}")

  if(abi STREQUAL "universal")
    add_custom_command(TARGET ${name} POST_BUILD
      COMMAND "${Python_EXECUTABLE}" "${devel}/symbols.py" "$<TARGET_FILE:${name}>" VERBATIM)
  endif()
  if(NOT abi STREQUAL "cpython")
    add_custom_command(TARGET ${name} POST_BUILD
      COMMAND "${Python_EXECUTABLE}" "${devel}/stub.py" "$<TARGET_FILE:${name}>" VERBATIM)
  endif()
endfunction()

function(hpy_install_module name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "DESTINATION;COMPONENT" "")
  if(NOT arg_DESTINATION)
    message(FATAL_ERROR "hpy_install_module(${name}) has no DESTINATION; '.' is the root of the installation.")
  endif()
  set(component "")
  if(arg_COMPONENT)
    set(component COMPONENT "${arg_COMPONENT}")
  endif()
  install(TARGETS ${name} LIBRARY DESTINATION "${arg_DESTINATION}" ${component})
  get_target_property(abi ${name} HPY_ABI)
  if(NOT abi STREQUAL "cpython")
    install(FILES "$<TARGET_FILE_DIR:${name}>/${name}.py" DESTINATION "${arg_DESTINATION}" ${component})
  endif()
endfunction()
