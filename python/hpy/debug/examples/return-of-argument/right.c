/* Not return-of-argument: the result is a handle of its own. */
#include "hpy.h"

HPyDef_METH(identity, "identity", HPyFunc_O)
static HPy identity_impl(HPyContext *ctx, HPy self, HPy arg)
{
    return HPy_Dup(ctx, arg);
}

static HPyDef *defines[] = {&identity, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
