/* use-after-close: the item is used after it was closed. */
#include "hpy.h"

HPyDef_METH(twice_the_first, "twice_the_first", HPyFunc_O)
static HPy twice_the_first_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy item = HPy_GetItem_i(ctx, arg, 0);
    if (HPy_IsNull(item))
        return HPy_NULL;
    HPy_Close(ctx, item);
    return HPy_Add(ctx, item, item);
}

static HPyDef *defines[] = {&twice_the_first, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
