/* call-after-leave: objects are used while other threads may change them. */
#include "hpy.h"

HPyDef_METH(twice, "twice", HPyFunc_O)
static HPy twice_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyThreadState state = HPy_LeavePythonExecution(ctx);
    HPy sum = HPy_Add(ctx, arg, arg);
    HPy_ReenterPythonExecution(ctx, state);
    return sum;
}

static HPyDef *defines[] = {&twice, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
