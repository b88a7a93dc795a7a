"""What each policy does with a mistake, and the line that it appends to the report file.

tests/test_leakdetector.py has leaks, tests/test_debug_python_api.py the older hooks.
"""

# The blocks of several statements are what is looked at.
# ruff: noqa: PT012, PT031, SIM117

import gc
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import hpy.debug
from hpy.debug import HPyDebugError, HPyDebugWarning
from hpy.universal import _debug
from support.child import PythonRunner
from support.extension import Extension, ModuleFactory, line_of

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

SOURCE = """
#include "hpy.h"

HPyDef_METH(use, "use", HPyFunc_O)
static HPy use_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);  /* use opens */
    HPy_Close(ctx, h);  /* use closes */
    return HPy_Add(ctx, arg, h);  /* use uses */
}

HPyDef_METH(twice, "twice", HPyFunc_O)
static HPy twice_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);  /* twice opens */
    HPy_Close(ctx, h);  /* twice closes */
    HPy_Close(ctx, h);  /* twice uses */
    return HPy_Dup(ctx, arg);
}

/* After a mistake of a function without an error value the extension goes on, and fails. */
HPyDef_METH(twice_then_fail, "twice_then_fail", HPyFunc_O)
static HPy twice_then_fail_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);
    HPy_Close(ctx, h);
    HPy_Close(ctx, h);
    HPyErr_SetString(ctx, ctx->h_KeyError, "of the extension");
    return HPy_NULL;
}

/* The error of the mistake is seen by the extension, which clears it. */
HPyDef_METH(use_and_clear, "use_and_clear", HPyFunc_O)
static HPy use_and_clear_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);
    HPy_Close(ctx, h);
    if (HPy_Length(ctx, h) != -1 || !HPyErr_Occurred(ctx))
        return HPyUnicode_FromString(ctx, "the call did not fail");
    HPyErr_Clear(ctx);
    return HPyUnicode_FromString(ctx, "cleared");
}

/* A mistake while an exception is pending. */
HPyDef_METH(fail_and_use, "fail_and_use", HPyFunc_O)
static HPy fail_and_use_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);
    HPy_Close(ctx, h);
    HPyErr_SetString(ctx, ctx->h_ValueError, "pending");
    return HPy_Repr(ctx, h);
}

HPyDef_METH(fail_and_close_twice, "fail_and_close_twice", HPyFunc_O)
static HPy fail_and_close_twice_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);
    HPy_Close(ctx, h);
    HPyErr_SetString(ctx, ctx->h_ValueError, "pending");
    HPy_Close(ctx, h);
    return HPy_NULL;
}

HPyDef_METH(good, "good", HPyFunc_O)
static HPy good_impl(HPyContext *ctx, HPy self, HPy arg)
{
    return HPy_Dup(ctx, arg);
}

HPyDef_METH(leak, "leak", HPyFunc_O)
static HPy leak_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_Dup(ctx, arg);
    return HPy_Dup(ctx, ctx->h_None);
}

typedef struct { long value; } Point;
HPyType_HELPERS(Point)

HPyDef_SLOT(Point_new, HPy_tp_new)
static HPy Point_new_impl(HPyContext *ctx, HPy cls, const HPy *args, HPy_ssize_t nargs, HPy kw)
{
    Point *point;
    return HPy_New(ctx, cls, &point);
}

/* AsStruct has no error value: what it returns can be written to. */
HPyDef_METH(Point_use, "use", HPyFunc_NOARGS)
static HPy Point_use_impl(HPyContext *ctx, HPy self)
{
    HPy h = HPy_Dup(ctx, self);
    HPy_Close(ctx, h);
    Point_AsStruct(ctx, h)->value = 42;
    return HPy_Dup(ctx, ctx->h_None);
}

static HPyDef *Point_defines[] = {&Point_new, &Point_use, NULL};
static HPyType_Spec Point_spec = {
    .name = "mytest.Point",
    .basicsize = sizeof(Point),
    .flags = HPy_TPFLAGS_DEFAULT,
    .builtin_shape = SHAPE(Point),
    .defines = Point_defines,
};

HPyDef_SLOT(add_types, HPy_mod_exec)
static int add_types_impl(HPyContext *ctx, HPy module)
{
    return HPyHelpers_AddType(ctx, module, "Point", &Point_spec, NULL) ? 0 : -1;
}
"""

KEYS = [
    *("kind", "message", "api", "module", "function", "handle"),
    *("at", "opened", "closed", "severity", "count"),
]


@pytest.fixture
def mod(hpy_module: ModuleFactory) -> Any:
    return hpy_module(SOURCE)


@pytest.fixture
def extension(hpy_module: ModuleFactory) -> Extension:
    return hpy_module.build(SOURCE)


def check_line(line: str, function: str, kind: str, api: str) -> dict[str, Any]:
    """A line of the report file about use() or twice(), with all that section 3 asks for."""
    violation: dict[str, Any] = json.loads(line)
    assert list(violation) == KEYS
    assert violation["kind"] == kind
    assert violation["api"] == api
    assert (violation["module"], violation["function"]) == ("mytest", function)
    assert violation["message"].startswith(f"{api} was given a handle that is already closed")
    assert (violation["severity"], violation["count"]) == ("error", 1)
    assert list(violation["handle"]) == ["id", "repr", "type"]
    assert re.fullmatch("0x[0-9a-f]+", violation["handle"]["id"])
    for stack, mark in (("at", "uses"), ("opened", "opens"), ("closed", "closes")):
        assert list(violation[stack]) == ["native", "python"]
        for frame in violation[stack]["native"]:
            assert list(frame) == ["function", "file", "line", "library", "offset"]
        for frame in violation[stack]["python"]:
            assert list(frame) == ["function", "file", "line"]
        first = violation[stack]["native"][0]
        assert first["function"] == f"{function}_impl"
        assert first["line"] == line_of(SOURCE, f"/* {function} {mark} */")
        assert violation[stack]["python"], stack
    return violation


MISTAKES = [("use", "use-after-close", "HPy_Add"), ("twice", "double-close", "HPy_Close")]


# abort


@pytest.mark.promise("DBG-07", "DBG-15")
@pytest.mark.parametrize(("function", "kind", "api"), MISTAKES)
@pytest.mark.parametrize("how", ["default", "variable", "configure"])
def test_abort(
    extension: Extension,
    run_python: PythonRunner,
    tmp_path: Path,
    function: str,
    kind: str,
    api: str,
    how: str,
) -> None:
    report = tmp_path / "report.jsonl"
    env = {"HPY_DEBUG_REPORT": str(report)}
    if how != "default":
        env["HPY_DEBUG_ON_VIOLATION"] = "abort" if how == "variable" else "raise"
    code = f"""
        import hpy.debug
        import mytest
        if {how == "configure"}:
            hpy.debug.configure(on_violation="abort")
        def call():
            mytest.{function}(21)
        call()
        print("not reached")
    """
    done = run_python(code, module=extension, env=env)
    assert done.returncode == -6
    assert done.stdout == ""
    text = done.stderr
    # The whole report comes first, then what ends the process.
    fatal = text.index("Fatal Python error: ")
    assert "Invalid usage of already closed handle" in text[fatal:]
    assert text.startswith(f"error[{kind}]: {api} was given a handle that is already closed")
    told = text[:fatal]
    lines = {
        mark: line_of(SOURCE, f"/* {function} {mark} */") for mark in ("opens", "closes", "uses")
    }
    assert f"mytest.c:{lines['uses']} in {function}_impl" in told
    for line in lines.values():
        assert re.search(rf"^ *{line} \|     ", told, re.M), f"an excerpt with line {line}"
    assert " opened here\n" in told
    assert " closed here\n" in told
    assert "script.py:7 in call <- script.py:8 in <module>" in told.replace(
        str(tmp_path / "run-1") + "/", ""
    )
    assert re.search("^ *= help: ", told, re.M)
    (line,) = report.read_text().splitlines()
    check_line(line, function, kind, api)


# raise


@pytest.mark.promise("DBG-15")
@pytest.mark.parametrize(("function", "kind", "api"), MISTAKES)
def test_raise(mod: Any, tmp_path: Path, function: str, kind: str, api: str) -> None:
    report = tmp_path / "report.jsonl"
    with hpy.debug.configure(on_violation="raise", report=report):
        with pytest.raises(HPyDebugError) as caught:
            getattr(mod, function)(21)
    (line,) = report.read_text().splitlines()
    violation = check_line(line, function, kind, api)
    assert caught.value.violation is not None
    for key in ("kind", "message", "api", "module", "function", "severity", "count"):
        assert caught.value.violation[key] == violation[key]
    assert str(caught.value).startswith(f"error[{kind}]: ")
    assert caught.value.__context__ is None


def test_raised_error_is_one_that_the_extension_may_clear(mod: Any) -> None:
    with hpy.debug.configure(on_violation="raise"):
        assert mod.use_and_clear("x") == "cleared"


@pytest.mark.parametrize("function", ["fail_and_use", "fail_and_close_twice"])
def test_pending_exception_is_the_context(mod: Any, function: str) -> None:
    with hpy.debug.configure(on_violation="raise"), pytest.raises(HPyDebugError) as caught:
        getattr(mod, function)("x")
    assert isinstance(caught.value.__context__, ValueError)
    assert str(caught.value.__context__) == "pending"


def test_exception_of_the_extension_is_the_context_of_one_that_had_to_wait(mod: Any) -> None:
    with hpy.debug.configure(on_violation="raise"), pytest.raises(HPyDebugError) as caught:
        mod.twice_then_fail("x")
    assert isinstance(caught.value.__context__, KeyError)


def test_exception_that_is_being_handled_stays_the_context(mod: Any) -> None:
    with hpy.debug.configure(on_violation="raise"), pytest.raises(HPyDebugError) as caught:
        try:
            raise OSError("handled")
        except OSError:
            mod.use("x")
    assert isinstance(caught.value.__context__, OSError)


def test_struct_of_a_closed_handle_may_be_written_to(mod: Any) -> None:
    point = mod.Point()
    with hpy.debug.configure(on_violation="raise"):
        for _ in range(3):
            with pytest.raises(HPyDebugError, match=r"^error\[use-after-close\]: ") as caught:
                point.use()
    assert caught.value.violation is not None
    assert caught.value.violation.function == "Point.use"


def test_process_is_sound_after_a_thousand_violations(mod: Any) -> None:
    class Object:
        pass

    obj = Object()
    functions = (mod.use, mod.twice, mod.twice_then_fail, mod.fail_and_use)
    with hpy.debug.configure(on_violation="raise"):
        generation = _debug.new_generation()
        for function in functions:  # what is made once
            with pytest.raises(HPyDebugError):
                function(obj)
        gc.collect()
        references, objects = sys.getrefcount(obj), len(gc.get_objects())
        for number in range(1000):
            try:
                functions[number % 4](obj)
            except HPyDebugError:
                assert mod.good(obj) is obj
            else:
                pytest.fail("nothing was raised")
        assert _debug.get_open_handles(generation) == []
        gc.collect()
        assert sys.getrefcount(obj) == references
        assert len(gc.get_objects()) < objects + 100


# warn


@pytest.mark.promise("DBG-15")
@pytest.mark.parametrize(("function", "kind", "api"), MISTAKES)
def test_warn(mod: Any, tmp_path: Path, function: str, kind: str, api: str) -> None:
    report = tmp_path / "report.jsonl"
    with hpy.debug.configure(on_violation="warn", report=report):
        with pytest.warns(HPyDebugWarning) as caught:
            if function == "use":
                with pytest.raises(HPyDebugError):  # no other continuation is sound
                    mod.use(21)
            else:
                assert mod.twice(21) == 21  # execution goes on
    (warning,) = caught
    assert str(warning.message).startswith(f"error[{kind}]: ")
    assert (warning.filename, warning.lineno > 0) == (__file__, True)
    (line,) = report.read_text().splitlines()
    check_line(line, function, kind, api)


@pytest.mark.parametrize("function", ["use", "twice"])
def test_warning_that_is_turned_into_an_error(mod: Any, function: str) -> None:
    import warnings

    with hpy.debug.configure(on_violation="warn"), warnings.catch_warnings():
        warnings.simplefilter("error", HPyDebugWarning)
        with pytest.raises((HPyDebugError, HPyDebugWarning), match="is already closed"):
            getattr(mod, function)(21)


def test_pending_exception_survives_a_warning(mod: Any) -> None:
    with hpy.debug.configure(on_violation="warn"):
        with pytest.warns(HPyDebugWarning), pytest.raises(ValueError, match="pending"):
            mod.fail_and_close_twice("x")


# The report file.


def test_lines_of_processes_and_threads_are_whole(
    extension: Extension, run_python: PythonRunner, tmp_path: Path
) -> None:
    report = tmp_path / "report.jsonl"
    done = run_python(
        """
        import os, threading
        import hpy.debug
        import mytest

        def work(name):
            for i in range(25):
                try:
                    mytest.use(name + " " * 300)
                except hpy.debug.HPyDebugError:
                    pass

        children = []
        for child in range(8):
            pid = os.fork()
            if pid == 0:
                threads = [threading.Thread(target=work, args=(f"{child}{i}",)) for i in range(8)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                os._exit(0)
            children.append(pid)
        assert all(os.waitpid(pid, 0)[1] == 0 for pid in children)
        """,
        module=extension,
        env={"HPY_DEBUG_REPORT": str(report), "HPY_DEBUG_ON_VIOLATION": "raise"},
    )
    assert done.returncode == 0, done.stderr
    lines = report.read_text().splitlines()
    assert len(lines) == 8 * 8 * 25
    assert {json.loads(line)["kind"] for line in lines} == {"use-after-close"}


def test_pid_in_the_path(extension: Extension, run_python: PythonRunner, tmp_path: Path) -> None:
    done = run_python(
        """
        import os
        import mytest
        print(os.getpid(), flush=True)
        mytest.use("x")
        """,
        module=extension,
        env={"HPY_DEBUG_REPORT": str(tmp_path / "report-{pid}.jsonl")},
    )
    report = tmp_path / f"report-{done.stdout.strip()}.jsonl"
    check_line(report.read_text(), "use", "use-after-close", "HPy_Add")


@pytest.mark.parametrize("leaks", [0, 2])
def test_what_is_open_at_the_end_of_the_program(
    extension: Extension, run_python: PythonRunner, tmp_path: Path, leaks: int
) -> None:
    """HPY_DEBUG=1 alone, with a report file: the leaks are appended, and nothing else happens."""
    report = tmp_path / "report.jsonl"
    done = run_python(
        f"""
        import mytest
        for i in range({leaks}):
            mytest.leak(i)
        """,
        module=extension,
        env={"HPY_DEBUG_REPORT": str(report)},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    lines = report.read_text().splitlines() if report.exists() else []
    found = [json.loads(line) for line in lines]
    assert sum(violation["count"] for violation in found) == leaks
    for violation in found:
        assert list(violation) == KEYS
        assert (violation["kind"], violation["function"]) == ("handle-leak", "leak")
        assert violation["opened"]["native"][0]["function"] == "leak_impl"
        assert violation["opened"]["python"][0]["line"] == 4


def test_report_file_that_cannot_be_written(
    extension: Extension, run_python: PythonRunner, tmp_path: Path
) -> None:
    """The program goes on, and it is told."""
    done = run_python(
        """
        import mytest
        try:
            mytest.use("x")
        except Exception as error:
            print(type(error).__name__)
        """,
        module=extension,
        env={
            "HPY_DEBUG_REPORT": str(tmp_path / "no such folder" / "report.jsonl"),
            "HPY_DEBUG_ON_VIOLATION": "raise",
        },
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "HPyDebugError\n"
    assert "no such folder" in done.stderr


def test_older_hook_stands_in_for_the_policy(mod: Any, tmp_path: Path) -> None:
    calls: list[int] = []
    _debug.set_on_invalid_handle(lambda: calls.append(1))
    try:
        assert mod.use(21) == 42
        assert mod.twice(21) == 21
    finally:
        _debug.set_on_invalid_handle(None)
    assert calls == [1, 1]
    with hpy.debug.configure(on_violation="raise"), pytest.raises(HPyDebugError):
        mod.use(21)
