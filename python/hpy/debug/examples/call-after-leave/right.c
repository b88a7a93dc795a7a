/* Not call-after-leave: in between there are only values of C. */
#include "hpy.h"

HPyDef_METH(twice, "twice", HPyFunc_O)
static HPy twice_impl(HPyContext *ctx, HPy self, HPy arg)
{
    long number = HPyLong_AsLong(ctx, arg);
    HPyThreadState state = HPy_LeavePythonExecution(ctx);
    number *= 2;
    HPy_ReenterPythonExecution(ctx, state);
    return HPyLong_FromLong(ctx, number);
}

static HPyDef *defines[] = {&twice, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
