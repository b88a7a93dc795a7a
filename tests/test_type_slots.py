"""Slots of types: every one of them reaches its implementation, also in types with a metaclass."""

import operator
from typing import Any

import pytest

from support.extension import ModuleFactory
from support.type_source import MAKE_WITH_PARAMS, METACLASS, add_types

UNARY: dict[str, Any] = {
    "nb_absolute": abs,
    "nb_index": operator.index,
    "nb_int": int,
    "nb_invert": operator.invert,
    "nb_negative": operator.neg,
    "nb_positive": operator.pos,
}
BINARY: dict[str, Any] = {
    "nb_add": operator.add,
    "nb_and": operator.and_,
    "nb_divmod": divmod,
    "nb_floor_divide": operator.floordiv,
    "nb_lshift": operator.lshift,
    "nb_multiply": operator.mul,
    "nb_or": operator.or_,
    "nb_remainder": operator.mod,
    "nb_rshift": operator.rshift,
    "nb_subtract": operator.sub,
    "nb_true_divide": operator.truediv,
    "nb_xor": operator.xor,
    "nb_matrix_multiply": operator.matmul,
    "nb_inplace_add": operator.iadd,
    "nb_inplace_and": operator.iand,
    "nb_inplace_floor_divide": operator.ifloordiv,
    "nb_inplace_lshift": operator.ilshift,
    "nb_inplace_multiply": operator.imul,
    "nb_inplace_or": operator.ior,
    "nb_inplace_remainder": operator.imod,
    "nb_inplace_rshift": operator.irshift,
    "nb_inplace_subtract": operator.isub,
    "nb_inplace_true_divide": operator.itruediv,
    "nb_inplace_xor": operator.ixor,
    "nb_inplace_matrix_multiply": operator.imatmul,
    "mp_subscript": operator.getitem,
}


def numbers_source() -> str:
    numbered = list(enumerate([*UNARY, *BINARY]))
    lines = []
    for number, slot in numbered:
        if slot in UNARY:
            lines.append(
                f"HPyDef_SLOT(def_{slot}, HPy_{slot})"
                f" static HPy def_{slot}_impl(HPyContext *ctx, HPy a)"
                f" {{ (void)a; return HPyLong_FromLong(ctx, {number}); }}"
            )
        else:
            lines.append(
                f"HPyDef_SLOT(def_{slot}, HPy_{slot})"
                f" static HPy def_{slot}_impl(HPyContext *ctx, HPy a, HPy b)"
                f' {{ (void)a; return HPy_BuildValue(ctx, "iO", {number}, b); }}'
            )
    listed = "".join(f"&def_{slot}, " for _, slot in numbered)
    return (
        '#include "hpy.h"\n'
        + "\n".join(lines)
        + """
        HPyDef_SLOT(power, HPy_nb_power)
        static HPy power_impl(HPyContext *ctx, HPy a, HPy b, HPy c)
        { (void)a; return HPy_BuildValue(ctx, "sOO", "power", b, c); }
        HPyDef_SLOT(ipower, HPy_nb_inplace_power)
        static HPy ipower_impl(HPyContext *ctx, HPy a, HPy b, HPy c)
        { (void)a; return HPy_BuildValue(ctx, "sOO", "ipower", b, c); }
        HPyDef_SLOT(to_float, HPy_nb_float)
        static HPy to_float_impl(HPyContext *ctx, HPy a)
        { (void)a; return HPyFloat_FromDouble(ctx, 1.5); }
        HPyDef_SLOT(to_bool, HPy_nb_bool)
        static int to_bool_impl(HPyContext *ctx, HPy a)
        { (void)ctx; (void)a; return 0; }
        HPyDef_SLOT(hash, HPy_tp_hash)
        static HPy_hash_t hash_impl(HPyContext *ctx, HPy a)
        { (void)ctx; (void)a; return 7; }
        HPyDef_SLOT(repr, HPy_tp_repr)
        static HPy repr_impl(HPyContext *ctx, HPy a)
        { (void)a; return HPyUnicode_FromString(ctx, "the repr"); }
        HPyDef_SLOT(str, HPy_tp_str)
        static HPy str_impl(HPyContext *ctx, HPy a)
        { (void)a; return HPyUnicode_FromString(ctx, "the str"); }
        HPyDef_SLOT(compare, HPy_tp_richcompare)
        static HPy compare_impl(HPyContext *ctx, HPy a, HPy b, HPy_RichCmpOp op)
        { (void)a; return HPy_BuildValue(ctx, "iO", (int)op, b); }
        HPyDef_SLOT(length, HPy_mp_length)
        static HPy_ssize_t length_impl(HPyContext *ctx, HPy a) { (void)ctx; (void)a; return 1234; }
        HPyDef_SLOT(assign, HPy_mp_ass_subscript)
        static int assign_impl(HPyContext *ctx, HPy a, HPy key, HPy value)
        {
            (void)a;
            if (HPy_IsNull(value)) HPyErr_SetObject(ctx, ctx->h_KeyError, key);
            else HPyErr_SetObject(ctx, ctx->h_IndexError, value);
            return -1;
        }
        HPyDef_SLOT(descr_get, HPy_tp_descr_get)
        static HPy descr_get_impl(HPyContext *ctx, HPy self, HPy object, HPy type)
        {
            (void)self;
            return HPy_BuildValue(ctx, "OO", HPy_IsNull(object) ? ctx->h_None : object,
                                  HPy_IsNull(type) ? ctx->h_None : type);
        }
        HPyDef_SLOT(init, HPy_tp_init)
        static int init_impl(HPyContext *ctx, HPy self, const HPy *args, HPy_ssize_t nargs, HPy kw)
        {
            (void)self; (void)kw;
            if (nargs == 0) return 0;
            HPyErr_SetObject(ctx, ctx->h_ValueError, args[0]);
            return -1;
        }
        """
        + f"static HPyDef *T_defines[] = {{{listed} &power, &ipower, &to_float, &to_bool, &hash,"
        "&repr, &str, &compare, &length, &assign, &descr_get, &init, NULL};"
        'static HPyType_Spec spec = {.name = "mytest.T",'
        " .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE, .defines = T_defines};"
        + MAKE_WITH_PARAMS
    )


@pytest.mark.promise("API-21")
@pytest.mark.parametrize("with_metaclass", [False, True])
def test_slots(hpy_module: ModuleFactory, with_metaclass: bool) -> None:
    mod = hpy_module(numbers_source())
    cls = mod.make(METACLASS, type("Meta", (type,), {})) if with_metaclass else mod.make()
    for made in (cls, type("Sub", (cls,), {})):
        check_slots(made)


def check_slots(cls: Any) -> None:
    thing, other = cls(), object()
    for number, slot in enumerate([*UNARY, *BINARY]):
        if slot in UNARY:
            assert UNARY[slot](thing) == number
        else:
            assert BINARY[slot](thing, other) == (number, other)
    assert pow(thing, 1, 2) == ("power", 1, 2)
    assert thing**1 == ("power", 1, None)
    assert operator.ipow(thing, 1) == ("ipower", 1, None)
    assert (float(thing), bool(thing), hash(thing)) == (1.5, False, 7)
    assert (repr(thing), str(thing), len(thing)) == ("the repr", "the str", 1234)
    comparisons = (operator.lt, operator.le, operator.eq, operator.ne, operator.gt, operator.ge)
    assert [compare(thing, 5) for compare in comparisons] == [(op, 5) for op in range(6)]
    with pytest.raises(KeyError) as key:
        del thing["k"]
    assert key.value.args == ("k",)
    with pytest.raises(IndexError, match=r"^v$"):
        thing["k"] = "v"
    owner: Any = type("Owner", (), {"attribute": thing})
    assert owner.attribute == (None, owner)
    instance = owner()
    assert instance.attribute == (instance, owner)
    with pytest.raises(ValueError, match=r"^no$"):
        cls("no")


def test_sequence(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(
        """
        #include "hpy.h"
        HPyDef_SLOT(length, HPy_sq_length)
        static HPy_ssize_t length_impl(HPyContext *ctx, HPy a) { (void)ctx; (void)a; return 10; }
        HPyDef_SLOT(item, HPy_sq_item)
        static HPy item_impl(HPyContext *ctx, HPy a, HPy_ssize_t index)
        { (void)a; return HPyLong_FromSsize_t(ctx, index); }
        HPyDef_SLOT(assign, HPy_sq_ass_item)
        static int assign_impl(HPyContext *ctx, HPy a, HPy_ssize_t index, HPy value)
        {
            HPy number = HPyLong_FromSsize_t(ctx, HPy_IsNull(value) ? -index : index);
            (void)a;
            HPyErr_SetObject(ctx, ctx->h_KeyError, number);
            HPy_Close(ctx, number);
            return -1;
        }
        HPyDef_SLOT(contains, HPy_sq_contains)
        static int contains_impl(HPyContext *ctx, HPy a, HPy b)
        { (void)a; return HPy_Is(ctx, b, ctx->h_None); }
        #define BINARY(NAME, SLOT) HPyDef_SLOT(NAME, SLOT) \\
            static HPy NAME##_impl(HPyContext *ctx, HPy a, HPy b) \\
            { (void)a; return HPy_BuildValue(ctx, "sO", #NAME, b); }
        #define REPEAT(NAME, SLOT) HPyDef_SLOT(NAME, SLOT) \\
            static HPy NAME##_impl(HPyContext *ctx, HPy a, HPy_ssize_t n) \\
            { (void)a; return HPy_BuildValue(ctx, "sn", #NAME, n); }
        BINARY(concat, HPy_sq_concat)
        BINARY(inplace_concat, HPy_sq_inplace_concat)
        REPEAT(repeat, HPy_sq_repeat)
        REPEAT(inplace_repeat, HPy_sq_inplace_repeat)
        static HPyDef *T_defines[] = {&length, &item, &assign, &contains, &concat, &inplace_concat,
            &repeat, &inplace_repeat, NULL};
        static HPyType_Spec T_spec = {.name = "mytest.T", .defines = T_defines};
        """
        + add_types("T")
    )
    thing = mod.T()
    assert (len(thing), thing[3], thing[-3]) == (10, 3, 7)
    assert None in thing
    assert 5 not in thing
    with pytest.raises(KeyError, match=r"^8$"):
        thing[-2] = 1
    with pytest.raises(KeyError, match=r"^-8$"):
        del thing[-2]
    assert (thing + 1, thing * 2) == (("concat", 1), ("repeat", 2))
    assert operator.iadd(thing, 1) == ("inplace_concat", 1)
    assert operator.imul(thing, 2) == ("inplace_repeat", 2)


BUFFER = """
#include "hpy.h"
typedef struct { int exports, released; char bytes[4]; } Struct;
HPyType_HELPERS(Struct)
HPyDef_MEMBER(exports, "exports", HPyMember_INT, offsetof(Struct, exports))
HPyDef_MEMBER(released, "released", HPyMember_INT, offsetof(Struct, released))
HPyDef_SLOT(getbuffer, HPy_bf_getbuffer)
static int getbuffer_impl(HPyContext *ctx, HPy self, HPy_buffer *buffer, int flags)
{
    static HPy_ssize_t shape[1] = {4}, strides[1] = {1};
    Struct *data = Struct_AsStruct(ctx, self);
    (void)flags;
    if (data->exports != 0) {
        HPyErr_SetString(ctx, ctx->h_BufferError, "only one");
        return -1;
    }
    data->exports++;
    buffer->buf = data->bytes;
    buffer->obj = HPy_Dup(ctx, self);
    buffer->len = 4;
    buffer->itemsize = 1;
    buffer->readonly = 0;
    buffer->ndim = 1;
    buffer->format = (char *)"B";
    buffer->shape = shape;
    buffer->strides = strides;
    buffer->suboffsets = NULL;
    buffer->internal = NULL;
    return 0;
}
HPyDef_SLOT(releasebuffer, HPy_bf_releasebuffer)
static void releasebuffer_impl(HPyContext *ctx, HPy self, HPy_buffer *buffer)
{
    Struct *data = Struct_AsStruct(ctx, self);
    (void)buffer;
    data->exports--;
    data->released++;
}
static HPyDef *T_defines[] = {&exports, &released, &getbuffer, &releasebuffer, NULL};
static HPyType_Spec T_spec = {.name = "mytest.T", .basicsize = sizeof(Struct),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE, .defines = T_defines};
HPyDef_SLOT(other_release, HPy_bf_releasebuffer)
static void other_release_impl(HPyContext *ctx, HPy self, HPy_buffer *buffer)
{ releasebuffer_impl(ctx, self, buffer); Struct_AsStruct(ctx, self)->released += 10; }
static HPyDef *D_defines[] = {&other_release, NULL};
static HPyType_Spec D_spec = {.name = "mytest.D", .basicsize = sizeof(Struct),
    .flags = HPy_TPFLAGS_DEFAULT, .defines = D_defines};
HPyDef_SLOT(add, HPy_mod_exec)
static int add_impl(HPyContext *ctx, HPy module)
{
    HPyType_SpecParam params[] = {
        {HPyType_SpecParam_Base, HPy_NULL}, {(HPyType_SpecParam_Kind)0, HPy_NULL}};
    int ok;
    if (!HPyHelpers_AddType(ctx, module, "T", &T_spec, NULL)) return -1;
    params[0].object = HPy_GetAttr_s(ctx, module, "T");
    ok = HPyHelpers_AddType(ctx, module, "D", &D_spec, params);
    HPy_Close(ctx, params[0].object);
    return ok ? 0 : -1;
}
"""


@pytest.mark.promise("BUF-02")
def test_buffer(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(BUFFER)
    # D has only one of the two slots: the other one is inherited.
    for cls, released in ((mod.T, 1), (mod.D, 11)):
        thing = cls()
        with memoryview(thing) as view:
            view[:] = b"abcd"
            assert (thing.exports, thing.released) == (1, 0)
            with pytest.raises(BufferError, match="only one"):
                memoryview(thing)
        assert (thing.exports, thing.released) == (0, released)
        assert bytes(thing) == b"abcd"


def test_hash_without_an_exception(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(
        """
        #include "hpy.h"
        typedef struct { int fail; } Struct;
        HPyType_HELPERS(Struct)
        HPyDef_MEMBER(fail, "fail", HPyMember_INT, offsetof(Struct, fail))
        HPyDef_SLOT(hash, HPy_tp_hash)
        static HPy_ssize_t hash_impl(HPyContext *ctx, HPy self)
        {
            if (Struct_AsStruct(ctx, self)->fail)
                HPyErr_SetString(ctx, ctx->h_ValueError, "no hash");
            return -1;
        }
        static HPyDef *T_defines[] = {&fail, &hash, NULL};
        static HPyType_Spec T_spec = {
            .name = "mytest.T", .basicsize = sizeof(Struct), .defines = T_defines};
        """
        + add_types("T")
    )
    thing = mod.T()
    assert thing.__hash__() == -1
    thing.fail = 1
    with pytest.raises(ValueError, match="no hash"):
        hash(thing)
