/* builder-unfilled: the second item is never set. */
#include "hpy.h"

HPyDef_METH(pair, "pair", HPyFunc_O)
static HPy pair_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyTupleBuilder builder = HPyTupleBuilder_New(ctx, 2);
    HPyTupleBuilder_Set(ctx, builder, 0, arg);
    return HPyTupleBuilder_Build(ctx, builder);
}

static HPyDef *defines[] = {&pair, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
