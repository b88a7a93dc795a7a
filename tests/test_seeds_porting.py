"""Seed 003, the porting guide: builders, calls and buffers (S19 to S22).

Where an example says `...`, the test has the other items; what else is put right is said there.
"""

# The names have those of the examples.
# ruff: noqa: N802

import array

import pytest

from support.extension import ModuleFactory
from support.type_source import add_types

HPY_ABIS = ["cpython", "universal", "debug", "hybrid"]

# S19, lines 500 to 505.
LIST = """
#include "hpy.h"

HPyDef_METH(build, "build", build_impl, HPyFunc_VARARGS)
static HPy build_impl(HPyContext *ctx, HPy self, HPy *args, HPy_ssize_t nargs)
{
    HPy h_item0 = args[0], h_item5 = args[5];
    HPyListBuilder builder = HPyListBuilder_New(ctx, 5);
    HPyListBuilder_Set(ctx, builder, 0, h_item0);
    for (int i = 1; i < 5; i++)
        HPyListBuilder_Set(ctx, builder, i, args[i]);
    HPyListBuilder_Append(ctx, builder, h_item5);
    for (int i = 6; i < nargs; i++)
        HPyListBuilder_Append(ctx, builder, args[i]);
    HPy h_list = HPyListBuilder_Build(ctx, builder);
    return h_list;
}
"""

# S20, lines 509 to 512.
LIST_OF_INTEGERS = """
#include "hpy.h"

HPyDef_METH(build, "build", build_impl, HPyFunc_NOARGS)
static HPy build_impl(HPyContext *ctx, HPy self)
{
    HPyListBuilder_i builder = HPyListBuilder_i_New(ctx, 5);
    HPyListBuilder_i_Set(ctx, builder, 0, 42);
    for (int i = 1; i < 5; i++)
        HPyListBuilder_i_Set(ctx, builder, i, -i);
    HPy h_list = HPyListBuilder_i_Build(ctx, builder);
    return h_list;
}
"""

# S21, lines 522 and 526. What a test passes as None is HPy_NULL.
CALL = """
#include "hpy.h"

static HPy or_null(HPyContext *ctx, HPy h)
{
    return HPy_Is(ctx, h, ctx->h_None) ? HPy_NULL : h;
}

HPyDef_METH(call, "call", call_impl, HPyFunc_VARARGS)
static HPy call_impl(HPyContext *ctx, HPy self, HPy *argv, HPy_ssize_t nargs)
{
    HPy callable = argv[0], args = or_null(ctx, argv[1]), kwargs = or_null(ctx, argv[2]);
    HPy result = HPy_CallTupleDict(ctx, callable, args, kwargs);
    return result;
}

HPyDef_METH(call_object, "call_object", call_object_impl, HPyFunc_VARARGS)
static HPy call_object_impl(HPyContext *ctx, HPy self, HPy *argv, HPy_ssize_t nargs)
{
    HPy callable = argv[0], args = or_null(ctx, argv[1]);
    HPy result = HPy_CallTupleDict(ctx, callable, args, HPy_NULL);
    return result;
}
"""

# S22, lines 534 to 546: the struct of the seed under another name, to be compared with ours.
BUFFER = """
#include "hpy.h"
#include <string.h>

typedef struct {
    void *buf;
    HPy obj;
    HPy_ssize_t len;
    HPy_ssize_t itemsize;
    int readonly;
    int ndim;
    char *format;
    HPy_ssize_t *shape;
    HPy_ssize_t *strides;
    HPy_ssize_t *suboffsets;
    void *internal;
} Seed_buffer;

#define SAME(member) \\
    typedef char member##_is_where_it_was[offsetof(Seed_buffer, member) == \\
        offsetof(HPy_buffer, member) && sizeof(((Seed_buffer *)0)->member) == \\
        sizeof(((HPy_buffer *)0)->member) ? 1 : -1]
SAME(buf); SAME(obj); SAME(len); SAME(itemsize); SAME(readonly); SAME(ndim);
SAME(format); SAME(shape); SAME(strides); SAME(suboffsets); SAME(internal);
typedef char size_is_the_same[sizeof(Seed_buffer) == sizeof(HPy_buffer) ? 1 : -1];

static short numbers[3] = {1, -2, 3};
static HPy_ssize_t shape[1] = {3};
static HPy_ssize_t strides[1] = {sizeof(short)};
static int released;

HPyDef_SLOT(T_getbuffer, T_getbuffer_impl, HPy_bf_getbuffer)
static int T_getbuffer_impl(HPyContext *ctx, HPy self, HPy_buffer *buffer, int flags)
{
    HPy_buffer filled = {
        numbers, HPy_Dup(ctx, self), sizeof(numbers), sizeof(short), 0, 1,
        "h", shape, strides, NULL, &released,
    };
    *buffer = filled;
    return 0;
}

HPyDef_SLOT(T_releasebuffer, T_releasebuffer_impl, HPy_bf_releasebuffer)
static void T_releasebuffer_impl(HPyContext *ctx, HPy self, HPy_buffer *buffer)
{
    ++*(int *)buffer->internal;
}

static HPyDef *T_defines[] = {&T_getbuffer, &T_releasebuffer, NULL};
static HPyType_Spec T_spec = {.name = "mytest.T", .defines = T_defines};

HPyDef_METH(count_released, "count_released", HPyFunc_NOARGS)
static HPy count_released_impl(HPyContext *ctx, HPy self)
{
    return HPyLong_FromLong(ctx, released);
}
"""


@pytest.mark.promise("API-29", "API-30")
def test_seed_003_S19_list_builder(hpy_module: ModuleFactory) -> None:
    """The items stay the caller's, and the builder grows beyond five."""
    mod = hpy_module(LIST)
    for count in (6, 7, 50):
        items = [object() for _ in range(count)]
        assert mod.build(*items) == items


@pytest.mark.promise("API-31")
def test_seed_003_S20_list_builder_of_integers(hpy_module: ModuleFactory) -> None:
    assert hpy_module(LIST_OF_INTEGERS).build() == [42, -1, -2, -3, -4]


def function(*args: object, **kwargs: object) -> tuple[object, object]:
    return args, kwargs


@pytest.mark.promise("API-28")
def test_seed_003_S21_call(hpy_module: ModuleFactory) -> None:
    mod = hpy_module(CALL)
    assert mod.call(function, (1, 2), {"a": 3}) == ((1, 2), {"a": 3})
    assert mod.call(function, None, {"a": 3}) == ((), {"a": 3})
    assert mod.call(function, (1,), None) == mod.call_object(function, (1,)) == ((1,), {})
    assert mod.call(function, None, None) == mod.call_object(function, None) == ((), {})
    for args, kwargs in (([1], None), ((1,), [("a", 1)]), (5, 6)):
        with pytest.raises(TypeError):
            mod.call(function, args, kwargs)
    with pytest.raises(TypeError):
        mod.call_object(function, "no tuple")
    with pytest.raises(TypeError, match="not callable"):
        mod.call(5, (), None)


@pytest.mark.promise("BUF-01", "BUF-02")
def test_seed_003_S22_buffer(hpy_module: ModuleFactory) -> None:
    """The members of the seed's struct, in its order; a positional initialiser fits."""
    mod = hpy_module(BUFFER + add_types("T"))
    obj = mod.T()
    with memoryview(obj) as view:
        assert view.tolist() == [1, -2, 3]
        assert (view.format, view.shape, view.strides, view.readonly) == ("h", (3,), (2,), False)
        assert array.array("h", view) == array.array("h", [1, -2, 3])
        assert view.obj is obj
    assert mod.count_released() == 1
