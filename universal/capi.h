/* What the native modules of hpy offer each other, through capsules.
 *
 * hpy.universal has a capsule attribute `_capi`. The loader finds the other contexts through the
 * capsules of hpy.debug._native and hpy.trace._native. The three modules are built and shipped
 * together; `version` guards against a mixture of installations. */
#ifndef HPY_UNIVERSAL_CAPI_H_
#define HPY_UNIVERSAL_CAPI_H_

#include <stdint.h>

#include "hpy.h"
#include "runtime/observer.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HPY_CAPI_VERSION 3

/* Words of the memory that hpy_universal_capi::watch_slots hands out. */
#define HPY_CAPI_SLOT_FRAME_WORDS 6

/* A handle of the universal context is the address of the object plus this. */
#define HPY_CAPI_HANDLE_BIAS 1

#define HPY_UNIVERSAL_CAPSULE "hpy.universal._capi"
#define HPY_DEBUG_CAPSULE "hpy.debug._native._capi"
#define HPY_TRACE_CAPSULE "hpy.trace._native._capi"

struct _HPyInterpreter;

/* Valid as long as the module object from which it comes. */
struct hpy_universal_capi {
  HPyContext* universal_ctx; /* of the interpreter of the module; never freed */
  uint32_t version;          /* HPY_CAPI_VERSION */
  /* Calls `func` with handles of the universal context made of the native arguments in `args`, and
   * with `ctx` as its context, whatever context that is. */
  void (*call_real_function)(HPyContext* ctx, HPyFunc_Signature sig, HPyCFunction func, void* args);
  /* Makes the module object of a definition for a spec (borrowed; NULL: the module is called
   * `name`), as the loader does, for a library whose context was set. A new reference, or NULL with
   * an exception. */
  cpy_PyObject* (*make_module)(const char* name, _HPyModuleDef_ABI* def, cpy_PyObject* spec);
  /* Points at a variable that is not NULL only while one interpreter, that of the record in it, has
   * imported hpy.universal. Valid for ever. */
  const struct _HPyInterpreter* const* only_interpreter;
  const _HPyObserverFunctions* observer;
  /* From now on `begin` and `end` are called around each HPy_tp_traverse and HPy_tp_destroy, with
   * memory in the frame of their caller. `destroys`: it is the latter. */
  void (*watch_slots)(void (*begin)(void* frame, HPyCFunction function, const void* object,
                                    int destroys),
                      void (*end)(const void* frame));
};

/* Of hpy.debug._native and, with the same layout, of hpy.trace._native. */
struct hpy_debug_capi {
  /* The context of this mode for the current interpreter, or NULL, with a Python exception or
   * without. */
  HPyContext* (*get_ctx)(void);
  /* Tells of a definition that was loaded in this mode, before its module is made. May be NULL. */
  void (*register_module)(const char* name, const _HPyModuleDef_ABI* def, void* library_handle);
  /* The library of this address is hpy's own: its frames are left out of stacks. Only in
   * hpy.debug._native; NULL in the other. */
  void (*add_own_library)(const void* address);
};

#ifdef __cplusplus
}
#endif

#endif /* HPY_UNIVERSAL_CAPI_H_ */
