/* Not leave-not-reentered: every path re-enters. */
#include "hpy.h"
#include <unistd.h>

HPyDef_METH(work, "work", HPyFunc_NOARGS)
static HPy work_impl(HPyContext *ctx, HPy self)
{
    HPyThreadState state = HPy_LeavePythonExecution(ctx);
    usleep(1000);
    HPy_ReenterPythonExecution(ctx, state);
    return HPy_Dup(ctx, ctx->h_None);
}

static HPyDef *defines[] = {&work, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
