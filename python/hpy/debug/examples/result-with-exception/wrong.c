/* result-with-exception: nobody looks whether the argument was a number. */
#include "hpy.h"

HPyDef_METH(successor, "successor", HPyFunc_O)
static HPy successor_impl(HPyContext *ctx, HPy self, HPy arg)
{
    long number = HPyLong_AsLong(ctx, arg);
    return HPyLong_FromLong(ctx, number + 1);
}

static HPyDef *defines[] = {&successor, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
