"""Seed 001, the slides of 2021: each example is a test of its name (S1 to S6).

The slides are a transcript: what it lost (braces, brackets, the letter O) is put right here, and
each test says what.
"""

# The names have those of the examples.
# ruff: noqa: N802

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support import tree
from support.child import PythonRunner
from support.extension import ModuleFactory
from support.venv import environment, venv_with_setuptools

# S3, lines 86 to 97. Put right: the braces, and HPyFunc_O, which the transcript calls HPyFunc_0.
INC = """\
#include "hpy.h"
HPyDef_METH(inc, "inc", inc_impl, HPyFunc_O);
static HPy inc_impl(HPyContext *ctx, HPy self, HPy obj)
{
    HPy one = HPyLong_FromLong(ctx, 1);
    if (HPyErr_Occurred(ctx))
        return HPy_NULL;
    HPy result = HPy_Add(ctx, obj, one);
    if (HPy_IsNull(result))
        return HPy_NULL;
    //HPy_Close(ctx, one); // 00PS
    return result;
}
"""

# S4, lines 104 to 107. Put right: the brackets, the import, and the name of the distribution: there
# is none called hpy.devel any more, only the package.
SETUP = """\
from setuptools import setup, Extension

setup(
    name="foo",
    hpy_ext_modules=[
        Extension('foo',
            sources=['foo.c'])],
    setup_requires=['hpy'],
)
"""

CALL = """
#include "hpy.h"
HPy call_it(HPyContext *ctx, long x);
HPy call_it(HPyContext *ctx, long x)
{
    return HPyLong_FromLong(ctx, x);
}
"""


def code_of(tmp_path: Path, abi: str, function: str) -> str:
    """The machine code of a function of CALL."""
    source, result = tmp_path / "call.c", tmp_path / "call.o"
    source.write_text(CALL)
    includes = [f"-I{tree.INCLUDE}", f"-I{tree.PYTHON_INCLUDE}"]
    flags = ["-O2", "-fPIC", f"-DHPY_ABI_{abi.upper()}"]
    subprocess.run(["cc", *flags, *includes, "-c", str(source), "-o", str(result)], check=True)
    command = ["objdump", "-dr", "--no-show-raw-insn", str(result)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(rf"<{function}>:\n(.*?)(?:\n\n|\Z)", text, re.S)
    assert found is not None
    return found[1]


def exported(file: Path) -> set[str]:
    command = ["nm", "-D", "--defined-only", str(file)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {line.split()[-1] for line in text.splitlines()}


@pytest.mark.promise("ABI-02", "ABI-04", "ABI-05", "ABI-06")
@pytest.mark.hpy_abis("cpython")
def test_seed_001_S1_cpython_abi(
    hpy_module: ModuleFactory, run_python: PythonRunner, tmp_path: Path
) -> None:
    """HPyLong_FromLong is PyLong_FromLong; the file is what CPython knows, without hpy."""
    code = code_of(tmp_path, "cpython", "call_it")
    assert re.findall(r"R_X86_64_\w+\s+(\w+)", code) == ["PyLong_FromLong"], code
    foo = hpy_module.build(INC, name="foo")
    assert foo.path.name == "foo" + tree.EXT_SUFFIX
    assert "PyInit_foo" in exported(foo.path)
    done = run_python(
        """
        import sys
        import foo
        assert foo.inc(5) == 6
        assert not [name for name in sys.modules if name.partition(".")[0] == "hpy"]
        """,
        module=foo,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.promise("ABI-02", "API-11", "ABI-11")
@pytest.mark.hpy_abis("universal")
def test_seed_001_S2_universal_abi(hpy_module: ModuleFactory, tmp_path: Path) -> None:
    """The same function is a call through a member of the context."""
    code = code_of(tmp_path, "universal", "call_it")
    assert "PyLong_FromLong" not in code
    assert len(re.findall(r"\b(?:call|jmp)\s+\*", code)) == 1, code
    foo = hpy_module.build(INC, name="foo")
    assert foo.path.name == "foo.hpy0.so"
    # What is called HPyInit_foo(ctx) on the slide has had four parts since.
    assert exported(foo.path) >= {
        "HPyInit_foo",
        "HPyInitGlobalContext_foo",
        "get_required_hpy_major_version_foo",
        "get_required_hpy_minor_version_foo",
    }


@pytest.mark.no_leak_check
def test_seed_001_S3_inc(hpy_module: ModuleFactory) -> None:
    foo = hpy_module(INC, name="foo")
    assert foo.inc(5) == 6
    with pytest.raises(TypeError):
        foo.inc("5")


@pytest.mark.promise("DBG-06")
@pytest.mark.hpy_abis("debug")
@pytest.mark.no_leak_check
def test_seed_001_S3_leaks_one_handle(hpy_module: ModuleFactory) -> None:
    from hpy.debug import HPyLeakError, LeakDetector

    foo = hpy_module(INC, name="foo")
    with pytest.raises(HPyLeakError) as caught, LeakDetector():
        assert foo.inc(5) == 6
    assert [leak.obj for leak in caught.value.leaks] == [1]


@pytest.mark.promise("BLD-01", "BLD-02", "BLD-03", "BLD-07", "BLD-11")
@pytest.mark.slow
def test_seed_001_S4_setup(tmp_path: Path) -> None:
    (tmp_path / "foo.c").write_text(
        INC + "static HPyDef *defines[] = {&inc, NULL};\n"
        'static HPyModuleDef foo = {.name = "foo", .size = -1, .defines = defines};\n'
        "HPy_MODINIT(foo)\n"
        "static HPy init_foo_impl(HPyContext *ctx) { return HPyModule_Create(ctx, &foo); }\n"
    )
    (tmp_path / "setup.py").write_text(SETUP)
    python = str(venv_with_setuptools("newest"))

    def run(*command: str) -> str:
        done = subprocess.run(
            [python, *command],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("setup.py", "--hpy-abi=universal", "build_ext", "--inplace")
    assert (tmp_path / "foo.hpy0.so").is_file()
    assert run("-c", "import foo; print(foo.inc(5))") == "6\n"
    run("-c", "import hpy.devel")


# S5, lines 115 to 121, with what the prompt answers.
SESSION = """\
import hpy.universal, hpy.debug
foo = hpy.universal.load('foo', './foo.hpy.so', debug=True)
print(foo.inc(5))
with hpy.debug.LeakDetector():
    foo.inc(5)
"""


@pytest.mark.promise("DBG-26", "DBG-28", "DBG-33", "DBG-37", "DBG-39", "ABI-09")
@pytest.mark.hpy_abis("debug")
def test_seed_001_S5_session(hpy_module: ModuleFactory, run_python: PythonRunner) -> None:
    """The leak of the first call, before the detector started, is not its."""
    foo = hpy_module.build(INC, name="foo")
    foo.path.rename(foo.folder / "foo.hpy.so")
    (foo.folder / "session.py").write_text(SESSION)
    done = run_python.run(["session.py"], cwd=foo.folder)
    assert done.stdout == "6\n"
    assert done.returncode == 1
    text = done.stderr
    assert "\nhpy.debug.leakdetector.HPyLeakError: 1 unclosed handle:\n" in text
    assert len(re.findall(r"    <DebugHandle 0x[\da-f]+ for 1>", text)) == 1


@pytest.mark.promise("DBG-11", "DBG-14")
@pytest.mark.hpy_abis("debug")
@pytest.mark.no_leak_check
def test_seed_001_S6_stack_of_the_opening(hpy_module: ModuleFactory, line_of: Any) -> None:
    """What the slide says comes eventually is there without any switch."""
    from hpy.debug import HPyLeakError, LeakDetector

    foo = hpy_module(INC, name="foo")
    with pytest.raises(HPyLeakError) as caught, LeakDetector():
        foo.inc(5)
    line = line_of(INC, "HPyLong_FromLong(ctx, 1)")
    assert re.search(rf"in inc_impl at \S+foo\.c:{line}\n", str(caught.value))
