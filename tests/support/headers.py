"""Compiling small sources against the headers: for test_headers.py and test_headers_binaries.py."""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Union

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = REPOSITORY / "tests" / "abi"
PYTHON_INCLUDE = sysconfig.get_paths()["include"]

ABIS = ("cpython", "universal", "hybrid")
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]
C_STANDARDS = ("c99", "c11", "c17")
CXX_STANDARDS = ("c++11", "c++14", "c++17", "c++20")
STRICT = ("-Wall", "-Wextra", "-Werror")
# Initialisers of an author's own leave members out, and `{0}` ends an array of parameters.
CXX_AUTHOR = ("-Wno-missing-field-initializers",)


def find(make_folder: Callable[[str], Path]) -> Path:
    """The headers under test: $HPY_INCLUDE, the staged tree, or include/ and abi/ as they stand."""
    build = Path(os.environ.get("HPY_BUILD_DIR", REPOSITORY / "build"))
    staged = build / "python" / "hpy" / "devel" / "include"
    if "HPY_INCLUDE" in os.environ:
        return Path(os.environ["HPY_INCLUDE"])
    if (staged / "hpy.h").exists():
        return staged
    folder = make_folder("include")
    shutil.copytree(REPOSITORY / "include", folder, dirs_exist_ok=True)
    shutil.copytree(REPOSITORY / "abi", folder / "hpy" / "abi")
    return folder


@dataclass(frozen=True)
class Case:
    """One run of a compiler on one source, a file or the text of one."""

    compiler: str
    standard: str
    abi: Optional[str]
    source: Union[Path, str]
    flags: tuple[str, ...] = ()

    @property
    def is_cxx(self) -> bool:
        return "++" in self.standard

    def command(self, include: Path, python: bool = True) -> list[str]:
        driver = {"gcc": "g++", "clang": "clang++"}[self.compiler] if self.is_cxx else self.compiler
        command = [driver, "-x", "c++" if self.is_cxx else "c", f"-std={self.standard}"]
        command += ["-fPIC", f"-I{include}"]
        if self.abi is not None:
            command += ["-DHPY", f"-DHPY_ABI_{self.abi.upper()}"]
        if python and self.abi != "universal":
            command += ["-isystem", PYTHON_INCLUDE]
        return [*command, *self.flags]

    def compile(self, include: Path, *output: str, python: bool = True) -> tuple[int, str]:
        """The exit code, and what the compiler said."""
        text = self.source if isinstance(self.source, str) else None
        file = "-" if isinstance(self.source, str) else str(self.source)
        done = subprocess.run(
            [*self.command(include, python), *(output or ("-fsyntax-only",)), file],
            input=text,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return done.returncode, done.stdout


def check_all(cases: Iterable[Case], include: Path, *output: str) -> None:
    """All cases compile without a word."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        tried = list(cases)
        results = pool.map(lambda case: case.compile(include, *output), tried)
        wrong = [f"{case}\n{said}" for case, (code, said) in zip(tried, results) if code or said]
    assert not wrong, "\n\n".join(wrong[:3])


def check_refused(source: str, include: Path, *wanted: str, abi: str = "universal") -> None:
    """No compiler accepts the source, neither as C nor as C++; each says one of the texts."""
    for compiler in COMPILERS:
        for standard in ("c11", "c++17"):
            case = Case(compiler, standard, abi, source, ("-Wall", "-Werror", "-O1"))
            code, said = case.compile(include, "-S", "-o", "/dev/null")
            assert code != 0, case
            assert any(text in said for text in wanted), f"{case}\n{said}"
