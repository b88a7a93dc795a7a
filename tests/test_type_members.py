"""Members and getsets."""

import pytest

from support.extension import ModuleFactory
from support.type_source import add_types

INTEGERS = {
    "SHORT": ("short", -(2**15), 2**15 - 1),
    "INT": ("int", -(2**31), 2**31 - 1),
    "LONG": ("long", -(2**63), 2**63 - 1),
    "USHORT": ("unsigned short", 0, 2**16 - 1),
    "UINT": ("unsigned int", 0, 2**32 - 1),
    "ULONG": ("unsigned long", 0, 2**64 - 1),
    "BYTE": ("signed char", -128, 127),
    "UBYTE": ("unsigned char", 0, 255),
    "LONGLONG": ("long long", -(2**63), 2**63 - 1),
    "ULONGLONG": ("unsigned long long", 0, 2**64 - 1),
    "HPYSSIZET": ("HPy_ssize_t", -(2**63), 2**63 - 1),
}
OTHERS = {
    "FLOAT": "float field_FLOAT",
    "DOUBLE": "double field_DOUBLE",
    "STRING": "const char *field_STRING",
    "STRING_INPLACE": "char field_STRING_INPLACE[8]",
    "CHAR": "char field_CHAR",
    "BOOL": "char field_BOOL",
    "NONE": "int field_NONE",
    "OBJECT": "HPyField field_OBJECT",
    "OBJECT_EX": "HPyField field_OBJECT_EX",
}
# The struct of an int has no fixed place: there all members are getsets.
BASES = {"Object": "BaseObject", "Long": "Long"}


def source_of(shape: str) -> str:
    fields = [f"{ctype} field_{kind}" for kind, (ctype, _, _) in INTEGERS.items()]
    fields += OTHERS.values()
    kinds = [*INTEGERS, *OTHERS]
    members = [
        f'HPyDef_MEMBER({kind}_{suffix}, "{kind}_{suffix}", HPyMember_{kind}, '
        f'offsetof(Struct, field_{kind}), .readonly = {readonly}, .doc = "doc of {kind}")'
        for kind in kinds
        for suffix, readonly in (("rw", 0), ("ro", 1))
    ]
    listed = "".join(f"&{kind}_rw, &{kind}_ro, " for kind in kinds)
    return f"""
#include "hpy.h"
typedef struct {{ {"; ".join(fields)}; }} Struct;
HPyType_HELPERS(Struct, HPyType_BuiltinShape_{shape})
{chr(10).join(members)}
HPyDef_SLOT(traverse, HPy_tp_traverse)
static int traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{{
    HPy_VISIT(&((Struct *)self)->field_OBJECT);
    HPy_VISIT(&((Struct *)self)->field_OBJECT_EX);
    return 0;
}}
HPyDef_METH(init_strings, "init_strings", HPyFunc_NOARGS)
static HPy init_strings_impl(HPyContext *ctx, HPy self)
{{
    Struct *data = Struct_AsStruct(ctx, self);
    data->field_STRING = "hello";
    data->field_STRING_INPLACE[0] = 'h';
    data->field_STRING_INPLACE[1] = 'i';
    return HPy_Dup(ctx, ctx->h_None);
}}
static HPyDef *T_defines[] = {{{listed}&traverse, &init_strings, NULL}};
static HPyType_Spec T_spec = {{.name = "mytest.T", .basicsize = sizeof(Struct),
    .builtin_shape = SHAPE(Struct), .defines = T_defines,
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE}};
HPyDef_SLOT(add, HPy_mod_exec)
static int add_impl(HPyContext *ctx, HPy module)
{{
    HPyType_SpecParam params[] = {{
        {{HPyType_SpecParam_Base, ctx->h_{BASES[shape]}Type}},
        {{(HPyType_SpecParam_Kind)0, HPy_NULL}}}};
    return HPyHelpers_AddType(ctx, module, "T", &T_spec, params) ? 0 : -1;
}}
"""


@pytest.mark.promise("API-22")
@pytest.mark.parametrize("shape", BASES)
def test_members(hpy_module: ModuleFactory, shape: str) -> None:
    mod = hpy_module(source_of(shape))
    thing = mod.T()

    def refused(exception: type[Exception], name: str, *value: object) -> str:
        with pytest.raises(exception) as caught:
            setattr(thing, name, *value) if value else delattr(thing, name)
        return str(caught.value)

    for kind, (_, least, greatest) in INTEGERS.items():
        name = kind + "_rw"
        assert getattr(thing, name) == 0
        for value in (least, greatest, 1):
            setattr(thing, name, value)
            assert getattr(thing, name) == getattr(thing, kind + "_ro") == value
        refused(OverflowError, name, 2**200)
        refused(TypeError, name, None)
        refused(TypeError, name)
        refused(AttributeError, kind + "_ro", 1)
        refused(AttributeError, kind + "_ro")
        assert getattr(mod.T, name).__doc__ == "doc of " + kind

    thing.FLOAT_rw = thing.DOUBLE_rw = 1.5
    assert thing.FLOAT_ro == thing.DOUBLE_ro == 1.5
    thing.CHAR_rw = "A"
    assert thing.CHAR_ro == "A"
    thing.BOOL_rw = True
    assert thing.BOOL_ro is True
    assert thing.NONE_rw is None
    assert (thing.STRING_rw, thing.STRING_INPLACE_rw) == (None, "")
    thing.init_strings()
    assert (thing.STRING_rw, thing.STRING_INPLACE_rw) == ("hello", "hi")
    for kind in ("FLOAT", "DOUBLE", "CHAR", "BOOL", "STRING", "STRING_INPLACE"):
        refused(TypeError, kind + "_rw")
        refused(AttributeError, kind + "_ro", 1)
        refused(AttributeError, kind + "_ro")
    refused(TypeError, "CHAR_rw", "ABC")
    refused(TypeError, "BOOL_rw", 1)
    refused(TypeError, "STRING_rw", "x")
    refused(TypeError, "STRING_INPLACE_rw", "x")


@pytest.mark.parametrize("shape", BASES)
def test_object_members(hpy_module: ModuleFactory, shape: str) -> None:
    mod = hpy_module(source_of(shape))

    class Sub(mod.T):  # type: ignore[misc, name-defined]
        pass

    for cls in (mod.T, Sub):
        thing = cls()
        assert thing.OBJECT_rw is None
        value = ["value"]
        thing.OBJECT_rw = value
        assert thing.OBJECT_rw is thing.OBJECT_ro is value
        del thing.OBJECT_rw
        assert thing.OBJECT_rw is None
        for name in ("OBJECT_EX_rw", "OBJECT_EX_ro"):
            with pytest.raises(AttributeError) as caught:
                getattr(thing, name)
            assert name in str(caught.value)
        with pytest.raises(AttributeError, match="OBJECT_EX_rw"):
            del thing.OBJECT_EX_rw
        thing.OBJECT_EX_rw = value
        assert thing.OBJECT_EX_rw is thing.OBJECT_EX_ro is value
        del thing.OBJECT_EX_rw
        assert not hasattr(thing, "OBJECT_EX_rw")
        for name in ("OBJECT_ro", "OBJECT_EX_ro"):
            with pytest.raises(AttributeError):
                setattr(thing, name, value)
            with pytest.raises(AttributeError):
                delattr(thing, name)
        with pytest.raises(TypeError):
            mod.T.OBJECT_rw.__get__(object())


@pytest.mark.hpy_abis("universal", "debug", "hybrid")
def test_text_of_a_missing_object(hpy_module: ModuleFactory) -> None:
    thing = hpy_module(source_of("Object")).T()
    with pytest.raises(AttributeError) as caught:
        _ = thing.OBJECT_EX_rw
    assert str(caught.value) == "'mytest.T' object has no attribute 'OBJECT_EX_rw'"


@pytest.mark.promise("API-22")
def test_getsets(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(
        """
        #include "hpy.h"
        typedef struct { long value; } Struct;
        HPyType_HELPERS(Struct)
        HPyDef_GET(get_only, "get_only", .doc = "the value", .closure = (void *)1000)
        static HPy get_only_get(HPyContext *ctx, HPy self, void *closure)
        {
            long value = Struct_AsStruct(ctx, self)->value;
            return HPyLong_FromLong(ctx, value + (long)(intptr_t)closure);
        }
        HPyDef_GETSET(both, "both")
        static HPy both_get(HPyContext *ctx, HPy self, void *closure)
        { (void)closure; return HPyLong_FromLong(ctx, Struct_AsStruct(ctx, self)->value); }
        static int both_set(HPyContext *ctx, HPy self, HPy value, void *closure)
        {
            long number = HPy_IsNull(value) ? -7 : HPyLong_AsLong(ctx, value);
            (void)closure;
            if (number == -1 && HPyErr_Occurred(ctx)) return -1;
            Struct_AsStruct(ctx, self)->value = number;
            return 0;
        }
        HPyDef_SET(set_only, "set_only")
        static int set_only_set(HPyContext *ctx, HPy self, HPy value, void *closure)
        { return both_set(ctx, self, value, closure); }
        static HPyDef *T_defines[] = {&get_only, &both, &set_only, NULL};
        static HPyType_Spec T_spec = {
            .name = "mytest.T", .basicsize = sizeof(Struct), .defines = T_defines};
        """
        + add_types("T")
    )
    thing = mod.T()
    thing.both = 5
    assert (thing.both, thing.get_only) == (5, 1005)
    thing.set_only = 6
    assert thing.both == 6
    del thing.both
    assert thing.both == -7
    with pytest.raises(TypeError):
        thing.both = "x"
    with pytest.raises(AttributeError):
        thing.get_only = 1
    with pytest.raises(AttributeError):
        _ = thing.set_only
    assert mod.T.get_only.__doc__ == "the value"
    with pytest.raises(TypeError):
        mod.T.both.__get__(object())


@pytest.mark.promise("API-22")
def test_order_of_definitions(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(
        """
        #include "hpy.h"
        typedef struct { HPyField o; int a; int b; } Struct;
        HPyDef_MEMBER(a, "a", HPyMember_INT, offsetof(Struct, a))
        HPyDef_MEMBER(b, "b", HPyMember_INT, offsetof(Struct, b))
        HPyDef_METH(m, "m", HPyFunc_NOARGS, .doc = "hello world")
        static HPy m_impl(HPyContext *ctx, HPy self) { (void)ctx; (void)self; return HPy_NULL; }
        HPyDef_METH(n, "n", HPyFunc_O)
        static HPy n_impl(HPyContext *ctx, HPy self, HPy arg)
        { (void)self; return HPy_Dup(ctx, arg); }
        static HPyDef *T_defines[] = {&b, &n, &a, &m, NULL};
        static HPyType_Spec T_spec = {
            .name = "mytest.T", .basicsize = sizeof(Struct), .defines = T_defines};
        """
        + add_types("T")
    )
    assert [name for name in vars(mod.T) if len(name) == 1] == ["n", "m", "b", "a"]
    assert (mod.T.m.__doc__, mod.T.n.__doc__) == ("hello world", None)
    for call in (
        lambda: mod.T.n(),
        lambda: mod.T.n(object(), 1),
        lambda: mod.T().n(),
        lambda: mod.T().m(1),
    ):
        with pytest.raises(TypeError):
            call()
