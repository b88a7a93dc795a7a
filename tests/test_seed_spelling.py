"""The spelling of HPy 0.0.4, which the seeds use, and the builders they sketch, at run time."""

import sys
from typing import Any

import pytest

from support.extension import ModuleFactory

SIMPLE = """
    #include "hpy.h"

    HPyDef_METH(myabs, "myabs", myabs_impl, HPyFunc_O)
    static HPy myabs_impl(HPyContext *ctx, HPy self, HPy arg)
    {
        return HPy_Absolute(ctx, arg);
    }

    HPyDef_METH(add_ints, "add_ints", add_ints_impl, HPyFunc_VARARGS, .doc = "adds, twice")
    static HPy add_ints_impl(HPyContext *ctx, HPy self, HPy *args, HPy_ssize_t nargs)
    {
        long a, b;
        if (!HPyArg_Parse(ctx, NULL, args, nargs, "ll", &a, &b))
            return HPy_NULL;
        return HPyLong_FromLong(ctx, a + b);
    }

    HPyDef_METH(keywords, "keywords", keywords_impl, HPyFunc_KEYWORDS)
    static HPy keywords_impl(HPyContext *ctx, HPy self, HPy *args, HPy_ssize_t nargs, HPy kw)
    {
        static const char *names[] = {"a", "b", NULL};
        long a, b = 10;
        if (!HPyArg_ParseKeywords(ctx, NULL, args, nargs, kw, "l|l", names, &a, &b))
            return HPy_NULL;
        return HPyLong_FromLong(ctx, a - b);
    }

    HPyDef_METH(as_dict, "as_dict", as_dict_impl, HPyFunc_KEYWORDS)
    static HPy as_dict_impl(HPyContext *ctx, HPy self, HPy *args, HPy_ssize_t nargs, HPy kw)
    {
        return HPy_BuildValue(ctx, "nO", nargs, HPy_IsNull(kw) ? ctx->h_None : kw);
    }

    HPyDef_METH(create, "create", create_impl, HPyFunc_O)
    static HPy create_impl(HPyContext *ctx, HPy self, HPy arg)
    {
        HPyModuleDef def = {.name = "another", .doc = "its doc", .size = -1};
        return HPyModule_Create(ctx, &def);
    }

    static HPyDef *defines[] = {&myabs, &add_ints, &keywords, &as_dict, &create, NULL};
    static HPyModuleDef mytest = {
        .name = "mytest", .doc = "HPy Example", .size = -1, .defines = defines,
    };

    HPy_MODINIT(mytest)
    HPy init_mytest_impl(HPyContext *ctx)
    {
        return HPyModule_Create(ctx, &mytest);
    }
"""


@pytest.mark.promise("API-19")
def test_module(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(SIMPLE)
    assert type(mod) is type(sys)
    assert (mod.__name__, mod.__doc__) == ("mytest", "HPy Example")
    assert mod.myabs(-3) == 3
    assert mod.add_ints(40, 2) == 42
    assert mod.add_ints.__doc__ == "adds, twice"
    with pytest.raises(TypeError):
        mod.add_ints(40)
    with pytest.raises(OverflowError):
        mod.add_ints(2**200, 1)


def test_keywords_are_a_dict(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(SIMPLE)
    assert mod.keywords(1, 2) == mod.keywords(1, b=2) == mod.keywords(b=2, a=1) == -1
    assert mod.keywords(5) == -5
    assert mod.as_dict(1, 2, c=3, d=4) == (2, {"c": 3, "d": 4})
    assert mod.as_dict() == (0, None)


def test_module_created_later(hpy_module: ModuleFactory) -> None:
    another = hpy_module(SIMPLE).create(None)
    assert vars(another) == {
        "__name__": "another",
        "__doc__": "its doc",
        "__package__": None,
        "__loader__": None,
        "__spec__": None,
    }


def test_exception_of_init_arrives(hpy_module: ModuleFactory) -> None:
    with pytest.raises(ValueError, match=r"^no module today$"):
        hpy_module("""
            #include "hpy.h"
            HPy_MODINIT(mytest)
            static HPy init_mytest_impl(HPyContext *ctx)
            {
                return HPyErr_SetString(ctx, ctx->h_ValueError, "no module today");
            }
        """)


def builders(hpy_module: ModuleFactory) -> Any:
    return hpy_module("""
        #include "hpy.h"

        HPyDef_METH(lists, "lists", HPyFunc_VARARGS)
        static HPy lists_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
        {
            HPyListBuilder builder = HPyListBuilder_New(ctx, 2);
            HPyListBuilder other = HPyListBuilder_New(ctx, 0);
            HPyListBuilder canceled = HPyListBuilder_New(ctx, 0);
            HPy one, two, result;
            HPyListBuilder_Set(ctx, builder, 0, args[0]);
            for (size_t i = 2; i < nargs; i++) {
                HPyListBuilder_Append(ctx, builder, args[i]);
                HPyListBuilder_Append(ctx, canceled, args[i]);
                HPyListBuilder_Append(ctx, other, args[0]);
            }
            HPyListBuilder_Set(ctx, builder, 1, args[1]);
            HPyListBuilder_Cancel(ctx, canceled);
            one = HPyListBuilder_Build(ctx, builder);
            two = HPyListBuilder_Build(ctx, other);
            result = HPy_BuildValue(ctx, "OO", one, two);
            HPy_Close(ctx, one);
            HPy_Close(ctx, two);
            return result;
        }

        HPyDef_METH(tuples, "tuples", HPyFunc_VARARGS)
        static HPy tuples_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
        {
            HPyTupleBuilder builder = HPyTupleBuilder_New(ctx, 1);
            HPyTupleBuilder_Set(ctx, builder, 0, ctx->h_None);
            for (size_t i = 0; i < nargs; i++)
                HPyTupleBuilder_Append(ctx, builder, args[i]);
            return HPyTupleBuilder_Build(ctx, builder);
        }

        HPyDef_METH(numbers, "numbers", HPyFunc_NOARGS)
        static HPy numbers_impl(HPyContext *ctx, HPy self)
        {
            HPyListBuilder_i list = HPyListBuilder_i_New(ctx, 3);
            HPyTupleBuilder_i tuple = HPyTupleBuilder_i_New(ctx, 0);
            HPy one, two, result;
            HPyListBuilder_i_Cancel(ctx, HPyListBuilder_i_New(ctx, 5));
            HPyListBuilder_i_Set(ctx, list, 0, 42);
            HPyListBuilder_i_Set(ctx, list, 2, INT64_MIN);
            for (int i = 0; i < 100; i++)
                HPyListBuilder_i_Append(ctx, list, i);
            HPyTupleBuilder_i_Append(ctx, tuple, INT64_MAX);
            one = HPyListBuilder_i_Build(ctx, list);
            two = HPyTupleBuilder_i_Build(ctx, tuple);
            result = HPy_BuildValue(ctx, "OO", one, two);
            HPy_Close(ctx, one);
            HPy_Close(ctx, two);
            return result;
        }

        HPyDef_METH(wrong_index, "wrong_index", HPyFunc_NOARGS)
        static HPy wrong_index_impl(HPyContext *ctx, HPy self)
        {
            HPyListBuilder_i list = HPyListBuilder_i_New(ctx, 3);
            HPyListBuilder_i_Set(ctx, list, 3, 42);
            return HPyListBuilder_i_Build(ctx, list);
        }

        HPyDef_METH(bytes, "bytes", HPyFunc_NOARGS)
        static HPy bytes_impl(HPyContext *ctx, HPy self)
        {
            HPyBytesBuilder builder = HPyBytesBuilder_New(ctx, 4);
            HPyBytesBuilder_Set(ctx, builder, 1, 'b');
            HPyBytesBuilder_Append(ctx, builder, "efgh", 4);
            HPyBytesBuilder_Data(ctx, builder)[0] = 'a';
            return HPyBytesBuilder_Build(ctx, builder);
        }

        static HPyDef *defines[] = {&lists, &tuples, &numbers, &wrong_index, &bytes, NULL};
        static HPyModuleDef mytest = {.defines = defines};
        HPy_MODINIT(mytest, mytest)
    """)


@pytest.mark.promise("API-30", "API-32")
def test_appending(hpy_module: ModuleFactory) -> None:
    mod = builders(hpy_module)
    assert mod.lists("a", "b") == (["a", "b"], [])
    assert mod.lists("a", "b", "c", "d") == (["a", "b", "c", "d"], ["a", "a"])
    assert mod.tuples() == (None,)
    assert mod.tuples(1, 2) == (None, 1, 2)


@pytest.mark.promise("API-31", "API-32")
def test_builders_of_values(hpy_module: ModuleFactory) -> None:
    mod = builders(hpy_module)
    assert mod.numbers() == ([42, 0, -(2**63), *range(100)], (2**63 - 1,))
    assert mod.bytes() == b"ab\0\0efgh"
    with pytest.raises(SystemError, match="index"):
        mod.wrong_index()
