# Compiler settings that hold for every target of the project.

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()

set(CMAKE_C_STANDARD 99)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_SKIP_BUILD_RPATH ON)

if(NOT CMAKE_CXX_COMPILER_LAUNCHER)
  find_program(HPY_CCACHE ccache)
  mark_as_advanced(HPY_CCACHE)
  if(HPY_CCACHE)
    set(CMAKE_C_COMPILER_LAUNCHER "${HPY_CCACHE}")
    set(CMAKE_CXX_COMPILER_LAUNCHER "${HPY_CCACHE}")
  endif()
endif()

# Functions of an extension come as HPyCFunction and go to CPython as PyCFunction, whatever they are: the
# cast between function types is the interface.
add_compile_options(-Wall -Wextra -Wno-cast-function-type)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Wrong of gcc 12 where absl::InlinedVector is inlined: which of its two storages is used is known
  # to it only at run time.
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wno-maybe-uninitialized>)
endif()
if(HPY_WERROR)
  add_compile_options(-Werror)
endif()
# Frames are found by unwind tables, and the functions that ask for a stack keep a frame pointer anyway
# (stacktrace/registers.h): hot paths are faster without.
add_compile_options(-fomit-frame-pointer)
# Two words that are stored one after the other are in two registers: putting them into one of a vector
# first takes longer than it saves.
add_compile_options(-fno-tree-slp-vectorize)
if(NOT APPLE)
  # CPython's functions are called through the table of addresses at once, not by a jump to a jump.
  add_compile_options(-fno-plt)
endif()

if(HPY_SANITIZE)
  string(REPLACE ";" "," _sanitize "${HPY_SANITIZE}")
  add_compile_options(-fsanitize=${_sanitize} -fno-sanitize-recover=undefined)
  # By which AddressSanitizer finds the callers of malloc().
  add_compile_options(-fno-omit-frame-pointer)
  add_link_options(-fsanitize=${_sanitize})
endif()

if(NOT HPY_UNWIND MATCHES "^(libunwind|libgcc|none)$")
  message(FATAL_ERROR "HPY_UNWIND is '${HPY_UNWIND}'. Valid values are: libunwind, libgcc, none.")
endif()
