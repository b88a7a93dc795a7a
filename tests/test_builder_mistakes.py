"""Builders and trackers: set out of range, built with holes, never ended; and what is right."""

# The blocks of several statements are what is looked at.
# ruff: noqa: PT012, SIM117

import json
import re
from pathlib import Path
from typing import Any

import pytest

import hpy.debug
from hpy.debug import HPyDebugError, HPyDebugWarning, HPyLeakError, LeakDetector
from hpy.debug.violation import Violation
from support.child import PythonRunner
from support.extension import Extension, ModuleFactory, line_of

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

TEMPLATE = """
HPyDef_METH(list_index, "list_index", HPyFunc_VARARGS)
static HPy list_index_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    HPyListBuilder builder = HPyListBuilder_New(ctx, 2);  /* list_index opens */
    HPy_ssize_t index = HPyLong_AsSsize_t(ctx, args[0]);
    HPyListBuilder_Set(ctx, builder, 0, args[1]);
    HPyListBuilder_Set(ctx, builder, 1, args[1]);
    HPyListBuilder_Set(ctx, builder, index, args[1]);  /* list_index uses */
    return HPyListBuilder_Build(ctx, builder);
}

/* The item that a refused Set did not set is missing at the end: told once. */
HPyDef_METH(list_index_only, "list_index_only", HPyFunc_O)
static HPy list_index_only_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyListBuilder builder = HPyListBuilder_New(ctx, 1);
    HPyListBuilder_Set(ctx, builder, 1, arg);
    return HPyListBuilder_Build(ctx, builder);
}

HPyDef_METH(list_unfilled, "list_unfilled", HPyFunc_O)
static HPy list_unfilled_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyListBuilder builder = HPyListBuilder_New(ctx, 3);  /* list_unfilled opens */
    HPyListBuilder_Set(ctx, builder, 0, arg);
    HPyListBuilder_Set(ctx, builder, 2, arg);
    return HPyListBuilder_Build(ctx, builder);  /* list_unfilled uses */
}

/* Setting an item to null does not count, also where it was set before. */
HPyDef_METH(list_nulls, "list_nulls", HPyFunc_O)
static HPy list_nulls_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyListBuilder builder = HPyListBuilder_New(ctx, 100);  /* list_nulls opens */
    HPy_ssize_t i;
    for (i = 0; i < 100; i++) HPyListBuilder_Set(ctx, builder, i, arg);
    HPyListBuilder_Set(ctx, builder, 77, HPy_NULL);
    return HPyListBuilder_Build(ctx, builder);  /* list_nulls uses */
}

/* The null of a call that failed: Build hands its exception on. */
HPyDef_METH(list_failed_item, "list_failed_item", HPyFunc_O)
static HPy list_failed_item_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyListBuilder builder = HPyListBuilder_New(ctx, 1);
    HPyListBuilder_Set(ctx, builder, 0, HPy_GetAttr_s(ctx, arg, "no_such_attribute"));
    return HPyListBuilder_Build(ctx, builder);
}

HPyDef_METH(list_right, "list_right", HPyFunc_O)
static HPy list_right_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyListBuilder builder = HPyListBuilder_New(ctx, 200), other = HPyListBuilder_New(ctx, 5);
    HPy_ssize_t i;
    HPyListBuilder_Set(ctx, builder, 3, HPy_NULL);
    for (i = 199; i >= 0; i--) HPyListBuilder_Set(ctx, builder, i, arg);
    HPyListBuilder_Set(ctx, builder, 0, arg);
    HPyListBuilder_Set(ctx, other, 0, arg);
    HPyListBuilder_Cancel(ctx, other);
    return HPyListBuilder_Build(ctx, builder);
}

HPyDef_METH(list_leak, "list_leak", HPyFunc_O)
static HPy list_leak_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyListBuilder builder = HPyListBuilder_New(ctx, 3);  /* list_leak opens */
    HPyListBuilder_Set(ctx, builder, 0, arg);
    return HPy_Dup(ctx, ctx->h_None);
}
"""

SOURCE = (
    '\n#include "hpy.h"\n'
    + TEMPLATE
    + TEMPLATE.replace("list_", "tuple_").replace("ListBuilder", "TupleBuilder")
    + """
HPyDef_METH(tracker_leak, "tracker_leak", HPyFunc_O)
static HPy tracker_leak_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyTracker tracker = HPyTracker_New(ctx, 0);  /* tracker_leak opens */
    HPyTracker_Add(ctx, tracker, HPy_Dup(ctx, arg));
    HPyTracker_Add(ctx, tracker, HPyLong_FromLong(ctx, 42));
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(tracker_empty, "tracker_empty", HPyFunc_NOARGS)
static HPy tracker_empty_impl(HPyContext *ctx, HPy self)
{
    HPyTracker_New(ctx, 7);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(tracker_forgets, "tracker_forgets", HPyFunc_O)
static HPy tracker_forgets_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyTracker tracker = HPyTracker_New(ctx, 0);
    HPy h = HPy_Dup(ctx, arg);  /* tracker_forgets opens */
    HPyTracker_Add(ctx, tracker, h);
    HPyTracker_ForgetAll(ctx, tracker);
    HPyTracker_Close(ctx, tracker);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(tracker_right, "tracker_right", HPyFunc_O)
static HPy tracker_right_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyTracker tracker = HPyTracker_New(ctx, 0);
    HPyTracker_Add(ctx, tracker, arg);
    HPyTracker_ForgetAll(ctx, tracker);
    HPyTracker_Add(ctx, tracker, HPyLong_FromLong(ctx, 42));
    HPyTracker_Add(ctx, tracker, HPy_Dup(ctx, arg));
    HPyTracker_Close(ctx, tracker);
    return HPy_Dup(ctx, arg);
}

static HPyListBuilder kept_builder;
static HPyTracker kept_tracker;

HPyDef_METH(begin, "begin", HPyFunc_O)
static HPy begin_impl(HPyContext *ctx, HPy self, HPy arg)
{
    kept_builder = HPyListBuilder_New(ctx, 1);
    HPyListBuilder_Set(ctx, kept_builder, 0, arg);
    kept_tracker = HPyTracker_New(ctx, 1);
    HPyTracker_Add(ctx, kept_tracker, HPy_Dup(ctx, arg));
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(end, "end", HPyFunc_NOARGS)
static HPy end_impl(HPyContext *ctx, HPy self)
{
    HPyTracker_Close(ctx, kept_tracker);
    return HPyListBuilder_Build(ctx, kept_builder);
}

/* As examples for builders leave them when a call fails. */
HPyDef_METH(mixed, "mixed", HPyFunc_O)
static HPy mixed_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyTupleBuilder builder = HPyTupleBuilder_New(ctx, 1);
    HPy_Dup(ctx, arg);
    HPyTracker_New(ctx, 1);
    return HPy_IsNull(arg) ? HPyTupleBuilder_Build(ctx, builder) : HPy_Dup(ctx, arg);
}
"""
)


@pytest.fixture
def mod(hpy_module: ModuleFactory) -> Any:
    return hpy_module(SOURCE)


@pytest.fixture
def extension(hpy_module: ModuleFactory) -> Extension:
    return hpy_module.build(SOURCE)


def check(violation: Violation, kind: str, function: str, api: str) -> None:
    """`at` and `opened` are the lines of the source that say so; there is no `closed`."""
    assert (violation.kind, violation.api, violation.function) == (kind, api, function)
    for stack, mark in ((violation.at, "uses"), (violation.opened, "opens")):
        assert stack is not None
        assert stack.native[0].function == f"{function}_impl"
        assert stack.native[0].line == line_of(SOURCE, f"/* {function} {mark} */")
        assert Path(stack.python[0].file).name == Path(__file__).name
    assert violation.closed is None


SEQUENCES = [("list", list), ("tuple", tuple)]


@pytest.mark.parametrize(("name", "kind"), SEQUENCES)
@pytest.mark.parametrize("index", [2, -1, 2**40])
def test_index(mod: Any, name: str, kind: type, index: int) -> None:
    with hpy.debug.configure(on_violation="raise"), pytest.raises(HPyDebugError) as caught:
        getattr(mod, f"{name}_index")(index, "item")
    assert caught.value.violation is not None
    check(
        caught.value.violation,
        "builder-index",
        f"{name}_index",
        f"HPy{name.title()}Builder_Set",
    )
    assert f"the index {index}, but the builder was made for 2 items" in str(caught.value)


@pytest.mark.parametrize(("name", "kind"), SEQUENCES)
def test_index_under_warn(mod: Any, name: str, kind: type) -> None:
    """Nothing was set at that place, so the rest is sound."""
    with hpy.debug.configure(on_violation="warn"), pytest.warns(HPyDebugWarning) as caught:
        assert getattr(mod, f"{name}_index")(5, "item") == kind(["item", "item"])
    (warning,) = caught
    assert warning.message.violation.kind == "builder-index"  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["list", "tuple"])
@pytest.mark.parametrize("policy", ["raise", "warn"])
@pytest.mark.filterwarnings("ignore::hpy.debug.HPyDebugWarning")
def test_hole_of_a_refused_set_is_told_once(mod: Any, name: str, policy: str) -> None:
    seen: list[Violation] = []
    with hpy.debug.configure(on_violation=policy), hpy.debug.on_violation(seen.append):
        with pytest.raises((HPyDebugError, SystemError)):
            getattr(mod, f"{name}_index_only")("item")
    assert [violation.kind for violation in seen] == ["builder-index"]


@pytest.mark.parametrize("name", ["list", "tuple"])
@pytest.mark.parametrize(("function", "item", "size"), [("unfilled", 1, 3), ("nulls", 77, 100)])
def test_unfilled(mod: Any, name: str, function: str, item: int, size: int) -> None:
    api = f"HPy{name.title()}Builder_Build"
    with hpy.debug.configure(on_violation="raise"), LeakDetector():
        with pytest.raises(HPyDebugError) as caught:
            getattr(mod, f"{name}_{function}")("x")
    assert caught.value.violation is not None
    check(caught.value.violation, "builder-unfilled", f"{name}_{function}", api)
    assert f"item {item} of the builder for {size} items was never set" in str(caught.value)


@pytest.mark.parametrize("name", ["list", "tuple"])
def test_unfilled_under_warn(mod: Any, name: str) -> None:
    """The call has an error value, and no list with holes gets to Python."""
    with hpy.debug.configure(on_violation="warn"), pytest.warns(HPyDebugWarning):
        with pytest.raises(HPyDebugError):
            getattr(mod, f"{name}_unfilled")("x")


@pytest.mark.parametrize("function", ["list_unfilled", "tuple_nulls", "list_index", "tuple_index"])
def test_abort(extension: Extension, run_python: PythonRunner, function: str) -> None:
    arguments = "5, 'x'" if "index" in function else "'x'"
    done = run_python(f"import mytest\nmytest.{function}({arguments})", module=extension)
    assert done.returncode != 0
    kind = "builder-index" if "index" in function else "builder-unfilled"
    assert f"error[{kind}]: HPy" in done.stderr
    assert f"mytest.c:{line_of(SOURCE, f'/* {function} uses */')} in {function}_impl" in done.stderr
    assert " made here\n" in done.stderr


@pytest.mark.parametrize("name", ["list", "tuple"])
def test_exception_of_an_item_is_passed_on(mod: Any, name: str) -> None:
    with LeakDetector(), pytest.raises(AttributeError, match="no_such_attribute"):
        getattr(mod, f"{name}_failed_item")(3)


@pytest.mark.parametrize(("name", "kind"), SEQUENCES)
def test_right(mod: Any, name: str, kind: type) -> None:
    with LeakDetector():
        assert getattr(mod, f"{name}_right")("x") == kind("x" * 200)
        assert mod.tracker_right("x") == "x"
        mod.begin("x")
        assert mod.end() == ["x"]


# Leaks.


@pytest.mark.parametrize("name", ["list", "tuple"])
def test_builder_leak(mod: Any, name: str, tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    with hpy.debug.configure(report=report), pytest.raises(HPyLeakError) as caught:
        with LeakDetector() as detector:
            getattr(mod, f"{name}_leak")("x")
    (violation,) = caught.value.violations
    assert (violation.kind, violation.function, violation.count) == (
        *("builder-leak", f"{name}_leak"),
        1,
    )
    assert (violation.at, violation.closed) == (None, None)
    assert violation.opened is not None
    assert violation.opened.native[0].line == line_of(SOURCE, f"/* {name}_leak opens */")
    assert violation.opened.python[0].function == "test_builder_leak"
    text = str(caught.value)
    assert text.startswith(
        f"1 unclosed builder:\n    a {name} builder for 3 items was neither built nor cancelled\n"
        "Allocation stacktrace:\n"
    )
    assert caught.value.leaks == detector.leaks == []
    (line,) = report.read_text().splitlines()
    assert json.loads(line)["kind"] == "builder-leak"
    assert json.loads(line)["opened"]["native"][0]["function"] == f"{name}_leak_impl"


def test_tracker_leak(mod: Any) -> None:
    """One report: what the tracker holds is not reported again."""
    with pytest.raises(HPyLeakError) as caught, LeakDetector() as detector:
        mod.tracker_leak("x")
    (violation,) = caught.value.violations
    assert (violation.kind, violation.function) == ("tracker-leak", "tracker_leak")
    assert violation.message.startswith("a tracker that holds 2 handles was never closed;")
    assert violation.opened is not None
    assert violation.opened.native[0].line == line_of(SOURCE, "/* tracker_leak opens */")
    assert violation.opened.python[0].function == "test_tracker_leak"
    assert detector.leaks == []
    assert str(caught.value).startswith("1 unclosed tracker:\n    a tracker that holds 2 handles")


def test_tracker_leaks_of_one_place_are_folded(mod: Any) -> None:
    with pytest.raises(HPyLeakError) as caught, LeakDetector():
        for i in range(5):
            mod.tracker_leak(i)
    (violation,) = caught.value.violations
    assert violation.count == 5
    assert "(all 5 of this place hold 10 handles)" in violation.message
    text = str(caught.value)
    assert text.startswith("5 unclosed trackers:\n")
    assert "\n    and 4 more, made at the same place\n" in text


def test_empty_tracker_leaks_too(mod: Any) -> None:
    with pytest.raises(HPyLeakError, match="a tracker that holds 0 handles"), LeakDetector():
        mod.tracker_empty()


def test_forgotten_handle_is_a_leak_of_its_own(mod: Any) -> None:
    with pytest.raises(HPyLeakError) as caught, LeakDetector():
        mod.tracker_forgets("x")
    (violation,) = caught.value.violations
    assert violation.kind == "handle-leak"
    assert violation.opened is not None
    assert violation.opened.native[0].line == line_of(SOURCE, "/* tracker_forgets opens */")


def test_text_of_all_three(mod: Any) -> None:
    with pytest.raises(HPyLeakError) as caught, LeakDetector():
        mod.mixed("x")
    lines = str(caught.value).splitlines()
    assert lines[0] == "1 unclosed handle:"
    assert re.fullmatch(r"    <DebugHandle 0x[\da-f]+ for 'x'>", lines[1])
    assert lines.count("Allocation stacktrace:") == 3
    assert "1 unclosed builder:" in lines
    assert "1 unclosed tracker:" in lines
    kinds = [violation.kind for violation in caught.value.violations]
    assert kinds == ["handle-leak", "builder-leak", "tracker-leak"]
    assert caught.value.violation == caught.value.violations[0]


def test_builder_that_lives_longer_than_the_detector(mod: Any) -> None:
    with pytest.raises(HPyLeakError) as caught, LeakDetector():
        mod.begin("x")
    assert [v.kind for v in caught.value.violations] == ["builder-leak", "tracker-leak"]
    with LeakDetector():
        assert mod.end() == ["x"]


def test_open_at_the_end(extension: Extension, run_python: PythonRunner, tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    done = run_python(
        "import mytest\nmytest.mixed(3)\nfor i in range(3): mytest.tracker_leak(i)",
        module=extension,
        env={"HPY_DEBUG_REPORT": str(report)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert sorted((line["kind"], line["function"], line["count"]) for line in lines) == [
        ("builder-leak", "mixed", 1),
        ("handle-leak", "mixed", 1),
        ("tracker-leak", "mixed", 1),
        ("tracker-leak", "tracker_leak", 3),
    ]
