/* HPyArg_Parse and its keyword variants: unpack arguments into C variables by a format string.
 *
 * Compiled into every extension, in every ABI, on the public API alone.
 *
 *     long a, b = 0;
 *     if (!HPyArg_Parse(ctx, NULL, args, nargs, "l|l:add", &a, &b))
 *         return HPy_NULL;
 *
 * Format units and their C variables
 *     b unsigned char (range checked)    B unsigned char (modulo)
 *     h short         (range checked)    H unsigned short (modulo)
 *     i int           (range checked)    I unsigned int (modulo)
 *     l long          (range checked)    k unsigned long (modulo)
 *     L long long     (range checked)    K unsigned long long (modulo)
 *     n HPy_ssize_t   (range checked)    f float    d double
 *     O HPy           p int, 0 or 1      s const char *, UTF-8
 * Others
 *     |  what follows is optional: the variable of a missing argument is left as it is
 *     $  (keyword functions) what follows is keyword-only, and optional
 *     :  ends the units; the rest is the function name for messages
 *     ;  ends the units; the rest replaces the message
 *
 * Ownership. HPyArg_Parse stores the argument handles themselves: they belong to the caller, and
 * pointers of `s` are valid as long as they are. The keyword functions store duplicates, which
 * belong to the tracker. A tracker that is passed is created in any case; after success the caller
 * closes it, on failure the parser does. */
#define HPY_RUNTIME_SOURCE /* see hpy/runtime.h */
#include "hpy.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* The function name in messages is cut to this number of characters. */
enum { MAX_NAME_CHARS = 200 };
/* UTF-8 takes up to four bytes per character; " ", "()" and the final NUL. */
enum { PREFIX_SIZE = MAX_NAME_CHARS * 4 + 4 };

static int is_end(char c) { return c == '\0' || c == ':' || c == ';'; }

/* Puts the text that stands in front of every message into `prefix`. Returns the whole message
 * when the format has one (`;`), else NULL. */
static const char *message_prefix(const char *fmt, char prefix[PREFIX_SIZE]) {
  const char *end = fmt + strcspn(fmt, ":;");
  const char *name;
  size_t bytes = 0;
  int chars = 0;
  if (*end == ';') return end + 1;
  if (*end == '\0') {
    strcpy(prefix, "function ");
    return NULL;
  }
  /* Cut between characters, never inside of one: half a character is not UTF-8. */
  name = end + 1;
  while (name[bytes] != '\0' && bytes < MAX_NAME_CHARS * 4) {
    if (((unsigned char)name[bytes] & 0xC0) != 0x80 && ++chars > MAX_NAME_CHARS) break;
    bytes++;
  }
  memcpy(prefix, name, bytes);
  strcpy(prefix + bytes, "() ");
  return NULL;
}

static void raise_text(HPyContext *ctx, HPy type, const char *fmt, const char *text) {
  char prefix[PREFIX_SIZE];
  const char *whole = message_prefix(fmt, prefix);
  if (whole != NULL)
    HPyErr_SetString(ctx, type, whole);
  else
    HPyErr_Format(ctx, type, "%s%s", prefix, text);
}

/* Raises TypeError `before 'keyword' after` (with the usual prefix); `keyword` is a str. */
static void raise_keyword(HPyContext *ctx, const char *fmt, const char *before, HPy keyword,
                          const char *after) {
  char prefix[PREFIX_SIZE];
  const char *whole = message_prefix(fmt, prefix);
  if (whole != NULL)
    HPyErr_SetString(ctx, ctx->h_TypeError, whole);
  else
    HPyErr_Format(ctx, ctx->h_TypeError, "%s%s '%U'%s", prefix, before, keyword, after);
}

static void raise_too_many_positional(HPyContext *ctx, const char *fmt, size_t most, size_t given) {
  char text[128];
  snprintf(text, sizeof(text), "takes at most %lu positional argument%s (%lu given)",
           (unsigned long)most, most == 1 ? "" : "s", (unsigned long)given);
  raise_text(ctx, ctx->h_TypeError, fmt, text);
}

/* Converts through long and checks the range. Returns 1, or 0 with an exception set. */
static int as_ranged_long(HPyContext *ctx, HPy arg, const char *fmt, long min, long max,
                          const char *too_small, const char *too_large, long *out) {
  long value = HPyLong_AsLong(ctx, arg);
  if (value == -1 && HPyErr_Occurred(ctx)) return 0;
  if (value < min || value > max) {
    raise_text(ctx, ctx->h_OverflowError, fmt, value < min ? too_small : too_large);
    return 0;
  }
  *out = value;
  return 1;
}

static int as_masked_long(HPyContext *ctx, HPy arg, unsigned long *out) {
  unsigned long value = HPyLong_AsUnsignedLongMask(ctx, arg);
  if (value == (unsigned long)-1 && HPyErr_Occurred(ctx)) return 0;
  *out = value;
  return 1;
}

static int as_double(HPyContext *ctx, HPy arg, double *out) {
  double value = HPyFloat_AsDouble(ctx, arg);
  if (value == -1.0 && HPyErr_Occurred(ctx)) return 0;
  *out = value;
  return 1;
}

static int as_utf8(HPyContext *ctx, HPy arg, const char *fmt, const char **out) {
  HPy_ssize_t size;
  const char *utf8;
  if (!HPyUnicode_Check(ctx, arg)) {
    raise_text(ctx, ctx->h_TypeError, fmt, "a str is required");
    return 0;
  }
  utf8 = HPyUnicode_AsUTF8AndSize(ctx, arg, &size);
  if (utf8 == NULL)
    return 0; /* a UnicodeEncodeError: it says what is wrong with the str, so it stays */
  if (memchr(utf8, '\0', (size_t)size) != NULL) {
    raise_text(ctx, ctx->h_ValueError, fmt, "embedded null character");
    return 0;
  }
  if (utf8[size] != '\0') {
    raise_text(ctx, ctx->h_SystemError, fmt, "missing terminating null character");
    return 0;
  }
  *out = utf8;
  return 1;
}

/* Converts `arg` by the unit and stores the result in the next variable. A null `arg` is a missing
 * optional argument: its variable is skipped. With `owner`, handles are stored as duplicates that
 * belong to it. Returns 1, or 0 with an exception set. */
static int convert(HPyContext *ctx, HPyTracker *owner, HPy arg, char unit, const char *fmt,
                   va_list *vars) {
  const int given = !HPy_IsNull(arg);
  switch (unit) {
    case 'b': {
      unsigned char *out = va_arg(*vars, unsigned char *);
      long value;
      if (!given) return 1;
      if (!as_ranged_long(ctx, arg, fmt, 0, UCHAR_MAX, "unsigned byte integer is less than minimum",
                          "unsigned byte integer is greater than maximum", &value))
        return 0;
      *out = (unsigned char)value;
      return 1;
    }
    case 'B': {
      unsigned char *out = va_arg(*vars, unsigned char *);
      unsigned long value;
      if (!given) return 1;
      if (!as_masked_long(ctx, arg, &value)) return 0;
      *out = (unsigned char)value;
      return 1;
    }
    case 'h': {
      short *out = va_arg(*vars, short *);
      long value;
      if (!given) return 1;
      if (!as_ranged_long(ctx, arg, fmt, SHRT_MIN, SHRT_MAX,
                          "signed short integer is less than minimum",
                          "signed short integer is greater than maximum", &value))
        return 0;
      *out = (short)value;
      return 1;
    }
    case 'H': {
      unsigned short *out = va_arg(*vars, unsigned short *);
      unsigned long value;
      if (!given) return 1;
      if (!as_masked_long(ctx, arg, &value)) return 0;
      *out = (unsigned short)value;
      return 1;
    }
    case 'i': {
      int *out = va_arg(*vars, int *);
      long value;
      if (!given) return 1;
      if (!as_ranged_long(ctx, arg, fmt, INT_MIN, INT_MAX, "signed integer is less than minimum",
                          "signed integer is greater than maximum", &value))
        return 0;
      *out = (int)value;
      return 1;
    }
    case 'I': {
      unsigned int *out = va_arg(*vars, unsigned int *);
      unsigned long value;
      if (!given) return 1;
      if (!as_masked_long(ctx, arg, &value)) return 0;
      *out = (unsigned int)value;
      return 1;
    }
    case 'l': {
      long *out = va_arg(*vars, long *);
      long value;
      if (!given) return 1;
      value = HPyLong_AsLong(ctx, arg);
      if (value == -1 && HPyErr_Occurred(ctx)) return 0;
      *out = value;
      return 1;
    }
    case 'k': {
      unsigned long *out = va_arg(*vars, unsigned long *);
      return !given || as_masked_long(ctx, arg, out);
    }
    case 'L': {
      long long *out = va_arg(*vars, long long *);
      long long value;
      if (!given) return 1;
      value = HPyLong_AsLongLong(ctx, arg);
      if (value == -1 && HPyErr_Occurred(ctx)) return 0;
      *out = value;
      return 1;
    }
    case 'K': {
      unsigned long long *out = va_arg(*vars, unsigned long long *);
      unsigned long long value;
      if (!given) return 1;
      value = HPyLong_AsUnsignedLongLongMask(ctx, arg);
      if (value == (unsigned long long)-1 && HPyErr_Occurred(ctx)) return 0;
      *out = value;
      return 1;
    }
    case 'n': {
      HPy_ssize_t *out = va_arg(*vars, HPy_ssize_t *);
      HPy_ssize_t value;
      if (!given) return 1;
      value = HPyLong_AsSsize_t(ctx, arg);
      if (value == -1 && HPyErr_Occurred(ctx)) return 0;
      *out = value;
      return 1;
    }
    case 'f': {
      float *out = va_arg(*vars, float *);
      double value;
      if (!given) return 1;
      if (!as_double(ctx, arg, &value)) return 0;
      *out = (float)value;
      return 1;
    }
    case 'd': {
      double *out = va_arg(*vars, double *);
      return !given || as_double(ctx, arg, out);
    }
    case 'p': {
      int *out = va_arg(*vars, int *);
      int value;
      if (!given) return 1;
      value = HPy_IsTrue(ctx, arg);
      if (value < 0) return 0;
      *out = value;
      return 1;
    }
    case 's': {
      const char **out = va_arg(*vars, const char **);
      return !given || as_utf8(ctx, arg, fmt, out);
    }
    case 'O': {
      HPy *out = va_arg(*vars, HPy *);
      HPy copy;
      if (!given) return 1;
      if (owner == NULL) {
        *out = arg;
        return 1;
      }
      copy = HPy_Dup(ctx, arg);
      if (HPy_IsNull(copy)) return 0;
      if (HPyTracker_Add(ctx, *owner, copy) < 0) {
        HPy_Close(ctx, copy);
        return 0;
      }
      *out = copy;
      return 1;
    }
    default:
      raise_text(ctx, ctx->h_SystemError, fmt, "unknown arg format code");
      return 0;
  }
}

static int is_unit(char c) { return c != '\0' && strchr("bBhHiIlkLKnfdOps", c) != NULL; }

/* Creates the tracker that the caller asked for. */
static int open_tracker(HPyContext *ctx, HPyTracker *ht) {
  HPyTracker tracker;
  if (ht == NULL) return 1;
  tracker = HPyTracker_New(ctx, 0);
  if (HPy_IsNull(tracker)) return 0;
  *ht = tracker;
  return 1;
}

/* Closing handles may run Python code (finalisers); the exception that is set survives that, as
 * CPython's deallocation guarantees. */
static int close_on_failure(HPyContext *ctx, HPyTracker *ht, int success) {
  if (!success && ht != NULL) HPyTracker_Close(ctx, *ht);
  return success;
}

static int parse_positional(HPyContext *ctx, const HPy *args, size_t nargs, const char *fmt,
                            va_list *vars) {
  const char *unit;
  size_t i = 0;
  int optional = 0;
  for (unit = fmt; !is_end(*unit); unit++) {
    HPy arg = HPy_NULL;
    if (*unit == '|') {
      optional = 1;
      continue;
    }
    if (i < nargs) {
      arg = args[i];
    } else if (!optional && is_unit(*unit)) {
      raise_text(ctx, ctx->h_TypeError, fmt, "required positional argument missing");
      return 0;
    }
    if (!convert(ctx, NULL, arg, *unit, fmt, vars)) return 0;
    i++;
  }
  if (i < nargs) {
    raise_text(ctx, ctx->h_TypeError, fmt, "mismatched args (too many arguments for fmt)");
    return 0;
  }
  return 1;
}

int HPyArg_Parse(HPyContext *ctx, HPyTracker *ht, const HPy *args, size_t nargs, const char *fmt,
                 ...) {
  va_list vars;
  int success;
  if (!open_tracker(ctx, ht)) return 0;
  va_start(vars, fmt);
  success = parse_positional(ctx, args, nargs, fmt, &vars);
  va_end(vars);
  return close_on_failure(ctx, ht, success);
}

/* The keyword arguments of one call: a tuple of names whose values follow the positional ones in
 * `args`, or a dict; never both. */
typedef struct {
  const HPy *args;
  size_t nargs;
  HPy names; /* tuple or null */
  HPy dict;  /* dict or null */
  size_t count;
} KeywordArgs;

/* Looks for the keyword. Returns 1 when it is there, 0 when not, -1 with an exception set.
 * *value is an argument handle for a tuple of names, and a new handle for a dict. */
static int find_keyword(HPyContext *ctx, const KeywordArgs *kw, const char *keyword, HPy *value) {
  int found = 0;
  size_t i;
  HPy key;
  if (kw->count == 0) return 0;
  key = HPyUnicode_FromString(ctx, keyword);
  if (HPy_IsNull(key)) return -1;
  if (!HPy_IsNull(kw->dict)) {
    found = HPy_Contains(ctx, kw->dict, key);
    if (found > 0) {
      *value = HPy_GetItem(ctx, kw->dict, key);
      if (HPy_IsNull(*value)) found = -1;
    }
  }
  for (i = 0; !HPy_IsNull(kw->names) && found == 0 && i < kw->count; i++) {
    HPy name = HPy_GetItem_i(ctx, kw->names, (HPy_ssize_t)i);
    if (HPy_IsNull(name)) {
      found = -1;
      break;
    }
    found = HPy_RichCompareBool(ctx, name, key, HPy_EQ);
    HPy_Close(ctx, name);
    if (found > 0) *value = kw->args[kw->nargs + i];
  }
  HPy_Close(ctx, key);
  return found;
}

/* Converts a value that was found in a dict and closes it. */
static int convert_dict_value(HPyContext *ctx, HPyTracker *ht, HPy value, char unit,
                              const char *fmt, va_list *vars) {
  int success;
  if (unit == 's') {
    /* The pointer lives as long as the handle, and this handle is ours: it must outlive us. */
    if (ht == NULL) {
      raise_text(ctx, ctx->h_SystemError, fmt,
                 "HPyArg_ParseKeywords cannot use the format character 's' for a value of a "
                 "keyword dictionary unless an HPyTracker is provided. Please supply an "
                 "HPyTracker.");
      HPy_Close(ctx, value);
      return 0;
    }
    if (HPyTracker_Add(ctx, *ht, value) < 0) {
      HPy_Close(ctx, value);
      return 0;
    }
    return convert(ctx, ht, value, unit, fmt, vars);
  }
  success = convert(ctx, ht, value, unit, fmt, vars);
  HPy_Close(ctx, value);
  return success;
}

/* 1 when `name` is one of the names that may be given as a keyword; *position its 1-based place,
 * else 0. -1 with an exception set. */
static int keyword_position(HPyContext *ctx, HPy name, const char *keywords[], size_t *position) {
  size_t i;
  for (i = 0; keywords[i] != NULL; i++) {
    HPy keyword;
    int equal;
    if (keywords[i][0] == '\0') continue;
    keyword = HPyUnicode_FromString(ctx, keywords[i]);
    if (HPy_IsNull(keyword)) return -1;
    equal = HPy_RichCompareBool(ctx, name, keyword, HPy_EQ);
    HPy_Close(ctx, keyword);
    if (equal != 0) {
      *position = i + 1;
      return equal;
    }
  }
  return 0;
}

/* Some keyword was not used by any unit: names the first one that is at fault. Returns 0. */
static int raise_unused_keyword(HPyContext *ctx, const KeywordArgs *kw, const char *fmt,
                                const char *keywords[]) {
  HPy names = HPy_IsNull(kw->dict) ? HPy_Dup(ctx, kw->names) : HPyDict_Keys(ctx, kw->dict);
  size_t i;
  int known = 1;
  if (HPy_IsNull(names)) return 0;
  for (i = 0; i < kw->count && known > 0; i++) {
    size_t position = 0;
    HPy name = HPy_GetItem_i(ctx, names, (HPy_ssize_t)i);
    if (HPy_IsNull(name)) break;
    if (!HPyUnicode_Check(ctx, name)) {
      raise_text(ctx, ctx->h_TypeError, fmt, "keywords must be strings");
      known = 0;
    } else {
      known = keyword_position(ctx, name, keywords, &position);
      if (known == 0) raise_keyword(ctx, fmt, "got an unexpected keyword argument", name, "");
      if (known > 0 && position <= kw->nargs) {
        raise_keyword(ctx, fmt, "got multiple values for argument", name, "");
        known = 0;
      }
    }
    HPy_Close(ctx, name);
  }
  HPy_Close(ctx, names);
  if (!HPyErr_Occurred(ctx)) /* a name stands in the tuple twice */
    raise_text(ctx, ctx->h_TypeError, fmt, "got multiple values for a keyword argument");
  return 0;
}

static int parse_keywords(HPyContext *ctx, HPyTracker *ht, const KeywordArgs *kw, const char *fmt,
                          const char *keywords[], va_list *vars) {
  const char *unit;
  size_t i = 0, used = 0;
  int optional = 0, keyword_only = 0;
  for (unit = fmt; !is_end(*unit); unit++) {
    HPy value = HPy_NULL;
    int found = 0, success;
    if (*unit == '|' || *unit == '$') {
      if (*unit == '|' ? optional || keyword_only : keyword_only) {
        raise_text(ctx, ctx->h_SystemError, fmt,
                   *unit == '$'   ? "invalid format string ($ specified twice)"
                   : keyword_only ? "invalid format string ($ before |)"
                                  : "invalid format string (| specified twice)");
        return 0;
      }
      optional |= *unit == '|';
      keyword_only |= *unit == '$';
      continue;
    }
    if (*unit == 'O' && ht == NULL) {
      raise_text(ctx, ctx->h_SystemError, fmt,
                 "HPyArg_ParseKeywords cannot use the format character 'O' unless an "
                 "HPyTracker is provided. Please supply an HPyTracker.");
      return 0;
    }
    if (keywords[i] == NULL) {
      raise_text(ctx, ctx->h_TypeError, fmt, "mismatched args (too few keywords for fmt)");
      return 0;
    }
    if (i < kw->nargs) {
      if (keyword_only) {
        raise_text(ctx, ctx->h_TypeError, fmt,
                   "keyword only argument passed as positional argument");
        return 0;
      }
      value = kw->args[i];
    } else if (keywords[i][0] != '\0') {
      found = find_keyword(ctx, kw, keywords[i], &value);
      if (found < 0) return 0;
      used += (size_t)found;
    }
    if (HPy_IsNull(value) && !optional && !keyword_only && is_unit(*unit)) {
      raise_text(ctx, ctx->h_TypeError, fmt, "no value for required argument");
      return 0;
    }
    success = found && !HPy_IsNull(kw->dict) ? convert_dict_value(ctx, ht, value, *unit, fmt, vars)
                                             : convert(ctx, ht, value, *unit, fmt, vars);
    if (!success) return 0;
    i++;
  }
  if (keywords[i] != NULL) {
    raise_text(ctx, ctx->h_TypeError, fmt, "mismatched args (too many keywords for fmt)");
    return 0;
  }
  if (kw->nargs > i) {
    raise_too_many_positional(ctx, fmt, i, kw->nargs);
    return 0;
  }
  if (used < kw->count) return raise_unused_keyword(ctx, kw, fmt, keywords);
  return 1;
}

/* The rest of the keyword functions, behind the choice between tuple and dict. */
static int check_and_parse_keywords(HPyContext *ctx, HPyTracker *ht, const KeywordArgs *kw,
                                    const char *fmt, const char *keywords[], va_list *vars) {
  size_t i;
  for (i = 0; keywords[i] != NULL; i++) {
    if (i > 0 && keywords[i][0] == '\0' && keywords[i - 1][0] != '\0') {
      raise_text(ctx, ctx->h_SystemError, fmt, "empty keyword parameter name");
      return 0;
    }
  }
  if (!open_tracker(ctx, ht)) return 0;
  return close_on_failure(ctx, ht, parse_keywords(ctx, ht, kw, fmt, keywords, vars));
}

/* Fills *kw from a tuple of names, a dict or null; both are accepted because the older spelling of
 * the API hands over a dict. Returns 1, or 0 with an exception set. */
static int init_keyword_args(HPyContext *ctx, KeywordArgs *kw, const HPy *args, size_t nargs,
                             HPy names_or_dict, const char *fmt) {
  HPy_ssize_t count = 0;
  kw->args = args;
  kw->nargs = nargs;
  kw->names = HPy_NULL;
  kw->dict = HPy_NULL;
  if (!HPy_IsNull(names_or_dict)) {
    if (HPyTuple_Check(ctx, names_or_dict)) {
      kw->names = names_or_dict;
    } else if (HPyDict_Check(ctx, names_or_dict)) {
      kw->dict = names_or_dict;
    } else {
      raise_text(ctx, ctx->h_TypeError, fmt,
                 "keyword arguments must be a tuple of names, a dict or HPy_NULL");
      return 0;
    }
    count = HPy_Length(ctx, names_or_dict);
    if (count < 0) {
      raise_text(ctx, ctx->h_SystemError, fmt, "could not retrieve length of keyword names tuple");
      return 0;
    }
  }
  kw->count = (size_t)count;
  return 1;
}

int HPyArg_ParseKeywords(HPyContext *ctx, HPyTracker *ht, const HPy *args, size_t nargs,
                         HPy kwnames, const char *fmt, const char *keywords[], ...) {
  KeywordArgs kw;
  va_list vars;
  int success;
  if (!init_keyword_args(ctx, &kw, args, nargs, kwnames, fmt)) return 0;
  va_start(vars, keywords);
  success = check_and_parse_keywords(ctx, ht, &kw, fmt, keywords, &vars);
  va_end(vars);
  return success;
}

int HPyArg_ParseKeywordsDict(HPyContext *ctx, HPyTracker *ht, const HPy *args, HPy_ssize_t nargs,
                             HPy kw, const char *fmt, const char *keywords[], ...) {
  KeywordArgs all;
  va_list vars;
  int success;
  if (nargs < 0) {
    raise_text(ctx, ctx->h_SystemError, fmt, "negative number of positional arguments");
    return 0;
  }
  if (!HPy_IsNull(kw) && !HPyDict_Check(ctx, kw)) {
    raise_text(ctx, ctx->h_TypeError, fmt, "keyword arguments must be a dict or HPy_NULL");
    return 0;
  }
  if (!init_keyword_args(ctx, &all, args, (size_t)nargs, kw, fmt)) return 0;
  va_start(vars, keywords);
  success = check_and_parse_keywords(ctx, ht, &all, fmt, keywords, &vars);
  va_end(vars);
  return success;
}
