"""What a newcomer gets wrong, and what the messages then say.

Files that cannot be loaded are in tests/test_loader.py, wrong settings in tests/test_settings.py.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support import tree
from support.child import PythonRunner
from support.extension import ModuleFactory, line_of
from support.venv import environment, venv_with_setuptools

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

SOURCE = """
#include "hpy.h"

__attribute__((visibility("hidden")))
HPy hpy_test_helper(HPyContext *ctx, HPy obj)
{
    return HPy_Dup(ctx, obj);  /* opens */
}

HPyDef_METH(leak, "leak", HPyFunc_O)
static HPy leak_impl(HPyContext *ctx, HPy self, HPy arg)
{
    hpy_test_helper(ctx, arg);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(misuse, "misuse", HPyFunc_O)
static HPy misuse_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = hpy_test_helper(ctx, arg);
    HPy_Close(ctx, h);
    return HPy_Repr(ctx, h);  /* uses */
}
"""

LEAK = """
import hpy.debug
import mytest
with hpy.debug.LeakDetector():
    mytest.leak("x")
"""


# The example of the documentation.


@pytest.fixture(scope="module")
def snippets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """examples/leaky, built as its documentation says; the folder to run in."""
    folder = tmp_path_factory.mktemp("leaky")
    leaky = tree.REPOSITORY / "examples" / "leaky"
    for name in ("debug-example.py", "snippets.c"):
        shutil.copy(leaky / name, folder)
    (folder / "setup.py").write_text(
        "from setuptools import Extension, setup\n"
        'setup(name="leaky", hpy_ext_modules=[Extension("snippets", sources=["snippets.c"])])\n'
    )
    done = subprocess.run(
        [venv_with_setuptools("newest"), "setup.py", "--hpy-abi=universal", "build_ext", "-i"],
        cwd=folder,
        env=environment({"CFLAGS": "-g -O2"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def run_in(folder: Path, *arguments: str, **env: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [venv_with_setuptools("newest"), *arguments],
        cwd=folder,
        env=environment(env),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("variable", ["HPY_DEBUG=1", "HPY_DEBUG=snippets", "HPY=debug"])
def test_debug_example_runs_as_written(snippets: Path, variable: str) -> None:
    name, _, value = variable.partition("=")
    done = run_in(snippets, "debug-example.py", **{name: value})
    assert done.returncode == 1
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    at = lines.index("hpy.debug.leakdetector.HPyLeakError: 1 unclosed handle:")
    assert re.fullmatch(r"    <DebugHandle 0x[0-9a-f]+ for 42>", lines[at + 1])
    told = "\n".join(lines[at:])
    line = line_of((snippets / "snippets.c").read_text(), "HPyLong_FromLong(ctx, 42)")
    assert re.search(rf" in test_leak_stacktrace_impl at \S*snippets\.c:{line}$", told, re.M)
    line = line_of((snippets / "debug-example.py").read_text(), "snippets.test_leak_stacktrace()")
    assert f"debug-example.py:{line} in <module>" in told


def test_fixture_without_pytest(snippets: Path) -> None:
    """The interpreter of these tests has none."""
    done = run_in(snippets, "-c", "from hpy.debug.pytest import hpy_debug")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: hpy_debug is a fixture of pytest, which this Python does")
    assert "pip install pytest" in last


def test_debug_mode_not_switched_on(snippets: Path) -> None:
    """The example without the variable: harmless, and quiet to those who did not ask."""
    done = run_in(snippets, "debug-example.py")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_how_to_see_that_debug_mode_is_not_switched_on(snippets: Path) -> None:
    done = run_in(snippets, "debug-example.py", HPY_LOG="1")
    assert done.stdout == "Loading 'snippets' in HPy universal mode\n"
    done = run_in(snippets, "debug-example.py", HPY_LOG="1", HPY_DEBUG="snipets")
    assert done.stdout == "Loading 'snippets' in HPy universal mode\n"
    done = run_in(snippets, "debug-example.py", HPY_LOG="1", HPY_DEBUG="1")
    assert done.stdout == "Loading 'snippets' in HPy universal mode with a debug context\n"


def test_module_that_is_never_loaded(snippets: Path) -> None:
    """HPY_DEBUG with a misspelt name: the program runs as without it."""
    done = run_in(snippets, "debug-example.py", HPY_DEBUG="snipets")
    assert (done.returncode, done.stderr) == (0, "")


# Building.


def test_no_compiler(snippets: Path, tmp_path: Path) -> None:
    for name in ("setup.py", "snippets.c"):
        shutil.copy(snippets / name, tmp_path)
    done = run_in(
        tmp_path, "setup.py", "--hpy-abi=universal", "build_ext", "-i", CC="no-such-compiler"
    )
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "no-such-compiler" in last
    assert "The C compiler 'no-such-compiler' was not found. Install one (Debian: " in last
    assert "CC=clang" in last
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*.so"))


def test_compiler_that_fails_is_told_in_its_own_words(snippets: Path, tmp_path: Path) -> None:
    shutil.copy(snippets / "setup.py", tmp_path)
    (tmp_path / "snippets.c").write_text("#include <hpy.h>\nthis is no C;\n")
    done = run_in(tmp_path, "setup.py", "--hpy-abi=universal", "build_ext", "-i")
    assert done.returncode != 0
    assert "snippets.c:2:" in done.stdout + done.stderr
    assert "C compiler" not in done.stderr


def test_build_for_another_abi_than_the_one_that_debug_mode_needs(
    snippets: Path, tmp_path: Path
) -> None:
    """--hpy-abi forgotten: a module of CPython's ABI, which debug mode cannot look into."""
    for name in ("setup.py", "snippets.c", "debug-example.py"):
        shutil.copy(snippets / name, tmp_path)
    done = run_in(tmp_path, "setup.py", "build_ext", "-i")
    assert done.returncode == 0, done.stderr
    done = run_in(tmp_path, "debug-example.py", HPY_DEBUG="1", HPY_LOG="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "", "HPY_LOG names the modules that HPy loads, and this one is none"


# Extensions without debug information.


@pytest.mark.promise("DBG-03")
@pytest.mark.parametrize("how", ["-g0", "strip --strip-debug", "strip --strip-all"])
def test_leak_without_debug_information(
    hpy_module: ModuleFactory, run_python: PythonRunner, how: str
) -> None:
    extension = built_without_lines(hpy_module, how)
    done = run_python(LEAK, module=extension)
    assert done.returncode == 1
    at = done.stderr.index("HPyLeakError: 1 unclosed handle:")
    told = done.stderr[at:]
    # The library and the offset of each frame, the function where there are symbols.
    frames = re.findall(rf"^{re.escape(str(extension.path))}\(\+0x([0-9a-f]+)\).*", told, re.M)
    assert len(frames) >= 1
    if how != "strip --strip-all":
        assert "in hpy_test_helper" in told
        assert "in leak_impl" in told
    assert "mytest.c:" not in told
    # The Python line is known, and how to get the others.
    assert "script.py:5 in <module>" in told
    assert told.count("has no debug information") == 1
    assert "compile it with -g" in told


@pytest.mark.parametrize("how", ["-g0", "strip --strip-all"])
def test_mistake_without_debug_information(
    hpy_module: ModuleFactory, run_python: PythonRunner, tmp_path: Path, how: str
) -> None:
    extension = built_without_lines(hpy_module, how)
    report = tmp_path / "report.jsonl"
    done = run_python(
        "import mytest\nmytest.misuse(1)\n",
        module=extension,
        env={"HPY_DEBUG_REPORT": str(report)},
    )
    assert done.returncode == -6
    told = done.stderr[: done.stderr.index("Fatal Python error")]
    assert re.search(r"--> \S*mytest\.hpy0\.so\+0x[0-9a-f]+", told)
    assert told.count("has no debug information: compile it with -g") == 1
    (line,) = report.read_text().splitlines()
    for stack in ("at", "opened", "closed"):
        frame = json.loads(line)[stack]["native"][0]
        assert (frame["file"], frame["line"]) == (None, None)
        assert frame["library"] == str(extension.path)
        assert frame["offset"] > 0


def built_without_lines(hpy_module: ModuleFactory, how: str) -> Any:
    program, *arguments = how.split()
    if program == "-g0":
        return hpy_module.build(SOURCE, cflags=["-g0"])
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    extension = hpy_module.build(SOURCE)
    subprocess.run([program, *arguments, str(extension.path)], check=True)
    return extension


# An installation that does not fit.


@pytest.fixture
def foreign_hpy(tmp_path: Path) -> Path:
    """The package as another interpreter's build left it: without native modules for this one."""
    folder = tmp_path / "foreign"
    shutil.copytree(
        tree.PACKAGE,
        folder / "hpy",
        ignore=shutil.ignore_patterns("*.so", "devel", "__pycache__"),
    )
    for name in ("universal", "debug/_native"):
        (folder / "hpy" / f"{name}.cpython-27-plan9.so").touch()
    return folder


def test_hpy_without_native_modules_for_this_python(
    hpy_module: ModuleFactory, run_python: PythonRunner, foreign_hpy: Path
) -> None:
    env = {"PYTHONPATH": str(foreign_hpy)}
    # Its pytest plugin is loaded into every run of pytest, so the import alone does no harm.
    done = run_python("import hpy.debug, hpy.debug.pytest", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    done = run_python("import hpy.debug\nhpy.debug.LeakDetector().start()", env=env)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(
        "ImportError: the debug mode of hpy needs the native module hpy.debug._native"
    )
    assert "Reinstall hpy with this Python" in last


def test_stub_without_the_native_module(
    hpy_module: ModuleFactory, run_python: PythonRunner, foreign_hpy: Path, snippets: Path
) -> None:
    env = {"PYTHONPATH": f"{foreign_hpy}:{snippets}"}
    done = run_python("import snippets", env=env)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(("ImportError: ", "ModuleNotFoundError: "))
    assert "hpy" in last
    # What was wanted, what was found, what mends it.
    assert f"{sys.version_info[0]}.{sys.version_info[1]}" in last
    assert "pip install" in last
