/* A JSON decoder and encoder: what its source files share. */
#ifndef HPYJSON_JSON_H
#define HPYJSON_JSON_H

#include "hpy.h"

/* Lists and dicts may be nested as deep as this, in both directions. */
enum { JSON_MAX_DEPTH = 1000 };

/* --- json_text.c: bytes and str ---
 *
 * JSON text is handled as UTF-8 in which lone surrogates are encoded like any other code point
 * ("surrogatepass"), for both JSON and Python's str may have them. */

/* Bytes that grow. Zero-initialised it is empty; json_buffer_free() ends it. */
typedef struct {
    char *data;
    size_t size, capacity;
} JsonBuffer;

/* Returns 1, or 0 with MemoryError set. */
int json_buffer_add(HPyContext *ctx, JsonBuffer *buffer, const char *bytes, size_t size);
int json_buffer_add_code_point(HPyContext *ctx, JsonBuffer *buffer, HPy_UCS4 code_point);
void json_buffer_free(JsonBuffer *buffer);

/* The UTF-8 of a str; there is a NUL behind it. Valid until json_text_close() or the end of the
 * handle that it was opened with. */
typedef struct {
    const char *utf8;
    size_t size;
    HPy owner; /* the encoded bytes of a str with lone surrogates, else null */
} JsonText;

/* Returns 1, or 0 with an exception set; there is nothing to close then. */
int json_text_open(HPyContext *ctx, HPy str, JsonText *text);
void json_text_close(HPyContext *ctx, JsonText *text);

/* A new str. */
HPy json_str_from_utf8(HPyContext *ctx, const char *utf8, size_t size);

/* --- json_decoder.c, json_string.c, json_object.c --- */

typedef struct {
    HPyContext *ctx;
    const char *text;
    size_t size, pos; /* in bytes */
    int depth;
    JsonBuffer scratch; /* for the string that is being decoded */
} JsonDecoder;

/* These return a new handle, or HPy_NULL with an exception set. */
HPy json_decode_value(JsonDecoder *d);
HPy json_decode_string(JsonDecoder *d); /* behind the opening quote */
HPy json_decode_object(JsonDecoder *d); /* behind the opening brace */

void json_skip_space(JsonDecoder *d);
int json_accept(JsonDecoder *d, char c); /* goes behind c if it comes next */

/* Raises JSONDecodeError for the byte at `pos`. Returns HPy_NULL. */
HPy json_error(JsonDecoder *d, const char *message, size_t pos);

/* Creates JSONDecodeError. Returns 1, or 0 with an exception set. */
int json_decoder_init(HPyContext *ctx, HPy module);

extern HPyGlobal json_decode_error_type;
extern HPyDef json_loads;

/* --- json_encoder.c --- */

typedef struct {
    HPyContext *ctx;
    JsonBuffer out;
    int ensure_ascii;
    int depth;
} JsonEncoder;

/* Appends the JSON of an object, or of a str. Returns 1, or 0 with an exception set. */
int json_encode_value(JsonEncoder *e, HPy value);
int json_encode_str(JsonEncoder *e, HPy str);

extern HPyDef json_dumps;

/* --- json_writer.c --- */

/* Adds the type Writer to the module. Returns 1, or 0 with an exception set. */
int json_writer_init(HPyContext *ctx, HPy module);

/* --- json_module.c --- */

extern HPyModuleDef json_module;

#endif
