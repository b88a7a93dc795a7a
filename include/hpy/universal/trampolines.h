/* Trampolines of the universal and hybrid ABI, derived from abi/signatures.inc: each packs its
 * arguments into the struct of its signature, and the runtime converts them, calls the
 * implementation and stores the result. The structs are binary interface. */
#ifndef HPY_UNIVERSAL_TRAMPOLINES_H
#define HPY_UNIVERSAL_TRAMPOLINES_H

#ifdef __cplusplus
extern "C" {
#endif

#define HPY_FIELD(type, name) type name;
#define HPY_RESULT(type) type result;
#define HPY_NO_RESULT
#define HPY_SIGNATURE(value, NAME, type, ret, params, cpy_ret, fields, init, result_) \
  typedef struct _HPyFunc_args_##NAME {                                               \
    fields result_                                                                    \
  } _HPyFunc_args_##NAME;
#include "hpy/abi/signatures.inc"
#undef HPY_FIELD
#undef HPY_RESULT

/* `result` is initialised to null (`init` ends with it), for a host that would not store one. */
#define HPY_FIELD(type, name) , type name
#define HPY_RESULT(type) return _hpy_values.result;
#define HPY_SIGNATURE(value, NAME, type, ret, params, cpy_ret, fields, init, result_)              \
  HPyAPI_FUNC cpy_ret _HPyTrampoline_##NAME(HPyContext* _hpy_ctx, HPyCFunction _hpy_impl fields) { \
    _HPyFunc_args_##NAME _hpy_values = {_HPy_UNPAREN init};                                        \
    _HPy_CallRealFunctionFromTrampoline(_hpy_ctx, HPyFunc_##NAME, _hpy_impl, &_hpy_values);        \
    result_                                                                                        \
  }
#include "hpy/abi/signatures.inc"
#undef HPY_FIELD
#undef HPY_RESULT
#undef HPY_NO_RESULT

/* The capsule itself is the argument. */
HPyAPI_FUNC void _HPyTrampoline_CAPSULE_DESTRUCTOR(HPyContext* _hpy_ctx, HPyCFunction _hpy_impl,
                                                   cpy_PyObject* capsule) {
  _HPy_CallRealFunctionFromTrampoline(_hpy_ctx, HPyFunc_CAPSULE_DESTRUCTOR, _hpy_impl,
                                      (void*)capsule);
}

#ifdef __cplusplus
}
#endif

#endif /* HPY_UNIVERSAL_TRAMPOLINES_H */
