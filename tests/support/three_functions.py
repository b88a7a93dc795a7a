"""Every kind of mistake at three functions of the API, or three boundaries where it has fewer.

Each row is a function of one extension, SOURCE.
"""

from support.three_calls import EXECUTION, HANDLES
from support.three_records import BUFFERS, BUILDERS, FIELDS, STRUCTS, TRACKERS

# Why the rows of a kind name fewer functions of the API than three: there are no more where it can
# be made. They are at three boundaries then, or found at three moments.
FEW_FUNCTIONS = {
    "double-close": "HPy_Close and HPyTracker_Close close handles",
    "close-of-argument": "HPy_Close and HPyTracker_Close close handles",
    "close-of-constant": "HPy_Close and HPyTracker_Close close handles",
    "return-of-argument": "made by the return",
    "return-of-constant": "made by the return",
    "return-of-closed": "made by the return",
    "nested-leave": "HPy_LeavePythonExecution alone leaves",
    "reenter-mismatch": "HPy_ReenterPythonExecution alone re-enters",
    "leave-not-reentered": "made by the return",
    "error-without-exception": "made by the return",
    "result-with-exception": "made by the return",
    "builder-leak": "there are two builders",
    "builder-index": "there are two builders",
    "builder-unfilled": "there are two builders",
    "tracker-leak": "HPyTracker_New alone makes trackers",
    "struct-overrun": "HPy_New alone makes structs",
    "field-not-visited": "HPyField_Store alone stores in fields",
    "field-not-owned": "made by the visit",
    "field-without-traverse": "HPyField_Store alone stores in fields",
    "field-on-stack": "HPyField_Store alone is given the address of a field",
    "global-not-registered": "HPyGlobal_Store and HPyGlobal_Load use globals",
}
_ALL = [*HANDLES, *EXECUTION, *BUILDERS, *TRACKERS, *BUFFERS, *STRUCTS, *FIELDS]
ROWS = [row.finish(number) for number, row in enumerate(_ALL)]

_TYPES = ["Box", "Bare", "Shy", *filter(None, (row.type_name for row in ROWS))]
SOURCE = """\
#include "hpy.h"
#include <pthread.h>
#include <stdint.h>
#include <string.h>

typedef struct { HPyField content; long value; } Box;
HPyType_HELPERS(Box)
typedef struct { HPyField content; } Bare;
HPyType_HELPERS(Bare)
typedef struct { HPyField content; } Shy;
HPyType_HELPERS(Shy)

static HPyContext *kept;
static HPy kept_handle;
static Box *stranger;
static volatile char seen;
HPyGlobal forgotten;

enum { PLAIN = HPy_TPFLAGS_DEFAULT, GC = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_HAVE_GC };
HPyDef_SLOT(make, HPyType_GenericNew, HPy_tp_new)
#define TYPE(NAME_, define, flags_) \\
    static HPyDef *NAME_##_defines[] = {&make, define, NULL}; \\
    static HPyType_Spec NAME_##_spec = { \\
        .name = "mytest." #NAME_, .basicsize = sizeof(Box), .flags = flags_, \\
        .builtin_shape = HPyType_BuiltinShape_Object, .defines = NAME_##_defines};

HPyDef_SLOT(Box_traverse, HPy_tp_traverse)
static int Box_traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{
    HPy_VISIT(&((Box *)self)->content);
    return 0;
}
HPyDef_SLOT(Shy_traverse, HPy_tp_traverse)
static int Shy_traverse_impl(void *self, HPyFunc_visitproc visit, void *arg) { return 0; }
TYPE(Box, &Box_traverse, GC)
TYPE(Shy, &Shy_traverse, GC)
TYPE(Bare, NULL, PLAIN)

HPyDef_METH(save, "save", HPyFunc_NOARGS)
static HPy save_impl(HPyContext *ctx, HPy self)
{
    kept = ctx;
    return HPy_Dup(ctx, ctx->h_None);
}
/* call(function): its result. */
HPyDef_METH(call, "call", HPyFunc_O)
static HPy call_impl(HPyContext *ctx, HPy self, HPy function)
{
    return HPy_Call(ctx, function, NULL, 0, HPy_NULL);
}
/* meet(box): the one whose field others visit. */
HPyDef_METH(meet, "meet", HPyFunc_O)
static HPy meet_impl(HPyContext *ctx, HPy self, HPy box)
{
    HPyField_Store(ctx, box, &Box_AsStruct(ctx, box)->content, box);
    stranger = Box_AsStruct(ctx, box);
    return HPy_Dup(ctx, ctx->h_None);
}
/* store(object) stores in its own field. */
HPyDef_METH(store, "store", HPyFunc_O)
static HPy store_impl(HPyContext *ctx, HPy self, HPy object)
{
    HPyField_Store(ctx, object, &Box_AsStruct(ctx, object)->content, ctx->h_None);
    return HPy_Dup(ctx, ctx->h_None);
}

"""
SOURCE += "\n".join(row.c() for row in ROWS)
SOURCE += "\nHPyDef_SLOT(add_types, HPy_mod_exec)"
SOURCE += "\nstatic int add_types_impl(HPyContext *ctx, HPy module)\n{\n"
for _name in _TYPES:
    SOURCE += (
        f'    if (!HPyHelpers_AddType(ctx, module, "{_name}", &{_name}_spec, NULL)) return -1;\n'
    )
SOURCE += "    return 0;\n}\n"
