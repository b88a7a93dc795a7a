/* Not builder-after-build: the items are set before. */
#include "hpy.h"

HPyDef_METH(pair, "pair", HPyFunc_O)
static HPy pair_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyListBuilder builder = HPyListBuilder_New(ctx, 2);
    HPyListBuilder_Set(ctx, builder, 0, arg);
    HPyListBuilder_Set(ctx, builder, 1, ctx->h_None);
    return HPyListBuilder_Build(ctx, builder);
}

static HPyDef *defines[] = {&pair, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
