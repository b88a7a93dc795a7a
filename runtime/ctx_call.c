/* Calling Python callables. */
#include "ctx_internal.h"

/* Positional and keyword values of a call, as CPython's vectorcall wants them. In the CPython ABI
 * an array of handles is one of objects and is passed on as it is. In the universal context it is
 * copied, behind one free place that the callee may use (PY_VECTORCALL_ARGUMENTS_OFFSET), so that a
 * bound method does not have to copy it again. */
typedef struct {
  PyObject *const *values;
  size_t nargsf;
  PyObject *kwnames;
#ifndef HPY_ABI_CPYTHON
  PyObject **allocated;
  PyObject *few[1 + 12];
#endif
} Arguments;

static int arguments_init(Arguments *arguments, const char *function, const HPy *args, size_t nargs,
                          HPy kwnames) {
  size_t count = nargs, i;
  arguments->kwnames = _h2py(kwnames);
  if (arguments->kwnames != NULL) {
    if (!PyTuple_Check(arguments->kwnames)) {
      PyErr_Format(PyExc_TypeError,
                   "%s requires kwnames to be a tuple or null handle, got '%.200s'", function,
                   Py_TYPE(arguments->kwnames)->tp_name);
      return -1;
    }
    count += (size_t)PyTuple_GET_SIZE(arguments->kwnames);
  }
  if (nargs > PY_SSIZE_T_MAX / sizeof(PyObject *) - 1 ||
      count > PY_SSIZE_T_MAX / sizeof(PyObject *) - 1) {
    PyErr_Format(PyExc_SystemError, "%s: %zu arguments are more than memory can hold", function,
                 nargs);
    return -1;
  }
#ifdef HPY_ABI_CPYTHON
  arguments->values = (PyObject *const *)args;
  arguments->nargsf = nargs;
#else
  {
    PyObject **places = arguments->few;
    arguments->allocated = NULL;
    if (count + 1 > sizeof(arguments->few) / sizeof(arguments->few[0])) {
      places = (PyObject **)PyMem_Malloc((count + 1) * sizeof(PyObject *));
      if (places == NULL) {
        PyErr_NoMemory();
        return -1;
      }
      arguments->allocated = places;
    }
    places[0] = NULL;
    for (i = 0; i < count; i++) places[i + 1] = _h2py(args[i]);
    arguments->values = places + 1;
    arguments->nargsf = nargs | PY_VECTORCALL_ARGUMENTS_OFFSET;
  }
#endif
  for (i = 0; i < count; i++) {
    if (arguments->values[i] != NULL) continue;
    if (!PyErr_Occurred()) {
      PyErr_Format(PyExc_SystemError,
                   "%s: args[%zu] is HPy_NULL (null argument to internal routine)", function, i);
    }
#ifndef HPY_ABI_CPYTHON
    PyMem_Free(arguments->allocated);
#endif
    return -1;
  }
  return 0;
}

static HPy arguments_finish(Arguments *arguments, PyObject *result) {
#ifdef HPY_ABI_CPYTHON
  (void)arguments;
#else
  if (arguments->allocated != NULL) PyMem_Free(arguments->allocated);
#endif
  return _py2h(result);
}

HPyAPI_IMPL HPy ctx_Call(HPyContext *ctx, HPy callable, const HPy *args, size_t nargs,
                         HPy kwnames) {
  Arguments arguments;
  (void)ctx;
  if (arguments_init(&arguments, "HPy_Call", args, nargs, kwnames) < 0) return HPy_NULL;
  return arguments_finish(&arguments, PyObject_Vectorcall(_h2py_nn(callable), arguments.values,
                                                          arguments.nargsf, arguments.kwnames));
}

HPyAPI_IMPL HPy ctx_CallMethod(HPyContext *ctx, HPy name, const HPy *args, size_t nargs,
                               HPy kwnames) {
  Arguments arguments;
  (void)ctx;
  if (nargs == 0) {
    PyErr_SetString(PyExc_SystemError,
                    "HPy_CallMethod: nargs is 0, but args[0] must be the receiver of the method");
    return HPy_NULL;
  }
  if (arguments_init(&arguments, "HPy_CallMethod", args, nargs, kwnames) < 0) return HPy_NULL;
  return arguments_finish(
      &arguments, PyObject_VectorcallMethod(_h2py_nn(name), arguments.values, arguments.nargsf,
                                            arguments.kwnames));
}

HPyAPI_IMPL HPy ctx_CallTupleDict(HPyContext *ctx, HPy callable, HPy args, HPy kw) {
  PyObject *function = _h2py_nn(callable);
  PyObject *tuple = _h2py(args);
  PyObject *dict = _h2py(kw);
  PyObject *result;
  (void)ctx;
  if (tuple != NULL && !PyTuple_Check(tuple)) {
    PyErr_SetString(PyExc_TypeError,
                    "HPy_CallTupleDict requires args to be a tuple or null handle");
    return HPy_NULL;
  }
  if (dict != NULL && !PyDict_Check(dict)) {
    PyErr_SetString(PyExc_TypeError, "HPy_CallTupleDict requires kw to be a dict or null handle");
    return HPy_NULL;
  }
  if (dict == NULL) return _py2h(PyObject_CallObject(function, tuple));
  if (tuple != NULL) return _py2h(PyObject_Call(function, tuple, dict));
  tuple = PyTuple_New(0);
  if (tuple == NULL) return HPy_NULL;
  result = PyObject_Call(function, tuple, dict);
  Py_DECREF(tuple);
  return _py2h(result);
}
