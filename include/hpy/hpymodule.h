/* Module definitions as data, in the source's view and in the binary interface's. */
#ifndef HPY_HPYMODULE_H
#define HPY_HPYMODULE_H

#ifdef __cplusplus
extern "C" {
#endif

/* What the loader and the context functions get. */
typedef struct {
  const char* doc;                 /* UTF-8, or NULL */
  HPy_ssize_t size;                /* 0 */
  cpy_PyMethodDef* legacy_methods; /* ends with an entry without ml_name, or NULL */
  HPyDef** defines;                /* ends with NULL, or NULL */
  HPyGlobal** globals;             /* ends with NULL, or NULL */
} _HPyModuleDef_ABI;

#if defined(HPY_ABI_VIEW) || defined(HPY_UNIVERSAL_CONTEXT)
/* Hosts that receive definitions (hpy.universal, the debug context) know only this view. */
typedef _HPyModuleDef_ABI HPyModuleDef;
#else
/* What an extension fills in. `name` belongs to the older spelling, where it is required; it stands
 * first so that every initialiser of either spelling is in order, which C++ demands. Behind it the
 * struct is _HPyModuleDef_ABI byte for byte: HPy_MODINIT and HPyModule_Create hand out the address
 * of `doc`. */
typedef struct {
  const char* name;
  const char* doc;
  HPy_ssize_t size;
  cpy_PyMethodDef* legacy_methods;
  HPyDef** defines;
  HPyGlobal** globals;
} HPyModuleDef;
#endif

/* The definition that ctx_Module_Create receives came from a source's HPyModuleDef, so the word
 * before it is the name. True of no other definition. */
HPyAPI_UNUSED const char* _HPyModuleDef_Name(const _HPyModuleDef_ABI* def) {
  return *((const char* const*)(const void*)def - 1);
}

#ifdef __cplusplus
}
#endif

#endif /* HPY_HPYMODULE_H */
