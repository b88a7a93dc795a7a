/* Tuples from an array of handles. The items stay the caller's: the tuple takes references of its
 * own. */
#include "ctx_internal.h"

HPyAPI_IMPL HPy ctx_Tuple_FromArray(HPyContext *ctx, const HPy items[], HPy_ssize_t n) {
  PyObject *tuple;
  HPy_ssize_t i;
  (void)ctx;
  tuple = PyTuple_New(n);
  if (tuple == NULL) return HPy_NULL;
  for (i = 0; i < n; i++) {
    PyObject *item = _h2py(items[i]);
    if (item == NULL) {
      Py_DECREF(tuple);
      if (!PyErr_Occurred()) {
        PyErr_Format(PyExc_SystemError, "HPyTuple_FromArray: item %zd of %zd is HPy_NULL",
                     (Py_ssize_t)i, (Py_ssize_t)n);
      }
      return HPy_NULL;
    }
    Py_INCREF(item);
    PyTuple_SET_ITEM(tuple, i, item);
  }
  return _py2h(tuple);
}
