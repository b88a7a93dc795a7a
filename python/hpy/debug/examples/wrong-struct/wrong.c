/* wrong-struct: the argument may be no Point. */
#include "hpy.h"

typedef struct {
    long x;
} Point;
HPyType_HELPERS(Point)

HPyDef_METH(Point_same, "same", HPyFunc_O)
static HPy Point_same_impl(HPyContext *ctx, HPy self, HPy arg)
{
    bool same = Point_AsStruct(ctx, self)->x == Point_AsStruct(ctx, arg)->x;
    return HPyBool_FromBool(ctx, same);
}

static HPyDef *Point_defines[] = {&Point_same, NULL};
static HPyType_Spec Point_spec = {
    .name = "example.Point",
    .basicsize = sizeof(Point),
    .flags = HPy_TPFLAGS_DEFAULT,
    .builtin_shape = SHAPE(Point),
    .defines = Point_defines,
};

HPyDef_SLOT(add_type, HPy_mod_exec)
static int add_type_impl(HPyContext *ctx, HPy module)
{
    return HPyHelpers_AddType(ctx, module, "Point", &Point_spec, NULL) ? 0 : -1;
}

static HPyDef *defines[] = {&add_type, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
