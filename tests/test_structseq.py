"""HPyStructSequence_NewType and HPyStructSequence_New."""

import sys
from types import ModuleType
from typing import Any, Callable

import pytest

Load = Callable[..., ModuleType]

HPY_ABIS = ["cpython", "universal", "hybrid", "debug"]

SOURCE = r"""
#include "hpy.h"

static HPyStructSequence_Field point_fields[] = {
    {"x", "to the right"}, {"y", NULL}, {"z", NULL}, {NULL, NULL}};
static HPyStructSequence_Desc point = {"shapes.flat.Point", "a point", point_fields};

static HPyStructSequence_Field gap_fields[] = {{"first", NULL}, {NULL, NULL}, {NULL, NULL}};
static HPyStructSequence_Desc gap = {"WithGap", NULL, gap_fields};

static HPyStructSequence_Field no_fields[] = {{NULL, NULL}};
static HPyStructSequence_Desc none = {"shapes.NoFields", NULL, no_fields};
static HPyStructSequence_Desc null_fields = {"shapes.NullFields", "nothing", NULL};
static HPyStructSequence_Desc nameless = {NULL, "a point", point_fields};

HPyDef_METH(new_type, "new_type", HPyFunc_O)
static HPy new_type_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyStructSequence_Desc *descs[] = {&point, &gap, &none, &null_fields, &nameless};
    gap_fields[1].name = HPyStructSequence_UnnamedField;
    return HPyStructSequence_NewType(ctx, descs[HPyLong_AsLong(ctx, arg)]);
}

/* new(type, *values) */
HPyDef_METH(new, "new", HPyFunc_VARARGS)
static HPy new_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    HPy values[8];
    for (size_t i = 1; i < nargs; i++)
        values[i - 1] = args[i];
    return HPyStructSequence_New(ctx, args[0], (HPy_ssize_t)nargs - 1, values);
}
"""

POINT, GAP, NO_FIELDS, NULL_FIELDS, NAMELESS = range(5)


@pytest.fixture
def mod(hpy_module: Load) -> ModuleType:
    return hpy_module(SOURCE)


def test_type(mod: ModuleType) -> None:
    point: Any = mod.new_type(POINT)
    assert point.__mro__ == (point, tuple, object)
    assert point.__name__ == "Point"
    assert point.__qualname__ == "Point"
    assert point.__module__ == "shapes.flat"
    assert point.__doc__ == "a point"
    assert point.n_fields == 3
    assert point.x.__doc__ == "to the right"


def test_type_without_module_and_doc(mod: ModuleType, hpy_abi: str) -> None:
    gap: Any = mod.new_type(GAP)
    assert gap.__name__ == gap.__qualname__ == "WithGap"
    assert not gap.__doc__
    assert gap.n_fields == 2


@pytest.mark.parametrize(("which", "doc"), [(NO_FIELDS, None), (NULL_FIELDS, "nothing")])
def test_no_fields(mod: ModuleType, which: int, doc: object) -> None:
    empty: Any = mod.new_type(which)
    assert empty.n_fields == 0
    assert empty.__doc__ == doc
    assert mod.new(empty) == ()
    with pytest.raises(TypeError):
        mod.new(empty, 1, 2, 3)


def test_descriptor_without_name(mod: ModuleType) -> None:
    with pytest.raises(SystemError) as caught:
        mod.new_type(NAMELESS)
    assert str(caught.value) == "Struct sequence descriptor does not define the name field."


def test_instance(mod: ModuleType) -> None:
    point: Any = mod.new_type(POINT)
    values = [object(), object(), object()]
    references = [sys.getrefcount(value) for value in values]
    p = mod.new(point, *values)
    assert type(p) is point
    assert [*p] == values
    assert [p.x, p.y, p.z] == values
    assert p[1] is values[1]
    assert repr(mod.new(point, 1, 2, "z")).endswith("Point(x=1, y=2, z='z')")
    del p
    assert [sys.getrefcount(value) for value in values] == references


def test_unnamed_field(mod: ModuleType, hpy_abi: str) -> None:
    gap: Any = mod.new_type(GAP)
    g = mod.new(gap, 1, 2)
    assert g == (1, 2)
    assert g.first == 1
    assert g[1] == 2
    if hpy_abi != "cpython":
        assert g._1 == 2


@pytest.mark.parametrize("values", [(), (1,), (1, 2), (1, 2, 3, 4)])
def test_wrong_number_of_values(mod: ModuleType, values: tuple[int, ...]) -> None:
    """The documentation promises TypeError; 0.9 fills with None in the universal ABI."""
    point: Any = mod.new_type(POINT)
    with pytest.raises(TypeError) as caught:
        mod.new(point, *values)
    assert str(caught.value) == f"expected exactly 3 arguments but got {len(values)}"


class Liar(tuple[int, ...]):
    n_fields = "three"


class Pretender(tuple[int, ...]):
    n_fields = 2


@pytest.mark.parametrize("wrong", [str, int, tuple, Liar, 7, "text"])
def test_wrong_type(mod: ModuleType, wrong: object) -> None:
    with pytest.raises(TypeError, match="does not look like a struct sequence type"):
        mod.new(wrong, 1, 2)


@pytest.mark.hpy_abis("cpython")
def test_type_of_another_kind(mod: ModuleType) -> None:
    """PyStructSequence_New would take it for one of its own."""
    with pytest.raises(TypeError) as caught:
        mod.new(Pretender, 1, 2)
    assert str(caught.value) == "type 'Pretender' does not look like a struct sequence type"


@pytest.mark.hpy_abis("universal", "debug")
def test_message_of_wrong_type(mod: ModuleType) -> None:
    with pytest.raises(TypeError) as caught:
        mod.new(str, 1, 2)
    assert str(caught.value) == (
        "object '<class 'str'>' does not look like a struct sequence type "
    )
