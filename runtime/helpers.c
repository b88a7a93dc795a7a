/* HPyHelpers_AddType and HPyHelpers_PackArgsAndKeywords.
 *
 * Compiled into every extension, in every ABI, on the public API alone. */
#define HPY_RUNTIME_SOURCE /* see hpy/runtime.h */
#include "hpy.h"

/* Creates a type and makes it an attribute of `obj`, mostly a module. `params` may be NULL.
 * Returns 1, or 0 with an exception set. */
int HPyHelpers_AddType(HPyContext *ctx, HPy obj, const char *name, HPyType_Spec *hpyspec,
                       HPyType_SpecParam *params) {
  int status;
  HPy type = HPyType_FromSpec(ctx, hpyspec, params);
  if (HPy_IsNull(type)) return 0;
  status = HPy_SetAttr_s(ctx, obj, name, type);
  HPy_Close(ctx, type);
  return status == 0;
}

/* The keyword arguments as a dict. Returns a new handle, or HPy_NULL with an exception set. */
static HPy pack_keywords(HPyContext *ctx, const HPy *values, HPy kwnames, HPy_ssize_t count) {
  HPy_ssize_t i;
  HPy dict = HPyDict_New(ctx);
  if (HPy_IsNull(dict)) return HPy_NULL;
  for (i = 0; i < count; i++) {
    int status;
    HPy name = HPy_GetItem_i(ctx, kwnames, i);
    if (HPy_IsNull(name)) goto error;
    status = HPy_SetItem(ctx, dict, name, values[i]);
    HPy_Close(ctx, name);
    if (status < 0) goto error;
  }
  return dict;

error:
  HPy_Close(ctx, dict);
  return HPy_NULL;
}

/* Turns the arguments of an HPyFunc_KEYWORDS function into a tuple (HPy_NULL when nargs is 0) and a
 * dict (HPy_NULL when there are no names), both new handles, as HPy_CallTupleDict takes them.
 * Returns 1, or 0 with an exception set; the outputs are written on success only. */
int HPyHelpers_PackArgsAndKeywords(HPyContext *ctx, const HPy *args, size_t nargs, HPy kwnames,
                                   HPy *out_pos_args, HPy *out_kwd) {
  HPy tuple = HPy_NULL, dict = HPy_NULL;
  HPy_ssize_t count = 0;
  if (out_pos_args == NULL) {
    HPyErr_SetString(ctx, ctx->h_SystemError, "argument 'out_pos_args' must not be NULL");
    return 0;
  }
  if (out_kwd == NULL) {
    HPyErr_SetString(ctx, ctx->h_SystemError, "argument 'out_kwd' must not be NULL");
    return 0;
  }
  if (!HPy_IsNull(kwnames)) {
    count = HPy_Length(ctx, kwnames);
    if (count < 0) return 0;
  }
  /* Only now is the array read: with kwnames that are none, nargs may be wrong as well. */
  if (nargs > 0) {
    tuple = HPyTuple_FromArray(ctx, args, (HPy_ssize_t)nargs);
    if (HPy_IsNull(tuple)) return 0;
  }
  if (count > 0) {
    dict = pack_keywords(ctx, args + nargs, kwnames, count);
    if (HPy_IsNull(dict)) {
      if (!HPy_IsNull(tuple)) HPy_Close(ctx, tuple);
      return 0;
    }
  }
  *out_pos_args = tuple;
  *out_kwd = dict;
  return 1;
}
