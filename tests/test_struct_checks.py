"""Native structs: read with the accessor of their shape only, and never written past their end.

The kinds wrong-struct and struct-overrun, and correct extensions that do the same things rightly.
"""

import gc
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hpy.debug
from hpy.debug import HPyDebugError, HPyDebugWarning
from hpy.debug.violation import Violation
from support.child import PythonRunner
from support.extension import ModuleFactory, line_of

HPY_ABIS = ["debug", "hybrid-debug"]
pytestmark = pytest.mark.no_leak_check

SOURCE = r"""
#include <string.h>
#include "hpy.h"

typedef struct { long value, more; } Plain;
HPyType_HELPERS(Plain)
typedef struct { long value; } Dict;
HPyType_HELPERS(Dict, HPyType_BuiltinShape_Dict)

/* make(cls, how many bytes are written, behind how many, of which value) */
HPyDef_METH(make, "make", HPyFunc_VARARGS)
static HPy make_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    char *data;
    HPy h = HPy_New(ctx, args[0], &data);  /* makes */
    if (!HPy_IsNull(h))
        memset(data + HPyLong_AsLong(ctx, args[2]), (int)HPyLong_AsLong(ctx, args[3]),
               (size_t)HPyLong_AsLong(ctx, args[1]));
    return h;
}

/* generic(cls) */
HPyDef_METH(generic, "generic", HPyFunc_O)
static HPy generic_impl(HPyContext *ctx, HPy self, HPy cls)
{
    return HPyType_GenericNew(ctx, cls, NULL, 0, HPy_NULL);
}

/* A new object that only a list has. */
HPyDef_METH(put, "put", HPyFunc_VARARGS)
static HPy put_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    char *data;
    HPy h = HPy_New(ctx, args[0], &data);  /* puts */
    memset(data, 1, sizeof(Plain) + 1);
    if (HPyList_Append(ctx, args[1], h) < 0)
        return HPy_NULL;
    HPy_Close(ctx, h);
    return HPy_Dup(ctx, ctx->h_None);
}

/* write(plain, how many bytes) */
HPyDef_METH(overwrite, "write", HPyFunc_VARARGS)
static HPy overwrite_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    memset(Plain_AsStruct(ctx, args[0]), 7, (size_t)HPyLong_AsLong(ctx, args[1]));
    return HPy_Dup(ctx, ctx->h_None);
}

/* call(function): its result. */
HPyDef_METH(call, "call", HPyFunc_O)
static HPy call_impl(HPyContext *ctx, HPy self, HPy function)
{
    return HPy_Call(ctx, function, NULL, 0, HPy_NULL);
}

HPyDef_METH(read_object, "read_object", HPyFunc_O)
static HPy read_object_impl(HPyContext *ctx, HPy self, HPy arg)
{
    Plain *plain = Plain_AsStruct(ctx, arg);  /* reads object */
    plain->value += 1;
    return HPyLong_FromLong(ctx, plain->value);
}

HPyDef_METH(read_dict, "read_dict", HPyFunc_O)
static HPy read_dict_impl(HPyContext *ctx, HPy self, HPy arg)
{
    return HPyLong_FromLong(ctx, Dict_AsStruct(ctx, arg)->value);  /* reads dict */
}

HPyDef_METH(read_legacy, "read_legacy", HPyFunc_O)
static HPy read_legacy_impl(HPyContext *ctx, HPy self, HPy arg)
{
    void *data = _HPy_AsStruct_Legacy(ctx, arg);  /* reads legacy */
    return HPyLong_FromLong(ctx, data != NULL);
}

/* What a refused call returns is large, zero, and may be written to. */
HPyDef_METH(scratch, "scratch", HPyFunc_O)
static HPy scratch_impl(HPyContext *ctx, HPy self, HPy arg)
{
    char *data = _HPy_AsStruct_List(ctx, arg);  /* reads list */
    long i, sum = 0;
    for (i = 0; i < 65536; i++)
        sum += data[i];
    memset(data, 1, 65536);
    return HPyLong_FromLong(ctx, sum);
}

HPyDef_SLOT(Plain_init, HPy_tp_init)
static int Plain_init_impl(HPyContext *ctx, HPy self, const HPy *args, HPy_ssize_t nargs, HPy kw)
{
    Plain_AsStruct(ctx, self)->more = 5;
    return 0;
}
HPyDef_METH(Plain_get, "get", HPyFunc_NOARGS)
static HPy Plain_get_impl(HPyContext *ctx, HPy self)
{
    return HPyLong_FromLong(ctx, Plain_AsStruct(ctx, self)->more);
}
HPyDef_SLOT(Plain_call, HPy_tp_call)
static HPy Plain_call_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs, HPy kw)
{
    return HPyLong_FromLong(ctx, 42);
}
static HPyDef *Plain_defines[] = {&Plain_init, &Plain_get, NULL};
static HPyType_Spec Plain_spec = {
    .name = "mytest.Plain", .basicsize = sizeof(Plain), .builtin_shape = SHAPE(Plain),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE, .defines = Plain_defines};

static HPyDef *Callable_defines[] = {&Plain_init, &Plain_get, &Plain_call, NULL};
static HPyType_Spec Callable_spec = {
    .name = "mytest.Callable", .basicsize = sizeof(Plain), .builtin_shape = SHAPE(Plain),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE, .defines = Callable_defines};

/* The struct of a base is the beginning of this one. */
typedef struct { Plain plain; char text[100]; } Large;
static HPyType_Spec Large_spec = {
    .name = "mytest.Large", .basicsize = sizeof(Large), .builtin_shape = SHAPE(Plain),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE};
static HPyType_Spec Same_spec = {
    .name = "mytest.Same", .basicsize = sizeof(Plain), .builtin_shape = SHAPE(Plain),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE};
static HPyType_Spec None_spec = {
    .name = "mytest.None", .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE};
static HPyType_Spec Dict_spec = {
    .name = "mytest.Dict", .basicsize = sizeof(Dict), .builtin_shape = SHAPE(Dict),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE};
static HPyType_Spec Tuple_spec = {
    .name = "mytest.Tuple", .basicsize = sizeof(Plain),
    .builtin_shape = HPyType_BuiltinShape_Tuple,
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE};

#define ADD(name, base_object)                                                    \
    param[0].object = (base_object);                                              \
    if (!HPyHelpers_AddType(ctx, module, #name, &name##_spec, param)) return -1;

HPyDef_SLOT(exec, HPy_mod_exec)
static int exec_impl(HPyContext *ctx, HPy module)
{
    HPyType_SpecParam param[2] = {{HPyType_SpecParam_Base, HPy_NULL}};
    HPy plain;
    memset(&param[1], 0, sizeof(param[1]));
    ADD(Plain, ctx->h_BaseObjectType)
    ADD(Callable, ctx->h_BaseObjectType)
    ADD(Dict, ctx->h_DictType)
    ADD(Tuple, ctx->h_TupleType)
    plain = HPy_GetAttr_s(ctx, module, "Callable");
    ADD(Large, plain)
    ADD(Same, plain)
    ADD(None, plain)
    HPy_Close(ctx, plain);
    return 0;
}
"""
SIZE = 16  # of Plain


@pytest.fixture
def mod(hpy_module: ModuleFactory) -> Any:
    return hpy_module(SOURCE)


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    with hpy.debug.configure(on_violation="raise"):
        yield


def misuse(function: Any, *args: Any) -> Violation:
    with pytest.raises(HPyDebugError) as caught:
        function(*args)
    violation = caught.value.violation
    assert violation is not None
    return violation


def here() -> int:
    return sys._getframe(1).f_lineno


# wrong-struct


class Ordinary:
    pass


@pytest.mark.parametrize(
    ("function", "make", "shape"),
    [
        ("read_object", "Dict", "Dict"),
        ("read_object", "Tuple", "Tuple"),
        ("read_dict", "Plain", "Object"),
        ("read_legacy", "Plain", "Object"),
        ("read_object", Ordinary, "Legacy"),
        ("read_dict", dict, "Legacy"),
        ("read_dict", lambda: 5, "Legacy"),
    ],
)
def test_wrong_struct(mod: Any, function: str, make: Any, shape: str) -> None:
    obj = getattr(mod, make)() if isinstance(make, str) else make()
    violation = misuse(getattr(mod, function), obj)
    assert violation.kind == "wrong-struct"
    expected = function[len("read_") :].title()
    assert violation.api == f"_HPy_AsStruct_{expected}"
    assert f"HPyType_BuiltinShape_{shape}" in violation.message
    assert (violation.module, violation.function) == ("mytest", function)
    assert violation.at is not None
    line = line_of(SOURCE, f"/* reads {expected.lower()} */")
    # With the inlined helper of HPyType_HELPERS the first frame is still the extension's line.
    assert line in [frame.line for frame in violation.at.native[:2]]
    assert violation.handle is not None
    assert violation.handle["type"] == type(obj).__name__ or "mytest" in violation.handle["type"]
    assert (violation.opened, violation.closed) == (None, None)


def test_refused_struct_is_zero_and_large(mod: Any) -> None:
    for _ in range(2):
        assert misuse(mod.scratch, mod.Plain()).kind == "wrong-struct"
    with hpy.debug.configure(on_violation="warn"), pytest.warns(HPyDebugWarning):
        assert mod.scratch(mod.Plain()) == 0


@pytest.mark.parametrize(
    ("code", "expected", "found"),
    [
        ("mytest.read_object(mytest.Dict())", "Object", "Dict"),
        ("mytest.read_legacy(mytest.Plain())", "Legacy", "Object"),
        ("mytest.scratch([])", "List", "Legacy"),
    ],
)
def test_wrong_struct_is_fatal(
    hpy_module: ModuleFactory, run_python: PythonRunner, code: str, expected: str, found: str
) -> None:
    done = run_python(f"import mytest\n{code}\n", module=hpy_module.build(SOURCE))
    assert done.returncode == -6
    assert "error[wrong-struct]: " in done.stderr
    assert (
        f"Invalid usage of _HPy_AsStruct_{expected}. Expected shape HPyType_BuiltinShape_"
        f"{expected} but got HPyType_BuiltinShape_{found}"
    ) in done.stderr


def test_right_struct(mod: Any) -> None:
    class Sub(mod.Plain):  # type: ignore[misc]
        pass

    class SubDict(mod.Dict, Ordinary):  # type: ignore[misc]
        pass

    for cls in (mod.Plain, Sub, mod.Callable, mod.Large, mod.Same):
        obj = cls()
        assert mod.read_object(obj) == 1
    assert mod.read_object(getattr(mod, "None")()) == 1
    assert mod.read_dict(SubDict()) == mod.read_dict(mod.Dict()) == 0
    for obj in (5, Ordinary(), Ordinary, mod):
        assert mod.read_legacy(obj) == 1


# struct-overrun


@pytest.mark.parametrize(("size", "value"), [(1, 9), (8, 0), (64, 0), (64, 255), (3, 1)])
def test_overrun_found_at_the_return(mod: Any, size: int, value: int) -> None:
    line = here() + 1
    violation = misuse(mod.make, mod.Plain, SIZE + size, 0, value)
    assert violation.kind == "struct-overrun"
    assert violation.api is None
    assert (violation.module, violation.function) == ("mytest", "make")
    assert "'mytest.Plain'" in violation.message
    assert "16 bytes" in violation.message
    assert violation.opened is not None
    first = violation.opened.native[0]
    assert (first.function, first.line) == ("make_impl", line_of(SOURCE, "/* makes */"))
    assert violation.opened.python[1].line == line
    assert violation.at is not None
    assert violation.at.native[0].function == "make_impl"
    assert violation.closed is None


@pytest.mark.parametrize("name", ["Callable", "Large", "Same", "None", "Dict"])
def test_overrun_of_other_types(mod: Any, name: str) -> None:
    size = {"Large": 120, "Dict": 8}.get(name, SIZE)
    violation = misuse(mod.make, getattr(mod, name), 1, size, 9)
    assert violation.kind == "struct-overrun"
    mod.make(getattr(mod, name), size, 0, 9)


def test_overrun_of_a_python_subclass(mod: Any) -> None:
    """What the class appends comes behind what is guarded."""

    class Sub(mod.Plain):  # type: ignore[misc]
        __slots__ = ("__dict__", "__weakref__", "a")

    assert misuse(mod.make, Sub, SIZE + 1, 0, 9).kind == "struct-overrun"
    obj = mod.make(Sub, SIZE, 0, 9)
    obj.a, obj.b = "a", "b"
    assert (obj.a, obj.b) == ("a", "b")


def test_overrun_found_at_the_end(mod: Any) -> None:
    objects: list[Any] = []
    line = here() + 1
    mod.put(mod.Plain, objects)
    violation = misuse(mod.call, objects.clear)
    assert violation.kind == "struct-overrun"
    assert violation.opened is not None
    first = violation.opened.native[0]
    assert (first.function, first.line) == ("put_impl", line_of(SOURCE, "/* puts */"))
    assert violation.opened.python[0].line == line
    assert violation.function == "call"  # in progress when it was found


def test_overrun_found_outside_of_all(mod: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    caught: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda args: caught.append(args.exc_value))
    obj = mod.make(mod.Plain, SIZE, 0, 9)
    mod.write(obj, SIZE + 4)
    del obj
    for _ in range(1000):
        pass
    (error,) = caught
    assert error.violation.kind == "struct-overrun"
    assert error.violation.function == "make"


@pytest.mark.parametrize("policy", ["abort", "warn"])
def test_overrun_policies(
    hpy_module: ModuleFactory, run_python: PythonRunner, tmp_path: Path, policy: str
) -> None:
    report = tmp_path / "report.jsonl"
    code = f"""
        import mytest
        obj = mytest.make(mytest.Plain, {SIZE + 1}, 0, 9)
        del obj
        print("reached")
    """
    env = {"HPY_DEBUG_ON_VIOLATION": policy, "HPY_DEBUG_REPORT": str(report)}
    done = run_python(code, module=hpy_module.build(SOURCE), env=env)
    assert "error[struct-overrun]: " in done.stderr
    (line,) = report.read_text().splitlines()
    assert json.loads(line)["kind"] == "struct-overrun"
    assert done.returncode == (-6 if policy == "abort" else 0), done.stderr
    assert done.stdout == ("" if policy == "abort" else "reached\n")


# Correct extensions


@pytest.mark.parametrize("name", ["Plain", "Callable", "Large", "Same", "None", "Dict", "Tuple"])
def test_correct(mod: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However an object is made, and whatever Python puts into it."""
    caught: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", caught.append)
    report = tmp_path / "report.jsonl"
    cls = getattr(mod, name)
    size = {"Large": 116, "Dict": 8}.get(name, SIZE)

    class Sub(cls):  # type: ignore[misc]
        def __del__(self) -> None:
            revived.append(self)

    class Mixed(Ordinary, Sub):
        pass

    revived: list[Any] = []
    with hpy.debug.configure(report=report):
        for made in cls, Sub, Mixed:
            objects = [made(), mod.generic(made), made.__new__(made)]
            if name != "Tuple":
                objects.append(mod.make(made, size, 0, 255))
            for obj in objects:
                if made is not cls:
                    obj.attribute = obj
                if name not in ("Dict", "Tuple"):
                    assert mod.read_object(obj) in (0, 1)
                if callable(obj):
                    assert obj() == 42
            del objects, obj
            gc.collect()
            revived.clear()
            gc.collect()
    assert caught == []
    assert not report.exists() or report.read_text() == ""


def test_size_of_objects(mod: Any) -> None:
    """The guard can be seen: docs/debug-mode.md says so."""
    assert mod.Plain.__basicsize__ == 16 + SIZE + 64
