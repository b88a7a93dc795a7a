# The libraries of the system that the rooms use. cmake/install_deps.sh names their Debian packages.
#
# They are shared libraries: Debian's archives of Abseil, libunwind and libdw are not position
# independent, so they cannot go into a module. fmt is used header-only.

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(absl REQUIRED)
find_package(fmt REQUIRED)

add_library(hpy_libdw INTERFACE)
pkg_check_modules(LIBDW REQUIRED IMPORTED_TARGET libdw)
target_link_libraries(hpy_libdw INTERFACE PkgConfig::LIBDW)

# libunwind exports _Unwind_* too. Whoever loads our module would have libstdc++ bound to libunwind's
# versions, and an unrelated C++ extension that throws past a destructor would abort. The symbols are
# looked up in the order of the NEEDED entries: libgcc_s must stand before libunwind there, so it is
# linked in front of it whether or not anything refers to it.
add_library(hpy_libunwind INTERFACE)
if(HPY_UNWIND STREQUAL "libunwind")
  pkg_check_modules(LIBUNWIND REQUIRED IMPORTED_TARGET libunwind-generic)
  target_link_options(hpy_libunwind INTERFACE
    "LINKER:--push-state,--no-as-needed" -lgcc_s "LINKER:--pop-state")
  target_link_libraries(hpy_libunwind INTERFACE PkgConfig::LIBUNWIND)
endif()
