/* call-in-traverse: the object is gone when its destroy function runs, and no call is allowed. */
#include "hpy.h"
#include <stdlib.h>

typedef struct {
    char *text;
} Thing;
HPyType_HELPERS(Thing)

static HPyContext *context;

HPyDef_SLOT(Thing_destroy, HPy_tp_destroy)
static void Thing_destroy_impl(void *self)
{
    HPyErr_Clear(context);
    free(((Thing *)self)->text);
}

HPyDef_SLOT(Thing_init, HPy_tp_init)
static int Thing_init_impl(HPyContext *ctx, HPy self, const HPy *args, HPy_ssize_t nargs, HPy kw)
{
    context = ctx;
    Thing_AsStruct(ctx, self)->text = (char *)calloc(100, 1);
    return 0;
}

static HPyDef *Thing_defines[] = {&Thing_init, &Thing_destroy, NULL};
static HPyType_Spec Thing_spec = {
    .name = "example.Thing",
    .basicsize = sizeof(Thing),
    .flags = HPy_TPFLAGS_DEFAULT,
    .builtin_shape = SHAPE(Thing),
    .defines = Thing_defines,
};

HPyDef_SLOT(add_type, HPy_mod_exec)
static int add_type_impl(HPyContext *ctx, HPy module)
{
    return HPyHelpers_AddType(ctx, module, "Thing", &Thing_spec, NULL) ? 0 : -1;
}

static HPyDef *defines[] = {&add_type, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
