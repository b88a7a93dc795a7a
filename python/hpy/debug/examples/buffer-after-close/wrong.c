/* buffer-after-close: the memory is read after its handle was closed. */
#include "hpy.h"

HPyDef_METH(initial, "initial", HPyFunc_O)
static HPy initial_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy text = HPy_Str(ctx, arg);
    const char *letters = HPyUnicode_AsUTF8AndSize(ctx, text, NULL);
    HPy_Close(ctx, text);
    return HPyLong_FromLong(ctx, letters[0]);
}

static HPyDef *defines[] = {&initial, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
