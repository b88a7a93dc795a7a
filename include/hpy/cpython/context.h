/* The context of the CPython ABI: a variable of the binary, and only its constants. */
#ifndef HPY_CPYTHON_CONTEXT_H
#define HPY_CPYTHON_CONTEXT_H

#ifdef __cplusplus
extern "C" {
#endif

_HPy_MERGED HPyContext _HPyCPy_context;

/* Half of the constants are variables of CPython (PyExc_ValueError, ...), so no initialiser can
 * have them; PyInit_NAME fills them in, without a static constructor. Trampolines then take the
 * address and look at nothing: there is no way to a trampoline that does not begin with a context.
 * The GIL is held. What they refer to is immortal, or lives as long as the interpreter. */
_HPy_UNUSED _HPy_COLD static void _HPyCPy_FillContext(HPyContext* ctx) {
  ctx->name = "HPy CPython ABI";
  ctx->abi_version = HPY_ABI_VERSION;
#define HPY_HANDLE(index, member, object) ctx->member = _HPyCPy_FromObject(object);
#include "hpy/abi/context.inc"
}

HPyAPI_UNUSED HPyContext* _HPyGetContext(void) {
  if (_HPy_UNLIKELY(_HPyCPy_context.name == NULL)) _HPyCPy_FillContext(&_HPyCPy_context);
  return &_HPyCPy_context;
}

#ifdef __cplusplus
}
#endif

#endif /* HPY_CPYTHON_CONTEXT_H */
