"""Leaving Python execution: what may not be done until it is re-entered, and that it is.

call-after-leave, nested-leave, reenter-mismatch and leave-not-reentered. A refused leave or
re-enter changes nothing, and the call that would have matched it is silent.
"""

# The blocks of several statements are what is looked at.
# ruff: noqa: SIM117

import json
import sys
import threading
from pathlib import Path
from typing import Any, Optional

import pytest

import hpy.debug
from hpy.debug import HPyDebugError
from support.child import PythonRunner
from support.extension import ModuleFactory, line_of

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

SOURCE = r"""
#include "hpy.h"
#include <pthread.h>
#include <unistd.h>

/* What is right. */

HPyDef_METH(good, "good", HPyFunc_O)
static HPy good_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyThreadState first, second;
    first = HPy_LeavePythonExecution(ctx);
    HPy_ReenterPythonExecution(ctx, first);
    second = HPy_LeavePythonExecution(ctx);
    HPy_ReenterPythonExecution(ctx, second);
    return HPy_Dup(ctx, arg);
}

/* good_nested(f): the call that f makes leaves on its own account. */
HPyDef_METH(good_nested, "good_nested", HPyFunc_O)
static HPy good_nested_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy result;
    HPy_BEGIN_LEAVE_PYTHON(ctx)
    HPy_END_LEAVE_PYTHON(ctx)
    result = HPy_Call(ctx, arg, NULL, 0, HPy_NULL);
    HPy_BEGIN_LEAVE_PYTHON(ctx)
    HPy_END_LEAVE_PYTHON(ctx)
    return result;
}

/* call-after-leave */

HPyDef_METH(add_left, "add_left", HPyFunc_O)
static HPy add_left_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyThreadState state = HPy_LeavePythonExecution(ctx);  /* add_left leaves */
    HPy sum = HPy_Add(ctx, arg, arg);  /* add_left calls */
    HPy_ReenterPythonExecution(ctx, state);
    return sum;
}

HPyDef_METH(close_left, "close_left", HPyFunc_O)
static HPy close_left_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);
    HPyThreadState state = HPy_LeavePythonExecution(ctx);  /* close_left leaves */
    HPy_Close(ctx, h);  /* close_left calls */
    HPy_ReenterPythonExecution(ctx, state);
    HPy_Close(ctx, h);
    return HPy_Dup(ctx, arg);
}

HPyDef_METH(text_left, "text_left", HPyFunc_O)
static HPy text_left_impl(HPyContext *ctx, HPy self, HPy arg)
{
    const char *text;
    HPyThreadState state = HPy_LeavePythonExecution(ctx);  /* text_left leaves */
    text = HPyUnicode_AsUTF8AndSize(ctx, arg, NULL);  /* text_left calls */
    HPy_ReenterPythonExecution(ctx, state);
    return text == NULL ? HPy_NULL : HPyUnicode_FromString(ctx, text);
}

HPyDef_METH(loop_left, "loop_left", HPyFunc_O)
static HPy loop_left_impl(HPyContext *ctx, HPy self, HPy arg)
{
    int i;
    HPyThreadState state = HPy_LeavePythonExecution(ctx);
    for (i = 0; i < 100; i++)
        HPy_Dup(ctx, arg);
    HPy_ReenterPythonExecution(ctx, state);
    return HPy_Dup(ctx, arg);
}

/* nested-leave */

HPyDef_METH(leave_twice, "leave_twice", HPyFunc_O)
static HPy leave_twice_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyThreadState inner, outer;
    outer = HPy_LeavePythonExecution(ctx);  /* leave_twice leaves */
    inner = HPy_LeavePythonExecution(ctx);  /* leave_twice again */
    HPy_ReenterPythonExecution(ctx, inner);
    HPy_ReenterPythonExecution(ctx, outer);
    return HPy_Dup(ctx, arg);
}

HPyDef_METH(leave_twice_crossed, "leave_twice_crossed", HPyFunc_O)
static HPy leave_twice_crossed_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyThreadState inner, outer;
    outer = HPy_LeavePythonExecution(ctx);  /* leave_twice_crossed leaves */
    inner = HPy_LeavePythonExecution(ctx);  /* leave_twice_crossed again */
    HPy_ReenterPythonExecution(ctx, outer);
    HPy_ReenterPythonExecution(ctx, inner);
    return HPy_Dup(ctx, arg);
}

HPyDef_METH(leave_in_block, "leave_in_block", HPyFunc_O)
static HPy leave_in_block_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_BEGIN_LEAVE_PYTHON(ctx)  /* leave_in_block leaves */
    HPy_BEGIN_LEAVE_PYTHON(ctx)  /* leave_in_block again */
    HPy_END_LEAVE_PYTHON(ctx)
    HPy_END_LEAVE_PYTHON(ctx)
    return HPy_Dup(ctx, arg);
}

/* reenter-mismatch */

HPyDef_METH(never_left, "never_left", HPyFunc_O)
static HPy never_left_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyThreadState state = HPy_LeavePythonExecution(ctx);
    HPy_ReenterPythonExecution(ctx, state);
    HPy_ReenterPythonExecution(ctx, state);  /* never_left reenters */
    return HPy_Dup(ctx, arg);
}

HPyDef_METH(other_state, "other_state", HPyFunc_O)
static HPy other_state_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyThreadState state = HPy_LeavePythonExecution(ctx), wrong = state;
    wrong._i ^= 64;
    HPy_ReenterPythonExecution(ctx, wrong);  /* other_state reenters */
    HPy_ReenterPythonExecution(ctx, state);
    return HPy_Dup(ctx, arg);
}

/* The return is silent: what should have matched it was refused. */
HPyDef_METH(only_other_state, "only_other_state", HPyFunc_O)
static HPy only_other_state_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyThreadState wrong = {1};
    HPy result = HPy_Dup(ctx, arg);
    HPy_LeavePythonExecution(ctx);
    HPy_ReenterPythonExecution(ctx, wrong);  /* only_other_state reenters */
    return result;
}

static HPyContext *thread_ctx;
static HPyThreadState thread_state;
static void *reenter_in_thread(void *unused)
{
    HPy_ReenterPythonExecution(thread_ctx, thread_state);  /* other_thread reenters */
    return NULL;
}

HPyDef_METH(other_thread, "other_thread", HPyFunc_O)
static HPy other_thread_impl(HPyContext *ctx, HPy self, HPy arg)
{
    pthread_t thread;
    HPy result = HPy_Dup(ctx, arg);
    thread_ctx = ctx;
    thread_state = HPy_LeavePythonExecution(ctx);
    pthread_create(&thread, NULL, reenter_in_thread, NULL);
    pthread_join(thread, NULL);
    return result;
}

/* leave-not-reentered */

HPyDef_METH(stays_left, "stays_left", HPyFunc_O)
static HPy stays_left_impl(HPyContext *ctx, HPy self, HPy arg)
{  /* stays_left returns */
    HPy result = HPy_Dup(ctx, arg);
    HPy_LeavePythonExecution(ctx);  /* stays_left leaves */
    return result;
}

HPyDef_METH(stays_left_noargs, "stays_left_noargs", HPyFunc_NOARGS)
static HPy stays_left_noargs_impl(HPyContext *ctx, HPy self)
{  /* stays_left_noargs returns */
    HPy result = HPy_Dup(ctx, ctx->h_None);
    HPy_LeavePythonExecution(ctx);  /* stays_left_noargs leaves */
    return result;
}

typedef struct { long value; } Thing;
HPyType_HELPERS(Thing)

HPyDef_SLOT(Thing_new, HPy_tp_new)
static HPy Thing_new_impl(HPyContext *ctx, HPy cls, const HPy *args, HPy_ssize_t nargs, HPy kw)
{
    Thing *thing;
    return HPy_New(ctx, cls, &thing);
}

HPyDef_SLOT(Thing_length, HPy_sq_length)
static HPy_ssize_t Thing_length_impl(HPyContext *ctx, HPy self)
{  /* HPy_sq_length returns */
    HPy_LeavePythonExecution(ctx);  /* HPy_sq_length leaves */
    return 3;
}

static HPyDef *Thing_defines[] = {&Thing_new, &Thing_length, NULL};
static HPyType_Spec Thing_spec = {
    .name = "mytest.Thing",
    .basicsize = sizeof(Thing),
    .flags = HPy_TPFLAGS_DEFAULT,
    .builtin_shape = SHAPE(Thing),
    .defines = Thing_defines,
};

HPyDef_SLOT(add_types, HPy_mod_exec)
static int add_types_impl(HPyContext *ctx, HPy module)
{
    return HPyHelpers_AddType(ctx, module, "Thing", &Thing_spec, NULL) ? 0 : -1;
}
"""

# Function, kind, API function, lines of `at` and of `opened`.
MISTAKES: list[tuple[str, str, Optional[str], str, Optional[str]]] = [
    ("add_left", "call-after-leave", "HPy_Add", "calls", "leaves"),
    ("close_left", "call-after-leave", "HPy_Close", "calls", "leaves"),
    ("text_left", "call-after-leave", "HPyUnicode_AsUTF8AndSize", "calls", "leaves"),
    ("leave_twice", "nested-leave", "HPy_LeavePythonExecution", "again", "leaves"),
    ("leave_twice_crossed", "nested-leave", "HPy_LeavePythonExecution", "again", "leaves"),
    ("leave_in_block", "nested-leave", "HPy_LeavePythonExecution", "again", "leaves"),
    ("never_left", "reenter-mismatch", "HPy_ReenterPythonExecution", "reenters", None),
    ("other_state", "reenter-mismatch", "HPy_ReenterPythonExecution", "reenters", None),
    ("only_other_state", "reenter-mismatch", "HPy_ReenterPythonExecution", "reenters", None),
    ("stays_left", "leave-not-reentered", None, "returns", "leaves"),
    ("stays_left_noargs", "leave-not-reentered", None, "returns", "leaves"),
    ("HPy_sq_length", "leave-not-reentered", None, "returns", "leaves"),
]
IDS = [f"{kind}-{function}" for function, kind, *_ in MISTAKES]


@pytest.fixture
def mod(hpy_module: ModuleFactory) -> Any:
    return hpy_module(SOURCE)


def act(mod: Any, function: str) -> object:
    if function == "HPy_sq_length":
        return len(mod.Thing())
    if function == "stays_left_noargs":
        return mod.stays_left_noargs()
    return getattr(mod, function)("x")


def check(
    found: dict[str, Any],
    function: str,
    kind: str,
    api: Optional[str],
    at: str,
    opened: Optional[str],
) -> None:
    assert (found["kind"], found["api"]) == (kind, api)
    name = "Thing.HPy_sq_length" if function == "HPy_sq_length" else function
    assert (found["module"], found["function"]) == ("mytest", name)
    assert found["closed"] is None
    for stack, mark in (("at", at), ("opened", opened)):
        if mark is None:
            assert found[stack] is None
            continue
        (frame,) = found[stack]["native"]
        line = line_of(SOURCE, f"/* {function} {mark} */")
        # The return is shown as the function's entry.
        assert frame["line"] in ((line, line - 1) if mark == "returns" else (line,))
        assert frame["file"].endswith("/mytest.c")
        # Python's frames too, although they cannot be read when the mistake is made.
        assert found[stack]["python"][0]["function"] == "act"
        assert found[stack]["python"][0]["file"] == __file__


def lines_of(report: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in report.read_text().splitlines()] if report.exists() else []


@pytest.mark.promise("DBG-19", "DBG-20", "DBG-21")
@pytest.mark.parametrize(("function", "kind", "api", "at", "opened"), MISTAKES, ids=IDS)
def test_raise(
    mod: Any,
    tmp_path: Path,
    function: str,
    kind: str,
    api: Optional[str],
    at: str,
    opened: Optional[str],
) -> None:
    report = tmp_path / "report.jsonl"
    with hpy.debug.configure(on_violation="raise", report=report):
        for count in (1, 2):  # each call of the function is told
            with pytest.raises(HPyDebugError) as caught:
                act(mod, function)
            assert caught.value.violation is not None
            assert caught.value.violation.kind == kind
            assert caught.value.__context__ is None
            assert len(lines_of(report)) == count
            assert mod.good(7) == 7  # the interpreter is held
    check(lines_of(report)[0], function, kind, api, at, opened)


@pytest.mark.parametrize(("function", "kind", "api", "at", "opened"), MISTAKES, ids=IDS)
def test_warn(
    hpy_module: ModuleFactory,
    run_python: PythonRunner,
    tmp_path: Path,
    function: str,
    kind: str,
    api: Optional[str],
    at: str,
    opened: Optional[str],
) -> None:
    """Where the result is usable, execution goes on."""
    report = tmp_path / "report.jsonl"
    code = {
        "HPy_sq_length": "len(mytest.Thing())",
        "stays_left_noargs": "mytest.stays_left_noargs()",
    }
    done = run_python(
        f"""
        import hpy.debug, mytest, warnings
        warnings.simplefilter("always")
        try:
            {code.get(function, f"mytest.{function}('x')")}
            print("went on")
        except hpy.debug.HPyDebugError as error:
            print("raised", error.violation.kind)
        for i in range(3):
            pass
        print(mytest.good(7))
        """,
        module=hpy_module.build(SOURCE),
        env={"HPY_DEBUG_ON_VIOLATION": "warn", "HPY_DEBUG_REPORT": str(report)},
    )
    fails = function in ("add_left", "text_left")
    first = "raised call-after-leave" if fails else "went on"
    assert done.stdout.splitlines() == [first, "7"]
    assert done.returncode == 0
    assert f"HPyDebugWarning: error[{kind}]: " in done.stderr
    (line,) = lines_of(report)
    assert line["kind"] == kind


@pytest.mark.parametrize(("function", "kind", "api", "at", "opened"), MISTAKES, ids=IDS)
def test_abort(
    hpy_module: ModuleFactory,
    run_python: PythonRunner,
    tmp_path: Path,
    function: str,
    kind: str,
    api: Optional[str],
    at: str,
    opened: Optional[str],
) -> None:
    report = tmp_path / "report.jsonl"
    code = {
        "HPy_sq_length": "len(mytest.Thing())",
        "stays_left_noargs": "mytest.stays_left_noargs()",
    }
    done = run_python(
        f"""
        import mytest
        def act():
            {code.get(function, f"mytest.{function}('x')")}
        act()
        print("not reached")
        """,
        module=hpy_module.build(SOURCE),
        env={"HPY_DEBUG_REPORT": str(report)},
    )
    assert done.returncode == -6
    assert done.stdout == ""
    assert done.stderr.startswith(f"error[{kind}]: ")
    assert "script.py:4 in act" in done.stderr
    assert "Fatal Python error: " in done.stderr
    (line,) = lines_of(report)
    assert line["kind"] == kind


def test_text_is_written_at_once(hpy_module: ModuleFactory, run_python: PythonRunner) -> None:
    done = run_python(
        """
        import hpy.debug, mytest
        hpy.debug.configure(on_violation="raise")
        try:
            mytest.add_left(1)
        except hpy.debug.HPyDebugError:
            pass
        """,
        module=hpy_module.build(SOURCE),
    )
    assert done.returncode == 0
    assert done.stderr.startswith("error[call-after-leave]: HPy_Add was called between ")
    line = line_of(SOURCE, "/* add_left calls */")
    assert f"mytest.c:{line} in add_left_impl" in done.stderr


@pytest.mark.promise("DBG-19", "DBG-20", "DBG-21")
def test_correct_programs(mod: Any) -> None:
    def nested() -> object:
        return mod.good_nested(lambda: mod.good(5))

    with hpy.debug.configure(on_violation="abort"):
        assert mod.good("x") == "x"
        assert mod.good_nested(nested) == 5
        threads = [
            threading.Thread(target=lambda: [nested() for _ in range(200)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def test_once_in_a_call(mod: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.jsonl"
    with hpy.debug.configure(on_violation="raise", report=report):
        with pytest.raises(HPyDebugError):
            mod.loop_left(1)
    assert [line["kind"] for line in lines_of(report)] == ["call-after-leave"]


@pytest.mark.promise("DBG-21")
def test_reenter_on_another_thread(
    mod: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That thread has nothing to return to; the function that left is put right without a word."""
    report = tmp_path / "report.jsonl"
    seen: list[Optional[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda u: seen.append(u.exc_value))
    with hpy.debug.configure(on_violation="raise", report=report):
        assert mod.other_thread("x") == "x"
        for _ in range(3):
            pass
    (error,) = seen
    assert isinstance(error, HPyDebugError)
    (line,) = lines_of(report)
    assert line["kind"] == "reenter-mismatch"
    assert line["at"]["native"][0]["line"] == line_of(SOURCE, "/* other_thread reenters */")
    assert line["at"]["native"][0]["function"] == "reenter_in_thread"
    assert line["at"]["python"] == []
    assert line["function"] is None
