"""What is in debug mode costs those that are not nothing: they run as if it were not there."""

import pytest

from support.child import PythonRunner
from support.extension import ModuleFactory

HPY_ABIS = ["universal"]

SOURCE = r"""
#include "hpy.h"
#include <string.h>

/* Numbers that are added up, in handles that are opened and closed. */
HPyDef_METH(work, "work", HPyFunc_O)
static HPy work_impl(HPyContext *ctx, HPy self, HPy arg)
{
    long i, n = HPyLong_AsLong(ctx, arg);
    HPy sum = HPyLong_FromLong(ctx, 0);
    for (i = 0; i < n; i++) {
        HPy next = HPyLong_FromLong(ctx, i), old = sum;
        sum = HPy_Add(ctx, old, next);
        HPy_Close(ctx, next);
        HPy_Close(ctx, old);
    }
    return sum;
}

HPyDef_METH(nothing, "nothing", HPyFunc_NOARGS)
static HPy nothing_impl(HPyContext *ctx, HPy self)
{
    return HPy_Dup(ctx, ctx->h_None);
}

static HPyContext seen;

HPyDef_METH(look, "look", HPyFunc_NOARGS, .doc = "Keeps what the context is made of.")
static HPy look_impl(HPyContext *ctx, HPy self)
{
    seen = *ctx;
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(differs, "differs", HPyFunc_NOARGS, .doc = "How many words of it have changed.")
static HPy differs_impl(HPyContext *ctx, HPy self)
{
    void *before[sizeof(seen) / sizeof(void *)], *now[sizeof(seen) / sizeof(void *)];
    size_t i, count = 0;
    memcpy(before, &seen, sizeof(seen));
    memcpy(now, ctx, sizeof(seen));
    for (i = 0; i < sizeof(before) / sizeof(*before); i++)
        count += before[i] != now[i];
    count -= seen.ctx_Field_Store != ctx->ctx_Field_Store;  /* its stores are observed */
    return HPyLong_FromSize_t(ctx, count);
}
"""

SCRIPT = """
    import sys
    from time import perf_counter
    from hpy.universal import MODE_DEBUG, MODE_UNIVERSAL, load
    from importlib.machinery import ModuleSpec

    def module(path, mode):
        return load("mytest", path, ModuleSpec("mytest", None, origin=path), mode=mode)

    def best(function, repeat):
        def once():
            begin = perf_counter()
            function()
            return perf_counter() - begin
        return min(once() for _ in range(repeat))

    def calls():
        for _ in range(10_000):
            nothing()

    plain = module(sys.argv[1], MODE_UNIVERSAL)
    nothing = plain.nothing
    plain.look()
    before = best(lambda: plain.work(20_000), 30), best(calls, 30)
    debugged = module(sys.argv[2], MODE_DEBUG)
    slow = best(lambda: debugged.work(20_000), 10)
    after = best(lambda: plain.work(20_000), 30), best(calls, 30)
    print(plain.differs(), slow / before[0], *(b / a for a, b in zip(before, after)))
"""


@pytest.mark.promise("DBG-04")
def test_others_run_at_full_speed(hpy_module: ModuleFactory, run_python: PythonRunner) -> None:
    """Their context stays as it is, and so does the time that calls take, both ways."""
    paths = [str(hpy_module.build(SOURCE, cflags=["-O2"]).path) for _ in range(2)]
    # The best of many short runs; on a machine that is busy all the while, of three processes.
    for _ in range(3):
        done = run_python(SCRIPT, *paths)
        assert done.returncode == 0, done.stderr
        differs, slow, functions, calls = map(float, done.stdout.split())
        assert differs == 0
        if max(functions, calls) < 1.15 < slow:
            return
    pytest.fail(f"{functions:.2f} and {calls:.2f} times as long; in debug mode {slow:.2f}")
