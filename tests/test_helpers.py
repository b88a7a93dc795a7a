"""The helpers of hpy/runtime: HPyHelpers_*, HPySlice_AdjustIndices, HPyTuple_Pack, HPyTracker."""

import itertools
from types import ModuleType
from typing import Any, Callable

import pytest

Load = Callable[..., ModuleType]

ADD_TYPE = r"""
#include "hpy.h"

HPyDef_SLOT(Dummy_abs, HPy_nb_absolute)
static HPy Dummy_abs_impl(HPyContext *ctx, HPy self)
{
    return HPyLong_FromLong(ctx, 42);
}
static HPyDef *Dummy_defines[] = {&Dummy_abs, NULL};
static HPyType_Spec Dummy_spec = {
    .name = "mytest.Dummy", .builtin_shape = SHAPE_OF_DUMMY, .defines = Dummy_defines};

static int add(HPyContext *ctx, HPy object)
{
    HPyType_SpecParam params[] = {
        {HPyType_SpecParam_Base, ctx->h_LongType}, {(HPyType_SpecParam_Kind)0, HPy_NULL}};
    return HPyHelpers_AddType(ctx, object, "Dummy", &Dummy_spec, WITH_BASE ? params : NULL);
}

HPyDef_SLOT(mytest_exec, HPy_mod_exec)
static int mytest_exec_impl(HPyContext *ctx, HPy mod)
{
    return add(ctx, mod) ? 0 : -1;
}

HPyDef_METH(add_to, "add_to", HPyFunc_O)
static HPy add_to_impl(HPyContext *ctx, HPy self, HPy arg)
{
    if (!add(ctx, arg))
        return HPy_NULL;
    return HPy_Dup(ctx, ctx->h_None);
}
"""


def add_type_module(load: Load, base: bool) -> ModuleType:
    return load(
        ADD_TYPE,
        cflags=[
            f"-DWITH_BASE={int(base)}",
            "-DSHAPE_OF_DUMMY=HPyType_BuiltinShape_" + ("Long" if base else "Object"),
        ],
    )


@pytest.mark.promise("API-25")
def test_add_type(hpy_module: Load) -> None:
    """S43, S44."""
    mod: Any = add_type_module(hpy_module, base=False)
    assert isinstance(mod.Dummy, type)
    assert mod.Dummy.__name__ == "Dummy"
    assert mod.Dummy.__module__ == "mytest"
    assert abs(mod.Dummy()) == 42


@pytest.mark.promise("API-26")
def test_add_type_with_parameters(hpy_module: Load) -> None:
    """S45."""
    mod: Any = add_type_module(hpy_module, base=True)
    assert mod.Dummy() == 0
    assert mod.Dummy(3) == 3
    assert abs(mod.Dummy(3)) == 42


def test_add_type_where_there_are_no_attributes(hpy_module: Load) -> None:
    mod: Any = add_type_module(hpy_module, base=False)
    with pytest.raises(AttributeError):
        mod.add_to(7)


PACK = r"""
#include "hpy.h"

static HPy pair(HPyContext *ctx, HPy a, HPy b)
{
    HPy none = ctx->h_None;
    HPy result = HPyTuple_Pack(ctx, 2, HPy_IsNull(a) ? none : a, HPy_IsNull(b) ? none : b);
    if (!HPy_IsNull(a))
        HPy_Close(ctx, a);
    if (!HPy_IsNull(b))
        HPy_Close(ctx, b);
    return result;
}

HPyDef_METH(pack, "pack", HPyFunc_KEYWORDS)
static HPy pack_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs, HPy kwnames)
{
    HPy a, b;
    if (!HPyHelpers_PackArgsAndKeywords(ctx, args, nargs, kwnames, &a, &b))
        return HPy_NULL;
    return pair(ctx, a, b);
}

/* Packs and calls: the purpose of the helper. call(f, *args, **kw) */
HPyDef_METH(call, "call", HPyFunc_KEYWORDS)
static HPy call_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs, HPy kwnames)
{
    HPy a, b, result;
    if (!HPyHelpers_PackArgsAndKeywords(ctx, args + 1, nargs - 1, kwnames, &a, &b))
        return HPy_NULL;
    result = HPy_CallTupleDict(ctx, args[0], a, b);
    if (!HPy_IsNull(a))
        HPy_Close(ctx, a);
    if (!HPy_IsNull(b))
        HPy_Close(ctx, b);
    return result;
}

/* What the outputs hold after a failure: must be what they held before. */
HPyDef_METH(wrong, "wrong", HPyFunc_VARARGS)
static HPy wrong_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    HPy a = ctx->h_True, b = ctx->h_False;
    HPy kwnames = HPy_Is(ctx, args[1], ctx->h_False) ? HPy_NULL : args[1];
    long what = HPyLong_AsLong(ctx, args[0]);
    int ok = HPyHelpers_PackArgsAndKeywords(ctx, args, 100, kwnames, what == 1 ? NULL : &a,
                                            what == 2 ? NULL : &b);
    if (ok || !HPy_Is(ctx, a, ctx->h_True) || !HPy_Is(ctx, b, ctx->h_False))
        HPy_FatalError(ctx, "the outputs were written");
    return HPy_NULL;
}
"""


def test_pack_args_and_keywords(hpy_module: Load) -> None:
    mod: Any = hpy_module(PACK)
    value = object()
    assert mod.pack() == (None, None)
    assert mod.pack(1, value) == ((1, value), None)
    assert mod.pack(a=1, b=value) == (None, {"a": 1, "b": value})
    assert mod.pack(1, 2, a=3, b=4) == ((1, 2), {"a": 3, "b": 4})
    assert mod.call(dict) == {}
    assert mod.call(dict, [("x", 1)], y=2) == {"x": 1, "y": 2}


def test_pack_args_and_keywords_errors(hpy_module: Load) -> None:
    """The array is not read before the other arguments were checked: nargs is wrong here."""
    mod: Any = hpy_module(PACK)
    with pytest.raises(SystemError) as caught:
        mod.wrong(1, False)
    assert str(caught.value) == "argument 'out_pos_args' must not be NULL"
    with pytest.raises(SystemError) as caught:
        mod.wrong(2, False)
    assert str(caught.value) == "argument 'out_kwd' must not be NULL"
    with pytest.raises(TypeError):
        mod.wrong(0, None)


SLICE = r"""
#include "hpy.h"

HPyDef_METH(adjust, "adjust", HPyFunc_VARARGS)
static HPy adjust_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    HPy_ssize_t length, start, stop, step, n;
    if (!HPyArg_Parse(ctx, NULL, args, nargs, "nnnn", &length, &start, &stop, &step))
        return HPy_NULL;
    n = HPySlice_AdjustIndices(ctx, length, &start, &stop, step);
    return HPy_BuildValue(ctx, "nnnn", n, start, stop, step);
}
"""


def test_slice_adjust_indices(hpy_module: Load) -> None:
    mod: Any = hpy_module(SLICE)
    assert mod.adjust(10, 0, -1, 1) == (9, 0, 9, 1)
    assert mod.adjust(10, 15, 20, 1) == (0, 10, 10, 1)
    assert mod.adjust(10, -1, -10, -1) == (9, 9, 0, -1)
    assert mod.adjust(10, 5, 5, -1) == (0, 5, 5, -1)
    assert mod.adjust(10, 0, 10, 3) == (4, 0, 10, 3)


def test_slice_adjust_indices_is_that_of_python(hpy_module: Load) -> None:
    mod: Any = hpy_module(SLICE)
    ends = [-(2**63), -11, -10, -9, -1, 0, 1, 5, 9, 10, 11, 2**63 - 1]
    steps = [-(2**63) + 1, -11, -3, -1, 1, 3, 11, 2**63 - 1]
    for length, start, stop, step in itertools.product([0, 1, 10], ends, ends, steps):
        first, last, _ = slice(start, stop, step).indices(length)
        wanted = (len(range(first, last, step)), first, last, step)
        assert mod.adjust(length, start, stop, step) == wanted


TUPLE = r"""
#include "hpy.h"

HPyDef_METH(pack, "pack", HPyFunc_VARARGS)
static HPy pack_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    switch (nargs) {
    case 0: return HPyTuple_Pack(ctx, 0);
    case 1: return HPyTuple_Pack(ctx, 1, args[0]);
    case 3: return HPyTuple_Pack(ctx, 3, args[0], args[1], args[2]);
    default: return HPyTuple_Pack(ctx, 10, args[0], args[1], args[2], args[3], args[4], args[5],
                                  args[6], args[7], args[8], args[9]);
    }
}

HPyDef_METH(from_array, "from_array", HPyFunc_VARARGS)
static HPy from_array_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    return HPyTuple_FromArray(ctx, args, (HPy_ssize_t)nargs);
}
"""


def test_tuples_keep_the_order(hpy_module: Load) -> None:
    mod: Any = hpy_module(TUPLE)
    for n in (0, 1, 3, 10):
        values = tuple(object() for _ in range(n))
        assert mod.pack(*values) == values
        assert mod.from_array(*values) == values


TRACKER = r"""
#include "hpy.h"

/* track(n, size, forget): adds n handles; with forget, forgets them (and closes them itself) */
HPyDef_METH(track, "track", HPyFunc_VARARGS)
static HPy track_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    long n, size, forget, i;
    HPy all[256];
    HPyTracker ht;
    if (!HPyArg_Parse(ctx, NULL, args, nargs, "lll", &n, &size, &forget))
        return HPy_NULL;
    ht = HPyTracker_New(ctx, size);
    if (HPy_IsNull(ht))
        return HPy_NULL;
    for (i = 0; i < n; i++) {
        all[i] = HPyLong_FromLong(ctx, i + 100000);
        if (HPyTracker_Add(ctx, ht, all[i]) < 0)
            HPy_FatalError(ctx, "HPyTracker_Add failed");
    }
    if (forget) {
        HPyTracker_ForgetAll(ctx, ht);
        for (i = 0; i < n; i++)
            HPy_Close(ctx, all[i]);
    }
    HPyTracker_Close(ctx, ht);
    return HPyLong_FromLong(ctx, n);
}
"""


@pytest.mark.promise("API-33")
@pytest.mark.parametrize("forget", [0, 1])
@pytest.mark.parametrize("size", [0, 10])
@pytest.mark.parametrize("n", [0, 1, 5, 6, 10, 11, 200])
def test_tracker(hpy_module: Load, n: int, size: int, forget: int) -> None:
    """In debug mode a handle that is closed twice or never is found."""
    mod: Any = hpy_module(TRACKER)
    assert mod.track(n, size, forget) == n
