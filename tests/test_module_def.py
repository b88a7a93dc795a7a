"""HPyModuleDef: methods, slots, the checks, and HPyModule_Create of the older spelling."""

import sys
from types import SimpleNamespace

import pytest

from support.extension import ModuleFactory

REST = (
    "This is not allowed because custom HPy_mod_create slot cannot return a builtin module object "
    "and cannot make any use of any other data defined in the HPyModuleDef. Either do not define "
    "HPy_mod_create slot and let the runtime create a builtin module object from the provided "
    "HPyModuleDef, or do not define anything else but the HPy_mod_create slot."
)
WITH_SLOTS = "HPyModuleDef defines a HPy_mod_create slot and some other slots or methods. " + REST
WITH_FIELDS = (
    "HPyModuleDef defines a HPy_mod_create slot and some of the other fields are not set to their "
    "default value. " + REST
)
HEAD = """
#include "hpy.h"
HPyDef_SLOT(create, HPy_mod_create)
static HPy create_impl(HPyContext *ctx, HPy spec) { return HPy_Dup(ctx, spec); }
HPyDef_SLOT(create_again, HPy_mod_create)
static HPy create_again_impl(HPyContext *ctx, HPy spec) { return HPy_Dup(ctx, spec); }
HPyDef_SLOT(run, HPy_mod_exec)
static int run_impl(HPyContext *ctx, HPy mod)
{ HPy one = HPyLong_FromLong(ctx, 1); int r = HPy_SetAttr_s(ctx, mod, "one", one);
  HPy_Close(ctx, one); return r; }
HPyDef_SLOT(foreign, HPy_nb_add)
static HPy foreign_impl(HPyContext *ctx, HPy a, HPy b)
{ (void)ctx; (void)a; (void)b; return HPy_NULL; }
HPyDef_METH(meth, "meth", HPyFunc_NOARGS)
static HPy meth_impl(HPyContext *ctx, HPy self) { return HPy_Dup(ctx, self); }
static HPyDef bad = {.kind = HPyDef_Kind_Meth,
    {.meth = {.name = "bad", .signature = (HPyFunc_Signature)1234}}};
HPyGlobal global;
static HPyGlobal *globals[] = {&global, NULL};
static void *all[] = {&create, &create_again, &run, &foreign, &meth, &bad, globals};
"""
REFUSALS = [
    (".size = -1,", "bad", SystemError, "HPy does not permit HPyModuleDef.size < 0"),
    (
        ".size = 1,",
        "bad",
        SystemError,
        "Module state is not supported yet in HPy, set HPyModuleDef.size = 0 if module state is "
        "not needed",
    ),
    ("", "foreign bad", ValueError, "Unsupported HPyMeth signature"),
    (
        "",
        "create create_again foreign",
        SystemError,
        "Multiple definitions of the HPy_mod_create slot in HPyModuleDef.defines.",
    ),
    ("", "create foreign", SystemError, "Unsupported slot in HPyModuleDef.defines (value: 7)."),
    ("", "create run", SystemError, WITH_SLOTS),
    ("", "meth create", SystemError, WITH_SLOTS),
    ('.doc = "x",', "create", SystemError, WITH_FIELDS),
    (".globals = globals,", "create", SystemError, WITH_FIELDS),
]


def fields(text: str, defines: str) -> str:
    """A definition with the members of `text` in the order of the struct, as C++ wants it too."""
    listed = "".join(f"&{define}, " for define in defines.split())
    before = text if "globals" not in text else ""
    after = text if "globals" in text else ""
    return (
        f"static HPyDef *list[] = {{{listed}NULL}};"
        f"static HPyModuleDef def = {{{before} .defines = list, {after}}};"
        "HPy_MODINIT(mytest, def)"
    )


@pytest.mark.parametrize(("text", "defines", "exception", "message"), REFUSALS)
def test_refusals(
    hpy_module: ModuleFactory, text: str, defines: str, exception: type[Exception], message: str
) -> None:
    with pytest.raises(exception) as caught:
        hpy_module(HEAD + fields(text, defines), cflags=["-Wno-unused-variable"])
    assert str(caught.value) == message


@pytest.mark.promise("API-18")
def test_create(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(HEAD + fields("", "create"), cflags=["-Wno-unused-variable"])
    assert mod.name == "mytest"
    assert type(mod).__name__ == "ModuleSpec"


CREATE = """
#include "hpy.h"
HPyDef_SLOT(create, HPy_mod_create)
static HPy create_impl(HPyContext *ctx, HPy spec)
{
    (void)spec;
    %s
}
static HPyDef *list[] = {&create, NULL};
static HPyModuleDef def = {.defines = list};
HPy_MODINIT(mytest, def)
"""


def test_create_results(hpy_module: ModuleFactory) -> None:
    with pytest.raises(RuntimeError, match=r"^Test error$"):
        hpy_module(CREATE % 'return HPyErr_SetString(ctx, ctx->h_RuntimeError, "Test error");')
    with pytest.raises(SystemError) as caught:
        hpy_module(CREATE % 'return HPyImport_ImportModule(ctx, "sys");')
    assert (
        str(caught.value)
        == "HPy_mod_create slot returned a builtin module object. This is currently not supported."
    )


@pytest.mark.hpy_abis("cpython", "universal")
def test_null_without_an_exception(hpy_module: ModuleFactory) -> None:
    with pytest.raises(SystemError) as caught:
        hpy_module(CREATE % "(void)ctx; return HPy_NULL;")
    assert str(caught.value) == "creation of module mytest failed without setting an exception"
    with pytest.raises(SystemError) as caught:
        hpy_module("""
            #include "hpy.h"
            HPyDef_SLOT(run, HPy_mod_exec)
            static int run_impl(HPyContext *ctx, HPy mod) { (void)ctx; (void)mod; return -1; }
        """)
    assert str(caught.value) == "execution of module mytest failed without setting an exception"


def test_exec(hpy_module: ModuleFactory) -> None:
    mod = hpy_module("""
        #include "hpy.h"
        #define STEP(NAME, TEXT) \\
            HPyDef_SLOT(NAME, HPy_mod_exec) \\
            static int NAME##_impl(HPyContext *ctx, HPy mod) { return note(ctx, mod, TEXT); }
        static int note(HPyContext *ctx, HPy mod, const char *text)
        {
            HPy list, item;
            int result;
            if (!HPy_HasAttr_s(ctx, mod, "steps")) {
                list = HPyList_New(ctx, 0);
                HPy_SetAttr_s(ctx, mod, "steps", list);
            } else {
                list = HPy_GetAttr_s(ctx, mod, "steps");
            }
            item = HPyUnicode_FromString(ctx, text);
            result = HPyList_Append(ctx, list, item);
            HPy_Close(ctx, item);
            HPy_Close(ctx, list);
            return result;
        }
        STEP(first, "first")
        STEP(second, "second")
        HPyDef_METH(self_of, "self_of", HPyFunc_NOARGS, .doc = "hello world")
        static HPy self_of_impl(HPyContext *ctx, HPy self) { return HPy_Dup(ctx, self); }
        static HPyDef *list[] = {&first, &self_of, &second, NULL};
        static HPyModuleDef def = {.doc = "some doc", .defines = list};
        HPy_MODINIT(mytest, def)
    """)
    assert mod.steps == ["first", "second"]
    assert type(mod) is type(sys)
    assert (mod.__name__, mod.__doc__) == ("mytest", "some doc")
    assert mod.self_of() is mod
    assert mod.self_of.__doc__ == "hello world"
    assert mod.self_of.__module__ == "mytest"
    with pytest.raises(RuntimeError, match=r"^no$"):
        hpy_module("""
            #include "hpy.h"
            HPyDef_SLOT(run, HPy_mod_exec)
            static int run_impl(HPyContext *ctx, HPy mod)
            { (void)mod; HPyErr_SetString(ctx, ctx->h_RuntimeError, "no"); return -1; }
        """)


def test_nothing_in_it(hpy_module: ModuleFactory) -> None:
    mod = hpy_module('#include "hpy.h"\nstatic HPyModuleDef d;\nHPy_MODINIT(mytest, d)')
    assert mod.__doc__ is None
    assert [name for name in vars(mod) if not name.startswith("__")] == []


@pytest.mark.promise("ABI-13", "API-20")
@pytest.mark.hpy_abis("cpython", "hybrid", "hybrid-debug")
def test_legacy_methods(hpy_module: ModuleFactory) -> None:
    mod = hpy_module("""
        #include <Python.h>
        #include "hpy.h"
        HPyDef_METH(meth, "meth", HPyFunc_O)
        static HPy meth_impl(HPyContext *ctx, HPy self, HPy arg)
        { (void)self; return HPy_Dup(ctx, arg); }
        static PyObject *legacy(PyObject *self, PyObject *args)
        { long a, b; (void)self;
          return PyArg_ParseTuple(args, "ll", &a, &b) ? PyLong_FromLong(a * b) : NULL; }
        static PyMethodDef methods[] = {
            {"legacy", legacy, METH_VARARGS, "legacy doc"}, {NULL, NULL, 0, NULL}};
        static HPyDef *list[] = {&meth, NULL};
        static HPyModuleDef def = {.legacy_methods = methods, .defines = list};
        HPy_MODINIT(mytest, def)
    """)
    assert (mod.legacy(6, 7), mod.meth(3), mod.legacy.__doc__) == (42, 3, "legacy doc")
    assert [name for name in vars(mod) if not name.startswith("__")] == ["meth", "legacy"]


OLD = """
#include "hpy.h"
HPyDef_METH(meth, "meth", meth_impl, HPyFunc_NOARGS)
static HPy meth_impl(HPyContext *ctx, HPy self) { return HPy_Dup(ctx, self); }
HPyDef_METH(make, "make", make_impl, HPyFunc_O)
static HPy make_impl(HPyContext *ctx, HPy self, HPy arg)
{
    char name[] = "other", doc[] = "its doc";
    HPyModuleDef other = {.name = name, .doc = doc, .size = -1};
    HPy result = HPyModule_Create(ctx, &other);
    size_t i;
    (void)self; (void)arg;
    for (i = 0; i + 1 < sizeof(name); i++) name[i] = 'x';
    for (i = 0; i + 1 < sizeof(doc); i++) doc[i] = 'x';
    return result;
}
HPyGlobal global;
static HPyGlobal *globals[] = {&global};
static HPyDef *defines[] = {&meth, &make, NULL};
static HPyModuleDef def = {
    .name = "mytest", .doc = "old doc", .size = -1, .defines = defines, .globals = globals};
HPy_MODINIT(mytest)
static HPy init_mytest_impl(HPyContext *ctx)
{
    HPy module = HPyModule_Create(ctx, &def);
    HPy value;
    if (HPy_IsNull(module)) return HPy_NULL;
    value = HPyLong_FromLong(ctx, 5);
    if (HPy_SetAttr_s(ctx, module, "five", value) < 0) {
        HPy_Close(ctx, module);
        module = HPy_NULL;
    }
    HPy_Close(ctx, value);
    return module;
}
"""


@pytest.mark.promise("API-19")
def test_older_spelling(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(OLD)
    assert type(mod) is type(sys)
    assert (mod.__name__, mod.__doc__, mod.five) == ("mytest", "old doc", 5)
    assert mod.meth() is mod
    made = [mod.make(None) for _ in range(3)]
    assert len({id(other) for other in made}) == 3
    for other in made:
        assert vars(other) == {
            "__name__": "other",
            "__doc__": "its doc",
            "__package__": None,
            "__loader__": None,
            "__spec__": None,
        }


def test_older_spelling_fails(hpy_module: ModuleFactory) -> None:
    broken = OLD.replace("HPyDef_METH(make, ", "HPyDef_METH(unused, ", 1).replace(
        "&make", "&unused"
    )
    assert hpy_module(broken).five == 5
    with pytest.raises(ValueError, match=r"^Unsupported HPyMeth signature$"):
        hpy_module(
            OLD.replace("{&meth, &make, NULL}", "{&bad, NULL}").replace(
                "HPyGlobal global;",
                "static HPyDef bad = {.kind = HPyDef_Kind_Meth,"
                ' {.meth = {.name = "bad", .signature = (HPyFunc_Signature)77}}};'
                "HPyDef *keep[] = {&meth, &make};HPyGlobal global;",
            )
        )
    with pytest.raises(KeyError, match="in init"):
        hpy_module("""
            #include "hpy.h"
            HPy_MODINIT(mytest)
            static HPy init_mytest_impl(HPyContext *ctx)
            { return HPyErr_SetString(ctx, ctx->h_KeyError, "in init"); }
        """)


def test_create_returns_another_object(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(
        CREATE
        % """
        HPy types = HPyImport_ImportModule(ctx, "types");
        HPy cls = HPy_GetAttr_s(ctx, types, "SimpleNamespace");
        HPy result = HPy_CallTupleDict(ctx, cls, HPy_NULL, HPy_NULL);
        HPy_SetAttr_s(ctx, result, "spec", spec);
        HPy_Close(ctx, cls);
        HPy_Close(ctx, types);
        return result;
        """
    )
    assert type(mod) is SimpleNamespace
    assert mod.spec.name == "mytest"
