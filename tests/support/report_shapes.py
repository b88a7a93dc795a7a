"""A C file with the shapes in which extensions call the API, for the tests of the lines of reports.

Each function of the module makes one mistake. The comments at the ends of the lines say what
happens there: `leak`, `use opens`, `use closes`.
"""

# No two helpers have equal bodies: compilers make one function of such, and then name either.
SOURCE = r"""
#include "hpy.h"

#define NOINLINE __attribute__((noinline))
#define FORCE_INLINE inline __attribute__((always_inline))
#define NONE HPy_Dup(ctx, ctx->h_None)

/* Leaks. */

HPyDef_METH(leak, "leak", HPyFunc_NOARGS)
static HPy leak_impl(HPyContext *ctx, HPy self)
{
    HPy h = HPyLong_FromLong(ctx, 1001);  /* leak */
    if (HPy_IsNull(h))
        return HPy_NULL;
    return NONE;
}

static NOINLINE HPy make_in_tail(HPyContext *ctx, long x)
{
    return HPyLong_FromLong(ctx, x);  /* make_in_tail */
}

HPyDef_METH(leak_in_tail, "leak_in_tail", HPyFunc_NOARGS)
static HPy leak_in_tail_impl(HPyContext *ctx, HPy self)
{
    make_in_tail(ctx, 1002);  /* leak_in_tail */
    return NONE;
}

static NOINLINE HPy choose_in_tail(HPyContext *ctx, long x)
{
    switch (x) {
    case 0:
        return HPyLong_FromLong(ctx, 1003);  /* choose 0 */
    case 1:
        return HPyFloat_FromDouble(ctx, 1.5);  /* choose 1 */
    case 2:
        return HPyUnicode_FromString(ctx, "two");  /* choose 2 */
    default:
        return HPyBytes_FromString(ctx, "three");  /* choose 3 */
    }
}

HPyDef_METH(leak_chosen, "leak_chosen", HPyFunc_O)
static HPy leak_chosen_impl(HPyContext *ctx, HPy self, HPy arg)
{
    choose_in_tail(ctx, HPyLong_AsLong(ctx, arg));  /* leak_chosen */
    return NONE;
}

static FORCE_INLINE HPy make_inlined(HPyContext *ctx, long x)
{
    return HPyLong_FromLong(ctx, x + 7);  /* make_inlined */
}

HPyDef_METH(leak_inlined, "leak_inlined", HPyFunc_NOARGS)
static HPy leak_inlined_impl(HPyContext *ctx, HPy self)
{
    HPy h = make_inlined(ctx, 1004);  /* leak_inlined */
    if (HPy_IsNull(h))
        return HPy_NULL;
    return NONE;
}

/* Inlined from -O1 on, or -O2. */
static HPy make_small(HPyContext *ctx, long x)
{
    return HPyLong_FromLong(ctx, x * 3);  /* make_small */
}

static FORCE_INLINE HPy make_inlined_twice(HPyContext *ctx, long x)
{
    HPy h = make_small(ctx, x + 1);  /* make_inlined_twice */
    return h;
}

HPyDef_METH(leak_inlined_twice, "leak_inlined_twice", HPyFunc_NOARGS)
static HPy leak_inlined_twice_impl(HPyContext *ctx, HPy self)
{
    HPy h = make_inlined_twice(ctx, 1005);  /* leak_inlined_twice */
    if (HPy_IsNull(h))
        return HPy_NULL;
    return NONE;
}

static NOINLINE int inner(HPyContext *ctx, HPy list, long x)
{
    HPy item = HPyLong_FromLong(ctx, x);  /* inner */
    int error = HPyList_Append(ctx, list, item);
    return error;
}

static NOINLINE int outer(HPyContext *ctx, HPy list)
{
    int error = inner(ctx, list, 1006);  /* outer */
    return error + 1;
}

HPyDef_METH(leak_two_levels, "leak_two_levels", HPyFunc_NOARGS)
static HPy leak_two_levels_impl(HPyContext *ctx, HPy self)
{
    HPy list = HPyList_New(ctx, 0);
    int error = outer(ctx, list);  /* leak_two_levels */
    HPy_Close(ctx, list);
    return error == 1 ? NONE : HPy_NULL;
}

/* A function of HPy's headers that calls the API, and one of its library that is linked. */
HPyDef_METH(leak_pack, "leak_pack", HPyFunc_O)
static HPy leak_pack_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPyTuple_Pack(ctx, 2, arg, arg);  /* leak_pack */
    if (HPy_IsNull(h))
        return HPy_NULL;
    return NONE;
}

HPyDef_METH(leak_built, "leak_built", HPyFunc_NOARGS)
static HPy leak_built_impl(HPyContext *ctx, HPy self)
{
    HPy h = HPy_BuildValue(ctx, "(ii)", 10, 11);  /* leak_built */
    if (HPy_IsNull(h))
        return HPy_NULL;
    return NONE;
}

#define DUPLICATE(object) HPy_Dup(ctx, object)

HPyDef_METH(leak_in_macro, "leak_in_macro", HPyFunc_VARARGS)
static HPy leak_in_macro_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    HPy h = nargs ? DUPLICATE(args[0]) : HPy_NULL;  /* leak_in_macro */
    if (HPy_IsNull(h))
        return HPy_NULL;
    return NONE;
}

HPyDef_METH(leak_in_loop, "leak_in_loop", HPyFunc_O)
static HPy leak_in_loop_impl(HPyContext *ctx, HPy self, HPy arg)
{
    int i;
    for (i = 0; i < 4; i++)
        HPy_Dup(ctx, arg);  /* leak_in_loop */
    return NONE;
}

HPyDef_METH(leak_on_cold_path, "leak_on_cold_path", HPyFunc_O)
static HPy leak_on_cold_path_impl(HPyContext *ctx, HPy self, HPy arg)
{
    if (__builtin_expect(HPy_Is(ctx, arg, ctx->h_None), 0)) {
        HPy text = HPyUnicode_FromString(ctx, "none");  /* leak_on_cold_path */
        HPyErr_SetObject(ctx, ctx->h_ValueError, text);
        return HPy_NULL;
    }
    return NONE;
}

/* The result of a function, which Python closes, so that this opens what is no leak. */
HPyDef_METH(return_long, "return_long", HPyFunc_NOARGS)
static HPy return_long_impl(HPyContext *ctx, HPy self)
{
    return HPyLong_FromLong(ctx, 1007);  /* return_long */
}

/* The function itself makes a tail call, as in a binary that other headers made. */
HPyDef_METH(return_bare, "return_bare", HPyFunc_NOARGS)
static HPy return_bare_impl(HPyContext *ctx, HPy self)  /* return_bare begins */
{
    return ctx->ctx_Float_FromDouble(ctx, 1008.0);  /* return_bare */
}

/* Misuse. */

HPyDef_METH(use, "use", HPyFunc_O)
static HPy use_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);  /* use opens */
    HPy_Close(ctx, h);  /* use closes */
    HPy_Length(ctx, h);  /* use uses */
    return HPy_NULL;
}

HPyDef_METH(use_in_tail, "use_in_tail", HPyFunc_O)
static HPy use_in_tail_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Repr(ctx, arg);  /* use_in_tail opens */
    HPy_Close(ctx, h);  /* use_in_tail closes */
    return HPy_Str(ctx, h);  /* use_in_tail uses */
}

HPyDef_METH(use_in_tail_keywords, "use_in_tail_keywords", HPyFunc_KEYWORDS)
static HPy use_in_tail_keywords_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs,
                                     HPy kwnames)
{
    HPy h = HPy_Type(ctx, args[0]);  /* use_in_tail_keywords opens */
    HPy_Close(ctx, h);  /* use_in_tail_keywords closes */
    return HPy_ASCII(ctx, h);  /* use_in_tail_keywords uses */
}

static NOINLINE void close_in_tail(HPyContext *ctx, HPy h)
{
    HPy_Close(ctx, h);  /* close_in_tail */
}

static NOINLINE HPy add_in_tail(HPyContext *ctx, HPy a, HPy b)
{
    return HPy_Add(ctx, a, b);  /* add_in_tail */
}

HPyDef_METH(use_in_helpers, "use_in_helpers", HPyFunc_O)
static HPy use_in_helpers_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = make_in_tail(ctx, 1009);  /* use_in_helpers opens */
    close_in_tail(ctx, h);  /* use_in_helpers closes */
    HPy sum = add_in_tail(ctx, arg, h);  /* use_in_helpers uses */
    HPy_Close(ctx, sum);
    return HPy_NULL;
}

static FORCE_INLINE void release(HPyContext *ctx, HPy *h)
{
    HPy_Close(ctx, *h);  /* release */
}

static FORCE_INLINE long value_of(HPyContext *ctx, HPy h)
{
    return HPyLong_AsLong(ctx, h);  /* value_of */
}

HPyDef_METH(use_inlined, "use_inlined", HPyFunc_NOARGS)
static HPy use_inlined_impl(HPyContext *ctx, HPy self)
{
    HPy h = make_inlined(ctx, 1010);  /* use_inlined opens */
    release(ctx, &h);  /* use_inlined closes */
    long value = value_of(ctx, h);  /* use_inlined uses */
    return value == -1 ? HPy_NULL : NONE;
}

HPyDef_METH(close_twice, "close_twice", HPyFunc_O)
static HPy close_twice_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);  /* close_twice opens */
    HPy_Close(ctx, h);  /* close_twice closes */
    HPy_Close(ctx, h);  /* close_twice again */
    return NONE;
}

HPyDef_METH(close_twice_in_helpers, "close_twice_in_helpers", HPyFunc_O)
static HPy close_twice_in_helpers_impl(HPyContext *ctx, HPy self, HPy arg)
{
    HPy h = HPy_Dup(ctx, arg);  /* close_twice_in_helpers opens */
    release(ctx, &h);  /* close_twice_in_helpers closes */
    close_in_tail(ctx, h);  /* close_twice_in_helpers again */
    return NONE;
}

/* Methods and slots of a type. */

typedef struct { long x; } Thing;
HPyType_HELPERS(Thing)

HPyDef_SLOT(Thing_new, HPy_tp_new)
static HPy Thing_new_impl(HPyContext *ctx, HPy cls, const HPy *args, HPy_ssize_t nargs, HPy kw)
{
    Thing *thing;
    HPyLong_FromLong(ctx, 1011);  /* Thing_new */
    return HPy_New(ctx, cls, &thing);
}

HPyDef_SLOT(Thing_add, HPy_nb_add)
static HPy Thing_add_impl(HPyContext *ctx, HPy a, HPy b)
{
    HPy_Dup(ctx, b);  /* Thing_add */
    return HPy_Dup(ctx, a);
}

HPyDef_GET(Thing_x, "x")
static HPy Thing_x_get(HPyContext *ctx, HPy self, void *closure)
{
    HPy h = HPyLong_FromLong(ctx, 1012);  /* Thing_x opens */
    HPy_Close(ctx, h);  /* Thing_x closes */
    return HPy_Negative(ctx, h);  /* Thing_x uses */
}

static HPyDef *Thing_defines[] = {&Thing_new, &Thing_add, &Thing_x, NULL};
static HPyType_Spec Thing_spec = {
    "mytest.Thing", sizeof(Thing), 0, HPy_TPFLAGS_DEFAULT, {HPyType_BuiltinShape_Object},
    NULL, Thing_defines, NULL,
};

HPyDef_SLOT(add_types, HPy_mod_exec)
static int add_types_impl(HPyContext *ctx, HPy module)
{
    return HPyHelpers_AddType(ctx, module, "Thing", &Thing_spec, NULL) ? 0 : -1;
}
"""
