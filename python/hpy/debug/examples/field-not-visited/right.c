/* Not field-not-visited: traverse visits every field. */
#include "hpy.h"

typedef struct {
    HPyField first;
    HPyField second;
} Pair;
HPyType_HELPERS(Pair)

HPyDef_SLOT(Pair_traverse, HPy_tp_traverse)
static int Pair_traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{
    HPy_VISIT(&((Pair *)self)->first);
    HPy_VISIT(&((Pair *)self)->second);
    return 0;
}

HPyDef_METH(Pair_set, "set", HPyFunc_O)
static HPy Pair_set_impl(HPyContext *ctx, HPy self, HPy arg)
{
    Pair *pair = Pair_AsStruct(ctx, self);
    HPyField_Store(ctx, self, &pair->first, arg);
    HPyField_Store(ctx, self, &pair->second, arg);
    return HPy_Dup(ctx, ctx->h_None);
}

static HPyDef *Pair_defines[] = {&Pair_traverse, &Pair_set, NULL};
static HPyType_Spec Pair_spec = {
    .name = "example.Pair",
    .basicsize = sizeof(Pair),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_HAVE_GC,
    .builtin_shape = SHAPE(Pair),
    .defines = Pair_defines,
};

HPyDef_SLOT(add_type, HPy_mod_exec)
static int add_type_impl(HPyContext *ctx, HPy module)
{
    return HPyHelpers_AddType(ctx, module, "Pair", &Pair_spec, NULL) ? 0 : -1;
}

static HPyDef *defines[] = {&add_type, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
