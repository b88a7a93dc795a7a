"""hpy_debug_describe(handle): the story of a handle for people in a debugger."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hpy.debug.native import native
from support import tree
from support.child import PythonRunner
from support.extension import Extension, ModuleFactory, line_of

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

SOURCE = """
#include "hpy.h"
#include <stdint.h>

static HPy open_handle, closed_handle, argument;
static HPyListBuilder builder;

static __attribute__((noinline)) void stop_here(HPy h)
{
    __asm__ volatile("" : : "r"(h._i) : "memory");
}

HPyDef_METH(prepare, "prepare", HPyFunc_O)
static HPy prepare_impl(HPyContext *ctx, HPy self, HPy arg)
{
    open_handle = HPy_Dup(ctx, arg);  /* opens */
    closed_handle = HPyLong_FromLong(ctx, 123456789);  /* opens another */
    HPy_Close(ctx, closed_handle);  /* closes it */
    argument = arg;
    builder = HPyListBuilder_New(ctx, 1);  /* makes */
    stop_here(open_handle);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(values, "values", HPyFunc_NOARGS)
static HPy values_impl(HPyContext *ctx, HPy self)
{
    return HPy_BuildValue(ctx, "(LLLLL)", (long long)open_handle._i, (long long)closed_handle._i,
                          (long long)argument._i, (long long)ctx->h_None._i,
                          (long long)builder._lst);
}
"""


class Describe:
    """The function as a debugger finds it, and what it writes to standard error."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd
        # A PyDLL keeps hold of the interpreter, as the thread that stopped in an extension does.
        self._held = ctypes.PyDLL(native().__file__).hpy_debug_describe
        self._free = ctypes.CDLL(native().__file__).hpy_debug_describe

    def __call__(self, value: int, *, held: bool = True) -> str:
        self._capfd.readouterr()
        (self._held if held else self._free)(ctypes.c_size_t(value))
        out, err = self._capfd.readouterr()
        assert out == ""
        return str(err)


@pytest.fixture
def describe(capfd: pytest.CaptureFixture[str]) -> Describe:
    return Describe(capfd)


@pytest.fixture
def values(hpy_module: ModuleFactory) -> Any:
    mod = hpy_module(SOURCE)
    mod.prepare("an object")
    return mod.values()


def at(mark: str) -> str:
    return rf"    prepare_impl at \S+mytest\.c:{line_of(SOURCE, f'/* {mark} */')}\n"


def test_open_handle(describe: Describe, values: Any) -> None:
    text = describe(values[0])
    assert re.match(
        rf"{values[0]:#x} is an open handle, number \d+ of those that were opened\n"
        r"  object: 'an object' \(str\)\n"
        r"  opened by mytest.prepare\n" + at("opens") + r"    Python: values at \S+\.py:\d+\n",
        text,
    ), text
    assert "closed" not in text


def test_closed_handle(describe: Describe, values: Any) -> None:
    text = describe(values[1])
    assert re.fullmatch(
        rf"{values[1]:#x} is a closed handle, number \d+ of those that were opened\n"
        r"  object: not known, it may be gone\n"
        r"  opened by mytest.prepare\n" + at("opens another") + r"  closed at\n" + at("closes it"),
        text,
    ), text


def test_argument(describe: Describe, values: Any) -> None:
    text = describe(values[2])
    assert " is a closed handle, number " in text
    assert "  an argument of mytest.prepare\n" in text
    assert "  closed when the call returned, of\n    prepare_impl at " in text


def test_constant_builder_null_and_nonsense(describe: Describe, values: Any) -> None:
    # A builder may have the value of a handle: it is told as both.
    assert describe(values[3]).startswith(
        f"{values[3]:#x} is an open handle: a constant of the context\n  object: None (NoneType)\n"
    )
    assert " is an open builder, number " in describe(values[4])
    assert re.search(at("makes"), describe(values[4]))
    assert describe(0) == "HPy_NULL: it refers to nothing\n"
    assert describe(0x1234) == "0x1234 is no handle: the debug context never gave it out\n"


def test_thread_without_the_interpreter(describe: Describe, values: Any) -> None:
    text = describe(values[0], held=False)
    assert "  object: not shown: this thread does not hold the interpreter\n" in text
    assert re.search(at("opens"), text)


def test_recycled_story(describe: Describe, hpy_module: ModuleFactory) -> None:
    import hpy.debug

    with hpy.debug.configure(closed_handles=1):
        mod = hpy_module(SOURCE)
        mod.prepare("x")
        closed = mod.values()[1]
        for _ in range(3000):
            mod.prepare("y")
        assert " is a closed handle, closed so long ago that its story was rec" in describe(closed)


def test_without_debug_mode(run_python: PythonRunner) -> None:
    done = run_python(
        """
        import ctypes, hpy.debug.native
        native = hpy.debug.native.native()
        ctypes.PyDLL(native.__file__).hpy_debug_describe(ctypes.c_size_t(0x1234))
        """
    )
    assert (
        done.stderr.startswith("0x1234 is no handle") or "no HPy module was loaded" in done.stderr
    )


def test_in_gdb(hpy_module: ModuleFactory, tmp_path: Path) -> None:
    if shutil.which("gdb") is None or tree.HAS_ASAN:
        pytest.skip("gdb is not installed, or would itself be run with AddressSanitizer")
    extension: Extension = hpy_module.build(SOURCE)
    script = tmp_path / "script.py"
    script.write_text("import mytest\nmytest.prepare('an object')\n")
    done = subprocess.run(
        [
            *("gdb", "-nx", "-batch", "-ex", "set breakpoint pending on"),
            *("-ex", "break stop_here", "-ex", "run"),
            *("-ex", "call (void)hpy_debug_describe(h._i)", "-ex", "kill"),
            *("--args", sys.executable, str(script)),
        ],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("HPY")},
            "PYTHONPATH": os.pathsep.join([str(tree.STAGED), str(extension.folder)]),
            "HPY_DEBUG": "1",
            "DEBUGINFOD_URLS": "",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if "ptrace: Operation not permitted" in done.stderr:
        pytest.skip("this machine does not let gdb start a program")
    assert "object: 'an object' (str)\n  opened by mytest.prepare\n" in done.stderr, done.stdout
    assert re.search(at("opens"), done.stderr)
    assert "Python: <module> at " in done.stderr
