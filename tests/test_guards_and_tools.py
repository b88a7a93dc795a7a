"""Guarded memory beside tools that watch memory too: AddressSanitizer and valgrind."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import tree
from support.child import Completed, PythonRunner
from support.extension import Extension, ModuleFactory
from support.fault_source import SOURCE

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

SIGSEGV = -11
RIGHT = "import mytest\nmytest.right('hello', 3000)\nmytest.right('h' * 9000, 9)\nprint('right')\n"
WRONG = "import mytest\nmytest.after('hello', 0, 0)\n"
# As docs/debug-mode.md says. Leaks of the interpreter itself are none of the extension's.
OPTIONS = "detect_leaks=0:handle_segv=0:handle_sigbus=0"


def library(name: str) -> str:
    """A run-time library of the compiler; its bare name where there is none."""
    return subprocess.run(
        ["cc", f"-print-file-name={name}"], capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def with_asan(hpy_module: ModuleFactory) -> Extension:
    if not Path(library("libasan.so")).is_absolute():
        pytest.skip("the compiler has no AddressSanitizer")
    return hpy_module.build(SOURCE, cflags=["-g", "-fsanitize=address"])


def asan(run: PythonRunner, module: Extension, code: str, options: str = OPTIONS) -> Completed:
    preload = f"{library('libasan.so')}:{library('libstdc++.so')}"
    return run(code, module=module, env={"LD_PRELOAD": preload, "ASAN_OPTIONS": options})


def test_right_under_asan(run_python: PythonRunner, with_asan: Extension) -> None:
    done = asan(run_python, with_asan, RIGHT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "right\n", "")


def test_reported_under_asan(run_python: PythonRunner, with_asan: Extension) -> None:
    done = asan(run_python, with_asan, WRONG)
    assert done.returncode == SIGSEGV, done.stderr
    assert "error[buffer-after-close]" in done.stderr
    assert "AddressSanitizer" not in done.stderr


def test_reported_under_asan_that_handles_faults(
    run_python: PythonRunner, with_asan: Extension
) -> None:
    """Ours comes first; then ASan ends the process in its own way."""
    done = asan(run_python, with_asan, WRONG, "detect_leaks=0")
    assert done.returncode != 0
    ours = done.stderr.index("error[buffer-after-close]")
    assert ours < done.stderr.index("AddressSanitizer")


def valgrind(run: PythonRunner, module: Extension, folder: Path, code: str) -> Completed:
    tool = None if tree.HAS_ASAN else shutil.which("valgrind")
    if tool is None:
        pytest.skip("valgrind is not installed, or AddressSanitizer is there already")
    script = folder / "script.py"
    script.write_text(code)
    # The interpreter's allocator is left out, for what valgrind thinks of it.
    command = [tool, "--quiet", "--error-exitcode=9", "--undef-value-errors=no", sys.executable]
    return run.run(
        [*command[1:], str(script)], {"PYTHONMALLOC": "malloc"}, module, command[0], timeout=300
    )


def test_right_under_valgrind(
    run_python: PythonRunner, hpy_module: ModuleFactory, tmp_path: Path
) -> None:
    done = valgrind(run_python, hpy_module.build(SOURCE), tmp_path, RIGHT)
    assert (done.returncode, done.stdout) == (0, "right\n"), done.stderr
    # Its errors begin with "==", its notes on system calls (of the unwinder's probing) with "--".
    assert [text for text in done.stderr.splitlines() if not text.startswith("--")] == []


def test_reported_under_valgrind(
    run_python: PythonRunner, hpy_module: ModuleFactory, tmp_path: Path
) -> None:
    done = valgrind(run_python, hpy_module.build(SOURCE), tmp_path, WRONG)
    assert done.returncode != 0
    assert "error[buffer-after-close]" in done.stderr
