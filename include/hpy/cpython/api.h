/* The inline API of the CPython ABI: the table's expression for CPython, compiled in place, or a
 * call of the function that runtime/ctx_*.c has for the member. */
#ifndef HPY_CPYTHON_API_H
#define HPY_CPYTHON_API_H

#ifdef __cplusplus
extern "C" {
#endif

/* The out-of-line half, compiled into the extension. (For rows with an expression this declares a
 * function that does not exist, and that nobody calls.) */
#define HPY_FUNC(index, member, name, ret, params, ...) HPyAPI_IMPL ret member params;
#define HPY_PROC(index, member, name, params, ...) HPyAPI_IMPL void member params;
#include "hpy/abi/context.inc"

/* The PyModuleDef of a definition, made once; NULL with an exception set. */
HPyAPI_IMPL cpy_PyModuleDef* _HPyModuleDef_AsPyModuleDef(_HPyModuleDef_ABI* def);
/* Calls impl with the struct of `self` and a visit function that turns each field into its object.
 */
HPyAPI_IMPL int _HPyType_CallTraverse(HPyFunc_traverseproc impl, cpy_PyObject* self,
                                      cpy_visitproc visit, void* arg);

/* _HPy_BODY_C(expression)(member, args) is the expression: what follows it is swallowed.
 * _HPy_BODY_OWN(member, args) is the call. */
#define _HPy_BODY_C(expression) (expression) _HPy_EAT
#define _HPy_BODY_OWN(member, args) member args

#define _HPy_FUNC_PUBLIC(name, ret, params, body) \
  HPyAPI_FUNC ret name params {                   \
    (void)ctx;                                    \
    return body;                                  \
  }
#define _HPy_FUNC_HAND(name, ret, params, body)

#define _HPy_PROC_PUBLIC(name, params, body) \
  HPyAPI_FUNC void name params {             \
    (void)ctx;                               \
    body;                                    \
  }
#define _HPy_PROC_RETNULL(name, params, body) \
  HPyAPI_FUNC HPy name params {               \
    (void)ctx;                                \
    body;                                     \
    return HPy_NULL;                          \
  }
#define _HPy_PROC_HAND(name, params, body)

#define HPY_FUNC(index, member, name, ret, params, args, api, nullable, observed, raises, error, \
                 impl)                                                                           \
  _HPy_FUNC_##api(name, ret, params, _HPy_BODY_##impl(member, args))
#define HPY_PROC(index, member, name, params, args, api, nullable, observed, raises, impl) \
  _HPy_PROC_##api(name, params, _HPy_BODY_##impl(member, args))
#include "hpy/abi/context.inc"

#undef _HPy_BODY_C
#undef _HPy_BODY_OWN
#undef _HPy_FUNC_PUBLIC
#undef _HPy_FUNC_HAND
#undef _HPy_PROC_PUBLIC
#undef _HPy_PROC_RETNULL
#undef _HPy_PROC_HAND

/* By hand, as in the universal ABI, or because CPython has the function that others compose. */

HPyAPI_FUNC _HPy_NO_RETURN void HPy_FatalError(HPyContext* ctx, const char* message) {
  (void)ctx;
  Py_FatalError(message);
}

HPyAPI_FUNC HPy HPy_FromPyObject(HPyContext* ctx, cpy_PyObject* obj) {
  (void)ctx;
  return _HPyN(_HPyCPy_XNewRef(obj));
}

HPyAPI_FUNC cpy_PyObject* HPy_AsPyObject(HPyContext* ctx, HPy h) {
  (void)ctx;
  return _HPyCPy_XNewRef(_HPyX(h));
}

/* Through a local variable, so that the caller's pointer does not escape. */
HPyAPI_FUNC HPy _HPy_New(HPyContext* ctx, HPy h_type, void** data) {
  typedef void* _HPy_MAY_ALIAS any_pointer;
  void* created = NULL;
  HPy result = ctx_New(ctx, h_type, &created);
  *(any_pointer*)data = created;
  return result;
}

HPyAPI_FUNC HPy _HPyType_FromABISpec(HPyContext* ctx, HPyType_Spec* spec,
                                     HPyType_SpecParam* params) {
  return ctx_Type_FromSpec(ctx, spec, params);
}

HPyAPI_FUNC HPy _HPyModule_CreateFromABI(HPyContext* ctx, _HPyModuleDef_ABI* def) {
  return ctx_Module_Create(ctx, def);
}

/* `char *`, so that both `char *p =` (older spelling) and `const char *p =` compile. The bytes must
 * not be written to. */
HPyAPI_FUNC char* HPyBytes_AsString(HPyContext* ctx, HPy h) {
  (void)ctx;
  return PyBytes_AsString(_HPyO(h));
}

HPyAPI_FUNC char* HPyBytes_AS_STRING(HPyContext* ctx, HPy h) {
  (void)ctx;
  return PyBytes_AS_STRING(_HPyO(h));
}

HPyAPI_FUNC void* HPyCapsule_GetPointer(HPyContext* ctx, HPy capsule, const char* name) {
  (void)ctx;
  return PyCapsule_GetPointer(_HPyX(capsule), name);
}

HPyAPI_FUNC const char* HPyCapsule_GetName(HPyContext* ctx, HPy capsule) {
  (void)ctx;
  return PyCapsule_GetName(_HPyX(capsule));
}

HPyAPI_FUNC void* HPyCapsule_GetContext(HPyContext* ctx, HPy capsule) {
  (void)ctx;
  return PyCapsule_GetContext(_HPyX(capsule));
}

HPyAPI_FUNC int HPyCapsule_SetPointer(HPyContext* ctx, HPy capsule, void* pointer) {
  (void)ctx;
  return PyCapsule_SetPointer(_HPyX(capsule), pointer);
}

HPyAPI_FUNC int HPyCapsule_SetName(HPyContext* ctx, HPy capsule, const char* name) {
  (void)ctx;
  return PyCapsule_SetName(_HPyX(capsule), name);
}

HPyAPI_FUNC int HPyCapsule_SetContext(HPyContext* ctx, HPy capsule, void* context) {
  (void)ctx;
  return PyCapsule_SetContext(_HPyX(capsule), context);
}

HPyAPI_FUNC int HPyCapsule_SetDestructor(HPyContext* ctx, HPy capsule,
                                         HPyCapsule_Destructor* destructor) {
  (void)ctx;
  if (destructor != NULL && (destructor->cpy_trampoline == NULL || destructor->impl == NULL)) {
    PyErr_SetString(PyExc_ValueError, "Invalid HPyCapsule destructor");
    return -1;
  }
  return PyCapsule_SetDestructor(_HPyX(capsule),
                                 destructor == NULL ? NULL : destructor->cpy_trampoline);
}

HPyAPI_FUNC HPy HPyLong_FromLong(HPyContext* ctx, long l) {
  (void)ctx;
  return _HPyN(PyLong_FromLong(l));
}

HPyAPI_FUNC HPy HPyLong_FromUnsignedLong(HPyContext* ctx, unsigned long l) {
  (void)ctx;
  return _HPyN(PyLong_FromUnsignedLong(l));
}

HPyAPI_FUNC HPy HPyLong_FromLongLong(HPyContext* ctx, long long l) {
  (void)ctx;
  return _HPyN(PyLong_FromLongLong(l));
}

HPyAPI_FUNC HPy HPyLong_FromUnsignedLongLong(HPyContext* ctx, unsigned long long l) {
  (void)ctx;
  return _HPyN(PyLong_FromUnsignedLongLong(l));
}

HPyAPI_FUNC long HPyLong_AsLong(HPyContext* ctx, HPy h) {
  (void)ctx;
#if LONG_MAX >= INT64_MAX
  return PyLong_AsLongLong(_HPyO(h)); /* as the Universal ABI does; and it is the quicker one */
#else
  return PyLong_AsLong(_HPyO(h));
#endif
}

HPyAPI_FUNC unsigned long HPyLong_AsUnsignedLong(HPyContext* ctx, HPy h) {
  (void)ctx;
  return PyLong_AsUnsignedLong(_HPyO(h));
}

HPyAPI_FUNC unsigned long HPyLong_AsUnsignedLongMask(HPyContext* ctx, HPy h) {
  (void)ctx;
  return PyLong_AsUnsignedLongMask(_HPyO(h));
}

HPyAPI_FUNC long long HPyLong_AsLongLong(HPyContext* ctx, HPy h) {
  (void)ctx;
  return PyLong_AsLongLong(_HPyO(h));
}

HPyAPI_FUNC unsigned long long HPyLong_AsUnsignedLongLong(HPyContext* ctx, HPy h) {
  (void)ctx;
  return PyLong_AsUnsignedLongLong(_HPyO(h));
}

HPyAPI_FUNC unsigned long long HPyLong_AsUnsignedLongLongMask(HPyContext* ctx, HPy h) {
  (void)ctx;
  return PyLong_AsUnsignedLongLongMask(_HPyO(h));
}

#ifdef __cplusplus
}
#endif

#endif /* HPY_CPYTHON_API_H */
