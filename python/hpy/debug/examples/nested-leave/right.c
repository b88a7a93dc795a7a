/* Not nested-leave: only the outermost function leaves. */
#include "hpy.h"
#include <unistd.h>

static void pause_a_little(void)
{
    usleep(1000);
}

HPyDef_METH(work, "work", HPyFunc_NOARGS)
static HPy work_impl(HPyContext *ctx, HPy self)
{
    HPyThreadState state = HPy_LeavePythonExecution(ctx);
    pause_a_little();
    HPy_ReenterPythonExecution(ctx, state);
    return HPy_Dup(ctx, ctx->h_None);
}

static HPyDef *defines[] = {&work, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
