/* The definition macros: HPyDef_METH, HPyDef_SLOT, HPyDef_MEMBER, HPyDef_GET/SET/GETSET and others.
 *
 *     HPyDef_METH(add, "add", HPyFunc_VARARGS, .doc = "Add two ints.")
 *     static HPy add_impl(HPyContext *ctx, HPy self, const HPy *args, size_t nargs) { ... }
 *
 *     HPyDef_SLOT(point_repr, HPy_tp_repr)
 *     static HPy point_repr_impl(HPyContext *ctx, HPy self) { ... }
 *
 *     HPyDef_MEMBER(point_x, "x", HPyMember_DOUBLE, offsetof(Point, x), .readonly = 1)
 *
 *     HPyDef_GETSET(point_z, "z", .doc = "...")
 *     static HPy point_z_get(HPyContext *ctx, HPy self, void *closure) { ... }
 *     static int point_z_set(HPyContext *ctx, HPy self, HPy value, void *closure) { ... }
 *
 * Each declares the implementation as static, and defines its trampoline (static) and a variable
 * `HPyDef NAME` with external linkage. The *_IMPL forms name the implementation.
 *
 * The older spelling names it always, and in the third place: HPyDef_METH(add, "add", add_impl,
 * HPyFunc_VARARGS), HPyDef_SLOT(point_repr, point_repr_impl, HPy_tp_repr). Both are told apart by
 * the preprocessor, and then `args` is `HPy *`, `nargs` an HPy_ssize_t, and the keywords of
 * HPyFunc_KEYWORDS a dict or HPy_NULL. For HPyDef_GET, SET and GETSET that is impossible: define
 * HPY_OLD_GETSET before including hpy.h to use the older order of their arguments in a file.
 *
 * Nothing here depends on the line number, and no expansion contains an identifier of its own that
 * an author would define as a macro. */
#ifndef HPY_HPYDEF_H
#define HPY_HPYDEF_H

/* Macros of several definitions and lists of names, one on a line. */
/* clang-format off */

/* ---- Implementations and trampolines ---- */

/* Casts a function to another function type; the step in between tells -Wcast-function-type that
 * the types differ on purpose. */
#define _HPy_AS_FUNCTION(type, function) ((type)(void (*)(void))(function))

#ifdef HPY_ABI_CPYTHON
#define _HPy_TRAMPOLINE_ARGS(IMPL) &_HPyCPy_context, IMPL
#else
#define _HPy_TRAMPOLINE_ARGS(IMPL) _ctx_for_trampolines, _HPy_AS_FUNCTION(HPyCFunction, IMPL)
#endif

/* Declares an implementation. */
#define HPyFunc_DECLARE(SYM, SIG) static _HPyFuncType_##SIG SYM;

/* Defines the trampoline SYM of IMPL. A SIG that does not exist is an undeclared identifier in the
 * enumerator. */
#define HPyFunc_TRAMPOLINE(SYM, IMPL, SIG) \
  enum { SYM##_sig = SIG };                \
  _HPyFunc_TRAMPOLINE_##SIG(SYM, IMPL)

#define _HPy_TRAMPOLINE_1(NAME, ret, type0, SYM, IMPL)                \
  static ret SYM(type0 _hpy_0) {                                      \
    return _HPyTrampoline_##NAME(_HPy_TRAMPOLINE_ARGS(IMPL), _hpy_0); \
  }
#define _HPy_TRAMPOLINE_2(NAME, ret, type0, type1, SYM, IMPL)                 \
  static ret SYM(type0 _hpy_0, type1 _hpy_1) {                                \
    return _HPyTrampoline_##NAME(_HPy_TRAMPOLINE_ARGS(IMPL), _hpy_0, _hpy_1); \
  }
#define _HPy_TRAMPOLINE_3(NAME, ret, type0, type1, type2, SYM, IMPL)                  \
  static ret SYM(type0 _hpy_0, type1 _hpy_1, type2 _hpy_2) {                          \
    return _HPyTrampoline_##NAME(_HPy_TRAMPOLINE_ARGS(IMPL), _hpy_0, _hpy_1, _hpy_2); \
  }
#define _HPy_TRAMPOLINE_4(NAME, ret, type0, type1, type2, type3, SYM, IMPL)                   \
  static ret SYM(type0 _hpy_0, type1 _hpy_1, type2 _hpy_2, type3 _hpy_3) {                    \
    return _HPyTrampoline_##NAME(_HPy_TRAMPOLINE_ARGS(IMPL), _hpy_0, _hpy_1, _hpy_2, _hpy_3); \
  }
#define _HPy_TRAMPOLINE_VOID_1(NAME, type0, SYM, IMPL)         \
  static void SYM(type0 _hpy_0) {                              \
    _HPyTrampoline_##NAME(_HPy_TRAMPOLINE_ARGS(IMPL), _hpy_0); \
  }
#define _HPy_TRAMPOLINE_VOID_2(NAME, type0, type1, SYM, IMPL)          \
  static void SYM(type0 _hpy_0, type1 _hpy_1) {                        \
    _HPyTrampoline_##NAME(_HPy_TRAMPOLINE_ARGS(IMPL), _hpy_0, _hpy_1); \
  }

#define _HPyFunc_TRAMPOLINE_HPyFunc_VARARGS(SYM, IMPL)                                        \
  _HPy_TRAMPOLINE_3(VARARGS, cpy_PyObject*, cpy_PyObject*, cpy_PyObject* const*, HPy_ssize_t, \
                    SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_KEYWORDS(SYM, IMPL)                                   \
  _HPy_TRAMPOLINE_4(KEYWORDS, cpy_PyObject*, cpy_PyObject*, cpy_PyObject* const*, size_t, \
                    cpy_PyObject*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_NOARGS(SYM, IMPL) \
  _HPy_TRAMPOLINE_1(NOARGS, cpy_PyObject*, cpy_PyObject*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_O(SYM, IMPL) \
  _HPy_TRAMPOLINE_2(O, cpy_PyObject*, cpy_PyObject*, cpy_PyObject*, SYM, IMPL)
/* HPy_tp_destroy is called through `impl` only. */
#define _HPyFunc_TRAMPOLINE_HPyFunc_DESTROYFUNC(SYM, IMPL) \
  static void SYM(void) { abort(); }
#define _HPyFunc_TRAMPOLINE_HPyFunc_GETBUFFERPROC(SYM, IMPL) \
  _HPy_TRAMPOLINE_3(GETBUFFERPROC, int, cpy_PyObject*, cpy_Py_buffer*, int, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_RELEASEBUFFERPROC(SYM, IMPL) \
  _HPy_TRAMPOLINE_VOID_2(RELEASEBUFFERPROC, cpy_PyObject*, cpy_Py_buffer*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_UNARYFUNC(SYM, IMPL) \
  _HPy_TRAMPOLINE_1(UNARYFUNC, cpy_PyObject*, cpy_PyObject*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_BINARYFUNC(SYM, IMPL) \
  _HPy_TRAMPOLINE_2(BINARYFUNC, cpy_PyObject*, cpy_PyObject*, cpy_PyObject*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_TERNARYFUNC(SYM, IMPL)                    \
  _HPy_TRAMPOLINE_3(TERNARYFUNC, cpy_PyObject*, cpy_PyObject*, cpy_PyObject*, \
                    cpy_PyObject*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_INQUIRY(SYM, IMPL) \
  _HPy_TRAMPOLINE_1(INQUIRY, int, cpy_PyObject*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_LENFUNC(SYM, IMPL) \
  _HPy_TRAMPOLINE_1(LENFUNC, HPy_ssize_t, cpy_PyObject*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_SSIZEARGFUNC(SYM, IMPL) \
  _HPy_TRAMPOLINE_2(SSIZEARGFUNC, cpy_PyObject*, cpy_PyObject*, HPy_ssize_t, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_SSIZESSIZEARGFUNC(SYM, IMPL)                  \
  _HPy_TRAMPOLINE_3(SSIZESSIZEARGFUNC, cpy_PyObject*, cpy_PyObject*, HPy_ssize_t, \
                    HPy_ssize_t, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_SSIZEOBJARGPROC(SYM, IMPL) \
  _HPy_TRAMPOLINE_3(SSIZEOBJARGPROC, int, cpy_PyObject*, HPy_ssize_t, cpy_PyObject*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_SSIZESSIZEOBJARGPROC(SYM, IMPL)                     \
  _HPy_TRAMPOLINE_4(SSIZESSIZEOBJARGPROC, int, cpy_PyObject*, HPy_ssize_t, HPy_ssize_t, \
                    cpy_PyObject*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_OBJOBJARGPROC(SYM, IMPL) \
  _HPy_TRAMPOLINE_3(OBJOBJARGPROC, int, cpy_PyObject*, cpy_PyObject*, cpy_PyObject*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_FREEFUNC(SYM, IMPL) \
  _HPy_TRAMPOLINE_VOID_1(FREEFUNC, void*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_GETATTRFUNC(SYM, IMPL) \
  _HPy_TRAMPOLINE_2(GETATTRFUNC, cpy_PyObject*, cpy_PyObject*, char*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_GETATTROFUNC(SYM, IMPL) \
  _HPy_TRAMPOLINE_2(GETATTROFUNC, cpy_PyObject*, cpy_PyObject*, cpy_PyObject*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_SETATTRFUNC(SYM, IMPL) \
  _HPy_TRAMPOLINE_3(SETATTRFUNC, int, cpy_PyObject*, char*, cpy_PyObject*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_SETATTROFUNC(SYM, IMPL) \
  _HPy_TRAMPOLINE_3(SETATTROFUNC, int, cpy_PyObject*, cpy_PyObject*, cpy_PyObject*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_REPRFUNC(SYM, IMPL) \
  _HPy_TRAMPOLINE_1(REPRFUNC, cpy_PyObject*, cpy_PyObject*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_HASHFUNC(SYM, IMPL) \
  _HPy_TRAMPOLINE_1(HASHFUNC, HPy_hash_t, cpy_PyObject*, SYM, IMPL)
/* CPython passes the operation as an int. */
#define _HPyFunc_TRAMPOLINE_HPyFunc_RICHCMPFUNC(SYM, IMPL)                           \
  static cpy_PyObject* SYM(cpy_PyObject* _hpy_0, cpy_PyObject* _hpy_1, int _hpy_2) { \
    return _HPyTrampoline_RICHCMPFUNC(_HPy_TRAMPOLINE_ARGS(IMPL), _hpy_0, _hpy_1,    \
                                      (HPy_RichCmpOp)_hpy_2);                        \
  }
#define _HPyFunc_TRAMPOLINE_HPyFunc_GETITERFUNC(SYM, IMPL) \
  _HPy_TRAMPOLINE_1(GETITERFUNC, cpy_PyObject*, cpy_PyObject*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_ITERNEXTFUNC(SYM, IMPL) \
  _HPy_TRAMPOLINE_1(ITERNEXTFUNC, cpy_PyObject*, cpy_PyObject*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_DESCRGETFUNC(SYM, IMPL)                    \
  _HPy_TRAMPOLINE_3(DESCRGETFUNC, cpy_PyObject*, cpy_PyObject*, cpy_PyObject*, \
                    cpy_PyObject*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_DESCRSETFUNC(SYM, IMPL) \
  _HPy_TRAMPOLINE_3(DESCRSETFUNC, int, cpy_PyObject*, cpy_PyObject*, cpy_PyObject*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_INITPROC(SYM, IMPL) \
  _HPy_TRAMPOLINE_3(INITPROC, int, cpy_PyObject*, cpy_PyObject*, cpy_PyObject*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_NEWFUNC(SYM, IMPL)                                   \
  _HPy_TRAMPOLINE_3(NEWFUNC, cpy_PyObject*, cpy_PyObject*, cpy_PyObject*, cpy_PyObject*, \
                    SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_GETTER(SYM, IMPL) \
  _HPy_TRAMPOLINE_2(GETTER, cpy_PyObject*, cpy_PyObject*, void*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_SETTER(SYM, IMPL) \
  _HPy_TRAMPOLINE_3(SETTER, int, cpy_PyObject*, cpy_PyObject*, void*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_OBJOBJPROC(SYM, IMPL) \
  _HPy_TRAMPOLINE_2(OBJOBJPROC, int, cpy_PyObject*, cpy_PyObject*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_TRAVERSEPROC(SYM, IMPL) \
  _HPy_TRAMPOLINE_3(TRAVERSEPROC, int, cpy_PyObject*, cpy_visitproc, void*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_DESTRUCTOR(SYM, IMPL) \
  _HPy_TRAMPOLINE_VOID_1(DESTRUCTOR, cpy_PyObject*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_CAPSULE_DESTRUCTOR(SYM, IMPL) \
  _HPy_TRAMPOLINE_VOID_1(CAPSULE_DESTRUCTOR, cpy_PyObject*, SYM, IMPL)
#define _HPyFunc_TRAMPOLINE_HPyFunc_MOD_CREATE(SYM, IMPL)                   \
  static cpy_PyObject* SYM(cpy_PyObject* _hpy_0, cpy_PyModuleDef* _hpy_1) { \
    (void)_hpy_1;                                                           \
    return _HPyTrampoline_MOD_CREATE(_HPy_TRAMPOLINE_ARGS(IMPL), _hpy_0);   \
  }

/* ---- Methods ---- */

/* The trampoline of IMPL, and the variable. The last argument ends with a comma or is empty. */
#define _HPy_METH_VARIABLE(SYM, METHOD, IMPL, SIG, ...)                                         \
  HPyFunc_TRAMPOLINE(SYM##_trampoline, IMPL, SIG)                                               \
  _HPy_BEGIN_PARTIAL                                                                            \
  HPyDef SYM = {.kind = HPyDef_Kind_Meth,                                                       \
                .meth = {.name = METHOD,                                                        \
                         .impl = _HPy_AS_FUNCTION(HPyCFunction, IMPL),                          \
                         .cpy_trampoline = _HPy_AS_FUNCTION(cpy_PyCFunction, SYM##_trampoline), \
                         .signature = SIG,                                                      \
                         __VA_ARGS__}};                                                         \
  _HPy_END_PARTIAL

#define _HPy_METH_DECLARED(SYM, METHOD, IMPL, SIG, ...) \
  HPyFunc_DECLARE(IMPL, SIG)                            \
  _HPy_METH_VARIABLE(SYM, METHOD, IMPL, SIG, __VA_ARGS__)

#define HPyDef_METH_IMPL(SYM, METHOD, IMPL, ...)                  \
  _HPy_METH_DECLARED(SYM, METHOD, IMPL, _HPy_1ST(__VA_ARGS__, ~), \
                     _HPy_REST(__VA_ARGS__, ))

/* HPyDef_METH(SYM, NAME, SIG, ...) or, in the older spelling, (SYM, NAME, IMPL, SIG, ...). A lone
 * name that is no signature is a mistake in today's spelling. */
#define HPyDef_METH(SYM, METHOD, ...)                                                    \
  _HPy_CAT(_HPy_METH_, _HPy_PROBE(_HPy_IS_SIG_, _HPy_1ST(__VA_ARGS__, ~),                \
                                  _HPy_4TH(__VA_ARGS__, OLD, OLD, NEW, ~)))(SYM, METHOD, \
                                                                            __VA_ARGS__)
#define _HPy_METH_NEW(SYM, METHOD, ...)                                 \
  _HPy_METH_DECLARED(SYM, METHOD, SYM##_impl, _HPy_1ST(__VA_ARGS__, ~), \
                     _HPy_REST(__VA_ARGS__, ))
#define _HPy_METH_OLD(SYM, METHOD, ...)                                              \
  _HPy_METH_OLD_(SYM, METHOD, _HPy_1ST(__VA_ARGS__, ~), _HPy_2ND(__VA_ARGS__, ~, ~), \
                 _HPy_REST2(__VA_ARGS__, ))
#define _HPy_METH_OLD_(SYM, METHOD, IMPL, SIG, ...)                                     \
  _HPy_CAT(_HPy_OLD_DECLARE_, _HPy_PROBE(_HPy_OLD_SIG_, SIG, SAME))(SYM, IMPL, SIG)     \
  _HPy_METH_VARIABLE(                                                                   \
      SYM, METHOD,                                                                      \
      _HPy_CAT(_HPy_OLD_CALLED_, _HPy_PROBE(_HPy_OLD_SIG_, SIG, SAME))(SYM, IMPL), SIG, \
      __VA_ARGS__)

#define _HPy_IS_SIG_HPyFunc_VARARGS ~, NEW,
#define _HPy_IS_SIG_HPyFunc_KEYWORDS ~, NEW,
#define _HPy_IS_SIG_HPyFunc_NOARGS ~, NEW,
#define _HPy_IS_SIG_HPyFunc_O ~, NEW,
#define _HPy_IS_SIG_HPyFunc_DESTROYFUNC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_GETBUFFERPROC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_RELEASEBUFFERPROC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_UNARYFUNC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_BINARYFUNC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_TERNARYFUNC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_INQUIRY ~, NEW,
#define _HPy_IS_SIG_HPyFunc_LENFUNC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_SSIZEARGFUNC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_SSIZESSIZEARGFUNC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_SSIZEOBJARGPROC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_SSIZESSIZEOBJARGPROC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_OBJOBJARGPROC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_FREEFUNC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_GETATTRFUNC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_GETATTROFUNC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_SETATTRFUNC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_SETATTROFUNC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_REPRFUNC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_HASHFUNC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_RICHCMPFUNC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_GETITERFUNC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_ITERNEXTFUNC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_DESCRGETFUNC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_DESCRSETFUNC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_INITPROC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_NEWFUNC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_GETTER ~, NEW,
#define _HPy_IS_SIG_HPyFunc_SETTER ~, NEW,
#define _HPy_IS_SIG_HPyFunc_OBJOBJPROC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_TRAVERSEPROC ~, NEW,
#define _HPy_IS_SIG_HPyFunc_DESTRUCTOR ~, NEW,
#define _HPy_IS_SIG_HPyFunc_CAPSULE_DESTRUCTOR ~, NEW,
#define _HPy_IS_SIG_HPyFunc_MOD_CREATE ~, NEW,

/* ---- Slots ---- */

#define _HPy_SLOT_VARIABLE(SYM, IMPL, SLOT, SIG)                       \
  enum { SYM##_slot = SLOT };                                          \
  HPyFunc_TRAMPOLINE(SYM##_trampoline, IMPL, SIG)                      \
  HPyDef SYM = {.kind = HPyDef_Kind_Slot,                              \
                .slot = {.slot = SLOT,                                 \
                         .impl = _HPy_AS_FUNCTION(HPyCFunction, IMPL), \
                         .cpy_trampoline =                             \
                             _HPy_AS_FUNCTION(cpy_PyCFunction, SYM##_trampoline)}};

#define _HPy_SLOT_DECLARED(SYM, IMPL, SLOT, SIG) \
  HPyFunc_DECLARE(IMPL, SIG)                     \
  _HPy_SLOT_VARIABLE(SYM, IMPL, SLOT, SIG)

#define HPyDef_SLOT_IMPL(SYM, IMPL, SLOT) _HPy_SLOT_DECLARED(SYM, IMPL, SLOT, HPySlot_SIG(SLOT))

/* HPyDef_SLOT(SYM, SLOT) or, in the older spelling, (SYM, IMPL, SLOT). */
#define HPyDef_SLOT(...) _HPy_4TH(__VA_ARGS__, _HPy_SLOT_OLD, _HPy_SLOT_NEW, ~, ~)(__VA_ARGS__)
#define _HPy_SLOT_NEW(SYM, SLOT) _HPy_SLOT_DECLARED(SYM, SYM##_impl, SLOT, HPySlot_SIG(SLOT))
#define _HPy_SLOT_OLD(SYM, IMPL, SLOT)               \
  _HPy_SLOT_OLD_(SYM, IMPL, SLOT, HPySlot_SIG(SLOT), \
                 _HPy_PROBE(_HPy_IS_API_, IMPL, _HPy_PROBE_OLD_SIG(HPySlot_SIG(SLOT))))
#define _HPy_PROBE_OLD_SIG(SIG) _HPy_PROBE(_HPy_OLD_SIG_, SIG, SAME)
#define _HPy_SLOT_OLD_(SYM, IMPL, SLOT, SIG, KIND) _HPy_SLOT_OLD__(SYM, IMPL, SLOT, SIG, KIND)
#define _HPy_SLOT_OLD__(SYM, IMPL, SLOT, SIG, KIND) \
  _HPy_OLD_DECLARE_##KIND(SYM, IMPL, SIG)           \
  _HPy_SLOT_VARIABLE(SYM, _HPy_OLD_CALLED_##KIND(SYM, IMPL), SLOT, SIG)

/* API functions that are used as implementations have today's prototype in either spelling. */
#define _HPy_IS_API_HPyType_GenericNew ~, SAME,

/* ---- The older prototypes: four signatures need an adapter, SYM_adapted ---- */

#define _HPy_OLD_SIG_HPyFunc_VARARGS ~, VARARGS,
#define _HPy_OLD_SIG_HPyFunc_KEYWORDS ~, KEYWORDS,
#define _HPy_OLD_SIG_HPyFunc_INITPROC ~, INITPROC,
#define _HPy_OLD_SIG_HPyFunc_NEWFUNC ~, NEWFUNC,

#define _HPy_OLD_CALLED_SAME(SYM, IMPL) IMPL
#define _HPy_OLD_CALLED_VARARGS(SYM, IMPL) SYM##_adapted
#define _HPy_OLD_CALLED_KEYWORDS(SYM, IMPL) SYM##_adapted
#define _HPy_OLD_CALLED_INITPROC(SYM, IMPL) SYM##_adapted
#define _HPy_OLD_CALLED_NEWFUNC(SYM, IMPL) SYM##_adapted

#define _HPy_OLD_DECLARE_SAME(SYM, IMPL, SIG) HPyFunc_DECLARE(IMPL, SIG)
#define _HPy_OLD_DECLARE_VARARGS(SYM, IMPL, SIG)                                      \
  static _HPyOld_varargs IMPL;                                                        \
  static HPy SYM##_adapted(HPyContext* _hpy_ctx, HPy _hpy_self, const HPy* _hpy_args, \
                           size_t _hpy_nargs) {                                       \
    return IMPL(_hpy_ctx, _hpy_self, (HPy*)_hpy_args, (HPy_ssize_t)_hpy_nargs);       \
  }
#define _HPy_OLD_DECLARE_KEYWORDS(SYM, IMPL, SIG)                                     \
  static _HPyOld_newfunc IMPL;                                                        \
  static HPy SYM##_adapted(HPyContext* _hpy_ctx, HPy _hpy_self, const HPy* _hpy_args, \
                           size_t _hpy_nargs, HPy _hpy_kwnames) {                     \
    return _HPyOld_CallKeywords(_hpy_ctx, IMPL, _hpy_self, _hpy_args, _hpy_nargs,     \
                                _hpy_kwnames);                                        \
  }
#define _HPy_OLD_DECLARE_INITPROC(SYM, IMPL, SIG)                                     \
  static _HPyOld_initproc IMPL;                                                       \
  static int SYM##_adapted(HPyContext* _hpy_ctx, HPy _hpy_self, const HPy* _hpy_args, \
                           HPy_ssize_t _hpy_nargs, HPy _hpy_kw) {                     \
    return IMPL(_hpy_ctx, _hpy_self, (HPy*)_hpy_args, _hpy_nargs, _hpy_kw);           \
  }
#define _HPy_OLD_DECLARE_NEWFUNC(SYM, IMPL, SIG)                                      \
  static _HPyOld_newfunc IMPL;                                                        \
  static HPy SYM##_adapted(HPyContext* _hpy_ctx, HPy _hpy_type, const HPy* _hpy_args, \
                           HPy_ssize_t _hpy_nargs, HPy _hpy_kw) {                     \
    return IMPL(_hpy_ctx, _hpy_type, (HPy*)_hpy_args, _hpy_nargs, _hpy_kw);           \
  }

typedef HPy _HPyOld_varargs(HPyContext* ctx, HPy self, HPy* args, HPy_ssize_t nargs);
typedef HPy _HPyOld_newfunc(HPyContext* ctx, HPy self, HPy* args, HPy_ssize_t nargs, HPy kw);
typedef int _HPyOld_initproc(HPyContext* ctx, HPy self, HPy* args, HPy_ssize_t nargs, HPy kw);

/* Calls an older implementation: the names and the values behind the positional arguments become a
 * dict, which lives as long as the call. */
HPyAPI_UNUSED HPy _HPyOld_CallKeywords(HPyContext* ctx, _HPyOld_newfunc* impl, HPy self,
                                       const HPy* args, size_t nargs, HPy kwnames) {
  HPy kw = HPy_NULL;
  HPy result = HPy_NULL;
  HPy_ssize_t count = HPy_IsNull(kwnames) ? 0 : HPy_Length(ctx, kwnames);
  HPy_ssize_t i;
  if (count < 0) return HPy_NULL;
  if (count > 0) {
    kw = HPyDict_New(ctx);
    if (HPy_IsNull(kw)) return HPy_NULL;
    for (i = 0; i < count; i++) {
      int failed;
      HPy name = HPy_GetItem_i(ctx, kwnames, i);
      if (HPy_IsNull(name)) goto done;
      failed = HPy_SetItem(ctx, kw, name, args[nargs + (size_t)i]) < 0;
      HPy_Close(ctx, name);
      if (failed) goto done;
    }
  }
  result = impl(ctx, self, (HPy*)args, (HPy_ssize_t)nargs, kw);
done:
  if (!HPy_IsNull(kw)) HPy_Close(ctx, kw);
  return result;
}

/* ---- Members, getters and setters ---- */

/* HPyDef_MEMBER(SYM, NAME, TYPE, OFFSET, ...): the last argument continues the initialiser. */
#define HPyDef_MEMBER(SYM, MEMBER_NAME, TYPE, ...)                                     \
  _HPy_BEGIN_PARTIAL                                                                   \
  HPyDef SYM = {.kind = HPyDef_Kind_Member,                                            \
                .member = {.name = MEMBER_NAME, .type = TYPE, .offset = __VA_ARGS__}}; \
  _HPy_END_PARTIAL

#define _HPy_GETSET_VARIABLE(SYM, ATTRIBUTE, GETIMPL, SETIMPL, GETTRAMPOLINE, SETTRAMPOLINE, ...) \
  _HPy_BEGIN_PARTIAL                                                                              \
  HPyDef SYM = {.kind = HPyDef_Kind_GetSet,                                                       \
                .getset = {.name = ATTRIBUTE,                                                     \
                            .getter_impl = _HPy_AS_FUNCTION(HPyCFunction, GETIMPL),               \
                            .setter_impl = _HPy_AS_FUNCTION(HPyCFunction, SETIMPL),               \
                            .getter_cpy_trampoline = GETTRAMPOLINE,                               \
                            .setter_cpy_trampoline = SETTRAMPOLINE,                               \
                            __VA_ARGS__}};                                                        \
  _HPy_END_PARTIAL

#define _HPy_GET(SYM, ATTRIBUTE, GETIMPL, ...)                      \
  HPyFunc_DECLARE(GETIMPL, HPyFunc_GETTER)                          \
  HPyFunc_TRAMPOLINE(SYM##_get_trampoline, GETIMPL, HPyFunc_GETTER) \
  _HPy_GETSET_VARIABLE(SYM, ATTRIBUTE, GETIMPL, NULL, SYM##_get_trampoline, NULL, __VA_ARGS__)
#define _HPy_SET(SYM, ATTRIBUTE, SETIMPL, ...)                      \
  HPyFunc_DECLARE(SETIMPL, HPyFunc_SETTER)                          \
  HPyFunc_TRAMPOLINE(SYM##_set_trampoline, SETIMPL, HPyFunc_SETTER) \
  _HPy_GETSET_VARIABLE(SYM, ATTRIBUTE, NULL, SETIMPL, NULL, SYM##_set_trampoline, __VA_ARGS__)
#define _HPy_GETSET(SYM, ATTRIBUTE, GETIMPL, SETIMPL, ...)                     \
  HPyFunc_DECLARE(GETIMPL, HPyFunc_GETTER)                                     \
  HPyFunc_TRAMPOLINE(SYM##_get_trampoline, GETIMPL, HPyFunc_GETTER)            \
  HPyFunc_DECLARE(SETIMPL, HPyFunc_SETTER)                                     \
  HPyFunc_TRAMPOLINE(SYM##_set_trampoline, SETIMPL, HPyFunc_SETTER)            \
  _HPy_GETSET_VARIABLE(SYM, ATTRIBUTE, GETIMPL, SETIMPL, SYM##_get_trampoline, \
                       SYM##_set_trampoline, __VA_ARGS__)

#define HPyDef_GET_IMPL(SYM, ATTRIBUTE, ...) \
  _HPy_GET(SYM, ATTRIBUTE, _HPy_1ST(__VA_ARGS__, ~), _HPy_REST(__VA_ARGS__, ))
#define HPyDef_SET_IMPL(SYM, ATTRIBUTE, ...) \
  _HPy_SET(SYM, ATTRIBUTE, _HPy_1ST(__VA_ARGS__, ~), _HPy_REST(__VA_ARGS__, ))
#define HPyDef_GETSET_IMPL(SYM, ATTRIBUTE, GETIMPL, ...) \
  _HPy_GETSET(SYM, ATTRIBUTE, GETIMPL, _HPy_1ST(__VA_ARGS__, ~), _HPy_REST(__VA_ARGS__, ))

#ifdef HPY_OLD_GETSET
#define HPyDef_GET HPyDef_GET_IMPL
#define HPyDef_SET HPyDef_SET_IMPL
#define HPyDef_GETSET HPyDef_GETSET_IMPL
#else
#define HPyDef_GET(SYM, ...) \
  _HPy_GET(SYM, _HPy_1ST(__VA_ARGS__, ~), SYM##_get, _HPy_REST(__VA_ARGS__, ))
#define HPyDef_SET(SYM, ...) \
  _HPy_SET(SYM, _HPy_1ST(__VA_ARGS__, ~), SYM##_set, _HPy_REST(__VA_ARGS__, ))
#define HPyDef_GETSET(SYM, ...) \
  _HPy_GETSET(SYM, _HPy_1ST(__VA_ARGS__, ~), SYM##_get, SYM##_set, _HPy_REST(__VA_ARGS__, ))
#endif

/* ---- Callable objects and capsules ---- */

#define HPyDef_CALL_FUNCTION(SYM)                                    \
  HPyFunc_DECLARE(SYM##_impl, HPyFunc_KEYWORDS)                      \
  HPyFunc_TRAMPOLINE(SYM##_trampoline, SYM##_impl, HPyFunc_KEYWORDS) \
  static HPyCallFunction SYM = {SYM##_trampoline, SYM##_impl};

#define HPyCapsule_DESTRUCTOR_TRAMPOLINE(SYM, IMPL) \
  _HPyFunc_TRAMPOLINE_HPyFunc_CAPSULE_DESTRUCTOR(SYM, IMPL)

#define HPyCapsule_DESTRUCTOR(SYM)                               \
  HPyFunc_DECLARE(SYM##_impl, HPyFunc_CAPSULE_DESTRUCTOR)        \
  HPyCapsule_DESTRUCTOR_TRAMPOLINE(SYM##_trampoline, SYM##_impl) \
  static HPyCapsule_Destructor SYM = {SYM##_trampoline, SYM##_impl};

/* ---- Structs of types ---- */

#define HPyType_BuiltinShape_Legacy_AsStruct _HPy_AsStruct_Legacy
#define HPyType_BuiltinShape_Object_AsStruct _HPy_AsStruct_Object
#define HPyType_BuiltinShape_Type_AsStruct _HPy_AsStruct_Type
#define HPyType_BuiltinShape_Long_AsStruct _HPy_AsStruct_Long
#define HPyType_BuiltinShape_Float_AsStruct _HPy_AsStruct_Float
#define HPyType_BuiltinShape_Unicode_AsStruct _HPy_AsStruct_Unicode
#define HPyType_BuiltinShape_Tuple_AsStruct _HPy_AsStruct_Tuple
#define HPyType_BuiltinShape_List_AsStruct _HPy_AsStruct_List
#define HPyType_BuiltinShape_Dict_AsStruct _HPy_AsStruct_Dict

/* The older spelling, without the type. */
#define HPy_AsStruct _HPy_AsStruct_Object
#define HPy_AsStructLegacy _HPy_AsStruct_Legacy

/* HPyType_HELPERS(STRUCT) or (STRUCT, SHAPE): defines STRUCT_AsStruct(ctx, handle), and what
 * SHAPE(STRUCT) and STRUCT_IS_LEGACY (older spelling) stand for. */
#define HPyType_HELPERS(...) \
  _HPy_3RD(__VA_ARGS__, _HPyType_HELPERS_2, _HPyType_HELPERS_1, ~)(__VA_ARGS__)
#define HPyType_LEGACY_HELPERS(STRUCT) _HPyType_HELPERS_2(STRUCT, HPyType_BuiltinShape_Legacy)
#define _HPyType_HELPERS_1(STRUCT) _HPyType_HELPERS_2(STRUCT, HPyType_BuiltinShape_Object)
#define _HPyType_HELPERS_2(STRUCT, BUILTIN)                                      \
  enum {                                                                         \
    STRUCT##_SHAPE = (int)BUILTIN,                                               \
    STRUCT##_IS_LEGACY = (BUILTIN == HPyType_BuiltinShape_Legacy)                \
  };                                                                             \
  HPyAPI_FUNC STRUCT* STRUCT##_AsStruct(HPyContext* _hpy_ctx, HPy _hpy_handle) { \
    return (STRUCT*)BUILTIN##_AsStruct(_hpy_ctx, _hpy_handle);                   \
  }

#define SHAPE(STRUCT) ((HPyType_BuiltinShape)STRUCT##_SHAPE)

#endif /* HPY_HPYDEF_H */
