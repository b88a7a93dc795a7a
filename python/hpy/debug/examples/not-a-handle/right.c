/* Not not-a-handle: an HPy is kept as an HPy. */
#include "hpy.h"

HPyDef_METH(twice, "twice", HPyFunc_O)
static HPy twice_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy copy = HPy_Dup(ctx, arg);
    HPy kept = copy;
    HPy sum = HPy_Add(ctx, kept, kept);
    HPy_Close(ctx, copy);
    return sum;
}

static HPyDef *defines[] = {&twice, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
