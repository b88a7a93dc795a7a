"""hpy.imports: `import x` where there is x.hpy0.so and nothing else."""

import sys
from pathlib import Path
from typing import Any

import pytest

from support.child import PythonRunner
from support.extension import Extension

HPY_ABIS = ["universal", "hybrid"]

SOURCE = """
    #include "hpy.h"
    HPyDef_METH(keep, "keep", HPyFunc_O)
    static HPy keep_impl(HPyContext *ctx, HPy self, HPy arg)
    {
        HPy_Dup(ctx, arg);
        return HPy_Dup(ctx, ctx->h_None);
    }
"""


@pytest.fixture
def bare(hpy_module: Any) -> Extension:
    """An extension without the stub."""
    extension: Extension = hpy_module.build(SOURCE, "bare")
    (extension.folder / "bare.py").unlink()
    return extension


@pytest.mark.promise("ABI-19", "ABI-20")
def test_import_without_a_stub(run_python: PythonRunner, bare: Extension) -> None:
    done = run_python(
        """
        import importlib
        try:
            import bare
        except ModuleNotFoundError:
            print("no hook, no module")
        import hpy.imports
        assert hpy.imports.install() is hpy.imports.install()
        import bare
        bare.keep(bare)
        spec = bare.__spec__
        assert importlib.import_module("bare") is bare
        assert bare.__file__ == spec.origin and bare.__file__.endswith(".so"), bare.__file__
        assert isinstance(bare.__loader__, hpy.imports.Loader)
        assert spec.loader.get_source("bare") is None and not spec.loader.is_package("bare")
        print(bare.__name__, repr(bare.__package__), spec.name)
        """,
        module=bare,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["no hook, no module", "bare '' bare"]


@pytest.mark.promise("ABI-20")
def test_line_of_a_pth_file(run_python: PythonRunner, bare: Extension) -> None:
    """As site does at the start with each such file of site-packages."""
    (bare.folder / "site").mkdir()
    pth = bare.folder / "site" / "hpy-imports.pth"
    pth.write_text("import hpy.imports; hpy.imports.install()\n")
    code = f"import site; site.addsitedir({str(pth.parent)!r}); import bare; print(bare.__name__)"
    done = run_python(code, module=bare)
    assert (done.stdout, done.stderr) == ("bare\n", "")


def test_in_a_package_and_in_debug_mode(run_python: PythonRunner, bare: Extension) -> None:
    package = bare.folder / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    bare.path.rename(package / bare.path.name)
    bare.env.clear()
    code = """
        import hpy.debug
        import hpy.imports
        hpy.imports.install()
        import package.bare
        print(package.bare.__name__, package.bare.__package__)
        try:
            with hpy.debug.LeakDetector():
                package.bare.keep("leaked")
        except hpy.debug.HPyLeakError:
            print("leak")
        """
    done = run_python(code, module=bare, env={"HPY": "package.bare:debug"})
    assert (done.stdout, done.stderr) == ("package.bare package\nleak\n", "")
    done = run_python(code, module=bare)
    assert (done.stdout, done.stderr) == ("package.bare package\n", "")


def test_others_go_before(run_python: PythonRunner, bare: Extension, tmp_path: Path) -> None:
    """Even one that stands later on sys.path; and what nobody has is still not found."""
    (tmp_path / "bare.py").write_text("x = 'a module of Python'\n")
    (bare.folder / "bare_of_modules").mkdir()
    done = run_python(
        f"""
        import sys
        import hpy.imports
        hpy.imports.install()
        sys.path.append({str(tmp_path)!r})
        sys.path.append({str(tmp_path / "not-there")!r})
        import bare
        print(bare.x)
        import bare_of_modules
        print(bare_of_modules.__spec__.loader is None or "Namespace" in
              type(bare_of_modules.__spec__.loader).__name__)
        try:
            import not_there
        except ModuleNotFoundError as e:
            print(e)
        hpy.imports.uninstall()
        assert not [f for f in sys.meta_path if isinstance(f, hpy.imports.Finder)]
        """,
        module=bare,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "a module of Python",
        "True",
        "No module named 'not_there'",
    ]


def test_a_file_that_cannot_be_loaded(run_python: PythonRunner, tmp_path: Path) -> None:
    (tmp_path / "broken.hpy0.so").write_text("no library")
    done = run_python(
        f"""
        import sys
        sys.path.append({str(tmp_path)!r})
        import hpy.imports
        hpy.imports.install()
        try:
            import broken
        except ImportError as e:
            print(type(e).__name__, "broken" in sys.modules)
        """
    )
    assert (done.stdout, done.stderr) == ("HPyImportError False\n", "")


def test_a_file_that_comes_later(run_python: PythonRunner, bare: Extension) -> None:
    done = run_python(
        f"""
        import importlib, os, sys
        import hpy.imports
        hpy.imports.install()
        os.rename({str(bare.path)!r}, {str(bare.path) + ".away"!r})
        try:
            import bare
        except ModuleNotFoundError:
            print("not yet")
        os.rename({str(bare.path) + ".away"!r}, {str(bare.path)!r})
        importlib.invalidate_caches()
        import bare
        print(bare.__name__)
        """,
        module=bare,
    )
    assert (done.stdout, done.stderr) == ("not yet\nbare\n", "")


def test_suffixes_are_those_of_the_build() -> None:
    from hpy.devel.abitag import get_hpy_ext_suffix
    from hpy.imports import SUFFIXES

    cpython = f".cpython-{sys.version_info[0]}{sys.version_info[1]}-x86_64-linux-gnu.so"
    assert {get_hpy_ext_suffix(abi, cpython) for abi in HPY_ABIS} == set(SUFFIXES)
