"""The universal context refuses illegal nulls, in every slot of the table."""

from typing import Callable

import pytest

from support.extension import ModuleFactory

HPY_ABIS = ["universal", "cpython"]

# call_with_null(name, position) calls one function of the table; rows() says which there are.
SWEEP = """
    #include "hpy.h"
    #include <cstring>
    #include <tuple>
    #include <type_traits>
    #include <utility>

    namespace {

    constexpr unsigned P0 = 0, P1 = 2, P2 = 4, P3 = 8, P4 = 16;

    template <typename T>
    T Argument(HPyContext *ctx, bool null)
    {
        if constexpr (std::is_same_v<T, HPy>)
            return null ? HPy_NULL : ctx->h_None;
        else
            return T{};
    }

    template <typename T>
    bool IsError(T value)
    {
        T null{};
        if constexpr (std::is_arithmetic_v<T>)
            return value == T(-1) || value == null;
        else
            return std::memcmp(&value, &null, sizeof(T)) == 0 || sizeof(T) < 8;
    }

    // Calls the function with null at `position`; HPy_NULL with what it raised. Without an
    // exception, or with a result that is no error value, a str that says so.
    template <typename R, typename... Args, size_t... I>
    HPy Call(HPyContext *ctx, R (*function)(HPyContext *, Args...), size_t position,
             std::index_sequence<I...>)
    {
        if constexpr (std::is_void_v<R>) {
            function(ctx, Argument<Args>(ctx, I + 1 == position)...);
        } else {
            if (!IsError(function(ctx, Argument<Args>(ctx, I + 1 == position)...)))
                return HPyUnicode_FromString(ctx, "the result is no error value");
        }
        return HPyErr_Occurred(ctx) ? HPy_NULL : HPyUnicode_FromString(ctx, "nothing raised");
    }

    template <typename R, typename... Args>
    HPy Call(HPyContext *ctx, R (*function)(HPyContext *, Args...), size_t position)
    {
        return Call(ctx, function, position, std::index_sequence_for<Args...>());
    }

    // Appends (name, position, name of the exception) for each position where null is illegal.
    template <typename R, typename... Args>
    bool List(HPyContext *ctx, R (*)(HPyContext *, Args...), unsigned nullable, const char *name,
              HPy raises, HPy list)
    {
        const bool handles[] = {false, std::is_same_v<Args, HPy>...};
        for (int position = 1; position <= (int)sizeof...(Args); position++) {
            if (!handles[position] || (nullable & (1u << position)))
                continue;
            HPy entry = HPy_BuildValue(ctx, "siO", name, position, raises);
            if (HPy_IsNull(entry))
                return false;
            int failed = HPyList_Append(ctx, list, entry);
            HPy_Close(ctx, entry);
            if (failed)
                return false;
        }
        return true;
    }

    }

    HPyDef_METH(rows, "rows", HPyFunc_NOARGS)
    static HPy rows_impl(HPyContext *ctx, HPy)
    {
        HPy list = HPyList_New(ctx, 0);
        bool ok = !HPy_IsNull(list);
    #define HPY_FUNC(index, member, name, ret, params, args, api, nullable, obs, raises, ...) \\
        ok = ok && List(ctx, ctx->member, nullable, #name, ctx->raises, list);
    #define HPY_PROC(index, member, name, params, args, api, nullable, observed, raises, ...) \\
        ok = ok && List(ctx, ctx->member, nullable, #name, ctx->raises, list);
    #include "hpy/abi/context.inc"
        if (ok)
            return list;
        HPy_Close(ctx, list);
        return HPy_NULL;
    }

    HPyDef_METH(call_with_null, "call_with_null", HPyFunc_VARARGS)
    static HPy call_with_null_impl(HPyContext *ctx, HPy, const HPy *args, size_t)
    {
        const char *wanted = HPyUnicode_AsUTF8AndSize(ctx, args[0], NULL);
        size_t position = HPyLong_AsSize_t(ctx, args[1]);
    #define HPY_FUNC(index, member, name, ...) \\
        if (!std::strcmp(wanted, #name)) return Call(ctx, ctx->member, position);
    #define HPY_PROC(index, member, name, ...) \\
        if (!std::strcmp(wanted, #name)) return Call(ctx, ctx->member, position);
    #include "hpy/abi/context.inc"
        return HPyUnicode_FromString(ctx, "no such function");
    }
"""


@pytest.mark.hpy_abis("universal")
def test_null_is_refused_by_every_slot(hpy_module: ModuleFactory) -> None:
    """An illegal null is the exception of the table, which names function and argument."""
    module = hpy_module(SWEEP, language="c++", cflags=["-std=c++17", "-Wno-unused-variable"])
    rows = module.rows()
    assert len(rows) > 150
    wrong = []
    for name, position, exception in rows:
        try:
            wrong.append((name, position, module.call_with_null(name, position)))
        except Exception as error:
            text = f"{name}: argument {position} is HPy_NULL (null argument to internal routine)"
            if type(error) is not exception or str(error) != text:
                wrong.append((name, position, repr(error)))
    assert wrong == []


@pytest.mark.hpy_abis("universal")
def test_null_keeps_the_exception_that_explains_it(hpy_module: ModuleFactory) -> None:
    module = hpy_module("""
        #include "hpy.h"
        HPyDef_METH(f, "f", HPyFunc_NOARGS)
        static HPy f_impl(HPyContext *ctx, HPy self)
        {
            return HPy_Add(ctx, self, HPy_GetAttr_s(ctx, self, "nowhere"));
        }
    """)
    with pytest.raises(AttributeError, match="nowhere"):
        module.f()


@pytest.mark.hpy_abis("universal")
def test_null_in_arrays(hpy_module: ModuleFactory) -> None:
    module = hpy_module("""
        #include "hpy.h"
        HPyDef_METH(call, "call", HPyFunc_O)
        static HPy call_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            HPy args[] = {self, HPy_NULL};
            return HPy_Call(ctx, arg, args, 2, HPy_NULL);
        }
        HPyDef_METH(method, "method", HPyFunc_O)
        static HPy method_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            HPy args[] = {HPy_NULL};
            (void)self;
            return HPy_CallMethod(ctx, arg, args, 1, HPy_NULL);
        }
        HPyDef_METH(tuple, "tuple", HPyFunc_O)
        static HPy tuple_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            HPy items[] = {arg, self, HPy_NULL};
            return HPyTuple_FromArray(ctx, items, 3);
        }
        HPyDef_METH(field, "field", HPyFunc_NOARGS)
        static HPy field_impl(HPyContext *ctx, HPy self)
        {
            return HPyField_Load(ctx, self, HPyField_NULL);
        }
        HPyDef_METH(global_, "global_", HPyFunc_NOARGS)
        static HPy global__impl(HPyContext *ctx, HPy self)
        {
            static HPyGlobal never_stored;
            (void)self;
            return HPyGlobal_Load(ctx, never_stored);
        }
        HPyDef_METH(tracker, "tracker", HPyFunc_O)
        static HPy tracker_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            HPyTracker tracker = {0};
            (void)self;
            HPyTracker_ForgetAll(ctx, tracker);
            HPyTracker_Close(ctx, tracker);
            HPyTracker_Add(ctx, tracker, arg);
            return HPy_NULL;
        }
    """)
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: module.call(print), r"HPy_Call: args\[1\] is HPy_NULL"),
        (lambda: module.method("f"), r"HPy_CallMethod: args\[0\] is HPy_NULL"),
        (lambda: module.tuple(1), r"HPyTuple_FromArray: item 2 of 3 is HPy_NULL"),
        (lambda: module.field(), r"HPyField_Load: the field is null"),
        (lambda: module.global_(), r"HPyGlobal_Load: nothing was stored"),
        (lambda: module.tracker(1), r"HPyTracker_Add: the tracker is null"),
    ]
    for call, text in calls:
        with pytest.raises(SystemError, match=text):
            call()
