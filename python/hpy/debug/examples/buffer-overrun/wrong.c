/* buffer-overrun: the size is in bytes, and the array does not end twice. */
#include "hpy.h"

HPyDef_METH(sum_of_bytes, "sum_of_bytes", HPyFunc_O)
static HPy sum_of_bytes_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy_ssize_t size;
    const char *bytes = HPyUnicode_AsUTF8AndSize(ctx, arg, &size);
    long sum = 0;
    for (HPy_ssize_t i = 0; bytes != NULL && i < 2 * size; i++)
        sum += bytes[i];
    return bytes == NULL ? HPy_NULL : HPyLong_FromLong(ctx, sum);
}

static HPyDef *defines[] = {&sum_of_bytes, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
