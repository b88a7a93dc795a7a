/* stale-context: the context of the first call is used in all later ones. */
#include "hpy.h"

static HPyContext *saved;

HPyDef_METH(answer, "answer", HPyFunc_NOARGS)
static HPy answer_impl(HPyContext *ctx, HPy self)
{
    if (saved == NULL)
        saved = ctx;
    return HPyLong_FromLong(saved, 42);
}

static HPyDef *defines[] = {&answer, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
