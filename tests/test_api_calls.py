"""Calling: HPy_Call, HPy_CallMethod, HPy_CallTupleDict and their helpers."""

import sys
from typing import Any, Callable

import pytest

from support.api_source import NULL, module_source, outcome
from support.extension import ModuleFactory

# An array of handles that is made of a tuple of values.
HEAD = """
static HPy with_array(HPyContext *ctx, HPy callable, HPy values, HPy_ssize_t nargs, HPy kwnames,
                      HPy (*call)(HPyContext *, HPy, const HPy *, size_t, HPy))
{
    HPy_ssize_t n = HPy_Length(ctx, values), i;
    HPy *array = n ? (HPy *)malloc((size_t)n * sizeof(HPy)) : NULL;
    HPy result;
    for (i = 0; i < n; i++) array[i] = HPy_GetItem_i(ctx, values, i);
    result = call(ctx, callable, array, (size_t)nargs, kwnames);
    for (i = 0; i < n; i++) HPy_Close(ctx, array[i]);
    free(array);
    return result;
}
"""
CALLS = module_source(
    HEAD,
    # call(callable, values, nargs, kwnames), method(name, values, nargs, kwnames)
    call="return with_array(ctx, args[0], args[1], SIZE(2), MAYBE(3), HPy_Call);",
    method="return with_array(ctx, args[0], args[1], SIZE(2), MAYBE(3), HPy_CallMethod);",
    tuple_dict="return HPy_CallTupleDict(ctx, args[0], MAYBE(1), MAYBE(2));",
    method_tuple_dict="""
        return HPy_CallMethodTupleDict(ctx, args[0], args[1], MAYBE(2), MAYBE(3));
    """,
    method_tuple_dict_s="""
        return HPy_CallMethodTupleDict_s(ctx, TEXT(0), args[1], MAYBE(2), MAYBE(3));
    """,
)


def everything(*args: object, **keywords: object) -> object:
    return args, keywords


class Thing:
    method = everything

    def failing(self) -> None:
        raise ZeroDivisionError

    @classmethod
    def of_class(cls) -> object:
        return cls


class Keywords(dict[str, object]):
    pass


@pytest.mark.parametrize("count", [0, 1, 2, 11, 12, 13, 1000])
def test_call(hpy_module: ModuleFactory, count: int) -> None:
    mod = hpy_module(CALLS)
    args = tuple(range(count))
    thing = Thing()
    for names in NULL, ():
        assert mod.call(everything, args, count, names) == (args, {})
        assert mod.call(thing.method, args, count, names) == ((thing, *args), {})
        assert mod.method("method", (thing, *args), count + 1, names) == ((thing, *args), {})
    values = (*args, -1, -2)
    assert mod.call(everything, values, count, ("x", "y")) == (args, {"x": -1, "y": -2})
    result = mod.method("method", (thing, *values), count + 1, ("x", "y"))
    assert result == ((thing, *args), {"x": -1, "y": -2})


def test_call_of_other_callables(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(CALLS)
    assert mod.call(int, ("12", 5), 1, ("base",)) == 7
    assert mod.call(dict, (1,), 0, ("a",)) == {"a": 1}
    assert mod.call(len, ("abc",), 1, NULL) == 3
    assert mod.call(Thing, (), 0, NULL).__class__ is Thing
    assert mod.method("upper", ("abc",), 1, NULL) == "ABC"
    assert mod.method("split", ("a b c", 1), 1, ("maxsplit",)) == ["a", "b c"]
    assert mod.method("of_class", (Thing(),), 1, NULL) is Thing


@pytest.mark.hpy_abis("cpython", "universal", "hybrid")  # a mistake that debug mode reports
@pytest.mark.parametrize("names", [["x"], "x", {"x": 1}, 1])
def test_keyword_names_that_are_no_tuple(hpy_module: ModuleFactory, names: object) -> None:
    mod = hpy_module(CALLS)
    with pytest.raises(TypeError, match="requires kwnames to be a tuple or null handle"):
        mod.call(everything, (1,), 0, names)
    with pytest.raises(TypeError, match="requires kwnames to be a tuple or null handle"):
        mod.method("method", (Thing(), 1), 1, names)


def test_errors_of_calls(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(CALLS)
    thing = Thing()
    call: Callable[..., object]
    wrong: Any
    for wrong in 1, None, "text", object():
        assert outcome(mod.call, wrong, (), 0, NULL) == outcome(wrong)
        assert outcome(mod.tuple_dict, wrong, NULL, NULL) == outcome(wrong)
        assert outcome(mod.tuple_dict, wrong, (), {}) == outcome(wrong)
    for call in (
        lambda: mod.call(len, (), 0, NULL),
        lambda: mod.call(len, ("a", "b"), 2, NULL),
        lambda: mod.call(len, ("a",), 0, ("obj",)),
        lambda: mod.method("failing", (thing, 1), 2, NULL),
        lambda: mod.tuple_dict(len, (1, 2), NULL),
        lambda: mod.method_tuple_dict("failing", thing, (1,), NULL),
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(SystemError, match="HPy_CallMethod: nargs is 0"):
        mod.method("method", (thing,), 0, NULL)
    for call in (
        lambda: mod.call(thing.failing, (), 0, NULL),
        lambda: mod.method("failing", (thing,), 1, NULL),
        lambda: mod.tuple_dict(thing.failing, NULL, NULL),
        lambda: mod.method_tuple_dict("failing", thing, NULL, NULL),
        lambda: mod.method_tuple_dict_s(b"failing", thing, NULL, NULL),
    ):
        with pytest.raises(ZeroDivisionError):
            call()
    for call in (
        lambda: mod.method("nowhere", (thing,), 1, NULL),
        lambda: mod.method_tuple_dict("nowhere", thing, NULL, NULL),
        lambda: mod.method_tuple_dict_s(b"nowhere", thing, NULL, NULL),
    ):
        with pytest.raises(AttributeError, match="nowhere"):
            call()
    with pytest.raises(UnicodeDecodeError):
        mod.method_tuple_dict_s(b"\xff", thing, NULL, NULL)
    for call in (
        lambda n: mod.method(n, (thing,), 1, NULL),
        lambda n: mod.method_tuple_dict(n, thing, NULL, NULL),
    ):
        with pytest.raises(TypeError, match="attribute name must be string"):
            call(1)


def test_tuple_and_dict(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(CALLS)
    thing = Thing()
    many = {f"k{i}": i for i in range(1000)}
    call: Callable[[Any, Any], object]
    args: Any
    kw: Any
    for args, kw in [
        (NULL, NULL),
        ((), NULL),
        (NULL, {}),
        ((1, 2), NULL),
        (NULL, {"a": 1}),
        ((1,), {"a": 2}),
        ((1,), Keywords(a=2)),
        (tuple(range(1000)), many),
    ]:
        positional = () if args is NULL else args
        keywords = {} if kw is NULL else dict(kw)
        assert mod.tuple_dict(everything, args, kw) == (positional, keywords)
        wanted = ((thing, *positional), keywords)
        assert mod.method_tuple_dict("method", thing, args, kw) == wanted
        assert mod.method_tuple_dict_s(b"method", thing, args, kw) == wanted
    for call in (
        lambda args, kw: mod.tuple_dict(everything, args, kw),
        lambda args, kw: mod.method_tuple_dict("method", thing, args, kw),
    ):
        for args in [1], None, "ab", 1:
            with pytest.raises(TypeError) as caught:
                call(args, NULL)
            text = "HPy_CallTupleDict requires args to be a tuple or null handle"
            assert str(caught.value) == text
        for kw in [("a", 1)], None, "ab", 1:
            with pytest.raises(TypeError) as caught:
                call((), kw)
            text = "HPy_CallTupleDict requires kw to be a dict or null handle"
            assert str(caught.value) == text
        with pytest.raises(TypeError, match="keywords must be strings"):
            call((), {1: 2})


def test_keywords_are_not_changed(hpy_module: ModuleFactory) -> None:
    """The function has a dict of its own."""
    mod = hpy_module(CALLS)

    def change(**keywords: object) -> object:
        keywords["new"] = 1
        return keywords

    given = {"a": 1}
    assert mod.tuple_dict(change, NULL, given) == {"a": 1, "new": 1}
    assert given == {"a": 1}


def test_absurd_counts(hpy_module: ModuleFactory) -> None:
    """Refused before the array is read."""
    mod = hpy_module(CALLS)
    for count in 2**61, sys.maxsize:
        with pytest.raises(SystemError, match=r"HPy_Call: .* more than memory can hold"):
            mod.call(everything, (), count, NULL)
        with pytest.raises(SystemError, match=r"HPy_CallMethod: .* more than memory can hold"):
            mod.method("upper", ("x",), count, NULL)


@pytest.mark.hpy_abis("universal", "debug")
def test_counts_beyond_memory(hpy_module: ModuleFactory) -> None:
    """Less absurd, and still more than there is: the array is copied before it is read."""
    mod = hpy_module(CALLS)
    for call in mod.call, mod.method:
        with pytest.raises(MemoryError):
            call("upper", (), 2**59, NULL)
