/* Objects under observation: what the debug mode's host asks of the runtime. */
#include "ctx_observer.h"
#include "ctx_type_info.h"

#ifdef HPY_UNIVERSAL_CONTEXT

typedef void (*FieldStore)(HPyContext *ctx, HPy owner, HPyField *field, HPy value);

const _HPyObserver *_HPyObserver_installed;

static FieldStore plain_field_store;

static void observed_field_store(HPyContext *ctx, HPy owner, HPyField *field, HPy value) {
  _HPyObserver_installed->stored(_h2py(owner), field, _hf2py(*field), _h2py(value));
  plain_field_store(ctx, owner, field, value);
}

static FieldStore install(HPyContext *universal, const _HPyObserver *observer) {
  _HPyObserver_installed = observer;
  if (universal->ctx_Field_Store != observed_field_store) {
    plain_field_store = universal->ctx_Field_Store;
    universal->ctx_Field_Store = observed_field_store;
  }
  return plain_field_store;
}

static int is_observed(void *object) {
  const _HPyTypeInfo *info = _HPyTypeInfo_Nearest(Py_TYPE((PyObject *)object));
  return info != NULL && info->observed;
}

static char *guard_of(void *object, Py_ssize_t *struct_size) {
  PyTypeObject *type = Py_TYPE((PyObject *)object);
  const _HPyTypeInfo *info = _HPyTypeInfo_Nearest(type);
  if (info == NULL || info->guard_offset == 0 || type->tp_itemsize != 0) return NULL;
  *struct_size = info->struct_size;
  return (char *)object + info->guard_offset;
}

static char *struct_of(void *object, Py_ssize_t *struct_size) {
  const _HPyTypeInfo *info = _HPyTypeInfo_Nearest(Py_TYPE((PyObject *)object));
  if (info == NULL) return NULL;
  *struct_size = info->struct_size;
  return (char *)_HPyTypeInfo_Struct(info, (PyObject *)object);
}

/* Methods that a type inherits read its objects with the accessor of their own type, so the shape
 * of any base is one that the object has. (Two with structs never differ: _HPyType_Layout.) */
static int has_shape(void *object, int shape) {
  PyTypeObject *type = _HPyType_Nearest(Py_TYPE((PyObject *)object));
  if (type == NULL) return shape == HPyType_BuiltinShape_Legacy;
  for (; type != NULL; type = type->tp_base) {
    const _HPyTypeInfo *info = _HPyTypeInfo_Of(type);
    if (info != NULL && (int)info->shape == shape) return 1;
  }
  return 0;
}

/* The deallocation of a Python class ends in that of its base. */
static int end_is_observed(PyTypeObject *type) {
  while (type != NULL && type->tp_dealloc == _HPyType_SubtypeDealloc()) type = type->tp_base;
  return type != NULL && type->tp_dealloc == _HPyType_Dealloc;
}

static const _HPyTypeInfo *traversed(PyTypeObject *type) {
  for (; type != NULL; type = type->tp_base) {
    const _HPyTypeInfo *info = _HPyTypeInfo_Of(type);
    if (info != NULL && info->traverse_impl != NULL) return info;
  }
  return NULL;
}

/* A Python class has a tp_traverse of CPython's own, which visits no fields: what counts is that of
 * the HPy type. */
static int fields_of(void *object) {
  PyTypeObject *type = Py_TYPE((PyObject *)object);
  PyTypeObject *nearest = _HPyType_Nearest(type);
  if (traversed(type) != NULL) {
    return end_is_observed(type) ? HPY_FIELDS_OBSERVED : HPY_FIELDS_FOREIGN;
  }
  if (nearest == NULL) nearest = type;
  return nearest->tp_traverse == NULL ? HPY_FIELDS_NO_TRAVERSE : HPY_FIELDS_FOREIGN;
}

static int traverse(void *object, HPyFunc_visitproc visit, void *arg) {
  const _HPyTypeInfo *info = traversed(Py_TYPE((PyObject *)object));
  return info->traverse_impl(_HPyTypeInfo_Struct(info, (PyObject *)object), visit, arg);
}

static HPyFunc_traverseproc traverse_function(void *object) {
  return traversed(Py_TYPE((PyObject *)object))->traverse_impl;
}

const _HPyObserverFunctions _HPyObserver_functions = {
    install,  _HPyObserver_TypeFromSpec, is_observed, guard_of, struct_of, has_shape, fields_of,
    traverse, traverse_function,
};

#else
typedef int _HPyObserver_nothing; /* C99 wants a declaration in every file */
#endif
