/* Not handle-leak: the handle is closed before the function returns. */
#include "hpy.h"

HPyDef_METH(successor, "successor", HPyFunc_O)
static HPy successor_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy one = HPyLong_FromLong(ctx, 1);
    HPy sum = HPy_Add(ctx, arg, one);
    HPy_Close(ctx, one);
    return sum;
}

static HPyDef *defines[] = {&successor, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
