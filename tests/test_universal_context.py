"""The universal context: names, constants, illegal nulls of every slot, and the slots with code of
their own."""

import builtins
import contextvars
import datetime
import gc
import sys
import types
from typing import Any, Callable

import pytest

from support.child import PythonRunner
from support.extension import ModuleFactory

HPY_ABIS = ["universal", "cpython"]

CONSTANTS = """
    #include "hpy.h"

    HPyDef_METH(constants, "constants", HPyFunc_NOARGS)
    static HPy constants_impl(HPyContext *ctx, HPy self)
    {
        HPy dict = HPyDict_New(ctx);
        (void)self;
        if (HPy_IsNull(dict))
            return HPy_NULL;
    #define HPY_HANDLE(index, member, object)                       \\
        if (HPy_SetItem_s(ctx, dict, #member, ctx->member) < 0) {   \\
            HPy_Close(ctx, dict);                                   \\
            return HPy_NULL;                                        \\
        }
    #include "hpy/abi/context.inc"
        return dict;
    }

    HPyDef_METH(identity, "identity", HPyFunc_NOARGS)
    static HPy identity_impl(HPyContext *ctx, HPy self)
    {
        (void)self;
        return HPy_BuildValue(ctx, "si", ctx->name, (int)ctx->abi_version);
    }
"""

TYPES = {
    "BaseObjectType": object,
    "TypeType": type,
    "UnicodeType": str,
    "LongType": int,
    "MemoryViewType": memoryview,
    "CapsuleType": type(datetime.datetime_CAPI),  # type: ignore[attr-defined]
    "Builtins": builtins.__dict__,
}


def expected_constant(member: str) -> object:
    name = member[len("h_") :]
    if name in TYPES:
        return TYPES[name]
    if name.endswith("Type"):
        return getattr(builtins, name[: -len("Type")].lower())
    return getattr(builtins, name)


@pytest.mark.hpy_abis("universal", "cpython", "hybrid", "debug")
def test_constants(hpy_module: ModuleFactory) -> None:
    module = hpy_module(CONSTANTS)
    constants = module.constants()
    assert len(constants) == 84
    for member, value in constants.items():
        assert value is expected_constant(member), member


PREFIXES = {
    "universal": "HPy Universal ABI",
    "hybrid": "HPy Universal ABI",
    "debug": "HPy Debug Mode ABI",
    "cpython": "HPy CPython ABI",
}


@pytest.mark.hpy_abis(*PREFIXES)
def test_names(hpy_module: ModuleFactory, hpy_abi: str) -> None:
    name, version = hpy_module(CONSTANTS).identity()
    assert name.startswith(PREFIXES[hpy_abi])
    assert version == 0
    if hpy_abi == "cpython":
        assert name == PREFIXES["cpython"]


# --------------------------------------------------------------------------------------------------
# Null

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


# --------------------------------------------------------------------------------------------------
# Slots with code of their own


def test_integers_of_32_bits(hpy_module: ModuleFactory) -> None:
    module = hpy_module("""
        #include "hpy.h"
        HPyDef_METH(i32, "i32", HPyFunc_O)
        static HPy i32_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            int32_t value = HPyLong_AsInt32_t(ctx, arg);
            (void)self;
            if (value == -1 && HPyErr_Occurred(ctx))
                return HPy_NULL;
            return HPyLong_FromInt32_t(ctx, value);
        }
        HPyDef_METH(u32, "u32", HPyFunc_O)
        static HPy u32_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            uint32_t value = HPyLong_AsUInt32_t(ctx, arg);
            (void)self;
            if (value == (uint32_t)-1 && HPyErr_Occurred(ctx))
                return HPy_NULL;
            return HPyLong_FromUInt32_t(ctx, value);
        }
    """)

    class Index:
        def __index__(self) -> int:
            return 5

    for value in -(2**31), -1, 0, 2**31 - 1:
        assert module.i32(value) == value
    for value in 0, 2**32 - 1:
        assert module.u32(value) == value
    assert module.i32(Index()) == 5
    for function, type_name, values in [
        (module.i32, "int32_t", [2**31, -(2**31) - 1]),
        (module.u32, "uint32_t", [2**32]),
    ]:
        for value in values:
            with pytest.raises(OverflowError, match=f"too large to convert to C {type_name}"):
                function(value)
        with pytest.raises(OverflowError):
            function(2**64)
    with pytest.raises(OverflowError):
        module.u32(-1)
    for function in module.i32, module.u32:
        for wrong in "1", None, 1.5:
            if function is module.i32 and wrong == 1.5 and sys.version_info < (3, 10):
                continue  # through __int__, as CPython 3.9 does
            with pytest.raises(TypeError):
                function(wrong)
    with pytest.raises(TypeError):
        module.u32(Index())


BUILDERS = """
    #include "hpy.h"

    /* make_list(size, [(index, item), ...]); an item that is None is set to null. */
    #define DEFINE(KIND, Kind)                                                                   \\
        HPyDef_METH(make_##KIND, "make_" #KIND, HPyFunc_VARARGS)                                 \\
        static HPy make_##KIND##_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)  \\
        {                                                                                        \\
            HPy_ssize_t size = HPyLong_AsSsize_t(ctx, args[0]);                                  \\
            HPy##Kind##Builder builder = HPy##Kind##Builder_New(ctx, size);                      \\
            HPy_ssize_t count = HPy_Length(ctx, args[1]);                                        \\
            (void)self;                                                                          \\
            for (HPy_ssize_t i = 0; i < count; i++) {                                            \\
                HPy pair = HPy_GetItem_i(ctx, args[1], i);                                       \\
                HPy index = HPy_GetItem_i(ctx, pair, 0);                                         \\
                HPy item = HPy_GetItem_i(ctx, pair, 1);                                          \\
                HPy##Kind##Builder_Set(ctx, builder, HPyLong_AsSsize_t(ctx, index),              \\
                                       HPy_Is(ctx, item, ctx->h_None) ? HPy_NULL : item);        \\
                HPy_Close(ctx, item);                                                            \\
                HPy_Close(ctx, index);                                                           \\
                HPy_Close(ctx, pair);                                                            \\
            }                                                                                    \\
            if (nargs == 2)                                                                      \\
                return HPy##Kind##Builder_Build(ctx, builder);                                   \\
            if (HPyCallable_Check(ctx, args[2])) {                                               \\
                HPy result = HPy_CallTupleDict(ctx, args[2], HPy_NULL, HPy_NULL);                \\
                HPy_Close(ctx, result);                                                          \\
                return HPy##Kind##Builder_Build(ctx, builder);                                   \\
            }                                                                                    \\
            HPy##Kind##Builder_Cancel(ctx, builder);                                             \\
            return HPy_Dup(ctx, ctx->h_None);                                                    \\
        }                                                                                        \\
        HPyDef_METH(null_##KIND, "null_" #KIND, HPyFunc_O)                                       \\
        static HPy null_##KIND##_impl(HPyContext *ctx, HPy self, HPy arg)                        \\
        {                                                                                        \\
            HPy##Kind##Builder builder = {0};                                                    \\
            (void)self;                                                                          \\
            HPy##Kind##Builder_Set(ctx, builder, 0, arg);                                        \\
            HPy##Kind##Builder_Cancel(ctx, builder);                                             \\
            return HPy##Kind##Builder_Build(ctx, builder);                                       \\
        }
    DEFINE(list, List)
    DEFINE(tuple, Tuple)

    static HPyDef *defines[] = {&make_list, &null_list, &make_tuple, &null_tuple, NULL};
    static HPyModuleDef def = {.defines = defines};
    HPy_MODINIT(mytest, def)
"""


@pytest.mark.promise("API-29")
@pytest.mark.parametrize("kind", [list, tuple])
def test_builders(hpy_module: ModuleFactory, kind: type) -> None:
    module = hpy_module(BUILDERS)
    make = getattr(module, f"make_{kind.__name__}")
    assert make(3, [(0, "a"), (2, "c"), (1, "b")]) == kind("abc")
    assert make(0, []) == kind()
    assert make(1, [(0, "a"), (0, "b")]) == kind("b")
    assert make(1, [(0, None), (0, "b")]) == kind("b")
    assert make(2, [(0, "a")], 0) is None  # cancelled
    assert gc.is_tracked(make(1, [(0, [])]))

    name = f"HPy{kind.__name__.title()}Builder_Build"
    for items, index in [([(0, 1), (2, 3)], 1), ([], 0), ([(0, 1), (1, 2), (2, 3), (0, None)], 0)]:
        with pytest.raises(SystemError, match=f"^{name}: the item at index {index} of 3 was never"):
            make(3, items)
    for size, items, index in [
        (1, [(0, 1), (1, 2), (9, 2)], 1),
        (1, [(-1, 1), (0, 1)], -1),
        (0, [(0, 1)], 0),
        (2, [(2**62, 1), (0, 1)], 2**62),
    ]:
        text = (
            f"^{name}: an item was set at index {index}, but the builder was made for {size} items"
        )
        with pytest.raises(SystemError, match=text):
            make(size, items)
        assert make(size, items, 0) is None
        assert make(0, []) == kind()  # nothing of it is left for other builders
    with pytest.raises(MemoryError):
        make(-1, [])
    with pytest.raises(MemoryError):
        make(2**60, [])
    with pytest.raises(MemoryError):
        getattr(module, f"null_{kind.__name__}")(1)


@pytest.mark.parametrize("kind", [list, tuple])
def test_builders_are_hidden_and_own_their_items(hpy_module: ModuleFactory, kind: type) -> None:
    module = hpy_module(BUILDERS)
    make = getattr(module, f"make_{kind.__name__}")
    item = object()
    before = sys.getrefcount(item)
    seen: list[object] = []

    def look() -> None:
        seen.extend(o for o in gc.get_referrers(item) if type(o) is kind and len(o) == 77)
        gc.collect()

    result = make(77, [(i, item) for i in range(77)], look)
    assert seen == []
    assert len(result) == 77
    assert sys.getrefcount(item) == before + 77
    del result
    make(3, [(0, item), (0, item), (1, item)], 0)
    with pytest.raises(SystemError):
        make(3, [(0, item), (7, item)])
    assert sys.getrefcount(item) == before


def test_builders_in_builders(hpy_module: ModuleFactory) -> None:
    """A failed empty tuple builder says nothing about another one that is open at the same time."""
    module = hpy_module(BUILDERS)
    inner: list[object] = []

    def other() -> None:
        inner.append(module.make_tuple(0, []))

    with pytest.raises(SystemError, match="index 5"):
        module.make_tuple(0, [(5, 1)], other)
    assert inner == [()]


def test_tracker(hpy_module: ModuleFactory) -> None:
    module = hpy_module("""
        #include "hpy.h"
        /* track(size, count, object, forget) */
        HPyDef_METH(track, "track", HPyFunc_VARARGS)
        static HPy track_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
        {
            HPyTracker tracker = HPyTracker_New(ctx, HPyLong_AsSsize_t(ctx, args[0]));
            HPy_ssize_t count = HPyLong_AsSsize_t(ctx, args[1]);
            (void)self;
            (void)nargs;
            if (HPy_IsNull(tracker))
                return HPy_NULL;
            for (HPy_ssize_t i = 0; i < count; i++) {
                if (HPyTracker_Add(ctx, tracker, HPy_Dup(ctx, args[2])) < 0) {
                    HPyTracker_Close(ctx, tracker);
                    return HPy_NULL;
                }
            }
            HPyTracker_Add(ctx, tracker, HPy_NULL);
            if (HPy_IsTrue(ctx, args[3])) {
                HPyTracker_ForgetAll(ctx, tracker);
                HPyTracker_Add(ctx, tracker, args[2]);
                HPyTracker_ForgetAll(ctx, tracker);
            }
            HPyTracker_Close(ctx, tracker);
            return HPy_Dup(ctx, ctx->h_None);
        }
    """)
    item = object()
    before = sys.getrefcount(item)
    for size in 0, 1, 5, 6, 10:
        for count in 0, 1, 5, 6, 7, 200:
            module.track(size, count, item, False)
            assert sys.getrefcount(item) == before
    module.track(3, 10, item, True)
    assert sys.getrefcount(item) == before + 10  # forgotten, never closed
    with pytest.raises(ValueError, match="must not be negative"):
        module.track(-1, 0, item, False)
    with pytest.raises(MemoryError):
        module.track(2**60, 0, item, False)


CALLS = """
    #include "hpy.h"
    #include <string.h>

    /* call(callable, args, values of keywords, kwnames or None): the array holds what `args` and
       `values` hold. The same for a method: then callable is its name. */
    static HPy call_with(HPyContext *ctx, const HPy *args,
                         HPy (*call)(HPyContext *, HPy, const HPy *, size_t, HPy))
    {
        HPy_ssize_t nargs = HPy_Length(ctx, args[1]), i;
        HPy_ssize_t nvalues = HPy_Length(ctx, args[2]);
        HPy *array = (HPy *)malloc((size_t)(nargs + nvalues + 1) * sizeof(HPy));
        HPy result;
        for (i = 0; i < nargs; i++)
            array[i] = HPy_GetItem_i(ctx, args[1], i);
        for (i = 0; i < nvalues; i++)
            array[nargs + i] = HPy_GetItem_i(ctx, args[2], i);
        result = call(ctx, args[0], array, (size_t)nargs,
                      HPy_Is(ctx, args[3], ctx->h_None) ? HPy_NULL : args[3]);
        for (i = 0; i < nargs + nvalues; i++)
            HPy_Close(ctx, array[i]);
        free(array);
        return result;
    }
    HPyDef_METH(call, "call", HPyFunc_VARARGS)
    static HPy call_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
    {
        (void)self;
        (void)nargs;
        return call_with(ctx, args, HPy_Call);
    }
    HPyDef_METH(method, "method", HPyFunc_VARARGS)
    static HPy method_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
    {
        (void)self;
        (void)nargs;
        return call_with(ctx, args, HPy_CallMethod);
    }
    HPyDef_METH(tuple_dict, "tuple_dict", HPyFunc_VARARGS)
    static HPy tuple_dict_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
    {
        (void)self;
        return HPy_CallTupleDict(ctx, args[0], nargs > 1 ? args[1] : HPy_NULL,
                                 nargs > 2 ? args[2] : HPy_NULL);
    }
"""


def test_call(hpy_module: ModuleFactory) -> None:
    module = hpy_module(CALLS)

    def f(*args: Any, **keywords: Any) -> object:
        return args, keywords

    class C:
        method = f

    c = C()
    for count in 0, 1, 2, 11, 12, 13, 1000:
        args = tuple(range(count))
        assert module.call(f, args, (), None) == (args, {})
        assert module.call(f, args, (), ()) == (args, {})
        assert module.call(f, args, (-1, -2), ("x", "y")) == (args, {"x": -1, "y": -2})
        assert module.call(c.method, args, (), None) == ((c, *args), {})
        assert module.method("method", (c, *args), (), None) == ((c, *args), {})
        assert module.method("method", (c, *args), (5,), ("x",)) == ((c, *args), {"x": 5})
    assert module.call(dict, (), (1,), ("a",)) == {"a": 1}
    assert module.method("upper", ("abc",), (), None) == "ABC"

    with pytest.raises(
        TypeError, match="HPy_Call requires kwnames to be a tuple or null handle, got"
    ):
        module.call(f, (), (), ["x"])
    with pytest.raises(TypeError, match="not callable"):
        module.call(1, (), (), None)
    with pytest.raises(TypeError):
        module.call(len, (), (), None)
    with pytest.raises(AttributeError):
        module.method("nowhere", (c,), (), None)
    with pytest.raises(SystemError, match="HPy_CallMethod: nargs is 0"):
        module.method("method", (), (), None)
    with pytest.raises(ZeroDivisionError):
        module.call(divmod, (1, 0), (), None)


@pytest.mark.promise("API-28")
def test_call_tuple_dict(hpy_module: ModuleFactory) -> None:
    module = hpy_module(CALLS)

    class Keywords(dict[str, object]):
        pass

    def f(*args: Any, **keywords: Any) -> object:
        return args, keywords

    assert module.tuple_dict(f) == ((), {})
    assert module.tuple_dict(f, (1, 2)) == ((1, 2), {})
    assert module.tuple_dict(f, (1,), Keywords(a=2)) == ((1,), {"a": 2})
    with pytest.raises(TypeError, match="requires args to be a tuple or null handle"):
        module.tuple_dict(f, [1])
    with pytest.raises(TypeError, match="requires kw to be a dict or null handle"):
        module.tuple_dict(f, (), None)


def test_items(hpy_module: ModuleFactory) -> None:
    module = hpy_module("""
        #include "hpy.h"
        #define KEY key_of(ctx, args[1])
        static const char *key_of(HPyContext *ctx, HPy key)
        {
            return HPyUnicode_Check(ctx, key) ? HPyUnicode_AsUTF8AndSize(ctx, key, NULL) : NULL;
        }
        #define INDEX HPyLong_AsSsize_t(ctx, args[1])
        HPyDef_METH(get, "get", HPyFunc_VARARGS)
        static HPy get_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
        {
            const char *key = KEY;
            (void)self;
            (void)nargs;
            return key ? HPy_GetItem_s(ctx, args[0], key) : HPy_GetItem_i(ctx, args[0], INDEX);
        }
        HPyDef_METH(set, "set", HPyFunc_VARARGS)
        static HPy set_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
        {
            const char *key = KEY;
            int failed = key ? HPy_SetItem_s(ctx, args[0], key, args[2])
                             : HPy_SetItem_i(ctx, args[0], INDEX, args[2]);
            (void)self;
            (void)nargs;
            return failed ? HPy_NULL : HPy_Dup(ctx, ctx->h_None);
        }
        HPyDef_METH(delete, "delete", HPyFunc_VARARGS)
        static HPy delete_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
        {
            const char *key = KEY;
            int failed = key ? HPy_DelItem_s(ctx, args[0], key)
                             : HPy_DelItem_i(ctx, args[0], INDEX);
            (void)self;
            (void)nargs;
            return failed ? HPy_NULL : HPy_Dup(ctx, ctx->h_None);
        }
    """)
    values = [10, 20, 30]
    assert [module.get(values, i) for i in (0, 2, -1)] == [10, 30, 30]
    assert module.get((1, 2), 1) == 2
    module.set(values, -1, 31)
    module.delete(values, 0)
    assert values == [20, 31]
    mapping: dict[object, object] = {}
    module.set(mapping, 7, "seven")
    module.set(mapping, "k\xe4y", "text")
    assert mapping == {7: "seven", "k\xe4y": "text"}
    assert module.get(mapping, 7) == "seven"
    assert module.get(mapping, "k\xe4y") == "text"
    module.delete(mapping, "k\xe4y")
    module.delete(mapping, 7)
    assert mapping == {}
    for call in module.get, module.delete:
        for key in 7, "key":
            with pytest.raises(KeyError) as caught:
                call(mapping, key)
            assert caught.value.args == (key,)
        with pytest.raises(IndexError):
            call(values, 2)
        with pytest.raises(TypeError):
            call(1, 0)
    with pytest.raises(IndexError):
        module.set(values, 2, 0)
    with pytest.raises(TypeError):
        module.set("abc", 0, "x")


def test_bytes_and_tuples_from_memory(hpy_module: ModuleFactory) -> None:
    module = hpy_module("""
        #include "hpy.h"
        HPyDef_METH(from_text, "from_text", HPyFunc_O)
        static HPy from_text_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            (void)self;
            return HPyBytes_FromStringAndSize(ctx, "abc", HPyLong_AsSsize_t(ctx, arg));
        }
        HPyDef_METH(from_null, "from_null", HPyFunc_O)
        static HPy from_null_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            (void)self;
            return HPyBytes_FromStringAndSize(ctx, NULL, HPyLong_AsSsize_t(ctx, arg));
        }
        HPyDef_METH(tuple, "tuple", HPyFunc_O)
        static HPy tuple_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            HPy items[] = {arg, self, arg};
            return HPyTuple_FromArray(ctx, items, HPyLong_AsSsize_t(ctx, arg));
        }
    """)
    assert module.from_text(2) == b"ab"
    assert module.from_text(0) == b""
    with pytest.raises(SystemError):
        module.from_text(-1)
    for size in -1, 0, 1:
        with pytest.raises(
            ValueError, match=r"^NULL char \* passed to HPyBytes_FromStringAndSize$"
        ):
            module.from_null(size)
    assert module.tuple(3) == (3, module, 3)
    assert module.tuple(0) == ()
    with pytest.raises(SystemError):
        module.tuple(-1)


def test_compile_and_eval(hpy_module: ModuleFactory) -> None:
    module = hpy_module("""
        #include "hpy.h"
        HPyDef_METH(compile_, "compile_", HPyFunc_VARARGS)
        static HPy compile__impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
        {
            (void)self;
            (void)nargs;
            return HPy_Compile_s(ctx, HPyUnicode_AsUTF8AndSize(ctx, args[0], NULL), "the file",
                                 (HPy_SourceKind)HPyLong_AsLong(ctx, args[1]));
        }
        HPyDef_METH(eval_, "eval_", HPyFunc_VARARGS)
        static HPy eval__impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
        {
            (void)self;
            return HPy_EvalCode(ctx, args[0], args[1], nargs > 2 ? args[2] : HPy_NULL);
        }
    """)
    code = module.compile_("a + b", 0)
    assert isinstance(code, types.CodeType)
    assert code.co_filename == "the file"
    assert module.eval_(code, {"a": 1, "b": 2}) == 3
    assert module.eval_(code, {"a": 1, "b": 2}, {"b": 10}) == 11
    scope: dict[str, object] = {}
    assert module.eval_(module.compile_("x = 1\ny = 2", 1), scope) is None
    assert (scope["x"], scope["y"]) == (1, 2)
    assert isinstance(module.compile_("1", 2), types.CodeType)
    with pytest.raises(SyntaxError):
        module.compile_("a +", 0)
    with pytest.raises(SystemError, match="invalid source kind"):
        module.compile_("1", 777)
    with pytest.raises(NameError):
        module.eval_(code, {})
    for arguments, text in [
        ((1, {}), "requires a code object, got 'int'"),
        ((code, 1), "requires globals to be a dict, got 'int'"),
        ((code, {}, 1), "requires locals to be a mapping or null handle, got 'int'"),
    ]:
        with pytest.raises(TypeError, match=text):
            module.eval_(*arguments)


def test_context_variables(hpy_module: ModuleFactory) -> None:
    module = hpy_module("""
        #include "hpy.h"
        HPyDef_METH(get, "get", HPyFunc_VARARGS)
        static HPy get_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
        {
            HPy result = self; /* it is always written */
            HPy other = nargs > 1 ? args[1] : HPy_NULL;
            if (HPyContextVar_Get(ctx, args[0], other, &result) < 0)
                return HPy_IsNull(result) ? HPy_NULL : HPy_Dup(ctx, self);
            return HPy_IsNull(result) ? HPyUnicode_FromString(ctx, "nothing") : result;
        }
    """)
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    assert module.get(variable) == "nothing"
    assert module.get(variable, "default") == "default"
    variable.set("value")
    assert module.get(variable, "default") == "value"
    with pytest.raises(TypeError):
        module.get(1)


def test_capsules(hpy_module: ModuleFactory) -> None:
    module = hpy_module("""
        #include "hpy.h"
        static int value = 42, ended;
        HPyCapsule_DESTRUCTOR(destroy)
        static void destroy_impl(const char *name, void *pointer, void *context)
        {
            if (name && name[0] == 'n' && pointer == (void *)&value && context == (void *)&ended)
                ended++;
        }
        HPyDef_METH(make, "make", HPyFunc_NOARGS)
        static HPy make_impl(HPyContext *ctx, HPy self)
        {
            HPy capsule = HPyCapsule_New(ctx, &value, "name", &destroy);
            (void)self;
            if (!HPy_IsNull(capsule) && HPyCapsule_SetContext(ctx, capsule, &ended) < 0) {
                HPy_Close(ctx, capsule);
                return HPy_NULL;
            }
            return capsule;
        }
        HPyDef_METH(look, "look", HPyFunc_O)
        static HPy look_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            int *pointer = (int *)HPyCapsule_GetPointer(ctx, arg, "name");
            (void)self;
            if (!pointer)
                return HPy_NULL;
            return HPy_BuildValue(ctx, "isi", *pointer, HPyCapsule_GetName(ctx, arg), ended);
        }
        HPyDef_METH(null, "null", HPyFunc_NOARGS)
        static HPy null_impl(HPyContext *ctx, HPy self)
        {
            (void)self;
            return HPyCapsule_New(ctx, NULL, "name", NULL);
        }
        HPyDef_METH(half, "half", HPyFunc_NOARGS)
        static HPy half_impl(HPyContext *ctx, HPy self)
        {
            static HPyCapsule_Destructor half_destructor = {NULL, destroy_impl};
            (void)self;
            return HPyCapsule_New(ctx, &value, "name", &half_destructor);
        }
        HPyDef_METH(set, "set", HPyFunc_VARARGS)
        static HPy set_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
        {
            static HPyCapsule_Destructor half_destructor = {NULL, destroy_impl};
            int failed = -1;
            (void)self;
            (void)nargs;
            switch (HPyLong_AsLong(ctx, args[1])) {
                case 0: failed = HPyCapsule_SetPointer(ctx, args[0], NULL); break;
                case 1: failed = HPyCapsule_SetDestructor(ctx, args[0], &half_destructor); break;
                case 2: failed = HPyCapsule_SetDestructor(ctx, args[0], NULL); break;
                case 3: failed = HPyCapsule_SetName(ctx, args[0], "other"); break;
            }
            return failed ? HPy_NULL : HPyLong_FromLong(ctx, ended);
        }
        static HPyDef *defines[] = {&make, &look, &null, &half, &set, NULL};
        static HPyModuleDef def = {.defines = defines};
        HPy_MODINIT(mytest, def)
    """)
    capsule = module.make()
    assert module.look(capsule) == (42, "name", 0)
    calls: list[tuple[Callable[[], object], str]] = [
        (module.null, "called with null pointer"),
        (module.half, r"^Invalid HPyCapsule destructor$"),
        (lambda: module.look(1), "invalid PyCapsule object"),
        (lambda: module.set(module.make(), 0), "called with null pointer"),
        (lambda: module.set(module.make(), 1), r"^Invalid HPyCapsule destructor$"),
    ]
    for call, text in calls:
        with pytest.raises(ValueError, match=text):
            call()
    del capsule
    capsule = module.make()
    assert module.set(capsule, 3) == 3
    with pytest.raises(ValueError, match="incorrect name"):
        module.look(capsule)
    assert module.set(capsule, 2) == 3
    del capsule
    assert module.set(module.make(), 3) == 3  # the destructor was taken away from the one before


@pytest.mark.hpy_abis("universal")
def test_an_overwritten_global(hpy_module: ModuleFactory) -> None:
    module = hpy_module("""
        #include "hpy.h"
        static HPyGlobal broken = {12345};
        HPyDef_METH(load, "load", HPyFunc_NOARGS)
        static HPy load_impl(HPyContext *ctx, HPy self)
        {
            (void)self;
            return HPyGlobal_Load(ctx, broken);
        }
        HPyDef_METH(store, "store", HPyFunc_O)
        static HPy store_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            (void)self;
            HPyGlobal_Store(ctx, &broken, arg);
            return HPy_NULL;
        }
        static HPyDef *defines[] = {&load, &store, NULL};
        static HPyModuleDef def = {.defines = defines};
        HPy_MODINIT(mytest, def)
    """)
    for call, name in (module.load, "HPyGlobal_Load"), (lambda: module.store(1), "HPyGlobal_Store"):
        with pytest.raises(SystemError, match=f"^{name}: this is not an HPyGlobal"):
            call()


@pytest.mark.promise("GLB-01", "GLB-03")
def test_globals(hpy_module: ModuleFactory) -> None:
    """Many globals; the last store counts, null empties, and references are given back."""
    module = hpy_module("""
        #include "hpy.h"
        #define COUNT 100
        static HPyGlobal many[COUNT];
        HPyDef_METH(store, "store", HPyFunc_VARARGS)
        static HPy store_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
        {
            long i = HPyLong_AsLong(ctx, args[0]);
            (void)self;
            HPyGlobal_Store(ctx, &many[i], nargs > 1 ? args[1] : HPy_NULL);
            return HPy_Dup(ctx, ctx->h_None);
        }
        HPyDef_METH(load, "load", HPyFunc_O)
        static HPy load_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            (void)self;
            return HPyGlobal_Load(ctx, many[HPyLong_AsLong(ctx, arg)]);
        }
        static HPyDef *defines[] = {&store, &load, NULL};
        static HPyGlobal *globals[] = {&many[0], NULL};
        static HPyModuleDef def = {.defines = defines, .globals = globals};
        HPy_MODINIT(mytest, def)
    """)
    module.store(5)  # empty already
    items = [object() for _ in range(100)]
    counts = [sys.getrefcount(item) for item in items]
    for i, item in enumerate(items):
        module.store(i, None)
        module.store(i, item)
    assert [module.load(i) for i in range(100)] == items
    del item
    assert [sys.getrefcount(item) for item in items] == [count + 1 for count in counts]
    for i in range(100):
        module.store(i)
    assert [sys.getrefcount(item) for item in items] == counts


@pytest.mark.promise("GIL-01")
@pytest.mark.hpy_abis("universal", "cpython")
def test_leave_and_reenter(hpy_module: ModuleFactory, run_python: PythonRunner) -> None:
    extension = hpy_module.build("""
        #include "hpy.h"
        #include <unistd.h>
        HPyDef_METH(wait_for, "wait_for", HPyFunc_O)
        static HPy wait_for_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            char byte;
            int fd = (int)HPyLong_AsLong(ctx, arg);
            ssize_t count;
            (void)self;
            HPy_BEGIN_LEAVE_PYTHON(ctx)
            count = read(fd, &byte, 1);
            HPy_END_LEAVE_PYTHON(ctx)
            return HPyLong_FromLong(ctx, (long)count);
        }
    """)
    done = run_python(
        """
        import os, threading, mytest
        out, into = os.pipe()
        thread = threading.Thread(target=lambda: print(mytest.wait_for(out)))
        thread.start()
        os.write(into, b"x")
        thread.join()
        """,
        module=extension,
        timeout=30,
    )
    assert (done.stdout, done.stderr) == ("1\n", "")
