/* Items by C integer and by C string. */
#include "ctx_internal.h"

HPyAPI_IMPL HPy ctx_GetItem_i(HPyContext *ctx, HPy obj, HPy_ssize_t idx) {
  PyObject *object = _h2py_nn(obj);
  PyObject *key, *result;
  (void)ctx;
  if (PySequence_Check(object)) return _py2h(PySequence_GetItem(object, idx));
  key = PyLong_FromSsize_t(idx);
  if (key == NULL) return HPy_NULL;
  result = PyObject_GetItem(object, key);
  Py_DECREF(key);
  return _py2h(result);
}

HPyAPI_IMPL HPy ctx_GetItem_s(HPyContext *ctx, HPy obj, const char *utf8_key) {
  PyObject *result;
  PyObject *key = PyUnicode_FromString(utf8_key);
  (void)ctx;
  if (key == NULL) return HPy_NULL;
  result = PyObject_GetItem(_h2py_nn(obj), key);
  Py_DECREF(key);
  return _py2h(result);
}

HPyAPI_IMPL int ctx_SetItem_i(HPyContext *ctx, HPy obj, HPy_ssize_t idx, HPy value) {
  int result;
  PyObject *key = PyLong_FromSsize_t(idx);
  (void)ctx;
  if (key == NULL) return -1;
  result = PyObject_SetItem(_h2py_nn(obj), key, _h2py_nn(value));
  Py_DECREF(key);
  return result;
}

HPyAPI_IMPL int ctx_SetItem_s(HPyContext *ctx, HPy obj, const char *utf8_key, HPy value) {
  int result;
  PyObject *key = PyUnicode_FromString(utf8_key);
  (void)ctx;
  if (key == NULL) return -1;
  result = PyObject_SetItem(_h2py_nn(obj), key, _h2py_nn(value));
  Py_DECREF(key);
  return result;
}

HPyAPI_IMPL int ctx_DelItem_i(HPyContext *ctx, HPy obj, HPy_ssize_t idx) {
  int result;
  PyObject *key = PyLong_FromSsize_t(idx);
  (void)ctx;
  if (key == NULL) return -1;
  result = PyObject_DelItem(_h2py_nn(obj), key);
  Py_DECREF(key);
  return result;
}

HPyAPI_IMPL int ctx_DelItem_s(HPyContext *ctx, HPy obj, const char *utf8_key) {
  int result;
  PyObject *key = PyUnicode_FromString(utf8_key);
  (void)ctx;
  if (key == NULL) return -1;
  result = PyObject_DelItem(_h2py_nn(obj), key);
  Py_DECREF(key);
  return result;
}
