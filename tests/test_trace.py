"""Trace mode: hpy.trace, HPY=trace and MODE_TRACE, also around debug mode."""

import re
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, Callable

import pytest

import hpy.trace
import hpy.universal
from hpy.debug import HPyLeakError, LeakDetector
from support import tree
from support.child import PythonRunner

HPY_ABIS = ["trace"]

SOURCE = """
#include "hpy.h"

HPyDef_METH(add, "add", HPyFunc_VARARGS)
static HPy add_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    if (nargs != 2) {
        HPyErr_SetString(ctx, ctx->h_TypeError, "two arguments, please");
        return HPy_NULL;
    }
    return HPy_Add(ctx, args[0], args[1]);
}

HPyDef_METH(call, "call", HPyFunc_O)
static HPy call_impl(HPyContext *ctx, HPy self, HPy arg)
{
    return HPy_CallTupleDict(ctx, arg, HPy_NULL, HPy_NULL);
}

HPyDef_METH(nothing, "nothing", HPyFunc_NOARGS)
static HPy nothing_impl(HPyContext *ctx, HPy self)
{
    return HPy_NULL;  /* with the exception that is pending */
}

HPyDef_METH(name, "name", HPyFunc_NOARGS)
static HPy name_impl(HPyContext *ctx, HPy self)
{
    return HPyUnicode_FromString(ctx, ctx->name);
}

HPyDef_METH(same_bits, "same_bits", HPyFunc_O)
static HPy same_bits_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy copy = HPy_Dup(ctx, arg);
    int same = copy._i == arg._i && (copy._i & 1) != 0;
    HPy_Close(ctx, copy);
    return HPyBool_FromBool(ctx, same);
}

static HPyContext *first_ctx;

HPyDef_METH(same_context, "same_context", HPyFunc_NOARGS)
static HPy same_context_impl(HPyContext *ctx, HPy self)
{
    if (first_ctx == NULL) first_ctx = ctx;
    return HPyBool_FromBool(ctx, ctx == first_ctx);
}

HPyDef_METH(leave, "leave", HPyFunc_NOARGS)
static HPy leave_impl(HPyContext *ctx, HPy self)
{
    HPy_BEGIN_LEAVE_PYTHON(ctx)
    HPy_END_LEAVE_PYTHON(ctx)
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(leak, "leak", HPyFunc_O)
static HPy leak_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_Add(ctx, arg, arg);  /* the leak */
    return HPy_Dup(ctx, ctx->h_None);
}

typedef struct { long value; } Point;
HPyType_HELPERS(Point)

HPyDef_SLOT(Point_new, HPy_tp_new)
static HPy Point_new_impl(HPyContext *ctx, HPy cls, const HPy *args, HPy_ssize_t nargs, HPy kw)
{
    Point *point;
    HPy self = HPy_New(ctx, cls, &point);
    if (!HPy_IsNull(self)) point->value = (long)nargs;
    return self;
}

HPyDef_SLOT(Point_repr, HPy_tp_repr)
static HPy Point_repr_impl(HPyContext *ctx, HPy self)
{
    return HPyUnicode_FromFormat(ctx, "Point of %ld", Point_AsStruct(ctx, self)->value);
}

static HPyDef *Point_defines[] = {&Point_new, &Point_repr, NULL};
static HPyType_Spec Point_spec = {
    .name = "mytest.Point", .basicsize = sizeof(Point), .defines = Point_defines};

HPyDef_SLOT(exec, HPy_mod_exec)
static int exec_impl(HPyContext *ctx, HPy module)
{
    return HPyHelpers_AddType(ctx, module, "Point", &Point_spec, NULL) ? 0 : -1;
}
"""

# What the interpreter may do beside the test is not counted: only extensions in trace mode are.
Counts = dict[str, int]


def difference(new: Counts, old: Counts) -> Counts:
    assert list(new) == list(old)
    return {name: new[name] - old[name] for name in new if new[name] != old[name]}


def calls_of(function: Callable[..., Any], *args: Any) -> Counts:
    before = hpy.trace.get_call_counts()
    function(*args)
    return difference(hpy.trace.get_call_counts(), before)


@pytest.fixture
def mod(hpy_module: Any) -> Iterator[Any]:
    yield hpy_module(SOURCE)
    hpy.trace.set_trace_functions(None, None)


# --------------------------------------------------------------------------------------------------
# The module


def test_older_name() -> None:
    module = hpy.universal._trace
    assert module.__name__ == "hpy.trace._trace"
    assert module is hpy.universal._trace
    assert "hpy.trace._trace" not in sys.modules
    for name in ["get_call_counts", "get_durations", "get_frequency", "set_trace_functions"]:
        assert getattr(hpy.trace, name) is getattr(module, name)


def test_names_are_those_of_the_table_in_its_order() -> None:
    table = (tree.REPOSITORY / "abi" / "context.inc").read_text()
    members = re.findall(r"^HPY_(?:FUNC|PROC)\(\d+, (ctx_\w+),", table, re.M)
    # Not in the list: debug_ctx/trace.h says why.
    members.remove("ctx_Module_Create")
    assert len(members) == 189
    assert list(hpy.trace.get_call_counts()) == members
    assert list(hpy.trace.get_durations()) == members
    assert {"ctx_FatalError", "ctx_CallRealFunctionFromTrampoline"} <= set(members)


def test_each_dict_is_new() -> None:
    hpy.trace.get_call_counts()["ctx_Add"] = -1
    hpy.trace.get_durations().clear()
    assert hpy.trace.get_call_counts()["ctx_Add"] >= 0
    assert len(hpy.trace.get_durations()) == 189


def test_frequency() -> None:
    resolution = time.clock_getres(time.CLOCK_MONOTONIC_RAW)
    assert hpy.trace.get_frequency() == int(1 / resolution + 0.5)


@pytest.mark.parametrize(
    "name", ["get_call_counts", "get_durations", "get_frequency", "set_trace_functions"]
)
def test_too_many_arguments(name: str) -> None:
    with pytest.raises(TypeError):
        getattr(hpy.trace, name)(None, None, None)


# --------------------------------------------------------------------------------------------------
# The context


def test_context(mod: Any) -> None:
    assert mod.name().startswith("HPy Trace Mode ABI")
    assert mod.same_context()
    assert mod.same_context(), "not a context of its own for each call"
    assert mod.same_bits("x"), "handles are those of the universal mode"


def test_types(mod: Any) -> None:
    point: list[Any] = []
    assert calls_of(lambda: point.append(mod.Point(1, 2))) == {"ctx_New": 1}
    calls = calls_of(lambda: point.append(repr(point[0])))
    assert point[1] == "Point of 2"
    assert calls["ctx_AsStruct_Object"] == 1


# --------------------------------------------------------------------------------------------------
# Counts and durations


def test_counts_are_exact(mod: Any) -> None:
    assert calls_of(mod.add, 1, 2) == {"ctx_Add": 1}

    def many() -> None:
        for _ in range(1000):
            mod.add(1, 2)

    assert calls_of(many) == {"ctx_Add": 1000}
    assert hpy.trace.get_call_counts()["ctx_CallRealFunctionFromTrampoline"] == 0
    assert hpy.trace.get_call_counts()["ctx_FatalError"] == 0


def test_error_path(mod: Any) -> None:
    def fails() -> None:
        with pytest.raises(TypeError, match="two arguments, please"):
            mod.add(1)

    assert calls_of(fails) == {"ctx_Err_SetString": 1}


def test_call_that_fails_counts(mod: Any) -> None:
    def fails() -> None:
        with pytest.raises(TypeError, match="unsupported operand"):
            mod.add(1, "x")

    assert calls_of(fails) == {"ctx_Add": 1}


def test_callback_nests(mod: Any) -> None:
    assert calls_of(mod.call, lambda: mod.add(1, 2)) == {"ctx_CallTupleDict": 1, "ctx_Add": 1}


def test_only_extensions_in_trace_mode_count(mod: Any, hpy_module: Any) -> None:
    other = hpy_module.load(hpy_module.build(SOURCE, abi="universal"))
    assert calls_of(other.add, 1, 2) == {}


def test_threads(mod: Any) -> None:
    def work() -> None:
        for _ in range(500):
            mod.leave()

    def run() -> None:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert calls_of(run) == {
        "ctx_LeavePythonExecution": 2000,
        "ctx_ReenterPythonExecution": 2000,
        "ctx_Dup": 2000,
    }


def test_durations_include_nested_calls(mod: Any) -> None:
    def callback() -> None:
        time.sleep(0.05)
        mod.add(1, 2)

    before = hpy.trace.get_durations()
    start = time.perf_counter_ns()
    mod.call(callback)
    elapsed = time.perf_counter_ns() - start
    spent = difference(hpy.trace.get_durations(), before)
    assert set(spent) == {"ctx_CallTupleDict", "ctx_Add"}
    assert all(type(value) is int for value in spent.values())
    assert 0 < spent["ctx_Add"] < spent["ctx_CallTupleDict"]
    # The two clocks may run at rates that differ by a few parts in ten thousand.
    assert 0.049e9 < spent["ctx_CallTupleDict"] < elapsed * 1.01


def test_durations_do_not_include_the_trace_functions(mod: Any) -> None:
    hpy.trace.set_trace_functions(lambda name: time.sleep(0.02), lambda name: time.sleep(0.02))
    before = hpy.trace.get_durations()
    mod.add(1, 2)
    assert difference(hpy.trace.get_durations(), before)["ctx_Add"] < 0.02e9


# --------------------------------------------------------------------------------------------------
# Trace functions


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


# --------------------------------------------------------------------------------------------------
# How it is switched on


def test_environment_variable(hpy_module: Any, run_python: PythonRunner) -> None:
    done = run_python(
        """
        import mytest
        from hpy.trace import get_call_counts
        before = get_call_counts()["ctx_Add"]
        mytest.add(1, 2)
        after = get_call_counts()["ctx_Add"]
        print(f'get_call_counts()["ctx_Add"] == {after - before}')
        """,
        env={"HPY": "trace", "HPY_LOG": "1"},
        module=hpy_module.build(SOURCE, abi="universal"),
    )
    assert done.stderr == ""
    assert done.stdout == (
        "Loading 'mytest' in HPy universal mode with a trace context\n"
        'get_call_counts()["ctx_Add"] == 1\n'
    )


def test_for_one_module(hpy_module: Any, run_python: PythonRunner) -> None:
    done = run_python(
        """
        import one, two, hpy.trace
        one.add(1, 2)
        two.add(1, 2)
        print(one.name()[:8], two.name()[:8], hpy.trace.get_call_counts()["ctx_Add"])
        """,
        env={"HPY": "two:trace"},
        module=[hpy_module.build(SOURCE, name) for name in ("one", "two")],
    )
    assert (done.stdout, done.stderr) == ("HPy Univ HPy Trac 1\n", "")


def test_needs_no_debug_mode(hpy_module: Any, run_python: PythonRunner) -> None:
    done = run_python(
        """
        import sys, mytest, hpy.trace
        mytest.add(1, 2)
        assert hpy.trace.get_call_counts()["ctx_Add"] == 1
        assert not [name for name in sys.modules if name.startswith("hpy.debug")]
        """,
        module=hpy_module.build(SOURCE),
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_subinterpreter(hpy_module: Any, run_python: PythonRunner) -> None:
    # Each interpreter has counts and trace functions of its own, though the two share the library.
    done = run_python(
        """
        import _testcapi, mytest, hpy.trace
        hpy.trace.set_trace_functions(lambda name: print("first", name))
        for _ in range(2):
            _testcapi.run_in_subinterp('''if True:
                import mytest, hpy.trace
                mytest.add(1, 2)
                hpy.trace.set_trace_functions(lambda name: print("second", name))
                mytest.add(1, 2)
                print(hpy.trace.get_call_counts()["ctx_Add"])
            ''')
        mytest.add(1, 2)
        print(hpy.trace.get_call_counts()["ctx_Add"])
        """,
        module=hpy_module.build(SOURCE),
    )
    assert done.stderr == ""
    assert done.stdout == "second ctx_Add\n2\n" * 2 + "first ctx_Add\n1\n"


# --------------------------------------------------------------------------------------------------
# Around debug mode


@pytest.fixture
def traced_debug_mod(hpy_module: Any) -> Iterator[Any]:
    module = hpy_module(SOURCE)
    hpy.trace.trace_debug_mode()
    yield module
    hpy.trace.trace_debug_mode(False)
    hpy.trace.set_trace_functions(None, None)


@pytest.mark.hpy_abis("debug")
def test_debug_mode_is_traced(traced_debug_mod: Any) -> None:
    mod = traced_debug_mod
    assert calls_of(mod.add, 1, 2) == {"ctx_Add": 1}
    assert calls_of(mod.call, lambda: mod.add(1, 2)) == {"ctx_CallTupleDict": 1, "ctx_Add": 1}
    assert mod.name().startswith("HPy Debug Mode ABI")
    assert not mod.same_bits("x"), "handles are those of the debug mode"
    assert mod.leave() is None
    point = mod.Point(1)
    assert repr(point) == "Point of 1"


@pytest.mark.hpy_abis("debug")
def test_debug_mode_is_traced_between_two_switches(hpy_module: Any) -> None:
    mod = hpy_module(SOURCE)
    for _ in range(100):
        assert calls_of(mod.add, 1, 2) == {}
    hpy.trace.trace_debug_mode()
    hpy.trace.trace_debug_mode(enabled=True)
    for _ in range(100):
        assert calls_of(mod.add, 1, 2) == {"ctx_Add": 1}
    hpy.trace.trace_debug_mode(enabled=False)
    hpy.trace.trace_debug_mode(False)
    for _ in range(100):
        assert calls_of(mod.add, 1, 2) == {}


@pytest.mark.hpy_abis("debug")
def test_switched_on_and_off_by_a_call_in_progress(hpy_module: Any) -> None:
    mod = hpy_module(SOURCE)

    def callback(enabled: bool) -> None:
        hpy.trace.trace_debug_mode(enabled)
        mod.add(1, 2)

    assert calls_of(mod.call, lambda: callback(True)) == {"ctx_Add": 1}
    assert calls_of(mod.call, lambda: callback(False)) == {"ctx_CallTupleDict": 1}


@pytest.mark.hpy_abis("debug")
@pytest.mark.no_leak_check
def test_reports_are_those_of_debug_mode(traced_debug_mod: Any) -> None:
    events: list[str] = []
    hpy.trace.set_trace_functions(events.append)
    detector = LeakDetector()
    detector.start()
    traced_debug_mod.leak(21)
    hpy.trace.set_trace_functions(None)
    with pytest.raises(HPyLeakError, match="1 unclosed handle") as caught:
        detector.stop()
    assert events == ["ctx_Add", "ctx_Dup"]
    [leak] = caught.value.violations
    frames = leak.opened.native
    assert [frame.function for frame in frames][:1] == ["leak_impl"]
    line = SOURCE.splitlines()[frames[0].line - 1]
    assert "the leak" in line
    assert not [frame for frame in frames if "hpy/trace" in (frame.library or "")]
