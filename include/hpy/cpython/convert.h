/* Handles and objects on CPython: the helpers that the table's expressions use.
 *
 * Included by the CPython ABI, where a handle is the address of its object, and by the universal
 * context, which has conversions of its own. */
#ifndef HPY_CPYTHON_CONVERT_H
#define HPY_CPYTHON_CONVERT_H

#ifdef __cplusplus
extern "C" {
#endif

#ifdef HPY_ABI_CPYTHON
HPyAPI_UNUSED cpy_PyObject* _HPyCPy_AsObject(HPy h) { return (cpy_PyObject*)h._i; }

HPyAPI_UNUSED HPy _HPyCPy_FromObject(cpy_PyObject* object) {
  HPy handle;
  handle._i = (intptr_t)object;
  return handle;
}

/* What the column `impl` of the table is written with. */
#define _HPyO(h) _HPyCPy_AsObject(h)             /* of a handle that is not null */
#define _HPyX(h) _HPyCPy_AsObject(h)             /* NULL for the null handle */
#define _HPyN(object) _HPyCPy_FromObject(object) /* takes over a new reference */
#endif

/* A new reference to an object or NULL. Py_XNewRef is younger than CPython 3.9. */
HPyAPI_UNUSED cpy_PyObject* _HPyCPy_XNewRef(cpy_PyObject* object) {
  Py_XINCREF(object);
  return object;
}

/* A list builder's items are set in turn, mostly; the rest is in runtime/ctx_builder.c, with the
 * parameters where they are already. `item`: what the handle refers to, if it is not null. */
HPyAPI_IMPL void _HPyListBuilder_SetOutOfTurn(HPyContext* ctx, HPyListBuilder builder,
                                              Py_ssize_t index, HPy h_item);
HPyAPI_UNUSED void _HPyCPy_SetListItem(HPyContext* ctx, HPyListBuilder builder, Py_ssize_t index,
                                       HPy h_item, cpy_PyObject* item) {
  PyListObject* list = (PyListObject*)builder._lst;
  if (_HPy_UNLIKELY(list == NULL || index != Py_SIZE(list) || index >= list->allocated ||
                    h_item._i == 0)) {
    _HPyListBuilder_SetOutOfTurn(ctx, builder, index, h_item);
  } else {
    Py_INCREF(item);
    list->ob_item[index] = item;
    Py_SET_SIZE(list, index + 1);
  }
}

/* Nothing is an instance, or a subtype, of the null type. */
HPyAPI_UNUSED int _HPyCPy_TypeCheck(cpy_PyObject* object, cpy_PyObject* type) {
  return type != NULL && PyObject_TypeCheck(object, (PyTypeObject*)type);
}

HPyAPI_UNUSED int _HPyCPy_IsSubtype(cpy_PyObject* sub, cpy_PyObject* type) {
  return type != NULL && PyType_IsSubtype((PyTypeObject*)sub, (PyTypeObject*)type);
}

/* False for the null exception, and when none is set. */
HPyAPI_UNUSED int _HPyCPy_ExceptionMatches(cpy_PyObject* exc) {
  return exc != NULL && PyErr_ExceptionMatches(exc);
}

/* builtins.__dict__ of this interpreter, borrowed. Not PyEval_GetBuiltins, which gives those of the
 * running frame: `exec` can replace them. */
HPyAPI_UNUSED cpy_PyObject* _HPyCPy_Builtins(void) {
  cpy_PyObject* module = PyImport_AddModule("builtins");
  return module == NULL ? NULL : PyModule_GetDict(module);
}

#ifdef __cplusplus
}
#endif

#endif /* HPY_CPYTHON_CONVERT_H */
