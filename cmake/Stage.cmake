# Stages the importable tree ${PROJECT_BINARY_DIR}/python: hpy/ and hpy-VERSION.dist-info/.
#
# The modules and static libraries are linked into it directly; everything else is copied by
# cmake/stage_files.cmake whenever one of the files changed. `hpy` is a namespace package: there is no
# hpy/__init__.py. pip installs this very tree.

set(_manifest "${PROJECT_BINARY_DIR}/stage-manifest.txt")
set(_lines "")
set(_stage_sources "")

# hpy_stage_glob(FROM TO patterns...): every file of FROM that matches goes to hpy/TO, with its folders.
macro(hpy_stage_glob from to)
  set(_patterns "")
  foreach(_pattern ${ARGN})
    list(APPEND _patterns "${from}/${_pattern}")
  endforeach()
  file(GLOB_RECURSE _found CONFIGURE_DEPENDS RELATIVE "${from}" ${_patterns})
  foreach(_file IN LISTS _found)
    list(APPEND _stage_sources "${from}/${_file}")
    string(APPEND _lines "${from}/${_file}|${to}/${_file}\n")
  endforeach()
endmacro()

hpy_stage_glob("${PROJECT_SOURCE_DIR}/python/hpy" "." *.py *.pyi py.typed *.html *.c)
hpy_stage_glob("${PROJECT_SOURCE_DIR}/include" devel/include *.h *.inc)
hpy_stage_glob("${PROJECT_SOURCE_DIR}/abi" devel/include/hpy/abi *.inc *.h)
hpy_stage_glob("${HPY_GENERATED}/hpy" devel/include/hpy version.h)
hpy_stage_glob("${PROJECT_SOURCE_DIR}/runtime" devel/src/runtime *.c *.h *.inc)
hpy_stage_glob("${HPY_GENERATED}" devel version.py)
hpy_stage_glob("${PROJECT_SOURCE_DIR}/cmake/package" devel/share/cmake/HPy HPyConfig.cmake)
hpy_stage_glob("${HPY_GENERATED}/package" devel/share/cmake/HPy HPyConfigVersion.cmake)
hpy_stage_glob("${HPY_GENERATED}/package" devel/lib/pkgconfig *.pc)

file(CONFIGURE OUTPUT "${_manifest}" CONTENT "${_lines}" @ONLY)
set(_stamp "${PROJECT_BINARY_DIR}/stage.stamp")
add_custom_command(OUTPUT "${_stamp}"
  COMMAND "${CMAKE_COMMAND}" -D "MANIFEST=${_manifest}" -D "PACKAGE=${HPY_PACKAGE}"
    -P "${PROJECT_SOURCE_DIR}/cmake/stage_files.cmake"
  COMMAND "${CMAKE_COMMAND}" -E touch "${_stamp}"
  DEPENDS ${_stage_sources} "${_manifest}" "${PROJECT_SOURCE_DIR}/cmake/stage_files.cmake"
  COMMENT "Staging python/hpy" VERBATIM)
add_custom_target(stage ALL DEPENDS "${_stamp}")

# The metadata that makes the entry points of pyproject.toml work straight from the staged tree.
# [project.entry-points."GROUP"] and [project.scripts] hold lines NAME = "OBJECT".
file(STRINGS pyproject.toml _toml)
set(_entry_points "")
set(_in_group FALSE)
foreach(_line IN LISTS _toml)
  if(_line MATCHES "^\\[project\\.entry-points\\.\"?([^\"]*[^]\"])\"?\\]$")
    string(APPEND _entry_points "[${CMAKE_MATCH_1}]\n")
    set(_in_group TRUE)
  elseif(_line STREQUAL "[project.scripts]")
    string(APPEND _entry_points "[console_scripts]\n")
    set(_in_group TRUE)
  elseif(_line MATCHES "^\\[")
    set(_in_group FALSE)
  elseif(_in_group AND _line MATCHES "^([^ ]+) = \"([^\"]+)\"$")
    string(APPEND _entry_points "${CMAKE_MATCH_1} = ${CMAKE_MATCH_2}\n")
  endif()
endforeach()
set(_info "${PROJECT_BINARY_DIR}/python/hpy-${HPY_VERSION}.dist-info")
file(CONFIGURE OUTPUT "${_info}/entry_points.txt" CONTENT "${_entry_points}" @ONLY)
file(CONFIGURE OUTPUT "${_info}/METADATA"
  CONTENT "Metadata-Version: 2.1\nName: hpy\nVersion: ${HPY_VERSION}\n" @ONLY)

if(SKBUILD)
  install(DIRECTORY "${HPY_PACKAGE}" DESTINATION "${SKBUILD_PLATLIB_DIR}"
    PATTERN "__pycache__" EXCLUDE)
endif()
