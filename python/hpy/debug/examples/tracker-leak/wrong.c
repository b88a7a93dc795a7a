/* tracker-leak: nobody closes the tracker. */
#include "hpy.h"

HPyDef_METH(successor, "successor", HPyFunc_O)
static HPy successor_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyTracker tracker = HPyTracker_New(ctx, 1);
    HPy one = HPyLong_FromLong(ctx, 1);
    HPyTracker_Add(ctx, tracker, one);
    return HPy_Add(ctx, arg, one);
}

static HPyDef *defines[] = {&successor, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
