/* The record of a type that HPy made: its life, and the questions that are answered from it. */
#include "ctx_type_info.h"

static void info_dealloc(PyObject *self) {
  _HPyTypeInfo *info = (_HPyTypeInfo *)self;
  PyMem_Free(info->name);
  PyMem_Free(info->methods);
  PyMem_Free(info->getsets);
  PyMem_Free(info->members);
  PyObject_Free(self);
}

/* Only gc.get_referents(T) shows one of these. */
PyTypeObject _HPyTypeInfo_Type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = HPY_TYPE_INFO_NAME,
    .tp_basicsize = (Py_ssize_t)sizeof(_HPyTypeInfo),
    .tp_dealloc = info_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_doc = "What HPy knows about a type.",
};

HPyAPI_IMPL _HPyTypeInfo *_HPyTypeInfo_New(void) {
  _HPyTypeInfo *info;
  if (PyType_Ready(&_HPyTypeInfo_Type) < 0) return NULL;
  info = PyObject_New(_HPyTypeInfo, &_HPyTypeInfo_Type);
  if (info == NULL) return NULL;
  memset((char *)info + sizeof(PyObject), 0, sizeof(*info) - sizeof(PyObject));
  return info;
}

HPyAPI_IMPL _HPyTypeInfo *_HPyTypeInfo_FindNearest(PyTypeObject *type) {
  type = _HPyType_Nearest(type);
  return type == NULL ? NULL : _HPyTypeInfo_Of(type);
}

HPyAPI_IMPL void *_HPyType_StructOf(PyObject *object) {
  const _HPyTypeInfo *info = _HPyTypeInfo_Nearest(Py_TYPE(object));
  return info == NULL ? (void *)object : _HPyTypeInfo_Struct(info, object);
}

HPyAPI_IMPL Py_ssize_t _HPyType_StructSize(PyTypeObject *type) {
  const _HPyTypeInfo *info = _HPyTypeInfo_Nearest(type);
  if (info == NULL) return 0;
  if (type->tp_itemsize != 0 && info->shape != HPyType_BuiltinShape_Type) return -1;
  return info->struct_size;
}

/* A type that was not made by HPy has the layout of the bases, so also their shape. */
HPyAPI_IMPL HPyType_BuiltinShape ctx_Type_GetBuiltinShape(HPyContext *ctx, HPy h_type) {
  PyObject *type = _h2py_nn(h_type);
  const _HPyTypeInfo *info;
  (void)ctx;
  if (!PyType_Check(type)) {
    PyErr_SetString(PyExc_TypeError, "arg must be a type");
    return (HPyType_BuiltinShape)-2;
  }
  info = _HPyTypeInfo_Nearest((PyTypeObject *)type);
  return info == NULL ? HPyType_BuiltinShape_Legacy : info->shape;
}

HPyAPI_IMPL const char *ctx_Type_GetName(HPyContext *ctx, HPy h_type) {
  PyObject *object = _h2py_nn(h_type);
  PyTypeObject *type = (PyTypeObject *)object;
  const char *dot;
  (void)ctx;
  if (!PyType_Check(object)) {
    PyErr_Format(PyExc_TypeError, "HPyType_GetName: expected a type, got '%.200s'",
                 Py_TYPE(object)->tp_name);
    return NULL;
  }
  if ((type->tp_flags & Py_TPFLAGS_HEAPTYPE) != 0) {
    return PyUnicode_AsUTF8(((PyHeapTypeObject *)type)->ht_name);
  }
  dot = strrchr(type->tp_name, '.');
  return dot == NULL ? type->tp_name : dot + 1;
}
