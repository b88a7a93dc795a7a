/* field-not-owned: traverse visits what belongs to the next node. */
#include "hpy.h"

typedef struct Node {
    HPyField value;
    HPyField next_object;
    struct Node *next;
} Node;
HPyType_HELPERS(Node)

HPyDef_SLOT(Node_traverse, HPy_tp_traverse)
static int Node_traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{
    Node *node = (Node *)self;
    HPy_VISIT(&node->value);
    HPy_VISIT(&node->next_object);
    if (node->next != NULL)
        HPy_VISIT(&node->next->value);
    return 0;
}

HPyDef_METH(Node_set_value, "set_value", HPyFunc_O)
static HPy Node_set_value_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyField_Store(ctx, self, &Node_AsStruct(ctx, self)->value, arg);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(Node_set_next, "set_next", HPyFunc_O)
static HPy Node_set_next_impl(HPyContext *ctx, HPy self, HPy arg)
{
    Node *node = Node_AsStruct(ctx, self);
    HPyField_Store(ctx, self, &node->next_object, arg);
    node->next = Node_AsStruct(ctx, arg);
    return HPy_Dup(ctx, ctx->h_None);
}

static HPyDef *Node_defines[] = {&Node_traverse, &Node_set_value, &Node_set_next, NULL};
static HPyType_Spec Node_spec = {
    .name = "example.Node",
    .basicsize = sizeof(Node),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_HAVE_GC,
    .builtin_shape = SHAPE(Node),
    .defines = Node_defines,
};

HPyDef_SLOT(add_type, HPy_mod_exec)
static int add_type_impl(HPyContext *ctx, HPy module)
{
    return HPyHelpers_AddType(ctx, module, "Node", &Node_spec, NULL) ? 0 : -1;
}

static HPyDef *defines[] = {&add_type, NULL};
static HPyModuleDef moduledef = {.defines = defines};
HPy_MODINIT(example, moduledef)
