"""The universal context: integers, builders, trackers, calls and items."""

import gc
import sys
from typing import Any

import pytest

from support.extension import ModuleFactory

HPY_ABIS = ["universal", "cpython"]


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
    assert make(3, [(0, "a"), (1, "b"), (2, "c")]) == kind("abc")
    assert make(3, [(0, "a"), (2, "c"), (1, "b")]) == kind("abc")
    assert make(3, [(2, "c"), (1, "b"), (0, "a")]) == kind("abc")
    assert make(3, [(0, "a"), (1, "x"), (1, "b"), (2, "c")]) == kind("abc")
    assert make(3, [(0, "a"), (1, "b"), (0, None), (2, "c"), (0, "x")]) == kind("xbc")
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
        (2, [(1, 1), (-1, 1), (0, 1)], -1),
        (2, [(1, 1), (-(2**63), 1), (0, 1)], -(2**63)),
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
def test_builders_show_no_holes_and_own_their_items(hpy_module: ModuleFactory, kind: type) -> None:
    """Python code may find a list that has no holes, as with PyList_Append, and nothing else."""
    module = hpy_module(BUILDERS)
    make = getattr(module, f"make_{kind.__name__}")
    item = object()
    before = sys.getrefcount(item)
    seen: list[int] = []
    kept: list[object] = []

    def look() -> None:
        found = [o for o in gc.get_referrers(item) if type(o) is kind and len(o) > 50]
        assert all(i is item for o in found for i in o)
        seen.extend(map(len, found))
        kept.extend(found)
        gc.collect()

    for end in 77, 76:
        with pytest.raises(SystemError):
            make(78, [(i, item) for i in range(end)], look)
    make(78, [(i, item) for i in range(77)], 0)
    assert set(seen) == ({77, 76} if kind is list else set())
    assert all(i is item for o in kept for i in o), "what was found stays what it was"
    seen.clear()
    kept.clear()
    make(77, [(i, item) for i in reversed(range(77))], look)
    assert seen == []
    result = make(77, [(i, item) for i in range(77)], look)
    kept.clear()
    assert len(result) == 77
    assert sys.getrefcount(item) == before + 77
    del result
    for items in [0, 1], [0, 0, 1], [2, 0], [0, 2]:  # in turn and out of it, never all
        make(3, [(i, item) for i in items], 0)
        with pytest.raises(SystemError):
            make(3, [(i, item) for i in items])
    with pytest.raises(SystemError):
        make(3, [(0, item), (7, item)])
    assert sys.getrefcount(item) == before


@pytest.mark.parametrize("size", [77, 78])
@pytest.mark.parametrize("change", ["clear", "append", "pop", "extend", "sort"])
def test_list_that_changes_under_construction(
    hpy_module: ModuleFactory, size: int, change: str
) -> None:
    """Python code may do that to a list that it finds: it is an odd list then, or an error."""
    module = hpy_module(BUILDERS)
    item = object()
    before = sys.getrefcount(item)

    def look() -> None:
        arguments: dict[str, list[Any]] = {"append": [item], "extend": [[item] * 1000]}
        keywords = {"key": id} if change == "sort" else {}
        for found in gc.get_referrers(item):
            if type(found) is list and len(found) == 77:  # none, out of turn
                getattr(found, change)(*arguments.get(change, []), **keywords)

    for items in (range(77), [*range(77), 5], [*range(77), 200]):
        try:
            result = module.make_list(size, [(i, item) for i in items], look)
            assert all(i is item for i in result)
            del result
        except SystemError:
            pass
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
