"""Types of shape Legacy: the struct starts with the object header, slots may be CPython's."""

import gc
import sys
from typing import Any

import pytest

from support.extension import ModuleFactory
from support.type_source import BASE, MAKE, MAKE_WITH_PARAMS, add_types

HPY_ABIS = ["cpython", "hybrid", "hybrid-debug"]

HEAD = """
#include <Python.h>
#include "hpy.h"
"""


@pytest.mark.promise("API-20")
def test_merged_definitions(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(
        HEAD
        + """
        #include <structmember.h>
        typedef struct { PyObject_HEAD long x; long y; PyObject *legacy; HPyField field; } Struct;
        HPyType_LEGACY_HELPERS(Struct)
        HPyDef_MEMBER(x, "x", HPyMember_LONG, offsetof(Struct, x))
        HPyDef_MEMBER(field, "field", HPyMember_OBJECT, offsetof(Struct, field))
        HPyDef_METH(get, "get", HPyFunc_NOARGS)
        static HPy get_impl(HPyContext *ctx, HPy self)
        { return HPyLong_FromLong(ctx, Struct_AsStruct(ctx, self)->x); }
        HPyDef_GET(z, "z")
        static HPy z_get(HPyContext *ctx, HPy self, void *closure)
        { (void)closure; return HPyLong_FromLong(ctx, Struct_AsStruct(ctx, self)->y + 1); }
        HPyDef_SLOT(destroy, HPy_tp_destroy)
        static void destroy_impl(void *data) { Py_CLEAR(((Struct *)data)->legacy); }
        HPyDef_SLOT(traverse, HPy_tp_traverse)
        static int traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
        { HPy_VISIT(&((Struct *)self)->field); return 0; }

        static PyObject *legacy_get(PyObject *self, PyObject *Py_UNUSED(arg))
        { return PyLong_FromLong(((Struct *)self)->y); }
        static PyObject *legacy_class(PyObject *cls, PyObject *Py_UNUSED(arg))
        { Py_INCREF(cls); return cls; }
        static PyMethodDef methods[] = {
            {"legacy_get", legacy_get, METH_NOARGS, NULL},
            {"legacy_class", legacy_class, METH_NOARGS | METH_CLASS, NULL},
            {NULL, NULL, 0, NULL}};
        static PyMemberDef members[] = {
            {"y", T_LONG, offsetof(Struct, y), 0, NULL},
            {"legacy", T_OBJECT, offsetof(Struct, legacy), 0, NULL},
            {NULL, 0, 0, 0, NULL}};
        static PyObject *legacy_getter(PyObject *self, void *Py_UNUSED(closure))
        { return PyLong_FromLong(-((Struct *)self)->y); }
        static PyGetSetDef getsets[] = {
            {"minus_y", legacy_getter, NULL, NULL, NULL}, {NULL, NULL, NULL, NULL, NULL}};
        static PyObject *repr(PyObject *self)
        { return PyUnicode_FromFormat("<T %ld>", ((Struct *)self)->y); }
        static PyType_Slot slots[] = {
            {Py_tp_methods, methods}, {Py_tp_members, members}, {Py_tp_getset, getsets},
            {Py_tp_repr, (void *)repr}, {0, NULL}};
        static HPyDef *T_defines[] = {&x, &field, &get, &z, &destroy, &traverse, NULL};
        static HPyType_Spec T_spec = {
            .name = "mytest.T", .basicsize = sizeof(Struct),
            .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE | HPy_TPFLAGS_HAVE_GC,
            .builtin_shape = SHAPE(Struct), .legacy_slots = slots, .defines = T_defines};
        """
        + add_types("T")
    )
    cls: Any
    for cls in (mod.T, type("Sub", (mod.T,), {})):
        value = ["value"]
        before = sys.getrefcount(value)
        thing = cls()
        thing.x, thing.y, thing.legacy, thing.field = 1, 2, value, value
        assert (thing.get(), thing.z, thing.legacy_get(), thing.minus_y) == (1, 3, 2, -2)
        assert thing.legacy_class() is cls.legacy_class() is cls
        assert repr(thing) == "<T 2>"
        assert thing.legacy is thing.field is value
        del thing
        assert sys.getrefcount(value) == before
    defined = ("x", "y", "z", "get", "legacy_get", "legacy_class", "minus_y", "legacy", "field")
    order = [name for name in vars(mod.T) if name in defined]
    assert order.index("get") < order.index("legacy_get") < order.index("legacy_class")
    assert order.index("x") < order.index("y")
    assert order.index("z") < order.index("minus_y")


DEALLOC = """
static void dealloc(PyObject *self)
{ PyTypeObject *type = Py_TYPE(self); type->tp_free(self); Py_DECREF(type); }
static PyType_Slot slots[] = {{Py_tp_dealloc, (void *)dealloc}, {0, NULL}};
HPyDef_SLOT(destroy, HPy_tp_destroy)
static void destroy_impl(void *data) { (void)data; }
HPyDef_SLOT(traverse, HPy_tp_traverse)
static int traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{ (void)self; (void)visit; (void)arg; return 0; }
"""


@pytest.mark.parametrize("define", ["destroy", "traverse", ""])
def test_legacy_dealloc(hpy_module: ModuleFactory, define: str) -> None:
    mod = hpy_module(
        HEAD
        + DEALLOC
        + f"""
        static HPyDef *T_defines[] = {{{"&" + define + "," if define else ""} NULL}};
        static HPyDef *unused[] = {{&destroy, &traverse, NULL}};
        static HPyType_Spec spec = {{.name = "mytest.T", .basicsize = sizeof(PyObject),
            .builtin_shape = HPyType_BuiltinShape_Legacy, .legacy_slots = slots,
            .defines = T_defines}};
        """
        + MAKE,
        cflags=["-Wno-unused-variable"],
    )
    if not define:
        made = mod.make()
        before = sys.getrefcount(made)
        for _ in range(10):
            made()
        assert sys.getrefcount(made) == before
        return
    with pytest.raises(TypeError) as caught:
        mod.make()
    message = "legacy tp_dealloc is incompatible with HPy_tp_traverse or HPy_tp_destroy."
    assert str(caught.value) == message


@pytest.mark.promise("API-24")
def test_legacy_slots_need_the_shape(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(
        HEAD
        + """
        static PyType_Slot slots[] = {{0, NULL}};
        static HPyType_Spec spec = {.name = "mytest.T", .legacy_slots = slots};
        """
        + MAKE
    )
    with pytest.raises(TypeError) as caught:
        mod.make()
    assert (
        str(caught.value) == "cannot specify .legacy_slots without setting "
        ".builtin_shape=HPyType_BuiltinShape_Legacy"
    )


def test_bases(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(
        HEAD
        + """
        typedef struct { int x; } Pure;
        typedef struct { PyObject_HEAD int x; } Legacy;
        static HPyType_Spec Pure_spec = {.name = "mytest.Pure", .basicsize = sizeof(Pure),
            .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE};
        static HPyType_Spec Empty_spec = {.name = "mytest.Empty",
            .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE};
        static HPyType_Spec spec = {.name = "mytest.T", .basicsize = sizeof(Legacy),
            .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE,
            .builtin_shape = HPyType_BuiltinShape_Legacy};
        """
        + MAKE_WITH_PARAMS
        + add_types("Pure", "Empty")
    )
    message = "A legacy type should not inherit its memory layout from a pure type"
    for base in (mod.Pure, mod.Empty, type("Sub", (mod.Pure,), {})):
        with pytest.raises(TypeError) as caught:
            mod.make(BASE, base)
        assert str(caught.value) == message
    legacy = mod.make()
    assert mod.make(BASE, legacy).__base__ is legacy
    assert mod.make(BASE, type("Sub", (legacy,), {"__slots__": ()}))()


def test_static_metaclass(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(
        HEAD
        + """
        typedef struct { PyHeapTypeObject base; int number; } Meta;
        HPyType_LEGACY_HELPERS(Meta)
        static PyTypeObject Meta_Type = {
            PyVarObject_HEAD_INIT(NULL, 0)
            .tp_name = "mytest.Meta", .tp_basicsize = sizeof(Meta),
            .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_TYPE_SUBCLASS};
        static HPyType_Spec T_spec = {.name = "mytest.T",
            .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE};
        HPyDef_METH(make, "make", HPyFunc_NOARGS)
        static HPy make_impl(HPyContext *ctx, HPy self)
        {
            HPyType_SpecParam params[] = {
                {HPyType_SpecParam_Metaclass, HPy_NULL}, {(HPyType_SpecParam_Kind)0, HPy_NULL}};
            HPy meta, result;
            (void)self;
            Meta_Type.tp_base = &PyType_Type;
            if (PyType_Ready(&Meta_Type) < 0) return HPy_NULL;
            meta = HPy_FromPyObject(ctx, (PyObject *)&Meta_Type);
            params[0].object = meta;
            result = HPyType_FromSpec(ctx, &T_spec, params);
            HPy_Close(ctx, meta);
            if (!HPy_IsNull(result)) Meta_AsStruct(ctx, result)->number = 42;
            return result;
        }
        HPyDef_METH(number, "number", HPyFunc_O)
        static HPy number_impl(HPyContext *ctx, HPy self, HPy cls)
        { (void)self; return HPyLong_FromLong(ctx, Meta_AsStruct(ctx, cls)->number); }
        """
    )
    made = mod.make()
    assert type(made).__name__ == "Meta"
    assert mod.number(made) == 42
    assert mod.number(type("Sub", (made,), {})) == 0
    assert mod.number(made) == 42


def test_legacy_base_with_its_own_functions(hpy_module: ModuleFactory) -> None:
    """A type of HPy on a heap type of the Python/C API that has tp_traverse and tp_dealloc."""
    mod = hpy_module(
        HEAD
        + """
        typedef struct { PyObject_HEAD PyObject *ref; } Native;
        static int native_traverse(PyObject *self, visitproc visit, void *arg)
        { Py_VISIT(Py_TYPE(self)); Py_VISIT(((Native *)self)->ref); return 0; }
        static int native_clear(PyObject *self) { Py_CLEAR(((Native *)self)->ref); return 0; }
        static void native_dealloc(PyObject *self)
        {
            PyTypeObject *type = Py_TYPE(self);
            PyObject_GC_UnTrack(self);
            native_clear(self);
            type->tp_free(self);
            Py_DECREF(type);
        }
        static PyObject *native_set(PyObject *self, PyObject *arg)
        { Py_INCREF(arg); Py_XSETREF(((Native *)self)->ref, arg); Py_RETURN_NONE; }
        static PyMethodDef native_methods[] = {
            {"set", native_set, METH_O, NULL}, {NULL, NULL, 0, NULL}};
        static PyType_Slot native_slots[] = {
            {Py_tp_traverse, (void *)native_traverse}, {Py_tp_clear, (void *)native_clear},
            {Py_tp_dealloc, (void *)native_dealloc}, {Py_tp_methods, native_methods}, {0, NULL}};
        static PyType_Spec native_spec = {"mytest.Native", sizeof(Native), 0,
            Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, native_slots};

        typedef struct { Native base; HPyField field; } Struct;
        HPyType_LEGACY_HELPERS(Struct)
        static int destroyed = 0;
        HPyDef_SLOT(destroy, HPy_tp_destroy)
        static void destroy_impl(void *data) { (void)data; destroyed++; }
        HPyDef_SLOT(traverse, HPy_tp_traverse)
        static int traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
        { HPy_VISIT(&((Struct *)self)->field); return 0; }
        HPyDef_MEMBER(field, "field", HPyMember_OBJECT, offsetof(Struct, field))
        static HPyDef *T_defines[] = {&destroy, &traverse, &field, NULL};
        static HPyType_Spec T_spec = {.name = "mytest.T", .basicsize = sizeof(Struct),
            .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE,
            .builtin_shape = SHAPE(Struct), .defines = T_defines};
        HPyDef_METH(make, "make", HPyFunc_NOARGS)
        static HPy make_impl(HPyContext *ctx, HPy self)
        {
            HPyType_SpecParam params[] = {
                {HPyType_SpecParam_Base, HPy_NULL}, {(HPyType_SpecParam_Kind)0, HPy_NULL}};
            PyObject *native = PyType_FromSpec(&native_spec);
            HPy result;
            (void)self;
            if (native == NULL) return HPy_NULL;
            params[0].object = HPy_FromPyObject(ctx, native);
            Py_DECREF(native);
            result = HPyType_FromSpec(ctx, &T_spec, params);
            HPy_Close(ctx, params[0].object);
            return result;
        }
        HPyDef_METH(count, "count", HPyFunc_NOARGS)
        static HPy count_impl(HPyContext *ctx, HPy self)
        { (void)self; return HPyLong_FromLong(ctx, destroyed); }
        """
    )
    made = mod.make()
    total = 0
    for cls in (made, type("Sub", (made,), {})):
        before = sys.getrefcount(cls)
        for attribute in ("field", "native", None):
            thing = cls()
            value = [thing] if attribute else []
            thing.field = value if attribute == "field" else None
            thing.set(value)
            referents = [id(referent) for referent in gc.get_referents(thing)]
            assert len(referents) == len(set(referents)) + (attribute == "field")
            del thing, value
            gc.collect()
            total += 1
            assert mod.count() == total
        after = sys.getrefcount(cls)
        assert after == before
