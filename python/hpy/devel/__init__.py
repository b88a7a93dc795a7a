"""Builds HPy extensions with setuptools.

    from setuptools import Extension, setup

    setup(name="example", hpy_ext_modules=[Extension("example", sources=["example.c"])])

`python setup.py --hpy-abi=universal build_ext --inplace` then leaves `example.hpy0.so` and the stub
`example.py`, which loads it. `pip install .` needs no option for the CPython ABI; the others are
chosen with `--config-settings=--global-option=--hpy-abi=universal`.

Other build systems take the folders and sources from `HPyDevel()`, which needs no setuptools, or
from `python -m hpy.devel`. CMake has `find_package(HPy)`, and there are files for pkg-config.
"""

from __future__ import annotations

import contextlib
import os
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before anything imports distutils: newer versions of setuptools put their own in its place.
with contextlib.suppress(ImportError):
    import setuptools  # noqa: F401

if TYPE_CHECKING:
    from hpy.devel.bases import Distribution

__all__ = ["DEFAULT_HPY_ABI", "HPY_ABIS", "HPyDevel", "handle_hpy_ext_modules"]

HPY_ABIS = ("cpython", "hybrid", "universal")
DEFAULT_HPY_ABI = "cpython" if sys.implementation.name == "cpython" else "universal"


class HPyDevel:
    """Where the headers, helper sources and static libraries are, and how setuptools uses them.

    Another implementation of HPy passes the folder of its own as `base_dir`.
    """

    def __init__(self, base_dir: str | os.PathLike[str] = Path(__file__).parent) -> None:
        self.base_dir = Path(base_dir)
        self.include_dir = self.base_dir / "include"
        self.src_dir = self.base_dir / "src" / "runtime"
        # For HPy_DIR, where find_package(HPy CONFIG) looks, and for PKG_CONFIG_PATH.
        self.cmake_dir = self.base_dir / "share" / "cmake" / "HPy"
        soabi = sysconfig.get_config_var("SOABI") or ""
        self.pkgconfig_dir = self.base_dir / "lib" / "pkgconfig" / soabi

    @staticmethod
    def get_version() -> str:
        """The version of hpy."""
        from hpy.devel.version import __version__

        return __version__

    def get_extra_include_dirs(self) -> list[str]:
        """Folders that every HPy extension needs in its include path."""
        return [str(self.include_dir)]

    def get_include_dir_forbid_python_h(self) -> Path:
        """A folder with a Python.h that refuses to be included, for universal extensions."""
        return self.include_dir / "hpy" / "forbid_python_h"

    def get_extra_sources(self) -> list[str]:
        """C sources of helpers that are compiled into an extension of any ABI."""
        names = ("argparse.c", "builders.c", "buildvalue.c", "format.c", "helpers.c", "structseq.c")
        return [str(self.src_dir / name) for name in names]

    def get_ctx_sources(self) -> list[str]:
        """C sources that are compiled into an extension of the CPython ABI besides."""
        return [str(path) for path in sorted(self.src_dir.glob("ctx_*.c"))]

    def get_static_libs(self, hpy_abi: str) -> list[str] | None:
        """The libraries made of these sources for `hpy_abi`; None when none are shipped.

        What is compiled against Python.h fits one interpreter only, so a folder with its tag
        (`lib/cpython-cpython-311-x86_64-linux-gnu`) goes before the plain one (`lib/cpython`).
        """
        lib_dir = self.base_dir / "lib"
        for name in (f"{hpy_abi}-{sysconfig.get_config_var('SOABI')}", hpy_abi):
            folder = lib_dir / name
            if folder.is_dir():
                return [str(path) for path in sorted(folder.iterdir()) if path.is_file()]
        return None

    def fix_distribution(self, dist: Distribution) -> None:
        """Makes the commands of `dist` build what is in `dist.hpy_ext_modules`.

        They read `dist.hpy_abi`, `dist.hpy_use_static_libs` and `dist.hpy_ext_modules`; what is
        absent has its default. Call it once for a distribution.
        """
        from hpy.devel import commands

        commands.fix_distribution(self, dist)

    def build_ext_sanity_check(self, build_ext: type[Any]) -> None:
        """AssertionError unless `build_ext` is a class that inherits from that of setuptools."""
        from setuptools.command.build_ext import build_ext as setuptools_build_ext

        assert isinstance(build_ext, type), f"{build_ext!r} is not a class"
        assert issubclass(build_ext, setuptools_build_ext), (
            f"{build_ext.__module__}.{build_ext.__qualname__} does not inherit from setuptools' "
            "build_ext; take it as the base class of the command in cmdclass"
        )


def handle_hpy_ext_modules(dist: Distribution, attr: str, hpy_ext_modules: Any) -> None:
    """Entry point of the keyword `hpy_ext_modules` of setup(). The second call does nothing."""
    from distutils.errors import DistutilsSetupError

    assert attr == "hpy_ext_modules"
    if hasattr(dist, "hpydevel"):
        return
    if not isinstance(hpy_ext_modules, (list, tuple)):
        raise DistutilsSetupError(
            "hpy_ext_modules must be a list of Extension objects, not "
            f"{type(hpy_ext_modules).__name__}; write hpy_ext_modules=[Extension(...)]"
        )
    _add_options(dist)
    # A section [global] of setup.cfg may have set the values already.
    if not hasattr(dist, "hpy_abi"):
        dist.hpy_abi = DEFAULT_HPY_ABI
    if not hasattr(dist, "hpy_use_static_libs"):
        dist.hpy_use_static_libs = False
    HPyDevel().fix_distribution(dist)


_OPTIONS: list[tuple[str, str | None, str]] = [
    (
        "hpy-abi=",
        None,
        f"ABI of the HPy extensions: {', '.join(HPY_ABIS)} (default: {DEFAULT_HPY_ABI})",
    ),
    (
        "hpy-use-static-libs",
        None,
        "link the static library that hpy ships instead of compiling its helper sources",
    ),
]


def _add_options(dist: Distribution) -> None:
    # On the class: setuptools takes the options from there again for each command.
    cls = type(dist)
    known = [option[0] for option in cls.global_options]
    cls.global_options = [
        *cls.global_options,
        *(option for option in _OPTIONS if option[0] not in known),
    ]
    original = dist.parse_command_line

    def parse_command_line() -> Any:
        result = original()
        # Some versions of setuptools put what pip gives them as a global option behind the command,
        # where distutils takes it for an option of that command, which has none of this name.
        for options in dist.command_options.values():
            for name in ("hpy_abi", "hpy_use_static_libs"):
                if name in options and options[name][0] == "command line":
                    setattr(dist, name, options.pop(name)[1])
        return result

    dist.parse_command_line = parse_command_line  # type: ignore[method-assign]
