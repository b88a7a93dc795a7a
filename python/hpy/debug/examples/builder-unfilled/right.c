/* Not builder-unfilled: every item is set. */
#include "hpy.h"

HPyDef_METH(pair, "pair", HPyFunc_O)
static HPy pair_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyTupleBuilder builder = HPyTupleBuilder_New(ctx, 2);
    HPyTupleBuilder_Set(ctx, builder, 0, arg);
    HPyTupleBuilder_Set(ctx, builder, 1, ctx->h_None);
    return HPyTupleBuilder_Build(ctx, builder);
}

static HPyDef *defines[] = {&pair, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
