/* return-of-closed: the result was closed before it is returned. */
#include "hpy.h"

HPyDef_METH(answer, "answer", HPyFunc_NOARGS)
static HPy answer_impl(HPyContext *ctx, HPy self)
{
    HPy result = HPyLong_FromLong(ctx, 42);
    HPy_Close(ctx, result);
    return result;
}

static HPyDef *defines[] = {&answer, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
