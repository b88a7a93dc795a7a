"""Trace mode: the functions that are told of each call."""

from collections.abc import Iterator
from typing import Any

import pytest

import hpy.trace
from support.child import PythonRunner
from support.trace_source import SOURCE, calls_of

HPY_ABIS = ["trace"]


@pytest.fixture
def mod(hpy_module: Any) -> Iterator[Any]:
    yield hpy_module(SOURCE)
    hpy.trace.set_trace_functions(None, None)


def test_order_of_trace_functions(mod: Any) -> None:
    events: list[str] = []
    hpy.trace.set_trace_functions(
        on_enter=lambda name: events.append(f"> {name}"),
        on_exit=lambda name: events.append(f"< {name}"),
    )
    mod.call(lambda: events.append(str(mod.add(1, 2))))
    assert events == [
        "> ctx_CallTupleDict",
        "> ctx_Add",
        "< ctx_Add",
        "3",
        "< ctx_CallTupleDict",
    ]


def test_omitted_keeps_and_none_clears(mod: Any) -> None:
    events: list[str] = []

    def enter(name: str) -> None:
        events.append(f"> {name}")

    def leave(name: str) -> None:
        events.append(f"< {name}")

    def events_of_an_add() -> list[str]:
        events.clear()
        mod.add(1, 2)
        return list(events)

    assert hpy.trace.set_trace_functions(on_enter=enter) is None
    assert events_of_an_add() == ["> ctx_Add"]
    hpy.trace.set_trace_functions(on_exit=leave)
    assert events_of_an_add() == ["> ctx_Add", "< ctx_Add"]
    hpy.trace.set_trace_functions()
    assert events_of_an_add() == ["> ctx_Add", "< ctx_Add"]
    hpy.trace.set_trace_functions(on_enter=None)
    assert events_of_an_add() == ["< ctx_Add"]
    hpy.trace.set_trace_functions(enter, None)
    assert events_of_an_add() == ["> ctx_Add"]
    hpy.trace.set_trace_functions(None)
    assert events_of_an_add() == []


@pytest.mark.parametrize("how", [{"on_enter": 1}, {"on_exit": "x"}])
def test_must_be_callable(mod: Any, how: dict[str, Any]) -> None:
    events: list[str] = []
    hpy.trace.set_trace_functions(events.append)
    with pytest.raises(TypeError, match=r"^Expected a callable object or None$"):
        hpy.trace.set_trace_functions(**{"on_enter": None, **how})
    mod.add(1, 2)
    assert events == ["ctx_Add"], "a call that is refused changes nothing"


def test_unknown_keyword() -> None:
    with pytest.raises(TypeError):
        hpy.trace.set_trace_functions(on_call=None)  # type: ignore[call-arg]


def test_trace_functions_do_not_see_or_lose_the_pending_exception(mod: Any) -> None:
    seen: list[str] = []

    def trace(name: str) -> None:
        try:
            raise KeyError
        except KeyError:
            seen.append(name)

    hpy.trace.set_trace_functions(trace, trace)
    with pytest.raises(TypeError, match="two arguments, please"):
        mod.add(1)
    assert seen == ["ctx_Err_SetString"] * 2


def test_trace_function_may_use_what_is_traced(mod: Any) -> None:
    seen: list[str] = []

    def trace(name: str) -> None:
        seen.append(f"{name} {mod.add(1, 2)}")

    hpy.trace.set_trace_functions(trace)
    assert calls_of(mod.add, 1, 2) == {"ctx_Add": 2}, "its own call is counted"
    assert seen == ["ctx_Add 3"], "and it is not told of it"


def test_trace_function_may_remove_itself(mod: Any) -> None:
    seen: list[str] = []

    class Trace:
        def __call__(self, name: str) -> None:
            hpy.trace.set_trace_functions(None, None)
            seen.append(name)

    hpy.trace.set_trace_functions(Trace(), Trace())
    mod.add(1, 2)
    mod.add(1, 2)
    assert seen == ["ctx_Add"]


def test_trace_functions_where_the_gil_is_released(mod: Any) -> None:
    events: list[str] = []
    hpy.trace.set_trace_functions(
        lambda name: events.append(f"> {name}"), lambda name: events.append(f"< {name}")
    )
    mod.leave()
    assert events == [
        "> ctx_LeavePythonExecution",
        "< ctx_LeavePythonExecution",
        "> ctx_ReenterPythonExecution",
        "< ctx_ReenterPythonExecution",
        "> ctx_Dup",
        "< ctx_Dup",
    ]


@pytest.mark.parametrize("which", ["enter", "exit"])
def test_trace_function_that_raises_is_fatal(
    hpy_module: Any, run_python: PythonRunner, which: str
) -> None:
    done = run_python(
        f"""
        import mytest, hpy.trace
        def trace(name):
            raise ValueError("from the trace function")
        hpy.trace.set_trace_functions(on_{which}=trace)
        mytest.add(1, 2)
        """,
        module=hpy_module.build(SOURCE),
    )
    assert done.returncode == -6
    assert f"error when executing on-{which} trace function" in done.stderr
    assert "ValueError: from the trace function" in done.stderr


def test_end_of_the_interpreter(hpy_module: Any, run_python: PythonRunner) -> None:
    source = """
    #include "hpy.h"
    typedef struct { int unused; } Late;
    HPyType_HELPERS(Late)
    HPyDef_SLOT(Late_finalize, HPy_tp_finalize)
    static void Late_finalize_impl(HPyContext *ctx, HPy self)
    {
        HPy_Close(ctx, HPyLong_FromLong(ctx, 1));
    }
    static HPyDef *Late_defines[] = {&Late_finalize, NULL};
    static HPyType_Spec Late_spec = {
        .name = "mytest.Late", .basicsize = sizeof(Late), .defines = Late_defines};
    HPyDef_SLOT(exec, HPy_mod_exec)
    static int exec_impl(HPyContext *ctx, HPy module)
    {
        return HPyHelpers_AddType(ctx, module, "Late", &Late_spec, NULL) ? 0 : -1;
    }
    """
    done = run_python(
        """
        import sys, mytest, hpy.trace
        seen = []
        hpy.trace.set_trace_functions(lambda name: seen[:0])
        sys.late = mytest.Late()
        sys.modules["late"] = mytest.Late()
        seen.append(mytest.Late())
        """,
        module=hpy_module.build(source),
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
