/* global-not-registered: the module does not list its global. */
#include "hpy.h"

static HPyGlobal last;

HPyDef_METH(remember, "remember", HPyFunc_O)
static HPy remember_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyGlobal_Store(ctx, &last, arg);
    return HPy_Dup(ctx, ctx->h_None);
}

static HPyDef *defines[] = {&remember, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
