/* HPy_BuildValue: make an object from C values by a format string.
 *
 * Compiled into every extension, in every ABI, on the public API alone.
 *
 *     HPy result = HPy_BuildValue(ctx, "{s:i, s:(dd)}", "id", 7, "at", x, y);
 *
 * Format units and their arguments
 *     i int    l long    L long long    n HPy_ssize_t
 *     I unsigned int     k unsigned long    K unsigned long long
 *     f, d double        s const char *, UTF-8; NULL gives None
 *     O, S HPy           a handle: the caller keeps it, the result holds a duplicate
 *     (...) tuple        [...] list        {key:value, ...} dict
 * One comma may follow each item of a tuple, a list or the top level. Between the items of a dict
 * it must stand, and spaces may stand there too. No unit gives None, one gives that object, two or
 * more give a tuple.
 *
 * Ownership. The result is always a new handle. On an error every handle that was made is closed
 * again, and the result is HPy_NULL with an exception set. */
#define HPY_RUNTIME_SOURCE /* see hpy/runtime.h */
#include "hpy.h"

#include <string.h>

/* Formats are constants of the author; the bound keeps an absurd one from exhausting the C stack.
 */
enum { MAX_NESTING = 500 };

typedef struct {
  HPyContext *ctx;
  const char *next; /* the rest of the format */
  va_list *values;
  int nesting;
  char outermost; /* the opening character that an early end of the format leaves unmatched */
} Builder;

/* Items that were built and are not yet in their tuple or list. Owns the handles. */
typedef struct {
  HPy *data; /* `few`, or from malloc */
  size_t count, capacity;
  HPy few[8];
} Items;

static HPy build_unit(Builder *b);

static HPy raise_unmatched(Builder *b, char opening) {
  return HPyErr_Format(b->ctx, b->ctx->h_SystemError,
                       "unmatched '%c' in the format string passed to HPy_BuildValue", opening);
}

static HPy raise_char(Builder *b, const char *what, char c) {
  const unsigned char byte = (unsigned char)c;
  char hex[5] = "\\x";
  if (byte >= 0x20 && byte < 0x7f)
    return HPyErr_Format(b->ctx, b->ctx->h_SystemError,
                         "%s '%c' in the format string passed to HPy_BuildValue", what, byte);
  hex[2] = "0123456789abcdef"[byte >> 4];
  hex[3] = "0123456789abcdef"[byte & 15];
  hex[4] = '\0';
  return HPyErr_Format(b->ctx, b->ctx->h_SystemError,
                       "%s '%s' in the format string passed to HPy_BuildValue", what, hex);
}

static int is_closing(char c) { return c == ')' || c == ']' || c == '}'; }

/* What comes next is no unit. Returns HPy_NULL. */
static HPy raise_no_unit(Builder *b) {
  if (*b->next == '\0') return raise_unmatched(b, b->outermost);
  return raise_char(b, "bad format char", *b->next);
}

static void items_init(Items *items) {
  items->data = items->few;
  items->count = 0;
  items->capacity = sizeof(items->few) / sizeof(items->few[0]);
}

static void items_close(HPyContext *ctx, Items *items) {
  size_t i;
  for (i = 0; i < items->count; i++) HPy_Close(ctx, items->data[i]);
  if (items->data != items->few) free(items->data);
}

/* Takes the handle over, also on failure. */
static int items_add(HPyContext *ctx, Items *items, HPy item) {
  if (items->count == items->capacity) {
    const size_t capacity = items->capacity * 2;
    HPy *data = (HPy *)malloc(capacity * sizeof(HPy));
    if (data == NULL) {
      HPy_Close(ctx, item);
      HPyErr_NoMemory(ctx);
      return 0;
    }
    memcpy(data, items->data, items->count * sizeof(HPy));
    if (items->data != items->few) free(items->data);
    items->data = data;
    items->capacity = capacity;
  }
  items->data[items->count++] = item;
  return 1;
}

/* Reads items up to `closing` and behind it. Returns 1, or 0 with an exception set. */
static int build_items(Builder *b, Items *items, char opening, char closing) {
  while (*b->next != closing) {
    HPy item;
    if (is_closing(*b->next)) {
      if (opening != '\0')
        raise_unmatched(b, opening);
      else
        HPyErr_SetString(b->ctx, b->ctx->h_SystemError, "internal error in HPy_BuildValue");
      return 0;
    }
    item = build_unit(b);
    if (HPy_IsNull(item) || !items_add(b->ctx, items, item)) return 0;
    if (*b->next == ',') b->next++;
  }
  if (closing != '\0') b->next++;
  return 1;
}

static HPy make_list(HPyContext *ctx, const Items *items) {
  size_t i;
  HPyListBuilder builder = HPyListBuilder_New(ctx, (HPy_ssize_t)items->count);
  for (i = 0; i < items->count; i++)
    HPyListBuilder_Set(ctx, builder, (HPy_ssize_t)i, items->data[i]);
  return HPyListBuilder_Build(ctx, builder);
}

static HPy build_sequence(Builder *b, char opening, char closing) {
  HPy result = HPy_NULL;
  Items items;
  items_init(&items);
  if (build_items(b, &items, opening, closing))
    result = opening == '(' ? HPyTuple_FromArray(b->ctx, items.data, (HPy_ssize_t)items.count)
                            : make_list(b->ctx, &items);
  items_close(b->ctx, &items);
  return result;
}

static void skip_spaces(Builder *b) {
  while (*b->next == ' ') b->next++;
}

/* Reads `key:value` and puts it into the dict. Returns 1, or 0 with an exception set. */
static int build_dict_item(Builder *b, HPy dict) {
  HPyContext *ctx = b->ctx;
  HPy key, value;
  int success = 0;
  if (*b->next == ',') {
    raise_char(b, "unexpected", ',');
    return 0;
  }
  if (is_closing(*b->next)) {
    raise_unmatched(b, '{');
    return 0;
  }
  key = build_unit(b);
  if (HPy_IsNull(key)) return 0;
  if (*b->next == ':') {
    b->next++;
    value = build_unit(b);
    if (!HPy_IsNull(value)) {
      success = HPy_SetItem(ctx, dict, key, value) == 0;
      HPy_Close(ctx, value);
    }
  } else {
    raise_char(b, "missing", ':');
  }
  HPy_Close(ctx, key);
  return success;
}

static HPy build_dict(Builder *b) {
  HPyContext *ctx = b->ctx;
  HPy dict = HPyDict_New(ctx);
  if (HPy_IsNull(dict)) return HPy_NULL;
  while (*b->next != '}') {
    if (!build_dict_item(b, dict)) goto error;
    skip_spaces(b);
    if (*b->next == ',') {
      b->next++;
      skip_spaces(b);
    } else if (*b->next == '\0') {
      raise_unmatched(b, b->outermost);
      goto error;
    } else if (*b->next == ')' || *b->next == ']') {
      raise_unmatched(b, '{');
      goto error;
    } else if (*b->next != '}') {
      raise_char(b, "missing", ',');
      goto error;
    }
  }
  b->next++;
  return dict;

error:
  HPy_Close(ctx, dict);
  return HPy_NULL;
}

static HPy build_collection(Builder *b, char opening) {
  HPy result;
  if (b->nesting == MAX_NESTING)
    return HPyErr_SetString(b->ctx, b->ctx->h_SystemError,
                            "too many nested collections in the format string passed to "
                            "HPy_BuildValue");
  if (b->nesting++ == 0) b->outermost = opening;
  result = opening == '{' ? build_dict(b) : build_sequence(b, opening, opening == '(' ? ')' : ']');
  b->nesting--;
  return result;
}

/* Builds what the next unit describes. Returns a new handle, or HPy_NULL with an exception set. */
static HPy build_unit(Builder *b) {
  HPyContext *ctx = b->ctx;
  const char unit = *b->next;
  if (unit != '\0') b->next++;
  switch (unit) {
    case '(':
    case '[':
    case '{':
      return build_collection(b, unit);
    case 'i':
      return HPyLong_FromLong(ctx, va_arg(*b->values, int));
    case 'l':
      return HPyLong_FromLong(ctx, va_arg(*b->values, long));
    case 'L':
      return HPyLong_FromLongLong(ctx, va_arg(*b->values, long long));
    case 'n':
      return HPyLong_FromSsize_t(ctx, va_arg(*b->values, HPy_ssize_t));
    case 'I':
      return HPyLong_FromUnsignedLong(ctx, va_arg(*b->values, unsigned int));
    case 'k':
      return HPyLong_FromUnsignedLong(ctx, va_arg(*b->values, unsigned long));
    case 'K':
      return HPyLong_FromUnsignedLongLong(ctx, va_arg(*b->values, unsigned long long));
    case 'f': /* a float argument arrives as a double */
    case 'd':
      return HPyFloat_FromDouble(ctx, va_arg(*b->values, double));
    case 's': {
      const char *utf8 = va_arg(*b->values, const char *);
      return utf8 != NULL ? HPyUnicode_FromString(ctx, utf8) : HPy_Dup(ctx, ctx->h_None);
    }
    case 'O':
    case 'S': {
      HPy object = va_arg(*b->values, HPy);
      if (!HPy_IsNull(object)) return HPy_Dup(ctx, object);
      /* The call that should have made the object failed: its exception says why. */
      if (!HPyErr_Occurred(ctx))
        HPyErr_SetString(ctx, ctx->h_SystemError, "HPy_NULL object passed to HPy_BuildValue");
      return HPy_NULL;
    }
    case 'N':
      return HPyErr_SetString(ctx, ctx->h_SystemError,
                              "HPy_BuildValue does not support the 'N' formatting unit. Use 'O' "
                              "and close the handle in the caller.");
    default:
      if (unit != '\0') b->next--;
      return raise_no_unit(b);
  }
}

static HPy build_top_level(Builder *b) {
  HPyContext *ctx = b->ctx;
  HPy result = HPy_NULL;
  Items items;
  items_init(&items);
  if (build_items(b, &items, '\0', '\0')) {
    if (items.count == 0)
      result = HPy_Dup(ctx, ctx->h_None);
    else if (items.count == 1)
      result = HPy_Dup(ctx, items.data[0]);
    else
      result = HPyTuple_FromArray(ctx, items.data, (HPy_ssize_t)items.count);
  }
  items_close(ctx, &items);
  return result;
}

HPy HPy_BuildValue(HPyContext *ctx, const char *fmt, ...) {
  HPy result;
  va_list values;
  Builder builder;
  va_start(values, fmt);
  builder.ctx = ctx;
  builder.next = fmt;
  builder.values = &values;
  builder.nesting = 0;
  builder.outermost = '\0';
  result = build_top_level(&builder);
  va_end(values);
  return result;
}
