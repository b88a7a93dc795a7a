/* words.longest(list): the longest str of a list. It forgets to close a handle. */
#include "hpy.h"

HPyDef_METH(longest, "longest", HPyFunc_O)
static HPy longest_impl(HPyContext *ctx, HPy self, HPy list)
{
    HPy_ssize_t n = HPy_Length(ctx, list), most = -1;
    HPy best = HPy_NULL;
    (void)self;
    for (HPy_ssize_t i = 0; i < n; i++) {
        HPy word = HPy_GetItem_i(ctx, list, i);
        if (HPy_IsNull(word))
            return HPy_NULL;
        HPy_ssize_t length = HPy_Length(ctx, word);
        if (length > most) {
            most = length;
            best = HPy_Dup(ctx, word); /* and the one before? */
        }
        HPy_Close(ctx, word);
    }
    return HPy_IsNull(best) ? HPy_Dup(ctx, ctx->h_None) : best;
}

static HPyDef *defines[] = {&longest, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(words, moduledef)
