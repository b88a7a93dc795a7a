/* HPyListBuilder_Append and HPyTupleBuilder_Append, the builders of integers, and HPyBytesBuilder.
 *
 * Compiled into every extension, in every ABI, on the public API alone. include/hpy/builders.h is
 * the manual. All of it runs with the GIL held. */
#define HPY_RUNTIME_SOURCE /* see hpy/runtime.h */
#include "hpy.h"

#include <string.h>

/* ---- Appending to the plain builders ---- */

/* For the case that there is no memory for a record: it says so for one builder. */
static struct _HPyAppended emergency;
static int emergency_in_use;

static void discard(HPyContext *ctx, struct _HPyAppended *appended) {
  if (!HPy_IsNull(appended->items)) HPy_Close(ctx, appended->items);
  if (appended == &emergency) {
    emergency_in_use = 0;
  } else {
    free(appended);
  }
}

static HPy join_lists(HPyContext *ctx, HPy built, HPy items) {
  return HPy_InPlaceAdd(ctx, built, items);
}

static HPy join_tuples(HPyContext *ctx, HPy built, HPy items) {
  HPy tuple, result;
  HPy arguments = HPyTuple_FromArray(ctx, &items, 1);
  if (HPy_IsNull(arguments)) return HPy_NULL;
  tuple = HPy_CallTupleDict(ctx, ctx->h_TupleType, arguments, HPy_NULL);
  HPy_Close(ctx, arguments);
  if (HPy_IsNull(tuple)) return HPy_NULL;
  result = HPy_Add(ctx, built, tuple);
  HPy_Close(ctx, tuple);
  return result;
}

static HPy join(HPyContext *ctx, struct _HPyAppended *appended, HPy built,
                HPy (*joined)(HPyContext *, HPy, HPy)) {
  HPy result = HPy_NULL;
  if (!HPy_IsNull(built)) {
    if (appended->failed) {
      HPyErr_NoMemory(ctx);
    } else {
      result = joined(ctx, built, appended->items);
    }
    HPy_Close(ctx, built);
  }
  discard(ctx, appended);
  return result;
}

static HPy join_list(HPyContext *ctx, struct _HPyAppended *appended, HPy built) {
  return join(ctx, appended, built, join_lists);
}

static HPy join_tuple(HPyContext *ctx, struct _HPyAppended *appended, HPy built) {
  return join(ctx, appended, built, join_tuples);
}

static struct _HPyAppended *find_or_make(HPyContext *ctx, intptr_t builder) {
  struct _HPyAppended *appended;
  for (appended = _HPyBuilder_appended; appended != NULL; appended = appended->next) {
    if (appended->builder == builder) return appended;
  }
  appended = (struct _HPyAppended *)malloc(sizeof(*appended));
  if (appended == NULL) {
    if (emergency_in_use) {
      HPy_FatalError(ctx, "out of memory while appending to several HPy builders");
    }
    emergency_in_use = 1;
    appended = &emergency;
  }
  appended->builder = builder;
  appended->failed = appended == &emergency;
  appended->items = HPy_NULL;
  appended->drop = discard;
  appended->next = _HPyBuilder_appended;
  _HPyBuilder_appended = appended;
  return appended;
}

/* Nothing is reported here: a failure is kept for Build. */
static void append(HPyContext *ctx, intptr_t builder, HPy item,
                   HPy (*joined)(HPyContext *, struct _HPyAppended *, HPy)) {
  struct _HPyAppended *appended;
  if (builder == 0) return; /* New failed, and Build is going to say so. */
  appended = find_or_make(ctx, builder);
  appended->join = joined;
  if (!appended->failed && HPy_IsNull(appended->items)) {
    appended->items = HPyList_New(ctx, 0);
    appended->failed = HPy_IsNull(appended->items);
  } else if (appended->failed) {
    return;
  }
  if (!appended->failed) appended->failed = HPyList_Append(ctx, appended->items, item) < 0;
  if (appended->failed) HPyErr_Clear(ctx);
}

void HPyListBuilder_Append(HPyContext *ctx, HPyListBuilder builder, HPy h_item) {
  append(ctx, builder._lst, h_item, join_list);
}

void HPyTupleBuilder_Append(HPyContext *ctx, HPyTupleBuilder builder, HPy h_item) {
  append(ctx, builder._tup, h_item, join_tuple);
}

/* ---- Arrays that grow: of integers and of bytes ---- */

typedef enum { kFine = 0, kNoMemory, kNegativeSize, kBadIndex } Trouble;

typedef struct {
  char *data;
  HPy_ssize_t length;   /* in items */
  HPy_ssize_t capacity; /* in items */
  size_t item_size;
  Trouble trouble; /* the first one; Build reports it */
} Array;

static void note(Array *array, Trouble trouble) {
  if (array->trouble == kFine) array->trouble = trouble;
}

/* Makes room for `more` items behind the last. 0 when there is none; that is noted. */
static int reserve(Array *array, HPy_ssize_t more) {
  HPy_ssize_t wanted;
  char *data;
  if (array->trouble != kFine) return 0;
  if (more <= array->capacity - array->length) return 1;
  if (more > HPY_SSIZE_T_MAX / 2 / (HPy_ssize_t)array->item_size - array->length) {
    note(array, kNoMemory);
    return 0;
  }
  wanted = array->length + more;
  if (wanted < array->capacity + array->capacity / 2) {
    wanted = array->capacity + array->capacity / 2;
  }
  data = (char *)realloc(array->data, (size_t)wanted * array->item_size);
  if (data == NULL) {
    note(array, kNoMemory);
    return 0;
  }
  array->data = data;
  array->capacity = wanted;
  return 1;
}

/* NULL when there is no memory even for the record: the null builder. */
static Array *make(HPy_ssize_t size, size_t item_size) {
  Array *array = (Array *)calloc(1, sizeof(Array));
  if (array == NULL) return NULL;
  array->item_size = item_size;
  if (size < 0) {
    note(array, kNegativeSize);
  } else if (size > 0 && reserve(array, size)) {
    memset(array->data, 0, (size_t)size * item_size);
    array->length = size;
  }
  return array;
}

static void *item_at(Array *array, HPy_ssize_t index) {
  if (array == NULL || array->trouble != kFine) return NULL;
  if (index < 0 || index >= array->length) {
    note(array, kBadIndex);
    return NULL;
  }
  return array->data + (size_t)index * array->item_size;
}

static void release(Array *array) {
  if (array == NULL) return;
  free(array->data);
  free(array);
}

/* Raises what was noted, if anything. */
static int is_fine(HPyContext *ctx, const Array *array) {
  switch (array == NULL ? kNoMemory : array->trouble) {
    case kFine:
      return 1;
    case kNoMemory:
      HPyErr_NoMemory(ctx);
      return 0;
    case kNegativeSize:
      HPyErr_SetString(ctx, ctx->h_SystemError, "an HPy builder was made with a negative size");
      return 0;
    case kBadIndex:
      HPyErr_SetString(ctx, ctx->h_SystemError,
                       "the index of an item of an HPy builder was out of range");
      return 0;
  }
  return 0;
}

static void set_number(intptr_t builder, HPy_ssize_t index, int64_t value) {
  void *item = item_at((Array *)builder, index);
  if (item != NULL) memcpy(item, &value, sizeof(value));
}

static void append_number(intptr_t builder, int64_t value) {
  Array *array = (Array *)builder;
  if (array == NULL || !reserve(array, 1)) return;
  array->length += 1;
  set_number(builder, array->length - 1, value);
}

/* ---- Integers ---- */

/* Calls `set` of a plain builder for each of the integers. 0 with an exception set when it failed. */
static int set_all(HPyContext *ctx, const Array *array, intptr_t builder,
                   void (*set)(HPyContext *, intptr_t, HPy_ssize_t, HPy)) {
  HPy_ssize_t i;
  for (i = 0; i < array->length; i++) {
    int64_t value;
    HPy number;
    memcpy(&value, array->data + (size_t)i * sizeof(value), sizeof(value));
    number = HPyLong_FromInt64_t(ctx, value);
    if (HPy_IsNull(number)) return 0;
    set(ctx, builder, i, number);
    HPy_Close(ctx, number);
  }
  return 1;
}

static void set_in_list(HPyContext *ctx, intptr_t builder, HPy_ssize_t index, HPy item) {
  HPyListBuilder list;
  list._lst = builder;
  HPyListBuilder_Set(ctx, list, index, item);
}

static void set_in_tuple(HPyContext *ctx, intptr_t builder, HPy_ssize_t index, HPy item) {
  HPyTupleBuilder tuple;
  tuple._tup = builder;
  HPyTupleBuilder_Set(ctx, tuple, index, item);
}

HPyListBuilder_i HPyListBuilder_i_New(HPyContext *ctx, HPy_ssize_t size) {
  HPyListBuilder_i builder;
  (void)ctx;
  builder._i = (intptr_t)make(size, sizeof(int64_t));
  return builder;
}

void HPyListBuilder_i_Set(HPyContext *ctx, HPyListBuilder_i builder, HPy_ssize_t index,
                          int64_t value) {
  (void)ctx;
  set_number(builder._i, index, value);
}

void HPyListBuilder_i_Append(HPyContext *ctx, HPyListBuilder_i builder, int64_t value) {
  (void)ctx;
  append_number(builder._i, value);
}

HPy HPyListBuilder_i_Build(HPyContext *ctx, HPyListBuilder_i builder) {
  Array *array = (Array *)builder._i;
  HPy result = HPy_NULL;
  if (is_fine(ctx, array)) {
    HPyListBuilder list = HPyListBuilder_New(ctx, array->length);
    if (set_all(ctx, array, list._lst, set_in_list)) {
      result = HPyListBuilder_Build(ctx, list);
    } else {
      HPyListBuilder_Cancel(ctx, list);
    }
  }
  release(array);
  return result;
}

void HPyListBuilder_i_Cancel(HPyContext *ctx, HPyListBuilder_i builder) {
  (void)ctx;
  release((Array *)builder._i);
}

HPyTupleBuilder_i HPyTupleBuilder_i_New(HPyContext *ctx, HPy_ssize_t size) {
  HPyTupleBuilder_i builder;
  (void)ctx;
  builder._i = (intptr_t)make(size, sizeof(int64_t));
  return builder;
}

void HPyTupleBuilder_i_Set(HPyContext *ctx, HPyTupleBuilder_i builder, HPy_ssize_t index,
                           int64_t value) {
  (void)ctx;
  set_number(builder._i, index, value);
}

void HPyTupleBuilder_i_Append(HPyContext *ctx, HPyTupleBuilder_i builder, int64_t value) {
  (void)ctx;
  append_number(builder._i, value);
}

HPy HPyTupleBuilder_i_Build(HPyContext *ctx, HPyTupleBuilder_i builder) {
  Array *array = (Array *)builder._i;
  HPy result = HPy_NULL;
  if (is_fine(ctx, array)) {
    HPyTupleBuilder tuple = HPyTupleBuilder_New(ctx, array->length);
    if (set_all(ctx, array, tuple._tup, set_in_tuple)) {
      result = HPyTupleBuilder_Build(ctx, tuple);
    } else {
      HPyTupleBuilder_Cancel(ctx, tuple);
    }
  }
  release(array);
  return result;
}

void HPyTupleBuilder_i_Cancel(HPyContext *ctx, HPyTupleBuilder_i builder) {
  (void)ctx;
  release((Array *)builder._i);
}

/* ---- Bytes ---- */

HPyBytesBuilder HPyBytesBuilder_New(HPyContext *ctx, HPy_ssize_t size) {
  HPyBytesBuilder builder;
  (void)ctx;
  builder._i = (intptr_t)make(size, 1);
  return builder;
}

void HPyBytesBuilder_Set(HPyContext *ctx, HPyBytesBuilder builder, HPy_ssize_t index, char byte) {
  char *item = (char *)item_at((Array *)builder._i, index);
  (void)ctx;
  if (item != NULL) *item = byte;
}

void HPyBytesBuilder_Append(HPyContext *ctx, HPyBytesBuilder builder, const char *bytes,
                            HPy_ssize_t length) {
  Array *array = (Array *)builder._i;
  (void)ctx;
  if (array == NULL) return;
  if (length < 0) {
    note(array, kNegativeSize);
    return;
  }
  if (length == 0 || !reserve(array, length)) return;
  memcpy(array->data + array->length, bytes, (size_t)length);
  array->length += length;
}

char *HPyBytesBuilder_Data(HPyContext *ctx, HPyBytesBuilder builder) {
  Array *array = (Array *)builder._i;
  (void)ctx;
  /* Also of an empty builder an address that may be written to for no bytes. */
  if (array == NULL || !reserve(array, array->length == 0 ? 1 : 0)) return NULL;
  return array->data;
}

HPy HPyBytesBuilder_Build(HPyContext *ctx, HPyBytesBuilder builder) {
  Array *array = (Array *)builder._i;
  HPy result = HPy_NULL;
  if (is_fine(ctx, array)) {
    result = HPyBytes_FromStringAndSize(ctx, array->length == 0 ? "" : array->data, array->length);
  }
  release(array);
  return result;
}

void HPyBytesBuilder_Cancel(HPyContext *ctx, HPyBytesBuilder builder) {
  (void)ctx;
  release((Array *)builder._i);
}
