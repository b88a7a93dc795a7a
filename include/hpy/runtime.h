/* The helpers that are compiled into every extension: arguments, values, text, struct sequences.
 * Their sources are runtime/{argparse,buildvalue,format,structseq,helpers}.c; a build with
 * hpy_ext_modules adds them by itself. They are written on the public API and are no part of the
 * binary interface. */
#ifndef HPY_RUNTIME_H
#define HPY_RUNTIME_H

#include "hpy/builders.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Argument parsing, by a format string ("ll", "O|s:name", ...; the units are in argparse.c). All
 * return 1, or 0 with an exception set. `ht` may be NULL; when it is not, a tracker is created in
 * any case: the caller closes it after success, the function on failure. */
HPyAPI_HELPER int HPyArg_Parse(HPyContext* ctx, HPyTracker* ht, const HPy* args, size_t nargs,
                               const char* fmt, ...);
/* `kwnames` as implementations of HPyFunc_KEYWORDS receive it: a tuple of names, whose values
 * follow the positional ones; in the older spelling a dict. HPy_NULL: none. `keywords` ends with
 * NULL; leading
 * "" are positional-only. */
HPyAPI_HELPER int HPyArg_ParseKeywords(HPyContext* ctx, HPyTracker* ht, const HPy* args,
                                       size_t nargs, HPy kwnames, const char* fmt,
                                       const char* keywords[], ...);
HPyAPI_HELPER int HPyArg_ParseKeywordsDict(HPyContext* ctx, HPyTracker* ht, const HPy* args,
                                           HPy_ssize_t nargs, HPy kw, const char* fmt,
                                           const char* keywords[], ...);

/* A new object from C values: "i", "(is)", "[dd]", "{s:i}", ... Handles that are passed stay the
 * caller's. */
HPyAPI_HELPER HPy HPy_BuildValue(HPyContext* ctx, const char* fmt, ...);

/* str from a printf-like format. No printf attribute: the units are HPy's own (%U, %R, ...). */
HPyAPI_HELPER HPy HPyUnicode_FromFormat(HPyContext* ctx, const char* fmt, ...);
HPyAPI_HELPER HPy HPyUnicode_FromFormatV(HPyContext* ctx, const char* format, va_list vargs);
/* Raises h_type with that str; always returns HPy_NULL. */
HPyAPI_HELPER HPy HPyErr_Format(HPyContext* ctx, HPy h_type, const char* fmt, ...);

/* HPyType_FromSpec, then obj.name = the type. 1, or 0 with an exception set. params may be NULL. */
HPyAPI_HELPER int HPyHelpers_AddType(HPyContext* ctx, HPy obj, const char* name,
                                     HPyType_Spec* hpyspec, HPyType_SpecParam* params);
/* Turns the arguments of HPyFunc_KEYWORDS into a tuple and a dict, both new handles, and HPy_NULL
 * where there is nothing to put in. 1, or 0 with an exception set and nothing written. */
HPyAPI_HELPER int HPyHelpers_PackArgsAndKeywords(HPyContext* ctx, const HPy* args, size_t nargs,
                                                 HPy kwnames, HPy* out_pos_args, HPy* out_kwd);

/* The name of a field that is reachable by its index only. */
extern HPyAPI_HELPER const char* const HPyStructSequence_UnnamedField;
HPyAPI_HELPER HPy HPyStructSequence_NewType(HPyContext* ctx, HPyStructSequence_Desc* desc);
HPyAPI_HELPER HPy HPyStructSequence_New(HPyContext* ctx, HPy type, HPy_ssize_t nargs, HPy* args);

/* `return HPy_BuildValue(ctx, "i", 1);` must not become a jump either: see _HPy_KEEP_FRAME. These
 * functions cannot be inlined, so the statement stands behind the call by means of a macro of the
 * same name. runtime/<name>.c, which define them, define HPY_RUNTIME_SOURCE. */
#if !defined(HPY_ABI_CPYTHON) && !defined(HPY_RUNTIME_SOURCE)
HPyAPI_FUNC HPy _HPy_KeptHandle(HPy result) {
  _HPy_KEEP_FRAME();
  return result;
}

HPyAPI_FUNC int _HPy_KeptInt(int result) {
  _HPy_KEEP_FRAME();
  return result;
}
#define HPyTuple_Pack(...) _HPy_KeptHandle(HPyTuple_Pack(__VA_ARGS__))
#define HPy_BuildValue(...) _HPy_KeptHandle(HPy_BuildValue(__VA_ARGS__))
#define HPyUnicode_FromFormat(...) _HPy_KeptHandle(HPyUnicode_FromFormat(__VA_ARGS__))
#define HPyUnicode_FromFormatV(...) _HPy_KeptHandle(HPyUnicode_FromFormatV(__VA_ARGS__))
#define HPyErr_Format(...) _HPy_KeptHandle(HPyErr_Format(__VA_ARGS__))
#define HPyHelpers_AddType(...) _HPy_KeptInt(HPyHelpers_AddType(__VA_ARGS__))
#define HPyHelpers_PackArgsAndKeywords(...) \
  _HPy_KeptInt(HPyHelpers_PackArgsAndKeywords(__VA_ARGS__))
#define HPyStructSequence_NewType(...) _HPy_KeptHandle(HPyStructSequence_NewType(__VA_ARGS__))
#define HPyStructSequence_New(...) _HPy_KeptHandle(HPyStructSequence_New(__VA_ARGS__))
#define HPyListBuilder_i_Build(...) _HPy_KeptHandle(HPyListBuilder_i_Build(__VA_ARGS__))
#define HPyTupleBuilder_i_Build(...) _HPy_KeptHandle(HPyTupleBuilder_i_Build(__VA_ARGS__))
#define HPyBytesBuilder_Build(...) _HPy_KeptHandle(HPyBytesBuilder_Build(__VA_ARGS__))
#endif

#ifdef __cplusplus
}
#endif

#endif /* HPY_RUNTIME_H */
