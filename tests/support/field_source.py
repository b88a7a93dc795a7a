"""The extension of tests/test_field_checks.py: types with fields, right ones and wrong ones."""

SOURCE = r"""
#include <stdlib.h>
#include <string.h>
#include "hpy.h"

/* flags: what its traverse does wrong. */
enum { SKIP_SECOND = 1, VISIT_OTHER = 2, VISIT_TWICE = 4 };
typedef struct Node {
    HPyField first, second, third;
    HPyField *array;  /* of `size` fields, or NULL */
    long size, flags;
    struct Node *other;
} Node;
HPyType_HELPERS(Node)

HPyDef_SLOT(Node_new, HPy_tp_new)
static HPy Node_new_impl(HPyContext *ctx, HPy cls, const HPy *args, HPy_ssize_t nargs, HPy kw)
{
    Node *node;
    HPy h = HPy_New(ctx, cls, &node);
    if (!HPy_IsNull(h) && nargs > 0)
        node->flags = HPyLong_AsLong(ctx, args[0]);
    return h;
}

HPyDef_SLOT(Node_traverse, HPy_tp_traverse)
static int Node_traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{
    Node *node = (Node *)self;
    long i;
    HPy_VISIT(&node->first);
    if (node->flags & VISIT_TWICE)
        HPy_VISIT(&node->first);
    if (!(node->flags & SKIP_SECOND))
        HPy_VISIT(&node->second);
    HPy_VISIT(&node->third);
    for (i = 0; i < node->size; i++)
        HPy_VISIT(&node->array[i]);
    if (node->flags & VISIT_OTHER)
        HPy_VISIT(&node->other->first);  /* visits the other's */
    return 0;
}

HPyDef_SLOT(Node_destroy, HPy_tp_destroy)
static void Node_destroy_impl(void *self)
{
    free(((Node *)self)->array);
}

/* set(number, obj) */
HPyDef_METH(Node_set, "set", HPyFunc_VARARGS)
static HPy Node_set_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    Node *node = Node_AsStruct(ctx, self);
    switch (HPyLong_AsLong(ctx, args[0])) {
    case 0:
        HPyField_Store(ctx, self, &node->first, args[1]);
        break;
    case 1:
        HPyField_Store(ctx, self, &node->second, args[1]);  /* stores the second */
        break;
    default:
        HPyField_Store(ctx, self, &node->third, args[1]);
    }
    return HPy_Dup(ctx, ctx->h_None);
}

/* Two stores into a field that is not visited. */
HPyDef_METH(Node_set_twice, "set_twice", HPyFunc_O)
static HPy Node_set_twice_impl(HPyContext *ctx, HPy self, HPy arg)
{
    Node *node = Node_AsStruct(ctx, self);
    HPyField_Store(ctx, self, &node->second, self);
    HPyField_Store(ctx, self, &node->second, arg);  /* stores again */
    return HPy_Dup(ctx, ctx->h_None);
}

/* Stores, and has cleared it by the end. */
HPyDef_METH(Node_borrow, "borrow", HPyFunc_O)
static HPy Node_borrow_impl(HPyContext *ctx, HPy self, HPy arg)
{
    Node *node = Node_AsStruct(ctx, self);
    HPyField_Store(ctx, self, &node->second, arg);
    HPyField_Store(ctx, self, &node->second, HPy_NULL);
    return HPy_Dup(ctx, ctx->h_None);
}

/* The array moves, grows, and what was in it changes. */
HPyDef_METH(Node_append, "append", HPyFunc_O)
static HPy Node_append_impl(HPyContext *ctx, HPy self, HPy arg)
{
    Node *node = Node_AsStruct(ctx, self);
    size_t size = (size_t)node->size;
    HPyField *array = malloc((size + 1) * sizeof(HPyField));
    if (size != 0)
        memcpy(array, node->array, size * sizeof(HPyField));
    if (node->array != NULL)
        memset(node->array, 0x55, size * sizeof(HPyField));
    free(node->array);
    array[size] = HPyField_NULL;
    node->array = array;
    HPyField_Store(ctx, self, &array[size], arg);
    node->size++;
    if (size != 0)
        HPyField_Store(ctx, self, &array[0], arg);
    return HPy_Dup(ctx, ctx->h_None);
}

/* fill(function): stores before the array is where traverse looks, and calls Python in between. */
HPyDef_METH(Node_fill, "fill", HPyFunc_O)
static HPy Node_fill_impl(HPyContext *ctx, HPy self, HPy function)
{
    Node *node = Node_AsStruct(ctx, self);
    HPyField *array = calloc(2, sizeof(HPyField));
    HPy result;
    HPyField_Store(ctx, self, &array[0], function);
    result = HPy_Call(ctx, function, NULL, 0, HPy_NULL);
    HPyField_Store(ctx, self, &array[1], function);
    node->array = array;
    node->size = 2;
    return result;
}

HPyDef_METH(Node_swap, "swap", HPyFunc_NOARGS)
static HPy Node_swap_impl(HPyContext *ctx, HPy self)
{
    Node *node = Node_AsStruct(ctx, self);
    HPyField first = node->first;
    node->first = node->third;
    node->third = first;
    return HPy_Dup(ctx, ctx->h_None);
}

/* meet(other, flags) */
HPyDef_METH(Node_meet, "meet", HPyFunc_VARARGS)
static HPy Node_meet_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    Node *node = Node_AsStruct(ctx, self);
    node->other = Node_AsStruct(ctx, args[0]);
    node->flags = HPyLong_AsLong(ctx, args[1]);
    return HPy_Dup(ctx, ctx->h_None);
}

/* After the function that stored has returned. */
HPyDef_METH(Node_shrink, "shrink", HPyFunc_NOARGS)
static HPy Node_shrink_impl(HPyContext *ctx, HPy self)
{
    Node_AsStruct(ctx, self)->size = 0;
    return HPy_Dup(ctx, ctx->h_None);
}

/* call(function): its result. */
HPyDef_METH(Node_call, "call", HPyFunc_O)
static HPy Node_call_impl(HPyContext *ctx, HPy self, HPy function)
{
    return HPy_Call(ctx, function, NULL, 0, HPy_NULL);
}

HPyDef_METH(Node_local, "local", HPyFunc_O)
static HPy Node_local_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyField local = HPyField_NULL;
    HPy loaded;
    HPyField_Store(ctx, self, &local, arg);  /* stores locally */
    if (HPyField_IsNull(local))
        return HPy_Dup(ctx, ctx->h_None);
    loaded = HPyField_Load(ctx, self, local);
    HPyField_Store(ctx, self, &local, HPy_NULL);
    return loaded;
}

static void store(HPyContext *ctx, HPy owner, HPyField *field, HPy value)
{
    HPyField_Store(ctx, owner, field, value);  /* stores for its caller */
}

HPyDef_METH(Node_local_array, "local_array", HPyFunc_O)
static HPy Node_local_array_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyField local[100];
    memset(local, 0, sizeof(local));
    store(ctx, self, &local[99], arg);
    return HPy_Dup(ctx, ctx->h_None);
}

HPyDef_METH(Node_load_empty, "load_empty", HPyFunc_NOARGS)
static HPy Node_load_empty_impl(HPyContext *ctx, HPy self)
{
    return HPyField_Load(ctx, self, Node_AsStruct(ctx, self)->third);  /* loads nothing */
}

HPyDef_MEMBER(Node_member, "member", HPyMember_OBJECT, offsetof(Node, third))

static HPyDef *Node_defines[] = {
    &Node_new, &Node_traverse, &Node_destroy, &Node_set, &Node_set_twice, &Node_borrow,
    &Node_append, &Node_fill, &Node_swap, &Node_meet, &Node_shrink, &Node_call, &Node_local,
    &Node_local_array, &Node_load_empty, &Node_member, NULL};
static HPyType_Spec Node_spec = {
    .name = "mytest.Node", .basicsize = sizeof(Node), .builtin_shape = SHAPE(Node),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_HAVE_GC | HPy_TPFLAGS_BASETYPE,
    .defines = Node_defines};

/* The struct of a base is the beginning of this one. Its traverse calls that of the base, or not.
 */
typedef struct { Node node; HPyField more; } Derived;
HPyType_HELPERS(Derived)
HPyDef_SLOT(Derived_traverse, HPy_tp_traverse)
static int Derived_traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{
    int result = Node_traverse_impl(self, visit, arg);
    if (result != 0)
        return result;
    HPy_VISIT(&((Derived *)self)->more);
    return 0;
}
HPyDef_SLOT(Careless_traverse, HPy_tp_traverse)
static int Careless_traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{
    HPy_VISIT(&((Derived *)self)->more);
    return 0;
}
HPyDef_METH(Derived_set_more, "set_more", HPyFunc_O)
static HPy Derived_set_more_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyField_Store(ctx, self, &Derived_AsStruct(ctx, self)->more, arg);
    return HPy_Dup(ctx, ctx->h_None);
}
static HPyDef *Derived_defines[] = {&Derived_traverse, &Derived_set_more, NULL};
static HPyType_Spec Derived_spec = {
    .name = "mytest.Derived", .basicsize = sizeof(Derived), .builtin_shape = SHAPE(Derived),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_HAVE_GC | HPy_TPFLAGS_BASETYPE,
    .defines = Derived_defines};
static HPyDef *Careless_defines[] = {&Careless_traverse, &Derived_set_more, NULL};
static HPyType_Spec Careless_spec = {
    .name = "mytest.Careless", .basicsize = sizeof(Derived), .builtin_shape = SHAPE(Derived),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_HAVE_GC, .defines = Careless_defines};

/* Not known to the garbage collector, but its fields are. */
static HPyType_Spec Untracked_spec = {
    .name = "mytest.Untracked", .basicsize = sizeof(Node), .builtin_shape = SHAPE(Node),
    .flags = HPy_TPFLAGS_DEFAULT, .defines = Node_defines};

typedef struct { HPyField field; } Bare;
HPyType_HELPERS(Bare)
HPyDef_SLOT(Bare_new, HPyType_GenericNew, HPy_tp_new)
HPyDef_METH(Bare_set, "set", HPyFunc_O)
static HPy Bare_set_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPyField_Store(ctx, self, &Bare_AsStruct(ctx, self)->field, arg);  /* stores without traverse */
    return HPy_Dup(ctx, ctx->h_None);
}
HPyDef_METH(Bare_get, "get", HPyFunc_NOARGS)
static HPy Bare_get_impl(HPyContext *ctx, HPy self)
{
    HPyField field = Bare_AsStruct(ctx, self)->field;
    return HPyField_IsNull(field) ? HPy_Dup(ctx, ctx->h_None) : HPyField_Load(ctx, self, field);
}
HPyDef_METH(Bare_clear, "clear", HPyFunc_NOARGS)
static HPy Bare_clear_impl(HPyContext *ctx, HPy self)
{
    HPyField_Store(ctx, self, &Bare_AsStruct(ctx, self)->field, HPy_NULL);
    return HPy_Dup(ctx, ctx->h_None);
}
static HPyDef *Bare_defines[] = {&Bare_new, &Bare_set, &Bare_get, &Bare_clear, NULL};
static HPyType_Spec Bare_spec = {
    .name = "mytest.Bare", .basicsize = sizeof(Bare), .builtin_shape = SHAPE(Bare),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_BASETYPE, .defines = Bare_defines};

HPyDef_SLOT(exec, HPy_mod_exec)
static int exec_impl(HPyContext *ctx, HPy module)
{
    HPyType_SpecParam base[2] = {{HPyType_SpecParam_Base, HPy_NULL}};
    int ok = HPyHelpers_AddType(ctx, module, "Untracked", &Untracked_spec, NULL) &&
             HPyHelpers_AddType(ctx, module, "Node", &Node_spec, NULL) &&
             HPyHelpers_AddType(ctx, module, "Bare", &Bare_spec, NULL);
    if (!ok)
        return -1;
    memset(&base[1], 0, sizeof(base[1]));
    base[0].object = HPy_GetAttr_s(ctx, module, "Node");
    ok = HPyHelpers_AddType(ctx, module, "Derived", &Derived_spec, base) &&
         HPyHelpers_AddType(ctx, module, "Careless", &Careless_spec, base);
    HPy_Close(ctx, base[0].object);
    return ok ? 0 : -1;
}
"""
