"""HPy_tp_call, HPyCallFunction and HPy_SetCallFunction."""

import gc
from typing import Any

import pytest

from support.extension import ModuleFactory
from support.type_source import add_types

HEAD = """
#include "hpy.h"
static HPy answer(HPyContext *ctx, long first, const HPy *args, size_t nargs, HPy kwnames)
{
    HPy list = HPyList_New(ctx, 0), item = HPyLong_FromLong(ctx, first);
    size_t i, n = nargs;
    HPyList_Append(ctx, list, item);
    HPy_Close(ctx, item);
    if (!HPy_IsNull(kwnames)) {
        n += (size_t)HPy_Length(ctx, kwnames);
        HPyList_Append(ctx, list, kwnames);
    }
    for (i = 0; i < n; i++) HPyList_Append(ctx, list, args[i]);
    return list;
}
"""
STRUCT = """
typedef struct { long x; } Struct;
HPyType_HELPERS(Struct)
HPyDef_MEMBER(x, "x", HPyMember_LONG, offsetof(Struct, x))
HPyDef_SLOT(call, HPy_tp_call)
static HPy call_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs, HPy kwnames)
{ return answer(ctx, Struct_AsStruct(ctx, self)->x, args, nargs, kwnames); }
HPyDef_CALL_FUNCTION(other)
static HPy other_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs, HPy kwnames)
{ return answer(ctx, -Struct_AsStruct(ctx, self)->x, args, nargs, kwnames); }
HPyDef_METH(use_other, "use_other", HPyFunc_O)
static HPy use_other_impl(HPyContext *ctx, HPy self, HPy arg)
{
    (void)self;
    if (HPy_SetCallFunction(ctx, arg, &other) < 0) return HPy_NULL;
    return HPy_Dup(ctx, ctx->h_None);
}
"""
SPEC = """
static HPyType_Spec T_spec = {.name = "mytest.T", .basicsize = sizeof(Struct),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE, .defines = T_defines};
"""
NEWS = {
    "none": "static HPyDef *T_defines[] = {&x, &call, NULL};",
    "HPy_New": """
        HPyDef_SLOT(new_T, HPy_tp_new)
        static HPy new_T_impl(HPyContext *ctx, HPy cls, const HPy *args, HPy_ssize_t nargs, HPy kw)
        { Struct *data; (void)args; (void)nargs; (void)kw; return HPy_New(ctx, cls, &data); }
        static HPyDef *T_defines[] = {&x, &call, &new_T, NULL};
    """,
    "GenericNew": """
        HPyDef_SLOT_IMPL(new_T, HPyType_GenericNew, HPy_tp_new)
        static HPyDef *T_defines[] = {&x, &call, &new_T, NULL};
    """,
}


def check_calls(thing: Any, first: int) -> None:
    assert thing() == [first]
    assert thing(1, "b") == [first, 1, "b"]
    assert thing(1, b=2, c=3) == [first, ("b", "c"), 1, 2, 3]
    assert thing(*range(20), k=1) == [first, ("k",), *range(20), 1]
    assert list(map(thing, [1, 2])) == [[first, 1], [first, 2]]
    assert thing.__call__(7) == [first, 7]


@pytest.mark.parametrize("new", NEWS)
def test_call(hpy_module: ModuleFactory, new: str) -> None:
    mod = hpy_module(HEAD + STRUCT + NEWS[new] + SPEC + add_types("T"))

    class Sub(mod.T):  # type: ignore[misc, name-defined]
        pass

    class Slots(mod.T):  # type: ignore[misc, name-defined]
        __slots__ = ("a", "b")

    class Own(mod.T):  # type: ignore[misc, name-defined]
        def __call__(self, *args: object) -> object:
            return ("own", super().__call__(*args))

    for cls in (mod.T, Sub, Slots):
        things = [cls(), cls.__new__(cls)]
        if new == "none":
            things.append(object.__new__(cls))
        for thing in things:
            thing.x = 6
            check_calls(thing, 6)
            mod.use_other(thing)
            check_calls(thing, -6)
            assert thing.x == 6
    own = Own()
    own.x = 3
    assert own(1) == ("own", [3, 1])
    assert callable(mod.T())
    with pytest.raises(TypeError) as caught:
        mod.use_other(object())
    assert str(caught.value) == "type 'object does not implement the HPy call protocol"
    with pytest.raises(TypeError, match="does not implement the HPy call protocol"):
        mod.use_other(lambda: 1)


def test_no_struct(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(
        HEAD
        + """
        HPyDef_SLOT(call, HPy_tp_call)
        static HPy call_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs, HPy kwnames)
        { (void)self; return answer(ctx, 5, args, nargs, kwnames); }
        static HPyDef *T_defines[] = {&call, NULL};
        static HPyType_Spec T_spec = {.name = "mytest.T", .defines = T_defines,
            .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE};
        HPyDef_METH(derive, "derive", HPyFunc_O)
        static HPy derive_impl(HPyContext *ctx, HPy self, HPy base)
        {
            HPyType_SpecParam params[] = {
                {HPyType_SpecParam_Base, base}, {(HPyType_SpecParam_Kind)0, HPy_NULL}};
            (void)self;
            return HPyType_FromSpec(ctx, &T_spec, params);
        }
        """
        + add_types("T")
    )
    check_calls(mod.T(), 5)
    # Objects of variable size have no place for a pointer.
    for base, args in (
        (list, ([1, 2],)),
        (dict, ({},)),
        (int, (2**100,)),
        (tuple, ((1, 2, 3),)),
        (mod.T, ()),
    ):
        cls = mod.derive(base)
        for made in (cls, type("Sub", (cls,), {})):
            thing = made(*args)
            check_calls(thing, 5)
            assert base is mod.T or thing == args[0]


def test_inherited_call(hpy_module: ModuleFactory) -> None:
    """The struct of the derived type covers the place of the base's hidden pointer."""
    mod = hpy_module(
        HEAD
        + STRUCT
        + "static HPyDef *T_defines[] = {&x, &call, NULL};"
        + SPEC
        + """
        typedef struct { Struct base; long a[8]; } Big;
        HPyDef_MEMBER(a0, "a0", HPyMember_LONG, offsetof(Big, a))
        HPyDef_MEMBER(a1, "a1", HPyMember_LONG, offsetof(Big, a) + sizeof(long))
        HPyDef_MEMBER(a7, "a7", HPyMember_LONG, offsetof(Big, a) + 7 * sizeof(long))
        static HPyDef *Big_defines[] = {&a0, &a1, &a7, NULL};
        static HPyType_Spec Big_spec = {.name = "mytest.Big", .basicsize = sizeof(Big),
            .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE, .defines = Big_defines};
        static HPyType_Spec Same_spec = {.name = "mytest.Same", .basicsize = sizeof(Struct)};
        HPyDef_METH(derive, "derive", HPyFunc_VARARGS)
        static HPy derive_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
        {
            HPyType_SpecParam params[] = {
                {HPyType_SpecParam_Base, args[0]}, {(HPyType_SpecParam_Kind)0, HPy_NULL}};
            (void)self;
            return HPyType_FromSpec(ctx, nargs == 1 ? &Big_spec : &Same_spec, params);
        }
        """
        + add_types("T")
    )
    big = mod.derive(mod.T)
    for cls in (big, type("Sub", (big,), {})):
        thing = cls()
        thing.x, thing.a0, thing.a1, thing.a7 = 1, -1, -1, -1
        check_calls(thing, 1)
        assert (thing.a0, thing.a1, thing.a7) == (-1, -1, -1)
        thing.a0 = thing.a1 = thing.a7 = 2**62
        mod.use_other(thing)
        check_calls(thing, -1)
        assert (thing.a0, thing.a1, thing.a7) == (2**62, 2**62, 2**62)
    same = mod.derive(mod.T, 1)()
    same.x = 4
    check_calls(same, 4)


def test_explicit_offset(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(
        HEAD
        + """
        typedef struct { long x; HPyCallFunction function; long y; } Struct;
        HPyType_HELPERS(Struct)
        HPyDef_MEMBER(x, "x", HPyMember_LONG, offsetof(Struct, x))
        HPyDef_MEMBER(y, "y", HPyMember_LONG, offsetof(Struct, y))
        HPyDef_MEMBER(offset, "__vectorcalloffset__", HPyMember_HPYSSIZET,
                      offsetof(Struct, function), .readonly = 1)
        HPyDef_CALL_FUNCTION(function)
        static HPy function_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs,
                                 HPy kwnames)
        { return answer(ctx, Struct_AsStruct(ctx, self)->x, args, nargs, kwnames); }
        HPyDef_SLOT(new_T, HPy_tp_new)
        static HPy new_T_impl(HPyContext *ctx, HPy cls, const HPy *args, HPy_ssize_t nargs, HPy kw)
        {
            Struct *data;
            HPy result = HPy_New(ctx, cls, &data);
            (void)args; (void)kw;
            if (HPy_IsNull(result)) return HPy_NULL;
            data->x = 11;
            data->y = 12;
            if (nargs == 0) data->function = function;
            return result;
        }
        static HPyDef *T_defines[] = {&x, &y, &offset, &new_T, NULL};
        static HPyType_Spec T_spec = {.name = "mytest.T", .basicsize = sizeof(Struct),
            .itemsize = sizeof(intptr_t), .defines = T_defines,
            .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE};
        """
        + add_types("T")
    )
    for cls in (mod.T, type("Sub", (mod.T,), {})):
        thing = cls()
        check_calls(thing, 11)
        assert (thing.x, thing.y) == (11, 12)
        with pytest.raises(TypeError, match="does not support vectorcall"):
            cls(1)()
    gc.collect()
