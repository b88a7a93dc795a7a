"""An extension with twenty different mistakes, a function each, for tests of what shows them."""

SOURCE = """
#include "hpy.h"

static HPy dup_none(HPyContext *ctx) { return HPy_Dup(ctx, ctx->h_None); }

HPyDef_METH(good, "good", HPyFunc_O)
static HPy good_impl(HPyContext *ctx, HPy self, HPy arg)
{
    return HPy_Dup(ctx, arg);
}

HPyDef_METH(leak, "leak", HPyFunc_O)
static HPy leak_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_Dup(ctx, arg);  /* leak */
    return dup_none(ctx);
}

HPyDef_METH(leak_long, "leak_long", HPyFunc_O)
static HPy leak_long_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyLong_FromLong(ctx, 1234567);
    return dup_none(ctx);
}

static __attribute__((noinline)) void make_row(HPyContext *ctx)
{
    HPyList_New(ctx, 3);
}

HPyDef_METH(leak_below, "leak_below", HPyFunc_O)
static HPy leak_below_impl(HPyContext *ctx, HPy self, HPy arg)
{
    make_row(ctx);
    return dup_none(ctx);
}

HPyDef_METH(use, "use", HPyFunc_O)
static HPy use_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);  /* use opens */
    HPy_Close(ctx, h);  /* use closes */
    return HPy_Add(ctx, arg, h);  /* use uses */
}

HPyDef_METH(use_repr, "use_repr", HPyFunc_O)
static HPy use_repr_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPyUnicode_FromString(ctx, "closed <b>&amp;</b>");
    HPy_Close(ctx, h);
    return HPy_Repr(ctx, h);
}

HPyDef_METH(use_length, "use_length", HPyFunc_O)
static HPy use_length_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);
    HPy_Close(ctx, h);
    if (HPy_Length(ctx, h) < 0)
        return HPy_NULL;
    return dup_none(ctx);
}

HPyDef_METH(use_type, "use_type", HPyFunc_O)
static HPy use_type_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);
    HPy_Close(ctx, h);
    return HPy_Type(ctx, h);
}

HPyDef_METH(twice, "twice", HPyFunc_O)
static HPy twice_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);
    HPy_Close(ctx, h);
    HPy_Close(ctx, h);
    return dup_none(ctx);
}

static __attribute__((noinline)) void clean_up(HPyContext *ctx, HPy h)
{
    HPy_Close(ctx, h);
}

HPyDef_METH(twice_below, "twice_below", HPyFunc_O)
static HPy twice_below_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);
    clean_up(ctx, h);
    clean_up(ctx, h);
    return dup_none(ctx);
}

HPyDef_METH(close_argument, "close_argument", HPyFunc_O)
static HPy close_argument_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_Close(ctx, arg);
    return dup_none(ctx);
}

HPyDef_METH(close_self, "close_self", HPyFunc_O)
static HPy close_self_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_Close(ctx, self);
    return dup_none(ctx);
}

HPyDef_METH(close_none, "close_none", HPyFunc_O)
static HPy close_none_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_Close(ctx, ctx->h_None);
    return dup_none(ctx);
}

HPyDef_METH(return_argument, "return_argument", HPyFunc_O)
static HPy return_argument_impl(HPyContext *ctx, HPy self, HPy arg)
{
    return arg;
}

HPyDef_METH(return_none, "return_none", HPyFunc_O)
static HPy return_none_impl(HPyContext *ctx, HPy self, HPy arg)
{
    return ctx->h_None;
}

HPyDef_METH(return_closed, "return_closed", HPyFunc_O)
static HPy return_closed_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);
    HPy_Close(ctx, h);
    return h;
}

HPyDef_METH(null_item, "null_item", HPyFunc_O)
static HPy null_item_impl(HPyContext *ctx, HPy self, HPy arg)
{
    return HPy_Add(ctx, arg, HPy_NULL);
}

HPyDef_METH(null_length, "null_length", HPyFunc_O)
static HPy null_length_impl(HPyContext *ctx, HPy self, HPy arg)
{
    if (HPy_Length(ctx, HPy_NULL) < 0)
        return HPy_NULL;
    return dup_none(ctx);
}

HPyDef_METH(made_up, "made_up", HPyFunc_O)
static HPy made_up_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h;
    h._i = 0x1234;
    return HPy_Str(ctx, h);
}

HPyDef_METH(tracker, "tracker", HPyFunc_O)
static HPy tracker_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyTracker ht = HPyTracker_New(ctx, 1);
    HPyTracker_Close(ctx, ht);
    HPyTracker_Close(ctx, ht);
    return dup_none(ctx);
}

HPyDef_METH(list_builder, "list_builder", HPyFunc_O)
static HPy list_builder_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyListBuilder builder = HPyListBuilder_New(ctx, 1);
    HPyListBuilder_Set(ctx, builder, 0, arg);
    HPy_Close(ctx, HPyListBuilder_Build(ctx, builder));
    HPyListBuilder_Set(ctx, builder, 0, arg);
    return dup_none(ctx);
}
"""

# Function and the kind of its mistake.
MISTAKES = {
    "leak": "handle-leak",
    "leak_long": "handle-leak",
    "leak_below": "handle-leak",
    "use": "use-after-close",
    "use_repr": "use-after-close",
    "use_length": "use-after-close",
    "use_type": "use-after-close",
    "twice": "double-close",
    "twice_below": "double-close",
    "close_argument": "close-of-argument",
    "close_self": "close-of-argument",
    "close_none": "close-of-constant",
    "return_argument": "return-of-argument",
    "return_none": "return-of-constant",
    "return_closed": "return-of-closed",
    "null_item": "null-argument",
    "null_length": "null-argument",
    "made_up": "not-a-handle",
    "tracker": "tracker-after-close",
    "list_builder": "builder-after-build",
}

# Makes the mistakes that are named on the command line, or all of them.
SCRIPT = f"""
import sys
import mytest

for name in sys.argv[1:] or {list(MISTAKES)!r}:
    try:
        getattr(mytest, name)("an argument")
    except Exception:
        pass
"""
