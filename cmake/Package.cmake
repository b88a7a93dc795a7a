# What other build systems find of hpy, for cmake/Stage.cmake: the CMake package, with its version file,
# and a pkg-config file for each ABI and interpreter.

include(CMakePackageConfigHelpers)
set(_package "${HPY_GENERATED}/package")
write_basic_package_version_file("${_package}/HPyConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)

# hpy_pkgconfig(SOABI ABI FOLDER LIBRARY SUFFIX CFLAGS REMARK)
function(hpy_pkgconfig soabi abi folder library suffix cflags remark)
  configure_file("${PROJECT_SOURCE_DIR}/cmake/package/hpy.pc.in"
    "${_package}/${soabi}/hpy-${abi}.pc" @ONLY)
endfunction()

set(_python "The include folder of Python comes from the build system.")
foreach(_soabi IN LISTS HPY_SOABIS)
  hpy_pkgconfig("${_soabi}" universal universal libhpy-extra-universal.a hpy0.so
    "-I\${includedir}/hpy/forbid_python_h -I\${includedir} -DHPY -DHPY_ABI_UNIVERSAL -DHPY_UNIVERSAL_ABI"
    "No Python is needed to build.")
  string(REGEX REPLACE "^cpython-([0-9]+).*" "cp\\1" _tag "${_soabi}")
  hpy_pkgconfig("${_soabi}" hybrid "hybrid-${_soabi}" libhpy-extra-hybrid.a "hpy0-${_tag}.so"
    "-I\${includedir} -DHPY -DHPY_ABI_HYBRID" "${_python}")
  hpy_pkgconfig("${_soabi}" cpython "cpython-${_soabi}" libhpy-ctx-cpython.a "${_soabi}.so"
    "-I\${includedir} -DHPY -DHPY_ABI_CPYTHON" "${_python}")
endforeach()
