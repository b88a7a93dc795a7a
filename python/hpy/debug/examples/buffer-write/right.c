/* Not buffer-write: a copy is changed. */
#include "hpy.h"
#include <stdio.h>

HPyDef_METH(masked, "masked", HPyFunc_O)
static HPy masked_impl(HPyContext *ctx, HPy self, HPy arg)
{
    const char *letters = HPyUnicode_AsUTF8AndSize(ctx, arg, NULL);
    char copy[100];
    if (letters == NULL)
        return HPy_NULL;
    snprintf(copy, sizeof(copy), "%s", letters);
    copy[0] = '*';
    return HPyUnicode_FromString(ctx, copy);
}

static HPyDef *defines[] = {&masked, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
