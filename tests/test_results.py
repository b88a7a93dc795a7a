"""What a function returns and whether an exception is set must agree: error-without-exception, and
result-with-exception, for every way from Python into an extension.

An exception that was set before the call is no mistake of the function, and neither is a result
that only a refused call made wrong.
"""

# The blocks of several statements are what is looked at.
# ruff: noqa: PT012, SIM117

import gc
import json
import sys
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

import hpy.debug
from hpy.debug import HPyDebugError, HPyDebugWarning
from hpy.debug.violation import Violation
from support.child import PythonRunner
from support.extension import ModuleFactory, line_of

HPY_ABIS = ["debug"]
pytestmark = pytest.mark.no_leak_check

SOURCE = r"""
#include "hpy.h"
#include <string.h>

static int mode;
enum { RIGHT, SILENT_ERROR, LOUD_RESULT, LOUD_ERROR, RELEASE, FINALIZE };

HPyDef_METH(set_mode, "set_mode", HPyFunc_O)
static HPy set_mode_impl(HPyContext *ctx, HPy self, HPy arg)
{
    mode = (int)HPyLong_AsLong(ctx, arg);
    return HPy_Dup(ctx, ctx->h_None);
}

static void maybe_set(HPyContext *ctx)
{
    if (mode == LOUD_RESULT || mode == LOUD_ERROR)
        HPyErr_SetString(ctx, ctx->h_KeyError, "of the extension");
}

static int failing(void) { return mode == SILENT_ERROR || mode == LOUD_ERROR; }

static HPy result(HPyContext *ctx)
{
    maybe_set(ctx);
    return failing() ? HPy_NULL : HPyLong_FromLong(ctx, 7);
}

static int status(HPyContext *ctx)
{
    maybe_set(ctx);
    return failing() ? -1 : 0;
}

HPyDef_METH(noargs, "noargs", HPyFunc_NOARGS)
static HPy noargs_impl(HPyContext *ctx, HPy self)
{  /* noargs */
    return result(ctx);
}

HPyDef_METH(o, "o", HPyFunc_O)
static HPy o_impl(HPyContext *ctx, HPy self, HPy arg)
{  /* o */
    return result(ctx);
}

HPyDef_METH(varargs, "varargs", HPyFunc_VARARGS)
static HPy varargs_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{  /* varargs */
    return result(ctx);
}

HPyDef_METH(keywords, "keywords", HPyFunc_KEYWORDS)
static HPy keywords_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs, HPy kwnames)
{  /* keywords */
    return result(ctx);
}

typedef struct { long value; } Thing;
HPyType_HELPERS(Thing)

HPyDef_SLOT(Thing_new, HPy_tp_new)
static HPy Thing_new_impl(HPyContext *ctx, HPy cls, const HPy *args, HPy_ssize_t nargs, HPy kw)
{  /* HPy_tp_new */
    Thing *thing;
    if (mode != RIGHT && nargs > 0)
        return result(ctx);
    return HPy_New(ctx, cls, &thing);
}

HPyDef_SLOT(Thing_init, HPy_tp_init)
static int Thing_init_impl(HPyContext *ctx, HPy self, const HPy *args, HPy_ssize_t nargs, HPy kw)
{  /* HPy_tp_init */
    return nargs > 1 ? status(ctx) : 0;
}

HPyDef_SLOT(Thing_repr, HPy_tp_repr)
static HPy Thing_repr_impl(HPyContext *ctx, HPy self)
{  /* HPy_tp_repr */
    maybe_set(ctx);
    return failing() ? HPy_NULL : HPyUnicode_FromString(ctx, "thing");
}

HPyDef_SLOT(Thing_hash, HPy_tp_hash)
static HPy_hash_t Thing_hash_impl(HPyContext *ctx, HPy self)
{  /* HPy_tp_hash */
    maybe_set(ctx);
    return failing() ? -1 : -17;
}

HPyDef_SLOT(Thing_call, HPy_tp_call)
static HPy Thing_call_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs, HPy kwnames)
{  /* HPy_tp_call */
    return result(ctx);
}

HPyDef_SLOT(Thing_richcompare, HPy_tp_richcompare)
static HPy Thing_richcompare_impl(HPyContext *ctx, HPy self, HPy other, HPy_RichCmpOp op)
{  /* HPy_tp_richcompare */
    return result(ctx);
}

HPyDef_SLOT(Thing_bool, HPy_nb_bool)
static int Thing_bool_impl(HPyContext *ctx, HPy self)
{  /* HPy_nb_bool */
    return status(ctx);
}

HPyDef_SLOT(Thing_length, HPy_sq_length)
static HPy_ssize_t Thing_length_impl(HPyContext *ctx, HPy self)
{  /* HPy_sq_length */
    return status(ctx);
}

HPyDef_SLOT(Thing_add, HPy_nb_add)
static HPy Thing_add_impl(HPyContext *ctx, HPy self, HPy other)
{  /* HPy_nb_add */
    return result(ctx);
}

HPyDef_SLOT(Thing_power, HPy_nb_power)
static HPy Thing_power_impl(HPyContext *ctx, HPy self, HPy other, HPy modulus)
{  /* HPy_nb_power */
    return result(ctx);
}

HPyDef_SLOT(Thing_subscript, HPy_mp_subscript)
static HPy Thing_subscript_impl(HPyContext *ctx, HPy self, HPy key)
{  /* HPy_mp_subscript */
    return result(ctx);
}

HPyDef_SLOT(Thing_ass_subscript, HPy_mp_ass_subscript)
static int Thing_ass_subscript_impl(HPyContext *ctx, HPy self, HPy key, HPy value)
{  /* HPy_mp_ass_subscript */
    return status(ctx);
}

HPyDef_SLOT(Thing_contains, HPy_sq_contains)
static int Thing_contains_impl(HPyContext *ctx, HPy self, HPy key)
{  /* HPy_sq_contains */
    return status(ctx);
}

HPyDef_SLOT(Thing_getbuffer, HPy_bf_getbuffer)
static int Thing_getbuffer_impl(HPyContext *ctx, HPy self, HPy_buffer *buffer, int flags)
{  /* HPy_bf_getbuffer */
    static char data[4];
    static HPy_ssize_t shape[1] = {4}, strides[1] = {1};
    maybe_set(ctx);
    if (failing())
        return -1;
    memset(buffer, 0, sizeof(*buffer));
    buffer->buf = data;
    buffer->obj = HPy_Dup(ctx, self);
    buffer->len = 4;
    buffer->itemsize = 1;
    buffer->ndim = 1;
    buffer->shape = shape;
    buffer->strides = strides;
    return 0;
}

HPyDef_SLOT(Thing_releasebuffer, HPy_bf_releasebuffer)
static void Thing_releasebuffer_impl(HPyContext *ctx, HPy self, HPy_buffer *buffer)
{  /* HPy_bf_releasebuffer */
    if (mode == RELEASE)
        HPyErr_SetString(ctx, ctx->h_KeyError, "of the extension");
}

HPyDef_SLOT(Thing_finalize, HPy_tp_finalize)
static void Thing_finalize_impl(HPyContext *ctx, HPy self)
{  /* HPy_tp_finalize */
    if (mode == FINALIZE)
        HPyErr_SetString(ctx, ctx->h_KeyError, "of the extension");
}

HPyDef_GETSET(Thing_attr, "attr")
static HPy Thing_attr_get(HPyContext *ctx, HPy self, void *closure)
{  /* getter */
    return result(ctx);
}
static int Thing_attr_set(HPyContext *ctx, HPy self, HPy value, void *closure)
{  /* setter */
    return status(ctx);
}

HPyDef_METH(Thing_method, "method", HPyFunc_NOARGS)
static HPy Thing_method_impl(HPyContext *ctx, HPy self)
{  /* method */
    return result(ctx);
}

static HPyDef *Thing_defines[] = {
    &Thing_new, &Thing_init, &Thing_repr, &Thing_hash, &Thing_call, &Thing_richcompare,
    &Thing_bool, &Thing_length, &Thing_add, &Thing_power,
    &Thing_subscript, &Thing_ass_subscript, &Thing_contains, &Thing_getbuffer,
    &Thing_releasebuffer, &Thing_finalize, &Thing_attr, &Thing_method, NULL};
static HPyType_Spec Thing_spec = {
    .name = "mytest.Thing",
    .basicsize = sizeof(Thing),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE,
    .builtin_shape = SHAPE(Thing),
    .defines = Thing_defines,
};

/* Refused calls, whose failure is ignored. */
HPyDef_METH(ignores_refusal, "ignores_refusal", HPyFunc_O)
static HPy ignores_refusal_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);
    HPy_Close(ctx, h);
    HPy_Close(ctx, HPy_Repr(ctx, h));
    return HPy_Dup(ctx, arg);
}

HPyDef_METH(clears_refusal, "clears_refusal", HPyFunc_O)
static HPy clears_refusal_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);
    HPy_Close(ctx, h);
    HPy_Close(ctx, HPy_Repr(ctx, h));
    HPyErr_Clear(ctx);
    return HPy_NULL;
}

HPyDef_SLOT(add_types, HPy_mod_exec)
static int add_types_impl(HPyContext *ctx, HPy module)
{
    return HPyHelpers_AddType(ctx, module, "Thing", &Thing_spec, NULL) ? 0 : -1;
}
"""

# How to call each function, and the line and the name of what is called.
CALLS: dict[str, tuple[str, Callable[[Any, Any], object]]] = {
    "noargs": ("noargs", lambda mod, _: mod.noargs()),
    "o": ("o", lambda mod, _: mod.o(1)),
    "varargs": ("varargs", lambda mod, _: mod.varargs(1, 2)),
    "keywords": ("keywords", lambda mod, _: mod.keywords(1, a=2)),
    "HPy_tp_new": ("Thing.HPy_tp_new", lambda mod, _: mod.Thing(1)),
    "HPy_tp_init": ("Thing.HPy_tp_init", lambda mod, t: t.__init__(1, 2)),
    "HPy_tp_repr": ("Thing.HPy_tp_repr", lambda mod, t: repr(t)),
    "HPy_tp_call": ("Thing.HPy_tp_call", lambda mod, t: t(1)),
    "HPy_tp_richcompare": ("Thing.HPy_tp_richcompare", lambda mod, t: t < 1),
    "HPy_nb_bool": ("Thing.HPy_nb_bool", lambda mod, t: bool(t)),
    "HPy_sq_length": ("Thing.HPy_sq_length", lambda mod, t: len(t)),
    "HPy_nb_add": ("Thing.HPy_nb_add", lambda mod, t: t + 1),
    "HPy_nb_power": ("Thing.HPy_nb_power", lambda mod, t: t**2),
    "HPy_mp_subscript": ("Thing.HPy_mp_subscript", lambda mod, t: t[0]),
    "HPy_mp_ass_subscript": ("Thing.HPy_mp_ass_subscript", lambda mod, t: t.__setitem__(0, 1)),
    "HPy_sq_contains": ("Thing.HPy_sq_contains", lambda mod, t: 1 in t),
    "HPy_bf_getbuffer": ("Thing.HPy_bf_getbuffer", lambda mod, t: memoryview(t)),
    "getter": ("Thing.attr", lambda mod, t: t.attr),
    "setter": ("Thing.attr", lambda mod, t: setattr(t, "attr", 1)),
    "method": ("Thing.method", lambda mod, t: t.method()),
}

RIGHT, SILENT_ERROR, LOUD_RESULT, LOUD_ERROR, RELEASE, FINALIZE = range(6)


@pytest.fixture
def mod(hpy_module: ModuleFactory) -> Any:
    return hpy_module(SOURCE)


def check(violation: Optional[Violation], kind: str, mark: str, function: str) -> None:
    assert violation is not None
    assert violation.kind == kind
    assert (violation.api, violation.module, violation.function) == (None, "mytest", function)
    assert violation.handle is None
    assert violation.opened is None
    assert violation.closed is None
    assert violation.at is not None
    # The function is known by its entry.
    (frame,) = violation.at.native
    assert frame.line in (line_of(SOURCE, f"/* {mark} */"), line_of(SOURCE, f"/* {mark} */") - 1)
    assert frame.file is not None
    assert frame.file.endswith("/mytest.c")
    assert violation.at.python[0].function == "<lambda>"
    assert violation.at.python[0].line == CALLS[mark][1].__code__.co_firstlineno


@pytest.mark.parametrize("mark", CALLS)
def test_error_without_exception(mod: Any, mark: str) -> None:
    function, call = CALLS[mark]
    thing = mod.Thing()
    mod.set_mode(SILENT_ERROR)
    with hpy.debug.configure(on_violation="raise"), pytest.raises(HPyDebugError) as caught:
        call(mod, thing)
    mod.set_mode(RIGHT)
    check(caught.value.violation, "error-without-exception", mark, function)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("mark", CALLS)
def test_result_with_exception(mod: Any, mark: str) -> None:
    function, call = CALLS[mark]
    thing = mod.Thing()
    mod.set_mode(LOUD_RESULT)
    with hpy.debug.configure(on_violation="raise"), pytest.raises(HPyDebugError) as caught:
        call(mod, thing)
    mod.set_mode(RIGHT)
    check(caught.value.violation, "result-with-exception", mark, function)
    assert isinstance(caught.value.__context__, KeyError)


@pytest.mark.parametrize("mark", CALLS)
def test_what_agrees_is_no_mistake(mod: Any, mark: str) -> None:
    _, call = CALLS[mark]
    thing = mod.Thing()
    with hpy.debug.configure(on_violation="abort"):
        if mark != "HPy_tp_new":  # whose other results are things
            call(mod, thing)
        mod.set_mode(LOUD_ERROR)
        with pytest.raises(KeyError, match="of the extension"):
            call(mod, thing)
        mod.set_mode(RIGHT)


@pytest.mark.parametrize("kind", ["error-without-exception", "result-with-exception"])
@pytest.mark.parametrize("mark", ["o", "HPy_sq_length", "setter"])
def test_warning(mod: Any, tmp_path: Path, mark: str, kind: str) -> None:
    """No other continuation is sound: the call fails all the same."""
    _, call = CALLS[mark]
    thing = mod.Thing()
    report = tmp_path / "report.jsonl"
    mod.set_mode(SILENT_ERROR if kind == "error-without-exception" else LOUD_RESULT)
    with hpy.debug.configure(on_violation="warn", report=report):
        with pytest.warns(HPyDebugWarning, match=kind), pytest.raises(HPyDebugError):
            call(mod, thing)
    mod.set_mode(RIGHT)
    (line,) = report.read_text().splitlines()
    assert json.loads(line)["kind"] == kind


@pytest.mark.parametrize("mode", [SILENT_ERROR, LOUD_RESULT])
@pytest.mark.parametrize("code", ["mytest.o(1)", "len(thing)", "thing.attr = 1"])
def test_abort(hpy_module: ModuleFactory, run_python: PythonRunner, mode: int, code: str) -> None:
    done = run_python(
        f"""
        import mytest
        thing = mytest.Thing()
        mytest.set_mode({mode})
        try:
            {code}
        finally:
            print("not reached")
        """,
        module=hpy_module.build(SOURCE),
    )
    kind = "error-without-exception" if mode == SILENT_ERROR else "result-with-exception"
    assert done.returncode == -6
    assert done.stdout == ""
    assert done.stderr.startswith(f"error[{kind}]: the function returned ")
    assert "script.py:6 in <module>" in done.stderr
    assert "Fatal Python error: " in done.stderr


def test_hash_may_be_minus_one(mod: Any) -> None:
    thing = mod.Thing()
    with hpy.debug.configure(on_violation="raise"):
        assert hash(thing) == -17
        mod.set_mode(SILENT_ERROR)
        assert thing.__hash__() == -1
        mod.set_mode(LOUD_RESULT)
        with pytest.raises(HPyDebugError, match=r"^error\[result-with-exception\]"):
            hash(thing)
        mod.set_mode(RIGHT)


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> list[Optional[BaseException]]:
    seen: list[Optional[BaseException]] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda u: seen.append(u.exc_value))
    return seen


def release(mod: Any) -> None:
    memoryview(mod.Thing()).release()


def finalize(mod: Any) -> None:
    mod.Thing()


@pytest.mark.parametrize(
    ("mode", "act", "slot"),
    [(RELEASE, release, "HPy_bf_releasebuffer"), (FINALIZE, finalize, "HPy_tp_finalize")],
)
def test_function_without_a_result(
    mod: Any, unraisable: list[BaseException], mode: int, act: Callable[[Any], None], slot: str
) -> None:
    with hpy.debug.configure(on_violation="raise"):
        act(mod)
        assert unraisable == []
        mod.set_mode(mode)
        act(mod)
        mod.set_mode(RIGHT)
        (error,) = unraisable
        assert isinstance(error, HPyDebugError)
        assert isinstance(error.__context__, KeyError)
        assert error.violation is not None
        assert error.violation.kind == "result-with-exception"
        assert error.violation.function == f"Thing.{slot}"


@pytest.mark.parametrize("act", [release, finalize])
def test_exception_that_was_set_before(
    mod: Any, unraisable: list[BaseException], act: Callable[[Any], None]
) -> None:
    """Objects die, and buffers are released, while an exception is on its way."""

    def fail() -> None:
        thing = mod.Thing()
        view = memoryview(thing)
        if act is finalize:
            view.release()
        raise LookupError("on its way")

    with hpy.debug.configure(on_violation="raise"):
        with pytest.raises(LookupError, match="on its way"):
            fail()
        gc.collect()
    assert unraisable == []


def test_result_of_a_refused_call(mod: Any, tmp_path: Path) -> None:
    """Reported once, as what it is; and the error that is raised is that one."""
    report = tmp_path / "report.jsonl"
    for policy in ("raise", "warn"):
        report.unlink(missing_ok=True)
        for function in (mod.ignores_refusal, mod.clears_refusal):
            with hpy.debug.configure(on_violation=policy, report=report):
                with pytest.raises(HPyDebugError) as caught:
                    if policy == "raise":
                        function("x")
                    else:
                        with pytest.warns(HPyDebugWarning):
                            function("x")
            assert caught.value.violation is not None
            assert caught.value.violation.kind == "use-after-close"
        kinds = [json.loads(line)["kind"] for line in report.read_text().splitlines()]
        assert kinds == ["use-after-close"] * 2
