/* Not null-argument: the error is returned. */
#include "hpy.h"

HPyDef_METH(initial_of, "initial_of", HPyFunc_O)
static HPy initial_of_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy name = HPy_GetAttr_s(ctx, arg, "name");
    if (HPy_IsNull(name))
        return HPy_NULL;
    HPy letter = HPy_GetItem_i(ctx, name, 0);
    HPy_Close(ctx, name);
    return letter;
}

static HPyDef *defines[] = {&initial_of, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
