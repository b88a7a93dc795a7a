"""Where the struct of an object lies: built-in shapes, subclasses, HPy_New."""

import gc
import sys
import weakref
from pathlib import Path

import pytest

from support import tree
from support.child import PythonRunner
from support.extension import ModuleFactory
from support.type_source import add_types

SHAPES = ["Object", "Long", "Float", "Unicode", "Tuple", "List", "Dict"]
TYPES = {
    "Object": object,
    "Long": int,
    "Float": float,
    "Unicode": str,
    "Tuple": tuple,
    "List": list,
    "Dict": dict,
}
VALUES: dict[str, list[tuple[object, ...]]] = {
    "Object": [()],
    "Long": [(0,), (1,), (-5,), (2**30,), (2**60 - 1,), (-(2**61),), (2**90,), (10**400,)],
    "Float": [(1.5,), (-0.0,)],
    "Unicode": [("",), ("abc",), ("\u20ac" * 1000,)],
    "Tuple": [((),), ((1,),), (("a", "b"),), (tuple(range(100)),)],
    "List": [([],), ([1, 2, 3],)],
    "Dict": [({},), ({"a": 1, "b": 2},)],
}


def source_of(shape: str) -> str:
    base = {"Object": "BaseObject"}.get(shape, shape)
    return f"""
#include "hpy.h"
typedef struct {{ long x; HPyField any; long y; }} Struct;
HPyType_HELPERS(Struct, HPyType_BuiltinShape_{shape})
HPyDef_MEMBER(x, "x", HPyMember_LONG, offsetof(Struct, x))
HPyDef_MEMBER(any, "any", HPyMember_OBJECT, offsetof(Struct, any))
HPyDef_MEMBER(y, "y", HPyMember_LONG, offsetof(Struct, y))
HPyDef_SLOT(traverse, HPy_tp_traverse)
static int traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{{
    HPy_VISIT(&((Struct *)self)->any);
    return 0;
}}
static long destroyed = 0;
HPyDef_SLOT(destroy, HPy_tp_destroy)
static void destroy_impl(void *data) {{ destroyed += ((Struct *)data)->x; }}
HPyDef_METH(sum, "sum", HPyFunc_NOARGS)
static HPy sum_impl(HPyContext *ctx, HPy self)
{{
    Struct *data = Struct_AsStruct(ctx, self);
    return HPyLong_FromLong(ctx, data->x + data->y);
}}
static HPyDef *T_defines[] = {{&x, &any, &y, &traverse, &destroy, &sum, NULL}};
static HPyType_Spec T_spec = {{
    .name = "mytest.T", .basicsize = sizeof(Struct), .builtin_shape = SHAPE(Struct),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE | HPy_TPFLAGS_HAVE_GC,
    .defines = T_defines,
}};
HPyDef_SLOT(add, HPy_mod_exec)
static int add_impl(HPyContext *ctx, HPy module)
{{
    HPyType_SpecParam params[] = {{
        {{HPyType_SpecParam_Base, ctx->h_{base}Type}}, {{(HPyType_SpecParam_Kind)0, HPy_NULL}}}};
    return HPyHelpers_AddType(ctx, module, "T", &T_spec, params) ? 0 : -1;
}}
HPyDef_METH(total, "total", HPyFunc_NOARGS)
static HPy total_impl(HPyContext *ctx, HPy self)
{{
    long result = destroyed;
    (void)self;
    destroyed = 0;
    return HPyLong_FromLong(ctx, result);
}}
HPyDef_METH(new_object, "new_object", HPyFunc_O)
static HPy new_object_impl(HPyContext *ctx, HPy self, HPy cls)
{{
    Struct *data;
    HPy result = HPy_New(ctx, cls, &data);
    (void)self;
    if (HPy_IsNull(result)) return HPy_NULL;
    if (data->x != 0 || data->y != 0 || !HPyField_IsNull(data->any)) {{
        HPy_Close(ctx, result);
        HPyErr_SetString(ctx, ctx->h_ValueError, "not zeroed");
        return HPy_NULL;
    }}
    data->x = 40;
    data->y = 2;
    if (Struct_AsStruct(ctx, result) != data) {{
        HPy_Close(ctx, result);
        HPyErr_SetString(ctx, ctx->h_ValueError, "another struct");
        return HPy_NULL;
    }}
    return result;
}}
"""


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes(hpy_module: ModuleFactory, shape: str) -> None:
    mod = hpy_module(source_of(shape))
    builtin = TYPES[shape]

    class Sub(mod.T):  # type: ignore[misc, name-defined]
        pass

    class Deeper(Sub):
        __slots__ = () if shape in ("Long", "Tuple") else ("more",)

    for cls in (mod.T, Sub, Deeper):
        for args in VALUES[shape]:
            thing = cls(*args)
            assert (thing.x, thing.any, thing.y) == (0, None, 0)
            thing.x, thing.y, thing.any = 2**62 - 1, -(2**62), [args]
            if cls is not mod.T:
                thing.attribute = args
                assert thing.__dict__ == {"attribute": args}
            if cls is Deeper and shape not in ("Long", "Tuple"):
                thing.more = 1
            if shape == "Dict":
                thing.update((str(i), i) for i in range(100))
                thing.clear()
                thing.update(*args)
            if shape == "List":
                thing.extend(range(1000))
                del thing[-1000:]
            if args:
                assert builtin(thing) == args[0]
            assert (thing.x, thing.y, thing.any) == (2**62 - 1, -(2**62), [args])
            assert thing.sum() == -1
            thing.x = 7
            del thing
            gc.collect()
            assert mod.total() == 7
        made = mod.new_object(cls)
        assert type(made) is cls
        assert gc.is_tracked(made)
        assert (made.x, made.y, made.sum()) == (40, 2, 42)
        if shape != "Object":
            assert made == builtin()
            assert repr(made)
        if cls is not mod.T:
            assert made.__dict__ == {}
            made.attribute = 3
            assert made.attribute == 3
        del made
        assert mod.total() == 40


@pytest.mark.promise("FLD-07")
@pytest.mark.parametrize("shape", SHAPES)
def test_collection(hpy_module: ModuleFactory, shape: str) -> None:
    mod = hpy_module(source_of(shape))

    class Marker:
        pass

    class Sub(mod.T):  # type: ignore[misc, name-defined]
        pass

    for cls in (mod.T, Sub):
        marker = Marker()
        alive = weakref.ref(marker)
        thing = cls(*VALUES[shape][-1])
        thing.any = [thing, marker]
        if cls is Sub:
            thing.myself = (thing, cls)
        if shape == "List":
            thing.append((thing, marker))
        if shape == "Dict":
            thing["me"] = (thing, marker)
        thing.x = 3
        del thing, marker
        gc.collect()
        assert alive() is None
        assert mod.total() == 3


def test_inherited_struct(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(
        """
        #include "hpy.h"
        typedef struct { int a; } Base;
        typedef struct { Base base; int b; } Derived;
        HPyType_HELPERS(Base)
        HPyType_HELPERS(Derived)
        HPyDef_MEMBER(a, "a", HPyMember_INT, offsetof(Base, a))
        HPyDef_MEMBER(b, "b", HPyMember_INT, offsetof(Derived, b))
        static char order[64];
        static int length = 0;
        HPyDef_SLOT(Base_destroy, HPy_tp_destroy)
        static void Base_destroy_impl(void *data)
        { order[length++] = 'B'; order[length++] = (char)('0' + ((Base *)data)->a); }
        HPyDef_SLOT(Derived_destroy, HPy_tp_destroy)
        static void Derived_destroy_impl(void *data)
        { order[length++] = 'D'; order[length++] = (char)('0' + ((Derived *)data)->b); }
        static HPyDef *Base_defines[] = {&a, &Base_destroy, NULL};
        static HPyDef *Derived_defines[] = {&b, &Derived_destroy, NULL};
        static HPyType_Spec Base_spec = {
            .name = "mytest.Base", .basicsize = sizeof(Base), .defines = Base_defines,
            .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE};
        static HPyType_Spec Derived_spec = {
            .name = "mytest.Derived", .basicsize = sizeof(Derived), .defines = Derived_defines,
            .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE};
        static HPyType_Spec Empty_spec = {
            .name = "mytest.Empty", .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE};
        HPyDef_METH(derive, "derive", HPyFunc_VARARGS)
        static HPy derive_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
        {
            HPyType_Spec *specs[] = {&Base_spec, &Derived_spec, &Empty_spec};
            HPyType_SpecParam params[] = {
                {nargs > 1 ? HPyType_SpecParam_Base : (HPyType_SpecParam_Kind)0,
                 nargs > 1 ? args[1] : HPy_NULL},
                {(HPyType_SpecParam_Kind)0, HPy_NULL}};
            (void)self;
            return HPyType_FromSpec(ctx, specs[HPyLong_AsLong(ctx, args[0])], params);
        }
        HPyDef_METH(get_log, "log", HPyFunc_NOARGS)
        static HPy get_log_impl(HPyContext *ctx, HPy self)
        {
            (void)self;
            order[length] = 0;
            length = 0;
            return HPyUnicode_FromString(ctx, order);
        }
        """
    )

    base = mod.derive(0)
    derived = mod.derive(1, base)
    for cls in (derived, mod.derive(2, derived), type("Sub", (derived,), {"__slots__": ("s",)})):
        thing = cls()
        thing.a, thing.b = 1, 2
        assert (thing.a, thing.b) == (1, 2)
        if hasattr(cls, "s"):
            thing.s = thing
            thing.s = None
        del thing
        assert mod.log() == "D2B1"
    # A class with slots between two types of HPy, and the same struct again below it.
    between = type("Between", (base,), {"__slots__": ("slot",)})
    below = mod.derive(0, between)
    thing = below()
    thing.a, thing.slot = 5, "slot"
    assert (thing.a, thing.slot) == (5, "slot")
    del thing
    assert mod.log() == "B5B5"
    with pytest.raises(TypeError, match="would overlap the data of its base 'Between'"):
        mod.derive(1, between)
    with pytest.raises(TypeError, match=r"too small for base 'mytest\.Derived'"):
        mod.derive(0, derived)
    with pytest.raises(TypeError, match="would overlap the data of its base 'list'"):
        mod.derive(0, list)
    with pytest.raises(TypeError, match="would overlap the data of its base 'int'"):
        mod.derive(0, int)
    assert mod.derive(2, list)([1]) == [1]
    assert mod.derive(2, between)().a == 0


def test_shape_without_its_base(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(
        """
        #include "hpy.h"
        typedef struct { int x; } Struct;
        HPyType_HELPERS(Struct, HPyType_BuiltinShape_Type)
        HPyDef_MEMBER(x, "x", HPyMember_INT, offsetof(Struct, x))
        HPyDef_METH(get, "get", HPyFunc_NOARGS)
        static HPy get_impl(HPyContext *ctx, HPy self)
        { return HPyLong_FromLong(ctx, Struct_AsStruct(ctx, self)->x); }
        static HPyDef *T_defines[] = {&x, &get, NULL};
        static HPyType_Spec T_spec = {.name = "mytest.T", .basicsize = sizeof(Struct),
            .builtin_shape = SHAPE(Struct), .defines = T_defines};
        """
        + add_types("T")
    )
    thing = mod.T()
    thing.x = 12
    assert thing.get() == 12


def test_items(hpy_module: ModuleFactory) -> None:
    """A type with itemsize: the number of items that CPython stores is not in the struct."""
    mod = hpy_module(
        """
        #include "hpy.h"
        typedef struct { long a, b; } Struct;
        HPyType_HELPERS(Struct)
        HPyDef_MEMBER(a, "a", HPyMember_LONG, offsetof(Struct, a))
        HPyDef_MEMBER(b, "b", HPyMember_LONG, offsetof(Struct, b))
        HPyDef_METH(sum, "sum", HPyFunc_NOARGS)
        static HPy sum_impl(HPyContext *ctx, HPy self)
        {
            Struct *data = Struct_AsStruct(ctx, self);
            return HPyLong_FromLong(ctx, data->a + data->b);
        }
        static HPyDef *T_defines[] = {&a, &b, &sum, NULL};
        static HPyType_Spec T_spec = {.name = "mytest.T", .basicsize = sizeof(Struct),
            .itemsize = sizeof(long), .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE,
            .defines = T_defines};
        """
        + add_types("T")
    )
    for cls in (mod.T, type("Sub", (mod.T,), {})):
        thing = cls()
        thing.a, thing.b = 2**40, 5
        sys.getsizeof(thing)
        assert (thing.a, thing.b, thing.sum()) == (2**40, 5, 2**40 + 5)


@pytest.mark.promise("API-36")
def test_new(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(
        """
        #include "hpy.h"
        typedef struct { char bytes[100]; } Struct;
        HPyType_HELPERS(Struct)
        static HPyType_Spec T_spec = {.name = "mytest.T", .basicsize = sizeof(Struct),
            .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE};
        HPyDef_METH(fill, "fill", HPyFunc_O)
        static HPy fill_impl(HPyContext *ctx, HPy self, HPy cls)
        {
            Struct *data = NULL;
            HPy result = HPy_New(ctx, cls, &data);
            size_t i;
            (void)self;
            if (HPy_IsNull(result)) return HPy_NULL;
            for (i = 0; i < sizeof(data->bytes); i++) {
                if (data->bytes[i] != 0) {
                    HPyErr_SetString(ctx, ctx->h_ValueError, "not zeroed");
                    HPy_Close(ctx, result);
                    return HPy_NULL;
                }
                data->bytes[i] = 'x';
            }
            return result;
        }
        HPyDef_METH(generic, "generic", HPyFunc_O)
        static HPy generic_impl(HPyContext *ctx, HPy self, HPy cls)
        { (void)self; return HPyType_GenericNew(ctx, cls, NULL, 0, HPy_NULL); }
        """
        + add_types("T")
    )
    for cls in (mod.T, type("Sub", (mod.T,), {"__slots__": ("a", "b")})):
        for _ in range(10):
            assert type(mod.fill(cls)) is cls
    assert type(mod.generic(mod.T)) is mod.T
    with pytest.raises(TypeError) as caught:
        mod.fill("T")
    assert str(caught.value) == "HPy_New arg 1 must be a type"
    with pytest.raises(TypeError) as caught:
        mod.generic("T")
    assert str(caught.value) == "HPy_Type_GenericNew arg 1 must be a type"
    with pytest.raises(TypeError, match="metaclass"):
        mod.fill(type)


@pytest.mark.skipif(tree.HAS_ASAN, reason="AddressSanitizer needs terabytes of address space")
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_new_without_memory(hpy_module: ModuleFactory, run_python: PythonRunner) -> None:
    module = hpy_module.build(
        """
        #include "hpy.h"
        typedef struct { char bytes[1 << 30]; } Huge;
        HPyType_HELPERS(Huge)
        static HPyType_Spec Huge_spec = {.name = "mytest.Huge", .basicsize = sizeof(Huge)};
        HPyDef_METH(make, "make", HPyFunc_NOARGS)
        static HPy make_impl(HPyContext *ctx, HPy self)
        {
            Huge *data;
            HPy result, type = HPyType_FromSpec(ctx, &Huge_spec, NULL);
            (void)self;
            if (HPy_IsNull(type)) return HPy_NULL;
            result = HPy_New(ctx, type, &data);
            HPy_Close(ctx, type);
            return result;
        }
        """
    )
    done = run_python(
        """
        import resource
        import mytest
        pages = int(open("/proc/self/statm").read().split()[0])
        limit = pages * resource.getpagesize() + (256 << 20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for _ in range(3):
            try:
                mytest.make()
            except MemoryError as error:
                print(type(error).__name__)
        """,
        module=module,
    )
    assert (done.returncode, done.stdout) == (0, "MemoryError\n" * 3), done.stderr
