/* dumps(): the JSON of None, bool, int, float, str, list, tuple and dict. */
#include "json.h"

#include <stdio.h>
#include <string.h>

static int add(JsonEncoder *e, const char *text)
{
    return json_buffer_add(e->ctx, &e->out, text, strlen(text));
}

static int add_utf16_escape(JsonEncoder *e, unsigned unit)
{
    char escape[8];
    snprintf(escape, sizeof(escape), "\\u%04x", unit & 0xFFFF);
    return add(e, escape);
}

static int add_escape(JsonEncoder *e, HPy_UCS4 c)
{
    switch (c) {
    case '"':
        return add(e, "\\\"");
    case '\\':
        return add(e, "\\\\");
    case '\b':
        return add(e, "\\b");
    case '\f':
        return add(e, "\\f");
    case '\n':
        return add(e, "\\n");
    case '\r':
        return add(e, "\\r");
    case '\t':
        return add(e, "\\t");
    default:
        if (c < 0x10000)
            return add_utf16_escape(e, c);
        return add_utf16_escape(e, 0xD800 + ((c - 0x10000) >> 10)) &&
               add_utf16_escape(e, 0xDC00 + ((c - 0x10000) & 0x3FF));
    }
}

static int is_plain(const JsonEncoder *e, unsigned char c)
{
    if (c < 0x20 || c == '"' || c == '\\')
        return 0;
    return c < 0x7F || !e->ensure_ascii;
}

/* The code point whose first byte is at *p; moves *p behind it. The text is known to be valid. */
static HPy_UCS4 next_code_point(const char **p)
{
    HPy_UCS4 c = (unsigned char)*(*p)++;
    if (c >= 0x80)
        c &= c < 0xE0 ? 0x1F : c < 0xF0 ? 0x0F : 0x07;
    while (((unsigned char)**p & 0xC0) == 0x80)
        c = c << 6 | ((unsigned char)*(*p)++ & 0x3F);
    return c;
}

int json_encode_str(JsonEncoder *e, HPy str)
{
    JsonText text;
    if (!json_text_open(e->ctx, str, &text))
        return 0;
    const char *p = text.utf8, *end = text.utf8 + text.size;
    int ok = add(e, "\"");
    while (ok && p < end) {
        const char *start = p;
        while (p < end && is_plain(e, (unsigned char)*p))
            p++;
        ok = json_buffer_add(e->ctx, &e->out, start, (size_t)(p - start));
        if (ok && p < end)
            ok = add_escape(e, next_code_point(&p));
    }
    json_text_close(e->ctx, &text);
    return ok && add(e, "\"");
}

/* Appends type.__repr__(number): subclasses, enumerations for example, may have another one. */
static int add_repr(JsonEncoder *e, HPy type, HPy number)
{
    HPyContext *ctx = e->ctx;
    HPy repr = HPy_GetAttr_s(ctx, type, "__repr__");
    if (HPy_IsNull(repr))
        return 0;
    HPy str = HPy_Call(ctx, repr, &number, 1, HPy_NULL);
    HPy_Close(ctx, repr);
    if (HPy_IsNull(str))
        return 0;
    const char *utf8 = HPyUnicode_AsUTF8AndSize(ctx, str, NULL);
    int ok = utf8 != NULL && add(e, utf8);
    HPy_Close(ctx, str);
    return ok;
}

static int encode_int(JsonEncoder *e, HPy value)
{
    HPyContext *ctx = e->ctx;
    char text[32];
    long long number = HPyLong_AsLongLong(ctx, value);
    if (number == -1 && HPyErr_Occurred(ctx)) {
        if (!HPyErr_ExceptionMatches(ctx, ctx->h_OverflowError))
            return 0;
        HPyErr_Clear(ctx);
        return add_repr(e, ctx->h_LongType, value);
    }
    snprintf(text, sizeof(text), "%lld", number);
    return add(e, text);
}

static int encode_float(JsonEncoder *e, HPy value)
{
    HPyContext *ctx = e->ctx;
    double number = HPyFloat_AsDouble(ctx, value);
    if (number == -1.0 && HPyErr_Occurred(ctx))
        return 0;
    if (number != number)
        return add(e, "NaN");
    if (number - number != 0.0) /* only for an infinity */
        return add(e, number > 0 ? "Infinity" : "-Infinity");
    return add_repr(e, ctx->h_FloatType, value);
}

/* None, bool, int and float: what may also be a key, then in quotes. Returns 1, 0 with an exception
 * set, or -1 for any other type. */
static int encode_scalar(JsonEncoder *e, HPy value)
{
    HPyContext *ctx = e->ctx;
    if (HPy_Is(ctx, value, ctx->h_None))
        return add(e, "null");
    if (HPy_Is(ctx, value, ctx->h_True))
        return add(e, "true");
    if (HPy_Is(ctx, value, ctx->h_False))
        return add(e, "false");
    if (HPy_TypeCheck(ctx, value, ctx->h_LongType))
        return encode_int(e, value);
    if (HPy_TypeCheck(ctx, value, ctx->h_FloatType))
        return encode_float(e, value);
    return -1;
}

/* Raises TypeError; the one %s of the format is the name of the type of `value`. Returns 0. */
static int raise_type_error(HPyContext *ctx, const char *format, HPy value)
{
    HPy type = HPy_Type(ctx, value);
    HPyErr_Format(ctx, ctx->h_TypeError, format, HPyType_GetName(ctx, type));
    HPy_Close(ctx, type);
    return 0;
}

static int encode_key(JsonEncoder *e, HPy key)
{
    if (HPyUnicode_Check(e->ctx, key))
        return json_encode_str(e, key);
    if (!add(e, "\""))
        return 0;
    int ok = encode_scalar(e, key);
    if (ok < 0)
        return raise_type_error(e->ctx, "keys must be str, int, float, bool or None, not %s", key);
    return ok && add(e, "\"");
}

/* Lists and tuples. The length is asked for each time: encoding may run Python code. */
static int encode_sequence(JsonEncoder *e, HPy sequence)
{
    HPyContext *ctx = e->ctx;
    if (!add(e, "["))
        return 0;
    for (HPy_ssize_t i = 0;; i++) {
        HPy_ssize_t length = HPy_Length(ctx, sequence);
        if (length < 0)
            return 0;
        if (i >= length)
            return add(e, "]");
        HPy item = HPy_GetItem_i(ctx, sequence, i);
        if (HPy_IsNull(item))
            return 0;
        int ok = (i == 0 || add(e, ", ")) && json_encode_value(e, item);
        HPy_Close(ctx, item);
        if (!ok)
            return 0;
    }
}

static int encode_dict_item(JsonEncoder *e, HPy dict, HPy key)
{
    HPyContext *ctx = e->ctx;
    if (!encode_key(e, key) || !add(e, ": "))
        return 0;
    HPy value = HPy_GetItem(ctx, dict, key);
    if (HPy_IsNull(value))
        return 0;
    int ok = json_encode_value(e, value);
    HPy_Close(ctx, value);
    return ok;
}

static int encode_dict(JsonEncoder *e, HPy dict)
{
    HPyContext *ctx = e->ctx;
    HPy keys = HPyDict_Keys(ctx, dict);
    if (HPy_IsNull(keys))
        return 0;
    HPy_ssize_t length = HPy_Length(ctx, keys);
    int ok = length >= 0 && add(e, "{");
    for (HPy_ssize_t i = 0; ok && i < length; i++) {
        HPy key = HPy_GetItem_i(ctx, keys, i);
        ok = !HPy_IsNull(key);
        if (ok) {
            ok = (i == 0 || add(e, ", ")) && encode_dict_item(e, dict, key);
            HPy_Close(ctx, key);
        }
    }
    HPy_Close(ctx, keys);
    return ok && add(e, "}");
}

static int encode_nested(JsonEncoder *e, HPy value, int (*encode)(JsonEncoder *, HPy))
{
    if (e->depth == JSON_MAX_DEPTH) {
        HPyErr_SetString(e->ctx, e->ctx->h_RecursionError,
                         "the object is nested too deep for JSON, or contains itself");
        return 0;
    }
    e->depth++;
    int ok = encode(e, value);
    e->depth--;
    return ok;
}

int json_encode_value(JsonEncoder *e, HPy value)
{
    HPyContext *ctx = e->ctx;
    if (HPyUnicode_Check(ctx, value))
        return json_encode_str(e, value);
    if (HPyDict_Check(ctx, value))
        return encode_nested(e, value, encode_dict);
    if (HPyList_Check(ctx, value) || HPyTuple_Check(ctx, value))
        return encode_nested(e, value, encode_sequence);
    int ok = encode_scalar(e, value);
    if (ok < 0)
        return raise_type_error(ctx, "Object of type %s is not JSON serializable", value);
    return ok;
}

HPyDef_METH(
    json_dumps, "dumps", HPyFunc_KEYWORDS,
    .doc = "dumps(value, *, ensure_ascii=True)\n--\n\nThe JSON text of an object, as a str.")
static HPy json_dumps_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs, HPy kwnames)
{
    static const char *keywords[] = {"value", "ensure_ascii", NULL};
    JsonEncoder e = {ctx, {NULL, 0, 0}, 1, 0};
    HPyTracker tracker;
    HPy value;
    (void)self;
    if (!HPyArg_ParseKeywords(ctx, &tracker, args, nargs, kwnames, "O|$p:dumps", keywords, &value,
                              &e.ensure_ascii))
        return HPy_NULL;
    HPy result = HPy_NULL;
    if (json_encode_value(&e, value))
        result = json_str_from_utf8(ctx, e.out.data, e.out.size);
    json_buffer_free(&e.out);
    HPyTracker_Close(ctx, tracker);
    return result;
}
