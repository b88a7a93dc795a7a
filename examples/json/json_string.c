/* Decodes strings: escapes, and surrogates that are escaped in pairs. */
#include "json.h"

/* The four hexadecimal digits at `pos`, or -1. The string has to go on behind them. */
static int hex4(const JsonDecoder *d, size_t pos)
{
    int value = 0;
    if (pos + 4 >= d->size)
        return -1;
    for (size_t i = pos; i < pos + 4; i++) {
        char c = d->text[i];
        int digit;
        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if (c >= 'a' && c <= 'f')
            digit = c - 'a' + 10;
        else if (c >= 'A' && c <= 'F')
            digit = c - 'A' + 10;
        else
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* Decodes \uXXXX, with pos at the u. Returns 1, or 0 with an exception set. */
static int decode_unicode_escape(JsonDecoder *d)
{
    int value = hex4(d, d->pos + 1);
    HPy_UCS4 c = (HPy_UCS4)value;
    if (value < 0) {
        json_error(d, "Invalid \\uXXXX escape", d->pos);
        return 0;
    }
    d->pos += 5;
    if (value >= 0xD800 && value <= 0xDBFF && d->text[d->pos] == '\\' &&
        d->text[d->pos + 1] == 'u') {
        int low = hex4(d, d->pos + 2);
        if (low >= 0xDC00 && low <= 0xDFFF) {
            c = 0x10000 + ((c - 0xD800) << 10) + ((HPy_UCS4)low - 0xDC00);
            d->pos += 6;
        }
    }
    return json_buffer_add_code_point(d->ctx, &d->scratch, c);
}

/* Decodes what follows a backslash. Returns 1, or 0 with an exception set. */
static int decode_escape(JsonDecoder *d)
{
    char c = d->text[d->pos];
    switch (c) {
    case 'u':
        return decode_unicode_escape(d);
    case '"':
    case '\\':
    case '/':
        break;
    case 'b':
        c = '\b';
        break;
    case 'f':
        c = '\f';
        break;
    case 'n':
        c = '\n';
        break;
    case 'r':
        c = '\r';
        break;
    case 't':
        c = '\t';
        break;
    default:
        json_error(d, "Invalid \\escape", d->pos - 1);
        return 0;
    }
    d->pos++;
    return json_buffer_add(d->ctx, &d->scratch, &c, 1);
}

/* Goes to the next quote or backslash. Returns 1, or 0 with an exception set. */
static int skip_plain(JsonDecoder *d, size_t begin)
{
    for (; d->pos < d->size; d->pos++) {
        char c = d->text[d->pos];
        if (c == '"' || c == '\\')
            return 1;
        if ((unsigned char)c < 0x20) {
            json_error(d, "Invalid control character at", d->pos);
            return 0;
        }
    }
    json_error(d, "Unterminated string starting at", begin);
    return 0;
}

HPy json_decode_string(JsonDecoder *d)
{
    size_t begin = d->pos - 1;
    d->scratch.size = 0;
    for (;;) {
        size_t start = d->pos;
        if (!skip_plain(d, begin))
            return HPy_NULL;
        const char *plain = d->text + start;
        size_t size = d->pos - start;
        if (json_accept(d, '"')) {
            if (d->scratch.size == 0) /* no escapes: straight from the text */
                return json_str_from_utf8(d->ctx, plain, size);
            if (!json_buffer_add(d->ctx, &d->scratch, plain, size))
                return HPy_NULL;
            return json_str_from_utf8(d->ctx, d->scratch.data, d->scratch.size);
        }
        d->pos++; /* the backslash */
        if (d->pos == d->size)
            return json_error(d, "Unterminated string starting at", begin);
        if (!json_buffer_add(d->ctx, &d->scratch, plain, size) || !decode_escape(d))
            return HPy_NULL;
    }
}
