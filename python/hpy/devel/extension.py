"""What an Extension needs to become an HPy extension: macros, include path, helper code."""

from __future__ import annotations

import os
from distutils.errors import DistutilsError
from typing import TYPE_CHECKING

from hpy.devel import DEFAULT_HPY_ABI, HPY_ABIS
from hpy.devel.macros import MACROS

if TYPE_CHECKING:
    from hpy.devel import HPyDevel
    from hpy.devel.bases import Distribution, Extension

# Arguments that compilers refuse, or warn of, when the source is C.
_CXX_ONLY = (
    *("-std=c++", "-std=gnu++", "--std=c++", "--std=gnu++", "-stdlib="),
    *("-frtti", "-fno-rtti", "-fpermissive", "-fvisibility-inlines-hidden", "-faligned-new"),
    *("-fchar8_t", "-fno-char8_t", "-fcoroutines", "-fconcepts", "-ftemplate-", "-Weffc++"),
    *("-Wold-style-cast", "-Woverloaded-virtual", "-Wnon-virtual-dtor", "-Wno-non-virtual-dtor"),
    *("-Wsuggest-override", "-Wno-suggest-override", "-Wno-reorder", "-Wreorder"),
    *("-Wdelete-non-virtual-dtor", "-Wno-delete-non-virtual-dtor", "-Wuseless-cast"),
)


def abi_of(dist: Distribution) -> str:
    """The ABI that `dist` asks for; DistutilsError when there is no such ABI."""
    abi: str = getattr(dist, "hpy_abi", DEFAULT_HPY_ABI)
    if abi not in HPY_ABIS:
        raise DistutilsError(f"Unknown HPy ABI: {abi}. Valid values are: {', '.join(HPY_ABIS)}")
    return abi


def prepare(extension: Extension, abi: str, hpydevel: HPyDevel, use_static_libs: bool) -> None:
    """Turns `extension` into an HPy extension for `abi`, unless it is one already."""
    if hasattr(extension, "hpy_abi"):
        return
    if use_static_libs:
        libraries = hpydevel.get_static_libs(abi)
        if libraries is None or len(libraries) != 1:
            raise DistutilsError(
                f'Expected exactly one static library for ABI "{abi}" but got: {libraries}'
            )
        extension.extra_objects = [*(extension.extra_objects or ()), *libraries]
        helpers = []
    else:
        helpers = hpydevel.get_extra_sources()
        if abi == "cpython":
            helpers += hpydevel.get_ctx_sources()
    extension.define_macros = [
        *extension.define_macros,
        *((name, None) for name in MACROS[abi]),
    ]
    include_dirs = [*extension.include_dirs, *hpydevel.get_extra_include_dirs()]
    if abi == "universal":
        # First, or the real Python.h would be found before the one that refuses.
        include_dirs.insert(0, str(hpydevel.get_include_dir_forbid_python_h()))
    extension.include_dirs = include_dirs
    extension.sources = [*extension.sources, *helpers]
    extension.hpy_abi = abi
    extension.hpy_helper_sources = helpers


def arguments_for_c(arguments: list[str]) -> list[str]:
    """`arguments` of a compiler without those that are for C++ alone.

    An extension in C++ says `-std=c++17`, and clang refuses to compile our C sources with it.
    """
    return [argument for argument in arguments if not argument.startswith(_CXX_ONLY)]


def newest(paths: list[str]) -> float:
    """The latest time at which one of `paths` was changed; those that do not exist have none."""
    return max((os.path.getmtime(path) for path in paths if os.path.exists(path)), default=0.0)
