"""The module of tests/test_argparse.py: it hands any format and any arguments to HPyArg_Parse*.

It passes eight variables of the largest size, filled with a pattern, and gives back what the format
says they hold; a variable that still has the pattern comes back as Ellipsis.
"""

SOURCE = r"""
#include "hpy.h"
#include <string.h>

enum { N = 8 };

typedef union {
    unsigned char bytes[16];
    signed char c; unsigned char b; short h; unsigned short H; int i; unsigned int I; long l;
    unsigned long k; long long L; unsigned long long K; HPy_ssize_t n; float f; double d; HPy O;
    const char *s;
} Var;

static void fill(Var *v)
{
    memset(v, 0x5a, N * sizeof(Var));
}

static HPy value(HPyContext *ctx, const Var *v, char unit)
{
    Var untouched[N];
    fill(untouched);
    if (memcmp(v, untouched, sizeof(Var)) == 0)
        return HPy_Dup(ctx, ctx->h_Ellipsis);
    switch (unit) {
    case 'b': case 'B': return HPyLong_FromLong(ctx, v->b);
    case 'h': return HPyLong_FromLong(ctx, v->h);
    case 'H': return HPyLong_FromLong(ctx, v->H);
    case 'i': case 'p': return HPyLong_FromLong(ctx, v->i);
    case 'I': return HPyLong_FromUnsignedLong(ctx, v->I);
    case 'l': return HPyLong_FromLong(ctx, v->l);
    case 'k': return HPyLong_FromUnsignedLong(ctx, v->k);
    case 'L': return HPyLong_FromLongLong(ctx, v->L);
    case 'K': return HPyLong_FromUnsignedLongLong(ctx, v->K);
    case 'n': return HPyLong_FromSsize_t(ctx, v->n);
    case 'f': return HPyFloat_FromDouble(ctx, v->f);
    case 'd': return HPyFloat_FromDouble(ctx, v->d);
    case 'O': return HPy_Dup(ctx, v->O);
    case 's': return HPyUnicode_FromString(ctx, v->s);
    default: return HPyErr_SetString(ctx, ctx->h_AssertionError, "success with a wrong unit");
    }
}

static HPy values(HPyContext *ctx, const Var *v, const char *fmt)
{
    HPy list = HPyList_New(ctx, 0);
    for (; *fmt != '\0' && *fmt != ':' && *fmt != ';'; fmt++) {
        HPy item;
        int status;
        if (*fmt == '|' || *fmt == '$')
            continue;
        item = value(ctx, v++, *fmt);
        if (HPy_IsNull(item)) {
            HPy_Close(ctx, list);
            return HPy_NULL;
        }
        status = HPyList_Append(ctx, list, item);
        HPy_Close(ctx, item);
        if (status < 0) {
            HPy_Close(ctx, list);
            return HPy_NULL;
        }
    }
    return list;
}

#define VARS &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]

/* What a parser gave: its variables as a list. It must have told the truth about success. */
static HPy finish(HPyContext *ctx, int status, HPyTracker *ht, const Var *v, const char *fmt)
{
    HPy result;
    if (status != 0 && status != 1)
        HPy_FatalError(ctx, "the result is neither 0 nor 1");
    if (status == HPyErr_Occurred(ctx))
        HPy_FatalError(ctx, "success with an exception, or failure without one");
    if (status == 0)
        return HPy_NULL;
    result = values(ctx, v, fmt);
    if (ht != NULL)
        HPyTracker_Close(ctx, *ht);
    return result;
}

/* parse(fmt, tracker, *args) */
HPyDef_METH(parse, "parse", HPyFunc_VARARGS)
static HPy parse_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    Var v[N];
    HPyTracker ht, *pht = HPy_IsTrue(ctx, args[1]) ? &ht : NULL;
    const char *fmt = HPyUnicode_AsUTF8AndSize(ctx, args[0], NULL);
    fill(v);
    return finish(ctx, HPyArg_Parse(ctx, pht, args + 2, nargs - 2, fmt, VARS), pht, v, fmt);
}

typedef struct { const char *list[N + 2]; HPy handles[N + 2]; size_t n; } Names;

static void get_names(HPyContext *ctx, HPy tuple, Names *names)
{
    names->n = (size_t)HPy_Length(ctx, tuple);
    for (size_t i = 0; i < names->n; i++) {
        names->handles[i] = HPy_GetItem_i(ctx, tuple, (HPy_ssize_t)i);
        names->list[i] = HPyUnicode_AsUTF8AndSize(ctx, names->handles[i], NULL);
    }
    names->list[names->n] = NULL;
}

static void close_names(HPyContext *ctx, Names *names)
{
    for (size_t i = 0; i < names->n; i++)
        HPy_Close(ctx, names->handles[i]);
}

/* keywords(fmt, tracker, names, *args, **kw) */
HPyDef_METH(keywords, "keywords", HPyFunc_KEYWORDS)
static HPy keywords_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs, HPy kwnames)
{
    Var v[N];
    Names names;
    HPy result;
    HPyTracker ht, *pht = HPy_IsTrue(ctx, args[1]) ? &ht : NULL;
    const char *fmt = HPyUnicode_AsUTF8AndSize(ctx, args[0], NULL);
    fill(v);
    get_names(ctx, args[2], &names);
    result = finish(ctx, HPyArg_ParseKeywords(ctx, pht, args + 3, nargs - 3, kwnames, fmt,
                                              names.list, VARS), pht, v, fmt);
    close_names(ctx, &names);
    return result;
}

/* keywords_dict(fmt, tracker, names, dict_function, args, kw): kw is any object, None is null */
HPyDef_METH(keywords_dict, "keywords_dict", HPyFunc_VARARGS)
static HPy keywords_dict_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    Var v[N];
    Names names;
    HPy result, items[16], kw = HPy_Is(ctx, args[5], ctx->h_None) ? HPy_NULL : args[5];
    size_t n = (size_t)HPy_Length(ctx, args[4]);
    int status;
    HPyTracker ht, *pht = HPy_IsTrue(ctx, args[1]) ? &ht : NULL;
    const char *fmt = HPyUnicode_AsUTF8AndSize(ctx, args[0], NULL);
    fill(v);
    get_names(ctx, args[2], &names);
    for (size_t i = 0; i < n; i++)
        items[i] = HPy_GetItem_i(ctx, args[4], (HPy_ssize_t)i);
    if (HPy_IsTrue(ctx, args[3]))
        status = HPyArg_ParseKeywordsDict(ctx, pht, items, (HPy_ssize_t)n, kw, fmt, names.list,
                                          VARS);
    else
        status = HPyArg_ParseKeywords(ctx, pht, items, n, kw, fmt, names.list, VARS);
    result = finish(ctx, status, pht, v, fmt);
    for (size_t i = 0; i < n; i++)
        HPy_Close(ctx, items[i]);
    close_names(ctx, &names);
    return result;
}

/* negative_nargs(): of HPyArg_ParseKeywordsDict */
HPyDef_METH(negative_nargs, "negative_nargs", HPyFunc_NOARGS)
static HPy negative_nargs_impl(HPyContext *ctx, HPy self)
{
    const char *names[] = {"a", NULL};
    long a;
    HPyArg_ParseKeywordsDict(ctx, NULL, NULL, -1, HPy_NULL, "l", names, &a);
    return HPy_NULL;
}
"""
