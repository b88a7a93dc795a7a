/* Not builder-index: items are counted from 0. */
#include "hpy.h"

HPyDef_METH(pair, "pair", HPyFunc_O)
static HPy pair_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyTupleBuilder builder = HPyTupleBuilder_New(ctx, 2);
    for (int i = 0; i < 2; i++)
        HPyTupleBuilder_Set(ctx, builder, i, arg);
    return HPyTupleBuilder_Build(ctx, builder);
}

static HPyDef *defines[] = {&pair, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
