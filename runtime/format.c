/* HPyUnicode_FromFormat, HPyUnicode_FromFormatV and HPyErr_Format: printf-like formatting to str.
 *
 * Compiled into every extension, in every ABI, on the public API alone.
 *
 * A directive is %[0][width][.precision]unit, and %% is a percent sign. Units:
 *     c int, a character       d, i int    u unsigned int    x int, as unsigned hexadecimal
 *     ld li lu, lld lli llu    (unsigned) long, (unsigned) long long
 *     zd zi HPy_ssize_t        zu size_t   p const void *
 *     s const char *, UTF-8    U HPy str   V HPy str or null, then const char *
 *     S, R, A HPy: str(), repr(), ascii()
 * For numbers precision is the least number of digits, for text the most characters (bytes of a
 * C string); width is the least number of characters, filled on the left.
 *
 * How it works. ASCII text is collected in a buffer. Any other text becomes a str object of its
 * own, and the pieces are joined at the end: so nothing is ever encoded and decoded again, and lone
 * surrogates and NUL characters pass through unharmed. */
#define HPY_RUNTIME_SOURCE /* see hpy/runtime.h */
#include "hpy.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

typedef struct {
  HPyContext *ctx;
  char *ascii; /* from malloc; text behind the last piece */
  size_t length, capacity;
  HPy pieces; /* a list of str, or null as long as all the text is ASCII */
} Output;

typedef struct {
  int zero_pad;
  HPy_ssize_t width;     /* -1: none */
  HPy_ssize_t precision; /* -1: none */
} Options;

/* All functions that return int return 1, or 0 with an exception set. */

static int reserve(Output *out, size_t more) {
  size_t wanted;
  char *bigger;
  if (more <= out->capacity - out->length) return 1;
  wanted = out->length + more;
  /* Room for as much again, so that appending is linear, unless that does not fit a size. */
  if (wanted >= out->length && wanted <= (size_t)HPY_SSIZE_T_MAX / 2) {
    bigger = (char *)realloc(out->ascii, wanted * 2);
    if (bigger != NULL) {
      out->ascii = bigger;
      out->capacity = wanted * 2;
      return 1;
    }
  }
  HPyErr_SetString(out->ctx, out->ctx->h_MemoryError, "cannot allocate memory for string format");
  return 0;
}

static int write_ascii(Output *out, const char *text, size_t size) {
  if (!reserve(out, size)) return 0;
  if (size > 0) memcpy(out->ascii + out->length, text, size);
  out->length += size;
  return 1;
}

static int write_fill(Output *out, char c, size_t count) {
  if (!reserve(out, count)) return 0;
  if (count > 0) memset(out->ascii + out->length, c, count);
  out->length += count;
  return 1;
}

/* Spaces in front of a text of `size` characters. */
static int write_padding(Output *out, const Options *options, size_t size) {
  const size_t width = options->width > 0 ? (size_t)options->width : 0;
  return width <= size || write_fill(out, ' ', width - size);
}

/* Makes the collected ASCII text a piece. */
static int flush_ascii(Output *out) {
  HPyContext *ctx = out->ctx;
  HPy text;
  int status;
  if (HPy_IsNull(out->pieces)) {
    out->pieces = HPyList_New(ctx, 0);
    if (HPy_IsNull(out->pieces)) return 0;
  }
  if (out->length == 0) return 1;
  text = HPyUnicode_DecodeASCII(ctx, out->ascii, (HPy_ssize_t)out->length, NULL);
  if (HPy_IsNull(text)) return 0;
  status = HPyList_Append(ctx, out->pieces, text);
  HPy_Close(ctx, text);
  out->length = 0;
  return status == 0;
}

/* Writes a str with padding and, where `precision` is not -1, cut to that number of characters. */
static int write_str(Output *out, const Options *options, HPy_ssize_t precision, HPy str) {
  HPyContext *ctx = out->ctx;
  HPy cut = HPy_NULL;
  int success;
  HPy_ssize_t length = HPy_Length(ctx, str);
  if (length < 0) return 0;
  if (precision >= 0 && precision < length) {
    cut = HPyUnicode_Substring(ctx, str, 0, precision);
    if (HPy_IsNull(cut)) return 0;
    str = cut;
    length = precision;
  }
  success = write_padding(out, options, (size_t)length) && flush_ascii(out) &&
            HPyList_Append(ctx, out->pieces, str) == 0;
  if (!HPy_IsNull(cut)) HPy_Close(ctx, cut);
  return success;
}

static int is_ascii(const char *text, size_t size) {
  size_t i;
  for (i = 0; i < size; i++)
    if ((unsigned char)text[i] > 127) return 0;
  return 1;
}

static int write_utf8(Output *out, const Options *options, const char *utf8) {
  HPyContext *ctx = out->ctx;
  size_t size;
  HPy bytes, str;
  int success;
  if (options->precision >= 0) {
    /* Looks at no byte behind the precision: the string may end without a NUL there. */
    const char *end = (const char *)memchr(utf8, '\0', (size_t)options->precision);
    size = end != NULL ? (size_t)(end - utf8) : (size_t)options->precision;
  } else {
    size = strlen(utf8);
  }
  if (is_ascii(utf8, size))
    return write_padding(out, options, size) && write_ascii(out, utf8, size);
  bytes = HPyBytes_FromStringAndSize(ctx, utf8, (HPy_ssize_t)size);
  if (HPy_IsNull(bytes)) return 0;
  /* As CPython does: what is not UTF-8, also a character that the precision cuts, is shown as
   * U+FFFD. Most of these texts are error messages, which must arrive. */
  str = HPyUnicode_FromEncodedObject(ctx, bytes, "utf-8", "replace");
  HPy_Close(ctx, bytes);
  if (HPy_IsNull(str)) return 0;
  success = write_str(out, options, -1, str);
  HPy_Close(ctx, str);
  return success;
}

static int write_char(Output *out, int value) {
  HPyContext *ctx = out->ctx;
  const Options none = {0, -1, -1};
  wchar_t wide[2];
  HPy_ssize_t size = 1;
  HPy str;
  int success;
  if (value < 0 || value > 0x10ffff) {
    HPyErr_SetString(ctx, ctx->h_OverflowError, "character argument not in range(0x110000)");
    return 0;
  }
  if (value < 128) {
    const char c = (char)value;
    return write_ascii(out, &c, 1);
  }
  wide[0] = (wchar_t)value;
  if (sizeof(wchar_t) == 2 && value > 0xffff) {
    wide[0] = (wchar_t)(0xd800 + ((value - 0x10000) >> 10));
    wide[1] = (wchar_t)(0xdc00 + ((value - 0x10000) & 0x3ff));
    size = 2;
  }
  str = HPyUnicode_FromWideChar(ctx, wide, size);
  if (HPy_IsNull(str)) return 0;
  success = write_str(out, &none, -1, str);
  HPy_Close(ctx, str);
  return success;
}

static int write_number(Output *out, const Options *options, int negative,
                        unsigned long long magnitude, unsigned base) {
  char digits[sizeof(magnitude) * CHAR_BIT];
  char *first = digits + sizeof(digits);
  size_t count, zeros = 0, spaces = 0;
  const size_t width = options->width > 0 ? (size_t)options->width : 0;
  const size_t sign = negative ? 1 : 0;
  do {
    *--first = "0123456789abcdef"[magnitude % base];
    magnitude /= base;
  } while (magnitude != 0);
  count = (size_t)(digits + sizeof(digits) - first);
  if (options->precision > 0 && (size_t)options->precision > count)
    zeros = (size_t)options->precision - count;
  /* No overflow: width and precision fit an HPy_ssize_t, the rest is small. */
  if (width > sign + zeros + count) {
    if (options->zero_pad)
      zeros = width - sign - count;
    else
      spaces = width - sign - zeros - count;
  }
  return write_fill(out, ' ', spaces) && write_fill(out, '-', sign) &&
         write_fill(out, '0', zeros) && write_ascii(out, first, count);
}

static int write_signed(Output *out, const Options *options, long long value) {
  /* Negated as unsigned: the least long long has no positive counterpart. */
  const unsigned long long magnitude =
      value < 0 ? 0 - (unsigned long long)value : (unsigned long long)value;
  return write_number(out, options, value < 0, magnitude, 10);
}

static int write_pointer(Output *out, const void *pointer) {
  char text[64];
  const char *digits = text;
  snprintf(text, sizeof(text), "%p", (void *)pointer);
  /* The C standard leaves the prefix open. */
  if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) digits = text + 2;
  return write_ascii(out, "0x", 2) && write_ascii(out, digits, strlen(digits));
}

static int raise_system(Output *out, const char *message) {
  HPyErr_SetString(out->ctx, out->ctx->h_SystemError, message);
  return 0;
}

/* Units S, R and A. */
static int write_object(Output *out, const Options *options, char unit, HPy object) {
  HPyContext *ctx = out->ctx;
  HPy str;
  int success;
  if (HPy_IsNull(object))
    return raise_system(out, "HPy_NULL passed as value for formatting unit '%S' or '%R' or '%A'");
  str = unit == 'S'   ? HPy_Str(ctx, object)
        : unit == 'R' ? HPy_Repr(ctx, object)
                      : HPy_ASCII(ctx, object);
  if (HPy_IsNull(str)) return 0;
  success = write_str(out, options, options->precision, str);
  HPy_Close(ctx, str);
  return success;
}

/* Units U and V, with a handle that is not null. */
static int write_unicode(Output *out, const Options *options, char unit, HPy str) {
  if (!HPyUnicode_Check(out->ctx, str)) {
    HPyErr_SetString(out->ctx, out->ctx->h_TypeError,
                     unit == 'U' ? "formatting unit '%U' requires a str"
                                 : "formatting unit '%V' requires a str");
    return 0;
  }
  return write_str(out, options, options->precision, str);
}

/* Refuses the options that the unit does not take. */
static int check_options(Output *out, const Options *options, char unit) {
  const int bare = unit == 'c' || unit == 'p';
  char message[80];
  if (options->zero_pad && (bare || strchr("sUVSRA", unit) != NULL)) {
    snprintf(message, sizeof(message), "formatting unit '%%%c' does not support 0-padding", unit);
    return raise_system(out, message);
  }
  if (bare && (options->width >= 0 || options->precision >= 0)) {
    snprintf(message, sizeof(message),
             "formatting unit '%%%c' does not support width nor precision", unit);
    return raise_system(out, message);
  }
  return 1;
}

static int raise_invalid(Output *out) { return raise_system(out, "invalid format string"); }

static int raise_non_ascii(Output *out, char c) {
  char message[120];
  snprintf(message, sizeof(message),
           "expected an ASCII-encoded format string, got a non-ASCII byte: 0x%02x",
           (unsigned)(unsigned char)c);
  HPyErr_SetString(out->ctx, out->ctx->h_ValueError, message);
  return 0;
}

/* Reads decimal digits; *number stays as it is when there are none. */
static int read_number(Output *out, const char **format, HPy_ssize_t *number, const char *too_big) {
  const char *p = *format;
  HPy_ssize_t value = 0;
  if (*p < '0' || *p > '9') return 1;
  for (; *p >= '0' && *p <= '9'; p++) {
    const int digit = *p - '0';
    if (value > (HPY_SSIZE_T_MAX - digit) / 10) {
      HPyErr_SetString(out->ctx, out->ctx->h_ValueError, too_big);
      return 0;
    }
    value = value * 10 + digit;
  }
  *number = value;
  *format = p;
  return 1;
}

/* Units with a length modifier; `length` is 'l', 'L' for ll, or 'z'. */
static int write_sized_number(Output *out, const Options *options, char length, char unit,
                              va_list *values) {
  if (unit == 'd' || unit == 'i') {
    switch (length) {
      case 'l':
        return write_signed(out, options, va_arg(*values, long));
      case 'L':
        return write_signed(out, options, va_arg(*values, long long));
      default:
        return write_signed(out, options, va_arg(*values, HPy_ssize_t));
    }
  }
  if (unit == 'u') {
    switch (length) {
      case 'l':
        return write_number(out, options, 0, va_arg(*values, unsigned long), 10);
      case 'L':
        return write_number(out, options, 0, va_arg(*values, unsigned long long), 10);
      default:
        return write_number(out, options, 0, va_arg(*values, size_t), 10);
    }
  }
  return raise_invalid(out);
}

/* Reads the directive behind a percent sign and moves *format behind it. */
static int write_directive(Output *out, const char **format, va_list *values) {
  Options options = {0, -1, -1};
  char unit, length = '\0';
  if (**format == '%') {
    ++*format;
    return write_ascii(out, "%", 1);
  }
  if (**format == '0') {
    options.zero_pad = 1;
    ++*format;
  }
  if (!read_number(out, format, &options.width, "width too big")) return 0;
  if (**format == '.') {
    ++*format;
    if (!read_number(out, format, &options.precision, "precision too big")) return 0;
  }
  if (**format == 'l' || **format == 'z') {
    length = *(*format)++;
    if (length == 'l' && **format == 'l') {
      length = 'L';
      ++*format;
    }
  }
  unit = **format;
  if (unit == '\0') return raise_invalid(out);
  if ((unsigned char)unit > 127) return raise_non_ascii(out, unit);
  ++*format;
  if (length != '\0') return write_sized_number(out, &options, length, unit, values);
  if (!check_options(out, &options, unit)) return 0;

  switch (unit) {
    case 'c':
      return write_char(out, va_arg(*values, int));
    case 'd':
    case 'i':
      return write_signed(out, &options, va_arg(*values, int));
    case 'u':
      return write_number(out, &options, 0, va_arg(*values, unsigned int), 10);
    case 'x':
      return write_number(out, &options, 0, (unsigned int)va_arg(*values, int), 16);
    case 'p':
      return write_pointer(out, va_arg(*values, const void *));
    case 's': {
      const char *utf8 = va_arg(*values, const char *);
      if (utf8 == NULL)
        return raise_system(out, "null c string passed as value for formatting unit '%s'");
      return write_utf8(out, &options, utf8);
    }
    case 'U': {
      HPy str = va_arg(*values, HPy);
      if (HPy_IsNull(str))
        return raise_system(out, "HPy_NULL passed as value for formatting unit '%U'");
      return write_unicode(out, &options, unit, str);
    }
    case 'V': {
      HPy str = va_arg(*values, HPy);
      const char *utf8 = va_arg(*values, const char *);
      if (!HPy_IsNull(str)) return write_unicode(out, &options, unit, str);
      if (utf8 == NULL)
        return raise_system(
            out, "HPy_NULL and a null c string passed as values for formatting unit '%V'");
      return write_utf8(out, &options, utf8);
    }
    case 'S':
    case 'R':
    case 'A':
      return write_object(out, &options, unit, va_arg(*values, HPy));
    default:
      return raise_invalid(out);
  }
}

static int write_all(Output *out, const char *format, va_list *values) {
  while (*format != '\0') {
    const char *start = format;
    while (*format != '\0' && *format != '%' && (unsigned char)*format <= 127) format++;
    if (!write_ascii(out, start, (size_t)(format - start))) return 0;
    if ((unsigned char)*format > 127) return raise_non_ascii(out, *format);
    if (*format == '%') {
      format++;
      if (!write_directive(out, &format, values)) return 0;
    }
  }
  return 1;
}

static HPy join_pieces(Output *out) {
  HPyContext *ctx = out->ctx;
  HPy join[2], name, result = HPy_NULL;
  if (!flush_ascii(out)) return HPy_NULL;
  join[0] = HPyUnicode_FromString(ctx, "");
  if (HPy_IsNull(join[0])) return HPy_NULL;
  name = HPyUnicode_FromString(ctx, "join");
  if (!HPy_IsNull(name)) {
    join[1] = out->pieces;
    result = HPy_CallMethod(ctx, name, join, 2, HPy_NULL);
    HPy_Close(ctx, name);
  }
  HPy_Close(ctx, join[0]);
  return result;
}

static HPy format_values(HPyContext *ctx, const char *format, va_list *values) {
  Output out = {NULL, NULL, 0, 0, HPy_NULL};
  HPy result = HPy_NULL;
  out.ctx = ctx;
  if (write_all(&out, format, values)) {
    if (!HPy_IsNull(out.pieces))
      result = join_pieces(&out);
    else
      result = HPyUnicode_DecodeASCII(ctx, out.length > 0 ? out.ascii : "", (HPy_ssize_t)out.length,
                                      NULL);
  }
  if (!HPy_IsNull(out.pieces)) HPy_Close(ctx, out.pieces);
  free(out.ascii);
  return result;
}

HPy HPyUnicode_FromFormatV(HPyContext *ctx, const char *format, va_list vargs) {
  /* A va_list may be an array type; the copy has an address that can be passed on. */
  va_list values;
  HPy result;
  va_copy(values, vargs);
  result = format_values(ctx, format, &values);
  va_end(values);
  return result;
}

HPy HPyUnicode_FromFormat(HPyContext *ctx, const char *fmt, ...) {
  va_list values;
  HPy result;
  va_start(values, fmt);
  result = format_values(ctx, fmt, &values);
  va_end(values);
  return result;
}

/* When the formatting itself fails, that exception stays: it says what is wrong with the message.
 */
HPy HPyErr_Format(HPyContext *ctx, HPy h_type, const char *fmt, ...) {
  va_list values;
  HPy message;
  /* str() and repr() of arguments run Python code, which must not start with an exception set. */
  HPyErr_Clear(ctx);
  va_start(values, fmt);
  message = format_values(ctx, fmt, &values);
  va_end(values);
  if (!HPy_IsNull(message)) {
    HPyErr_SetObject(ctx, h_type, message);
    HPy_Close(ctx, message);
  }
  return HPy_NULL;
}
