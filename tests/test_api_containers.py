"""Lists, dicts, tuples, and the builders of lists and tuples."""

import sys
from typing import Any

import pytest

from support.api_source import NULL, module_source, outcome
from support.extension import ModuleFactory

CONTAINERS = module_source(
    list_check="return truth(ctx, HPyList_Check(ctx, args[0]));",
    list_new="return HPyList_New(ctx, SIZE(0));",
    # A list of n nothings, as that of PyList_New: there is nothing to do with it but to drop it.
    list_of_nothing="""
        HPy list = HPyList_New(ctx, SIZE(0));
        HPy_ssize_t n = HPy_IsNull(list) ? -1 : HPy_Length(ctx, list);
        HPy_Close(ctx, list);
        return status(ctx, n);
    """,
    list_append="return status(ctx, HPyList_Append(ctx, args[0], args[1]));",
    list_insert="return status(ctx, HPyList_Insert(ctx, args[0], SIZE(1), args[2]));",
    dict_check="return truth(ctx, HPyDict_Check(ctx, args[0]));",
    dict_new="return HPyDict_New(ctx);",
    dict_keys="return HPyDict_Keys(ctx, args[0]);",
    dict_copy="return HPyDict_Copy(ctx, args[0]);",
    tuple_check="return truth(ctx, HPyTuple_Check(ctx, args[0]));",
    tuple_from_array="return HPyTuple_FromArray(ctx, args, (HPy_ssize_t)nargs);",
    tuple_from_nothing="return HPyTuple_FromArray(ctx, NULL, SIZE(0));",
    tuple_pack="""
        switch (nargs) {
            case 0: return HPyTuple_Pack(ctx, 0);
            case 1: return HPyTuple_Pack(ctx, 1, args[0]);
            case 17:
                return HPyTuple_Pack(ctx, 17, args[0], args[1], args[2], args[3], args[4], args[5],
                                     args[6], args[7], args[8], args[9], args[10], args[11],
                                     args[12], args[13], args[14], args[15], args[16]);
            default: return HPyTuple_Pack(ctx, 3, args[0], args[1], args[2]);
        }
    """,
)


class List(list[Any]):
    def append(self, item: object) -> None:
        raise RuntimeError("not called")

    insert = append  # type: ignore[assignment]


def test_lists(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(CONTAINERS)
    assert mod.list_new(0) == []
    assert type(mod.list_new(0)) is list
    assert mod.list_of_nothing(3) == 3
    for size in -1, -sys.maxsize - 1:
        with pytest.raises(SystemError):
            mod.list_new(size)
    with pytest.raises(MemoryError):
        mod.list_new(sys.maxsize)
    values: list[Any]
    other: Any
    for values in [], List([1]):
        assert mod.list_check(values) == 1
        item = object()
        before = sys.getrefcount(item)
        for _ in range(10):
            assert mod.list_append(values, item) == 0
        assert values[-10:] == [item] * 10
        assert sys.getrefcount(item) == before + 10
    for other in (), "x", {}, None, 1:
        assert mod.list_check(other) == 0
        for call in mod.list_append, lambda o, i: mod.list_insert(o, 0, i):
            with pytest.raises(SystemError):
                call(other, 1)


def test_list_insert(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(CONTAINERS)
    for index in 0, 1, 2, 3, 9, -1, -2, -3, -9, sys.maxsize, -sys.maxsize - 1:
        mine, wanted = ["a", "b", "c"], ["a", "b", "c"]
        assert mod.list_insert(mine, index, "new") == 0
        wanted.insert(index, "new")
        assert mine == wanted
    values = List()
    mod.list_insert(values, 5, "x")
    assert values == ["x"]


class Dict(dict[Any, Any]):
    def keys(self) -> Any:
        raise RuntimeError("not called")

    copy = keys


def test_dicts(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(CONTAINERS)
    assert mod.dict_new() == {}
    assert type(mod.dict_new()) is dict
    for thing in {}, {"b": 1, "a": 2, 3: None}, Dict(x=1, y=2):
        assert mod.dict_check(thing) == 1
        keys = mod.dict_keys(thing)
        assert type(keys) is list
        assert keys == list(thing)
        copy = mod.dict_copy(thing)
        assert copy is not thing
        assert copy == dict(thing)
        assert list(copy) == list(thing)
        copy["new"] = 1
        assert "new" not in thing
    other: Any
    for other in [], "x", None, 1, object():
        assert mod.dict_check(other) == 0
        for call in mod.dict_keys, mod.dict_copy:
            with pytest.raises(SystemError):
                call(other)


@pytest.mark.hpy_abis("cpython", "universal")
def test_null_dicts(hpy_module: ModuleFactory) -> None:
    mod: Any = hpy_module(
        module_source(
            keys="return HPyDict_Keys(ctx, HPy_NULL);", copy="return HPyDict_Copy(ctx, HPy_NULL);"
        )
    )
    for call in mod.keys, mod.copy:
        with pytest.raises(SystemError):
            call()


def test_tuples(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(CONTAINERS)
    for thing in (), (1,), sys.version_info:
        assert mod.tuple_check(thing) == 1
    other: Any
    for other in [], "x", None, 1:
        assert mod.tuple_check(other) == 0
    item = object()
    before = sys.getrefcount(item)
    for n in 0, 1, 3, 17:
        made = mod.tuple_from_array(*[item] * n), mod.tuple_pack(*[item] * n)
        assert made == ((item,) * n,) * 2
        assert sys.getrefcount(item) == before + 2 * n
        del made
    for n in 16, 18, 19, 1000:  # in debug mode, more arguments than a call has slots for
        assert mod.tuple_from_array(*range(n)) == tuple(range(n))
    assert mod.tuple_pack(*range(17)) == tuple(range(17))
    assert mod.tuple_from_nothing(0) == ()
    for count in 2**58, sys.maxsize:
        with pytest.raises(MemoryError):
            mod.tuple_from_nothing(count)
    for size in -1, -sys.maxsize - 1:
        with pytest.raises(SystemError):
            mod.tuple_from_nothing(size)


def _builder_source() -> str:
    # build(size, index, item, index, item, ...); cancel() with the same arguments.
    return module_source(
        list_build="""
            HPyListBuilder builder = HPyListBuilder_New(ctx, SIZE(0));
            size_t i;
            for (i = 1; i + 1 < nargs; i += 2)
                HPyListBuilder_Set(ctx, builder, SIZE(i), MAYBE(i + 1));
            return HPyListBuilder_Build(ctx, builder);
        """,
        list_cancel="""
            HPyListBuilder builder = HPyListBuilder_New(ctx, SIZE(0));
            size_t i;
            for (i = 1; i + 1 < nargs; i += 2)
                HPyListBuilder_Set(ctx, builder, SIZE(i), MAYBE(i + 1));
            HPyListBuilder_Cancel(ctx, builder);
            return none(ctx);
        """,
        list_null="""
            HPyListBuilder builder = {0};
            HPyListBuilder_Set(ctx, builder, 0, args[0]);
            HPyListBuilder_Cancel(ctx, builder);
            return HPyListBuilder_Build(ctx, builder);
        """,
        tuple_build="""
            HPyTupleBuilder builder = HPyTupleBuilder_New(ctx, SIZE(0));
            size_t i;
            for (i = 1; i + 1 < nargs; i += 2)
                HPyTupleBuilder_Set(ctx, builder, SIZE(i), MAYBE(i + 1));
            return HPyTupleBuilder_Build(ctx, builder);
        """,
        tuple_cancel="""
            HPyTupleBuilder builder = HPyTupleBuilder_New(ctx, SIZE(0));
            size_t i;
            for (i = 1; i + 1 < nargs; i += 2)
                HPyTupleBuilder_Set(ctx, builder, SIZE(i), MAYBE(i + 1));
            HPyTupleBuilder_Cancel(ctx, builder);
            return none(ctx);
        """,
        tuple_null="""
            HPyTupleBuilder builder = {0};
            HPyTupleBuilder_Set(ctx, builder, 0, args[0]);
            HPyTupleBuilder_Cancel(ctx, builder);
            return HPyTupleBuilder_Build(ctx, builder);
        """,
    )


BUILDERS = _builder_source()


@pytest.mark.parametrize("kind", [list, tuple])
def test_builders(hpy_module: ModuleFactory, kind: type) -> None:
    mod = hpy_module(BUILDERS)
    build = getattr(mod, f"{kind.__name__}_build")
    cancel = getattr(mod, f"{kind.__name__}_cancel")
    assert build(3, 0, "a", 2, "c", 1, "b") == kind("abc")
    assert build(0) == kind()
    assert build(1, 0, "a", 0, NULL, 0, "b") == kind("b")
    item = object()
    before = sys.getrefcount(item)
    made = build(3, 0, item, 1, item, 2, item)
    assert sys.getrefcount(item) == before + 3
    del made
    cancel(3, 0, item, 2, item)
    assert sys.getrefcount(item) == before
    for size in -1, sys.maxsize:
        with pytest.raises(MemoryError):
            build(size)
        cancel(size)
    assert sys.getrefcount(item) == before


@pytest.mark.hpy_abis("cpython", "universal")
@pytest.mark.parametrize("kind", [list, tuple])
def test_builders_misused(hpy_module: ModuleFactory, kind: type) -> None:
    """tests/test_builder_mistakes.py says what debug mode does with it."""
    mod = hpy_module(BUILDERS)
    build = getattr(mod, f"{kind.__name__}_build")
    item = object()
    before = sys.getrefcount(item)
    name = f"HPy{kind.__name__.title()}Builder_Build"
    for arguments in (3, 0, item, 2, item), (3, 0, item, 1, item, 2, item, 1, NULL):
        with pytest.raises(SystemError, match=f"^{name}: the item at index 1 of 3 was never"):
            build(*arguments)
    for index in -1, 2, 2**62:
        with pytest.raises(SystemError, match=f"^{name}: an item was set at index {index}, but"):
            build(2, 0, item, 1, item, index, item)
    del arguments
    assert sys.getrefcount(item) == before


@pytest.mark.parametrize("kind", ["list", "tuple"])
def test_null_builders(hpy_module: ModuleFactory, kind: str) -> None:
    """Set and Cancel do nothing, Build raises MemoryError."""
    mod = hpy_module(BUILDERS)
    assert outcome(getattr(mod, f"{kind}_null"), 1)[0] is MemoryError
