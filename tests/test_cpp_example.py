"""examples/cpp: HPy from C++11 to C++20, with exceptions and destructors, silent in debug mode."""

import collections
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support import compiler, tree
from support.child import PythonRunner
from support.extension import ModuleFactory

HPY_ABIS = ["cpython", "universal", "debug", "hybrid", "hybrid-debug"]
FOLDER = tree.REPOSITORY / "examples" / "cpp"
STANDARDS = ("c++11", "c++14", "c++17", "c++20")
STRICT = ("-Wextra", "-Wno-unused-parameter")


def one_source() -> str:
    source = (FOLDER / "wordcount.cpp").read_text("utf-8")
    return source.replace('#include "handle.h"', (FOLDER / "handle.h").read_text("utf-8"))


@pytest.fixture
def mod(hpy_module: ModuleFactory) -> Any:
    return hpy_module(one_source(), "wordcount", language="c++", cflags=["-std=c++11", *STRICT])


@pytest.mark.parametrize("abi", ["cpython", "universal", "hybrid"])
@pytest.mark.parametrize("standard", STANDARDS)
def test_every_standard(standard: str, abi: str) -> None:
    compiler.compile_extension(one_source(), "wordcount", abi, "c++", [f"-std={standard}", *STRICT])


TEXT = "to be or not to be\tthat is\n the question  ä ä"


def test_counts(mod: Any) -> None:
    counter = mod.Counter(TEXT)
    expected = collections.Counter(TEXT.split())
    assert len(counter) == len(expected)
    assert counter["be"] == 2
    assert "or" in counter
    assert "nor" not in counter
    order = sorted(expected.items(), key=lambda item: (-item[1], item[0].encode()))
    assert counter.most_common(3) == order[:3]
    assert counter.most_common(100) == order
    counter.add("nor")
    counter.update(iter(["or or", "or"]))
    assert (counter["nor"], counter["or"]) == (1, 4)
    assert mod.Counter().most_common(5) == []
    assert mod.Counter(text="a a")["a"] == 2
    assert mod.Counter.__doc__ == "How often each word was added."


def test_exceptions_become_those_of_python(mod: Any) -> None:
    """In debug mode the fixture sees that the destructors closed what was open."""
    counter = mod.Counter("a")
    with pytest.raises(IndexError, match=r"map::at|out of range"):
        counter["b"]
    with pytest.raises(ValueError, match="must not be negative"):
        counter.most_common(-1)
    for wrong in (lambda: counter.add(1), lambda: counter.update(["x", 2]), lambda: 3 in counter):
        with pytest.raises(TypeError):
            wrong()
    assert counter["x"] == 1
    for wrong in (lambda: counter.update(7), lambda: mod.Counter(8), lambda: mod.Counter(x=9)):
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(OverflowError):
        counter.most_common(1 << 80)

    def broken() -> Any:
        yield "y"
        raise KeyError("from the iterator")

    with pytest.raises(KeyError, match="from the iterator"):
        counter.update(broken())


@pytest.mark.hpy_abis("debug")
def test_it_is_debug_mode_that_looks(hpy_module: ModuleFactory, run_python: PythonRunner) -> None:
    """The same source without the destructor's close leaks, and the line is told."""
    source = one_source()
    broken = re.sub(r"(    ~Handle\(\)\n    \{\n)        close\(\);\n", r"\1", source)
    assert broken != source
    extension = hpy_module.build(broken, "wordcount", language="c++", cflags=["-std=c++11"])
    done = run_python(
        """
        import hpy.debug
        import wordcount
        with hpy.debug.LeakDetector():
            wordcount.Counter().update(["a"])
        """,
        module=extension,
    )
    assert "unclosed handle" in done.stderr
    lines = broken.splitlines()
    expected = next(i for i, line in enumerate(lines, 1) if "HPy_GetIter(ctx, iterable)" in line)
    assert f"wordcount.cpp:{expected}" in done.stderr


def test_setup(tmp_path: Path) -> None:
    """As its README says."""
    pytest.importorskip("setuptools")
    from support.venv import environment, venv_with_setuptools

    python = str(venv_with_setuptools("newest"))
    done = subprocess.run(
        [
            *(python, "setup.py", "-q", "--hpy-abi=universal", "--hpy-use-static-libs", "build"),
            *(f"--build-base={tmp_path}", f"--build-lib={tmp_path}/lib"),
        ],
        cwd=FOLDER,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    code = "import wordcount; print(wordcount.Counter('to be or not to be').most_common(2))"
    command = [python, "-c", f"import sys; sys.path[0] = {str(tmp_path / 'lib')!r}; {code}"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[('be', 2), ('to', 2)]\n", "")
