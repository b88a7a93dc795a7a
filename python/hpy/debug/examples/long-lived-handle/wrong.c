/* long-lived-handle: a handle is kept between calls: legal, but the garbage collector cannot see
 * it. */
#include "hpy.h"

static HPy last;

HPyDef_METH(remember, "remember", HPyFunc_O)
static HPy remember_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_Close(ctx, last);
    last = HPy_Dup(ctx, arg);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(forget, "forget", HPyFunc_NOARGS)
static HPy forget_impl(HPyContext *ctx, HPy self)
{
    HPy_Close(ctx, last);
    last = HPy_NULL;
    return HPy_Dup(ctx, ctx->h_None);
}

static HPyDef *defines[] = {&remember, &forget, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
