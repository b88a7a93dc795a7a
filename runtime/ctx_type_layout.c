/* Where the extension's struct lies in an object, and making objects. */
#include "ctx_observer.h"
#include "ctx_type_info.h"

#define START_BEHIND(size) HPY_ROUND_UP(size, HPY_STRUCT_ALIGN)
#define START_OBJECT START_BEHIND(sizeof(PyObject))
/* With items of its own an object starts with a PyVarObject, whose count must not be
 * overwritten. */
#define START_VAR_OBJECT START_BEHIND(sizeof(PyVarObject))

/* Where the struct of a shape starts, when it has a fixed place. */
static Py_ssize_t start_of_shape(HPyType_BuiltinShape shape) {
  switch (shape) {
    case HPyType_BuiltinShape_Legacy:
      return 0;
    case HPyType_BuiltinShape_Object:
      return START_OBJECT;
    case HPyType_BuiltinShape_Type:
      return START_BEHIND(sizeof(PyHeapTypeObject));
    case HPyType_BuiltinShape_Long:
      return START_BEHIND(sizeof(PyLongObject));
    case HPyType_BuiltinShape_Float:
      return START_BEHIND(sizeof(PyFloatObject));
    case HPyType_BuiltinShape_Unicode:
      return START_BEHIND(sizeof(PyUnicodeObject));
    case HPyType_BuiltinShape_Tuple:
      return START_BEHIND(sizeof(PyTupleObject));
    case HPyType_BuiltinShape_List:
      return START_BEHIND(sizeof(PyListObject));
    case HPyType_BuiltinShape_Dict:
      return START_BEHIND(sizeof(PyDictObject));
  }
  return START_OBJECT;
}

static const char *name_of_shape(HPyType_BuiltinShape shape) {
  static const char *const names[] = {"Legacy",  "Object", "Type", "Long", "Float",
                                      "Unicode", "Tuple",  "List", "Dict"};
  return names[(int)shape + 1];
}

static int fail_overlap(const HPyType_Spec *spec, PyTypeObject *base) {
  PyErr_Format(
      PyExc_TypeError,
      "type '%.100s': its struct (shape HPyType_BuiltinShape_%s) would overlap the data of its "
      "base '%.100s'. Give it the .builtin_shape that fits this base, or .basicsize 0 when it "
      "has no struct of its own",
      spec->name, name_of_shape(spec->builtin_shape), base->tp_name);
  return -1;
}

static int fail_too_small(const HPyType_Spec *spec, Py_ssize_t size, PyTypeObject *base) {
  PyErr_Format(PyExc_TypeError,
               "tp_basicsize for type '%.100s' (%zd) is too small for base '%.100s' (%zd)",
               spec->name, size, base->tp_name, base->tp_basicsize);
  return -1;
}

static int is_behind_items(HPyType_BuiltinShape shape, PyTypeObject *base) {
  return (shape == HPyType_BuiltinShape_Long &&
          PyType_FastSubclass(base, Py_TPFLAGS_LONG_SUBCLASS)) ||
         (shape == HPyType_BuiltinShape_Tuple &&
          PyType_FastSubclass(base, Py_TPFLAGS_TUPLE_SUBCLASS));
}

/* The size of the object up to the end of a new struct, 0 when the base's size is kept. -1:
 * refused. */
static Py_ssize_t layout_struct(_HPyTypeInfo *info, const HPyType_Spec *spec, PyTypeObject *base) {
  PyTypeObject *nearest = _HPyType_Nearest(base);
  const _HPyTypeInfo *above = nearest == NULL ? NULL : _HPyTypeInfo_Of(nearest);
  const HPyType_BuiltinShape shape = spec->builtin_shape;
  Py_ssize_t size;
  if (shape == HPyType_BuiltinShape_Legacy) {
    info->start = 0;
    info->struct_size = spec->basicsize;
    if (spec->basicsize == 0) info->struct_size = base->tp_basicsize;
    if (spec->basicsize != 0 && spec->basicsize < base->tp_basicsize &&
        (above == NULL || spec->basicsize < above->struct_size)) {
      return fail_too_small(spec, spec->basicsize, base);
    }
    return spec->basicsize;
  }
  if (above != NULL && (above->shape == HPyType_BuiltinShape_Legacy || above->struct_size == 0)) {
    above = NULL; /* no struct that the new one could start with */
  }
  info->start =
      is_behind_items(shape, base) ? HPY_BEHIND_ITEMS
      : shape == HPyType_BuiltinShape_Object && (spec->itemsize != 0 || base->tp_itemsize != 0)
          ? START_VAR_OBJECT
          : start_of_shape(shape);
  info->struct_size = spec->basicsize;
  if (spec->basicsize == 0) {
    if (above != NULL) {
      info->start = above->start;
      info->struct_size = above->struct_size;
    }
    return 0;
  }

  /* The struct of a base is the beginning of the new one, so both are at the same place. */
  if (above != NULL && above->start != info->start) return fail_overlap(spec, base);
  if (info->start == HPY_BEHIND_ITEMS) {
    /* Room for the alignment, and for what classes between have at the end of the object. */
    PyTypeObject *header = shape == HPyType_BuiltinShape_Long ? &PyLong_Type : &PyTuple_Type;
    size = header->tp_basicsize + HPY_STRUCT_ALIGN + spec->basicsize;
    if (above != NULL) {
      if (spec->basicsize < above->struct_size) return fail_too_small(spec, spec->basicsize, base);
      size += base->tp_basicsize - nearest->tp_basicsize;
    } else {
      size += base->tp_basicsize - header->tp_basicsize;
    }
    return size;
  }
  size = info->start + spec->basicsize;
  if (above != NULL) {
    if (spec->basicsize < above->struct_size) return fail_too_small(spec, size, base);
    if (base->tp_basicsize > nearest->tp_basicsize && spec->basicsize > above->struct_size) {
      return fail_overlap(spec,
                          base); /* a class between has slots where the new members would be */
    }
  } else if (base->tp_basicsize > info->start ||
             (base->tp_itemsize != 0 && !PyType_FastSubclass(base, Py_TPFLAGS_TYPE_SUBCLASS))) {
    return fail_overlap(spec, base);
  }
  return size;
}

/* The guard is right behind the struct, and what classes append comes behind the guard. A struct
 * that the type shares with a base has the base's. */
static Py_ssize_t layout_guard(_HPyTypeInfo *info, const _HPyTypeInfo *above, Py_ssize_t size,
                               int wanted) {
  const int shared = above != NULL && above->start == info->start && above->struct_size != 0;
  if (size == 0 || (shared && above->struct_size == info->struct_size)) {
    if (shared) info->guard_offset = above->guard_offset;
    return size;
  }
  if (!wanted || info->start == HPY_BEHIND_ITEMS) return size;
  info->guard_offset = size;
  return size + HPY_GUARD_SIZE;
}

HPyAPI_IMPL int _HPyType_Layout(_HPyTypeInfo *info, const HPyType_Spec *spec, PyTypeObject *base,
                                int needs_call, int wants_guard, int *basicsize) {
  const _HPyTypeInfo *above = _HPyTypeInfo_Nearest(base);
  Py_ssize_t size;
  int has_items = spec->itemsize != 0 || base->tp_itemsize != 0;
  info->shape = spec->builtin_shape;
  size = layout_struct(info, spec, base);
  if (size < 0) return -1;
  size = layout_guard(info, above, size, wants_guard && !has_items);
  if (above != NULL && above->call_offset != 0 && size > above->call_offset) {
    /* The new struct covers the call pointer that objects of the base have: they get another. */
    needs_call = 1;
  }
  if (size != 0 && size < base->tp_basicsize) size = base->tp_basicsize;
  /* What Python classes append are pointers. */
  size = HPY_ROUND_UP(size, (Py_ssize_t)sizeof(void *));
  if (needs_call && !has_items) {
    if (size == 0) size = base->tp_basicsize;
    info->call_offset = HPY_ROUND_UP(size, HPY_STRUCT_ALIGN);
    size = info->call_offset + (Py_ssize_t)sizeof(vectorcallfunc);
  }
  if (size > INT_MAX) {
    PyErr_Format(PyExc_OverflowError, "type '%.100s': its struct of %d bytes is too large",
                 spec->name, spec->basicsize);
    return -1;
  }
  *basicsize = (int)size;
  return 0;
}

_HPy_COLD static void *struct_of_variable_size(PyObject *object) {
  const _HPyTypeInfo *info = _HPyTypeInfo_Nearest(Py_TYPE(object));
  if (info != NULL && info->shape == HPyType_BuiltinShape_Object) {
    return _HPyTypeInfo_Struct(info, object);
  }
  return (char *)object + START_OBJECT;
}

/* The object of a handle can be of any type here: one of a Python subclass has the struct at the
 * same place, so most of these do not look at the type at all. */
HPyAPI_IMPL void *ctx_AsStruct_Object(HPyContext *ctx, HPy h) {
  PyObject *object = _h2py_nn(h);
  (void)ctx;
  return _HPy_UNLIKELY(Py_TYPE(object)->tp_itemsize != 0) ? struct_of_variable_size(object)
                                                          : (char *)object + START_OBJECT;
}

HPyAPI_IMPL void *ctx_AsStruct_Legacy(HPyContext *ctx, HPy h) {
  (void)ctx;
  return _h2py_nn(h);
}

HPyAPI_IMPL void *ctx_AsStruct_Long(HPyContext *ctx, HPy h) {
  PyObject *object = _h2py_nn(h);
  (void)ctx;
  if (PyLong_Check(object)) return _HPyType_BehindItems(object);
  return (char *)object + START_BEHIND(sizeof(PyLongObject));
}

HPyAPI_IMPL void *ctx_AsStruct_Tuple(HPyContext *ctx, HPy h) {
  PyObject *object = _h2py_nn(h);
  (void)ctx;
  if (PyTuple_Check(object)) return _HPyType_BehindItems(object);
  return (char *)object + START_BEHIND(sizeof(PyTupleObject));
}

#define AS_STRUCT(SHAPE, type)                                     \
  HPyAPI_IMPL void *ctx_AsStruct_##SHAPE(HPyContext *ctx, HPy h) { \
    (void)ctx;                                                     \
    return (char *)_h2py_nn(h) + START_BEHIND(sizeof(type));       \
  }
AS_STRUCT(Type, PyHeapTypeObject)
AS_STRUCT(Float, PyFloatObject)
AS_STRUCT(Unicode, PyUnicodeObject)
AS_STRUCT(List, PyListObject)
AS_STRUCT(Dict, PyDictObject)

/* What HPy_New does not just allocate. Of an int, str, dict, list, tuple or float all zeros is not
 * always a legal value: their own constructor makes an empty one, and leaves the struct zeroed. */
#define NOT_JUST_ALLOCATED                                                             \
  (Py_TPFLAGS_LONG_SUBCLASS | Py_TPFLAGS_UNICODE_SUBCLASS | Py_TPFLAGS_DICT_SUBCLASS | \
   Py_TPFLAGS_TUPLE_SUBCLASS | Py_TPFLAGS_LIST_SUBCLASS | Py_TPFLAGS_TYPE_SUBCLASS)

static PyObject *new_of_builtin(PyTypeObject *type) {
  PyTypeObject *builtin;
  PyObject *empty, *object;
  if (PyType_FastSubclass(type, Py_TPFLAGS_LONG_SUBCLASS)) {
    builtin = &PyLong_Type;
  } else if (PyType_FastSubclass(type, Py_TPFLAGS_UNICODE_SUBCLASS)) {
    builtin = &PyUnicode_Type;
  } else if (PyType_FastSubclass(type, Py_TPFLAGS_DICT_SUBCLASS)) {
    builtin = &PyDict_Type;
  } else if (PyType_FastSubclass(type, Py_TPFLAGS_TUPLE_SUBCLASS)) {
    builtin = &PyTuple_Type;
  } else if (PyType_FastSubclass(type, Py_TPFLAGS_LIST_SUBCLASS)) {
    builtin = &PyList_Type;
  } else {
    PyErr_Format(
        PyExc_TypeError,
        "HPy_New cannot make an instance of the metaclass '%.100s': call the metaclass, or use "
        "HPyType_FromSpec with HPyType_SpecParam_Metaclass",
        type->tp_name);
    return NULL;
  }
  empty = PyTuple_New(0);
  if (empty == NULL) return NULL;
  object = builtin->tp_new(type, empty, NULL);
  Py_DECREF(empty);
  return object;
}

static inline PyObject *new_object(PyTypeObject *type, allocfunc allocate) {
  PyObject *object = _HPy_UNLIKELY((type->tp_flags & NOT_JUST_ALLOCATED) != 0)
                         ? new_of_builtin(type)
                         : allocate(type, 0);
  if (object != NULL && Py_TYPE(object)->tp_vectorcall_offset > 0) _HPyType_InitCall(object);
  return object;
}

/* The same with PyType_GenericAlloc, faster for the types of most extensions: of a fixed size, with
 * nothing in front of the object (which is what the collector, and from 3.11 on a managed dict or list
 * of weak references, have there). */
#ifndef Py_TPFLAGS_MANAGED_DICT
#define Py_TPFLAGS_MANAGED_DICT 0
#endif
#ifndef Py_TPFLAGS_MANAGED_WEAKREF
#define Py_TPFLAGS_MANAGED_WEAKREF 0
#endif
static inline PyObject *new_allocated(PyTypeObject *type) {
  PyObject *object;
  const unsigned long other = NOT_JUST_ALLOCATED | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_MANAGED_DICT |
                              Py_TPFLAGS_MANAGED_WEAKREF;
  if (_HPy_UNLIKELY((type->tp_flags & other) != 0 || type->tp_itemsize != 0)) {
    return new_object(type, PyType_GenericAlloc);
  }
  object = (PyObject *)PyObject_Malloc((size_t)type->tp_basicsize);
  if (_HPy_UNLIKELY(object == NULL)) return PyErr_NoMemory();
  memset(object, 0, (size_t)type->tp_basicsize);
  PyObject_Init(object, type);
  if (_HPy_UNLIKELY(type->tp_vectorcall_offset > 0)) _HPyType_InitCall(object);
  return object;
}

/* The whole object is zeroed, and tracked where its type says so; nothing runs before the caller has
 * it. */
HPyAPI_IMPL HPy ctx_New(HPyContext *ctx, HPy h_type, void **data) {
  PyObject *type = _h2py_nn(h_type);
  PyObject *object;
  const _HPyTypeInfo *info;
  (void)ctx;
  if (_HPy_UNLIKELY(!PyType_Check(type))) {
    PyErr_SetString(PyExc_TypeError, "HPy_New arg 1 must be a type");
    return HPy_NULL;
  }
  object = new_allocated((PyTypeObject *)type);
  if (_HPy_UNLIKELY(object == NULL)) return HPy_NULL;
  info = _HPyTypeInfo_Nearest((PyTypeObject *)type);
  *data = _HPy_UNLIKELY(info == NULL) ? (void *)object : _HPyTypeInfo_Struct(info, object);
  return _py2h_nn(object);
}

HPyAPI_IMPL HPy ctx_Type_GenericNew(HPyContext *ctx, HPy h_type, const HPy *args, HPy_ssize_t nargs,
                                    HPy kw) {
  PyObject *type = _h2py_nn(h_type);
  (void)ctx;
  (void)args;
  (void)nargs;
  (void)kw;
  if (!PyType_Check(type)) {
    PyErr_SetString(PyExc_TypeError, "HPy_Type_GenericNew arg 1 must be a type");
    return HPy_NULL;
  }
  return _py2h(new_object((PyTypeObject *)type, ((PyTypeObject *)type)->tp_alloc));
}
