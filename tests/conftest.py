"""Fixtures of all tests. They run against the staged tree (build/python, or $HPY_BUILD_DIR/python).

    def test_add(hpy_module):
        mod = hpy_module('''
            #include "hpy.h"
            HPyDef_METH(add, "add", HPyFunc_VARARGS)
            static HPy add_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
            {
                return HPy_Add(ctx, args[0], args[1]);
            }
        ''')
        assert mod.add(1, 2) == 3

runs on cpython, universal, hybrid and debug; a module-level `HPY_ABIS = ["hybrid", ...]` names
others (those of support.extension.BINARY), `@pytest.mark.hpy_abis("debug")` does so for one test.
In debug mode a test that leaves a handle open fails, unless it is marked `no_leak_check`.
"""

import gc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from support import tree

if str(tree.STAGED) not in sys.path:
    sys.path.insert(0, str(tree.STAGED))

from support import compiler
from support.child import PythonRunner
from support.extension import BINARY, ModuleFactory

_FAILED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    if not (tree.PACKAGE / "devel" / "include").is_dir():
        raise pytest.UsageError(f"{tree.STAGED} has no hpy: build it first (make build)")
    if not hasattr(config, "workerinput"):
        compiler.forget_old()


def pytest_report_header() -> str:
    return f"hpy: {tree.STAGED}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "hpy_abi" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("hpy_abis")
    default = ["cpython", "universal", "hybrid", "debug"]
    abis = list(marker.args) if marker else getattr(metafunc.module, "HPY_ABIS", default)
    unknown = [abi for abi in abis if abi not in BINARY]
    if unknown:
        raise pytest.UsageError(f"ABI {unknown[0]!r} is none of {', '.join(BINARY)}")
    metafunc.parametrize("hpy_abi", abis, indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture
def hpy_abi(request: pytest.FixtureRequest) -> str:
    """What the test runs on: a key of support.extension.BINARY."""
    abi: str = request.param
    return abi


@pytest.fixture
def hpy_module(
    request: pytest.FixtureRequest, hpy_abi: str, tmp_path: Path
) -> Iterator[ModuleFactory]:
    """hpy_module(source, name="mytest", ...): compiles and imports; see ModuleFactory."""
    detectors: list[Any] = []

    def start_detector() -> None:
        if not detectors and not request.node.get_closest_marker("no_leak_check"):
            from hpy.debug import LeakDetector

            detectors.append(LeakDetector())
            detectors[0].start()

    yield ModuleFactory(hpy_abi, tmp_path, start_detector)
    # The leaks of a test that failed tell nothing new.
    if detectors and not request.node.stash.get(_FAILED, False):
        gc.collect()
        detectors[0].stop()


@pytest.fixture
def run_python(tmp_path: Path) -> PythonRunner:
    """run_python(code, env=..., module=...): code in a new process; see PythonRunner."""
    return PythonRunner(tmp_path)


@pytest.fixture
def line_of() -> Callable[[str, str], int]:
    """line_of(source, text): the number of the one line that contains text."""
    return ModuleFactory.line_of
