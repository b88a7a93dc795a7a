/* Not wrong-argument-type: its type is. */
#include "hpy.h"

HPyDef_METH(type_name, "type_name", HPyFunc_O)
static HPy type_name_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy type = HPy_Type(ctx, arg);
    const char *name = HPyType_GetName(ctx, type);
    HPy result = name == NULL ? HPy_NULL : HPyUnicode_FromString(ctx, name);
    HPy_Close(ctx, type);
    return result;
}

static HPyDef *defines[] = {&type_name, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
