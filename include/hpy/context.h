/* struct HPyContext, derived from the table. */
#ifndef HPY_CONTEXT_H
#define HPY_CONTEXT_H

#ifdef __cplusplus
extern "C" {
#endif

/* In the universal and hybrid ABI this is binary interface: member i of the table lies 3 + i words
 * behind the start. In the CPython ABI it is private to a compilation unit and holds the constants
 * only. `ctx_version` is the older name of `abi_version`. */
struct _HPyContext_s {
  const char* name;
#ifndef HPY_ABI_CPYTHON
  void* _private;
#endif
  _HPy_EXTENSION union {
    int abi_version;
    int ctx_version;
  };
#define HPY_HANDLE(index, member, object) HPy member;
#ifndef HPY_ABI_CPYTHON
#define HPY_FUNC(index, member, name, ret, params, ...) ret(*member) params;
#define HPY_PROC(index, member, name, params, ...) void(*member) params;
#endif
#include "hpy/abi/context.inc"
};

#ifdef __cplusplus
}
#endif

#endif /* HPY_CONTEXT_H */
