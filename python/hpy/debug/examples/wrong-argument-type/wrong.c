/* wrong-argument-type: the argument is no type. */
#include "hpy.h"

HPyDef_METH(type_name, "type_name", HPyFunc_O)
static HPy type_name_impl(HPyContext *ctx, HPy self, HPy arg)
{
    const char *name = HPyType_GetName(ctx, arg);
    return name == NULL ? HPy_NULL : HPyUnicode_FromString(ctx, name);
}

static HPyDef *defines[] = {&type_name, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
