/* The inline API of the universal and hybrid ABI: each function is a call of its context member.
 *
 * Behind every call stands _HPy_KEEP_FRAME, so that `return HPyLong_FromLong(ctx, 1);` is not
 * compiled to a jump: debug mode finds the line that made the call by its frame. */
#ifndef HPY_UNIVERSAL_API_H
#define HPY_UNIVERSAL_API_H

#ifdef __cplusplus
extern "C" {
#endif

#define _HPy_FUNC_PUBLIC(member, name, ret, params, args) \
  HPyAPI_FUNC ret name params {                           \
    ret _hpy_result = ctx->member args;                   \
    _HPy_KEEP_FRAME();                                    \
    return _hpy_result;                                   \
  }
#define _HPy_FUNC_HAND(member, name, ret, params, args)

#define _HPy_PROC_PUBLIC(member, name, params, args) \
  HPyAPI_FUNC void name params {                     \
    ctx->member args;                                \
    _HPy_KEEP_FRAME();                               \
  }
#define _HPy_PROC_RETNULL(member, name, params, args) \
  HPyAPI_FUNC HPy name params {                       \
    ctx->member args;                                 \
    _HPy_KEEP_FRAME();                                \
    return HPy_NULL;                                  \
  }
#define _HPy_PROC_HAND(member, name, params, args)

#define HPY_FUNC(index, member, name, ret, params, args, api, ...) \
  _HPy_FUNC_##api(member, name, ret, params, args)
#define HPY_PROC(index, member, name, params, args, api, ...) \
  _HPy_PROC_##api(member, name, params, args)
#include "hpy/abi/context.inc"

#undef _HPy_FUNC_PUBLIC
#undef _HPy_FUNC_HAND
#undef _HPy_PROC_PUBLIC
#undef _HPy_PROC_RETNULL
#undef _HPy_PROC_HAND

/* By hand, since they differ from the member. */

HPyAPI_FUNC _HPy_NO_RETURN void HPy_FatalError(HPyContext* ctx, const char* message) {
  ctx->ctx_FatalError(ctx, message);
  abort(); /* not reached; tells the compiler so */
}

/* The member gets the address of a local variable: were it given `data`, the compiler would have to
 * assume that the caller's pointer escaped, and would load it from memory at every use. */
HPyAPI_FUNC HPy _HPy_New(HPyContext* ctx, HPy h_type, void** data) {
  typedef void* _HPy_MAY_ALIAS any_pointer;
  void* created = NULL;
  HPy _hpy_result = ctx->ctx_New(ctx, h_type, &created);
  _HPy_KEEP_FRAME();
  *(any_pointer*)data = created;
  return _hpy_result;
}

/* `char *`, so that both `char *p =` (older spelling) and `const char *p =` compile. The bytes must
 * not be written to. */
HPyAPI_FUNC char* HPyBytes_AsString(HPyContext* ctx, HPy h) {
  const char* _hpy_result = ctx->ctx_Bytes_AsString(ctx, h);
  _HPy_KEEP_FRAME();
  return (char*)_hpy_result;
}

HPyAPI_FUNC char* HPyBytes_AS_STRING(HPyContext* ctx, HPy h) {
  const char* _hpy_result = ctx->ctx_Bytes_AS_STRING(ctx, h);
  _HPy_KEEP_FRAME();
  return (char*)_hpy_result;
}

HPyAPI_FUNC HPy _HPyType_FromABISpec(HPyContext* ctx, HPyType_Spec* spec,
                                     HPyType_SpecParam* params) {
  HPy _hpy_result = ctx->ctx_Type_FromSpec(ctx, spec, params);
  _HPy_KEEP_FRAME();
  return _hpy_result;
}

HPyAPI_FUNC HPy _HPyModule_CreateFromABI(HPyContext* ctx, _HPyModuleDef_ABI* def) {
  HPy _hpy_result = ctx->ctx_Module_Create(ctx, def);
  _HPy_KEEP_FRAME();
  return _hpy_result;
}

HPyAPI_FUNC void* HPyCapsule_Get(HPyContext* ctx, HPy capsule, _HPyCapsule_key key,
                                 const char* utf8_name) {
  void* _hpy_result = ctx->ctx_Capsule_Get(ctx, capsule, key, utf8_name);
  _HPy_KEEP_FRAME();
  return _hpy_result;
}

HPyAPI_FUNC int HPyCapsule_Set(HPyContext* ctx, HPy capsule, _HPyCapsule_key key, void* value) {
  int _hpy_result = ctx->ctx_Capsule_Set(ctx, capsule, key, value);
  _HPy_KEEP_FRAME();
  return _hpy_result;
}

HPyAPI_FUNC void* HPyCapsule_GetPointer(HPyContext* ctx, HPy capsule, const char* name) {
  return HPyCapsule_Get(ctx, capsule, HPyCapsule_key_Pointer, name);
}

HPyAPI_FUNC const char* HPyCapsule_GetName(HPyContext* ctx, HPy capsule) {
  return (const char*)HPyCapsule_Get(ctx, capsule, HPyCapsule_key_Name, NULL);
}

HPyAPI_FUNC void* HPyCapsule_GetContext(HPyContext* ctx, HPy capsule) {
  return HPyCapsule_Get(ctx, capsule, HPyCapsule_key_Context, NULL);
}

HPyAPI_FUNC int HPyCapsule_SetPointer(HPyContext* ctx, HPy capsule, void* pointer) {
  return HPyCapsule_Set(ctx, capsule, HPyCapsule_key_Pointer, pointer);
}

HPyAPI_FUNC int HPyCapsule_SetName(HPyContext* ctx, HPy capsule, const char* name) {
  return HPyCapsule_Set(ctx, capsule, HPyCapsule_key_Name, (void*)name);
}

HPyAPI_FUNC int HPyCapsule_SetContext(HPyContext* ctx, HPy capsule, void* context) {
  return HPyCapsule_Set(ctx, capsule, HPyCapsule_key_Context, context);
}

HPyAPI_FUNC int HPyCapsule_SetDestructor(HPyContext* ctx, HPy capsule,
                                         HPyCapsule_Destructor* destructor) {
  return HPyCapsule_Set(ctx, capsule, HPyCapsule_key_Destructor, (void*)destructor);
}

HPyAPI_FUNC HPy HPyLong_FromLong(HPyContext* ctx, long l) {
  if (sizeof(long) <= sizeof(int32_t)) return HPyLong_FromInt32_t(ctx, (int32_t)l);
  return HPyLong_FromInt64_t(ctx, (int64_t)l);
}

HPyAPI_FUNC HPy HPyLong_FromUnsignedLong(HPyContext* ctx, unsigned long l) {
  if (sizeof(long) <= sizeof(int32_t)) return HPyLong_FromUInt32_t(ctx, (uint32_t)l);
  return HPyLong_FromUInt64_t(ctx, (uint64_t)l);
}

HPyAPI_FUNC HPy HPyLong_FromLongLong(HPyContext* ctx, long long l) {
  return HPyLong_FromInt64_t(ctx, (int64_t)l);
}

HPyAPI_FUNC HPy HPyLong_FromUnsignedLongLong(HPyContext* ctx, unsigned long long l) {
  return HPyLong_FromUInt64_t(ctx, (uint64_t)l);
}

HPyAPI_FUNC long HPyLong_AsLong(HPyContext* ctx, HPy h) {
  if (sizeof(long) <= sizeof(int32_t)) return (long)HPyLong_AsInt32_t(ctx, h);
  return (long)HPyLong_AsInt64_t(ctx, h);
}

HPyAPI_FUNC unsigned long HPyLong_AsUnsignedLong(HPyContext* ctx, HPy h) {
  if (sizeof(long) <= sizeof(int32_t)) return (unsigned long)HPyLong_AsUInt32_t(ctx, h);
  return (unsigned long)HPyLong_AsUInt64_t(ctx, h);
}

HPyAPI_FUNC unsigned long HPyLong_AsUnsignedLongMask(HPyContext* ctx, HPy h) {
  if (sizeof(long) <= sizeof(int32_t)) return (unsigned long)HPyLong_AsUInt32_tMask(ctx, h);
  return (unsigned long)HPyLong_AsUInt64_tMask(ctx, h);
}

HPyAPI_FUNC long long HPyLong_AsLongLong(HPyContext* ctx, HPy h) {
  return (long long)HPyLong_AsInt64_t(ctx, h);
}

HPyAPI_FUNC unsigned long long HPyLong_AsUnsignedLongLong(HPyContext* ctx, HPy h) {
  return (unsigned long long)HPyLong_AsUInt64_t(ctx, h);
}

HPyAPI_FUNC unsigned long long HPyLong_AsUnsignedLongLongMask(HPyContext* ctx, HPy h) {
  return (unsigned long long)HPyLong_AsUInt64_tMask(ctx, h);
}

HPyAPI_FUNC void _HPy_CallRealFunctionFromTrampoline(HPyContext* ctx, HPyFunc_Signature sig,
                                                     HPyCFunction func, void* args) {
  ctx->ctx_CallRealFunctionFromTrampoline(ctx, sig, func, args);
}

#ifdef HPY_ABI_HYBRID
HPyAPI_FUNC HPy HPy_FromPyObject(HPyContext* ctx, cpy_PyObject* obj) {
  HPy _hpy_result = ctx->ctx_FromPyObject(ctx, obj);
  _HPy_KEEP_FRAME();
  return _hpy_result;
}

HPyAPI_FUNC cpy_PyObject* HPy_AsPyObject(HPyContext* ctx, HPy h) {
  cpy_PyObject* _hpy_result = ctx->ctx_AsPyObject(ctx, h);
  _HPy_KEEP_FRAME();
  return _hpy_result;
}
#else
#if defined(__clang__)
#if __has_attribute(error)
#define _HPy_LEGACY_ERROR \
  __attribute__((error("Cannot use legacy functions when targeting the HPy Universal ABI")))
#else
#define _HPy_LEGACY_ERROR
#endif
#elif defined(__GNUC__)
#define _HPy_LEGACY_ERROR \
  __attribute__((error("Cannot use legacy functions when targeting the HPy Universal ABI")))
#else
#define _HPy_LEGACY_ERROR
#endif
/* Declared only so that using them gives a message that helps. */
extern HPy HPy_FromPyObject(HPyContext* ctx, cpy_PyObject* obj) _HPy_LEGACY_ERROR;
extern cpy_PyObject* HPy_AsPyObject(HPyContext* ctx, HPy h) _HPy_LEGACY_ERROR;
#undef _HPy_LEGACY_ERROR
#endif

#ifdef __cplusplus
}
#endif

#endif /* HPY_UNIVERSAL_API_H */
