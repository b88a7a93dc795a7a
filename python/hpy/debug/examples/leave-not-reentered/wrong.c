/* leave-not-reentered: one path does not re-enter. */
#include "hpy.h"
#include <unistd.h>

HPyDef_METH(work, "work", HPyFunc_NOARGS)
static HPy work_impl(HPyContext *ctx, HPy self)
{
    HPy result = HPy_Dup(ctx, ctx->h_None);
    HPyThreadState state = HPy_LeavePythonExecution(ctx);
    if (usleep(1000) == 0)
        return result;
    HPy_ReenterPythonExecution(ctx, state);
    return result;
}

static HPyDef *defines[] = {&work, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
