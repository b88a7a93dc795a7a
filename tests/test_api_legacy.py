"""Beside the Python/C API: HPy_AsPyObject, HPy_FromPyObject, legacy methods."""

import sys
from typing import Any

import pytest

from support.api_source import NULL, module_source
from support.compiler import CompileError
from support.extension import ModuleFactory

HPY_ABIS = ["cpython", "hybrid", "hybrid-debug"]

LEGACY = "#include <Python.h>\n" + module_source(
    """
    static PyObject *legacy_add(PyObject *self, PyObject *args)
    {
        long a, b;
        (void)self;
        if (!PyArg_ParseTuple(args, "ll", &a, &b)) return NULL;
        return PyLong_FromLong(a + b);
    }
    static PyObject *legacy_self(PyObject *self, PyObject *Py_UNUSED(args))
    {
        Py_INCREF(self);
        return self;
    }
    static PyObject *legacy_one(PyObject *Py_UNUSED(self), PyObject *arg)
    {
        return PyObject_Repr(arg);
    }
    static PyObject *legacy_keywords(PyObject *Py_UNUSED(self), PyObject *args, PyObject *kw)
    {
        return Py_BuildValue("(OO)", args, kw ? kw : Py_None);
    }
    static PyMethodDef legacy_methods[] = {
        {"legacy_add", legacy_add, METH_VARARGS, "adds"},
        {"legacy_self", legacy_self, METH_NOARGS, NULL},
        {"legacy_one", legacy_one, METH_O, NULL},
        {"legacy_keywords", (PyCFunction)(void (*)(void))legacy_keywords,
         METH_VARARGS | METH_KEYWORDS, NULL},
        {NULL, NULL, 0, NULL},
    };
    static int answer = 42;
    """,
    # To CPython and back: the object is the same, its count of references goes up by one.
    as_py_object="""
        PyObject *object = HPy_AsPyObject(ctx, MAYBE(0));
        HPy result;
        if (object == NULL) return HPyUnicode_FromString(ctx, "null");
        result = HPyLong_FromSsize_t(ctx, (HPy_ssize_t)(intptr_t)object);
        Py_DECREF(object);
        return result;
    """,
    counts="""
        PyObject *object = HPy_AsPyObject(ctx, args[0]), *second;
        Py_ssize_t count = Py_REFCNT(object), up, same, down;
        HPy h;
        second = HPy_AsPyObject(ctx, args[0]);
        up = Py_REFCNT(object);
        h = HPy_FromPyObject(ctx, object);
        Py_DECREF(second);
        same = Py_REFCNT(object);
        HPy_Close(ctx, h);
        down = Py_REFCNT(object);
        Py_DECREF(object);
        return HPy_BuildValue(ctx, "nnn", up - count, same - count, down - count);
    """,
    from_py_object="""
        PyObject *object = PyLong_FromLong(123456789);
        HPy result = HPy_FromPyObject(ctx, object);
        Py_DECREF(object);
        return result;
    """,
    from_null="""
        HPy result = HPy_FromPyObject(ctx, NULL);
        return truth(ctx, HPy_IsNull(result));
    """,
    # An exception of the Python/C API is one of HPy.
    failing="""
        PyErr_SetString(PyExc_KeyError, "from CPython");
        if (!HPyErr_Occurred(ctx)) HPy_FatalError(ctx, "not seen");
        if (!HPyErr_ExceptionMatches(ctx, ctx->h_LookupError)) HPy_FatalError(ctx, "another");
        return HPy_NULL;
    """,
    capsule="""
        PyObject *object = PyCapsule_New(&answer, "made by CPython", NULL);
        HPy result = HPy_FromPyObject(ctx, object);
        Py_DECREF(object);
        return result;
    """,
    look="""
        int *pointer = (int *)HPyCapsule_GetPointer(ctx, args[0], "made by CPython");
        return pointer == NULL ? HPy_NULL : HPyLong_FromLong(ctx, *pointer);
    """,
)


def with_legacy_methods(source: str) -> str:
    names = [line.split("(")[1].split(",")[0] for line in source.splitlines() if "HPyDef_M" in line]
    defines = "".join(f"&{name}, " for name in names)
    return source + (
        f"static HPyDef *mytest_defines[] = {{{defines}NULL}};\n"
        "static HPyModuleDef mytest_def = {.legacy_methods = legacy_methods,\n"
        "                                  .defines = mytest_defines};\n"
        "HPy_MODINIT(mytest, mytest_def)\n"
    )


@pytest.fixture
def mod(hpy_module: ModuleFactory) -> Any:
    return hpy_module(with_legacy_methods(LEGACY))


def test_as_py_object(mod: Any) -> None:
    for thing in object(), "text", 1, None, mod:
        assert mod.as_py_object(thing) == id(thing)
    assert mod.as_py_object(NULL) == "null"
    thing = object()
    before = sys.getrefcount(thing)
    assert mod.counts(thing) == (1, 1, 0)
    assert sys.getrefcount(thing) == before


def test_from_py_object(mod: Any) -> None:
    assert mod.from_py_object() == 123456789
    assert mod.from_null() == 1


def test_exceptions_of_both(mod: Any) -> None:
    with pytest.raises(KeyError, match="from CPython"):
        mod.failing()


def test_legacy_methods(mod: Any) -> None:
    assert mod.legacy_add(40, 2) == 42
    assert mod.legacy_add.__doc__ == "adds"
    assert mod.legacy_self() is mod
    assert mod.legacy_one("x") == "'x'"
    assert mod.legacy_keywords(1, 2, a=3) == ((1, 2), {"a": 3})
    assert mod.legacy_keywords() == ((), None)
    for call in lambda: mod.legacy_add(1), lambda: mod.legacy_self(1), mod.legacy_one:
        with pytest.raises(TypeError):
            call()
    names = list(vars(mod))
    assert names.index("as_py_object") < names.index("legacy_add")  # those of HPy come first


def test_capsule_of_cpython(mod: Any) -> None:
    assert mod.look(mod.capsule()) == 42
    with pytest.raises(ValueError, match="incorrect name"):
        mod.look(__import__("datetime").datetime_CAPI)


@pytest.mark.hpy_abis("universal")
@pytest.mark.parametrize(
    "statement", ["HPy_AsPyObject(ctx, self);", "HPy_FromPyObject(ctx, NULL);"]
)
def test_not_in_the_universal_abi(hpy_module: ModuleFactory, statement: str) -> None:
    """An error of the compiler that says why."""
    with pytest.raises(CompileError) as caught:
        hpy_module.build(module_source(f=f"{statement} return none(ctx);"))
    text = "Cannot use legacy functions when targeting the HPy Universal ABI"
    assert text in caught.value.stderr
