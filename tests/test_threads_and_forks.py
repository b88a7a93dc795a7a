"""Reports from threads that Python does not know, from forked children, and from other stacks.

No report waits for the interpreter or for a lock that nobody gives back, and every line is right.
"""

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

import hpy.debug
from hpy.debug import HPyDebugError, HPyLeakError, LeakDetector
from hpy.debug.violation import Stack
from support import tree
from support.child import PythonRunner
from support.extension import ModuleFactory, line_of

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

SOURCE = r"""
#define _GNU_SOURCE
#include "hpy.h"
#include <pthread.h>
#include <stdlib.h>
#include <ucontext.h>

static HPyContext *kept;
static HPy kept_handle;

/* A stack of its own for each depth. */
__attribute__((noinline)) static int misuse(int depth)
{
    if (depth > 0)
        return misuse(depth - 1) + 1;  /* goes down */
    HPy_Close(kept, kept_handle);  /* outside closes */
    return 0;
}

static void *misuse_at_depths(void *count)
{
    int depth;
    for (depth = 0; depth < *(int *)count; depth++)
        misuse(depth);
    return NULL;
}

/* in_threads(n, count): n threads misuse at so many depths; this one holds the interpreter. */
HPyDef_METH(in_threads, "in_threads", HPyFunc_VARARGS)
static HPy in_threads_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    pthread_t threads[64];
    int i, n = (int)HPyLong_AsLong(ctx, args[0]), count = (int)HPyLong_AsLong(ctx, args[1]);
    kept = ctx;
    kept_handle = args[0];
    for (i = 0; i < n; i++)
        pthread_create(&threads[i], NULL, misuse_at_depths, &count);
    for (i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    return HPy_Dup(ctx, ctx->h_None);
}

static volatile int stopped;
static pthread_t busy_thread;

static void *misuse_for_ever(void *unused)
{
    while (!stopped)
        misuse(0);
    return NULL;
}

HPyDef_METH(start, "start", HPyFunc_NOARGS)
static HPy start_impl(HPyContext *ctx, HPy self)
{
    kept = ctx;
    kept_handle = self;
    pthread_create(&busy_thread, NULL, misuse_for_ever, NULL);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(stop, "stop", HPyFunc_NOARGS)
static HPy stop_impl(HPyContext *ctx, HPy self)
{
    stopped = 1;
    pthread_join(busy_thread, NULL);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(leak, "leak", HPyFunc_O)
static HPy leak_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_Dup(ctx, arg);  /* leaks */
    return HPy_Dup(ctx, ctx->h_None);
}

/* Stacks that C switches: a coroutine of this function's own, which uses its context. */
static ucontext_t here, there;
static HPyContext *its_context;
static HPy its_argument;

__attribute__((noinline)) static void open_there(void)
{
    HPy_Dup(its_context, its_argument);  /* opens there */
}

static void coroutine(void)
{
    HPy h;
    open_there();  /* calls there */
    swapcontext(&there, &here);
    h = HPy_Dup(its_context, its_argument);  /* opens another */
    HPy_Close(its_context, h);  /* closes it there */
    swapcontext(&there, &here);
    HPy_Close(its_context, h);  /* closes it again */
    swapcontext(&there, &here);
}

HPyDef_METH(switch_stacks, "switch_stacks", HPyFunc_O)
static HPy switch_stacks_impl(HPyContext *ctx, HPy self, HPy arg)
{
    enum { SIZE = 1 << 18 };
    char *stack = malloc(SIZE);
    int i;
    its_context = ctx;
    its_argument = arg;
    getcontext(&there);
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = SIZE;
    there.uc_link = &here;
    makecontext(&there, coroutine, 0);
    for (i = 0; i < 3; i++) {
        HPy_Close(ctx, HPy_Dup(ctx, arg));
        swapcontext(&here, &there);
    }
    free(stack);
    return HPy_Dup(ctx, ctx->h_None);
}
"""


def line(mark: str) -> int:
    return line_of(SOURCE, f"/* {mark} */")


def own_frames(stack: Any) -> list[tuple[str, int]]:
    """Function and line of the frames of the source."""
    assert stack is not None
    return [
        (frame["function"], frame["line"])
        for frame in stack["native"]
        if (frame["file"] or "").endswith("/mytest.c")
    ]


def lines_of(report: Path) -> list[Any]:
    return [json.loads(text) for text in report.read_text().splitlines()]


@pytest.mark.parametrize("policy", ["raise", "warn"])
def test_many_threads_while_the_holder_waits(
    hpy_module: ModuleFactory, run_python: PythonRunner, tmp_path: Path, policy: str
) -> None:
    """Each mistake is told once, whoever makes it first."""
    report = tmp_path / "report.jsonl"
    done = run_python(
        """
        import sys, time, warnings
        import hpy.debug, mytest
        warnings.simplefilter("ignore")
        sys.unraisablehook = lambda unraisable: None
        told = []
        with hpy.debug.on_violation(told.append):
            mytest.in_threads(8, 25)
            time.sleep(0)  # CPython 3.9 looks for pending calls when it takes the GIL
        print(len(told))
        """,
        module=hpy_module.build(SOURCE),
        env={"HPY_DEBUG_ON_VIOLATION": policy, "HPY_DEBUG_REPORT": str(report)},
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "25\n")
    found = lines_of(report)
    assert {violation["kind"] for violation in found} == {"wrong-thread"}
    depths = sorted(len(own_frames(violation["at"])) - 2 for violation in found)
    assert depths == list(range(25))
    for violation in found:
        first, *callers, _ = own_frames(violation["at"])
        assert first == ("misuse", line("outside closes"))
        assert set(callers) <= {("misuse", line("goes down"))}
        assert violation["at"]["python"] == []
    assert done.stderr.count("error[wrong-thread]: ") == 25


@pytest.mark.skipif(
    tree.HAS_ASAN, reason="the allocator of gcc's libasan does not hold its locks over fork"
)
def test_fork_while_a_thread_reports(
    hpy_module: ModuleFactory, run_python: PythonRunner, tmp_path: Path
) -> None:
    """Whatever lock the thread holds at that moment, the child can report."""
    report = tmp_path / "report.jsonl"
    done = run_python(
        """
        import os, signal, sys, warnings
        warnings.simplefilter("ignore")
        import hpy.debug, mytest
        sys.unraisablehook = lambda unraisable: None
        mytest.start()
        for number in range(300):
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                with hpy.debug.configure(on_violation="raise"):
                    mytest.in_threads(1, 1)
                os._exit(0)
            status = os.waitpid(child, 0)[1]
            if status:
                sys.exit(f"child {number} ended with status {status}")
        mytest.stop()
        """,
        module=hpy_module.build(SOURCE),
        env={"HPY_DEBUG_ON_VIOLATION": "raise", "HPY_DEBUG_REPORT": str(report)},
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-500:]
    found = lines_of(report)
    assert len(found) == 300 + 1
    assert {own_frames(violation["at"])[0][1] for violation in found} == {line("outside closes")}


def test_leaks_of_a_forked_child(
    hpy_module: ModuleFactory, run_python: PythonRunner, tmp_path: Path
) -> None:
    """A detector that is started in the child tells what the child leaked."""
    report = tmp_path / "report.jsonl"
    done = run_python(
        """
        import os
        from hpy.debug import HPyLeakError, LeakDetector
        import mytest
        outer = LeakDetector()
        outer.start()
        mytest.leak("of the parent")
        if os.fork() == 0:
            try:
                with LeakDetector():
                    mytest.leak("of the child")
            except HPyLeakError as error:
                print("child", [v.handle.repr for v in error.violations], flush=True)
            os._exit(0)
        os.wait()
        try:
            outer.stop()
        except HPyLeakError as error:
            print("parent", [v.handle.repr for v in error.violations], flush=True)
        os._exit(0)  # what is still open at the end of the program is told then
        """,
        module=hpy_module.build(SOURCE),
        env={"HPY_DEBUG_REPORT": str(report)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "child [\"'of the child'\"]",
        "parent [\"'of the parent'\"]",
    ]
    found = lines_of(report)
    assert [violation["handle"]["repr"] for violation in found] == [
        "'of the child'",
        "'of the parent'",
    ]
    for violation in found:
        assert violation["kind"] == "handle-leak"
        assert own_frames(violation["opened"])[0] == ("leak_impl", line("leaks"))


def test_stacks_that_c_switches(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(SOURCE)
    with (
        hpy.debug.configure(on_violation="raise"),
        pytest.raises(HPyLeakError) as caught,
        LeakDetector(),
    ):
        mod.switch_stacks("x")
    (leak,) = caught.value.violations
    assert leak.kind == "handle-leak"
    assert own_frames(leak.opened)[:2] == [
        ("open_there", line("opens there")),
        ("coroutine", line("calls there")),
    ]
    error = caught.value.__context__
    assert isinstance(error, HPyDebugError)
    double = error.violation
    assert double is not None
    assert (double.kind, double.function) == ("double-close", "switch_stacks")
    for name, mark in (
        ("opened", "opens another"),
        ("closed", "closes it there"),
        ("at", "closes it again"),
    ):
        assert own_frames(double[name])[:1] == [("coroutine", line(mark))]


GREENLETS = r"""
#include <Python.h>
#include <greenlet/greenlet.h>
#include "hpy.h"

HPyDef_SLOT(exec, HPy_mod_exec)
static int exec_impl(HPyContext *ctx, HPy module)
{
    PyGreenlet_Import();
    return _PyGreenlet_API == NULL ? -1 : 0;
}

/* Switches without telling the context. */
static int hop_to(HPyContext *ctx, HPy greenlet)
{
    PyObject *object = HPy_AsPyObject(ctx, greenlet);
    PyObject *result = PyGreenlet_Switch((PyGreenlet *)object, NULL, NULL);
    Py_DECREF(object);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* hop(choose, n): n times, calls of the API around a switch to the greenlet that choose() gives. */
HPyDef_METH(hop, "hop", HPyFunc_VARARGS)
static HPy hop_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    long i, n = HPyLong_AsLong(ctx, args[1]);
    for (i = 0; i < n; i++) {
        HPy other = HPy_Call(ctx, args[0], NULL, 0, HPy_NULL);
        HPy kept = HPy_Dup(ctx, args[0]);
        int is_none = HPy_Is(ctx, other, ctx->h_None);
        int status = HPy_IsNull(other) ? -1 : is_none ? 0 : hop_to(ctx, other);
        HPy_Close(ctx, kept);
        HPy_Close(ctx, other);
        if (status < 0)
            return HPy_NULL;
    }
    return HPyLong_FromLong(ctx, n);
}

/* hop_and_use(greenlet): what is wrong is split by the switch. */
HPyDef_METH(hop_and_use, "hop_and_use", HPyFunc_O)
static HPy hop_and_use_impl(HPyContext *ctx, HPy self, HPy greenlet)
{
    HPy h = HPy_Dup(ctx, greenlet);  /* opens before */
    if (hop_to(ctx, greenlet) < 0)
        return HPy_NULL;
    HPy_Close(ctx, h);  /* closes after */
    if (hop_to(ctx, greenlet) < 0)
        return HPy_NULL;
    return HPy_Repr(ctx, h);  /* uses after */
}
"""


@pytest.fixture
def greenlets(hpy_module: ModuleFactory) -> Any:
    """An extension that switches greenlets by their C API."""
    greenlet = pytest.importorskip("greenlet")
    if tree.HAS_ASAN:
        pytest.skip("greenlet copies stacks, and with them what AddressSanitizer has poisoned")
    include = os.path.dirname(os.path.dirname(greenlet.__file__))
    return hpy_module(GREENLETS, abi="hybrid-debug", cflags=["-isystem", include])


def test_greenlets_that_c_switches(greenlets: Any) -> None:
    greenlet = pytest.importorskip("greenlet")
    with hpy.debug.configure(on_violation="raise"):
        for seed in range(30):
            chance = random.Random(seed)
            alive: list[Any] = []

            def other(chance: Any = chance, alive: list[Any] = alive) -> Any:
                others = [g for g in alive if not g.dead and g is not greenlet.getcurrent()]
                return chance.choice(others) if others else None

            def body(depth: int, other: Any = other) -> Any:
                if depth == 0:
                    return greenlets.hop(other, 3)
                return greenlets.hop(lambda: body(depth - 1) and None, 1)

            alive += [greenlet.greenlet(lambda i=i: body(i % 4)) for i in range(6)]
            while any(not g.dead for g in alive):
                chance.choice([g for g in alive if not g.dead]).switch()


def test_mistake_around_a_switch_in_c(greenlets: Any) -> None:
    greenlet = pytest.importorskip("greenlet")
    main = greenlet.getcurrent()

    def idle() -> None:
        while True:
            greenlets.hop(lambda: main, 1)

    other = greenlet.greenlet(idle)
    with hpy.debug.configure(on_violation="raise"), pytest.raises(HPyDebugError) as caught:
        greenlets.hop_and_use(other)
    violation = caught.value.violation
    assert violation is not None
    assert (violation.kind, violation.function) == ("use-after-close", "hop_and_use")
    for name, mark in (
        ("opened", "opens before"),
        ("closed", "closes after"),
        ("at", "uses after"),
    ):
        stack: Stack = violation[name]
        frame = stack.native[0]
        assert (frame.function, frame.line) == (
            "hop_and_use_impl",
            line_of(GREENLETS, f"/* {mark} */"),
        )
        assert stack.python[0].function == "test_mistake_around_a_switch_in_c"
