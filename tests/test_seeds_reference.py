"""Seed 003, the API reference: prototypes and examples (S32 to S45), each a test of its name."""

# The names have those of the examples.
# ruff: noqa: N802

import gc
import re
import sys
import threading
import time
import weakref

import pytest

from support.compiler import CompileError
from support.extension import ModuleFactory
from support.type_source import add_types

HPY_ABIS = ["cpython", "universal", "debug", "hybrid"]

# The prototypes as they stand, for pointers to the functions: S32, S34, S35, S36, S39 and S43. A
# pointer to a function that takes `HPy *` or `const char *keywords[]` may not point to one that
# takes pointers to const: those of S36 and S39 are called instead, with these very types.
PROTOTYPES = """
#include "hpy.h"

HPyDef_METH(check, "check", HPyFunc_NOARGS)
static HPy check_impl(HPyContext *ctx, HPy self)
{
    HPy (*field_load)(HPyContext *ctx, HPy source_object, HPyField source_field) = HPyField_Load;
    void (*field_store)(HPyContext *ctx, HPy target_object, HPyField *target_field, HPy h) =
        HPyField_Store;
    HPy (*global_load)(HPyContext *ctx, HPyGlobal global) = HPyGlobal_Load;
    void (*global_store)(HPyContext *ctx, HPyGlobal *global, HPy h) = HPyGlobal_Store;
    HPyThreadState (*leave)(HPyContext *ctx) = HPy_LeavePythonExecution;
    void (*reenter)(HPyContext *ctx, HPyThreadState state) = HPy_ReenterPythonExecution;
    int (*add_type)(HPyContext *ctx, HPy obj, const char *name, HPyType_Spec *hpyspec,
                    HPyType_SpecParam *params) = HPyHelpers_AddType;
    HPy args[1];
    HPy_ssize_t nargs = 0;
    HPy kw = HPy_NULL;
    HPyTracker *ht = NULL;
    const char *fmt = "|i";
    const char *keywords[] = {"", NULL};
    int i = 7;
    (void)field_load; (void)field_store; (void)global_load; (void)global_store;
    (void)leave; (void)reenter; (void)add_type;
    args[0] = self;
    if (HPyArg_Parse(ctx, ht, args, nargs, fmt, &i) != 1)
        return HPy_NULL;
    if (HPyArg_ParseKeywords(ctx, ht, args, nargs, kw, fmt, keywords, &i) != 1)
        return HPy_NULL;
    return HPyLong_FromLong(ctx, i);
}
"""

# S33, lines 703 and 705. The second line of the seed lacks the owner, which S32 has.
FIELD = """
#include "hpy.h"

typedef struct {
    HPyField f;
} Owner;
HPyType_HELPERS(Owner)

HPyDef_SLOT(Owner_new, HPyType_GenericNew, HPy_tp_new)

HPyDef_SLOT(Owner_traverse, Owner_traverse_impl, HPy_tp_traverse)
static int Owner_traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{
    HPy_VISIT(&((Owner *)self)->f);
    return 0;
}

HPyDef_METH(Owner_set, "set", Owner_set_impl, HPyFunc_O)
static HPy Owner_set_impl(HPyContext *ctx, HPy h_obj, HPy h)
{
    Owner *obj = Owner_AsStruct(ctx, h_obj);
    HPyField_Store(ctx, h_obj, &obj->f, h);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(Owner_get, "get", Owner_get_impl, HPyFunc_NOARGS)
static HPy Owner_get_impl(HPyContext *ctx, HPy h_obj)
{
    Owner *obj = Owner_AsStruct(ctx, h_obj);
    if (HPyField_IsNull(obj->f))
        return HPy_Dup(ctx, ctx->h_None);
    return HPyField_Load(ctx, h_obj, obj->f);
}

HPyDef_METH(Owner_drop, "drop", Owner_drop_impl, HPyFunc_NOARGS)
static HPy Owner_drop_impl(HPyContext *ctx, HPy h_obj)
{
    Owner *obj = Owner_AsStruct(ctx, h_obj);
    HPyField_Store(ctx, h_obj, &obj->f, HPy_NULL);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(Owner_forget, "forget", Owner_forget_impl, HPyFunc_NOARGS)
static HPy Owner_forget_impl(HPyContext *ctx, HPy h_obj)
{
    Owner *obj = Owner_AsStruct(ctx, h_obj);
    obj->f = HPyField_NULL;
    return HPy_Dup(ctx, ctx->h_None);
}

static HPyDef *Owner_defines[] = {
    &Owner_new, &Owner_traverse, &Owner_set, &Owner_get, &Owner_drop, &Owner_forget, NULL,
};
static HPyType_Spec Owner_spec = {
    .name = "mytest.Owner",
    .basicsize = sizeof(Owner),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_HAVE_GC,
    .defines = Owner_defines,
};
""" + add_types("Owner")

GLOBAL = """
#include "hpy.h"

static HPyGlobal global;

HPyDef_METH(load, "load", load_impl, HPyFunc_NOARGS)
static HPy load_impl(HPyContext *ctx, HPy self)
{
    return HPyGlobal_Load(ctx, global);
}

HPyDef_METH(store, "store", store_impl, HPyFunc_O)
static HPy store_impl(HPyContext *ctx, HPy self, HPy h)
{
    HPyGlobal_Store(ctx, &global, h);
    return HPy_Dup(ctx, ctx->h_None);
}

static HPyDef *defines[] = {&load, &store, NULL};
static HPyGlobal *globals[] = {&global, NULL};
static HPyModuleDef mytest = {.name = "mytest", .defines = defines, .globals = globals};
HPy_MODINIT(mytest)
HPy init_mytest_impl(HPyContext *ctx)
{
    HPy module = HPyModule_Create(ctx, &mytest);
    if (!HPy_IsNull(module))
        HPyGlobal_Store(ctx, &global, ctx->h_None);
    return module;
}
"""

# S35, lines 734 to 741. Both wait until the other thread sets the flag, which is Python's to set.
LEAVE = """
#include "hpy.h"
#include <unistd.h>

static volatile int flag;

HPyDef_METH(set_flag, "set_flag", set_flag_impl, HPyFunc_NOARGS)
static HPy set_flag_impl(HPyContext *ctx, HPy self)
{
    flag = 1;
    return HPy_Dup(ctx, ctx->h_None);
}

static int wait_for_flag(void)
{
    int i;
    for (i = 0; i < 20000 && !flag; i++)
        usleep(1000);
    return flag;
}

HPyDef_METH(wait_in_functions, "wait_in_functions", wait_in_functions_impl, HPyFunc_O)
static HPy wait_in_functions_impl(HPyContext *ctx, HPy self, HPy text)
{
    HPy_ssize_t size, read = 0;
    const char *utf8 = HPyUnicode_AsUTF8AndSize(ctx, text, &size);
    HPyThreadState state;
    int seen;
    if (utf8 == NULL)
        return HPy_NULL;
    flag = 0;
    state = HPy_LeavePythonExecution(ctx);
    seen = wait_for_flag();
    while (utf8[read])
        read++;
    HPy_ReenterPythonExecution(ctx, state);
    return HPyLong_FromLong(ctx, seen ? (long)read : -1);
}

HPyDef_METH(wait_in_block, "wait_in_block", wait_in_block_impl, HPyFunc_O)
static HPy wait_in_block_impl(HPyContext *context, HPy self, HPy text)
{
    int seen;
    flag = 0;
    HPy_BEGIN_LEAVE_PYTHON(context)
    seen = wait_for_flag();
    HPy_END_LEAVE_PYTHON(context)
    return HPyLong_FromLong(context, seen ? 5 : -1);
}
"""

# S37, lines 887 to 890; S38, lines 894 to 899.
PARSE = """
#include "hpy.h"

HPyDef_METH(without, "without", without_impl, HPyFunc_VARARGS)
static HPy without_impl(HPyContext *ctx, HPy self, HPy *args, HPy_ssize_t nargs)
{
    long a, b;
    if (!HPyArg_Parse(ctx, NULL, args, nargs, "ll", &a, &b))
        return HPy_NULL;
    return HPyLong_FromLong(ctx, a - b);
}

HPyDef_METH(with_tracker, "with_tracker", with_tracker_impl, HPyFunc_VARARGS)
static HPy with_tracker_impl(HPyContext *ctx, HPy self, HPy *args, HPy_ssize_t nargs)
{
    long a, b;
    HPyTracker ht;
    if (!HPyArg_Parse(ctx, &ht, args, nargs, "ll", &a, &b))
        return HPy_NULL;
    HPyTracker_Close(ctx, ht);
    return HPyLong_FromLong(ctx, a - b);
}
"""

# S40, lines 940 to 943; S41, lines 947 to 952. KEYWORDS is what both of them forgot.
PARSE_KEYWORDS = """
#include "hpy.h"

static const char *keywords[] = {"a", "b", NULL};

HPyDef_METH(without, "without", without_impl, HPyFunc_KEYWORDS)
static HPy without_impl(HPyContext *ctx, HPy self, HPy *args, HPy_ssize_t nargs, HPy kw)
{
    long a, b;
    if (!HPyArg_ParseKeywords(ctx, NULL, args, nargs, kw, "ll", KEYWORDS &a, &b))
        return HPy_NULL;
    return HPyLong_FromLong(ctx, a - b);
}

HPyDef_METH(with_tracker, "with_tracker", with_tracker_impl, HPyFunc_KEYWORDS)
static HPy with_tracker_impl(HPyContext *ctx, HPy self, HPy *args, HPy_ssize_t nargs, HPy kw)
{
    HPy a, b;
    HPyTracker ht;
    if (!HPyArg_ParseKeywords(ctx, &ht, args, nargs, kw, "OO", KEYWORDS &a, &b))
        return HPy_NULL;
    HPy result = HPy_Subtract(ctx, a, b);
    HPyTracker_Close(ctx, ht);
    return result;
}

HPyDef_METH(null_tracker, "null_tracker", null_tracker_impl, HPyFunc_KEYWORDS)
static HPy null_tracker_impl(HPyContext *ctx, HPy self, HPy *args, HPy_ssize_t nargs, HPy kw)
{
    HPy a, b;
    if (!HPyArg_ParseKeywords(ctx, NULL, args, nargs, kw, "OO", KEYWORDS &a, &b))
        return HPy_NULL;
    return HPy_Dup(ctx, ctx->h_None);
}
"""

# S42, line 971.
BUILD_VALUE = """
#include "hpy.h"

HPyDef_METH(build, "build", build_impl, HPyFunc_O)
static HPy build_impl(HPyContext *ctx, HPy self, HPy h)
{
    HPy result = HPy_BuildValue(ctx, "O", h);
    if (HPy_IsNull(result))
        return HPy_NULL;
    if (!HPy_Is(ctx, h, result))  // h is open
        HPyErr_SetString(ctx, ctx->h_AssertionError, "another object");
    return result;
}
"""

# S44, lines 1068 to 1070, and S45, lines 1074 to 1081. In a function, because a module may do it in
# its init as well as in a slot, and these have other results.
ADD_TYPE = """
#include "hpy.h"

static HPyType_Spec spec = {.name = "mytest.MyType"};
static HPyType_Spec base_spec = {.name = "mytest.MyType", .flags = HPy_TPFLAGS_DEFAULT};

HPyDef_METH(plain, "plain", plain_impl, HPyFunc_O)
static HPy plain_impl(HPyContext *ctx, HPy self, HPy module)
{
    HPyType_Spec *hpyspec = &spec;
    if (!HPyHelpers_AddType(ctx, module, "MyType", hpyspec, NULL))
        return HPy_NULL;
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(with_base, "with_base", with_base_impl, HPyFunc_O)
static HPy with_base_impl(HPyContext *ctx, HPy self, HPy module)
{
    HPyType_Spec *hpyspec = &base_spec;
    HPyType_SpecParam params[] = {
        { HPyType_SpecParam_Base, ctx->h_LongType },
        { 0 }
    };

    if (!HPyHelpers_AddType(ctx, module, "MyType", hpyspec, params))
        return HPy_NULL;
    return HPy_Dup(ctx, ctx->h_None);
}
"""


@pytest.mark.promise("API-10")
def test_seed_003_S32_S34_S35_S36_S39_S43_prototypes(hpy_module: ModuleFactory) -> None:
    assert hpy_module(PROTOTYPES).check() == 7


class Witness:
    pass


@pytest.mark.promise("FLD-01", "FLD-03", "FLD-04", "API-36")
def test_seed_003_S33_field(hpy_module: ModuleFactory) -> None:
    """Storing null drops the old object; assigning HPyField_NULL forgets it."""
    owner = hpy_module(FIELD).Owner()
    assert owner.get() is None
    for end in ("drop", "set", "forget"):
        witness = Witness()
        gone = weakref.ref(witness)
        owner.set(witness)
        assert owner.get() is witness
        before = sys.getrefcount(witness)
        getattr(owner, end)(*([5] if end == "set" else []))
        assert sys.getrefcount(witness) == before - (end != "forget")
        del witness
        gc.collect()
        assert (gone() is None) == (end != "forget")
    assert owner.get() is None


def test_seed_003_S33_without_the_owner_does_not_compile(hpy_module: ModuleFactory) -> None:
    with pytest.raises(CompileError, match="HPyField_Store"):
        hpy_module(FIELD.replace("h_obj, &obj->f, HPy_NULL", "&obj->f, HPy_NULL"))


@pytest.mark.promise("GLB-01", "GLB-03")
def test_seed_003_S34_global(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(GLOBAL)
    assert mod.load() is None
    witness = Witness()
    mod.store(witness)
    assert mod.load() is mod.load() is witness
    mod.store(None)
    gone = weakref.ref(witness)
    del witness
    assert gone() is None


@pytest.mark.promise("GIL-01", "GIL-02", "GIL-03", "GIL-04")
@pytest.mark.parametrize("name", ["wait_in_functions", "wait_in_block"])
def test_seed_003_S35_leaving_python(hpy_module: ModuleFactory, name: str) -> None:
    """Another thread runs meanwhile; pointers that were got before stay readable."""
    mod = hpy_module(LEAVE)
    stop = threading.Event()

    def set_flag() -> None:
        while not stop.is_set():
            mod.set_flag()
            time.sleep(0.002)

    thread = threading.Thread(target=set_flag)
    thread.start()
    try:
        assert getattr(mod, name)("hello") == 5
    finally:
        stop.set()
        thread.join()


@pytest.mark.promise("ARG-01", "ARG-27", "ARG-28", "ARG-29", "API-33")
def test_seed_003_S37_S38_parse(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(PARSE)
    for parse in (mod.without, mod.with_tracker):
        assert parse(44, 2) == 42
        for wrong in ((), (1,), (1, 2, 3), ("1", 2)):
            with pytest.raises(TypeError):
                parse(*wrong)


@pytest.mark.promise("ARG-02", "ARG-21", "API-33")
def test_seed_003_S40_S41_parse_keywords(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(PARSE_KEYWORDS.replace("KEYWORDS &", "keywords, &"))
    for parse in (mod.without, mod.with_tracker):
        assert parse(44, 2) == parse(44, b=2) == parse(b=2, a=44) == 42
        for args, kwargs in (((), {}), ((1, 2, 3), {}), ((1,), {"a": 2}), ((1, 2), {"c": 3})):
            with pytest.raises(TypeError):
                parse(*args, **kwargs)
    with pytest.raises(SystemError, match="HPyTracker"):
        mod.null_tracker(1, 2)


def test_seed_003_S40_S41_as_written_does_not_compile(hpy_module: ModuleFactory) -> None:
    with pytest.raises(CompileError) as caught:
        hpy_module(PARSE_KEYWORDS.replace("KEYWORDS &", "&"))
    assert len(re.findall(r"error: .*HPyArg_ParseKeywords", caught.value.stderr)) == 3


@pytest.mark.promise("BV-07", "BV-08")
def test_seed_003_S42_build_value(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(BUILD_VALUE)
    witness = Witness()
    before = sys.getrefcount(witness)
    for _ in range(10):
        assert mod.build(witness) is witness
    assert sys.getrefcount(witness) == before


@pytest.mark.promise("API-25", "API-26")
@pytest.mark.parametrize("language", ["c", "c++"])
def test_seed_003_S44_S45_add_type(hpy_module: ModuleFactory, language: str) -> None:
    """The end of the parameters, `{ 0 }`, is an int and no enumerator in C++ too."""
    flags = ["-std=c++20"] if language == "c++" else []
    mod = hpy_module(ADD_TYPE, language=language, cflags=flags)
    namespace = Witness()
    mod.plain(namespace)
    plain = namespace.MyType  # type: ignore[attr-defined]
    assert (plain.__name__, plain.__module__, plain.__bases__) == ("MyType", "mytest", (object,))
    mod.with_base(namespace)
    subclass = namespace.MyType  # type: ignore[attr-defined]
    assert subclass.__bases__ == (int,)
    assert subclass(42) + 0 == 42
    with pytest.raises(AttributeError):
        mod.plain(5)
