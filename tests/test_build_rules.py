"""What the build must keep: who includes whom, what is exported, and in which order is linked."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import compiler, tree
from support.child import PythonRunner
from support.extension import Extension
from support.native import IMPORT_AND_THROW, PLAIN_CXX, bindings, exported, needed

# Which rooms a room may include, besides itself. `include` is hpy.h and hpy/*, with the table of
# abi/ at hpy/abi/; cmake/Rooms.cmake has the same table.
RULE = {
    "abi": set(),
    "include": {"abi"},
    "runtime": {"include"},
    "universal": {"include", "runtime"},
    "stacktrace": set(),
    "handles": {"include", "stacktrace"},
    "leakdetector": {"handles", "stacktrace"},
    "debug_ctx": {"abi", "include", "runtime", "stacktrace", "handles", "leakdetector"},
}
RULE["python"] = set(RULE)
# The rooms that are a C++ library without CPython.
WITHOUT_CPYTHON = ["stacktrace", "handles", "leakdetector", "debug_ctx"]
CPYTHON_HEADER = re.compile(
    r"^(Python|structmember|frameobject|pythread|patchlevel)\.h$|^internal/"
)


def sources(room: str) -> list[Path]:
    kinds = {".c", ".cc", ".h", ".inc"}
    return sorted(p for p in (tree.REPOSITORY / room).rglob("*") if p.suffix in kinds)


def includes(path: Path) -> Iterator[tuple[int, str]]:
    """(line, what) of each #include of a file."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*[<"]([^">]+)[">]', line)
        if match:
            yield number, match[1]


def room_of(include: str, path: Path) -> str:
    """The room that `include` in the file `path` names; empty for the system's headers."""
    first = include.split("/")[0]
    if include == "hpy.h" or first == "hpy":
        return "include"
    if first in RULE and "/" in include:
        return first
    if (path.parent / include).exists():
        return path.relative_to(tree.REPOSITORY).parts[0]
    return ""


@pytest.mark.parametrize("room", sorted(RULE))
def test_room_includes_what_it_may(room: str) -> None:
    allowed = RULE[room] | {room}
    broken = []
    for path in sources(room):
        for line, include in includes(path):
            seen = room_of(include, path)
            if ".." in include.split("/"):
                broken.append(f"{path}:{line}: {include}: name the room, not the way to it")
            elif seen and seen not in allowed:
                broken.append(f"{path}:{line}: {room} may not include {seen} ({include})")
            elif room in WITHOUT_CPYTHON and CPYTHON_HEADER.search(include):
                broken.append(f"{path}:{line}: {room} does without CPython ({include})")
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("room", sorted(set(RULE) - {"abi", "include"}))
def test_compiler_sees_what_a_room_may_see(room: str) -> None:
    expected = (RULE[room] | {room}) - {"include"}
    assert {path.name for path in (tree.BUILD / "roots" / room).iterdir()} == expected


def test_forbidden_include_does_not_compile(tmp_path: Path) -> None:
    source = tmp_path / "wrong.cc"
    source.write_text('#include "handles/slot.h"\n')
    command = ["c++", "-fsyntax-only", "-I", str(tree.BUILD / "roots" / "stacktrace"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "handles/slot.h: No such file or directory" in done.stderr


def test_rooms_are_compiled_without_cpython() -> None:
    commands = json.loads((tree.BUILD / "compile_commands.json").read_text())
    checked = 0
    for command in commands:
        file = Path(command["file"])
        if file.is_relative_to(tree.REPOSITORY):
            room = file.relative_to(tree.REPOSITORY).parts[0]
            if room in WITHOUT_CPYTHON:
                assert "/python3" not in command["command"]
                checked += 1
    assert checked


def native_modules() -> list[Path]:
    """All native modules of the tree, of every interpreter that it was built for."""
    found = [p for p in tree.PACKAGE.rglob("*.so") if p.parent.name in ("hpy", "debug", "trace")]
    assert {"hpy", "debug"} <= {path.parent.name for path in found}
    return found


def test_exports() -> None:
    for module in native_modules():
        name = module.name.split(".")[0]
        assert exported(module) - {"hpy_debug_describe"} == {f"PyInit_{name}"}, module


def test_needed_libraries() -> None:
    system = {"libc.so.6", "libm.so.6", "libstdc++.so.6", "libgcc_s.so.1", "ld-linux-x86-64.so.2"}
    sanitizers = {"libasan.so.8", "libubsan.so.1", "libtsan.so.2"}
    for module in native_modules():
        libraries = needed(module)
        assert not [name for name in libraries if "python" in name], module
        if module.parent.name == "debug":
            unwind = [n for n, name in enumerate(libraries) if name.startswith("libunwind")]
            if unwind:
                assert libraries.index("libgcc_s.so.1") < min(unwind), libraries
        else:
            assert set(libraries) <= system | sanitizers, module


@pytest.fixture
def plain_cxx(tmp_path: Path) -> Extension:
    path = compiler.compile_extension(PLAIN_CXX, "plaincxx", "cpython", language="c++")
    folder = tmp_path / "plaincxx"
    folder.mkdir()
    copy = folder / path.name
    copy.write_bytes(path.read_bytes())
    return Extension("plaincxx", "cpython", copy, path.with_name("plaincxx.cpp"))


@pytest.mark.parametrize("bind_now", [False, True])
def test_exceptions_of_others(
    run_python: PythonRunner, plain_cxx: Extension, bind_now: bool
) -> None:
    env = {"LD_BIND_NOW": "1"} if bind_now else {}
    done = run_python(IMPORT_AND_THROW, module=plain_cxx, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"caught {tree.PACKAGE}{os.sep}")


def test_only_ours_is_bound_to_libunwind(
    run_python: PythonRunner, plain_cxx: Extension, tmp_path: Path
) -> None:
    log = tmp_path / "bindings"
    env = {"LD_DEBUG": "bindings", "LD_DEBUG_OUTPUT": str(log), "LD_BIND_NOW": "1"}
    done = run_python(IMPORT_AND_THROW, module=plain_cxx, env=env)
    assert done.returncode == 0, done.stderr
    logged = "".join(path.read_text() for path in tmp_path.glob("bindings.*"))
    found = bindings(logged)
    assert "_Unwind_Resume" in {symbol for _, _, symbol in found}
    for who, whom, symbol in found:
        if "/libunwind" in whom:
            ours = Path(who).is_relative_to(tree.PACKAGE) or "/libunwind" in who
            assert ours, f"{who} is bound to {whom} ({symbol})"
