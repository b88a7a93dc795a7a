/* Not use-after-close: the item is closed after its last use. */
#include "hpy.h"

HPyDef_METH(twice_the_first, "twice_the_first", HPyFunc_O)
static HPy twice_the_first_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy item = HPy_GetItem_i(ctx, arg, 0);
    if (HPy_IsNull(item))
        return HPy_NULL;
    HPy sum = HPy_Add(ctx, item, item);
    HPy_Close(ctx, item);
    return sum;
}

static HPyDef *defines[] = {&twice_the_first, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
