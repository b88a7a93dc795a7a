"""HPyField and HPyGlobal."""

import gc
import sys
from typing import Any

import pytest

from support.api_source import NULL, module_source
from support.extension import ModuleFactory

HEAD = """
typedef struct { HPyField first; HPyField second; } Pair;
HPyType_HELPERS(Pair)
HPyDef_SLOT(Pair_traverse, HPy_tp_traverse)
static int Pair_traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{
    HPy_VISIT(&((Pair *)self)->first);
    HPy_VISIT(&((Pair *)self)->second);
    return 0;
}
static HPyDef *Pair_defines[] = {&Pair_traverse, NULL};
static HPyType_Spec Pair_spec = {
    .name = "mytest.Pair", .basicsize = sizeof(Pair), .builtin_shape = SHAPE(Pair),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_HAVE_GC, .defines = Pair_defines};
static HPyGlobal first_global, second_global;
#define FIELD(i) (SIZE(i) ? &Pair_AsStruct(ctx, args[0])->second \\
                          : &Pair_AsStruct(ctx, args[0])->first)
#define GLOBAL(i) (SIZE(i) ? &second_global : &first_global)
"""
FIELDS = module_source(
    HEAD,
    make_type="return HPyType_FromSpec(ctx, &Pair_spec, NULL);",
    make="Pair *pair; return HPy_New(ctx, args[0], &pair);",
    store="HPyField_Store(ctx, args[0], FIELD(1), MAYBE(2)); return none(ctx);",
    load="""
        HPyField *field = FIELD(1);
        if (HPyField_IsNull(*field)) return HPyUnicode_FromString(ctx, "null");
        return HPyField_Load(ctx, args[0], *field);
    """,
    # The owner is of no interest to CPython.
    store_without_owner="HPyField_Store(ctx, HPy_NULL, FIELD(1), args[2]); return none(ctx);",
    load_without_owner="return HPyField_Load(ctx, HPy_NULL, *FIELD(1));",
    global_store="HPyGlobal_Store(ctx, GLOBAL(0), MAYBE(1)); return none(ctx);",
    global_load="return HPyGlobal_Load(ctx, *GLOBAL(0));",
)


class Marker:
    pass


@pytest.mark.promise("FLD-01")
def test_fields(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(FIELDS)
    thing = mod.make(mod.make_type())
    assert gc.is_tracked(thing)
    assert mod.load(thing, 0) == mod.load(thing, 1) == "null"
    one, two = Marker(), Marker()
    before = sys.getrefcount(one)
    mod.store(thing, 0, one)
    mod.store(thing, 1, two)
    assert mod.load(thing, 0) is one
    assert mod.load(thing, 1) is two
    assert sys.getrefcount(one) == before + 1
    assert [o for o in gc.get_referents(thing) if type(o) is Marker] == [one, two]
    mod.store(thing, 0, one)  # itself
    assert sys.getrefcount(one) == before + 1
    mod.store(thing, 0, two)
    assert sys.getrefcount(one) == before
    mod.store(thing, 0, one)
    for _ in range(2):  # null clears, also what is clear
        mod.store(thing, 0, NULL)
        assert sys.getrefcount(one) == before
        assert mod.load(thing, 0) == "null"
    mod.store(thing, 1, one)
    del thing
    assert sys.getrefcount(one) == before


def test_fields_without_owner(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(FIELDS)
    thing = mod.make(mod.make_type())
    one = Marker()
    mod.store_without_owner(thing, 1, one)
    assert mod.load_without_owner(thing, 1) is one


@pytest.mark.promise("FLD-03")
def test_stored_before_the_old_value_is_dropped(hpy_module: ModuleFactory) -> None:
    """What runs when the old value dies sees the new one, or null."""
    mod = hpy_module(FIELDS)
    thing = mod.make(mod.make_type())
    seen: list[Any] = []

    class Dying:
        def __del__(self) -> None:
            seen.append(mod.load(thing, 0))

    mod.store(thing, 0, Dying())
    mod.store(thing, 0, "new")
    mod.store(thing, 0, Dying())
    mod.store(thing, 0, NULL)
    assert seen == ["new", "null"]


def test_cycle_through_a_field(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(FIELDS)
    cls = mod.make_type()
    thing, marker = mod.make(cls), Marker()
    marker.thing = thing  # type: ignore[attr-defined]
    mod.store(thing, 0, marker)
    mod.store(thing, 1, thing)
    before = len([o for o in gc.get_objects() if type(o) is Marker])
    del thing, marker
    gc.collect()
    assert len([o for o in gc.get_objects() if type(o) is Marker]) == before - 1


def test_globals(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(FIELDS)
    one, two = Marker(), Marker()
    before = sys.getrefcount(one)
    mod.global_store(0, NULL)  # nothing to clear
    mod.global_store(0, one)
    mod.global_store(1, two)
    assert mod.global_load(0) is one
    assert mod.global_load(1) is two
    assert sys.getrefcount(one) == before + 1
    mod.global_store(0, one)
    assert sys.getrefcount(one) == before + 1
    mod.global_store(0, two)
    assert mod.global_load(0) is two
    assert sys.getrefcount(one) == before
    for number in 0, 1, 0:
        mod.global_store(number, NULL)
    assert sys.getrefcount(one) == before


@pytest.mark.hpy_abis("universal", "hybrid")  # a mistake that debug mode reports
def test_loading_nothing(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(FIELDS)
    with pytest.raises(SystemError, match="HPyGlobal_Load: nothing was stored"):
        mod.global_load(0)
    mod.global_store(0, 1)
    mod.global_store(0, NULL)
    with pytest.raises(SystemError, match="HPyGlobal_Load: nothing was stored"):
        mod.global_load(0)
    thing = mod.make(mod.make_type())
    with pytest.raises(SystemError, match="HPyField_Load: the field is null"):
        mod.load_without_owner(thing, 0)
