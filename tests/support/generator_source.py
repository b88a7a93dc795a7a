"""An extension whose one function runs small programs of API calls, for support.generator.

A program is bytes: an operation and four operands each. Each operation is a line of C of its own,
so that the line which a report must name is known. One compile serves any number of programs.
"""

from support.extension import line_of

# The registers of handles. Those from OWNED up are not closed when a call fails.
OWNED = 12
BORROWED = range(12, 16)
DEAD = range(16, 24)
NULL, FORGED = 24, 25
CODE, RUN, BOX_TYPE, PROGRAMS, AN_INT, A_STR, A_DICT, A_LIST, A_BYTES = ARGUMENTS = range(26, 35)
NONE, LONG_TYPE, VALUE_ERROR = CONSTANTS = range(35, 38)

# Operations that give a value: C, the kind of the result, the kinds of the operands a, b and c.
VALUES = {
    "LONG": ("HPyLong_FromLong(ctx, c)", "int", ()),
    "FLOAT": ("HPyFloat_FromDouble(ctx, c)", "float", ()),
    "TEXT": ('HPyUnicode_FromString(ctx, "a text")', "str", ()),
    "BYTES": ('HPyBytes_FromString(ctx, "bytes")', "bytes", ()),
    "LIST": ("HPyList_New(ctx, 0)", "list", ()),
    "DICT": ("HPyDict_New(ctx)", "dict", ()),
    "BOX": ("HPy_New(ctx, R[a], &box)", "box", ("box type",)),
    "DUP": ("HPy_Dup(ctx, R[a])", "any", ("any",)),
    "ADD": ("HPy_Add(ctx, R[a], R[b])", "int", ("int", "int")),
    "MULTIPLY": ("HPy_Multiply(ctx, R[a], R[b])", "float", ("float", "int")),
    "REPR": ("HPy_Repr(ctx, R[a])", "str", ("short",)),
    "STR": ("HPy_Str(ctx, R[a])", "str", ("int",)),
    "TYPE": ("HPy_Type(ctx, R[a])", "type", ("any",)),
    "ATTRIBUTE": ('HPy_GetAttr_s(ctx, R[a], "__class__")', "type", ("any",)),
    "ITEM": ("HPy_GetItem_i(ctx, R[a], 1)", "any", ("pair",)),
    "LOOK_UP": ("HPy_GetItem(ctx, R[a], R[b])", "any", ("filled dict", "key")),
    "PAIR": ("HPyTuple_Pack(ctx, 2, R[a], R[b])", "pair", ("any", "any")),
    "SLICE": ("HPyUnicode_Substring(ctx, R[a], 0, 3)", "str", ("str",)),
    "CALL": ("HPy_CallTupleDict(ctx, R[a], HPy_NULL, HPy_NULL)", "any", ("int type",)),
    "LOAD_GLOBAL": ("HPyGlobal_Load(ctx, listed)", "any", ()),
    "PROGRAM": ("HPy_GetItem_i(ctx, R[a], b)", "bytes", ("programs",)),
    "NESTED": ("(call[0] = R[a], HPy_Call(ctx, R[b], call, 9, HPy_NULL))", "any", ("code", "run")),
}
# Those that say whether they failed.
EFFECTS = {
    "APPEND": ("HPyList_Append(ctx, R[a], R[b])", ("list", "any")),
    "SET_ITEM": ("HPy_SetItem(ctx, R[a], R[b], R[c])", ("dict", "str", "any")),
    "SET_ITEM_S": ('HPy_SetItem_s(ctx, R[a], "key", R[b])', ("dict", "any")),
    "LENGTH": ("(int)HPy_Length(ctx, R[a])", ("list",)),
    "IS_TRUE": ("HPy_IsTrue(ctx, R[a])", ("any",)),
    "AS_LONG": ("HPyLong_AsLong(ctx, R[a]) == -1 ? -1 : 0", ("int",)),
    "CONTAINS": ("HPy_Contains(ctx, R[a], R[b])", ("list", "int")),
    "COMPARE": ("HPy_RichCompareBool(ctx, R[a], R[b], HPy_LT)", ("int", "int")),
    "STORE_GLOBAL": ("(HPyGlobal_Store(ctx, &listed, R[a]), 0)", ("any",)),
    "STORE_KEY": ("HPy_SetItem(ctx, R[a], R[b], R[b])", ("dict", "key")),
}
# Those that cannot fail, or that read C data.
LOOKS = {
    "IS_TUPLE": ("total += HPyTuple_Check(ctx, R[a])", ("any",)),
    "IS": ("total += HPy_Is(ctx, R[a], R[b])", ("any", "any")),
    "TYPE_CHECK": ("total += HPy_TypeCheck(ctx, R[a], R[b])", ("any", "type")),
    "STRUCT": ("total += Box_AsStruct(ctx, R[a])->count++", ("box",)),
    "READ_TEXT": ("text = HPyUnicode_AsUTF8AndSize(ctx, R[a], &size), sum(); CHECK_TEXT", ("str",)),
    "READ_BYTES": ("text = HPyBytes_AsString(ctx, R[a]), size = 5, sum(); CHECK_TEXT", ("bytes",)),
    "TYPE_NAME": ("text = HPyType_GetName(ctx, R[a]), size = 0, sum(); CHECK_TEXT", ("type",)),
}
OTHERS = {
    "CLOSE": "HPy_Close(ctx, R[a]), R[a] = a < OWNED ? HPy_NULL : R[a]",
    "CLOSE_TOO": "HPy_Close(ctx, R[a]), R[a] = a < OWNED ? HPy_NULL : R[a]",
    "COPY": "R[d] = R[a]",
    "FORGET": "R[a] = HPy_NULL",
    "LOSE": "lost[lost_count++] = R[a], R[a] = HPy_NULL",
    "KEEP": "lost[lost_count++] = HPy_Dup(ctx, R[a])",
    "STORE_FIELD": "HPyField_Store(ctx, R[a], &Box_AsStruct(ctx, R[a])->content, R[b])",
    "LOAD_FIELD": "R[d] = HPyField_Load(ctx, R[a], Box_AsStruct(ctx, R[a])->content); CHECK_VALUE",
    "STORE_STACK": "field = HPyField_NULL, HPyField_Store(ctx, R[a], &field, R[b])",
    "STORE_BARE": "HPyField_Store(ctx, R[a], &Bare_AsStruct(ctx, R[a])->content, R[b])",
    "BARE": "R[d] = HPy_New(ctx, R[a], &bare); CHECK_VALUE",
    "LONG_BOX": "R[d] = HPy_New(ctx, R[a], &box); CHECK_VALUE; ((char *)(box + 1))[c] = 1",
    "SHY": "R[d] = HPy_New(ctx, R[a], &shy); CHECK_VALUE",
    "STORE_SHY": "HPyField_Store(ctx, R[a], &Shy_AsStruct(ctx, R[a])->content, R[b])",
    "NOSY": "R[d] = HPy_New(ctx, R[a], &nosy); CHECK_VALUE; nosy->other = Box_AsStruct(ctx, R[b])",
    "NOSY_STOPS": "Nosy_AsStruct(ctx, R[a])->other = NULL",
    "NOISY": "R[d] = HPy_New(ctx, R[a], &noisy); CHECK_VALUE; noisy->when = b, noisy->what = c",
    "NOISY_STOPS": "Noisy_AsStruct(ctx, R[a])->when = 0",
    "REFERENTS": "R[d] = HPy_Call(ctx, R[b], &R[a], 1, HPy_NULL); CHECK_VALUE",
    "LEND": "lent = ctx, lent_handle = R[a]",
    "THREAD": "pthread_create(&thread, NULL, in_thread, &c), pthread_join(thread, NULL)",
    "TEXT_OF": "text = HPyUnicode_AsUTF8AndSize(ctx, R[a], &size); CHECK_TEXT",
    "TEXT_OF_BYTES": "text = HPyBytes_AsString(ctx, R[a]), size = 5; CHECK_TEXT",
    "TEXT_OF_TYPE": "text = HPyType_GetName(ctx, R[a]), size = c; CHECK_TEXT",
    "LOOK": "total += text[c]",
    "LOOK_BEHIND": "total += text[size + 1 + c]",
    "SCRIBBLE": "((char *)text)[0] = 'X'",
    "STORE_FORGOTTEN": "HPyGlobal_Store(ctx, &forgotten, R[a])",
    "STALE": "R[d] = HPy_Absolute(saved, R[a]); CHECK_VALUE",
    "NESTED_FAILS": "call[0] = R[a], bad = !HPy_IsNull(HPy_Call(ctx, R[RUN], call, 9, HPy_NULL))",
    "RAISE": 'HPyErr_SetString(ctx, ctx->h_ValueError, "of the program")',
    "RAISE_OBJECT": "HPyErr_SetObject(ctx, R[a], R[b])",
    "OCCURRED": "if (!HPyErr_Occurred(ctx)) goto fail",
    "MATCHES": "if (!HPyErr_ExceptionMatches(ctx, R[a])) goto fail",
    "CLEAR": "HPyErr_Clear(ctx); if (bad) goto fail",
    "LEAVE": "state = HPy_LeavePythonExecution(ctx), left = 1",
    "LEAVE_AGAIN": "state_too = HPy_LeavePythonExecution(ctx)",
    "WORK": "total = total * 31 + c",
    "REENTER_AGAIN": "HPy_ReenterPythonExecution(ctx, state_too)",
    "REENTER_WRONG": "state_too._i = 24 + c * 8, HPy_ReenterPythonExecution(ctx, state_too)",
    "REENTER": "HPy_ReenterPythonExecution(ctx, state), left = 0",
    "COPY_LISTS": "lists[d] = lists[a]",
    "COPY_TUPLES": "tuples[d] = tuples[a]",
    "COPY_TRACKER": "trackers[d] = trackers[a]",
    "LISTS_NEW": "lists[a] = HPyListBuilder_New(ctx, c)",
    "LISTS_SET": "HPyListBuilder_Set(ctx, lists[a], c, R[b])",
    "LISTS_BUILD": "R[d] = HPyListBuilder_Build(ctx, lists[a]), lists[a]._lst = 0; CHECK_VALUE",
    "LISTS_CANCEL": "HPyListBuilder_Cancel(ctx, lists[a]), lists[a]._lst = 0",
    "LISTS_FORGET": "lost_list = lists[a], lists[a]._lst = 0",
    "TUPLES_NEW": "tuples[a] = HPyTupleBuilder_New(ctx, c)",
    "TUPLES_SET": "HPyTupleBuilder_Set(ctx, tuples[a], c, R[b])",
    "TUPLES_BUILD": "R[d] = HPyTupleBuilder_Build(ctx, tuples[a]), tuples[a]._tup = 0; CHECK_VALUE",
    "TUPLES_CANCEL": "HPyTupleBuilder_Cancel(ctx, tuples[a]), tuples[a]._tup = 0",
    "TUPLES_FORGET": "lost_tuple = tuples[a], tuples[a]._tup = 0",
    "TRACKER_NEW": "trackers[a] = HPyTracker_New(ctx, c)",
    "TRACKER_ADD": "if (HPyTracker_Add(ctx, trackers[a], R[b])) goto fail",
    "TRACKER_FORGET_ALL": "HPyTracker_ForgetAll(ctx, trackers[a])",
    "TRACKER_CLOSE": "HPyTracker_Close(ctx, trackers[a]), trackers[a]._i = 0",
    "TRACKER_FORGET": "lost_tracker = trackers[a], trackers[a]._i = 0",
    "RETURN": "return R[a]",
}

_LINES = {name: f"R[d] = {c}; CHECK_VALUE" for name, (c, _, _) in VALUES.items()}
_LINES.update({name: f"if (({c}) < 0) goto fail" for name, (c, _) in EFFECTS.items()})
_LINES.update({name: c for name, (c, _) in LOOKS.items()})
_LINES.update(OTHERS)
NUMBERS = {name: number for number, name in enumerate(_LINES, 1)}
_CASES = "\n".join(f"        case OP_{name}: {c}; break;" for name, c in _LINES.items())
_ENUM = ", ".join(f"OP_{name} = {number}" for name, number in NUMBERS.items())

SOURCE = f"""
#include "hpy.h"
#include <pthread.h>

enum {{ OWNED = {OWNED}, NULLED = {NULL}, FORGED = {FORGED}, ARGUMENTS = {CODE}, RUN = {RUN} }};
enum {{ NONE = {NONE}, LONG_TYPE = {LONG_TYPE}, VALUE_ERROR = {VALUE_ERROR}, REGISTERS }};
enum {{ {_ENUM} }};

typedef struct {{ HPyField content; long count; }} Box;
HPyType_HELPERS(Box)

HPyDef_SLOT(Box_traverse, HPy_tp_traverse)
static int Box_traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{{
    HPy_VISIT(&((Box *)self)->content);
    return 0;
}}

static HPyDef *Box_defines[] = {{&Box_traverse, NULL}};
static HPyType_Spec Box_spec = {{
    .name = "mytest.Box",
    .basicsize = sizeof(Box),
    .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_HAVE_GC,
    .builtin_shape = SHAPE(Box),
    .defines = Box_defines,
}};

typedef struct {{ HPyField content; }} Bare;
HPyType_HELPERS(Bare)
static HPyType_Spec Bare_spec = {{
    .name = "mytest.Bare",
    .basicsize = sizeof(Bare),
    .flags = HPy_TPFLAGS_DEFAULT,
    .builtin_shape = SHAPE(Bare),
}};

/* What is used where no call is allowed: by a thread without the interpreter, and by slots. */
static HPyContext *lent;
static HPy lent_handle;

static void use_lent(int what)
{{
    if (what == 0)
        HPy_Dup(lent, lent_handle);  /* lent 0 */
    else if (what == 1)
        HPy_Close(lent, lent_handle);  /* lent 1 */
    else
        HPyErr_SetString(lent, lent->h_ValueError, "of nobody");  /* lent 2 */
}}

static void *in_thread(void *what)
{{
    use_lent(*(int *)what);
    return NULL;
}}

/* Its traverse does not visit what it has. */
typedef struct {{ HPyField content; }} Shy;
HPyType_HELPERS(Shy)
HPyDef_SLOT(Shy_traverse, HPy_tp_traverse)
static int Shy_traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{{
    return 0;
}}

/* Its traverse visits what another has. */
typedef struct {{ Box *other; }} Nosy;
HPyType_HELPERS(Nosy)
HPyDef_SLOT(Nosy_traverse, HPy_tp_traverse)
static int Nosy_traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{{
    if (((Nosy *)self)->other != NULL)
        HPy_VISIT(&((Nosy *)self)->other->content);  /* nosy visits */
    return 0;
}}

/* Its traverse (when: 1) or destroy (2) calls the API. */
typedef struct {{ int when, what; }} Noisy;
HPyType_HELPERS(Noisy)
HPyDef_SLOT(Noisy_traverse, HPy_tp_traverse)
static int Noisy_traverse_impl(void *self, HPyFunc_visitproc visit, void *arg)
{{
    if (((Noisy *)self)->when == 1)
        use_lent(((Noisy *)self)->what);
    return 0;
}}
HPyDef_SLOT(Noisy_destroy, HPy_tp_destroy)
static void Noisy_destroy_impl(void *self)
{{
    if (((Noisy *)self)->when == 2)
        use_lent(((Noisy *)self)->what);
}}

#define TYPE(NAME, ...) \\
    static HPyDef *NAME##_defines[] = {{__VA_ARGS__, NULL}}; \\
    static HPyType_Spec NAME##_spec = {{ \\
        .name = "mytest." #NAME, \\
        .basicsize = sizeof(NAME), \\
        .flags = HPy_TPFLAGS_DEFAULT | HPy_TPFLAGS_HAVE_GC, \\
        .builtin_shape = SHAPE(NAME), \\
        .defines = NAME##_defines, \\
    }};
TYPE(Shy, &Shy_traverse)
TYPE(Nosy, &Nosy_traverse)
TYPE(Noisy, &Noisy_traverse, &Noisy_destroy)

HPyDef_SLOT(add_types, HPy_mod_exec)
static int add_types_impl(HPyContext *ctx, HPy module)
{{
    return HPyHelpers_AddType(ctx, module, "Box", &Box_spec, NULL) &&
                   HPyHelpers_AddType(ctx, module, "Bare", &Bare_spec, NULL) &&
                   HPyHelpers_AddType(ctx, module, "Noisy", &Noisy_spec, NULL) &&
                   HPyHelpers_AddType(ctx, module, "Shy", &Shy_spec, NULL) &&
                   HPyHelpers_AddType(ctx, module, "Nosy", &Nosy_spec, NULL)
               ? 0
               : -1;
}}

static HPyGlobal listed;
HPyGlobal forgotten;
static HPyContext *saved;
static volatile long total;
static HPy_ssize_t size;
static const char *text;

/* The size in bytes and the terminating NUL are the caller's to read. */
static void sum(void)
{{
    HPy_ssize_t i;
    for (i = 0; text != NULL && i <= size; i++)
        total += text[i];
}}

HPyDef_METH(save, "save", HPyFunc_NOARGS)
static HPy save_impl(HPyContext *ctx, HPy self)
{{
    saved = ctx;
    return HPy_Dup(ctx, ctx->h_None);
}}

static HPy lost[8];
static int lost_count;
static HPyListBuilder lost_list;
static HPyTupleBuilder lost_tuple;
static HPyTracker lost_tracker;

/* Closes what programs have left open. */
HPyDef_METH(drop, "drop", HPyFunc_NOARGS)
static HPy drop_impl(HPyContext *ctx, HPy self)
{{
    while (lost_count > 0)
        HPy_Close(ctx, lost[--lost_count]);
    if (lost_list._lst != 0)
        HPyListBuilder_Cancel(ctx, lost_list), lost_list._lst = 0;
    if (lost_tuple._tup != 0)
        HPyTupleBuilder_Cancel(ctx, lost_tuple), lost_tuple._tup = 0;
    if (lost_tracker._i != 0)
        HPyTracker_Close(ctx, lost_tracker), lost_tracker._i = 0;
    return HPy_Dup(ctx, ctx->h_None);
}}

HPyDef_METH(run, "run", HPyFunc_VARARGS)
static HPy run_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{{  /* run begins */
    HPy R[REGISTERS] = {{{{0}}}}, call[9];
    HPyListBuilder lists[8] = {{{{0}}}};
    HPyTupleBuilder tuples[8] = {{{{0}}}};
    HPyTracker trackers[8] = {{{{0}}}};
    HPyThreadState state = {{0}}, state_too = {{0}};
    HPyField field;
    Box *box;
    Bare *bare;
    Shy *shy;
    Nosy *nosy;
    Noisy *noisy;
    pthread_t thread;
    unsigned char code[4096];
    const char *program = HPyBytes_AsString(ctx, args[0]);
    HPy_ssize_t length = HPyBytes_Size(ctx, args[0]), next = 0;
    int left = 0, bad = 0, i;

    for (next = 0; next < length; next++)
        code[next] = (unsigned char)program[next];
    for (i = 0; i < 9; i++)
        R[ARGUMENTS + i] = call[i] = args[i];
    R[FORGED]._i = 0x123456;
    R[NONE] = ctx->h_None;
    R[LONG_TYPE] = ctx->h_LongType;
    R[VALUE_ERROR] = ctx->h_ValueError;
    (void)box, (void)bare, (void)shy;
    for (next = 0; next < length; next += 5) {{
        int d = code[next + 1], a = code[next + 2], b = code[next + 3], c = code[next + 4];
#define CHECK_VALUE if (HPy_IsNull(R[d])) goto fail
#define CHECK_TEXT if (text == NULL) goto fail
        switch (code[next]) {{
{_CASES}
        }}
    }}
fail:
    if (left)
        HPy_ReenterPythonExecution(ctx, state);
    for (i = 0; i < OWNED; i++)
        HPy_Close(ctx, R[i]);
    for (i = 0; i < 4; i++) {{
        if (lists[i]._lst != 0)
            HPyListBuilder_Cancel(ctx, lists[i]);
        if (tuples[i]._tup != 0)
            HPyTupleBuilder_Cancel(ctx, tuples[i]);
        if (trackers[i]._i != 0)
            HPyTracker_Close(ctx, trackers[i]);
    }}
    return HPy_NULL;
}}

static HPyDef *defines[] = {{&add_types, &save, &drop, &run, NULL}};
static HPyGlobal *globals[] = {{&listed, NULL}};
static HPyModuleDef def = {{.defines = defines, .globals = globals}};
HPy_MODINIT(mytest, def)
"""

LINES = {name: line_of(SOURCE, f"case OP_{name}:") for name in NUMBERS}
CALL_LINE = line_of(SOURCE, "/* run begins */")
VISIT_LINE = line_of(SOURCE, "/* nosy visits */")
LENT_LINES = [line_of(SOURCE, f"/* lent {what} */") for what in range(3)]
