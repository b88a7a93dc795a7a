"""HPyType_FromSpec: what it refuses and with which words, names, bases, metaclasses."""

import gc
import sys
import weakref

import pytest

from support.extension import ModuleFactory
from support.type_source import BASE, BASES_TUPLE, MAKE, MAKE_WITH_PARAMS, METACLASS, add_types

HEAD = """
#include "hpy.h"
typedef struct { int x; } Struct;
HPyType_HELPERS(Struct)
"""
TRAVERSE = """
HPyDef_SLOT(traverse, HPy_tp_traverse)
static int traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{ (void)self; (void)visit; (void)arg; return 0; }
"""
CALL = """
HPyDef_SLOT(call, HPy_tp_call)
static HPy call_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs, HPy kwnames)
{ (void)self; (void)args; (void)kwnames; return HPyLong_FromSize_t(ctx, nargs); }
"""
CALL_OFFSET = """
HPyDef_MEMBER(offset, "__vectorcalloffset__", HPyMember_HPYSSIZET, 0, .readonly = 1)
"""
MEMBER = 'HPyDef_MEMBER(x, "x", HPyMember_INT, offsetof(Struct, x))\n'


def spec(fields: str, *defines: str) -> str:
    listed = "".join(f"&{define}, " for define in defines)
    return f"""
static HPyDef *type_defines[] = {{{listed}NULL}};
static HPyType_Spec spec = {{.name = "mytest.T", {fields} .defines = type_defines}};
"""


# The whole message of each refusal. The order of the checks is that of the list.
REFUSALS = [
    (
        spec(".flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_HAVE_GC,"),
        ValueError,
        "You must provide an HPy_tp_traverse slot if you specify HPy_TPFLAGS_HAVE_GC",
    ),
    (spec(".builtin_shape = (HPyType_BuiltinShape)123,"), ValueError, "invalid shape: 123"),
    (spec(".builtin_shape = (HPyType_BuiltinShape)-2,"), ValueError, "invalid shape: -2"),
    (spec(".builtin_shape = (HPyType_BuiltinShape)8,"), ValueError, "invalid shape: 8"),
    (
        CALL + spec(".basicsize = sizeof(Struct), .itemsize = 4,", "call"),
        TypeError,
        "Cannot use HPy call protocol with var objects",
    ),
    (
        CALL + spec(".builtin_shape = HPyType_BuiltinShape_Legacy,", "call"),
        TypeError,
        "Cannot use HPy call protocol with legacy types that inherit the struct. Either set the "
        "basicsize to anon-zero value or use legacy slot 'Py_tp_call'.",
    ),
    (
        "static HPyDef bad = {.kind = HPyDef_Kind_Meth,"
        ' {.meth = {.name = "bad", .signature = (HPyFunc_Signature)1234}}};' + spec("", "bad"),
        ValueError,
        "Unsupported HPyMeth signature",
    ),
    (
        MEMBER + spec("", "x"),
        TypeError,
        "Type claims to have basicsize==0 but defines members",
    ),
    (
        CALL + CALL_OFFSET + spec("", "call", "offset"),
        TypeError,
        "Cannot have HPy_tp_call and explicit member'__vectorcalloffset__'. Specify just one of "
        "them.",
    ),
]


@pytest.mark.parametrize(("source", "exception", "message"), REFUSALS)
def test_refusals(
    hpy_module: ModuleFactory, source: str, exception: type[Exception], message: str
) -> None:
    mod = hpy_module(HEAD + source + MAKE)
    with pytest.raises(exception) as caught:
        mod.make()
    assert str(caught.value) == message


def test_parameters(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(HEAD + spec(".flags = HPy_TPFLAGS_DEFAULT,") + MAKE_WITH_PARAMS)

    def refused(exception: type[Exception], *params: object) -> str:
        with pytest.raises(exception) as caught:
            mod.make(*params)
        return str(caught.value)

    assert refused(TypeError, 99, int) == "unknown HPyType_SpecParam specification for 'mytest.T'"
    assert (
        refused(TypeError, BASES_TUPLE, (int,), BASES_TUPLE, (int,))
        == "multiple specifications of HPyType_SpecParam_BasesTuple"
    )
    assert (
        refused(TypeError, BASE, int, BASES_TUPLE, (int,))
        == "cannot specify both HPyType_SpecParam_Base and HPytype_SpecParam_BasesTuple"
    )
    assert "tuple of types, got 'list'" in refused(TypeError, BASES_TUPLE, [int])
    assert refused(TypeError, BASE, bool) == "type 'bool' is not an acceptable base type"
    assert refused(TypeError, BASE, "int") == "bases must be types"
    assert refused(TypeError, BASES_TUPLE, (int, 1)) == "bases must be types"
    assert "conflict" in refused(TypeError, BASE, int, BASE, list)
    assert (
        refused(ValueError, METACLASS, type, METACLASS, type)
        == "metaclass was specified multiple times"
    )
    assert (
        refused(TypeError, METACLASS, "hello") == "Metaclass ''hello'' is not a subclass of 'type'."
    )
    for not_a_metaclass in (int, type("Plain", (), {}), type("M", (type,), {"__new__": print})):
        message = refused(TypeError, METACLASS, not_a_metaclass)
        assert message == "Metaclasses with custom tp_new are not supported."

    assert mod.make().__bases__ == (object,)
    assert mod.make(BASES_TUPLE, ()).__bases__ == (object,)
    assert mod.make(BASE, int).__bases__ == (int,)
    assert mod.make(BASE, int)(42) == 42
    assert mod.make(BASES_TUPLE, (int,))(42) == 42

    class A:
        pass

    class B(int):
        pass

    both = mod.make(BASE, A, BASE, B)
    assert both.__bases__ == (A, B)
    assert both(7) == 7
    assert mod.make(BASES_TUPLE, (A, B)).__mro__[1:] == (A, B, int, object)


def test_metaclass(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(
        HEAD
        + """
        HPyDef_METH(get, "get", HPyFunc_NOARGS)
        static HPy get_impl(HPyContext *ctx, HPy self)
        { (void)self; return HPyLong_FromLong(ctx, 3); }
        HPyDef_MEMBER(x, "x", HPyMember_INT, offsetof(Struct, x))
        """
        + spec(
            ".basicsize = sizeof(Struct), .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE,",
            "get",
            "x",
        )
        + MAKE_WITH_PARAMS
    )

    class Meta(type):
        def hello(cls) -> str:
            return "hello from " + cls.__name__

    made = mod.make(METACLASS, Meta)
    assert type(made) is Meta
    assert made.hello() == "hello from T"
    assert (made.__name__, made.__qualname__, made.__module__) == ("T", "T", "mytest")
    assert made().get() == 3
    made().x = 5
    assert [type(sub) for sub in made.__mro__] == [Meta, type]

    class Sub(made):  # type: ignore[misc, valid-type]
        pass

    assert type(Sub) is Meta
    assert Sub().get() == 3
    # The metaclass of a base is inherited, as in a class statement.
    assert type(mod.make(BASE, Meta("Base", (), {"__slots__": ()}))) is Meta
    with pytest.raises(TypeError, match="metaclass conflict"):
        mod.make(METACLASS, type("Other", (type,), {}), BASE, Meta("Base", (), {"__slots__": ()}))

    alive = weakref.ref(made)
    del made, Sub
    gc.collect()
    assert alive() is None


def test_metaclass_with_struct(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(
        """
        #include "hpy.h"
        typedef struct { long number; char text[8]; } MetaStruct;
        HPyType_HELPERS(MetaStruct, HPyType_BuiltinShape_Type)
        HPyDef_MEMBER(number, "number", HPyMember_LONG, offsetof(MetaStruct, number))
        static HPyDef *Meta_defines[] = {&number, NULL};
        static HPyType_Spec Meta_spec = {
            .name = "mytest.Meta",
            .basicsize = sizeof(MetaStruct),
            .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE,
            .builtin_shape = SHAPE(MetaStruct),
            .defines = Meta_defines,
        };
        typedef struct { int x, y; } Struct;
        HPyDef_MEMBER(x, "x", HPyMember_INT, offsetof(Struct, x))
        HPyDef_MEMBER(y, "y", HPyMember_INT, offsetof(Struct, y))
        static HPyDef *T_defines[] = {&x, &y, NULL};
        static HPyType_Spec T_spec = {
            .name = "mytest.T", .basicsize = sizeof(Struct),
            .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE, .defines = T_defines,
        };
        HPyDef_SLOT(add, HPy_mod_exec)
        static int add_impl(HPyContext *ctx, HPy module)
        {
            HPyType_SpecParam of_type[] = {
                {HPyType_SpecParam_Base, ctx->h_TypeType}, {(HPyType_SpecParam_Kind)0, HPy_NULL}};
            HPy meta;
            int ok;
            if (!HPyHelpers_AddType(ctx, module, "Meta", &Meta_spec, of_type)) return -1;
            meta = HPy_GetAttr_s(ctx, module, "Meta");
            if (HPy_IsNull(meta)) return -1;
            HPyType_SpecParam with_meta[] = {
                {HPyType_SpecParam_Metaclass, meta}, {(HPyType_SpecParam_Kind)0, HPy_NULL}};
            ok = HPyHelpers_AddType(ctx, module, "T", &T_spec, with_meta);
            HPy_Close(ctx, meta);
            return ok ? 0 : -1;
        }
        HPyDef_METH(read_number, "read", HPyFunc_O)
        static HPy read_number_impl(HPyContext *ctx, HPy self, HPy arg)
        { (void)self; return HPyLong_FromLong(ctx, MetaStruct_AsStruct(ctx, arg)->number); }
        """
    )
    assert type(mod.T) is mod.Meta
    mod.T.number = 17

    class Sub(mod.T):  # type: ignore[misc, name-defined]
        __slots__ = ("one", "two")

    Sub.number = 2**40
    classes = [mod.Meta(f"C{i}", (), {"__slots__": ("a", "b")}) for i in range(10)]
    for i, made in enumerate(classes):
        assert made.number == 0
        made.number = i
    sub = Sub()
    sub.one, sub.two, sub.x, sub.y = 1, 2, 3, 4
    assert (sub.one, sub.two, sub.x, sub.y) == (1, 2, 3, 4)
    assert mod.T.number == mod.read(mod.T) == 17
    assert Sub.number == mod.read(Sub) == 2**40
    assert [mod.read(made) for made in classes] == list(range(10))


def test_names_are_copied(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(
        """
        #include "hpy.h"
        #include <string.h>
        HPyDef_METH(make, "make", HPyFunc_NOARGS)
        static HPy make_impl(HPyContext *ctx, HPy self)
        {
            char name[] = "some.package.Name", doc[] = "about it";
            HPyType_Spec spec = {.name = name, .flags = HPy_TPFLAGS_DEFAULT, .doc = doc};
            HPy result = HPyType_FromSpec(ctx, &spec, NULL);
            (void)self;
            memset(name, 'x', sizeof(name) - 1);
            memset(doc, 'x', sizeof(doc) - 1);
            return result;
        }
        HPyDef_METH(name, "name", HPyFunc_O)
        static HPy name_impl(HPyContext *ctx, HPy self, HPy arg)
        {
            const char *name = HPyType_GetName(ctx, arg);
            (void)self;
            return name == NULL ? HPy_NULL : HPyUnicode_FromString(ctx, name);
        }
        """
    )
    made = mod.make()
    assert (made.__name__, made.__module__, made.__doc__) == ("Name", "some.package", "about it")
    assert repr(made) == "<class 'some.package.Name'>"
    assert "some.package.Name object" in repr(made())
    assert mod.name(made) == "Name"
    assert mod.name(int) == "int"
    assert mod.name(gc.callbacks.__class__) == "list"


@pytest.mark.promise("API-21")
def test_same_spec_many_times(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(
        """
        #include "hpy.h"
        typedef struct { HPyField a; int x; } Struct;
        HPyType_HELPERS(Struct)
        HPyDef_MEMBER(a, "a", HPyMember_OBJECT, offsetof(Struct, a))
        HPyDef_MEMBER(x, "x", HPyMember_INT, offsetof(Struct, x))
        HPyDef_METH(get, "get", HPyFunc_NOARGS)
        static HPy get_impl(HPyContext *ctx, HPy self)
        { (void)self; return HPyLong_FromLong(ctx, 1); }
        HPyDef_SLOT(traverse, HPy_tp_traverse)
        static int traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
        { HPy_VISIT(&((Struct *)self)->a); return 0; }
        static HPyDef *defines[] = {&a, &x, &get, &traverse, NULL};
        static HPyType_Spec spec = {
            .name = "mytest.T", .basicsize = sizeof(Struct), .defines = defines,
            .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_HAVE_GC,
        };
        """
        + MAKE
    )
    made = [mod.make() for _ in range(3)]
    objects = [cls() for cls in made]
    for i, thing in enumerate(objects):
        thing.a, thing.x = [i], i
    assert [thing.a for thing in objects] == [[0], [1], [2]]
    assert [thing.x for thing in objects] == [0, 1, 2]
    alive = [weakref.ref(cls) for cls in made]
    del made, objects, thing
    gc.collect()
    assert [ref() for ref in alive] == [None] * 3
    # Making and dropping types keeps nothing.
    sizes = []
    for _ in range(4):
        for _ in range(50):
            mod.make()
        gc.collect()
        sizes.append(sys.getallocatedblocks())
    assert sizes[-1] - sizes[1] < 20


def test_reference_counts_of_the_type(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(
        """
        #include "hpy.h"
        typedef struct { int x; } Struct;
        HPyDef_SLOT(T_new, HPy_tp_new)
        static HPy T_new_impl(HPyContext *ctx, HPy cls, const HPy *args, HPy_ssize_t nargs, HPy kw)
        {
            Struct *data;
            (void)args; (void)nargs; (void)kw;
            return HPy_New(ctx, cls, &data);
        }
        HPyDef_SLOT(T_destroy, HPy_tp_destroy)
        static void T_destroy_impl(void *data) { (void)data; }
        static HPyDef *T_defines[] = {&T_new, &T_destroy, NULL};
        static HPyType_Spec T_spec = {
            .name = "mytest.T", .basicsize = sizeof(Struct), .defines = T_defines};
        """
        + add_types("T")
    )
    before = sys.getrefcount(mod.T)
    objects = [mod.T() for _ in range(5)]
    with_objects = sys.getrefcount(mod.T)
    del objects
    after = sys.getrefcount(mod.T)
    assert (with_objects - before, after - before) == (5, 0)
    with pytest.raises(TypeError, match="not an acceptable base type"):
        type("Sub", (mod.T,), {})
