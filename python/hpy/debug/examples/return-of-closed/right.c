/* Not return-of-closed: the caller closes the result. */
#include "hpy.h"

HPyDef_METH(answer, "answer", HPyFunc_NOARGS)
static HPy answer_impl(HPyContext *ctx, HPy self)
{
    HPy result = HPyLong_FromLong(ctx, 42);
    return result;
}

static HPyDef *defines[] = {&answer, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
