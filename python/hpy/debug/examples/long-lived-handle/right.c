/* Not long-lived-handle: an HPyGlobal keeps the object. */
#include "hpy.h"

static HPyGlobal last;

HPyDef_METH(remember, "remember", HPyFunc_O)
static HPy remember_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyGlobal_Store(ctx, &last, arg);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(forget, "forget", HPyFunc_NOARGS)
static HPy forget_impl(HPyContext *ctx, HPy self)
{
    HPyGlobal_Store(ctx, &last, HPy_NULL);
    return HPy_Dup(ctx, ctx->h_None);
}

static HPyDef *defines[] = {&remember, &forget, NULL};
static HPyGlobal *globals[] = {&last, NULL};
static HPyModuleDef moduledef = {.defines = defines, .globals = globals};
HPy_MODINIT(example, moduledef)
