# The rooms: static libraries, each compiled with nothing but the includes that it may see.
#
# The table of hpy_room() calls below is the dependency rule of docs/building.md. For each room a
# folder ${HPY_ROOTS}/ROOM is made of links to the rooms that it names, and that folder is its only include
# directory of the project: an #include that breaks the rule does not compile. (A header that a room
# gets through another one is visible to the compiler too; tests/test_build_rules.py reads the
# #include lines and refuses those.)

set(HPY_ROOTS "${PROJECT_BINARY_DIR}/roots")

# public: include/ as extension authors see it, with the table at hpy/abi/.
file(GLOB _public CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}/include"
  "${PROJECT_SOURCE_DIR}/include/*" "${PROJECT_SOURCE_DIR}/include/hpy/*")
file(REMOVE_RECURSE "${HPY_ROOTS}")
file(MAKE_DIRECTORY "${HPY_ROOTS}/public/hpy")
foreach(_entry IN LISTS _public)
  if(NOT _entry STREQUAL "hpy")
    file(CREATE_LINK "${PROJECT_SOURCE_DIR}/include/${_entry}" "${HPY_ROOTS}/public/${_entry}" SYMBOLIC)
  endif()
endforeach()
file(CREATE_LINK "${PROJECT_SOURCE_DIR}/abi" "${HPY_ROOTS}/public/hpy/abi" SYMBOLIC)

find_program(HPY_GIT git)
mark_as_advanced(HPY_GIT)
set(HPY_GIT_REVISION "unknown")
if(HPY_GIT)
  execute_process(COMMAND "${HPY_GIT}" rev-parse --short=8 HEAD
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" OUTPUT_VARIABLE _revision
    OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE _failed)
  if(NOT _failed)
    set(HPY_GIT_REVISION "${_revision}")
  endif()
endif()
set(HPY_GENERATED "${PROJECT_BINARY_DIR}/generated")
configure_file(cmake/version.h.in "${HPY_GENERATED}/hpy/version.h" @ONLY)
configure_file(cmake/version.py.in "${HPY_GENERATED}/version.py" @ONLY)
file(CREATE_LINK "${HPY_GENERATED}/hpy/version.h" "${HPY_ROOTS}/public/hpy/version.h" SYMBOLIC)

# hpy_view(ROOM SEES rooms... [PUBLIC]): makes ${HPY_ROOTS}/ROOM and sets ROOM_INCLUDES. PUBLIC adds
# include/ and, through it, the table of abi/.
function(hpy_view room)
  cmake_parse_arguments(PARSE_ARGV 1 arg "PUBLIC" "" "SEES")
  set(root "${HPY_ROOTS}/${room}")
  file(MAKE_DIRECTORY "${root}")
  foreach(seen IN LISTS room arg_SEES)
    if(IS_DIRECTORY "${PROJECT_SOURCE_DIR}/${seen}")
      file(CREATE_LINK "${PROJECT_SOURCE_DIR}/${seen}" "${root}/${seen}" SYMBOLIC)
    endif()
  endforeach()
  if(arg_PUBLIC)
    list(APPEND root "${HPY_ROOTS}/public")
  endif()
  set(${room}_INCLUDES "${root}" PARENT_SCOPE)
endfunction()

# hpy_room(ROOM SEES rooms... [PUBLIC] [LINK libraries...]): hpy_view, and the library hpy_ROOM of
# ROOM/*.cc. A file unwind_WAY.cc is a way of HPY_UNWIND: only the chosen one is compiled.
function(hpy_room room)
  cmake_parse_arguments(PARSE_ARGV 1 arg "PUBLIC" "" "SEES;LINK")
  set(public "")
  if(arg_PUBLIC)
    set(public PUBLIC)
  endif()
  hpy_view(${room} SEES ${arg_SEES} ${public})
  set(${room}_INCLUDES "${${room}_INCLUDES}" PARENT_SCOPE)
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${room}/*.cc")
  list(FILTER sources EXCLUDE REGEX "_(test|bench)\\.cc$")
  foreach(source IN LISTS sources)
    if(source MATCHES "/unwind_([a-z]+)\\.cc$" AND NOT CMAKE_MATCH_1 STREQUAL HPY_UNWIND)
      list(REMOVE_ITEM sources "${source}")
    endif()
  endforeach()
  if(NOT sources)
    add_library(hpy_${room} INTERFACE)
    return()
  endif()
  add_library(hpy_${room} STATIC ${sources})
  target_include_directories(hpy_${room} PRIVATE ${${room}_INCLUDES})
  if(arg_PUBLIC)
    # The only one of the three ABIs that does without Python.h.
    target_compile_definitions(hpy_${room} PRIVATE HPY_ABI_UNIVERSAL HPY_ABI_VIEW)
  endif()
  set(seen_libraries "")
  foreach(seen IN LISTS arg_SEES)
    if(TARGET hpy_${seen})
      list(APPEND seen_libraries hpy_${seen})
    endif()
  endforeach()
  target_link_libraries(hpy_${room} PUBLIC ${seen_libraries} ${arg_LINK} PRIVATE fmt::fmt-header-only)
endfunction()

set(_absl absl::flat_hash_map absl::flat_hash_set absl::inlined_vector absl::span absl::strings
  absl::hash absl::base)

hpy_room(stacktrace LINK ${_absl} hpy_libunwind hpy_libdw Threads::Threads)
hpy_room(handles PUBLIC SEES stacktrace LINK ${_absl})
# leakdetector gets include/ only because the headers of handles need it.
hpy_room(leakdetector PUBLIC SEES handles stacktrace LINK ${_absl})
hpy_room(debug_ctx PUBLIC SEES abi runtime stacktrace handles leakdetector LINK ${_absl})
# These two are compiled once per interpreter (cmake/Modules.cmake).
hpy_view(universal PUBLIC SEES runtime)
hpy_view(python PUBLIC SEES abi runtime universal stacktrace handles leakdetector debug_ctx)
