/* Not tracker-after-close: the tracker is closed once. */
#include "hpy.h"

HPyDef_METH(successor, "successor", HPyFunc_O)
static HPy successor_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyTracker tracker = HPyTracker_New(ctx, 1);
    HPy one = HPyLong_FromLong(ctx, 1);
    HPyTracker_Add(ctx, tracker, one);
    HPy sum = HPy_Add(ctx, arg, one);
    HPyTracker_Close(ctx, tracker);
    return sum;
}

static HPyDef *defines[] = {&successor, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
