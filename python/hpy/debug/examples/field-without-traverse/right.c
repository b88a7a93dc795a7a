/* Not field-without-traverse: traverse visits it. */
#include "hpy.h"

typedef struct {
    HPyField content;
} Box;
HPyType_HELPERS(Box)

HPyDef_SLOT(Box_traverse, HPy_tp_traverse)
static int Box_traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{
    HPy_VISIT(&((Box *)self)->content);
    return 0;
}

HPyDef_METH(Box_set, "set", HPyFunc_O)
static HPy Box_set_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyField_Store(ctx, self, &Box_AsStruct(ctx, self)->content, arg);
    return HPy_Dup(ctx, ctx->h_None);
}

static HPyDef *Box_defines[] = {&Box_traverse, &Box_set, NULL};
static HPyType_Spec Box_spec = {
    .name = "example.Box",
    .basicsize = sizeof(Box),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_HAVE_GC,
    .builtin_shape = SHAPE(Box),
    .defines = Box_defines,
};

HPyDef_SLOT(add_type, HPy_mod_exec)
static int add_type_impl(HPyContext *ctx, HPy module)
{
    return HPyHelpers_AddType(ctx, module, "Box", &Box_spec, NULL) ? 0 : -1;
}

static HPyDef *defines[] = {&add_type, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
