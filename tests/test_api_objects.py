"""Objects: attributes, iteration, comparison, text, identity, types."""

import operator
import re
import sys
from typing import Any, Callable

import pytest

from support.api_source import NULL, module_source, outcome
from support.extension import ModuleFactory

# --------------------------------------------------------------------------------------------------
# Attributes

ATTRIBUTES = module_source(
    get="return HPy_GetAttr(ctx, args[0], args[1]);",
    get_s="return HPy_GetAttr_s(ctx, args[0], TEXT(1));",
    has="return truth(ctx, HPy_HasAttr(ctx, args[0], args[1]));",
    has_s="return truth(ctx, HPy_HasAttr_s(ctx, args[0], TEXT(1)));",
    set="return status(ctx, HPy_SetAttr(ctx, args[0], args[1], MAYBE(2)));",
    set_s="return status(ctx, HPy_SetAttr_s(ctx, args[0], TEXT(1), MAYBE(2)));",
    delete="return status(ctx, HPy_DelAttr(ctx, args[0], args[1]));",
    delete_s="return status(ctx, HPy_DelAttr_s(ctx, args[0], TEXT(1)));",
)


class Thing:
    """Has attributes that raise."""

    @property
    def bad(self) -> object:
        raise RuntimeError("the property")

    @property
    def missing(self) -> object:
        raise AttributeError("as if it were not there")


class Attributes:
    """The functions of ATTRIBUTES, with names as str or as C strings."""

    def __init__(self, module: Any, suffix: str) -> None:
        self.get, self.has, self.set, self.delete = (
            getattr(module, name + suffix) for name in ("get", "has", "set", "delete")
        )
        self.name: Callable[[str], Any] = str.encode if suffix else str


@pytest.fixture(params=["", "_s"], ids=["name", "text"])
def attributes(hpy_module: ModuleFactory, request: pytest.FixtureRequest) -> Attributes:
    return Attributes(hpy_module(ATTRIBUTES), request.param)


def test_attributes(attributes: Attributes) -> None:
    api, thing = attributes, Thing()
    for text in "name", "n\xe4me", "\N{SNAKE}", "not an identifier", "":
        name = api.name(text)
        with pytest.raises(AttributeError, match=re.escape(f"'{text}'")):
            api.get(thing, name)
        assert api.has(thing, name) == 0
        value = [text]
        assert api.set(thing, name, value) == 0
        assert getattr(thing, text) is value
        assert api.get(thing, name) is value
        assert api.has(thing, name) == 1
        assert api.delete(thing, name) == 0
        assert not hasattr(thing, text)
        with pytest.raises(AttributeError):
            api.delete(thing, name)
        api.set(thing, name, value)
        assert api.set(thing, name, NULL) == 0  # null deletes
        assert not hasattr(thing, text)


def test_attributes_that_cannot_be_set(attributes: Attributes) -> None:
    api = attributes
    name = api.name("name")
    for value in 1, NULL:
        with pytest.raises(AttributeError):
            api.set(object(), name, value)
        with pytest.raises(AttributeError):
            api.set(Thing(), api.name("bad"), value)
        with pytest.raises(TypeError, match=r"immutable type|set attributes of built-in"):
            api.set(int, name, value)
    with pytest.raises(AttributeError):
        api.delete(object(), name)


def test_attributes_that_raise(attributes: Attributes, monkeypatch: pytest.MonkeyPatch) -> None:
    api, thing = attributes, Thing()
    with pytest.raises(RuntimeError, match="the property"):
        api.get(thing, api.name("bad"))
    # From CPython 3.13 on it tells the hook what it swallows.
    monkeypatch.setattr(sys, "unraisablehook", lambda info: None)
    assert api.has(thing, api.name("bad")) == 0
    assert api.has(thing, api.name("missing")) == 0


def test_names_that_are_no_text(hpy_module: ModuleFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    mod = hpy_module(ATTRIBUTES)
    thing = Thing()
    monkeypatch.setattr(sys, "unraisablehook", lambda info: None)
    for name in 1, None, b"name":
        for call in mod.get, mod.delete, lambda o, n: mod.set(o, n, 1):
            with pytest.raises(TypeError, match="attribute name must be string"):
                call(thing, name)
        assert mod.has(thing, name) == 0
    for name in b"\xff", b"a\x80", b"\xed\xa0\x80":
        for call in mod.get_s, mod.delete_s, lambda o, n: mod.set_s(o, n, 1):
            with pytest.raises(UnicodeDecodeError):
                call(thing, name)
        assert mod.has_s(thing, name) == 0


# --------------------------------------------------------------------------------------------------
# Iteration, comparison, text, identity

OBJECTS = module_source(
    iterate="return HPy_GetIter(ctx, args[0]);",
    next="""
        HPy item;
        if (!HPyIter_Check(ctx, args[0])) return HPyErr_SetString(ctx, ctx->h_TypeError, "no");
        item = HPyIter_Next(ctx, args[0]);
        if (HPy_IsNull(item) && !HPyErr_Occurred(ctx)) return HPyUnicode_FromString(ctx, "end");
        return item;
    """,
    is_iterator="return truth(ctx, HPyIter_Check(ctx, args[0]));",
    compare="return HPy_RichCompare(ctx, args[0], args[1], (int)SIZE(2));",
    compare_bool="""
        return status(ctx, HPy_RichCompareBool(ctx, args[0], args[1], (int)SIZE(2)));
    """,
    hash="return status(ctx, HPy_Hash(ctx, args[0]));",
    is_true="return status(ctx, HPy_IsTrue(ctx, args[0]));",
    repr="return HPy_Repr(ctx, MAYBE(0));",
    str="return HPy_Str(ctx, MAYBE(0));",
    ascii="return HPy_ASCII(ctx, MAYBE(0));",
    bytes="return HPy_Bytes(ctx, MAYBE(0));",
    is_="return truth(ctx, HPy_Is(ctx, MAYBE(0), MAYBE(1)));",
    callable="return truth(ctx, HPyCallable_Check(ctx, MAYBE(0)));",
    dup="""
        HPy copy = HPy_Dup(ctx, MAYBE(0));
        HPy second;
        if (HPy_IsNull(copy)) return HPyUnicode_FromString(ctx, "null");
        second = HPy_Dup(ctx, copy);
        HPy_Close(ctx, copy);
        return second;
    """,
    many="""
        static HPy copies[10000];
        HPy seen;
        long i;
        for (i = 0; i < 10000; i++) copies[i] = HPy_Dup(ctx, args[0]);
        seen = HPy_CallTupleDict(ctx, args[1], HPy_NULL, HPy_NULL);
        for (i = 0; i < 10000; i++) HPy_Close(ctx, copies[i]);
        return seen;
    """,
    close_null="HPy_Close(ctx, HPy_NULL); return none(ctx);",
    type="return HPy_Type(ctx, args[0]);",
    type_check="return truth(ctx, HPy_TypeCheck(ctx, args[0], MAYBE(1)));",
    type_name="""
        const char *name = HPyType_GetName(ctx, args[0]);
        expect(ctx, name == NULL);
        return name == NULL ? HPy_NULL : HPyUnicode_FromString(ctx, name);
    """,
    is_subtype="return truth(ctx, HPyType_IsSubtype(ctx, args[0], MAYBE(1)));",
    dump="_HPy_Dump(ctx, MAYBE(0)); return none(ctx);",
)


class Countable:
    """Contains what it gives by index."""

    def __getitem__(self, index: int) -> int:
        if index > 3:
            raise IndexError
        return index


def test_iteration(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(OBJECTS)
    thing: Any
    for thing in [1, 2], (1,), "ab", {1: 2}, {1}, range(3), b"ab", Countable():
        again = list(thing)
        iterator = mod.iterate(thing)
        assert mod.is_iterator(iterator) == 1
        assert [mod.next(iterator) for _ in again] == again
        assert mod.next(iterator) == mod.next(iterator) == "end"
    for thing in [1], "a", 1, None, object():
        assert mod.is_iterator(thing) == 0
    for thing in 1, None, object():
        assert outcome(mod.iterate, thing) == outcome(iter, thing)

    class NoIterator:
        def __iter__(self) -> Any:
            return 1

    with pytest.raises(TypeError, match="non-iterator"):
        mod.iterate(NoIterator())

    def failing() -> Any:
        yield 1
        raise ZeroDivisionError

    iterator = mod.iterate(failing())
    assert mod.next(iterator) == 1
    with pytest.raises(ZeroDivisionError):
        mod.next(iterator)
    assert mod.next(iterator) == "end"


COMPARISONS = [operator.lt, operator.le, operator.eq, operator.ne, operator.gt, operator.ge]


class Answers:
    """Compares to a str, so not to a bool."""

    def __eq__(self, other: object) -> Any:
        return f"== {other}"

    def __lt__(self, other: object) -> Any:
        return ""

    def __gt__(self, other: object) -> Any:
        raise ZeroDivisionError


def test_comparison(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(OBJECTS)
    values: list[object] = [1, 2, 2.0, "a", "b", None, [1], [2], (), 1j, {1}, {1, 2}]
    for number, compare in enumerate(COMPARISONS):
        for left in values:
            for right in values:
                wanted = outcome(compare, left, right)
                assert outcome(mod.compare, left, right, number) == wanted
                if isinstance(wanted, bool):
                    assert mod.compare_bool(left, right, number) == wanted
                else:
                    assert outcome(mod.compare_bool, left, right, number) == wanted
    thing = Answers()
    assert mod.compare(thing, 1, 2) == "== 1"
    assert mod.compare_bool(thing, 1, 2) == 1
    assert mod.compare_bool(thing, 1, 0) == 0
    for function in mod.compare, mod.compare_bool:
        with pytest.raises(ZeroDivisionError):
            function(thing, 1, 4)
    nan = float("nan")  # what is identical counts as equal
    assert mod.compare(nan, nan, 2) is False
    assert (mod.compare_bool(nan, nan, 2), mod.compare_bool(nan, nan, 3)) == (1, 0)


def test_hash_and_truth(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(OBJECTS)

    class Bad:
        def __hash__(self) -> Any:
            raise ZeroDivisionError

        def __bool__(self) -> Any:
            return "no"

    class MinusOne:
        def __hash__(self) -> int:
            return -1

    things: list[object] = [0, 1, -1, 2**100, 2.5, "text", b"", (), (1, 2), None, [], {}, [0]]
    for thing in [*things, set(), object(), int, Bad(), MinusOne()]:
        assert outcome(mod.hash, thing) == outcome(hash, thing)
        assert outcome(mod.is_true, thing) == outcome(bool, thing)


class Texts:
    def __repr__(self) -> str:
        return "<\xe4 \N{SNAKE}>"

    def __str__(self) -> str:
        return "text \udc80"

    def __bytes__(self) -> bytes:
        return b"\x00bytes"


class NoTexts:
    def __repr__(self) -> Any:
        return 1

    __str__ = __bytes__ = __repr__


def test_texts(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(OBJECTS)
    things = [1, "a'\xe4", b"\xff", None, [1, "x"], Texts(), NoTexts(), range(3), Texts]
    for thing in things:
        for name, wanted in ("repr", repr), ("str", str), ("ascii", ascii):
            assert outcome(getattr(mod, name), thing) == outcome(wanted, thing)
    assert mod.bytes(Texts()) == b"\x00bytes"
    for thing in b"x", bytearray(b"y"), memoryview(b"z"), [1, 2], range(3), [256], ["x"], None:
        assert outcome(mod.bytes, thing) == outcome(bytes, thing)
    for thing in 3, "text", NoTexts():  # not zeros, and no encoding
        with pytest.raises(TypeError):
            mod.bytes(thing)
    assert [mod.repr(NULL), mod.str(NULL), mod.ascii(NULL)] == ["<NULL>"] * 3
    assert mod.bytes(NULL) == b"<NULL>"


def test_identity(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(OBJECTS)
    thing = [1]
    assert mod.is_(thing, thing) == 1
    assert mod.is_(thing, [1]) == 0
    assert mod.is_(NULL, NULL) == 1
    assert mod.is_(NULL, None) == mod.is_(None, NULL) == 0
    assert mod.dup(thing) is thing
    assert mod.dup(NULL) == "null"
    assert mod.close_null() is None
    function: Any
    for function in print, int, lambda: 1, thing.append:
        assert mod.callable(function) == 1
    for other in 1, None, NULL:
        assert mod.callable(other) == 0


def test_handles_own_references(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(OBJECTS)
    thing = object()
    before = sys.getrefcount(thing)
    # The call itself holds some more.
    seen = mod.many(thing, lambda: sys.getrefcount(thing))
    assert before + 10000 <= seen <= before + 10010
    assert sys.getrefcount(thing) == before
    mod.dup(thing)
    assert sys.getrefcount(thing) == before


class Meta(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return True

    def __subclasscheck__(cls, subclass: type) -> bool:
        return True


class Everything(metaclass=Meta):
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        return int


def test_types(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(OBJECTS)
    for thing in 1, True, "x", None, int, mod, print, Everything():
        assert mod.type(thing) is type(thing)
    assert mod.type_check(True, int) == mod.type_check(True, bool) == 1
    assert mod.type_check(1, bool) == 0
    # Neither __instancecheck__ nor __class__ is asked.
    assert mod.type_check(1, Everything) == mod.type_check(Everything(), int) == 0
    assert mod.type_check(1, NULL) == 0
    assert mod.is_subtype(bool, int) == mod.is_subtype(int, int) == mod.is_subtype(int, object) == 1
    assert mod.is_subtype(int, bool) == mod.is_subtype(int, Everything) == 0
    assert mod.is_subtype(int, NULL) == 0
    for cls, name in [
        (int, "int"),
        (Everything, "Everything"),
        (type(iter([])), "list_iterator"),
        (type(sys.flags), "flags"),  # a static type: its name is sys.flags
        (type("N\xe4me", (), {}), "N\xe4me"),
    ]:
        assert mod.type_name(cls) == name


@pytest.mark.hpy_abis("cpython", "universal", "hybrid")  # a mistake that debug mode reports
def test_name_of_what_is_no_type(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(OBJECTS)
    with pytest.raises(TypeError, match="HPyType_GetName: expected a type, got 'int'"):
        mod.type_name(1)


def test_dump(hpy_module: ModuleFactory, capfd: pytest.CaptureFixture[str]) -> None:
    mod = hpy_module(OBJECTS)
    mod.dump(["what is dumped"])
    captured = capfd.readouterr()
    assert "['what is dumped']" in captured.err
    assert captured.out == ""
    mod.dump(NULL)
    assert re.search("nil|NULL", capfd.readouterr().err)
