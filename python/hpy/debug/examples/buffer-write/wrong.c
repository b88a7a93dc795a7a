/* buffer-write: the memory is the inside of a str, which does not change. */
#include "hpy.h"
#include <stdio.h>

HPyDef_METH(masked, "masked", HPyFunc_O)
static HPy masked_impl(HPyContext *ctx, HPy self, HPy arg)
{
    char *letters = (char *)HPyUnicode_AsUTF8AndSize(ctx, arg, NULL);
    if (letters == NULL)
        return HPy_NULL;
    letters[0] = '*';
    return HPyUnicode_FromString(ctx, letters);
}

static HPyDef *defines[] = {&masked, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
