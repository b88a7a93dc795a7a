/* The entry points of a module: HPy_MODINIT.
 *
 *     HPy_MODINIT(simple, moduledef)
 *
 * The first argument is the module's name without packages, the second an HPyModuleDef. Exactly one
 * in a binary, unless HPY_EMBEDDED_MODULES is defined: then several modules live in one binary,
 * each in a file of its own, with HPY_MOD_EMBEDDABLE(name) before the first definition.
 *
 * The older spelling has one argument and a function:
 *
 *     HPy_MODINIT(simple)
 *     static HPy init_simple_impl(HPyContext *ctx) { return HPyModule_Create(ctx, &moduledef); } */
#ifndef HPY_MODINIT_H
#define HPY_MODINIT_H

/* Macros of several definitions. */
/* clang-format off */

#define HPy_MODINIT(...) \
  _HPy_3RD(__VA_ARGS__, _HPy_MODINIT_NEW, _HPy_MODINIT_OLD, ~)(__VA_ARGS__)

/* The binary interface's view of a definition. */
#define _HPyModuleDef_OF(DEF) ((_HPyModuleDef_ABI*)(void*)&(DEF).doc)

HPyAPI_FUNC HPy HPyModule_Create(HPyContext* ctx, HPyModuleDef* def) {
  return _HPyModule_CreateFromABI(ctx, _HPyModuleDef_OF(*def));
}

#ifdef HPY_ABI_CPYTHON

#define HPY_MOD_EMBEDDABLE(NAME)

#define _HPy_MODINIT_NEW(NAME, DEF)                                                    \
  HPy_EXPORTED_FUNC cpy_PyObject* PyInit_##NAME(void);                                 \
  HPy_EXPORTED_FUNC cpy_PyObject* PyInit_##NAME(void) {                                \
    cpy_PyModuleDef* _hpy_native = _HPyModuleDef_AsPyModuleDef(_HPyModuleDef_OF(DEF)); \
    (void)_HPyGetContext();                                                            \
    return _hpy_native == NULL ? NULL : PyModuleDef_Init(_hpy_native);                 \
  }

#define _HPy_MODINIT_OLD(NAME)                                     \
  static HPy init_##NAME##_impl(HPyContext*);                      \
  HPy_EXPORTED_FUNC cpy_PyObject* PyInit_##NAME(void);             \
  HPy_EXPORTED_FUNC cpy_PyObject* PyInit_##NAME(void) {            \
    return _HPyCPy_AsObject(init_##NAME##_impl(_HPyGetContext())); \
  }

#else /* universal and hybrid */

/* The context that trampolines enter the runtime with. One variable per binary, or one per file. */
#ifndef HPY_EMBEDDED_MODULES
#ifdef __cplusplus
extern "C" {
#endif
extern _HPy_HIDDEN HPyContext* _ctx_for_trampolines;
#ifdef __cplusplus
}
#endif
#define HPY_MOD_EMBEDDABLE(NAME)
#define _HPy_DEFINE_CTX _HPy_HIDDEN HPyContext* _ctx_for_trampolines = NULL;
#elif defined(__cplusplus)
/* C++ has no tentative definitions; an unnamed namespace makes a declaration internal. */
namespace {
extern HPyContext* _ctx_for_trampolines;
}
#define HPY_MOD_EMBEDDABLE(NAME)
#define _HPy_DEFINE_CTX             \
  namespace {                       \
  HPyContext* _ctx_for_trampolines; \
  }
#else
#define HPY_MOD_EMBEDDABLE(NAME) static HPyContext* _ctx_for_trampolines;
#define _HPy_DEFINE_CTX static HPyContext* _ctx_for_trampolines;
#endif

/* A host of HPy 0.0.4 calls HPyInit_NAME with its context, and without anything else before. Sets
 * an ImportError through that context's own layout, in which the handles 0 to 76 lie where they do
 * today and ctx_Err_SetString is member 138. */
_HPy_UNUSED _HPy_COLD static void _HPyModule_RefuseOldHost(HPyContext* old_ctx,
                                                           const char* message) {
  typedef void (*set_string)(HPyContext* ctx, HPy type, const char* message);
  const char* base = (const char*)old_ctx;
  const HPy* import_error = (const HPy*)(const void*)(base + (3 + 18) * sizeof(void*));
  const set_string* err_set_string =
      (const set_string*)(const void*)(base + (3 + 138) * sizeof(void*));
  if (old_ctx != NULL) (*err_set_string)(old_ctx, *import_error, message);
}

/* The parameter of HPyInit_NAME is there for such a host only; loaders call it without one. */
#define _HPy_MODINIT_EXPORTS(NAME, MINOR, DEF)                                                 \
  _HPy_DEFINE_CTX                                                                              \
  HPy_EXPORTED_FUNC uint32_t get_required_hpy_major_version_##NAME(void);                      \
  HPy_EXPORTED_FUNC uint32_t get_required_hpy_major_version_##NAME(void) {                     \
    return HPY_ABI_VERSION;                                                                    \
  }                                                                                            \
  HPy_EXPORTED_FUNC uint32_t get_required_hpy_minor_version_##NAME(void);                      \
  HPy_EXPORTED_FUNC uint32_t get_required_hpy_minor_version_##NAME(void) { return MINOR; }     \
  HPy_EXPORTED_FUNC void HPyInitGlobalContext_##NAME(HPyContext* _hpy_ctx);                    \
  HPy_EXPORTED_FUNC void HPyInitGlobalContext_##NAME(HPyContext* _hpy_ctx) {                   \
    _ctx_for_trampolines = _hpy_ctx;                                                           \
  }                                                                                            \
  HPy_EXPORTED_FUNC _HPyModuleDef_ABI* HPyInit_##NAME(HPyContext* _hpy_old_ctx);               \
  HPy_EXPORTED_FUNC _HPyModuleDef_ABI* HPyInit_##NAME(HPyContext* _hpy_old_ctx) {              \
    if (_HPy_UNLIKELY(_ctx_for_trampolines == NULL)) {                                         \
      _HPyModule_RefuseOldHost(                                                                \
          _hpy_old_ctx, "HPy extension module '" #NAME "' needs the HPy ABI " HPY_ABI_TAG      \
                        " (HPy 0.9 or newer), but this loader has that of HPy 0.0.4. Upgrade " \
                        "the package hpy or the interpreter that brings it, or use the "       \
                        "module's build for the CPython ABI.");                                \
      return NULL;                                                                             \
    }                                                                                          \
    return DEF;                                                                                \
  }

#define _HPy_MODINIT_NEW(NAME, DEF) \
  _HPy_MODINIT_EXPORTS(NAME, HPY_ABI_VERSION_MINOR, _HPyModuleDef_OF(DEF))

/* The older spelling: a generated definition, whose only slot creates the module by calling
 * init_NAME_impl. It asks for minor version 1, which has ctx_Module_Create. */
#define _HPy_MODINIT_OLD(NAME)                                                                \
  _HPy_MODINIT_DECLARE_CTX                                                                    \
  static HPy init_##NAME##_impl(HPyContext*);                                                 \
  static HPy _HPyInit_##NAME##_create(HPyContext* _hpy_ctx, HPy _hpy_spec) {                  \
    (void)_hpy_spec;                                                                          \
    return init_##NAME##_impl(_hpy_ctx);                                                      \
  }                                                                                           \
  HPyFunc_TRAMPOLINE(_HPyInit_##NAME##_trampoline, _HPyInit_##NAME##_create,                  \
                     HPyFunc_MOD_CREATE)                                                      \
  static HPyDef _HPyInit_##NAME##_slot = {                                                    \
      .kind = HPyDef_Kind_Slot,                                                               \
      .slot = {.slot = HPy_mod_create,                                                        \
                .impl = _HPy_AS_FUNCTION(HPyCFunction, _HPyInit_##NAME##_create),             \
                .cpy_trampoline =                                                             \
                    _HPy_AS_FUNCTION(cpy_PyCFunction, _HPyInit_##NAME##_trampoline)}};        \
  static HPyDef* _HPyInit_##NAME##_defines[] = {&_HPyInit_##NAME##_slot, NULL};               \
  static _HPyModuleDef_ABI _HPyInit_##NAME##_def = {NULL, 0, NULL, _HPyInit_##NAME##_defines, \
                                                    NULL};                                    \
  _HPy_MODINIT_EXPORTS(NAME, 1, &_HPyInit_##NAME##_def)
#if defined(HPY_EMBEDDED_MODULES) && !defined(__cplusplus)
#define _HPy_MODINIT_DECLARE_CTX static HPyContext* _ctx_for_trampolines;
#else
#define _HPy_MODINIT_DECLARE_CTX
#endif

#endif /* HPY_ABI_CPYTHON */

#endif /* HPY_MODINIT_H */
