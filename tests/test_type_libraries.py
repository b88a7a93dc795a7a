"""Types of several libraries in one chain of bases: each has its own copy of the runtime."""

import gc
import itertools
import weakref

import pytest

from support.extension import ModuleFactory

HPY_ABIS = ["cpython"]

SOURCE = """
#include "hpy.h"
typedef struct { HPyField first; long x; } Base;
typedef struct { Base base; HPyField second; } Derived;
HPyType_HELPERS(Base)
HPyType_HELPERS(Derived)
static long destroyed = 0;
HPyDef_MEMBER(first, "first", HPyMember_OBJECT, offsetof(Base, first))
HPyDef_MEMBER(second, "second", HPyMember_OBJECT, offsetof(Derived, second))
HPyDef_MEMBER(x, "x", HPyMember_LONG, offsetof(Base, x))
HPyDef_SLOT(Base_destroy, HPy_tp_destroy)
static void Base_destroy_impl(void *data) { destroyed += ((Base *)data)->x; }
HPyDef_SLOT(Derived_destroy, HPy_tp_destroy)
static void Derived_destroy_impl(void *data) { destroyed += 100 * ((Base *)data)->x; }
HPyDef_SLOT(Base_traverse, HPy_tp_traverse)
static int Base_traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{ HPy_VISIT(&((Base *)self)->first); return 0; }
HPyDef_SLOT(Derived_traverse, HPy_tp_traverse)
static int Derived_traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{ HPy_VISIT(&((Derived *)self)->second); return 0; }
HPyDef_SLOT(call, HPy_tp_call)
static HPy call_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs, HPy kwnames)
{
    (void)args; (void)kwnames;
    return HPyLong_FromLong(ctx, Base_AsStruct(ctx, self)->x + (long)nargs);
}
static HPyDef *Base_defines[] = {&first, &x, &Base_destroy, &Base_traverse, &call, NULL};
static HPyDef *Derived_defines[] = {&second, &Derived_destroy, &Derived_traverse, NULL};
static HPyType_Spec Base_spec = {.name = "mytest.Base", .basicsize = sizeof(Base),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE | HPy_TPFLAGS_HAVE_GC,
    .defines = Base_defines};
static HPyType_Spec Derived_spec = {.name = "mytest.Derived", .basicsize = sizeof(Derived),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE | HPy_TPFLAGS_HAVE_GC,
    .defines = Derived_defines};
HPyDef_METH(make_base, "make_base", HPyFunc_NOARGS)
static HPy make_base_impl(HPyContext *ctx, HPy self)
{ (void)self; return HPyType_FromSpec(ctx, &Base_spec, NULL); }
HPyDef_METH(derive, "derive", HPyFunc_O)
static HPy derive_impl(HPyContext *ctx, HPy self, HPy base)
{
    HPyType_SpecParam params[] = {
        {HPyType_SpecParam_Base, base}, {(HPyType_SpecParam_Kind)0, HPy_NULL}};
    (void)self;
    return HPyType_FromSpec(ctx, &Derived_spec, params);
}
HPyDef_METH(instance, "instance", HPyFunc_O)
static HPy instance_impl(HPyContext *ctx, HPy self, HPy cls)
{
    Base *data;
    HPy result = HPy_New(ctx, cls, &data);
    (void)self;
    if (!HPy_IsNull(result)) data->x = 5;
    return result;
}
HPyDef_METH(total, "total", HPyFunc_NOARGS)
static HPy total_impl(HPyContext *ctx, HPy self)
{
    long result = destroyed;
    (void)self;
    destroyed = 0;
    return HPyLong_FromLong(ctx, result);
}
"""


class Marker:
    pass


PAIRS = list(itertools.product(["cpython", "universal", "hybrid"], repeat=2))


@pytest.mark.parametrize("abis", PAIRS)
def test_two_libraries(hpy_module: ModuleFactory, abis: tuple[str, str]) -> None:
    modules = [
        hpy_module.load(hpy_module.build(SOURCE, name, abi=abi))
        for name, abi in zip(("one", "other"), abis)
    ]
    base = modules[0].make_base()
    derived = modules[1].derive(base)
    sub = type("Sub", (derived,), {})
    for module, cls in itertools.product(modules, (derived, sub)):
        for make in (module.instance, lambda made: made()):
            thing = make(cls)
            thing.x = 7
            assert thing() == 7
            assert thing(1, 2) == 9
            value = Marker()
            alive = weakref.ref(value)
            thing.first, thing.second = [value], [value, thing]
            referents = [id(referent) for referent in gc.get_referents(thing)]
            assert len(referents) == len(set(referents))
            assert thing.first == [value]
            del thing, value
            gc.collect()
            assert alive() is None
            assert [module.total() for module in modules] == [7, 700]
    kept = weakref.ref(derived)
    del derived, sub, cls
    gc.collect()
    assert kept() is None
