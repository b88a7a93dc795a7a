"""Memory does not grow with the number of handles that were opened and closed."""

import pytest

from support import tree
from support.child import PythonRunner
from support.extension import ModuleFactory

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.skipif(
    tree.HAS_ASAN, reason="AddressSanitizer holds back the memory that was freed"
)

SITES = 256  # places in the source that open a handle
DEPTHS = 24  # of the C stack above them

# descend() calls itself `depth` times and then opens and closes handles at one of the sites.
SOURCE = """
#include "hpy.h"

static __attribute__((noinline)) void site(HPyContext *ctx, HPy obj, long number)
{
    HPy h;
    switch (number) {
SITES
    default:
        h = HPy_Dup(ctx, ctx->h_None);
    }
    HPy_Close(ctx, h);
}

static __attribute__((noinline)) int descend(HPyContext *ctx, HPy obj, long number, long depth)
{
    if (depth > 0)
        return descend(ctx, obj, number, depth - 1) + 1;
    site(ctx, obj, number);
    return 0;
}

/* churn(obj, begin, end) opens and closes that many handles, at all sites and depths in turn. */
HPyDef_METH(churn, "churn", HPyFunc_VARARGS)
static HPy churn_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    long i, begin = HPyLong_AsLong(ctx, args[1]), end = HPyLong_AsLong(ctx, args[2]);
    for (i = begin; i < end; i++)
        descend(ctx, args[0], i % N_SITES, (i / N_SITES) % N_DEPTHS);
    return HPy_Dup(ctx, ctx->h_None);
}

/* Handles with a copy of their bytes. */
HPyDef_METH(churn_strings, "churn_strings", HPyFunc_O)
static HPy churn_strings_impl(HPyContext *ctx, HPy self, HPy arg)
{
    long i, count = HPyLong_AsLong(ctx, arg), sum = 0;
    for (i = 0; i < count; i++) {
        HPy h = HPyUnicode_FromString(ctx, "some text");
        HPy_ssize_t size;
        const char *text = HPyUnicode_AsUTF8AndSize(ctx, h, &size);
        sum += text[0] + size;
        HPy_Close(ctx, h);
    }
    return HPyLong_FromLong(ctx, sum);
}
""".replace(
    "SITES\n",
    "".join(
        f"    case {i}:\n        h = HPy_Dup(ctx, obj);\n        break;\n" for i in range(SITES)
    ),
)
FLAGS = [f"-DN_SITES={SITES}", f"-DN_DEPTHS={DEPTHS}"]

PROGRAM = """
    import os
    import mytest
    from hpy.universal import _debug

    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    assert _debug.get_open_handles(0), "debug mode is on"
    resident()
"""


def kib_grown(text: str) -> int:
    return int(text.split()[-1]) // 1024


@pytest.mark.parametrize("cflags", [["-O0"], ["-O2"]], ids=lambda flags: flags[0])
def test_ten_million_handles(
    hpy_module: ModuleFactory, run_python: PythonRunner, cflags: list[str]
) -> None:
    """The resident memory stays within 1 MiB of where it was after the first 100 000."""
    done = run_python(
        PROGRAM
        + """
    obj = object()
    step = 1000
    for begin in range(0, 100_000, step):
        mytest.churn(obj, begin, begin + step)
    before = resident()
    highest = before
    for begin in range(100_000, 10_000_000, step):
        mytest.churn(obj, begin, begin + step)
        if begin % 500_000 == 0:
            highest = max(highest, resident())
    print(max(highest, resident()) - before)
    """,
        module=hpy_module.build(SOURCE, cflags=[*cflags, *FLAGS]),
    )
    assert done.returncode == 0, done.stderr
    assert kib_grown(done.stdout) < 1024


def test_a_million_calls(hpy_module: ModuleFactory, run_python: PythonRunner) -> None:
    """Handles of arguments and results, and contexts: four handles a call."""
    done = run_python(
        PROGRAM
        + """
    obj = object()
    def calls(count):
        for _ in range(count):
            mytest.churn(obj, 0, 2)
    calls(100_000)
    before = resident()
    calls(1_000_000)
    print(resident() - before)
    """,
        module=hpy_module.build(SOURCE, cflags=["-O2", *FLAGS]),
    )
    assert done.returncode == 0, done.stderr
    assert kib_grown(done.stdout) < 1024


def test_strings(hpy_module: ModuleFactory, run_python: PythonRunner) -> None:
    """Copies of closed handles stay within their own limit."""
    done = run_python(
        PROGRAM
        + """
    mytest.churn_strings(100_000)
    before = resident()
    for _ in range(4):
        mytest.churn_strings(100_000)
    print(resident() - before)
    """,
        module=hpy_module.build(SOURCE, cflags=["-O2", *FLAGS]),
    )
    assert done.returncode == 0, done.stderr
    assert kib_grown(done.stdout) < 1024


def test_the_measurement_sees_a_leak(hpy_module: ModuleFactory, run_python: PythonRunner) -> None:
    """That the tests above can fail: open handles are memory."""
    done = run_python(
        PROGRAM
        + """
    before = resident()
    mytest.leak()
    print(resident() - before)
    """,
        module=hpy_module.build(
            SOURCE
            + """
    HPyDef_METH(leak, "leak", HPyFunc_NOARGS)
    static HPy leak_impl(HPyContext *ctx, HPy self)
    {
        int i;
        for (i = 0; i < 100000; i++)
            HPy_Dup(ctx, ctx->h_None);
        return HPy_Dup(ctx, ctx->h_None);
    }
    """,
            cflags=["-O2", *FLAGS],
        ),
    )
    assert done.returncode == 0, done.stderr
    assert kib_grown(done.stdout) > 1024
