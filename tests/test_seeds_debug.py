"""Seed 003, the chapter on debug mode: its examples (S23 to S31), each a test of its name."""

# The names have those of the examples.
# ruff: noqa: N802

import re
import subprocess
from pathlib import Path

import pytest

from support.child import PythonRunner
from support.extension import ModuleFactory

HPY_ABIS = ["debug"]

# S28, lines 622 to 632.
TEST_LEAK_STACKTRACE = """\
#include "hpy.h"
HPyDef_METH(test_leak_stacktrace, "test_leak_stacktrace",
            test_leak_stacktrace_impl, HPyFunc_NOARGS)
static HPy test_leak_stacktrace_impl(HPyContext *ctx, HPy self)
{
    HPy num = HPyLong_FromLong(ctx, 42);
    if (HPy_IsNull(num)) {
        return HPy_NULL;
    }
    // No HPy_Close(ctx, num);
    return HPy_Dup(ctx, ctx->h_None);
}
"""

# S29, lines 636 to 643.
SCRIPT = """\
# Run with HPY_DEBUG=1
import hpy.debug
import snippets

hpy.debug.set_handle_stack_trace_limit(16)
from hpy.debug.pytest import LeakDetector
with LeakDetector() as ld:
    snippets.test_leak_stacktrace()
"""

# What S25 and S26 call: HPy and the Python/C API in one module. `leak` is there for the other case.
MIXED = """\
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include "hpy.h"

HPyDef_METH(add_ints, "add_ints", add_ints_impl, HPyFunc_VARARGS)
static HPy add_ints_impl(HPyContext *ctx, HPy self, HPy *args, HPy_ssize_t nargs)
{
    long a, b;
    if (!HPyArg_Parse(ctx, NULL, args, nargs, "ll", &a, &b))
        return HPy_NULL;
    return HPyLong_FromLong(ctx, a+b);
}

HPyDef_METH(leak, "leak", leak_impl, HPyFunc_O)
static HPy leak_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_Dup(ctx, arg);
    return HPy_Dup(ctx, ctx->h_None);
}

static PyObject *sub_ints(PyObject *self, PyObject *args)
{
    long a, b;
    if (!PyArg_ParseTuple(args, "ll", &a, &b))
        return NULL;
    return PyLong_FromLong(a - b);
}

static PyMethodDef legacy_methods[] = {
    {"sub_ints", (PyCFunction)sub_ints, METH_VARARGS, ""},
    {NULL, NULL, 0, NULL},
};
static HPyDef *defines[] = {&add_ints, &leak, NULL};
static HPyModuleDef mixed = {
    .name = "mixed",
    .doc = "HPy and Python/C",
    .size = -1,
    .legacy_methods = legacy_methods,
    .defines = defines,
};
HPy_MODINIT(mixed)
static HPy init_mixed_impl(HPyContext *ctx)
{
    return HPyModule_Create(ctx, &mixed);
}
"""

# S25, lines 595 to 600, and S26, lines 604 to 606, with a body.
TESTS = """\
import mixed

def test_leak_detector():
    from hpy.debug.pytest import LeakDetector
    with LeakDetector() as ld:
        # add_ints is an HPy C function. If it forgets to close a handle,
        # LeakDetector will complain
        assert mixed.add_ints(40, 2) == 42

from hpy.debug.pytest import hpy_debug
def test_that_uses_leak_detector_fixture(hpy_debug):
    # Run some HPy extension code
    assert mixed.sub_ints(44, 2) == 42
    {body}
"""


@pytest.mark.promise("DBG-24")
def test_seed_003_S23_hpy_log(hpy_module: ModuleFactory, run_python: PythonRunner) -> None:
    snippets = hpy_module.build(TEST_LEAK_STACKTRACE, name="snippets")
    done = run_python("import snippets", module=snippets, env={"HPY": "debug", "HPY_LOG": "1"})
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Loading 'snippets' in HPy universal mode with a debug context\n"


@pytest.mark.promise("DBG-25")
@pytest.mark.hpy_abis("cpython")
def test_seed_003_S23_not_in_the_cpython_abi(
    hpy_module: ModuleFactory, run_python: PythonRunner
) -> None:
    snippets = hpy_module.build(TEST_LEAK_STACKTRACE, name="snippets")
    done = run_python("import snippets", module=snippets, env={"HPY_LOG": "1"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.promise("DBG-01", "DBG-26", "DBG-27")
@pytest.mark.hpy_abis("universal")
def test_seed_003_S24_explicit_load(hpy_module: ModuleFactory, run_python: PythonRunner) -> None:
    """The environment has no say: neither in what is loaded, nor that it is told."""
    snippets = hpy_module.build(TEST_LEAK_STACKTRACE, name="snippets")
    done = run_python(
        """
        import sys
        import hpy.debug
        import hpy.universal

        module_name, so_filename = "snippets", sys.argv[1]
        mod = hpy.universal.load(module_name, so_filename, debug=True)
        with hpy.debug.LeakDetector() as ld:
            mod.test_leak_stacktrace()
        """,
        str(snippets.path),
        env={"HPY_DEBUG": "0", "HPY": "universal", "HPY_LOG": "1"},
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "HPyLeakError: 1 unclosed handle:" in done.stderr


@pytest.mark.promise("DBG-28", "DBG-29", "DBG-31", "ABI-13", "API-20")
@pytest.mark.hpy_abis("hybrid", "hybrid-debug", "cpython")
def test_seed_003_S25_S26_pytest(
    hpy_module: ModuleFactory, run_python: PythonRunner, tmp_path: Path
) -> None:
    """Both pass, in debug mode and without it."""
    mixed = hpy_module.build(MIXED, name="mixed")
    (tmp_path / "test_it.py").write_text(TESTS.format(body="assert True"))
    command = ["-m", "pytest", "-p", "no:cacheprovider", "test_it.py"]
    done = run_python.run(command, module=mixed, cwd=tmp_path)
    assert "2 passed in" in done.stdout, done.stdout


@pytest.mark.promise("DBG-29")
@pytest.mark.hpy_abis("hybrid", "hybrid-debug")
def test_seed_003_S26_fails_if_the_body_leaks(
    hpy_module: ModuleFactory, run_python: PythonRunner, tmp_path: Path
) -> None:
    mixed = hpy_module.build(MIXED, name="mixed")
    (tmp_path / "test_it.py").write_text(TESTS.format(body="mixed.leak(5)"))
    command = ["-m", "pytest", "-p", "no:cacheprovider", "test_it.py"]
    done = run_python.run(command, module=mixed, cwd=tmp_path)
    if hpy_module.abi == "hybrid":  # without debug mode, it does nothing
        assert "2 passed in" in done.stdout, done.stdout
    else:
        assert "2 passed, 1 error in" in done.stdout, done.stdout
        assert "HPyLeakError: 1 unclosed handle:" in done.stdout


@pytest.mark.promise("DBG-32")
@pytest.mark.no_leak_check
def test_seed_003_S27_allocation_traces(hpy_module: ModuleFactory) -> None:
    import hpy.debug

    snippets = hpy_module(TEST_LEAK_STACKTRACE, name="snippets")

    def text() -> str:
        with pytest.raises(hpy.debug.HPyLeakError) as caught, hpy.debug.LeakDetector():
            snippets.test_leak_stacktrace()
        return str(caught.value)

    with hpy.debug.configure():  # brings the limit back
        hpy.debug.set_handle_stack_trace_limit(16)
        assert "Allocation stacktrace:" in text()
        hpy.debug.disable_handle_stack_traces()
        assert "Allocation stacktrace:" not in text()
        hpy.debug.set_handle_stack_trace_limit(16)
        assert "Allocation stacktrace:" in text()


@pytest.mark.promise("DBG-06")
@pytest.mark.no_leak_check
def test_seed_003_S28_leak(hpy_module: ModuleFactory) -> None:
    import hpy.debug

    snippets = hpy_module(TEST_LEAK_STACKTRACE, name="snippets")
    with pytest.raises(hpy.debug.HPyLeakError) as caught, hpy.debug.LeakDetector():
        assert snippets.test_leak_stacktrace() is None
    assert [leak.obj for leak in caught.value.leaks] == [42]


@pytest.mark.promise("DBG-11", "DBG-22", "DBG-33")
def test_seed_003_S29_S30_script_and_its_output(
    hpy_module: ModuleFactory, run_python: PythonRunner, line_of: object
) -> None:
    snippets = hpy_module.build(TEST_LEAK_STACKTRACE, name="snippets")
    del snippets.env["HPY"]
    (snippets.folder / "debug-example.py").write_text(SCRIPT)
    done = run_python.run(
        ["debug-example.py"], module=snippets, env={"HPY_DEBUG": "1"}, cwd=snippets.folder
    )
    assert done.returncode == 1
    lines = done.stderr.split("\n")
    assert lines[0] == "Traceback (most recent call last):"
    at = lines.index("hpy.debug.leakdetector.HPyLeakError: 1 unclosed handle:")
    assert re.fullmatch(r"    <DebugHandle 0x[\da-f]+ for 42>", lines[at + 1])
    assert lines[at + 2] == "Allocation stacktrace:"
    line = hpy_module.line_of(TEST_LEAK_STACKTRACE, "HPyLong_FromLong")
    assert re.fullmatch(
        r"\S+/snippets\.hpy0\.so\(\+0x[\da-f]+\) \[0x[\da-f]+\] in test_leak_stacktrace_impl at "
        rf"\S+/snippets\.c:{line}",
        lines[at + 3],
    )


@pytest.mark.promise("DBG-34")
@pytest.mark.no_leak_check
def test_seed_003_S31_addr2line(hpy_module: ModuleFactory) -> None:
    """The offset of a report is what addr2line wants, with the flags that the seed names.

    `-i` in addition: HPyLong_FromLong is inlined into the function of the extension even with -O0.
    """
    import hpy.debug

    flags = {"cflags": ["-O0", "-g"], "ldflags": ["-rdynamic"]}
    extension = hpy_module.build(TEST_LEAK_STACKTRACE, name="snippets", **flags)  # type: ignore[arg-type]
    snippets = hpy_module.load(extension)
    with pytest.raises(hpy.debug.HPyLeakError) as caught, hpy.debug.LeakDetector():
        snippets.test_leak_stacktrace()
    found = re.search(r"snippets\.hpy0\.so\(\S*?\+(0x[\da-f]+)\)", str(caught.value))
    assert found is not None
    command = ["addr2line", "-e", str(extension.path), "-C", "-f", "-i", found[1]]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # The return address: of this line, or the first of the next.
    line = hpy_module.line_of(TEST_LEAK_STACKTRACE, "HPyLong_FromLong")
    pattern = rf"^test_leak_stacktrace_impl\n\S+snippets\.c:({line}|{line + 1})\b"
    assert re.search(pattern, said, re.M), said
