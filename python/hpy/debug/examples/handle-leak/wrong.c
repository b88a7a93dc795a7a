/* handle-leak: the handle of the number is never closed. */
#include "hpy.h"

HPyDef_METH(successor, "successor", HPyFunc_O)
static HPy successor_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy one = HPyLong_FromLong(ctx, 1);
    return HPy_Add(ctx, arg, one);
}

static HPyDef *defines[] = {&successor, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
