/* Growing buffers, and the way between str and UTF-8. */
#include "json.h"

#include <string.h>

int json_buffer_add(HPyContext *ctx, JsonBuffer *buffer, const char *bytes, size_t size)
{
    if (size > buffer->capacity - buffer->size) {
        size_t capacity = 2 * (buffer->size + size);
        char *data = (char *)realloc(buffer->data, capacity);
        if (data == NULL) {
            HPyErr_NoMemory(ctx);
            return 0;
        }
        buffer->data = data;
        buffer->capacity = capacity;
    }
    if (size > 0)
        memcpy(buffer->data + buffer->size, bytes, size);
    buffer->size += size;
    return 1;
}

int json_buffer_add_code_point(HPyContext *ctx, JsonBuffer *buffer, HPy_UCS4 c)
{
    char utf8[4];
    size_t size;
    if (c < 0x80) {
        utf8[0] = (char)c;
        size = 1;
    } else if (c < 0x800) {
        utf8[0] = (char)(0xC0 | (c >> 6));
        size = 2;
    } else if (c < 0x10000) {
        utf8[0] = (char)(0xE0 | (c >> 12));
        size = 3;
    } else {
        utf8[0] = (char)(0xF0 | (c >> 18));
        size = 4;
    }
    for (size_t i = 1; i < size; i++)
        utf8[i] = (char)(0x80 | ((c >> (6 * (size - 1 - i))) & 0x3F));
    return json_buffer_add(ctx, buffer, utf8, size);
}

void json_buffer_free(JsonBuffer *buffer)
{
    free(buffer->data);
    buffer->data = NULL;
    buffer->size = buffer->capacity = 0;
}

/* str.encode("utf-8", "surrogatepass") */
static HPy encode_with_surrogates(HPyContext *ctx, HPy str)
{
    HPy args = HPy_BuildValue(ctx, "(ss)", "utf-8", "surrogatepass");
    if (HPy_IsNull(args))
        return HPy_NULL;
    HPy bytes = HPy_CallMethodTupleDict_s(ctx, "encode", str, args, HPy_NULL);
    HPy_Close(ctx, args);
    return bytes;
}

int json_text_open(HPyContext *ctx, HPy str, JsonText *text)
{
    HPy_ssize_t size;
    text->owner = HPy_NULL;
    text->utf8 = HPyUnicode_AsUTF8AndSize(ctx, str, &size);
    if (text->utf8 == NULL) {
        if (!HPyErr_ExceptionMatches(ctx, ctx->h_UnicodeEncodeError))
            return 0;
        HPyErr_Clear(ctx);
        text->owner = encode_with_surrogates(ctx, str);
        if (HPy_IsNull(text->owner))
            return 0;
        text->utf8 = HPyBytes_AsString(ctx, text->owner);
        size = HPyBytes_Size(ctx, text->owner);
        if (text->utf8 == NULL || size < 0) {
            HPy_Close(ctx, text->owner);
            return 0;
        }
    }
    text->size = (size_t)size;
    return 1;
}

void json_text_close(HPyContext *ctx, JsonText *text)
{
    if (!HPy_IsNull(text->owner))
        HPy_Close(ctx, text->owner);
}

HPy json_str_from_utf8(HPyContext *ctx, const char *utf8, size_t size)
{
    size_t ascii = 0;
    while (ascii < size && (unsigned char)utf8[ascii] < 0x80)
        ascii++;
    if (ascii == size)
        return HPyUnicode_DecodeASCII(ctx, size > 0 ? utf8 : "", (HPy_ssize_t)size, NULL);
    HPy bytes = HPyBytes_FromStringAndSize(ctx, utf8, (HPy_ssize_t)size);
    if (HPy_IsNull(bytes))
        return HPy_NULL;
    HPy str = HPyUnicode_FromEncodedObject(ctx, bytes, "utf-8", "surrogatepass");
    HPy_Close(ctx, bytes);
    return str;
}
