"""A C module that hands any format with any arguments to the variadic functions of HPy.

C cannot make a list of variadic arguments at run time. But where integers and pointers travel in
one row of registers and doubles in another, as on x86-64 and AArch64, it is enough to pass 16 of
the former, then 8 of the latter, whatever the order of the units in the format.

    build(fmt, *args)         HPy_BuildValue
    format(fmt, *args)        HPyUnicode_FromFormat
    format_v(fmt, *args)      HPyUnicode_FromFormatV
    raise_(type, fmt, *args)  HPyErr_Format

A format is bytes. An argument is an int (any integer, a pointer), a float, bytes (a C string), None
(NULL or HPy_NULL) or [object] (a handle). What is not given is 0.
"""

import platform

SUPPORTED = platform.machine() in ("x86_64", "aarch64") and platform.system() == "Linux"

SOURCE = r"""
#include "hpy.h"

enum { INTEGERS = 16, DOUBLES = 8 };

typedef struct {
    intptr_t i[INTEGERS];
    double d[DOUBLES];
    HPy handles[INTEGERS];
    int n_integers, n_doubles, n_handles;
} Values;

static void get_values(HPyContext *ctx, const HPy *args, size_t nargs, Values *v)
{
    for (int i = 0; i < INTEGERS; i++)
        v->i[i] = 0;
    for (int i = 0; i < DOUBLES; i++)
        v->d[i] = 0.0;
    v->n_integers = v->n_doubles = v->n_handles = 0;
    for (size_t i = 0; i < nargs; i++) {
        HPy arg = args[i];
        if (HPy_TypeCheck(ctx, arg, ctx->h_FloatType)) {
            v->d[v->n_doubles++] = HPyFloat_AsDouble(ctx, arg);
        } else if (HPyList_Check(ctx, arg)) {
            HPy h = HPy_GetItem_i(ctx, arg, 0);
            v->handles[v->n_handles++] = h;
            v->i[v->n_integers++] = h._i;
        } else if (HPyBytes_Check(ctx, arg)) {
            v->i[v->n_integers++] = (intptr_t)HPyBytes_AsString(ctx, arg);
        } else if (HPy_Is(ctx, arg, ctx->h_None)) {
            v->i[v->n_integers++] = 0;
        } else {
            v->i[v->n_integers++] = (intptr_t)HPyLong_AsUnsignedLongLongMask(ctx, arg);
        }
    }
}

static HPy done(HPyContext *ctx, Values *v, HPy result)
{
    if (HPy_IsNull(result) != HPyErr_Occurred(ctx))
        HPy_FatalError(ctx, "null without an exception, or a result with one");
    for (int i = 0; i < v->n_handles; i++)
        HPy_Close(ctx, v->handles[i]);
    return result;
}

#define ALL(v)                                                                                    \
    (v).i[0], (v).i[1], (v).i[2], (v).i[3], (v).i[4], (v).i[5], (v).i[6], (v).i[7], (v).i[8],     \
    (v).i[9], (v).i[10], (v).i[11], (v).i[12], (v).i[13], (v).i[14], (v).i[15],                   \
    (v).d[0], (v).d[1], (v).d[2], (v).d[3], (v).d[4], (v).d[5], (v).d[6], (v).d[7]

HPyDef_METH(build, "build", HPyFunc_VARARGS)
static HPy build_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    Values v;
    get_values(ctx, args + 1, nargs - 1, &v);
    return done(ctx, &v, HPy_BuildValue(ctx, HPyBytes_AsString(ctx, args[0]), ALL(v)));
}

HPyDef_METH(build_after_error, "build_after_error", HPyFunc_VARARGS)
static HPy build_after_error_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    Values v;
    get_values(ctx, args + 1, nargs - 1, &v);
    HPyErr_SetString(ctx, ctx->h_ValueError, "the cause");
    return done(ctx, &v, HPy_BuildValue(ctx, HPyBytes_AsString(ctx, args[0]), ALL(v)));
}

HPyDef_METH(format, "format", HPyFunc_VARARGS)
static HPy format_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    Values v;
    get_values(ctx, args + 1, nargs - 1, &v);
    return done(ctx, &v, HPyUnicode_FromFormat(ctx, HPyBytes_AsString(ctx, args[0]), ALL(v)));
}

static HPy call_v(HPyContext *ctx, const char *fmt, ...)
{
    va_list values;
    HPy result;
    va_start(values, fmt);
    result = HPyUnicode_FromFormatV(ctx, fmt, values);
    va_end(values);
    return result;
}

HPyDef_METH(format_v, "format_v", HPyFunc_VARARGS)
static HPy format_v_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    Values v;
    get_values(ctx, args + 1, nargs - 1, &v);
    return done(ctx, &v, call_v(ctx, HPyBytes_AsString(ctx, args[0]), ALL(v)));
}

HPyDef_METH(raise_, "raise_", HPyFunc_VARARGS)
static HPy raise__impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs)
{
    Values v;
    HPy result;
    get_values(ctx, args + 2, nargs - 2, &v);
    result = HPyErr_Format(ctx, args[0], HPyBytes_AsString(ctx, args[1]), ALL(v));
    return done(ctx, &v, result);
}
"""
