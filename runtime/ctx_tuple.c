/* Tuples from an array of handles. The items stay the caller's: the tuple takes references of its
 * own. */
#include "ctx_internal.h"

_HPy_COLD static HPy fail_at(PyObject *tuple, Py_ssize_t i) {
  const Py_ssize_t n = PyTuple_GET_SIZE(tuple);
  Py_DECREF(tuple);
  if (!PyErr_Occurred()) {
    PyErr_Format(PyExc_SystemError, "HPyTuple_FromArray: item %zd of %zd is HPy_NULL", i, n);
  }
  return HPy_NULL;
}

HPyAPI_IMPL HPy ctx_Tuple_FromArray(HPyContext *ctx, const HPy items[], HPy_ssize_t n) {
  PyObject *tuple;
  HPy_ssize_t i;
  (void)ctx;
  tuple = PyTuple_New(n);
  if (tuple == NULL) return HPy_NULL;
  for (i = 0; i < n; i++) {
    if (_HPy_UNLIKELY(items[i]._i == 0)) return fail_at(tuple, i);
    Py_INCREF(_h2py_nn(items[i]));
    PyTuple_SET_ITEM(tuple, i, _h2py_nn(items[i]));
  }
  return _py2h_nn(tuple);
}
