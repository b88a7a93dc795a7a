"""python -m hpy.devel: what a build system must know to build an HPy extension.

    cc -shared -fPIC $(python -m hpy.devel --abi=universal --cflags) example.c \\
       $(python -m hpy.devel --abi=universal --library) \\
       -o example$(python -m hpy.devel --abi=universal --suffix)
    python -m hpy.devel --stub example.hpy0.so
"""

from __future__ import annotations

import argparse
import shlex
import sys
import sysconfig
from pathlib import Path
from typing import Callable

from hpy.devel import DEFAULT_HPY_ABI, HPY_ABIS, HPyDevel, symbols
from hpy.devel.abitag import get_hpy_ext_suffix
from hpy.devel.macros import MACROS
from hpy.devel.stub import write_stub

_DEVEL = HPyDevel()


def _include_dirs(abi: str) -> list[str]:
    own = _DEVEL.get_extra_include_dirs()
    if abi == "universal":
        # First, or the real Python.h would be found before the one that refuses.
        return [str(_DEVEL.get_include_dir_forbid_python_h()), *own]
    paths = sysconfig.get_paths()
    return [*own, *dict.fromkeys((paths["include"], paths["platinclude"]))]


def _includes(abi: str) -> str:
    return shlex.join(f"-I{folder}" for folder in _include_dirs(abi))


def _cflags(abi: str) -> str:
    return shlex.join(f"-D{name}" for name in MACROS[abi]) + " " + _includes(abi)


def _sources(abi: str) -> str:
    sources = _DEVEL.get_extra_sources()
    return shlex.join(sources + (_DEVEL.get_ctx_sources() if abi == "cpython" else []))


def _library(abi: str) -> str:
    libraries = _DEVEL.get_static_libs(abi)
    if not libraries:
        raise SystemExit(
            f"no library of the ABI {abi} is installed for {sysconfig.get_config_var('SOABI')}; "
            f"compile the sources in: python -m hpy.devel --abi={abi} --sources"
        )
    return shlex.join(libraries)


# What can be asked for: option, help, answer for an ABI.
_QUESTIONS: list[tuple[str, str, Callable[[str], str]]] = [
    ("version", "version of hpy", lambda abi: _DEVEL.get_version()),
    ("includedir", "folder with hpy.h", lambda abi: str(_DEVEL.include_dir)),
    ("includes", "-I options of the ABI, with Python's own where it needs them", _includes),
    ("cflags", "the same, with the macros that choose the ABI", _cflags),
    ("sources", "C sources to compile into each extension of the ABI", _sources),
    ("library", "static library to link in place of these sources", _library),
    ("suffix", "end of the file name of an extension of the ABI", get_hpy_ext_suffix),
    ("cmakedir", "HPy_DIR for find_package(HPy CONFIG)", lambda abi: str(_DEVEL.cmake_dir)),
    ("pkgconfigdir", "for PKG_CONFIG_PATH", lambda abi: str(_DEVEL.pkgconfig_dir)),
]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m hpy.devel",
        description="Tells build systems what an HPy extension needs. Without options: all of it.",
    )
    parser.add_argument(
        "--abi",
        choices=HPY_ABIS,
        default=DEFAULT_HPY_ABI,
        help=f"which ABI the answers are for (default: {DEFAULT_HPY_ABI})",
    )
    for name, text, _ in _QUESTIONS:
        parser.add_argument(f"--{name}", action="store_true", help=text)
    parser.add_argument(
        "--check",
        nargs="+",
        metavar="LIBRARY",
        help="fail if a library of the universal ABI uses functions of CPython",
    )
    parser.add_argument(
        "--stub",
        nargs="+",
        metavar="LIBRARY",
        help="write NAME.py beside each NAME.hpy0.so: what `import NAME` finds",
    )
    options = parser.parse_args(arguments)
    asked = [question for question in _QUESTIONS if getattr(options, question[0])]
    for _, _, answer in asked:
        print(answer(options.abi))
    for library in options.stub or ():
        if not Path(library).exists():
            parser.error(f"there is no file {library}; give the library that was built")
        write_stub(library)
    if options.check:
        return symbols.main(options.check)
    if not asked and not options.stub:
        for name, _, answer in _QUESTIONS:
            print(f"{name}: {answer(options.abi)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
