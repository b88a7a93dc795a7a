/* Not close-of-argument: the caller closes its arguments. */
#include "hpy.h"

HPyDef_METH(length, "length", HPyFunc_O)
static HPy length_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_ssize_t n = HPy_Length(ctx, arg);
    return HPyLong_FromSsize_t(ctx, n);
}

static HPyDef *defines[] = {&length, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
