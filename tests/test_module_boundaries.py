"""Mistakes on the ways into an extension that no object of it is called for: HPy_mod_create,
HPy_mod_exec, and the destructor of a capsule."""

import sys
from typing import Optional

import pytest

import hpy.debug
from hpy.debug import HPyDebugError, HPyLeakError, LeakDetector
from hpy.debug.violation import Violation
from support.extension import ModuleFactory, line_of

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

EXEC = """#include "hpy.h"
HPyDef_SLOT(run, HPy_mod_exec)
static int run_impl(HPyContext *ctx, HPy module)
{
    HPy one = HPyLong_FromLong(ctx, 1); /* opened */
    int status = HPy_SetAttr_s(ctx, module, "one", one);
    MISTAKE
    return status;
}
static HPyDef *defines[] = {&run, NULL};
static HPyModuleDef def = {.defines = defines};
HPy_MODINIT(mytest, def)
"""
CREATE = """#include "hpy.h"
HPyDef_SLOT(create, HPy_mod_create)
static HPy create_impl(HPyContext *ctx, HPy spec)
{
    HPy one = HPyLong_FromLong(ctx, 1); /* opened */
    MISTAKE
    return one;
}
static HPyDef *defines[] = {&create, NULL};
static HPyModuleDef def = {.defines = defines};
HPy_MODINIT(mytest, def)
"""
CLOSE = "HPy_Close(ctx, one);"
SET = 'HPyErr_SetString(ctx, ctx->h_KeyError, "of the extension");'
# Source, what is wrong, its kind, and the texts of the lines of its `at`, `opened` and `closed`.
MISTAKES = [
    (EXEC, f"{CLOSE} return -1;", "error-without-exception", None, None),
    (EXEC, f"{CLOSE} {SET}", "result-with-exception", None, None),
    (EXEC, f"{CLOSE}\n    HPy_Close(ctx, one); /* at */", "double-close", "/* at */", CLOSE),
    (EXEC, f"{CLOSE}\n    HPy_Length(ctx, one); /* at */", "use-after-close", "/* at */", CLOSE),
    (CREATE, f"{CLOSE} return HPy_NULL;", "error-without-exception", None, None),
    (CREATE, SET, "result-with-exception", None, None),
    (CREATE, CLOSE, "return-of-closed", None, CLOSE),
    (CREATE, "HPy_Close(ctx, one); return ctx->h_None;", "return-of-constant", None, None),
    (CREATE, f"{CLOSE}\n    HPy_Close(ctx, one); /* at */", "double-close", "/* at */", CLOSE),
]


def lines(violation: Violation, name: str) -> list[int]:
    stack = getattr(violation, name)
    return [] if stack is None else [frame.line for frame in stack.native]


@pytest.mark.parametrize(("source", "mistake", "kind", "at", "closed"), MISTAKES)
def test_mistake_while_a_module_is_made(
    hpy_module: ModuleFactory,
    source: str,
    mistake: str,
    kind: str,
    at: Optional[str],
    closed: Optional[str],
) -> None:
    text = source.replace("MISTAKE", mistake)
    with hpy.debug.configure(on_violation="raise"), pytest.raises(HPyDebugError) as caught:
        hpy_module(text)
    violation = caught.value.violation
    assert violation is not None
    assert violation.kind == kind
    slot = "HPy_mod_exec" if source is EXEC else "HPy_mod_create"
    assert violation.function == slot
    assert violation.module == "mytest"
    if at is not None:
        assert lines(violation, "at")[0] == line_of(text, at)
    if closed is not None:
        assert lines(violation, "opened")[0] == line_of(text, "/* opened */")
        first = text[: text.index(CLOSE)].count("\n") + 1
        assert lines(violation, "closed")[0] == first


def test_right_modules_give_no_report(hpy_module: ModuleFactory) -> None:
    with hpy.debug.configure(on_violation="raise"), LeakDetector():
        assert hpy_module(EXEC.replace("MISTAKE", CLOSE)).one == 1
        assert hpy_module(CREATE.replace("MISTAKE", "")) == 1


@pytest.mark.parametrize("source", [EXEC, CREATE])
def test_leak_while_a_module_is_made(hpy_module: ModuleFactory, source: str) -> None:
    text = source.replace("MISTAKE", "HPy_Dup(ctx, one); /* leaked */")
    with pytest.raises(HPyLeakError) as caught, LeakDetector():
        hpy_module(text.replace("return status;", "HPy_Close(ctx, one); return status;"))
    (leak,) = caught.value.leaks
    assert f"mytest.c:{line_of(text, '/* leaked */')}" in str(leak)


CAPSULE = r"""
#include "hpy.h"
static HPyContext *kept;
static int value, mode;
HPyCapsule_DESTRUCTOR(on_end)
static void on_end_impl(const char *name, void *pointer, void *context)
{
    if (mode == 1)
        HPy_Close(kept, kept->h_None); /* stale */
#ifdef HPY_ABI_HYBRID
    if (mode == 2)
        PyErr_SetString(PyExc_KeyError, "of the extension");
#endif
}
HPyDef_METH(make, "make", HPyFunc_O)
static HPy make_impl(HPyContext *ctx, HPy self, HPy arg)
{
    kept = ctx;
    mode = (int)HPyLong_AsLong(ctx, arg);
    return HPyCapsule_New(ctx, &value, "name", &on_end);
}
"""


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[Optional[BaseException]]:
    seen: list[Optional[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda u: seen.append(u.exc_value))
    return seen


def mistake_in_a_destructor(
    hpy_module: ModuleFactory, unraisable: list[Optional[BaseException]], mode: int
) -> HPyDebugError:
    """What is told of a capsule that is made and dies in this mode; of one in mode 0, nothing."""
    with hpy.debug.configure(on_violation="raise"):
        mod = hpy_module(CAPSULE)
        mod.make(0)
        assert unraisable == []
        mod.make(mode)
        # Where no call is in progress to raise it, Python hears of it when it next looks.
        for _ in range(2):
            pass
    (error,) = unraisable
    assert isinstance(error, HPyDebugError)
    return error


def test_stale_context_in_the_destructor_of_a_capsule(
    hpy_module: ModuleFactory, unraisable: list[Optional[BaseException]]
) -> None:
    violation = mistake_in_a_destructor(hpy_module, unraisable, 1).violation
    assert violation is not None
    assert violation.kind == "stale-context"
    assert lines(violation, "at")[0] == line_of(CAPSULE, "/* stale */")


@pytest.mark.hpy_abis("hybrid-debug")
def test_exception_that_the_destructor_of_a_capsule_leaves(
    hpy_module: ModuleFactory, unraisable: list[Optional[BaseException]]
) -> None:
    error = mistake_in_a_destructor(hpy_module, unraisable, 2)
    assert isinstance(error.__context__, KeyError)
    assert error.violation is not None
    assert error.violation.kind == "result-with-exception"
