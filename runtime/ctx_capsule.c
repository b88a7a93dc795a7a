/* Capsules. The runtime keeps pointer, name, context and destructor in a PyCapsule, so that
 * capsules of the Python/C API are read by the same functions. Neither copies the name: it must
 * outlive the capsule. */
#include "ctx_internal.h"

static int destructor_is_valid(const HPyCapsule_Destructor *destructor) {
  if (destructor == NULL || (destructor->cpy_trampoline != NULL && destructor->impl != NULL)) {
    return 1;
  }
  PyErr_SetString(PyExc_ValueError, "Invalid HPyCapsule destructor");
  return 0;
}

HPyAPI_IMPL HPy ctx_Capsule_New(HPyContext *ctx, void *pointer, const char *utf8_name,
                                HPyCapsule_Destructor *destructor) {
  (void)ctx;
  if (!destructor_is_valid(destructor)) return HPy_NULL;
  return _py2h(
      PyCapsule_New(pointer, utf8_name, destructor == NULL ? NULL : destructor->cpy_trampoline));
}

#ifndef HPY_ABI_CPYTHON /* There the public accessors are CPython's own functions. */

HPyAPI_IMPL void *ctx_Capsule_Get(HPyContext *ctx, HPy capsule, _HPyCapsule_key key,
                                  const char *utf8_name) {
  PyObject *object = _h2py_nn(capsule);
  (void)ctx;
  switch (key) {
    case HPyCapsule_key_Pointer:
      return PyCapsule_GetPointer(object, utf8_name);
    case HPyCapsule_key_Name:
      return (void *)PyCapsule_GetName(object);
    case HPyCapsule_key_Context:
      return PyCapsule_GetContext(object);
    case HPyCapsule_key_Destructor:
      PyErr_SetString(PyExc_ValueError, "Invalid operation: get HPyCapsule_key_Destructor");
      return NULL;
  }
  PyErr_Format(PyExc_SystemError, "HPyCapsule_Get: invalid key %d", (int)key);
  return NULL;
}

HPyAPI_IMPL int ctx_Capsule_Set(HPyContext *ctx, HPy capsule, _HPyCapsule_key key, void *value) {
  PyObject *object = _h2py_nn(capsule);
  HPyCapsule_Destructor *destructor;
  (void)ctx;
  switch (key) {
    case HPyCapsule_key_Pointer:
      return PyCapsule_SetPointer(object, value);
    case HPyCapsule_key_Name:
      return PyCapsule_SetName(object, (const char *)value);
    case HPyCapsule_key_Context:
      return PyCapsule_SetContext(object, value);
    case HPyCapsule_key_Destructor:
      destructor = (HPyCapsule_Destructor *)value;
      if (!destructor_is_valid(destructor)) return -1;
      return PyCapsule_SetDestructor(object,
                                     destructor == NULL ? NULL : destructor->cpy_trampoline);
  }
  PyErr_Format(PyExc_SystemError, "HPyCapsule_Set: invalid key %d", (int)key);
  return -1;
}

#endif
