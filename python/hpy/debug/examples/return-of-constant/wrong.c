/* return-of-constant: the result is given away, and a constant cannot be. */
#include "hpy.h"

HPyDef_METH(nothing, "nothing", HPyFunc_NOARGS)
static HPy nothing_impl(HPyContext *ctx, HPy self)
{
    return ctx->h_None;
}

static HPyDef *defines[] = {&nothing, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
