/* Not double-close: the item is closed once, on every path. */
#include "hpy.h"

HPyDef_METH(first, "first", HPyFunc_O)
static HPy first_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy item = HPy_GetItem_i(ctx, arg, 0);
    if (HPy_IsNull(item))
        return HPy_NULL;
    long value = HPyLong_AsLong(ctx, item);
    HPy_Close(ctx, item);
    return HPyLong_FromLong(ctx, value);
}

static HPyDef *defines[] = {&first, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
