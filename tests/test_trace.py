"""Trace mode: the context, the counts, and how it is switched on."""

import re
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import hpy.trace
import hpy.universal
from support import tree
from support.child import PythonRunner
from support.trace_source import SOURCE, calls_of, difference

HPY_ABIS = ["trace"]


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


def test_hybrid_extension(hpy_module: Any) -> None:
    source = """
    #define PY_SSIZE_T_CLEAN
    #include <Python.h>
    #include "hpy.h"
    HPyDef_METH(legacy, "legacy", HPyFunc_O)
    static HPy legacy_impl(HPyContext *ctx, HPy self, HPy arg)
    {
        PyObject *object = HPy_AsPyObject(ctx, arg);
        HPy same = HPy_FromPyObject(ctx, object);
        Py_DECREF(object);
        return same;
    }
    """
    extension = hpy_module.build(source, abi="hybrid")
    extension.abi = "trace"
    mod = hpy_module.load(extension)
    assert calls_of(mod.legacy, "x") == {"ctx_AsPyObject": 1, "ctx_FromPyObject": 1}


def test_module_in_the_older_spelling(hpy_module: Any) -> None:
    source = """
    #include "hpy.h"
    HPyDef_METH(twice, "twice", twice_impl, HPyFunc_O)
    static HPy twice_impl(HPyContext *ctx, HPy self, HPy arg)
    {
        return HPy_Add(ctx, arg, arg);
    }
    static HPyDef *defines[] = {&twice, NULL};
    static HPyModuleDef def = {.name = "mytest", .defines = defines};
    HPy_MODINIT(mytest)
    static HPy init_mytest_impl(HPyContext *ctx)
    {
        HPy_Close(ctx, HPyLong_FromLong(ctx, 1));
        return HPyModule_Create(ctx, &def);
    }
    """
    extension = hpy_module.build(source)
    seen: list[str] = []
    hpy.trace.set_trace_functions(seen.append)
    calls = calls_of(hpy_module.load, extension)
    hpy.trace.set_trace_functions(None)
    assert calls == {"ctx_Long_FromInt64_t": 1, "ctx_Close": 1}
    assert seen == ["ctx_Long_FromInt64_t", "ctx_Close"], "and not ctx_Module_Create"


def test_fatal_error(hpy_module: Any, run_python: PythonRunner) -> None:
    source = """
    #include "hpy.h"
    HPyDef_METH(die, "die", HPyFunc_NOARGS)
    static HPy die_impl(HPyContext *ctx, HPy self)
    {
        HPy_FatalError(ctx, "the end");
    }
    """
    done = run_python(
        """
        import mytest, hpy.trace
        hpy.trace.set_trace_functions(print)
        mytest.die()
        """,
        module=hpy_module.build(source),
    )
    assert (done.returncode, done.stdout) == (-6, "")
    assert "the end" in done.stderr


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
