/* close-of-constant: where there is nothing to choose, a constant of the context is closed. */
#include "hpy.h"

HPyDef_METH(show, "show", HPyFunc_O)
static HPy show_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy chosen = HPy_IsTrue(ctx, arg) ? HPy_Dup(ctx, arg) : ctx->h_None;
    HPy text = HPy_Str(ctx, chosen);
    HPy_Close(ctx, chosen);
    return text;
}

static HPyDef *defines[] = {&show, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
