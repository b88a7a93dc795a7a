/* Not close-of-constant: what is closed is a duplicate. */
#include "hpy.h"

HPyDef_METH(show, "show", HPyFunc_O)
static HPy show_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy chosen = HPy_Dup(ctx, HPy_IsTrue(ctx, arg) ? arg : ctx->h_None);
    HPy text = HPy_Str(ctx, chosen);
    HPy_Close(ctx, chosen);
    return text;
}

static HPyDef *defines[] = {&show, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
