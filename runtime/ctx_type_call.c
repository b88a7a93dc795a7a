/* The call protocol: HPy_tp_call and HPyCallFunction are vectorcall functions.
 *
 * Each object has a hidden pointer behind its struct that says what calling it does. HPy_New and
 * HPyType_GenericNew fill it; in an object that was made in another way (object.__new__,
 * tp_alloc of a legacy function) it is NULL, CPython then goes through tp_call, and that fills
 * it. So no tp_new has to be added to the type. Objects of variable size have no place for the
 * pointer: tp_call serves them. */
#include "ctx_type_info.h"

static vectorcallfunc default_call(PyTypeObject *type) {
  for (; type != NULL; type = type->tp_base) {
    const _HPyTypeInfo *info = _HPyTypeInfo_Of(type);
    if (info != NULL && info->call != NULL) return info->call;
  }
  return NULL;
}

/* The place of the pointer that the runtime manages; NULL when there is none, or when the
 * extension has given one of its own with a `__vectorcalloffset__` member. */
static vectorcallfunc *hidden_pointer(PyObject *self) {
  PyTypeObject *type;
  for (type = Py_TYPE(self); type != NULL; type = type->tp_base) {
    const _HPyTypeInfo *info = _HPyTypeInfo_Of(type);
    if (info != NULL && info->call_offset != 0) {
      if (Py_TYPE(self)->tp_vectorcall_offset != info->call_offset) return NULL;
      return (vectorcallfunc *)((char *)self + info->call_offset);
    }
  }
  return NULL;
}

HPyAPI_IMPL void _HPyType_InitCall(PyObject *self) {
  vectorcallfunc *place;
  place = hidden_pointer(self);
  if (place != NULL && *place == NULL) *place = default_call(Py_TYPE(self));
}

/* Calls with a tuple and a dict that may be NULL. */
static PyObject *call_with_dict(vectorcallfunc function, PyObject *self, PyObject *args,
                                PyObject *kwargs) {
  PyObject *const *positional = ((PyTupleObject *)args)->ob_item;
  Py_ssize_t nargs = PyTuple_GET_SIZE(args);
  Py_ssize_t nkwargs = kwargs == NULL ? 0 : PyDict_GET_SIZE(kwargs);
  Py_ssize_t i, position = 0;
  PyObject **values, *names, *key, *value, *result = NULL;
  if (nkwargs == 0) return function(self, positional, (size_t)nargs, NULL);
  names = PyTuple_New(nkwargs);
  if (names == NULL) return NULL;
  values = (PyObject **)PyMem_Malloc((size_t)(nargs + nkwargs) * sizeof(PyObject *));
  if (values == NULL) {
    Py_DECREF(names);
    return PyErr_NoMemory();
  }
  for (i = 0; i < nargs; i++) values[i] = positional[i];
  for (i = 0; PyDict_Next(kwargs, &position, &key, &value); i++) {
    Py_INCREF(key);
    PyTuple_SET_ITEM(names, i, key);
    Py_INCREF(value);
    values[nargs + i] = value;
  }
  result = function(self, values, (size_t)nargs, names);
  for (i = 0; i < nkwargs; i++) Py_DECREF(values[nargs + i]);
  PyMem_Free(values);
  Py_DECREF(names);
  return result;
}

HPyAPI_IMPL PyObject *_HPyType_Call(PyObject *self, PyObject *args, PyObject *kwargs) {
  PyTypeObject *type = Py_TYPE(self);
  vectorcallfunc function;
  if (type->tp_vectorcall_offset > 0) {
    _HPyType_InitCall(self);
    return PyVectorcall_Call(self, args, kwargs); /* raises TypeError when there is no function */
  }
  function = default_call(type);
  if (function == NULL) {
    PyErr_Format(PyExc_TypeError, "'%.200s' object does not support vectorcall", type->tp_name);
    return NULL;
  }
  return call_with_dict(function, self, args, kwargs);
}

/* Up to 3.11 CPython does not let classes inherit the flag, so the type of HPy above the
 * object's class is asked. Other types with the flag (functions, say) are not ours to change. */
HPyAPI_IMPL int ctx_SetCallFunction(HPyContext *ctx, HPy h, HPyCallFunction *func) {
  PyObject *object = _h2py_nn(h);
  PyTypeObject *type = Py_TYPE(object);
  PyTypeObject *nearest = _HPyType_Nearest(type);
  (void)ctx;
  if (nearest == NULL || (nearest->tp_flags & Py_TPFLAGS_HAVE_VECTORCALL) == 0 ||
      type->tp_vectorcall_offset <= 0) {
    PyErr_Format(PyExc_TypeError, "type '%.50s does not implement the HPy call protocol",
                 type->tp_name);
    return -1;
  }
  *(vectorcallfunc *)((char *)object + type->tp_vectorcall_offset) =
      (vectorcallfunc)func->cpy_trampoline;
  return 0;
}
