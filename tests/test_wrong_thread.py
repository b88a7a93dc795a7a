"""Threads without the interpreter, and stacks that are swapped (greenlets)."""

import json
import random
import sys
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

import hpy.debug
from hpy.debug import HPyDebugError
from support import tree
from support.child import PythonRunner
from support.extension import ModuleFactory, line_of

no_greenlets = pytest.mark.skipif(
    tree.HAS_ASAN,
    reason="greenlet copies stacks, and with them what AddressSanitizer has poisoned",
)

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

SOURCE = r"""
#include "hpy.h"
#include <pthread.h>

static HPyContext *kept;
static HPy kept_handle;

static void *dup_it(void *unused)
{
    HPy_Dup(kept, kept_handle);  /* dup calls */
    return NULL;
}
static void *close_it(void *unused)
{
    HPy_Close(kept, kept_handle);  /* close calls */
    return NULL;
}
static void *add_it(void *unused)
{
    HPy_Add(kept, kept_handle, kept_handle);  /* add calls */
    return NULL;
}

/* in_thread(which): waits for the thread, and holds the interpreter meanwhile. */
HPyDef_METH(in_thread, "in_thread", HPyFunc_O)
static HPy in_thread_impl(HPyContext *ctx, HPy self, HPy arg)
{
    void *(*functions[])(void *) = {dup_it, close_it, add_it};
    pthread_t thread;
    int i, which = (int)HPyLong_AsLong(ctx, arg);
    kept = ctx;
    kept_handle = arg;
    for (i = 0; i < 3; i++) {  /* reported once */
        pthread_create(&thread, NULL, functions[which], NULL);
        pthread_join(thread, NULL);
    }
    return HPy_Dup(ctx, arg);
}

/* call(f, n): API calls before and after each of n calls of f. */
HPyDef_METH(call, "call", HPyFunc_VARARGS)
static HPy call_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    long i, n = HPyLong_AsLong(ctx, args[1]);
    for (i = 0; i < n; i++) {
        HPy result = HPy_Call(ctx, args[0], NULL, 0, HPy_NULL);
        if (HPy_IsNull(result))
            return HPy_NULL;
        HPy_Close(ctx, result);
        HPy_Close(ctx, HPy_Dup(ctx, args[0]));
    }
    return HPyLong_FromLong(ctx, n);
}

/* keep(f): calls f while its context is kept. */
HPyDef_METH(keep, "keep", HPyFunc_O)
static HPy keep_impl(HPyContext *ctx, HPy self, HPy f)
{
    kept = ctx;
    return HPy_Call(ctx, f, NULL, 0, HPy_NULL);
}

/* steal(f): uses the kept context of another call after f. */
HPyDef_METH(steal, "steal", HPyFunc_O)
static HPy steal_impl(HPyContext *ctx, HPy self, HPy f)
{
    HPy result = HPy_Call(ctx, f, NULL, 0, HPy_NULL);
    if (HPy_IsNull(result))
        return HPy_NULL;
    HPy_Close(ctx, result);
    return HPyLong_FromLong(kept, 3);  /* steals */
}
"""

KINDS = [("dup", "HPy_Dup"), ("close", "HPy_Close"), ("add", "HPy_Add")]


@pytest.fixture
def mod(hpy_module: ModuleFactory) -> Any:
    return hpy_module(SOURCE)


@pytest.mark.parametrize("which", range(3))
@pytest.mark.parametrize("policy", ["raise", "warn", "abort"])
def test_thread_without_the_interpreter(
    hpy_module: ModuleFactory, run_python: PythonRunner, tmp_path: Path, which: int, policy: str
) -> None:
    name, api = KINDS[which]
    report = tmp_path / "report.jsonl"
    done = run_python(
        f"""
        import sys, mytest, warnings
        warnings.simplefilter("always")
        sys.unraisablehook = lambda u: print("unraisable", u.exc_value.violation.kind)
        print(mytest.in_thread({which}))
        for _ in range(3):
            pass
        """,
        module=hpy_module.build(SOURCE),
        env={"HPY_DEBUG_ON_VIOLATION": policy, "HPY_DEBUG_REPORT": str(report)},
        timeout=60,
    )
    (line,) = report.read_text().splitlines()
    found = json.loads(line)
    assert (found["kind"], found["api"], found["function"]) == ("wrong-thread", api, None)
    frame = found["at"]["native"][0]
    assert (frame["function"], frame["line"]) == (
        f"{name}_it",
        line_of(SOURCE, f"/* {name} calls */"),
    )
    assert found["at"]["python"] == []
    assert done.stderr.startswith(f"error[wrong-thread]: {api} was called from a thread ")
    if policy == "abort":
        assert (done.returncode, done.stdout) == (-6, "")
        return
    assert done.returncode == 0
    expected = [str(which)] + (["unraisable wrong-thread"] if policy == "raise" else [])
    assert sorted(done.stdout.splitlines()) == sorted(expected)
    assert ("HPyDebugWarning: error[wrong-thread]" in done.stderr) == (policy == "warn")


@no_greenlets
def test_greenlets_in_many_interleavings(mod: Any) -> None:
    greenlet = pytest.importorskip("greenlet")
    with hpy.debug.configure(on_violation="raise"):
        for seed in range(30):
            chance = random.Random(seed)
            alive: list[Any] = []

            def switch(chance: random.Random = chance, alive: list[Any] = alive) -> None:
                others = [g for g in alive if not g.dead and g is not greenlet.getcurrent()]
                if others:
                    chance.choice(others).switch()

            def body(depth: int, switch: Callable[[], None] = switch) -> int:
                if depth == 0:
                    return mod.call(switch, 3)  # type: ignore[no-any-return]
                return mod.call(lambda: body(depth - 1), 1)  # type: ignore[no-any-return]

            alive += [greenlet.greenlet(lambda i=i: body(i % 4)) for i in range(6)]
            while any(not g.dead for g in alive):
                chance.choice([g for g in alive if not g.dead]).switch()


@no_greenlets
def test_context_of_another_greenlet(mod: Any) -> None:
    """Kept by a call that is in progress on a stack that is swapped out."""
    greenlet = pytest.importorskip("greenlet")
    with hpy.debug.configure(on_violation="raise"):
        main = greenlet.getcurrent()
        thief = greenlet.greenlet(lambda: mod.steal(main.switch))
        thief.switch()
        holder = greenlet.greenlet(lambda: mod.keep(main.switch))
        holder.switch()
        with pytest.raises(HPyDebugError) as caught:
            thief.switch(1)
        holder.switch(1)
        assert holder.dead
    violation = caught.value.violation
    assert violation is not None
    assert (violation.kind, violation.function) == ("stale-context", "steal")
    assert violation.at is not None
    assert violation.at.native[0].line == line_of(SOURCE, "/* steals */")


def test_context_of_an_outer_call(mod: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Optional[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda u: seen.append(u.exc_value))
    with hpy.debug.configure(on_violation="raise"), pytest.raises(HPyDebugError) as caught:
        mod.keep(lambda: mod.steal(int))
    assert caught.value.violation is not None
    assert caught.value.violation.kind == "stale-context"
    assert seen == []
