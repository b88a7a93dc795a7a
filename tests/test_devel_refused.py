"""hpy.devel: what goes wrong in a project, building without setup(), and the class HPyDevel."""

import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support import tree
from support.project import ABIS, SETUP, SOURCE, Project, ProjectFactory, library, make
from support.venv import environment, versions


@pytest.fixture(params=versions())
def setuptools(request: pytest.FixtureRequest) -> str:
    version: str = request.param
    return version


@pytest.fixture
def make_project(tmp_path: Path) -> ProjectFactory:
    return functools.partial(make, tmp_path / "project")


@pytest.fixture
def project(make_project: ProjectFactory) -> Project:
    return make_project()


def refused(project: Project, *arguments: str) -> str:
    done = project.run("setup.py", *arguments)
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


@pytest.mark.promise("API-01")
def test_python_h_in_a_universal_extension(make_project: ProjectFactory, setuptools: str) -> None:
    project = make_project(setuptools)
    source = "#include <Python.h>\n" + SOURCE.replace("NAME", "example")
    project.write("example.c", source)
    said = refused(project, "--hpy-abi=universal", "build_ext", "--inplace")
    forbidden = "It is forbidden to #include <Python.h> when targeting the HPy Universal ABI"
    assert forbidden in said


@pytest.mark.promise("API-01")
def test_function_of_cpython_in_a_universal_extension(
    make_project: ProjectFactory, setuptools: str
) -> None:
    """Without its header: it is seen after linking, each time, and the hybrid ABI allows it."""
    project = make_project(setuptools)
    declared = "\nextern void PyErr_SetNone(void *);\nvoid use(void) { PyErr_SetNone(0); }\n"
    project.write("example.c", SOURCE.replace("NAME", "example") + declared)
    for _ in range(2):
        said = refused(project, "--hpy-abi=universal", "build_ext", "--inplace")
        assert "is built for the universal ABI of HPy, but uses PyErr_SetNone of CPython" in said
        assert "--hpy-abi=hybrid" in said
        assert "Traceback" not in said
        assert library("universal") not in project.files()
    hybrid = declared.replace("extern void PyErr_SetNone(void *);", "#include <Python.h>")
    project.write("example.c", SOURCE.replace("NAME", "example") + hybrid)
    project.setup("--hpy-abi=hybrid", "build_ext", "--inplace")


def test_unknown_abi(project: Project) -> None:
    for command in ("build", "build_ext"):
        said = refused(project, "--hpy-abi=unheard-of", command)
        expected = "Unknown HPy ABI: unheard-of. Valid values are: cpython, hybrid, universal"
        assert expected in said
        assert "Traceback" not in said


def test_what_is_no_list(make_project: ProjectFactory) -> None:
    project = make_project(setup=SETUP.replace("[Extension", "(Extension").replace("])]", "]))"))
    said = refused(project, "build_ext")
    assert "hpy_ext_modules must be a list of Extension objects, not Extension" in said
    assert "hpy_ext_modules=[Extension(...)]" in said


def test_what_is_no_extension(make_project: ProjectFactory) -> None:
    project = make_project(setup=SETUP.replace('Extension("example", sources=["example.c"])', "1"))
    assert "Traceback" not in refused(project, "build_ext")


# Without setup(), as the test suite of HPy builds.

IN_PROCESS = """\
import sys
from pathlib import Path

from hpy.devel import DEFAULT_HPY_ABI, HPyDevel
from distutils.core import Distribution, Extension

abi = sys.argv[1]
ext = Extension("example", sources=["example.c"], include_dirs=["mine"],
                extra_compile_args=["-g", "-O0", "-Wfatal-errors", "-Werror"])
dist = Distribution()
dist.hpy_abi = abi
dist.hpy_ext_modules = [ext]
STATIC
devel = HPyDevel()
devel.fix_distribution(dist)
dist.py_modules = ["example"]
out = str(Path("out").absolute())
for name in ("build", "build_ext", "build_py"):
    options = dist.get_option_dict(name)
    options["build_lib"] = ("x", out)
    if name != "build_py":
        options["build_temp"] = ("x", out)
cmd = dist.get_command_obj("build_ext")
cmd.ensure_finalized()
cmd.run()
outputs = cmd.get_outputs()
(library,) = [path for path in outputs if not path.endswith((".py", ".pyc"))]
assert Path(library).exists() and Path(library).parent == Path(out), library
stubs = [path for path in outputs if path.endswith(".py")]
assert stubs == ([] if abi == "cpython" else [str(Path(out) / "example.py")]), outputs
assert all(Path(path).exists() for path in outputs), outputs

names = [name for name, value in ext.define_macros]
expected = ["HPY", "HPY_ABI_" + abi.upper()]
if abi == "universal":
    expected.append("HPY_UNIVERSAL_ABI")
    assert ext.include_dirs[0] == str(devel.get_include_dir_forbid_python_h())
assert names == expected, names
assert ext.include_dirs[-2:] == ["mine", str(devel.include_dir)]
static = getattr(dist, "hpy_use_static_libs", False)
helpers = [] if static else devel.get_extra_sources()
if not static and abi == "cpython":
    helpers += devel.get_ctx_sources()
assert ext.sources == ["example.c", *helpers], ext.sources
assert ext.extra_objects == (devel.get_static_libs(abi) if static else []), ext.extra_objects
assert ext.hpy_abi == abi
assert dist.hpydevel is devel
assert type(cmd).__name__ == "build_ext_hpy"
assert DEFAULT_HPY_ABI == "cpython"
"""


@pytest.mark.parametrize("static", ["dist.hpy_use_static_libs = True", ""])
@pytest.mark.parametrize("abi", ABIS)
def test_a_distribution_without_setup(
    make_project: ProjectFactory, setuptools: str, abi: str, static: str
) -> None:
    project = make_project(setuptools, IN_PROCESS.replace("STATIC", static))
    done = project.run("setup.py", abi)
    assert done.returncode == 0, done.stdout + done.stderr
    assert project.doc(path="out") == abi


def test_an_extension_that_has_an_abi_is_left_alone() -> None:
    pytest.importorskip("setuptools")
    from setuptools import Extension

    from hpy.devel import HPyDevel
    from hpy.devel.extension import prepare

    ext = Extension("example", sources=["example.c"])
    prepare(ext, "universal", HPyDevel(), False)  # type: ignore[arg-type]
    before = dict(vars(ext))
    prepare(ext, "hybrid", HPyDevel(), True)  # type: ignore[arg-type]
    assert vars(ext) == before


def test_static_libraries_that_are_not_there(tmp_path: Path) -> None:
    pytest.importorskip("setuptools")
    from distutils.errors import DistutilsError

    from setuptools import Extension

    from hpy.devel import HPyDevel
    from hpy.devel.extension import prepare

    devel = HPyDevel(tmp_path)
    ext = Extension("example", sources=["example.c"])
    expected = 'Expected exactly one static library for ABI "universal" but got: '
    with pytest.raises(DistutilsError, match=re.escape(expected + "None")):
        prepare(ext, "universal", devel, True)  # type: ignore[arg-type]
    folder = tmp_path / "lib" / "universal"
    folder.mkdir(parents=True)
    (folder / "a.a").touch()
    (folder / "b.a").touch()
    found = devel.get_static_libs("universal")
    assert found == [str(folder / "a.a"), str(folder / "b.a")]
    with pytest.raises(DistutilsError, match=re.escape(expected + str(found))):
        prepare(ext, "universal", devel, True)  # type: ignore[arg-type]


def test_a_library_for_this_interpreter_goes_before_a_general_one(tmp_path: Path) -> None:
    from hpy.devel import HPyDevel

    for name in ("hybrid", f"hybrid-{tree.SOABI}"):
        (tmp_path / "lib" / name).mkdir(parents=True)
        (tmp_path / "lib" / name / "lib.a").touch()
    expected = str(tmp_path / "lib" / f"hybrid-{tree.SOABI}" / "lib.a")
    assert HPyDevel(tmp_path).get_static_libs("hybrid") == [expected]


def test_folders() -> None:
    from hpy.devel import HPyDevel

    devel = HPyDevel()
    assert devel.base_dir == tree.PACKAGE / "devel"
    assert devel.get_extra_include_dirs() == [str(tree.INCLUDE)]
    assert (devel.get_include_dir_forbid_python_h() / "Python.h").is_file()
    for source in (*devel.get_extra_sources(), *devel.get_ctx_sources()):
        assert Path(source).is_file(), source
    assert HPyDevel("elsewhere").src_dir == Path("elsewhere/src/runtime")


def test_sanity_check_of_build_ext() -> None:
    pytest.importorskip("setuptools")
    from setuptools.command.build_ext import build_ext

    from hpy.devel import HPyDevel

    HPyDevel().build_ext_sanity_check(build_ext)

    class Other:
        pass

    with pytest.raises(AssertionError, match="does not inherit from setuptools' build_ext"):
        HPyDevel().build_ext_sanity_check(Other)


def test_the_folders_are_told_without_setuptools() -> None:
    code = """if 1:
        import sys
        sys.modules['setuptools'] = None
        from hpy.devel import HPyDevel
        print(HPyDevel().get_extra_include_dirs()[0])
    """
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.stdout == f"{tree.INCLUDE}\n", done.stderr
