/* Builders that the seeds of HPy sketch and no release of it has: appending to list and tuple
 * builders, builders of lists and tuples of integers without a handle per item, and a builder of
 * bytes.
 *
 *     HPyListBuilder builder = HPyListBuilder_New(ctx, 2);
 *     HPyListBuilder_Set(ctx, builder, 0, first);
 *     HPyListBuilder_Set(ctx, builder, 1, second);
 *     HPyListBuilder_Append(ctx, builder, third);
 *     HPy list = HPyListBuilder_Build(ctx, builder);       <- three items
 *
 *     HPyListBuilder_i numbers = HPyListBuilder_i_New(ctx, 1);
 *     HPyListBuilder_i_Set(ctx, numbers, 0, 42);
 *     HPy list_of_ints = HPyListBuilder_i_Build(ctx, numbers);
 *
 * The rules are those of the plain builders: an item is not stolen; New, Set and Append do not
 * report errors, Build does: it raises, returns HPy_NULL, and consumes the builder in any case.
 * Cancel consumes it without building. An index is between 0 and the number of items so far.
 *
 * Compiled into the extension from runtime/builders.c, on the public API alone: an extension that
 * uses them runs on every host of its ABI. */
#ifndef HPY_BUILDERS_H
#define HPY_BUILDERS_H

#ifdef __cplusplus
extern "C" {
#endif

/* Adds an item behind the last one. */
HPyAPI_HELPER void HPyListBuilder_Append(HPyContext* ctx, HPyListBuilder builder, HPy h_item);
HPyAPI_HELPER void HPyTupleBuilder_Append(HPyContext* ctx, HPyTupleBuilder builder, HPy h_item);

/* Integers of 64 bits. The items of `size` that are not set are 0. */
typedef struct {
  intptr_t _i;
} HPyListBuilder_i;
typedef struct {
  intptr_t _i;
} HPyTupleBuilder_i;

HPyAPI_HELPER HPyListBuilder_i HPyListBuilder_i_New(HPyContext* ctx, HPy_ssize_t size);
HPyAPI_HELPER void HPyListBuilder_i_Set(HPyContext* ctx, HPyListBuilder_i builder,
                                        HPy_ssize_t index, int64_t value);
HPyAPI_HELPER void HPyListBuilder_i_Append(HPyContext* ctx, HPyListBuilder_i builder,
                                           int64_t value);
HPyAPI_HELPER HPy HPyListBuilder_i_Build(HPyContext* ctx, HPyListBuilder_i builder);
HPyAPI_HELPER void HPyListBuilder_i_Cancel(HPyContext* ctx, HPyListBuilder_i builder);

HPyAPI_HELPER HPyTupleBuilder_i HPyTupleBuilder_i_New(HPyContext* ctx, HPy_ssize_t size);
HPyAPI_HELPER void HPyTupleBuilder_i_Set(HPyContext* ctx, HPyTupleBuilder_i builder,
                                         HPy_ssize_t index, int64_t value);
HPyAPI_HELPER void HPyTupleBuilder_i_Append(HPyContext* ctx, HPyTupleBuilder_i builder,
                                            int64_t value);
HPyAPI_HELPER HPy HPyTupleBuilder_i_Build(HPyContext* ctx, HPyTupleBuilder_i builder);
HPyAPI_HELPER void HPyTupleBuilder_i_Cancel(HPyContext* ctx, HPyTupleBuilder_i builder);

/* A bytes object. The bytes of `size` that are not set are 0. */
typedef struct {
  intptr_t _i;
} HPyBytesBuilder;

HPyAPI_HELPER HPyBytesBuilder HPyBytesBuilder_New(HPyContext* ctx, HPy_ssize_t size);
HPyAPI_HELPER void HPyBytesBuilder_Set(HPyContext* ctx, HPyBytesBuilder builder, HPy_ssize_t index,
                                       char byte);
HPyAPI_HELPER void HPyBytesBuilder_Append(HPyContext* ctx, HPyBytesBuilder builder,
                                          const char* bytes, HPy_ssize_t length);
/* The bytes so far, to be written to in place; valid until the next Append, Build or Cancel. NULL,
 * with no exception set, after an error that Build is going to report. */
HPyAPI_HELPER char* HPyBytesBuilder_Data(HPyContext* ctx, HPyBytesBuilder builder);
HPyAPI_HELPER HPy HPyBytesBuilder_Build(HPyContext* ctx, HPyBytesBuilder builder);
HPyAPI_HELPER void HPyBytesBuilder_Cancel(HPyContext* ctx, HPyBytesBuilder builder);

/* ---- How Append reaches Build ----
 *
 * A plain builder is one word that its host gave out, so what was appended to it is kept beside it,
 * in records of this binary. Build and Cancel look for one; there is none unless a builder with
 * appended items is open. The list of them is defined in every unit and merged by the linker, and a
 * record brings its functions along, so a unit that never appends needs nothing from the runtime.
 */
struct _HPyAppended {
  struct _HPyAppended* next;
  intptr_t builder;
  HPy items;  /* a list, or HPy_NULL after an error */
  int failed; /* there was no memory for an item */
  /* Both consume the record. `join` also consumes `built`, which may be HPy_NULL with an exception.
   */
  HPy (*join)(HPyContext* ctx, struct _HPyAppended* appended, HPy built);
  void (*drop)(HPyContext* ctx, struct _HPyAppended* appended);
};

_HPy_MERGED struct _HPyAppended* _HPyBuilder_appended = NULL;

/* Takes the record of a builder out of the list. NULL when nothing was appended to it. */
_HPy_UNUSED _HPy_COLD static struct _HPyAppended* _HPyBuilder_Take(intptr_t builder) {
  struct _HPyAppended** link = &_HPyBuilder_appended;
  while (*link != NULL && (*link)->builder != builder) link = &(*link)->next;
  if (*link == NULL) return NULL;
  {
    struct _HPyAppended* found = *link;
    *link = found->next;
    return found;
  }
}

#ifdef HPY_ABI_CPYTHON
#define _HPy_MEMBER(ctx, member) member
#else
#define _HPy_MEMBER(ctx, member) (ctx)->member
#endif

#define _HPy_BUILD_AND_CANCEL(Builder, word)                                                    \
  HPyAPI_FUNC HPy HPy##Builder##_Build(HPyContext* ctx, HPy##Builder builder) {                 \
    struct _HPyAppended* appended = NULL;                                                       \
    HPy built;                                                                                  \
    if (_HPy_UNLIKELY(_HPyBuilder_appended != NULL)) appended = _HPyBuilder_Take(builder.word); \
    built = _HPy_MEMBER(ctx, ctx_##Builder##_Build)(ctx, builder);                              \
    _HPy_KEEP_FRAME();                                                                          \
    if (_HPy_UNLIKELY(appended != NULL)) {                                                      \
      built = appended->join(ctx, appended, built);                                             \
      _HPy_KEEP_FRAME();                                                                        \
    }                                                                                           \
    return built;                                                                               \
  }                                                                                             \
  HPyAPI_FUNC void HPy##Builder##_Cancel(HPyContext* ctx, HPy##Builder builder) {               \
    struct _HPyAppended* appended = NULL;                                                       \
    if (_HPy_UNLIKELY(_HPyBuilder_appended != NULL)) appended = _HPyBuilder_Take(builder.word); \
    _HPy_MEMBER(ctx, ctx_##Builder##_Cancel)(ctx, builder);                                     \
    _HPy_KEEP_FRAME();                                                                          \
    if (_HPy_UNLIKELY(appended != NULL)) {                                                      \
      appended->drop(ctx, appended);                                                            \
      _HPy_KEEP_FRAME();                                                                        \
    }                                                                                           \
  }
_HPy_BUILD_AND_CANCEL(ListBuilder, _lst) _HPy_BUILD_AND_CANCEL(TupleBuilder, _tup)
#undef _HPy_BUILD_AND_CANCEL
#undef _HPy_MEMBER

#ifdef __cplusplus
}
#endif

#endif /* HPY_BUILDERS_H */
