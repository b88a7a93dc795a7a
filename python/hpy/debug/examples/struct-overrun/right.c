/* Not struct-overrun: the loop ends with the array. */
#include "hpy.h"

typedef struct {
    long values[4];
} Vector;
HPyType_HELPERS(Vector)

HPyDef_SLOT(Vector_new, HPy_tp_new)
static HPy Vector_new_impl(HPyContext *ctx, HPy cls, const HPy *args, HPy_ssize_t nargs, HPy kw)
{
    Vector *vector;
    return HPy_New(ctx, cls, &vector);
}

HPyDef_METH(Vector_fill, "fill", HPyFunc_NOARGS)
static HPy Vector_fill_impl(HPyContext *ctx, HPy self)
{
    Vector *vector = Vector_AsStruct(ctx, self);
    for (int i = 0; i < 4; i++)
        vector->values[i] = i;
    return HPy_Dup(ctx, ctx->h_None);
}

static HPyDef *Vector_defines[] = {&Vector_new, &Vector_fill, NULL};
static HPyType_Spec Vector_spec = {
    .name = "example.Vector",
    .basicsize = sizeof(Vector),
    .flags = HPy_TPFLAGS_DEFAULT,
    .builtin_shape = SHAPE(Vector),
    .defines = Vector_defines,
};

HPyDef_SLOT(add_type, HPy_mod_exec)
static int add_type_impl(HPyContext *ctx, HPy module)
{
    return HPyHelpers_AddType(ctx, module, "Vector", &Vector_spec, NULL) ? 0 : -1;
}

static HPyDef *defines[] = {&add_type, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
