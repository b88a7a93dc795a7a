"""Notes about handles that outlive the call which opened them; and leak checks of many handles."""

import json
from pathlib import Path
from typing import Any

import pytest

import hpy.debug
from hpy.debug import HPyLeakError, LeakDetector
from hpy.debug.violation import Violation
from support.child import PythonRunner
from support.extension import ModuleFactory, line_of

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

SOURCE = """
#include "hpy.h"
#include <stdlib.h>

static HPy kept[2];
static HPy *many;
static long count;

HPyDef_METH(keep, "keep", HPyFunc_O)
static HPy keep_impl(HPyContext *ctx, HPy self, HPy arg)
{
    kept[0] = HPy_Dup(ctx, arg);  /* keep opens */
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(keep_text, "keep_text", HPyFunc_NOARGS)
static HPy keep_text_impl(HPyContext *ctx, HPy self)
{
    kept[1] = HPyUnicode_FromString(ctx, "kept");  /* keep_text opens */
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(drop, "drop", HPyFunc_O)
static HPy drop_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_Close(ctx, kept[HPyLong_AsLong(ctx, arg)]);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(good, "good", HPyFunc_O)
static HPy good_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);
    HPy_Close(ctx, h);
    return HPy_Dup(ctx, arg);
}

HPyDef_METH(open_many, "open_many", HPyFunc_O)
static HPy open_many_impl(HPyContext *ctx, HPy self, HPy arg)
{
    long i;
    count = HPyLong_AsLong(ctx, arg);
    many = (HPy *)malloc((size_t)count * sizeof(HPy));
    for (i = 0; i < count; i++) many[i] = HPy_Dup(ctx, arg);  /* open_many opens */
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(close_many, "close_many", HPyFunc_NOARGS)
static HPy close_many_impl(HPyContext *ctx, HPy self)
{
    long i;
    for (i = 0; i < count; i++) HPy_Close(ctx, many[i]);
    free(many);
    return HPy_Dup(ctx, ctx->h_None);
}
"""


@pytest.fixture
def mod(hpy_module: ModuleFactory) -> Any:
    return hpy_module(SOURCE)


def notes(violations: list[Violation]) -> list[tuple[str, int]]:
    return [
        (str(violation.function), violation.count)
        for violation in violations
        if violation.kind == "long-lived-handle"
    ]


@pytest.mark.promise("DBG-16", "DBG-41")
@pytest.mark.parametrize("how", ["argument", "setting"])
def test_leaks(mod: Any, how: str) -> None:
    detector = LeakDetector()
    detector.start()
    since = detector.generation
    assert since is not None
    mod.keep("x")
    mod.keep_text()
    mod.good("x")
    assert notes(hpy.debug.leaks(since)) == []
    with hpy.debug.configure(long_lived=how == "setting"):
        found = hpy.debug.leaks(since, long_lived=None if how == "setting" else True)
    assert notes(found) == [("keep", 1), ("keep_text", 1)]
    note = found[-1]
    assert (note.severity, note.at, note.closed) == ("note", None, None)
    assert note.opened is not None
    assert note.opened.native[0].line == line_of(SOURCE, "/* keep_text opens */")
    assert note.opened.python[0].function == "test_leaks"
    assert note.handle is not None
    assert note.handle.repr == "'kept'"
    mod.drop(0)
    assert notes(hpy.debug.leaks(since, long_lived=True)) == [("keep_text", 1)]
    mod.drop(1)
    assert hpy.debug.leaks(since, long_lived=True) == []
    detector.stop()


@pytest.mark.parametrize("policy", ["abort", "raise", "warn"])
@pytest.mark.filterwarnings("error")
def test_note_does_nothing(mod: Any, policy: str, tmp_path: Path) -> None:
    """But a line in the report file: at once for the first of a place, the others are counted."""
    report = tmp_path / "report.jsonl"
    seen: list[Violation] = []
    settings = {"on_violation": policy, "long_lived": True, "report": report}
    with hpy.debug.configure(**settings), hpy.debug.on_violation(seen.append), LeakDetector():
        for i in range(5):
            mod.keep(i)
            if i == 0:
                (line,) = report.read_text().splitlines()
                assert json.loads(line)["handle"]["repr"] == "0"
            mod.drop(0)
        mod.keep_text()
        mod.drop(1)
    assert seen == []
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert {(line["kind"], line["severity"]) for line in lines} == {("long-lived-handle", "note")}
    assert [(line["function"], line["count"]) for line in lines] == [
        ("keep", 1),
        ("keep_text", 1),
        ("keep", 4),
    ]
    assert lines[0]["opened"]["native"][0]["line"] == line_of(SOURCE, "/* keep opens */")
    text = hpy.debug.native.native().render_text([json.dumps(line) for line in lines], 20)
    assert "note[long-lived-handle]" in text
    assert "6 long-lived-handle" in text


def test_off_by_default(hpy_module: ModuleFactory, run_python: PythonRunner, tmp_path: Any) -> None:
    extension = hpy_module.build(SOURCE)
    for on in ("0", "1"):
        report = tmp_path / f"report-{on}.jsonl"
        done = run_python(
            "import mytest\nfor i in range(3):\n    mytest.keep(i)\n    mytest.drop(0)",
            module=extension,
            env={"HPY_DEBUG_REPORT": str(report), "HPY_DEBUG_LONG_LIVED": on},
        )
        assert (done.returncode, done.stderr) == (0, "")
        lines = report.read_text().splitlines() if report.exists() else []
        counts = [json.loads(line)["count"] for line in lines]
        assert counts == ([] if on == "0" else [1, 2])


# Many handles.


def test_first_handles_of_many(mod: Any) -> None:
    with pytest.raises(HPyLeakError) as caught, LeakDetector() as detector:
        mod.open_many(10_001)
    (violation,) = caught.value.violations
    assert violation.count == 10_001
    assert len(detector.leaks) == 20
    text = str(caught.value)
    assert text.startswith("10001 unclosed handles:\n")
    assert "\n    and 9981 more, opened at the same place\n" in text
    mod.close_many()
    with pytest.raises(HPyLeakError) as caught, LeakDetector() as detector:
        mod.open_many(10_000)
    assert len(detector.leaks) == 10_000
    mod.close_many()
    detector.stop()


def test_ten_million_handles(hpy_module: ModuleFactory, run_python: PythonRunner) -> None:
    """A check that finds nothing looks at none; one that finds them makes one line of them."""
    done = run_python(
        """
        import resource, time, mytest, hpy.debug
        def rss():
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        outer = hpy.debug.LeakDetector()
        outer.start()
        mytest.open_many(10_000_000)
        before = rss()
        times = []
        for i in range(20):
            start = time.perf_counter()
            with hpy.debug.LeakDetector():
                mytest.good(i)
            times.append(time.perf_counter() - start)
        start = time.perf_counter()
        try:
            outer.stop()
        except hpy.debug.HPyLeakError as error:
            text = str(error)
            violation, = error.violations
        print(min(times), time.perf_counter() - start, rss() - before, violation.count)
        print(text.splitlines()[0])
        """,
        module=hpy_module.build(SOURCE),
        timeout=300,
    )
    assert done.stderr == ""
    numbers, head = done.stdout.splitlines()
    nothing, all_of_them, mebibytes, count = map(float, numbers.split())
    assert count == 10_000_000
    assert head == "10000000 unclosed handles:"
    assert nothing < 0.001
    assert all_of_them < 10
    assert mebibytes < 100
