# The native modules and the shipped static libraries, once for each interpreter.
#
# What is compiled for an interpreter is only what includes Python.h: runtime/ctx_*.c, universal/ and
# python/*.cc. CPython itself is never linked: its symbols are there when a module is loaded.

set(HPY_PACKAGE "${PROJECT_BINARY_DIR}/python/hpy")

file(GLOB HPY_CTX_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/runtime/ctx_*.c")
file(GLOB HPY_UNIVERSAL_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/universal/*.cc")
file(GLOB HPY_PYTHON_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/python/*.cc")
# The rest of runtime/ are the helpers: they are compiled into every extension.
file(GLOB HPY_EXTRA_SOURCES CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/runtime/*.c")
list(FILTER HPY_EXTRA_SOURCES EXCLUDE REGEX "/ctx_[^/]*$")
hpy_view(runtime PUBLIC)

# hpy_static(TARGET ABI NAME FOLDER INCLUDES SOURCES...): a static library of what goes into every
# extension, in hpy/devel/lib/FOLDER. The sources see what an extension sees, and nothing else. They are
# never instrumented for a sanitizer: users link them into their own extensions.
function(hpy_static target abi name folder includes)
  if(NOT ARGN)
    return()
  endif()
  add_library(${target} STATIC ${ARGN})
  target_compile_definitions(${target} PRIVATE HPY HPY_ABI_${abi})
  target_compile_options(${target} PRIVATE -pedantic)
  # Their debug information names them as if the extension's build had compiled them, from where they are
  # installed: so reports know these frames for our own. Not through
  # ccache: where its base_dir is set, it rewrites the very paths that are mapped here.
  target_compile_options(${target} PRIVATE
    "-fdebug-prefix-map=${PROJECT_SOURCE_DIR}/runtime=hpy/devel/src/runtime"
    "-fdebug-prefix-map=${HPY_ROOTS}/public=hpy/devel/include")
  if(HPY_SANITIZE)
    target_compile_options(${target} PRIVATE -fno-sanitize=all)
  endif()
  target_include_directories(${target} PRIVATE ${runtime_INCLUDES})
  target_include_directories(${target} SYSTEM PRIVATE ${includes})
  set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name} C_COMPILER_LAUNCHER ""
    ARCHIVE_OUTPUT_DIRECTORY "${HPY_PACKAGE}/devel/lib/${folder}")
endfunction()

# hpy_module(TARGET SOABI FOLDER NAME SOURCES...): the module hpy/FOLDER/NAME of an interpreter. It sees
# hpy.h as a host does: definitions in the layout of the binary interface (HPY_ABI_VIEW).
function(hpy_module target soabi folder name)
  add_library(${target} MODULE ${ARGN})
  target_include_directories(${target} SYSTEM PRIVATE ${HPY_${soabi}_INCLUDE})
  target_include_directories(${target} PRIVATE ${python_INCLUDES})
  target_compile_definitions(${target} PRIVATE HPY_ABI_VIEW)
  target_link_libraries(${target} PRIVATE fmt::fmt-header-only)
  target_link_options(${target} PRIVATE
    "LINKER:--version-script=${PROJECT_SOURCE_DIR}/cmake/exports.map" "LINKER:--as-needed")
  set_target_properties(${target} PROPERTIES PREFIX "" OUTPUT_NAME ${name}
    SUFFIX "${HPY_${soabi}_SUFFIX}" LINK_DEPENDS "${PROJECT_SOURCE_DIR}/cmake/exports.map"
    LIBRARY_OUTPUT_DIRECTORY "${HPY_PACKAGE}/${folder}")
endfunction()

hpy_static(hpy-extra-universal UNIVERSAL hpy-extra-universal universal "" ${HPY_EXTRA_SOURCES})

set(_universal_main "${PROJECT_SOURCE_DIR}/python/universal_module.cc")
set(_debug_main "${PROJECT_SOURCE_DIR}/python/debug_module.cc")
set(_trace_main "${PROJECT_SOURCE_DIR}/python/trace_module.cc")
# python/universal_*.cc and python/trace_*.cc belong to these modules, every other file to hpy.debug.
set(_universal_python ${HPY_PYTHON_SOURCES})
list(FILTER _universal_python INCLUDE REGEX "/universal_[^/]*$")
set(_trace_python ${HPY_PYTHON_SOURCES})
list(FILTER _trace_python INCLUDE REGEX "/trace_[^/]*$")
set(_debug_python ${HPY_PYTHON_SOURCES})
list(FILTER _debug_python EXCLUDE REGEX "/(universal|trace)_[^/]*$")

foreach(_soabi IN LISTS HPY_SOABIS)
  hpy_static(hpy-extra-hybrid-${_soabi} HYBRID hpy-extra-hybrid hybrid-${_soabi}
    "${HPY_${_soabi}_INCLUDE}" ${HPY_EXTRA_SOURCES})
  hpy_static(hpy-ctx-cpython-${_soabi} CPYTHON hpy-ctx-cpython cpython-${_soabi}
    "${HPY_${_soabi}_INCLUDE}" ${HPY_EXTRA_SOURCES} ${HPY_CTX_SOURCES})

  if(EXISTS "${_universal_main}")
    # The universal context: the out-of-line half of the CPython ABI and universal/, as the room
    # universal may see it, without the C++ libraries of the debug context.
    add_library(hpy_universal-${_soabi} OBJECT ${HPY_CTX_SOURCES} ${HPY_UNIVERSAL_SOURCES})
    target_compile_definitions(hpy_universal-${_soabi} PRIVATE HPY_ABI_HYBRID HPY_UNIVERSAL_CONTEXT)
    target_include_directories(hpy_universal-${_soabi} PRIVATE ${universal_INCLUDES})
    target_include_directories(hpy_universal-${_soabi} SYSTEM PRIVATE ${HPY_${_soabi}_INCLUDE})
    hpy_module(universal-${_soabi} ${_soabi} "." universal ${_universal_python})
    target_compile_definitions(universal-${_soabi} PRIVATE HPY_ABI_HYBRID)
    target_link_libraries(universal-${_soabi} PRIVATE hpy_universal-${_soabi} ${CMAKE_DL_LIBS})
  endif()
  if(EXISTS "${_debug_main}")
    hpy_module(debug-${_soabi} ${_soabi} debug _native ${_debug_python})
    # The same view of hpy.h as the room debug_ctx: one definition of its classes.
    target_compile_definitions(debug-${_soabi} PRIVATE HPY_ABI_UNIVERSAL)
    # libunwind is named first because of what stands with it: see cmake/Dependencies.cmake.
    target_link_libraries(debug-${_soabi} PRIVATE hpy_libunwind hpy_debug_ctx ${CMAKE_DL_LIBS})
  endif()
  if(EXISTS "${_trace_main}")
    hpy_module(trace-${_soabi} ${_soabi} trace _native ${_trace_python})
    target_compile_definitions(trace-${_soabi} PRIVATE HPY_ABI_UNIVERSAL)
    # The archive alone: of the room it takes trace.cc, which needs none of the room's libraries.
    target_link_libraries(trace-${_soabi} PRIVATE $<TARGET_FILE:hpy_debug_ctx>)
    add_dependencies(trace-${_soabi} hpy_debug_ctx)
  endif()
endforeach()
