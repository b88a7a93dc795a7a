"""Types and modules: the functions of the table that make them and look into their objects."""

import gc
import sys
from typing import Any

import pytest

from support.api_source import module_source
from support.extension import ModuleFactory

# SHAPE: struct, base and helper of each built-in shape.
HEAD = """
#define SHAPED(Name, Base)                                                                    \\
    typedef struct { long before; HPyField field; long after; } Name;                         \\
    HPyType_HELPERS(Name, HPyType_BuiltinShape_##Name)                                        \\
    static HPyType_Spec Name##_spec = {                                                       \\
        .name = "mytest." #Name, .basicsize = sizeof(Name), .builtin_shape = SHAPE(Name),     \\
        .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE};                                 \\
    static HPy make_##Name(HPyContext *ctx)                                                   \\
    {                                                                                         \\
        HPyType_SpecParam params[] = {                                                        \\
            {HPyType_SpecParam_Base, ctx->Base}, {(HPyType_SpecParam_Kind)0, HPy_NULL}};      \\
        return HPyType_FromSpec(ctx, &Name##_spec, params);                                   \\
    }
#define CASE(Name, ...)                                                                       \\
    if (strcmp(name, #Name) == 0) { __VA_ARGS__; }
SHAPED(Object, h_BaseObjectType)
SHAPED(Type, h_TypeType)
SHAPED(Long, h_LongType)
SHAPED(Float, h_FloatType)
SHAPED(Unicode, h_UnicodeType)
SHAPED(Tuple, h_TupleType)
SHAPED(List, h_ListType)
SHAPED(Dict, h_DictType)

HPyDef_CALL_FUNCTION(answer)
static HPy answer_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs, HPy kwnames)
{
    (void)self;
    (void)args;
    (void)kwnames;
    return HPyLong_FromSize_t(ctx, nargs);
}
HPyDef_SLOT(Callable_call, HPy_tp_call)
static HPy Callable_call_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs, HPy kwnames)
{
    (void)args;
    (void)nargs;
    (void)kwnames;
    return HPy_Dup(ctx, self);
}
static HPyDef *Callable_defines[] = {&Callable_call, NULL};
static HPyType_Spec Callable_spec = {.name = "mytest.Callable", .defines = Callable_defines};
"""
TYPES = module_source(
    HEAD,
    make="""
        const char *name = TEXT(0);
        CASE(Object, return make_Object(ctx))
        CASE(Type, return make_Type(ctx))
        CASE(Long, return make_Long(ctx))
        CASE(Float, return make_Float(ctx))
        CASE(Unicode, return make_Unicode(ctx))
        CASE(Tuple, return make_Tuple(ctx))
        CASE(List, return make_List(ctx))
        CASE(Dict, return make_Dict(ctx))
        return HPyType_FromSpec(ctx, &Callable_spec, NULL);
    """,
    # The struct of an object: writes `before` and `after`, returns what was there.
    exchange="""
        const char *name = TEXT(0);
        long *before, *after, old_before, old_after;
        Object *data = NULL;
        CASE(Object, data = (Object *)_HPy_AsStruct_Object(ctx, args[1]))
        CASE(Type, data = (Object *)_HPy_AsStruct_Type(ctx, args[1]))
        CASE(Long, data = (Object *)_HPy_AsStruct_Long(ctx, args[1]))
        CASE(Float, data = (Object *)_HPy_AsStruct_Float(ctx, args[1]))
        CASE(Unicode, data = (Object *)_HPy_AsStruct_Unicode(ctx, args[1]))
        CASE(Tuple, data = (Object *)_HPy_AsStruct_Tuple(ctx, args[1]))
        CASE(List, data = (Object *)_HPy_AsStruct_List(ctx, args[1]))
        CASE(Dict, data = (Object *)_HPy_AsStruct_Dict(ctx, args[1]))
        CASE(Object, if (data != Object_AsStruct(ctx, args[1])) HPy_FatalError(ctx, "another"))
        CASE(Dict, if ((Dict *)(void *)data != Dict_AsStruct(ctx, args[1]))
                       HPy_FatalError(ctx, "another"))
        before = &data->before;
        after = &data->after;
        old_before = *before;
        old_after = *after;
        *before = HPyLong_AsLong(ctx, args[2]);
        *after = HPyLong_AsLong(ctx, args[3]);
        return HPy_BuildValue(ctx, "ll", old_before, old_after);
    """,
    new="""
        void *data = NULL;
        HPy result = HPy_New(ctx, args[0], &data);
        expect(ctx, HPy_IsNull(result));
        return result;
    """,
    generic_new="return HPyType_GenericNew(ctx, args[0], NULL, 0, HPy_NULL);",
    shape="""
        HPyType_BuiltinShape shape = _HPyType_GetBuiltinShape(ctx, args[0]);
        expect(ctx, (int)shape == -2);
        return (int)shape == -2 ? HPy_NULL : HPyLong_FromLong(ctx, (long)shape);
    """,
    set_call="return status(ctx, HPy_SetCallFunction(ctx, args[0], &answer));",
    # The address of an object of a Python class has the shape Legacy.
    legacy_struct="""
        void *data = _HPy_AsStruct_Legacy(ctx, args[0]);
        return HPyLong_FromSsize_t(ctx, (HPy_ssize_t)(intptr_t)data);
    """,
)

SHAPES: dict[str, Any] = {
    "Object": (),
    "Long": (2**80,),
    "Float": (2.5,),
    "Unicode": ("text",),
    "Tuple": ((1, 2, 3),),
    "List": ([1, 2],),
    "Dict": ({1: 2},),
    "Type": ("Made", (), {}),
}
NUMBERS = {"Object": 0, "Type": 1, "Long": 2, "Float": 3, "Unicode": 4, "Tuple": 5, "List": 6}
NUMBERS["Dict"] = 7


@pytest.mark.parametrize("shape", SHAPES)
def test_struct_of_each_shape(hpy_module: ModuleFactory, shape: str) -> None:
    mod = hpy_module(TYPES)
    cls = mod.make(shape.encode())
    assert (cls.__name__, cls.__module__) == (shape, "mytest")
    assert mod.shape(cls) == NUMBERS[shape]
    name = shape.encode()
    for made in cls, type("Sub", (cls,), {}):
        thing = made(*SHAPES[shape])
        assert mod.exchange(name, thing, 1, 2) == (0, 0)
        assert mod.exchange(name, thing, -3, 4) == (1, 2)
        assert mod.exchange(name, thing, 0, 0) == (-3, 4)
        if shape not in ("Object", "Type"):
            assert thing == SHAPES[shape][0]


def test_new(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(TYPES)
    cls = mod.make(b"Object")
    for make in mod.new, mod.generic_new:
        before = sys.getrefcount(cls)
        things = [make(cls) for _ in range(10)]
        assert {type(thing) for thing in things} == {cls}
        assert sys.getrefcount(cls) == before + 10
        for thing in things:
            assert mod.exchange(b"Object", thing, 1, 1) == (0, 0)
        del thing, things
        gc.collect()
        assert sys.getrefcount(cls) == before
    for wrong in 1, None, "Object", object():
        with pytest.raises(TypeError, match="HPy_New arg 1 must be a type"):
            mod.new(wrong)
        with pytest.raises(TypeError, match="HPy_Type_GenericNew arg 1 must be a type"):
            mod.generic_new(wrong)


def test_shape_of_other_types(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(TYPES)

    class Python:
        pass

    for cls in int, object, type, Python:
        assert mod.shape(cls) == -1
    for wrong in 1, None, Python():
        with pytest.raises(TypeError, match="arg must be a type"):
            mod.shape(wrong)


def test_struct_of_a_legacy_object(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(TYPES)

    class Python:
        pass

    thing = Python()
    assert mod.legacy_struct(thing) == id(thing)


def test_call_function(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(TYPES)
    thing = mod.make(b"Callable")()
    assert thing(1, 2) is thing
    assert mod.set_call(thing) == 0
    assert thing(1, 2, 3) == 3
    for wrong in object(), 1, len, int:
        with pytest.raises(TypeError, match="does not implement the HPy call protocol"):
            mod.set_call(wrong)


MODULES = """
#include "hpy.h"
HPyDef_METH(f, "f", HPyFunc_NOARGS)
static HPy f_impl(HPyContext *ctx, HPy self) { return HPy_Dup(ctx, self); }
static HPyDef *defines[] = {&f, NULL};
HPyDef_METH(create, "create", HPyFunc_VARARGS)
static HPy create_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    HPyModuleDef def = {.name = "created", .doc = "its doc", .size = -1, .defines = defines};
    (void)self;
    (void)args;
    if (nargs) def.name = NULL;
    return HPyModule_Create(ctx, &def);
}
"""


def test_module_create(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(MODULES, defines=["create"])
    created = mod.create()
    assert type(created) is type(sys)
    assert (created.__name__, created.__doc__) == ("created", "its doc")
    assert created.f() is created
    assert "created" not in sys.modules
    with pytest.raises(SystemError, match=r"the HPyModuleDef has no \.name"):
        mod.create(1)
