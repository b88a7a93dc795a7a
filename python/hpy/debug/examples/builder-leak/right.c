/* Not builder-leak: it cancels the builder. */
#include "hpy.h"

HPyDef_METH(doubled, "doubled", HPyFunc_O)
static HPy doubled_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyListBuilder builder = HPyListBuilder_New(ctx, 1);
    HPy sum = HPy_Add(ctx, arg, arg);
    if (HPy_IsNull(sum)) {
        HPyListBuilder_Cancel(ctx, builder);
        return HPy_NULL;
    }
    HPyListBuilder_Set(ctx, builder, 0, sum);
    HPy_Close(ctx, sum);
    return HPyListBuilder_Build(ctx, builder);
}

static HPyDef *defines[] = {&doubled, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
