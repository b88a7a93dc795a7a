/* The operations that bench/compare.py times: loops in C over the API, and functions to be called
 * from Python.
 *
 * In the spelling that HPy 0.9 has too, so that the very same binary runs there. */
#include <stdlib.h>

#include "hpy.h"

#define NOINLINE __attribute__((noinline))
#define TEN(x) x x x x x x x x x x

/* A loop is a function that does the operation `n` times with `object`; what it returns keeps
 * compilers from leaving anything out. This makes NAME(n, object) for Python of one. */
#define LOOP(NAME)                                                                             \
    static long NAME##_loop(HPyContext *ctx, HPy object, long n);                              \
    HPyDef_METH(NAME, #NAME, HPyFunc_VARARGS)                                                  \
    static HPy NAME##_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)           \
    {                                                                                          \
        (void)self;                                                                            \
        if (nargs != 2) {                                                                      \
            HPyErr_SetString(ctx, ctx->h_TypeError, "wanted: " #NAME "(n, object)");           \
            return HPy_NULL;                                                                   \
        }                                                                                      \
        return HPyLong_FromLong(ctx, NAME##_loop(ctx, args[1], HPyLong_AsLong(ctx, args[0]))); \
    }                                                                                          \
    static long NAME##_loop(HPyContext *ctx, HPy object, long n)

LOOP(dup_close)
{
    long i;
    for (i = 0; i < n; i++)
        HPy_Close(ctx, HPy_Dup(ctx, object));
    return i;
}

/* A hundred functions of a hundred call sites each, with a number in each, or the compiler makes
 * one of all of them. `n` is rounded down to whole rounds. */
#define SITES(NUMBER)                                                \
    static NOINLINE long sites_##NUMBER(HPyContext *ctx, HPy object) \
    {                                                                \
        TEN(TEN(HPy_Close(ctx, HPy_Dup(ctx, object));))              \
        return 1##NUMBER;                                            \
    }
#define SITES_CALL(NUMBER) numbers += sites_##NUMBER(ctx, object);
#define DIGITS(DO, TENS) \
    DO(TENS##0)          \
    DO(TENS##1)          \
    DO(TENS##2)          \
    DO(TENS##3)          \
    DO(TENS##4)          \
    DO(TENS##5)          \
    DO(TENS##6)          \
    DO(TENS##7)          \
    DO(TENS##8)          \
    DO(TENS##9)
#define HUNDRED(DO) \
    DIGITS(DO, 0)   \
    DIGITS(DO, 1)   \
    DIGITS(DO, 2)   \
    DIGITS(DO, 3)   \
    DIGITS(DO, 4)   \
    DIGITS(DO, 5)   \
    DIGITS(DO, 6)   \
    DIGITS(DO, 7)   \
    DIGITS(DO, 8)   \
    DIGITS(DO, 9)
HUNDRED(SITES)
LOOP(dup_close_10000_sites)
{
    long i, numbers = 0;
    for (i = 0; i < n / 10000; i++) {
        HUNDRED(SITES_CALL)
    }
    return numbers;
}

/* One helper, called from a hundred places at the same depth. */
static NOINLINE void dup_and_close(HPyContext *ctx, HPy object)
{
    HPy_Close(ctx, HPy_Dup(ctx, object));
}

LOOP(dup_close_100_callers)
{
    long i;
    for (i = 0; i < n / 100; i++) {
        TEN(TEN(dup_and_close(ctx, object);))
    }
    return i;
}

/* 64 frames of the extension above the API call. */
static NOINLINE long deep(HPyContext *ctx, HPy object, long n, int depth)
{
    long i = 0;
    if (depth > 0) {
        i = deep(ctx, object, n, depth - 1);
    } else {
        for (; i < n; i++)
            HPy_Close(ctx, HPy_Dup(ctx, object));
    }
    __asm__ volatile("");
    return i;
}
LOOP(dup_close_64_deep)
{
    return deep(ctx, object, n, 64);
}

LOOP(long_roundtrip)
{
    long i, sum = 0;
    (void)object;
    for (i = 0; i < n; i++) {
        HPy h = HPyLong_FromLong(ctx, i);
        sum += HPyLong_AsLong(ctx, h);
        HPy_Close(ctx, h);
    }
    return sum;
}

LOOP(utf8_read_close)
{
    long i, sum = 0;
    for (i = 0; i < n; i++) {
        HPy h = HPy_Dup(ctx, object);
        sum += HPyUnicode_AsUTF8AndSize(ctx, h, NULL)[0];
        HPy_Close(ctx, h);
    }
    return sum;
}

LOOP(get_attribute)
{
    long i, sum = 0;
    for (i = 0; i < n; i++) {
        HPy h = HPy_GetAttr_s(ctx, object, "real");
        sum += HPy_Is(ctx, h, object);
        HPy_Close(ctx, h);
    }
    return sum;
}

/* `n` items, from the list's first again after its last. */
LOOP(list_sum)
{
    long i, sum = 0;
    HPy_ssize_t k = 0, length = HPy_Length(ctx, object);
    for (i = 0; i < n; i++) {
        HPy item = HPy_GetItem_i(ctx, object, k);
        sum += HPyLong_AsLong(ctx, item);
        HPy_Close(ctx, item);
        if (++k == length)
            k = 0;
    }
    return sum;
}

LOOP(tuple_of_three)
{
    long i;
    for (i = 0; i < n; i++) {
        HPy items[3];
        items[0] = items[1] = items[2] = object;
        HPy_Close(ctx, HPyTuple_FromArray(ctx, items, 3));
    }
    return i;
}

LOOP(list_builder_of_ten)
{
    long i;
    for (i = 0; i < n; i++) {
        int k;
        HPyListBuilder builder = HPyListBuilder_New(ctx, 10);
        for (k = 0; k < 10; k++)
            HPyListBuilder_Set(ctx, builder, k, object);
        HPy_Close(ctx, HPyListBuilder_Build(ctx, builder));
    }
    return i;
}

LOOP(build_string)
{
    long i;
    (void)object;
    for (i = 0; i < n; i++) {
        HPy text = HPyUnicode_FromString(ctx, "a string of some length");
        HPy_Close(ctx, HPy_Add(ctx, text, text));
        HPy_Close(ctx, text);
    }
    return i;
}

LOOP(dict_set_get)
{
    long i;
    HPy dict = HPyDict_New(ctx);
    for (i = 0; i < n; i++) {
        HPy key = HPyLong_FromLong(ctx, i & 255);
        HPy_SetItem(ctx, dict, key, object);
        HPy_Close(ctx, HPy_GetItem(ctx, dict, key));
        HPy_Close(ctx, key);
    }
    HPy_Close(ctx, dict);
    return i;
}

typedef struct {
    double x, y;
} Point;
HPyType_HELPERS(Point)

HPyDef_SLOT(Point_new, HPy_tp_new)
static HPy Point_new_impl(HPyContext *ctx, HPy type, const HPy *args, HPy_ssize_t nargs, HPy kw)
{
    Point *point;
    HPy h = HPy_New(ctx, type, &point);
    if (!HPy_IsNull(h))
        point->x = point->y = 1.0;
    return h;
}
HPyDef_METH(Point_norm, "norm", HPyFunc_NOARGS)
static HPy Point_norm_impl(HPyContext *ctx, HPy self)
{
    Point *point = Point_AsStruct(ctx, self);
    return HPyFloat_FromDouble(ctx, point->x * point->x + point->y * point->y);
}
HPyDef_MEMBER(Point_x, "x", HPyMember_DOUBLE, offsetof(Point, x))
static HPyDef *Point_defines[] = {&Point_new, &Point_norm, &Point_x, NULL};
static HPyType_Spec Point_spec = {.name = "ops.Point",
                                  .basicsize = sizeof(Point),
                                  .builtin_shape = SHAPE(Point),
                                  .defines = Point_defines};

LOOP(new_instance)
{
    long i;
    for (i = 0; i < n; i++) {
        Point *point;
        HPy h = HPy_New(ctx, object, &point);
        point->x = 1.0;
        HPy_Close(ctx, h);
    }
    return i;
}

/* Opens n handles and keeps them; release_handles() closes the newest n. */
static HPy *kept;
static size_t kept_count, kept_room;
HPyDef_METH(keep_handles, "keep_handles", HPyFunc_VARARGS)
static HPy keep_handles_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    size_t n = HPyLong_AsSize_t(ctx, args[0]);
    if (kept_count + n > kept_room) {
        kept_room = kept_count + n;
        kept = (HPy *)realloc(kept, kept_room * sizeof(HPy));
        if (kept == NULL)
            HPy_FatalError(ctx, "no memory for the handles");
    }
    while (n-- > 0)
        kept[kept_count++] = HPy_Dup(ctx, args[1]);
    return HPyLong_FromSize_t(ctx, kept_count);
}
HPyDef_METH(shuffle_handles, "shuffle_handles", HPyFunc_NOARGS)
static HPy shuffle_handles_impl(HPyContext *ctx, HPy self)
{
    unsigned long long state = 88172645463325252ull;
    size_t i;
    for (i = kept_count; i > 1; i--) {
        size_t other;
        HPy swapped;
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        other = (size_t)(state % i);
        swapped = kept[i - 1];
        kept[i - 1] = kept[other];
        kept[other] = swapped;
    }
    return HPy_Dup(ctx, ctx->h_None);
}
HPyDef_METH(release_handles, "release_handles", HPyFunc_O)
static HPy release_handles_impl(HPyContext *ctx, HPy self, HPy arg)
{
    size_t n = HPyLong_AsSize_t(ctx, arg);
    while (n-- > 0 && kept_count > 0)
        HPy_Close(ctx, kept[--kept_count]);
    return HPyLong_FromSize_t(ctx, kept_count);
}

/* As many levels as `depth` of a function that Python calls and that calls Python. */
HPyDef_METH(recurse, "recurse", HPyFunc_VARARGS)
static HPy recurse_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    HPy arguments[2], tuple, result;
    long depth = HPyLong_AsLong(ctx, args[0]);
    if (depth <= 0)
        return HPy_Dup(ctx, ctx->h_None);
    arguments[0] = HPyLong_FromLong(ctx, depth - 1);
    arguments[1] = args[1];
    tuple = HPyTuple_FromArray(ctx, arguments, 2);
    result = HPy_CallTupleDict(ctx, args[1], tuple, HPy_NULL);
    HPy_Close(ctx, tuple);
    HPy_Close(ctx, arguments[0]);
    return result;
}

/* Where bench/instructions.py has valgrind write down how many there were. */
NOINLINE void ops_mark(void);
NOINLINE void ops_mark(void)
{
    __asm__ volatile("");
}
HPyDef_METH(mark, "mark", HPyFunc_NOARGS)
static HPy mark_impl(HPyContext *ctx, HPy self)
{
    ops_mark();
    return HPy_Dup(ctx, ctx->h_None);
}

/* Called from Python. */
HPyDef_METH(call_noargs, "call_noargs", HPyFunc_NOARGS)
static HPy call_noargs_impl(HPyContext *ctx, HPy self)
{
    return HPy_Dup(ctx, ctx->h_None);
}
HPyDef_METH(call_o, "call_o", HPyFunc_O)
static HPy call_o_impl(HPyContext *ctx, HPy self, HPy arg)
{
    return HPy_Dup(ctx, ctx->h_None);
}
HPyDef_METH(call_varargs, "call_varargs", HPyFunc_VARARGS)
static HPy call_varargs_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    return HPy_Dup(ctx, ctx->h_None);
}
HPyDef_METH(call_keywords, "call_keywords", HPyFunc_KEYWORDS)
static HPy call_keywords_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs, HPy kwnames)
{
    static const char *names[] = {"a", "b", NULL};
    long a, b;
    if (!HPyArg_ParseKeywords(ctx, NULL, args, nargs, kwnames, "ll", names, &a, &b))
        return HPy_NULL;
    return HPyLong_FromLong(ctx, a + b);
}

HPyDef_SLOT(ops_exec, HPy_mod_exec)
static int ops_exec_impl(HPyContext *ctx, HPy module)
{
    HPy type = HPyType_FromSpec(ctx, &Point_spec, NULL);
    int status;
    if (HPy_IsNull(type))
        return -1;
    status = HPy_SetAttr_s(ctx, module, "Point", type);
    HPy_Close(ctx, type);
    return status;
}

static HPyDef *ops_defines[] = {
    /* loops */
    &dup_close, &dup_close_10000_sites, &dup_close_100_callers, &dup_close_64_deep, &long_roundtrip,
    &utf8_read_close, &get_attribute, &list_sum, &tuple_of_three, &list_builder_of_ten,
    &build_string, &dict_set_get, &new_instance,
    /* calls */
    &call_noargs, &call_o, &call_varargs, &call_keywords, &recurse,
    /* the rest */
    &keep_handles, &shuffle_handles, &release_handles, &mark, &ops_exec, NULL};
static HPyModuleDef ops_module = {.doc = "Operations to be timed.", .defines = ops_defines};
HPy_MODINIT(ops, ops_module)
