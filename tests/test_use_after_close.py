"""A closed handle is found out however many handles came and went since, and its story is told.

How long the story (where it was opened and closed) is kept is the setting `closed_handles`. The
kind and the place of the mistake are always known.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hpy.debug
from hpy.debug import HPyDebugError
from hpy.debug.violation import Violation
from hpy.universal import _debug
from support.child import PythonRunner
from support.extension import ModuleFactory, line_of

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

SOURCE = """
#include "hpy.h"

enum { KEPT = 64, MANY = 100000 };
static HPy kept[KEPT];
static HPy many[MANY];

/* keep(i, obj): handle number i, open. */
HPyDef_METH(keep, "keep", HPyFunc_VARARGS)
static HPy keep_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    long i = HPyLong_AsLong(ctx, args[0]);
    kept[i] = HPy_Dup(ctx, args[1]);  /* opens */
    return HPy_Dup(ctx, ctx->h_None);
}

/* keep_argument(i, obj): closed as soon as the call has returned. */
HPyDef_METH(keep_argument, "keep_argument", HPyFunc_VARARGS)
static HPy keep_argument_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    kept[HPyLong_AsLong(ctx, args[0])] = args[1];
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(drop, "drop", HPyFunc_O)
static HPy drop_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_Close(ctx, kept[HPyLong_AsLong(ctx, arg)]);  /* closes */
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(use, "use", HPyFunc_O)
static HPy use_impl(HPyContext *ctx, HPy self, HPy arg)
{
    return HPy_Repr(ctx, kept[HPyLong_AsLong(ctx, arg)]);  /* uses */
}

/* One after the other. */
HPyDef_METH(churn, "churn", HPyFunc_O)
static HPy churn_impl(HPyContext *ctx, HPy self, HPy arg)
{
    long i, count = HPyLong_AsLong(ctx, arg);
    for (i = 0; i < count; i++)
        HPy_Close(ctx, HPy_Dup(ctx, ctx->h_None));
    return HPy_Dup(ctx, ctx->h_None);
}

/* 100 000 open at the same time, and closed in the other order. */
HPyDef_METH(flood, "flood", HPyFunc_O)
static HPy flood_impl(HPyContext *ctx, HPy self, HPy arg)
{
    long round, rounds = HPyLong_AsLong(ctx, arg) / MANY;
    int i;
    for (round = 0; round < rounds; round++) {
        for (i = 0; i < MANY; i++)
            many[i] = HPy_Dup(ctx, ctx->h_None);
        for (i = MANY - 1; i >= 0; i--)
            HPy_Close(ctx, many[i]);
    }
    return HPy_Dup(ctx, ctx->h_None);
}

/* leak(obj...): leaves them open, in that order. */
HPyDef_METH(leak, "leak", HPyFunc_VARARGS)
static HPy leak_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    size_t i;
    for (i = 0; i < nargs; i++)
        HPy_Dup(ctx, args[i]);
    return HPy_Dup(ctx, ctx->h_None);
}
"""

FIVE_MILLION = 5_000_000
LOST = "closed_handles"


@pytest.fixture
def mod(hpy_module: ModuleFactory) -> Any:
    return hpy_module(SOURCE)


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    with hpy.debug.configure(on_violation="raise", closed_handles=1024):
        yield


def misuse(function: Any, index: int) -> Violation:
    with pytest.raises(HPyDebugError) as caught:
        function(index)
    violation = caught.value.violation
    assert violation is not None
    # What the exception says is the whole report, and it says what had to be given up.
    if violation.opened is None:
        assert LOST in str(caught.value)
    return violation


def check_place(violation: Violation, kind: str, mark: str) -> None:
    """What is always known."""
    assert violation.kind == kind
    assert violation.at is not None
    assert violation.at.native[0].line == line_of(SOURCE, f"/* {mark} */")
    assert violation.at.native[0].file is not None
    assert violation.at.native[0].file.endswith("/mytest.c")
    assert violation.at.python[0].function == "misuse"


def check_story(violation: Violation) -> None:
    for stack, mark in (("opened", "opens"), ("closed", "closes")):
        assert violation[stack].native[0].line == line_of(SOURCE, f"/* {mark} */")
    assert LOST not in violation.message


def check_no_story(violation: Violation) -> None:
    """Both stacks are null, and the message, which is all that a line of JSON has, says why."""
    assert violation.opened is None
    assert violation.closed is None
    assert violation.handle is not None
    assert violation.handle.repr is None
    assert violation.handle.type is None
    assert LOST in violation.message
    assert "HPY_DEBUG_CLOSED_HANDLES" in violation.message


@pytest.mark.promise("DBG-07")
@pytest.mark.parametrize("between", ["churn", "flood"])
@pytest.mark.parametrize(
    ("function", "kind", "mark"),
    [("use", "use-after-close", "uses"), ("drop", "double-close", "closes")],
)
def test_five_million_handles_later(
    mod: Any, between: str, function: str, kind: str, mark: str
) -> None:
    mod.keep(0, "x")
    mod.drop(0)
    getattr(mod, between)(FIVE_MILLION)
    violation = misuse(getattr(mod, function), 0)
    check_place(violation, kind, mark)
    check_no_story(violation)


@pytest.mark.promise("DBG-41")
def test_argument_of_a_call_five_million_handles_ago(mod: Any) -> None:
    mod.keep_argument(0, "x")
    mod.churn(FIVE_MILLION)
    for _ in range(200):  # calls use the slots of arguments again
        mod.keep_argument(1, "y")
    violation = misuse(mod.use, 0)
    check_place(violation, "use-after-close", "uses")
    check_no_story(violation)


def test_an_open_handle_is_good_five_million_handles_later(mod: Any) -> None:
    mod.keep(0, "still open")
    mod.churn(FIVE_MILLION)
    mod.flood(500_000)
    assert mod.use(0) == "'still open'"
    mod.drop(0)


def test_few_handles_later_the_story_is_there(mod: Any) -> None:
    for index in range(64):
        mod.keep(index, f"object {index}")
        mod.drop(index)
    mod.churn(100)
    for index in range(64):
        violation = misuse(mod.use, index)
        check_place(violation, "use-after-close", "uses")
        check_story(violation)


@pytest.mark.parametrize("size", [1, 10, 200, 5000])
def test_setting_is_the_number_of_stories_that_are_kept_at_least(mod: Any, size: int) -> None:
    with hpy.debug.configure(closed_handles=size):
        mod.churn(20_000)  # whatever was kept before
        mod.keep(0, "x")
        mod.drop(0)
        # Calls have handles too: self, the argument and the result.
        mod.churn(max(0, size - 8))
        if size > 8:
            check_story(misuse(mod.use, 0))
        mod.churn(20_000)
        check_no_story(misuse(mod.use, 0))


def test_object_of_a_closed_handle_is_shown_while_another_handle_keeps_it(mod: Any) -> None:
    shared, lone = ["shared"], ["lone"]
    mod.keep(0, shared)
    mod.keep(1, shared)
    mod.keep(2, lone)
    mod.drop(0)
    mod.drop(2)
    violation = misuse(mod.use, 0)
    assert violation.handle is not None
    assert (violation.handle.repr, violation.handle.type) == ("['shared']", "list")
    violation = misuse(mod.use, 2)
    assert violation.handle is not None
    assert (violation.handle.repr, violation.handle.type) == (None, None)
    mod.drop(1)


def test_recycled_story_in_the_report_of_a_process_that_ends(
    hpy_module: ModuleFactory, run_python: PythonRunner, tmp_path: Path
) -> None:
    report = tmp_path / "report.jsonl"
    done = run_python(
        """
        import mytest
        mytest.keep(0, "x")
        mytest.drop(0)
        mytest.churn(5_000_000)
        mytest.use(0)
        """,
        module=hpy_module.build(SOURCE),
        env={"HPY_DEBUG_REPORT": str(report)},
    )
    assert done.returncode == -6
    assert (
        "error[use-after-close]: HPy_Repr was given a handle that is already closed" in done.stderr
    )
    assert f"mytest.c:{line_of(SOURCE, '/* uses */')} in use_impl" in done.stderr
    assert "HPY_DEBUG_CLOSED_HANDLES" in done.stderr
    assert "script.py:6 in <module>" in done.stderr
    (line,) = report.read_text().splitlines()
    violation = json.loads(line)
    assert (violation["opened"], violation["closed"]) == (None, None)
    assert "HPY_DEBUG_CLOSED_HANDLES" in violation["message"]
    assert violation["at"]["native"][0]["line"] == line_of(SOURCE, "/* uses */")


# Generations.


def objects(generation: int) -> list[Any]:
    return [handle.obj for handle in _debug.get_open_handles(generation)]


def test_leaks_come_in_the_order_in_which_they_were_opened(mod: Any) -> None:
    """Also where records are used again, whose order in memory is another."""
    mod.flood(100_000)
    generation = _debug.new_generation()
    names = [f"object {i}" for i in range(300)]
    for first in range(0, 300, 3):
        mod.churn(first * 7)
        mod.leak(*names[first : first + 3])
    assert objects(generation) == names
    leaks = hpy.debug.leaks(generation)
    assert sum(leak.count for leak in leaks) == 300
    assert leaks[0].handle is not None
    assert leaks[0].handle.repr == "'object 0'"


def test_generations_part_what_is_open(mod: Any) -> None:
    first = _debug.new_generation()
    mod.leak("a", "b")
    second = _debug.new_generation()
    mod.leak("c")
    mod.keep(5, "d")
    third = _debug.new_generation()
    assert (second, third) == (first + 1, first + 2)
    assert objects(first) == ["a", "b", "c", "d"]
    assert objects(second) == ["c", "d"]
    assert objects(third) == []
    mod.drop(5)
    assert objects(second) == ["c"]
    assert objects(third + 1) == []


def test_handles_of_calls_in_progress_are_no_leaks(mod: Any) -> None:
    """Arguments, self and constants are not the extension's to close."""
    seen: list[list[Any]] = []  # functions that opened what is open

    class Prying:
        def __repr__(self) -> str:
            if not seen:  # leaks() asks for the repr again
                seen.append([])
                seen[0] += [leak.function for leak in hpy.debug.leaks(generation)]
            return "prying"

    generation = _debug.new_generation()
    mod.keep(0, Prying())
    assert mod.use(0) == "prying"
    mod.drop(0)
    assert seen == [["keep"]]
    assert objects(generation) == []
