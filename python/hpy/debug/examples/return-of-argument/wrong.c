/* return-of-argument: the caller closes its argument and the result, which are one handle. */
#include "hpy.h"

HPyDef_METH(identity, "identity", HPyFunc_O)
static HPy identity_impl(HPyContext *ctx, HPy self, HPy arg)
{
    return arg;
}

static HPyDef *defines[] = {&identity, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
