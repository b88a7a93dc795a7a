/* loads(): a decoder by recursive descent, and its exception. */
#include "json.h"

#include <math.h>
#include <string.h>

HPyGlobal json_decode_error_type;

/* --- errors --- */

/* Sets an attribute to a value, which is closed. Returns 1, or 0 with an exception set. */
static int set_attribute(HPyContext *ctx, HPy object, const char *name, HPy value)
{
    if (HPy_IsNull(value))
        return 0;
    int status = HPy_SetAttr_s(ctx, object, name, value);
    HPy_Close(ctx, value);
    return status == 0;
}

/* Where a byte is for a person: counted in characters, from 0 or in lines and columns from 1. */
static void locate(const JsonDecoder *d, size_t pos, long *chars, long *line, long *column)
{
    *chars = 0;
    *line = *column = 1;
    for (size_t i = 0; i < pos; i++) {
        if (((unsigned char)d->text[i] & 0xC0) == 0x80)
            continue; /* inside of a character */
        ++*chars;
        ++*column;
        if (d->text[i] == '\n') {
            ++*line;
            *column = 1;
        }
    }
}

HPy json_error(JsonDecoder *d, const char *message, size_t pos)
{
    HPyContext *ctx = d->ctx;
    long chars, line, column;
    locate(d, pos, &chars, &line, &column);
    HPy text = HPyUnicode_FromFormat(ctx, "%s: line %ld column %ld (char %ld)", message, line,
                                     column, chars);
    if (HPy_IsNull(text))
        return HPy_NULL;
    HPy type = HPyGlobal_Load(ctx, json_decode_error_type);
    HPy error = HPy_Call(ctx, type, &text, 1, HPy_NULL);
    HPy_Close(ctx, text);
    if (!HPy_IsNull(error)) {
        if (set_attribute(ctx, error, "msg", HPyUnicode_FromString(ctx, message)) &&
            set_attribute(ctx, error, "pos", HPyLong_FromLong(ctx, chars)) &&
            set_attribute(ctx, error, "lineno", HPyLong_FromLong(ctx, line)) &&
            set_attribute(ctx, error, "colno", HPyLong_FromLong(ctx, column)))
            HPyErr_SetObject(ctx, type, error);
        HPy_Close(ctx, error);
    }
    HPy_Close(ctx, type);
    return HPy_NULL;
}

/* --- values --- */

void json_skip_space(JsonDecoder *d)
{
    while (json_accept(d, ' ') || json_accept(d, '\n') || json_accept(d, '\r') ||
           json_accept(d, '\t'))
        ;
}

int json_accept(JsonDecoder *d, char c)
{
    if (d->pos == d->size || d->text[d->pos] != c)
        return 0;
    d->pos++;
    return 1;
}

static int accept_word(JsonDecoder *d, const char *word)
{
    size_t size = strlen(word);
    if (d->size - d->pos < size || memcmp(d->text + d->pos, word, size) != 0)
        return 0;
    d->pos += size;
    return 1;
}

static int is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Numbers that C cannot represent exactly are left to Python: type(text). */
static HPy call_with_text(HPyContext *ctx, HPy type, const char *text, size_t size)
{
    HPy str = HPyUnicode_DecodeASCII(ctx, text, (HPy_ssize_t)size, NULL);
    if (HPy_IsNull(str))
        return HPy_NULL;
    HPy number = HPy_Call(ctx, type, &str, 1, HPy_NULL);
    HPy_Close(ctx, str);
    return number;
}

static HPy make_int(HPyContext *ctx, const char *text, size_t size)
{
    if (size > 18) /* an int64_t holds every number of 18 digits */
        return call_with_text(ctx, ctx->h_LongType, text, size);
    int64_t value = 0;
    size_t i = text[0] == '-' ? 1 : 0;
    for (; i < size; i++)
        value = value * 10 + (text[i] - '0');
    return HPyLong_FromInt64_t(ctx, text[0] == '-' ? -value : value);
}

/* There is always a character to look at: behind the text stands a NUL. */
static HPy decode_number(JsonDecoder *d)
{
    const char *start = d->text + d->pos;
    const char *p = start;
    int is_float = 0;
    if (*p == '-')
        p++;
    if (!is_digit(*p))
        return json_error(d, "Expecting value", d->pos);
    if (*p == '0')
        p++;
    else
        while (is_digit(*p))
            p++;
    if (*p == '.' && is_digit(p[1])) {
        is_float = 1;
        for (p++; is_digit(*p); p++)
            ;
    }
    if (*p == 'e' || *p == 'E') {
        const char *exponent = p + 1;
        if (*exponent == '-' || *exponent == '+')
            exponent++;
        if (is_digit(*exponent)) {
            is_float = 1;
            for (p = exponent; is_digit(*p); p++)
                ;
        }
    }
    size_t size = (size_t)(p - start);
    d->pos += size;
    if (is_float)
        return call_with_text(d->ctx, d->ctx->h_FloatType, start, size);
    return make_int(d->ctx, start, size);
}

/* Behind the opening bracket. */
static HPy decode_array(JsonDecoder *d)
{
    HPyContext *ctx = d->ctx;
    HPy list = HPyList_New(ctx, 0);
    if (HPy_IsNull(list))
        return HPy_NULL;
    json_skip_space(d);
    if (json_accept(d, ']'))
        return list;
    do {
        json_skip_space(d);
        HPy item = json_decode_value(d);
        if (HPy_IsNull(item))
            goto error;
        int status = HPyList_Append(ctx, list, item);
        HPy_Close(ctx, item);
        if (status < 0)
            goto error;
        json_skip_space(d);
    } while (json_accept(d, ','));
    if (json_accept(d, ']'))
        return list;
    json_error(d, "Expecting ',' delimiter", d->pos);

error:
    HPy_Close(ctx, list);
    return HPy_NULL;
}

static HPy decode_nested(JsonDecoder *d, HPy (*decode)(JsonDecoder *))
{
    if (d->depth == JSON_MAX_DEPTH)
        return HPyErr_SetString(d->ctx, d->ctx->h_RecursionError,
                                "the JSON text is nested too deep");
    d->depth++;
    HPy result = decode(d);
    d->depth--;
    return result;
}

HPy json_decode_value(JsonDecoder *d)
{
    HPyContext *ctx = d->ctx;
    if (json_accept(d, '"'))
        return json_decode_string(d);
    if (json_accept(d, '{'))
        return decode_nested(d, json_decode_object);
    if (json_accept(d, '['))
        return decode_nested(d, decode_array);
    if (accept_word(d, "null"))
        return HPy_Dup(ctx, ctx->h_None);
    if (accept_word(d, "true"))
        return HPy_Dup(ctx, ctx->h_True);
    if (accept_word(d, "false"))
        return HPy_Dup(ctx, ctx->h_False);
    /* No JSON, but Python's json writes and reads them. */
    if (accept_word(d, "NaN"))
        return HPyFloat_FromDouble(ctx, (double)NAN);
    if (accept_word(d, "Infinity"))
        return HPyFloat_FromDouble(ctx, (double)INFINITY);
    if (accept_word(d, "-Infinity"))
        return HPyFloat_FromDouble(ctx, -(double)INFINITY);
    return decode_number(d);
}

/* --- the function --- */

static HPy decode_document(HPyContext *ctx, const JsonText *text)
{
    JsonDecoder d = {ctx, text->utf8, text->size, 0, 0, {NULL, 0, 0}};
    if (accept_word(&d, "\xEF\xBB\xBF"))
        return json_error(&d, "Unexpected UTF-8 BOM (decode using utf-8-sig)", 0);
    json_skip_space(&d);
    HPy result = json_decode_value(&d);
    if (!HPy_IsNull(result)) {
        json_skip_space(&d);
        if (d.pos < d.size) {
            HPy_Close(ctx, result);
            result = json_error(&d, "Extra data", d.pos);
        }
    }
    json_buffer_free(&d.scratch);
    return result;
}

static HPy decode_str(HPyContext *ctx, HPy str)
{
    JsonText text;
    if (!json_text_open(ctx, str, &text))
        return HPy_NULL;
    HPy result = decode_document(ctx, &text);
    json_text_close(ctx, &text);
    return result;
}

HPyDef_METH(
    json_loads, "loads", HPyFunc_O,
    .doc = "loads(text)\n--\n\nThe object that a JSON text (str, or bytes in UTF-8) stands for.")
static HPy json_loads_impl(HPyContext *ctx, HPy self, HPy arg)
{
    (void)self;
    if (HPyUnicode_Check(ctx, arg))
        return decode_str(ctx, arg);
    if (!HPyBytes_Check(ctx, arg)) {
        HPy type = HPy_Type(ctx, arg);
        HPyErr_Format(ctx, ctx->h_TypeError, "the JSON text must be str or bytes, not %s",
                      HPyType_GetName(ctx, type));
        HPy_Close(ctx, type);
        return HPy_NULL;
    }
    HPy str = HPyUnicode_FromEncodedObject(ctx, arg, "utf-8", "surrogatepass");
    if (HPy_IsNull(str))
        return HPy_NULL;
    HPy result = decode_str(ctx, str);
    HPy_Close(ctx, str);
    return result;
}

int json_decoder_init(HPyContext *ctx, HPy module)
{
    HPy type = HPyErr_NewExceptionWithDoc(
        ctx, "hpyjson.JSONDecodeError",
        "A text is no JSON; msg says why, pos, lineno and colno say where.", ctx->h_ValueError,
        HPy_NULL);
    if (HPy_IsNull(type))
        return 0;
    HPyGlobal_Store(ctx, &json_decode_error_type, type);
    return set_attribute(ctx, module, "JSONDecodeError", type);
}
