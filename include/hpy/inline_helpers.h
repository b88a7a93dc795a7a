/* The inline functions and small macros that every ABI builds from the same functions. */
#ifndef HPY_INLINE_HELPERS_H
#define HPY_INLINE_HELPERS_H

#ifdef __cplusplus
extern "C" {
#endif

/* PP is the address of a pointer to the type's struct. */
#define HPy_New(ctx, cls, PP) _HPy_New(ctx, cls, (void**)(PP))

/* Translates the older spelling of the legacy shape, in a copy: the binary interface never sees it.
 */
HPyAPI_FUNC HPy HPyType_FromSpec(HPyContext* ctx, HPyType_Spec* spec, HPyType_SpecParam* params) {
#ifdef HPY_OLD_GETSET
  /* In a file of the older spelling the object shape means `.legacy = 0`. */
  if (spec->legacy_slots != NULL && spec->_shape_bits == (int32_t)HPyType_BuiltinShape_Object) {
    return HPyErr_SetString(ctx, ctx->h_TypeError,
                            "cannot specify .legacy_slots without setting .legacy=true");
  }
#endif
  if (_HPy_UNLIKELY(spec->_shape_bits == _HPyType_SHAPE_BITS_LEGACY)) {
    HPyType_Spec translated = *spec;
    translated.builtin_shape = HPyType_BuiltinShape_Legacy;
    return _HPyType_FromABISpec(ctx, &translated, params);
  }
  return _HPyType_FromABISpec(ctx, spec, params);
}

/* `return HPyErr_SetFromErrno(ctx, ctx->h_OSError);`: reads the C variable errno. */
HPyAPI_FUNC HPy HPyErr_SetFromErrno(HPyContext* ctx, HPy h_type) {
  return HPyErr_SetFromErrnoWithFilenameObjects(ctx, h_type, HPy_NULL, HPy_NULL);
}

HPyAPI_FUNC HPy HPyErr_SetFromErrnoWithFilenameObject(HPyContext* ctx, HPy h_type, HPy filename) {
  return HPyErr_SetFromErrnoWithFilenameObjects(ctx, h_type, filename, HPy_NULL);
}

/* A new tuple of n handles, which stay the caller's. */
HPyAPI_UNUSED HPy HPyTuple_Pack(HPyContext* ctx, HPy_ssize_t n, ...) {
  HPy few[16];
  HPy* items = few;
  HPy result;
  HPy_ssize_t i;
  va_list arguments;
  if (n > 16) {
    items = (HPy*)malloc((size_t)n * sizeof(HPy));
    if (items == NULL) return HPyErr_NoMemory(ctx);
  }
  va_start(arguments, n);
  for (i = 0; i < n; i++) items[i] = va_arg(arguments, HPy);
  va_end(arguments);
  result = HPyTuple_FromArray(ctx, items, n);
  if (items != few) free(items);
  return result;
}

HPyAPI_FUNC int HPy_DelAttr(HPyContext* ctx, HPy obj, HPy name) {
  return HPy_SetAttr(ctx, obj, name, HPy_NULL);
}

HPyAPI_FUNC int HPy_DelAttr_s(HPyContext* ctx, HPy obj, const char* utf8_name) {
  return HPy_SetAttr_s(ctx, obj, utf8_name, HPy_NULL);
}

HPyAPI_FUNC HPy HPyBool_FromLong(HPyContext* ctx, long v) { return HPyBool_FromBool(ctx, v != 0); }

/* What PySlice_AdjustIndices does: clips *start and *stop to a sequence of `length` items, and
 * returns how many items the slice has. `step` is not 0 and not below -HPY_SSIZE_T_MAX. */
HPyAPI_UNUSED HPy_ssize_t HPySlice_AdjustIndices(HPyContext* ctx, HPy_ssize_t length,
                                                 HPy_ssize_t* start, HPy_ssize_t* stop,
                                                 HPy_ssize_t step) {
  const HPy_ssize_t lowest = step < 0 ? -1 : 0;
  const HPy_ssize_t highest = step < 0 ? length - 1 : length;
  (void)ctx;
  assert(step != 0);
  assert(step >= -(HPy_ssize_t)((size_t)-1 >> 1));
  if (*start < 0) {
    *start += length;
    if (*start < 0) *start = lowest;
  } else if (*start >= length) {
    *start = highest;
  }
  if (*stop < 0) {
    *stop += length;
    if (*stop < 0) *stop = lowest;
  } else if (*stop >= length) {
    *stop = highest;
  }
  if (step < 0) return *stop < *start ? (*start - *stop - 1) / (-step) + 1 : 0;
  return *start < *stop ? (*stop - *start - 1) / step + 1 : 0;
}

/* receiver.name(*args, **kw); args and kw may be HPy_NULL. */
HPyAPI_FUNC HPy HPy_CallMethodTupleDict(HPyContext* ctx, HPy name, HPy receiver, HPy args, HPy kw) {
  HPy result;
  HPy method = HPy_GetAttr(ctx, receiver, name);
  if (HPy_IsNull(method)) return HPy_NULL;
  result = HPy_CallTupleDict(ctx, method, args, kw);
  HPy_Close(ctx, method);
  return result;
}

HPyAPI_FUNC HPy HPy_CallMethodTupleDict_s(HPyContext* ctx, const char* utf8_name, HPy receiver,
                                          HPy args, HPy kw) {
  HPy result;
  HPy method = HPy_GetAttr_s(ctx, receiver, utf8_name);
  if (HPy_IsNull(method)) return HPy_NULL;
  result = HPy_CallTupleDict(ctx, method, args, kw);
  HPy_Close(ctx, method);
  return result;
}

/* In an HPy_tp_traverse function, whose parameters are named `visit` and `arg`: visits one field.
 */
#define HPy_VISIT(PF)                                  \
  do {                                                 \
    HPyField* _hpy_field = (PF);                       \
    if (!HPyField_IsNull(*_hpy_field)) {               \
      const int _hpy_visited = visit(_hpy_field, arg); \
      if (_hpy_visited != 0) return _hpy_visited;      \
    }                                                  \
  } while (0)

/* Returns a new handle to True or False from the function: the comparison of two C values. */
#define HPy_RETURN_RICHCOMPARE(ctx, v1, v2, op)                 \
  do {                                                          \
    bool _hpy_compared = false;                                 \
    switch (op) {                                               \
      case HPy_EQ:                                              \
        _hpy_compared = (v1) == (v2);                           \
        break;                                                  \
      case HPy_NE:                                              \
        _hpy_compared = (v1) != (v2);                           \
        break;                                                  \
      case HPy_LT:                                              \
        _hpy_compared = (v1) < (v2);                            \
        break;                                                  \
      case HPy_GT:                                              \
        _hpy_compared = (v1) > (v2);                            \
        break;                                                  \
      case HPy_LE:                                              \
        _hpy_compared = (v1) <= (v2);                           \
        break;                                                  \
      case HPy_GE:                                              \
        _hpy_compared = (v1) >= (v2);                           \
        break;                                                  \
      default:                                                  \
        HPy_FatalError(ctx, "Invalid value for HPy_RichCmpOp"); \
    }                                                           \
    return HPyBool_FromBool(ctx, _hpy_compared);                \
  } while (0)

/* A block in which other threads run Python. No API function may be called in it. */
#define HPy_BEGIN_LEAVE_PYTHON(ctx) \
  {                                 \
    HPyThreadState _token = HPy_LeavePythonExecution(ctx);
#define HPy_END_LEAVE_PYTHON(ctx)          \
  HPy_ReenterPythonExecution(ctx, _token); \
  }

/* pid_t as a Python int, and its format unit. */
#if !defined(SIZEOF_PID_T) || SIZEOF_PID_T == 4
#define _HPy_PARSE_PID "i"
#define HPyLong_FromPid HPyLong_FromLong
#define HPyLong_AsPid HPyLong_AsLong
#elif defined(SIZEOF_LONG) && SIZEOF_PID_T == SIZEOF_LONG
#define _HPy_PARSE_PID "l"
#define HPyLong_FromPid HPyLong_FromLong
#define HPyLong_AsPid HPyLong_AsLong
#else
#define _HPy_PARSE_PID "L"
#define HPyLong_FromPid HPyLong_FromLongLong
#define HPyLong_AsPid HPyLong_AsLongLong
#endif

#ifdef __cplusplus
}
#endif

#endif /* HPY_INLINE_HELPERS_H */
