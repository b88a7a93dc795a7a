/* error-without-exception: HPy_NULL stands for an exception, and there is none. */
#include "hpy.h"

HPyDef_METH(first, "first", HPyFunc_O)
static HPy first_impl(HPyContext *ctx, HPy self, HPy arg)
{
    if (HPy_Length(ctx, arg) == 0)
        return HPy_NULL;
    return HPy_GetItem_i(ctx, arg, 0);
}

static HPyDef *defines[] = {&first, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
