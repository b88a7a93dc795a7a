"""Suppressions in force: leaks and mistakes that nobody hears of, under every policy."""

# The blocks of several statements are what the detectors watch.
# ruff: noqa: PT012

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hpy.debug
from hpy.debug import HPyDebugError, HPyLeakError, LeakDetector, suppressions
from support.child import PythonRunner
from support.extension import ModuleFactory

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

SOURCE = """
#include "hpy.h"

HPyDef_METH(leak, "leak", HPyFunc_O)
static HPy leak_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_Dup(ctx, arg);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(leak_elsewhere, "leak_elsewhere", HPyFunc_O)
static HPy leak_elsewhere_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_Dup(ctx, arg);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(twice, "twice", HPyFunc_O)
static HPy twice_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);
    HPy_Close(ctx, h);
    HPy_Close(ctx, h);
    return HPy_Dup(ctx, arg);
}

HPyDef_METH(use, "use", HPyFunc_O)
static HPy use_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);
    HPy_Close(ctx, h);
    return HPy_Repr(ctx, h);
}
"""


@pytest.fixture
def mod(hpy_module: ModuleFactory) -> Any:
    return hpy_module(SOURCE)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    with hpy.debug.configure(suppressions=None):
        yield


def suppress(folder: Path, *lines: str) -> None:
    path = folder / "known.txt"
    path.write_text("\n".join(lines))
    hpy.debug.configure(suppressions=None)
    suppressions.active()
    hpy.debug.configure(suppressions=path)


def test_leaks(mod: Any, tmp_path: Path) -> None:
    suppress(tmp_path, "handle-leak function=leak")
    report = tmp_path / "out.jsonl"
    with hpy.debug.configure(report=report):
        with LeakDetector() as detector:
            mod.leak(1)
        assert detector.leaks == detector.violations == []
        with pytest.raises(HPyLeakError) as caught, LeakDetector():
            mod.leak(2)
            mod.leak_elsewhere(3)
    assert [leak.obj for leak in caught.value.leaks] == [3]
    assert [violation.function for violation in caught.value.violations] == ["leak_elsewhere"]
    assert suppressions.active().account()[0] == "suppressed: 2 violations"
    # The report file has everything.
    lines = report.read_text().splitlines()
    assert [json.loads(line)["function"] for line in lines] == ["leak", "leak", "leak_elsewhere"]


def test_a_leak_is_counted_once_by_nested_detectors(mod: Any, tmp_path: Path) -> None:
    suppress(tmp_path, "handle-leak")
    with LeakDetector(), LeakDetector():
        mod.leak(1)
    assert suppressions.active().account()[0] == "suppressed: 1 violation"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("policy", ["abort", "raise", "warn"])
def test_mistake(mod: Any, tmp_path: Path, policy: str) -> None:
    heard: list[Any] = []
    with hpy.debug.configure(on_violation=policy), hpy.debug.on_violation(heard.append):
        suppress(tmp_path, "double-close native=twice_impl", "use-after-close native=use_impl")
        assert mod.twice(7) == 7
        # A call that can fail has nothing to go on with, suppressed or not.
        with pytest.raises(HPyDebugError):
            mod.use(7)
        assert heard == []
        if policy != "abort":
            suppress(tmp_path, "double-close native=another")
            # The filter turns the warning into an error.
            with pytest.raises(HPyDebugError):
                mod.twice(7)
            assert [violation.kind for violation in heard] == ["double-close"]


def test_pyproject_of_the_current_directory(mod: Any, tmp_path: Path) -> None:
    project = '[tool.hpy-debug]\nsuppressions = ["handle-leak function=leak"]\n'
    (tmp_path / "pyproject.toml").write_text(project)
    with LeakDetector():
        mod.leak(1)


def test_wrong_file_is_refused_when_it_is_set(tmp_path: Path) -> None:
    path = tmp_path / "known.txt"
    path.write_text("nonsense")
    with pytest.raises(
        ValueError, match=r"suppressions must be the path of a file of supp.*:1: th"
    ):
        hpy.debug.configure(suppressions=path)
    with pytest.raises(ValueError, match="No such file or directory"):
        hpy.debug.configure(suppressions=tmp_path / "missing")


def test_wrong_file_in_the_variable_is_told(run_python: PythonRunner, tmp_path: Path) -> None:
    (tmp_path / "known.txt").write_text("nonsense")
    done = run_python(
        "import hpy.debug", env={"HPY_DEBUG_SUPPRESSIONS": str(tmp_path / "known.txt")}
    )
    assert "hpy.debug: the variable HPY_DEBUG_SUPPRESSIONS must be the path of a" in done.stderr
    assert "known.txt:1: there is no kind of violation 'nonsense'" in done.stderr
    assert done.stderr.endswith(". The default, None, is used\n")


def test_wrong_pyproject_is_told_and_hides_nothing(
    mod: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.hpy-debug]\nsuppressions = ['x']\n")
    with hpy.debug.configure(on_violation="raise"):
        for _ in range(2):
            with pytest.raises(HPyDebugError):
                mod.twice(1)
    assert capfd.readouterr().err.count("suppressions are not used: ") == 1
    report = tmp_path / "out.jsonl"
    hpy.debug.configure(report=report)
    with pytest.raises(suppressions.SuppressionError), LeakDetector():
        mod.leak(1)
    hpy.debug.configure(report=None)
    assert report.read_text().count("\n") == 1
