/* HPyField on CPython: a reference that belongs to the object whose struct it lies in. */
#include "ctx_internal.h"

/* The new value is in place before the old reference is dropped: a finalizer that runs then, or a
 * collection, must not find the old value. */
HPyAPI_IMPL void ctx_Field_Store(HPyContext *ctx, HPy target_object, HPyField *target_field,
                                 HPy h) {
  PyObject *old = _hf2py(*target_field);
  PyObject *value = _h2py(h);
  (void)ctx;
  (void)target_object; /* For implementations with a moving collector. */
  Py_XINCREF(value);
  *target_field = _py2hf(value);
  Py_XDECREF(old);
}

HPyAPI_IMPL HPy ctx_Field_Load(HPyContext *ctx, HPy source_object, HPyField source_field) {
  PyObject *value = _hf2py(source_field);
  (void)ctx;
  (void)source_object;
  if (value == NULL) {
    if (!PyErr_Occurred()) {
      PyErr_SetString(PyExc_SystemError,
                      "HPyField_Load: the field is null (test it with HPyField_IsNull first)");
    }
    return HPy_NULL;
  }
  Py_INCREF(value);
  return _py2h(value);
}
