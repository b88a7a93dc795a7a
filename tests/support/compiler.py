"""Compiles the small C programs of the tests, each at most once.

A result is kept in build/test-cache under a hash of everything that it depends on: the source, the
headers, the helper library, the flags, the compiler and, unless the ABI is universal, the
interpreter. So universal binaries are shared by all modes and all interpreters. The source stays
beside the binary, where its debug information says it is.
"""

import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from support import tree

_DAYS_KEPT = 14


class CompileError(Exception):
    """The compiler refused a source; the text is what it said. `stderr` is that alone."""

    def __init__(self, command: Sequence[str], stderr: str) -> None:
        super().__init__(f"{' '.join(command)}\n{stderr}")
        self.stderr = stderr


def compile_extension(
    source: str,
    name: str,
    abi: str,
    language: str = "c",
    cflags: Sequence[str] = (),
    ldflags: Sequence[str] = (),
) -> Path:
    """The library made of `source`, for ABI cpython, universal or hybrid; NAME + the ABI's suffix.

    `cflags` come after `-g -O0 -Wall -Werror`, so they may override those.
    """
    if language not in ("c", "c++"):
        raise ValueError(f"language is {language!r}; it is 'c' or 'c++'")
    library = tree.static_library(abi)
    if not library.exists():
        raise RuntimeError(f"{library} does not exist: build the tree first (make build)")
    compiler = os.environ.get("CXX", "c++") if language == "c++" else os.environ.get("CC", "cc")
    flags = [
        *("-shared", "-fPIC", "-g", "-O0", "-Wall", "-Werror"),
        *("-DHPY", f"-DHPY_ABI_{abi.upper()}"),
        *os.environ.get("HPY_TEST_CFLAGS", "").split(),
        *cflags,
    ]
    includes = [tree.INCLUDE]
    if abi == "universal":
        includes.insert(0, tree.INCLUDE / "hpy" / "forbid_python_h")
    else:
        includes.append(tree.PYTHON_INCLUDE)
    parts = [source, name, abi, _compiler_version(compiler), *flags, "--", *ldflags]
    parts += [_headers_hash(), _file_hash(library)]
    if abi != "universal":
        parts += [tree.SOABI, str(tree.PYTHON_INCLUDE)]
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    folder = tree.CACHE / key
    folder.mkdir(parents=True, exist_ok=True)
    result = folder / (name + tree.extension_suffix(abi))
    # Two workers may want the same one: the second waits for the first.
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not result.exists():
            file = folder / (name + (".cpp" if language == "c++" else ".c"))
            file.write_text(source)
            unfinished = folder / "unfinished"
            command = [compiler, *flags]
            command += [f"-I{include}" for include in includes]
            command += [str(file), "-o", str(unfinished), str(library), *ldflags]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise CompileError(command, done.stderr)
            unfinished.rename(result)
    os.utime(folder)
    return result


def forget_old() -> None:
    """Removes what no test has used for two weeks."""
    oldest = time.time() - _DAYS_KEPT * 86400
    for folder in tree.CACHE.glob("*"):
        if folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)


def _file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@functools.cache
def _headers_hash() -> str:
    # hpy/version.h changes with every commit, and what it says has no effect on a binary here.
    headers = sorted(p for p in tree.INCLUDE.rglob("*") if p.is_file() and p.name != "version.h")
    return " ".join(_file_hash(header) for header in headers)


@functools.cache
def _compiler_version(compiler: str) -> str:
    done = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True)
    return compiler + done.stdout
