"""HPy_tp_destroy, HPy_tp_finalize, HPy_tp_traverse: the end of objects."""

import gc
import sys
import weakref
from typing import Any

import pytest

from support.child import PythonRunner
from support.extension import ModuleFactory
from support.type_source import add_types

# A pair that notes what happens to it. `derive` makes types with other sets of definitions.
SOURCE = """
#include "hpy.h"
typedef struct { HPyField a; HPyField b; long number; } Pair;
HPyType_HELPERS(Pair)
static char notes[4096];
static size_t length = 0;
static void note(char what, long number)
{
    if (length + 4 > sizeof(notes)) return;
    notes[length++] = what;
    notes[length++] = (char)('0' + number);
}
HPyDef_MEMBER(a, "a", HPyMember_OBJECT, offsetof(Pair, a))
HPyDef_MEMBER(b, "b", HPyMember_OBJECT, offsetof(Pair, b))
HPyDef_MEMBER(number, "number", HPyMember_LONG, offsetof(Pair, number))
HPyDef_SLOT(traverse, HPy_tp_traverse)
static int traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{
    HPy_VISIT(&((Pair *)self)->a);
    HPy_VISIT(&((Pair *)self)->b);
    return 0;
}
HPyDef_SLOT(destroy, HPy_tp_destroy)
static void destroy_impl(void *data)
{
    Pair *pair = (Pair *)data;
    note(HPyField_IsNull(pair->a) && HPyField_IsNull(pair->b) ? 'd' : '!', pair->number);
}
HPyDef_SLOT(finalize, HPy_tp_finalize)
static void finalize_impl(HPyContext *ctx, HPy self)
{
    Pair *pair = Pair_AsStruct(ctx, self);
    note(HPyField_IsNull(pair->a) ? '0' : 'f', pair->number);
}
static HPyDef *plain[] = {&a, &b, &number, NULL};
static HPyDef *with_traverse[] = {&a, &b, &number, &traverse, NULL};
static HPyDef *with_all[] = {&a, &b, &number, &traverse, &destroy, &finalize, NULL};
#define GC HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE | HPy_TPFLAGS_HAVE_GC
#define NO_GC HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE
static HPyType_Spec specs[] = {
    {.name = "mytest.Plain", .basicsize = sizeof(Pair), .flags = NO_GC, .defines = plain},
    {.name = "mytest.Traversed", .basicsize = sizeof(Pair), .flags = GC, .defines = with_traverse},
    {.name = "mytest.All", .basicsize = sizeof(Pair), .flags = GC, .defines = with_all},
    {.name = "mytest.Untracked", .basicsize = sizeof(Pair), .flags = NO_GC, .defines = with_all},
};
HPyDef_METH(derive, "derive", HPyFunc_VARARGS)
static HPy derive_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    HPyType_SpecParam params[4] = {{(HPyType_SpecParam_Kind)0, HPy_NULL}};
    size_t i;
    (void)self;
    for (i = 1; i < nargs; i++) {
        params[i - 1].kind = HPyType_SpecParam_Base;
        params[i - 1].object = args[i];
    }
    return HPyType_FromSpec(ctx, &specs[HPyLong_AsLong(ctx, args[0])], params);
}
HPyDef_METH(get_notes, "notes", HPyFunc_NOARGS)
static HPy get_notes_impl(HPyContext *ctx, HPy self)
{
    (void)self;
    notes[length] = 0;
    length = 0;
    return HPyUnicode_FromString(ctx, notes);
}
"""
PLAIN, TRAVERSED, ALL, UNTRACKED = range(4)


class Marker:
    pass


@pytest.mark.promise("FLD-06")
def test_fields_are_dropped(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(SOURCE)
    for kind, tracked, expected in (
        (TRAVERSED, True, ""),
        (ALL, True, "f7d7"),
        (UNTRACKED, False, "f7d7"),
    ):
        base = mod.derive(kind)
        empty = {"__slots__": ()}
        python = [type("Sub", (base,), {}), type("Slots", (base,), empty)]
        for cls in (base, *python, mod.derive(kind, base)):
            value = ["value"]
            before = sys.getrefcount(value)
            thing = cls()
            thing.number, thing.a, thing.b = 7, value, value
            assert sys.getrefcount(value) == before + 2
            if cls is base:
                assert gc.is_tracked(thing) == tracked
            del thing
            assert sys.getrefcount(value) == before
            # A derived type with the same functions: HPy_tp_destroy of each, most derived first.
            twice = cls.__base__ is base and cls.__name__ not in ("Sub", "Slots")
            assert mod.notes() == (expected + "d7" if twice and expected else expected)


def test_get_referents(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(SOURCE)
    thing = mod.derive(ALL)()
    thing.a, thing.b = "hello", "world"
    assert sorted(gc.get_referents(thing)) == ["hello", "world"]
    thing.b = None
    del thing.b
    assert gc.get_referents(thing) == ["hello"]
    untracked = mod.derive(UNTRACKED)()
    assert not gc.is_tracked(untracked)


@pytest.mark.promise("API-23", "FLD-05", "FLD-09")
def test_cycles(hpy_module: ModuleFactory) -> None:
    """Cycles through fields, slots, dictionaries and classes, in chains of every mixture."""
    mod = hpy_module(SOURCE)

    def check(cls: Any) -> None:
        thing, marker = cls(), Marker()
        alive = weakref.ref(marker)
        thing.number = 3
        thing.a, thing.b = [thing], (marker, cls)
        for name in ("slot", "attribute"):
            if hasattr(cls, name) or "__dict__" in dir(thing):
                setattr(thing, name, [thing, marker])
        if "__dict__" in dir(thing):
            cls.instance = thing  # the class is in the cycle too
        # A referent that were visited twice would look like garbage to the collector.
        referents = [id(referent) for referent in gc.get_referents(thing)]
        assert len(referents) == len(set(referents))
        del thing, marker
        gc.collect()
        assert alive() is not None or not hasattr(cls, "instance")
        if hasattr(cls, "instance"):
            del cls.instance
            gc.collect()
        assert alive() is None
        notes = mod.notes()
        assert notes.count("f3") == 1
        assert notes.count("d3") >= 1
        assert "!" not in notes

    base = mod.derive(ALL)
    check(base)
    with_dict = type("WithDict", (base,), {})
    with_slot = type("WithSlot", (base,), {"__slots__": ("slot", "__weakref__")})
    both = type("Both", (with_slot,), {})
    for cls in (with_dict, with_slot, both):
        check(cls)
    python = type("Python", (), {})
    if sys.version_info >= (3, 12):  # before, the dictionary lies where the struct would be
        check(mod.derive(ALL, python))
        check(type("Sub", (mod.derive(ALL, python),), {"__slots__": ("slot",)}))
    check(mod.derive(ALL, base))
    check(mod.derive(ALL, with_slot))
    check(type("Below", (mod.derive(ALL, with_slot),), {}))
    check(type("Multiple", (python, base), {}))


def test_class_dies_with_its_instance(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(SOURCE)

    def make() -> list[weakref.ref[object]]:
        base = mod.derive(ALL)
        sub: Any = type("Sub", (base,), {})
        thing = sub()
        thing.number, thing.a = 4, [base, sub, thing]
        sub.thing = base.thing = thing
        return [weakref.ref(thing), weakref.ref(sub), weakref.ref(base)]

    for _ in range(3):
        alive = make()
        gc.collect()
        assert [ref() for ref in alive] == [None] * 3
        assert mod.notes() == "f4d4"


@pytest.mark.promise("API-23")
def test_finalize_revives(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(
        """
        #include "hpy.h"
        typedef struct { HPyField a; } Struct;
        HPyType_HELPERS(Struct)
        static int finalized = 0, destroyed = 0;
        HPyDef_MEMBER(a, "a", HPyMember_OBJECT, offsetof(Struct, a))
        HPyDef_SLOT(traverse, HPy_tp_traverse)
        static int traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
        { HPy_VISIT(&((Struct *)self)->a); return 0; }
        HPyDef_SLOT(finalize, HPy_tp_finalize)
        static void finalize_impl(HPyContext *ctx, HPy self)
        {
            HPy a = HPyField_Load(ctx, self, Struct_AsStruct(ctx, self)->a);
            finalized++;
            HPyList_Append(ctx, a, self);
            HPy_Close(ctx, a);
        }
        HPyDef_SLOT(destroy, HPy_tp_destroy)
        static void destroy_impl(void *data) { (void)data; destroyed++; }
        static HPyDef *T_defines[] = {&a, &traverse, &finalize, &destroy, NULL};
        static HPyType_Spec T_spec = {.name = "mytest.T", .basicsize = sizeof(Struct),
            .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_HAVE_GC | HPy_TPFLAGS_BASETYPE,
            .defines = T_defines};
        HPyDef_METH(counts, "counts", HPyFunc_NOARGS)
        static HPy counts_impl(HPyContext *ctx, HPy self)
        { (void)self; return HPyLong_FromLong(ctx, 100 * finalized + destroyed); }
        """
        + add_types("T")
    )
    total = 0
    for cls in (mod.T, type("Sub", (mod.T,), {})):
        revived: list[object] = []
        thing = cls()
        thing.a = revived
        del thing
        total += 100
        assert mod.counts() == total
        assert type(revived[0]) is cls
        assert revived[0].a is revived  # type: ignore[attr-defined]
        assert gc.is_tracked(revived[0])
        revived[0].a = None  # type: ignore[attr-defined]
        revived.clear()
        total += 1
        assert mod.counts() == total


def test_destroy_with_an_exception_on_its_way(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(SOURCE)
    cls = mod.derive(ALL)

    def fail() -> None:
        thing = cls()
        thing.number, thing.a = 1, [1]
        raise KeyError("expected")

    with pytest.raises(KeyError, match="expected"):
        fail()
    gc.collect()
    assert mod.notes() == "f1d1"


def test_long_chain(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(SOURCE)
    for cls in (mod.derive(TRAVERSED), type("Sub", (mod.derive(TRAVERSED),), {})):
        chain = None
        for _ in range(200_000):
            link = cls()
            link.a = chain
            chain = link
        del chain, link


def test_many_fields_cleared_while_python_runs(hpy_module: ModuleFactory) -> None:
    """What the dropped objects do must not meet a half-walked struct."""
    mod = hpy_module(
        """
        #include "hpy.h"
        typedef struct { long count; HPyField fields[100]; } Struct;
        HPyType_HELPERS(Struct)
        HPyDef_SLOT(traverse, HPy_tp_traverse)
        static int traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
        {
            Struct *data = (Struct *)self;
            long i;
            for (i = 0; i < data->count; i++) HPy_VISIT(&data->fields[i]);
            return 0;
        }
        HPyDef_METH(add, "add", HPyFunc_O)
        static HPy add_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            Struct *data = Struct_AsStruct(ctx, self);
            HPyField_Store(ctx, self, &data->fields[data->count++], arg);
            return HPy_Dup(ctx, ctx->h_None);
        }
        HPyDef_METH(nulls, "nulls", HPyFunc_NOARGS)
        static HPy nulls_impl(HPyContext *ctx, HPy self)
        {
            Struct *data = Struct_AsStruct(ctx, self);
            long i, count = 0;
            for (i = 0; i < data->count; i++) count += HPyField_IsNull(data->fields[i]);
            return HPyLong_FromLong(ctx, count);
        }
        static HPyDef *T_defines[] = {&traverse, &add, &nulls, NULL};
        static HPyType_Spec T_spec = {.name = "mytest.T", .basicsize = sizeof(Struct),
            .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_HAVE_GC, .defines = T_defines};
        """
        + add_types("T")
    )
    seen = []

    class Loud:
        def __init__(self, owner: object) -> None:
            self.owner = owner

        def __del__(self) -> None:
            seen.append(1)

    owner = mod.T()
    for _ in range(100):
        owner.add(Loud(None))
    del owner
    assert len(seen) == 100


@pytest.mark.parametrize("kind", ["weakref", "dict"])
def test_special_members(hpy_module: ModuleFactory, kind: str) -> None:
    offset = {"weakref": "__weaklistoffset__", "dict": "__dictoffset__"}[kind]
    mod = hpy_module(
        f"""
        #include "hpy.h"
        typedef struct {{ long x; void *place; }} Struct;
        HPyType_HELPERS(Struct)
        HPyDef_MEMBER(place, "{offset}", HPyMember_HPYSSIZET, offsetof(Struct, place),
                      .readonly = 1)
        HPyDef_SLOT(destroy, HPy_tp_destroy)
        static void destroy_impl(void *data) {{ ((Struct *)data)->x = 1; }}
        static HPyDef *T_defines[] = {{&place, &destroy, NULL}};
        static HPyType_Spec T_spec = {{.name = "mytest.T", .basicsize = sizeof(Struct),
            .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE, .defines = T_defines}};
        """
        + add_types("T")
    )
    for cls in (mod.T, type("Sub", (mod.T,), {"__slots__": ()})):
        thing, marker = cls(), Marker()
        alive = weakref.ref(marker)
        if kind == "weakref":
            called: list[object] = []
            ref = weakref.ref(thing, called.append)
            assert ref() is thing
            del thing
            assert ref() is None
            assert called == [ref]
        else:
            thing.attribute = marker
            assert thing.attribute is marker
            del marker, thing
            assert alive() is None


def test_end_of_the_interpreter(hpy_module: ModuleFactory, run_python: PythonRunner) -> None:
    extension = hpy_module.build(SOURCE)
    done = run_python(
        f"""
        import sys
        sys.path.insert(0, {str(extension.folder)!r})
        import mytest
        cls = mytest.derive({ALL})
        kept = cls()
        kept.a = kept
        class Sub(cls): pass
        Sub.kept = Sub()
        Sub.kept.b = [kept, Sub]
        sys.kept_for_ever = Sub.kept
        """,
        env=extension.env,
    )
    assert done.returncode == 0, done
