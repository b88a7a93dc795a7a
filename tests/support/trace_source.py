"""The extension of the tests of trace mode, and what they count with."""

from typing import Any, Callable

import hpy.trace

SOURCE = """
#include "hpy.h"

HPyDef_METH(add, "add", HPyFunc_VARARGS)
static HPy add_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    if (nargs != 2) {
        HPyErr_SetString(ctx, ctx->h_TypeError, "two arguments, please");
        return HPy_NULL;
    }
    return HPy_Add(ctx, args[0], args[1]);
}

HPyDef_METH(call, "call", HPyFunc_O)
static HPy call_impl(HPyContext *ctx, HPy self, HPy arg)
{
    return HPy_CallTupleDict(ctx, arg, HPy_NULL, HPy_NULL);
}

HPyDef_METH(nothing, "nothing", HPyFunc_NOARGS)
static HPy nothing_impl(HPyContext *ctx, HPy self)
{
    return HPy_NULL;  /* with the exception that is pending */
}

HPyDef_METH(name, "name", HPyFunc_NOARGS)
static HPy name_impl(HPyContext *ctx, HPy self)
{
    return HPyUnicode_FromString(ctx, ctx->name);
}

HPyDef_METH(same_bits, "same_bits", HPyFunc_O)
static HPy same_bits_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy copy = HPy_Dup(ctx, arg);
    int same = copy._i == arg._i && (copy._i & 1) != 0;
    HPy_Close(ctx, copy);
    return HPyBool_FromBool(ctx, same);
}

static HPyContext *first_ctx;

HPyDef_METH(same_context, "same_context", HPyFunc_NOARGS)
static HPy same_context_impl(HPyContext *ctx, HPy self)
{
    if (first_ctx == NULL) first_ctx = ctx;
    return HPyBool_FromBool(ctx, ctx == first_ctx);
}

HPyDef_METH(leave, "leave", HPyFunc_NOARGS)
static HPy leave_impl(HPyContext *ctx, HPy self)
{
    HPy_BEGIN_LEAVE_PYTHON(ctx)
    HPy_END_LEAVE_PYTHON(ctx)
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(leak, "leak", HPyFunc_O)
static HPy leak_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_Add(ctx, arg, arg);  /* the leak */
    return HPy_Dup(ctx, ctx->h_None);
}

typedef struct { long value; } Point;
HPyType_HELPERS(Point)

HPyDef_SLOT(Point_new, HPy_tp_new)
static HPy Point_new_impl(HPyContext *ctx, HPy cls, const HPy *args, HPy_ssize_t nargs, HPy kw)
{
    Point *point;
    HPy self = HPy_New(ctx, cls, &point);
    if (!HPy_IsNull(self)) point->value = (long)nargs;
    return self;
}

HPyDef_SLOT(Point_repr, HPy_tp_repr)
static HPy Point_repr_impl(HPyContext *ctx, HPy self)
{
    return HPyUnicode_FromFormat(ctx, "Point of %ld", Point_AsStruct(ctx, self)->value);
}

static HPyDef *Point_defines[] = {&Point_new, &Point_repr, NULL};
static HPyType_Spec Point_spec = {
    .name = "mytest.Point", .basicsize = sizeof(Point), .defines = Point_defines};

HPyDef_SLOT(exec, HPy_mod_exec)
static int exec_impl(HPyContext *ctx, HPy module)
{
    return HPyHelpers_AddType(ctx, module, "Point", &Point_spec, NULL) ? 0 : -1;
}
"""

# What the interpreter may do beside the test is not counted: only extensions in trace mode are.
Counts = dict[str, int]


def difference(new: Counts, old: Counts) -> Counts:
    assert list(new) == list(old)
    return {name: new[name] - old[name] for name in new if new[name] != old[name]}


def calls_of(function: Callable[..., Any], *args: Any) -> Counts:
    before = hpy.trace.get_call_counts()
    function(*args)
    return difference(hpy.trace.get_call_counts(), before)
