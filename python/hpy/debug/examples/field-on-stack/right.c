/* Not field-on-stack: a handle does. */
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

HPyDef_METH(Box_swap, "swap", HPyFunc_O)
static HPy Box_swap_impl(HPyContext *ctx, HPy self, HPy arg)
{
    Box *box = Box_AsStruct(ctx, self);
    HPy old = HPy_NULL;
    if (!HPyField_IsNull(box->content))
        old = HPyField_Load(ctx, self, box->content);
    HPyField_Store(ctx, self, &box->content, arg);
    return HPy_IsNull(old) ? HPy_Dup(ctx, ctx->h_None) : old;
}

static HPyDef *Box_defines[] = {&Box_traverse, &Box_swap, NULL};
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
