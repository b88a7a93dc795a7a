/* Not buffer-after-close: the handle is closed after the last look at the memory. */
#include "hpy.h"

HPyDef_METH(initial, "initial", HPyFunc_O)
static HPy initial_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy text = HPy_Str(ctx, arg);
    const char *letters = HPyUnicode_AsUTF8AndSize(ctx, text, NULL);
    char letter = letters[0];
    HPy_Close(ctx, text);
    return HPyLong_FromLong(ctx, letter);
}

static HPyDef *defines[] = {&initial, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
