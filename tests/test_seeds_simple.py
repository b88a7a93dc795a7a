"""Seed 003, the documentation of 2022: the handles and the example `simple` (S8 to S18)."""

# The names have those of the examples.
# ruff: noqa: N802

import re
import subprocess
import sys
from pathlib import Path

import pytest

from support import tree
from support.compiler import CompileError
from support.extension import ModuleFactory
from support.venv import environment, venv_with_setuptools

# S8, lines 257 to 265.
FOO = """
void foo(HPyContext *ctx)
{
    HPy x = HPyLong_FromLong(ctx, 42);
    HPy y = HPy_Dup(ctx, x);
    /* ... */
    // we need to close x and y independently
    HPy_Close(ctx, x);
    HPy_Close(ctx, y);
}
"""

CALL_FOO = """
HPyDef_METH(call_foo, "call_foo", HPyFunc_NOARGS)
static HPy call_foo_impl(HPyContext *ctx, HPy self)
{
    foo(ctx);
    return HPy_Dup(ctx, ctx->h_None);
}
"""

# S9, lines 282 to 286.
IS_SAME_OBJECT = """
int is_same_object(HPyContext *ctx, HPy x, HPy y)
{
    // return x == y; // compilation error!
    return HPy_Is(ctx, x, y);
}
"""

CALL_IS_SAME_OBJECT = """
HPyDef_METH(same, "same", HPyFunc_VARARGS)
static HPy same_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    return HPyBool_FromLong(ctx, is_same_object(ctx, args[0], args[1]));
}
"""

# S10, lines 308 to 314.
MYABS = """
#include "hpy.h"

HPyDef_METH(myabs, "myabs", myabs_impl, HPyFunc_O)
static HPy myabs_impl(HPyContext *ctx, HPy self, HPy arg)
{
    return HPy_Absolute(ctx, arg);
}
"""

# S16, lines 391 to 398.
ADD_INTS = """
HPyDef_METH(add_ints, "add_ints", add_ints_impl, HPyFunc_VARARGS)
static HPy add_ints_impl(HPyContext *ctx, HPy self, HPy *args, HPy_ssize_t nargs)
{
    long a, b;
    if (!HPyArg_Parse(ctx, NULL, args, nargs, "ll", &a, &b))
        return HPy_NULL;
    return HPyLong_FromLong(ctx, a+b);
}
"""

# S11, lines 340 to 343, and S17, lines 410 to 414.
METHODS = """
static HPyDef *SimpleMethods[] = {
        &myabs,
        NULL,
};
"""
METHODS_WITH_ADD_INTS = """
static HPyDef *SimpleMethods[] = {
        &myabs,
        &add_ints,
        NULL,
};
"""

# S11, lines 345 to 351.
MODULE = """
static HPyModuleDef simple = {
        .name = "simple",
        .doc = "HPy Example",
        .size = -1,
        .defines = SimpleMethods,
        .legacy_methods = NULL
};
"""

# S12, lines 357 to 360.
INIT = """
HPy_MODINIT(simple)
HPy init_simple_impl(HPyContext *ctx) {
    return HPyModule_Create(ctx, &simple);
}
"""

SIMPLE = MYABS + METHODS + MODULE + INIT
SIMPLE_WITH_ADD_INTS = MYABS + ADD_INTS + METHODS_WITH_ADD_INTS + MODULE + INIT
EVERY_ABI = pytest.mark.hpy_abis("cpython", "universal", "debug", "hybrid", "hybrid-debug")

# S13, lines 366 to 375.
SETUP = """\
from setuptools import setup, Extension
from os import path

setup(
    name="hpy-simple-example",
    hpy_ext_modules=[
        Extension('simple', sources=[path.join(path.dirname(__file__), 'simple.c')]),
    ],
    setup_requires=['hpy'],
)
"""


@EVERY_ABI
@pytest.mark.promise("API-03", "API-07")
def test_seed_003_S8_two_closes(hpy_module: ModuleFactory) -> None:
    mod = hpy_module('#include "hpy.h"\n' + FOO + CALL_FOO)
    assert mod.call_foo() is None


@pytest.mark.promise("DBG-08", "DBG-12", "DBG-13")
@pytest.mark.hpy_abis("debug")
@pytest.mark.no_leak_check
def test_seed_003_S8_closing_x_twice_is_told(hpy_module: ModuleFactory) -> None:
    import hpy.debug

    source = '#include "hpy.h"\n' + FOO.replace("(ctx, y);", "(ctx, x), HPy_Close(ctx, y);")
    seen: list[hpy.debug.Violation] = []
    mod = hpy_module(source + CALL_FOO)
    settings = hpy.debug.configure(on_violation="raise")
    with settings, hpy.debug.on_violation(seen.append), pytest.raises(hpy.debug.HPyDebugError):
        mod.call_foo()
    assert [violation.kind for violation in seen] == ["double-close"]
    lines = source.split("\n")
    for stack, text in (("opened", "HPyLong_FromLong"), ("closed", "Close"), ("at", "Close")):
        frame = seen[0][stack].native[0]
        assert frame.function == "foo"
        assert text in lines[frame.line - 1]


@EVERY_ABI
@pytest.mark.promise("API-08")
def test_seed_003_S9_identity(hpy_module: ModuleFactory) -> None:
    for language in ("c", "c++"):
        source = '#include "hpy.h"\n' + IS_SAME_OBJECT + CALL_IS_SAME_OBJECT
        mod = hpy_module(source, name="same" + language[1:].replace("+", "p"), language=language)
        x = object()
        assert mod.same(x, x) is True
        assert mod.same(x, object()) is False


@EVERY_ABI
@pytest.mark.promise("API-02", "API-09")
@pytest.mark.parametrize("language", ["c", "c++"])
def test_seed_003_S9_comparing_handles_does_not_compile(
    hpy_module: ModuleFactory, language: str
) -> None:
    source = '#include "hpy.h"\n' + IS_SAME_OBJECT.replace("// return x", "return x")
    with pytest.raises(CompileError, match=r"=="):
        hpy_module(source + CALL_IS_SAME_OBJECT, language=language)


@EVERY_ABI
@pytest.mark.promise("API-14", "API-17")
def test_seed_003_S10_myabs(hpy_module: ModuleFactory) -> None:
    simple = hpy_module(SIMPLE, name="simple")
    assert simple.myabs(-3) == 3
    assert simple.myabs(-2.5) == 2.5
    with pytest.raises(TypeError, match="bad operand type for abs"):
        simple.myabs("x")
    for wrong in ((), (1, 2)):
        with pytest.raises(TypeError):
            simple.myabs(*wrong)


@EVERY_ABI
@pytest.mark.promise("API-18", "API-44")
def test_seed_003_S11_module_definition(hpy_module: ModuleFactory) -> None:
    simple = hpy_module(SIMPLE, name="simple")
    assert (simple.__name__, simple.__doc__) == ("simple", "HPy Example")
    assert callable(simple.myabs)


@EVERY_ABI
@pytest.mark.promise("API-19", "ABI-01")
def test_seed_003_S12_init(hpy_module: ModuleFactory) -> None:
    """The function may be static as well; the variable `simple` is in nobody's way."""
    for init in (INIT, INIT.replace("HPy init", "static HPy init")):
        simple = hpy_module(MYABS + METHODS + MODULE + init, name="simple")
        assert simple.myabs(-1) == 1


class Project:
    """The folder that the documentation speaks of: simple.c and setup.py."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir()
        (folder / "setup.py").write_text(SETUP)
        (folder / "simple.c").write_text(SIMPLE)
        self.python = str(venv_with_setuptools("newest"))

    def run(self, *command: str, path: str = "", cwd: str = "") -> str:
        env = environment()
        if path:
            env["PYTHONPATH"] = path
        done = subprocess.run(
            [self.python, *command],
            cwd=cwd or self.folder,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path / "project")


TRY = "import simple; print(simple.myabs(-3), simple.__doc__)"


@pytest.mark.slow
@pytest.mark.promise("BLD-01", "BLD-02")
def test_seed_003_S13_setup(project: Project) -> None:
    """setup.py as it stands, started in another directory."""
    project.run("project/setup.py", "build_ext", "-i", cwd=str(project.folder.parent))
    assert (project.folder.parent / ("simple" + tree.EXT_SUFFIX)).is_file()


@pytest.mark.slow
@pytest.mark.promise("BLD-04", "BLD-06", "ABI-03", "ABI-04", "ABI-05")
def test_seed_003_S14_cpython_abi_is_the_default(project: Project) -> None:
    project.run("setup.py", "build_ext", "-i")
    assert (project.folder / ("simple" + tree.EXT_SUFFIX)).is_file()
    assert not (project.folder / "simple.py").exists()
    assert project.run("-c", TRY, path=".") == "3 HPy Example\n"


@pytest.mark.slow
@pytest.mark.promise("BLD-03", "BLD-07", "BLD-08")
def test_seed_003_S15_universal_with_a_stub(project: Project) -> None:
    project.run("setup.py", "--hpy-abi=universal", "build_ext", "-i")
    assert {"simple.py", "simple.hpy0.so"} <= {path.name for path in project.folder.iterdir()}
    assert project.run("-c", TRY) == "3 HPy Example\n"


@EVERY_ABI
@pytest.mark.promise("ARG-01")
def test_seed_003_S16_add_ints(hpy_module: ModuleFactory) -> None:
    simple = hpy_module(SIMPLE_WITH_ADD_INTS, name="simple")
    assert simple.add_ints(40, 2) == 42
    wrong: list[tuple[object, ...]] = [(), (1,), (1, 2, 3), (1, "2")]
    if sys.version_info >= (3, 10):  # before, CPython converts a float with a DeprecationWarning
        wrong.append((1.5, 2))
    for args in wrong:
        with pytest.raises(TypeError):
            simple.add_ints(*args)
    with pytest.raises(OverflowError):
        simple.add_ints(2**64, 1)


@EVERY_ABI
def test_seed_003_S17_both_functions(hpy_module: ModuleFactory) -> None:
    simple = hpy_module(SIMPLE_WITH_ADD_INTS, name="simple")
    assert simple.myabs(simple.add_ints(-4, 1)) == 3


@pytest.mark.slow
@pytest.mark.promise("BLD-09", "BLD-10")
@pytest.mark.parametrize("abi", ["cpython", "universal", "hybrid"])
def test_seed_003_S18_wheel(project: Project, abi: str) -> None:
    """Also 000, in its list of what works."""
    project.run("setup.py", f"--hpy-abi={abi}", "bdist_wheel")
    (wheel,) = (project.folder / "dist").glob("*.whl")
    assert re.match(r"hpy_simple_example-0\.0\.0-", wheel.name)
    project.run("-m", "pip", "install", "-q", "--no-deps", "--target", "site", f"dist/{wheel.name}")
    path = f"{project.folder / 'site'}:{tree.STAGED}"
    text = project.run("-c", TRY + "; print(simple.__file__)", path=path, cwd="/")
    assert text.startswith(f"3 HPy Example\n{project.folder / 'site'}")
