/* not-a-handle: a handle does not fit into 32 bits. */
#include "hpy.h"

HPyDef_METH(twice, "twice", HPyFunc_O)
static HPy twice_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy copy = HPy_Dup(ctx, arg);
    int kept = (int)copy._i;
    HPy restored = {kept};
    HPy sum = HPy_Add(ctx, restored, restored);
    HPy_Close(ctx, copy);
    return sum;
}

static HPyDef *defines[] = {&twice, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
