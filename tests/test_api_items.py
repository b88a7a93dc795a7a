"""Items, membership, length and slices of objects."""

import sys
from typing import Any, Callable

import pytest

from support.api_source import NULL, module_source, outcome
from support.extension import ModuleFactory

ITEMS = module_source(
    get="return HPy_GetItem(ctx, args[0], args[1]);",
    get_i="return HPy_GetItem_i(ctx, args[0], SIZE(1));",
    get_s="return HPy_GetItem_s(ctx, args[0], TEXT(1));",
    set="return status(ctx, HPy_SetItem(ctx, args[0], args[1], args[2]));",
    set_i="return status(ctx, HPy_SetItem_i(ctx, args[0], SIZE(1), args[2]));",
    set_s="return status(ctx, HPy_SetItem_s(ctx, args[0], TEXT(1), args[2]));",
    delete="return status(ctx, HPy_DelItem(ctx, args[0], args[1]));",
    delete_i="return status(ctx, HPy_DelItem_i(ctx, args[0], SIZE(1)));",
    delete_s="return status(ctx, HPy_DelItem_s(ctx, args[0], TEXT(1)));",
    contains="return status(ctx, HPy_Contains(ctx, args[0], args[1]));",
    length="return status(ctx, HPy_Length(ctx, args[0]));",
    get_slice="return HPy_GetSlice(ctx, MAYBE(0), SIZE(1), SIZE(2));",
    set_slice="return status(ctx, HPy_SetSlice(ctx, MAYBE(0), SIZE(1), SIZE(2), MAYBE(3)));",
    delete_slice="return status(ctx, HPy_DelSlice(ctx, MAYBE(0), SIZE(1), SIZE(2)));",
    new_slice="return HPySlice_New(ctx, MAYBE(0), MAYBE(1), MAYBE(2));",
    unpack="""
        HPy_ssize_t start = 77, stop = 77, step = 77;
        int failed = HPySlice_Unpack(ctx, args[0], &start, &stop, &step);
        expect(ctx, failed);
        return failed ? HPy_NULL : HPy_BuildValue(ctx, "nnn", start, stop, step);
    """,
    adjust="""
        HPy_ssize_t start, stop, step;
        HPy_ssize_t length = SIZE(1);
        if (HPySlice_Unpack(ctx, args[0], &start, &stop, &step) < 0) return HPy_NULL;
        length = HPySlice_AdjustIndices(ctx, length, &start, &stop, step);
        return HPy_BuildValue(ctx, "nnnn", length, start, stop, step);
    """,
)


class Mapping:
    """Only subscripts, no length: no sequence. `asked` has the keys."""

    def __init__(self) -> None:
        self.asked: list[tuple[object, ...]] = []

    def __getitem__(self, key: object) -> object:
        self.asked.append(("get", key))
        return key

    def __setitem__(self, key: object, value: object) -> None:
        self.asked.append(("set", key, value))

    def __delitem__(self, key: object) -> None:
        self.asked.append(("del", key))


def test_items(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(ITEMS)
    values: list[object] = [10, 20, 30]
    assert [mod.get(values, i) for i in (0, 2, -1, True)] == [10, 30, 30, 20]
    assert mod.get(values, slice(1, None)) == [20, 30]
    assert mod.set(values, -1, "last") == 0
    assert mod.set(values, slice(0, 2), "ab") == 0
    assert values == ["a", "b", "last"]
    assert mod.delete(values, 1) == 0
    assert mod.delete(values, slice(0, 1)) == 0
    assert values == ["last"]
    mapping: dict[object, object] = {}
    assert mod.set(mapping, (1, 2), "x") == 0
    assert mod.get(mapping, (1, 2)) == "x"
    assert mod.delete(mapping, (1, 2)) == 0
    with pytest.raises(KeyError) as caught:
        mod.get(mapping, "k")
    assert caught.value.args == ("k",)
    with pytest.raises(KeyError) as caught:
        mod.delete(mapping, "k")
    assert caught.value.args == ("k",)
    for function in mod.get, mod.set:
        rest = (0,) if function is mod.set else ()
        with pytest.raises(IndexError):
            function(values, 1, *rest)
        with pytest.raises(IndexError):
            function(values, 2**100, *rest)
        with pytest.raises(TypeError, match="indices must be integers"):
            function(values, "0", *rest)
        with pytest.raises(TypeError, match="unhashable"):
            function(mapping, [], *rest)
    for thing in "abc", (1, 2), 7, None:
        with pytest.raises(TypeError, match="does not support item assignment"):
            mod.set(thing, 0, "x")
        with pytest.raises(TypeError, match=r"doesn't support item deletion|does not support item"):
            mod.delete(thing, 0)
    with pytest.raises(TypeError, match="not subscriptable"):
        mod.get(7, 0)


def test_items_of_a_mapping(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(ITEMS)
    thing = Mapping()
    mod.get(thing, None)
    mod.get_i(thing, -1)
    mod.get_s(thing, b"k\xc3\xa4y")
    mod.set(thing, None, 1)
    mod.set_i(thing, -2, 2)
    mod.set_s(thing, b"", 3)
    mod.delete(thing, None)
    mod.delete_i(thing, 2**62)
    mod.delete_s(thing, b"k")
    assert thing.asked == [
        *[("get", None), ("get", -1), ("get", "k\xe4y")],
        *[("set", None, 1), ("set", -2, 2), ("set", "", 3)],
        *[("del", None), ("del", 2**62), ("del", "k")],
    ]
    dictionary = {-1: "minus"}
    assert mod.get_i(dictionary, -1) == "minus"
    with pytest.raises(KeyError) as caught:
        mod.delete_i(dictionary, 5)
    assert caught.value.args == (5,)


def test_items_by_index(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(ITEMS)
    values = [1, 2, 3]
    assert [mod.get_i(values, i) for i in (0, 2, -1, -3)] == [1, 3, 3, 1]
    assert (mod.get_i("abc", -1), mod.get_i(b"abc", 0), mod.get_i((5,), 0)) == ("c", 97, 5)
    assert mod.get_i(range(10), -2) == 8
    for index in 3, -4, sys.maxsize, -sys.maxsize - 1:
        for call in mod.get_i, mod.delete_i, lambda o, i: mod.set_i(o, i, 0):
            with pytest.raises(IndexError):
                call(values, index)
    for call in mod.get_i, mod.delete_i, lambda o, i: mod.set_i(o, i, 0):
        for wrong in 1, None, {1}, object():
            with pytest.raises(TypeError):
                call(wrong, 0)


def test_keys_that_are_not_utf8(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(ITEMS)
    for call in mod.get_s, mod.delete_s, lambda o, k: mod.set_s(o, k, 0):
        with pytest.raises(UnicodeDecodeError):
            call({}, b"\xff")
        with pytest.raises(TypeError):
            call([1], b"0")


class Countable:
    """Contains what it gives by index."""

    def __getitem__(self, index: int) -> int:
        if index > 3:
            raise IndexError
        return index


def test_contains(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(ITEMS)
    for container, inside, outside in [
        ([1, 2], 2, 3),
        ((1, None), None, 3),
        ({1: 2}, 1, 2),
        ({1, 2}, 2, 3),
        ("abc", "bc", "ac"),
        (b"abc", 97, 1),
        (range(3), 2, 3),
        (Countable(), 3, "x"),
    ]:
        assert mod.contains(container, inside) == 1
        assert mod.contains(container, outside) == 0
    assert mod.contains(iter([1, 2]), 2) == 1  # by iteration
    for container, key in (1, 1), (None, 1), (Mapping, 1), ("abc", 1), ({}, []):
        with pytest.raises(TypeError):
            mod.contains(container, key)


def test_length(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(ITEMS)

    class Long:
        def __init__(self, length: object) -> None:
            self.length = length

        def __len__(self) -> Any:
            return self.length

    for thing in [1, 2], (), "a\N{SNAKE}", {1: 2}, range(1000), Long(5), 1, None, object():
        assert outcome(mod.length, thing) == outcome(len, thing)
    for length in -1, 2**63, "x":
        assert outcome(mod.length, Long(length)) == outcome(len, Long(length))


INDICES = [0, 1, 2, 3, 4, 5, -1, -3, -4, -9, sys.maxsize, -sys.maxsize - 1]


def test_slices(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(ITEMS)
    for start in INDICES:
        for stop in INDICES:
            for thing in ([1, 2, 3, 4], (1, 2, 3, 4), "abcd", b"abcd", range(4)):
                assert mod.get_slice(thing, start, stop) == thing[start:stop]
            mine: list[object] = [1, 2, 3, 4]
            wanted: list[object] = [1, 2, 3, 4]
            assert mod.set_slice(mine, start, stop, "new") == 0
            wanted[start:stop] = "new"
            assert mine == wanted
            assert mod.delete_slice(mine, start, stop) == 0
            del wanted[start:stop]
            assert mine == wanted


def test_slices_of_other_objects(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(ITEMS)
    thing = Mapping()
    assert mod.get_slice(thing, 1, -2) == slice(1, -2, None)
    mod.set_slice(thing, 0, 3, "x")
    mod.set_slice(thing, 0, 4, NULL)  # null deletes
    mod.delete_slice(thing, 0, 5)
    assert thing.asked == [
        ("get", slice(1, -2)),
        ("set", slice(0, 3), "x"),
        ("del", slice(0, 4)),
        ("del", slice(0, 5)),
    ]
    wrong: object
    for wrong in 1, None, {1}:
        with pytest.raises(TypeError, match="unsliceable"):
            mod.get_slice(wrong, 0, 1)
    for wrong in 1, None, "abc", (1, 2):
        with pytest.raises(TypeError, match="slice assignment"):
            mod.set_slice(wrong, 0, 1, "x")
        with pytest.raises(TypeError, match="slice deletion"):
            mod.delete_slice(wrong, 0, 1)
    with pytest.raises(TypeError, match=r"assign (an )?iterable"):
        mod.set_slice([1], 0, 1, 5)

    class Failing:
        def __getitem__(self, key: object) -> object:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        mod.get_slice(Failing(), 0, 1)


@pytest.mark.hpy_abis("cpython", "universal")
def test_slices_of_null(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(ITEMS)
    calls: list[Callable[[], object]] = [
        lambda: mod.get_slice(NULL, 0, 1),
        lambda: mod.set_slice(NULL, 0, 1, "x"),
        lambda: mod.delete_slice(NULL, 0, 1),
    ]
    for call in calls:
        with pytest.raises(SystemError, match="null argument to internal routine"):
            call()


def test_slice_objects(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(ITEMS)
    assert mod.new_slice(NULL, NULL, NULL) == slice(None)
    assert mod.new_slice(1, NULL, None) == slice(1, None, None)
    assert mod.new_slice("a", mod, 2.5) == slice("a", mod, 2.5)
    big = sys.maxsize
    for given, wanted in [
        (slice(None), (0, big, 1)),
        (slice(None, None, -1), (big, -big - 1, -1)),
        (slice(1, -2, 3), (1, -2, 3)),
        (slice(-(2**100), 2**100), (-big - 1, big, 1)),
        (slice(2**100, -(2**100), -(2**100)), (big, -big - 1, -big)),
        (slice(0, 1, 2**100), (0, 1, big)),
        (slice(True, 5), (1, 5, 1)),
    ]:
        assert mod.unpack(given) == wanted
    with pytest.raises(ValueError, match="slice step cannot be zero"):
        mod.unpack(slice(1, 2, 0))
    for wrong in slice("a"), slice("a", None), slice(None, None, "a"), slice(1.5):
        with pytest.raises(TypeError, match="slice indices must be integers"):
            mod.unpack(wrong)


def test_adjusted_indices(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(ITEMS)
    ends = [None, *INDICES]
    for length in 0, 1, 4:
        for start in ends:
            for stop in ends:
                for step in 1, 2, -1, -3, sys.maxsize:
                    given = slice(start, stop, step)
                    first, last, _ = given.indices(length)
                    count = len(range(first, last, step))
                    assert mod.adjust(given, length) == (count, first, last, step)
