/* What is known about a type that HPy made. Internal to runtime/ctx_type*.c. */
#ifndef HPY_RUNTIME_CTX_TYPE_INFO_H_
#define HPY_RUNTIME_CTX_TYPE_INFO_H_

#include "ctx_internal.h"

/* The record of a type. It is a Python object that the type owns through tp_cache, a member that
 * CPython has kept for nothing since before 3.9: it is copied and inherited by nobody, tp_clear
 * leaves it alone (so instances that die in the same garbage cycle as their type still find it),
 * and the type's deallocation drops it. So no flag bit is taken, no table is searched, and the
 * record, with the arrays that CPython refers to, lives exactly as long as the type.
 *
 * Several libraries may have a copy of this code: each extension of the CPython ABI, and
 * hpy.universal. They recognise each other's records by the name of the record's own type, which
 * stands for this layout; what depends on the library (how a field holds its object) is behind
 * `clear_fields`. */
#define HPY_TYPE_INFO_NAME "hpy.type_info.2"

typedef struct _HPyTypeInfo {
  PyObject_HEAD HPyType_BuiltinShape shape;
  int has_dealloc;         /* tp_dealloc is the generated one */
  Py_ssize_t start;        /* of the struct in the object; HPY_BEHIND_ITEMS for int and tuple */
  Py_ssize_t struct_size;  /* 0: no type in the chain of bases has a struct */
  Py_ssize_t call_offset;  /* of the hidden call pointer, 0: none */
  int observed;            /* made by _HPyObserver_TypeFromSpec */
  Py_ssize_t guard_offset; /* of the guard behind the struct in the object, 0: none */
  vectorcallfunc call;     /* HPy_tp_call, or NULL */
  HPyFunc_traverseproc traverse_impl;
  traverseproc traverse; /* its trampoline; NULL when the type has no HPy_tp_traverse */
  HPyFunc_destroyfunc destroy;
  void (*clear_fields)(PyObject *self, const struct _HPyTypeInfo *info);
  traverseproc generated_traverse; /* the function of the library that made the type */
  inquiry generated_clear;
  /* Owned memory, to which the type and its descriptors refer. */
  char *name;
  PyMethodDef *methods;
  PyGetSetDef *getsets;
  struct _HPyMemberRecord *members;
} _HPyTypeInfo;

#define HPY_BEHIND_ITEMS ((Py_ssize_t)-1)

/* The closure of a member that is a getset. */
typedef struct _HPyMemberRecord {
  PyMemberDef def; /* its offset counts from the struct */
  const _HPyTypeInfo *info;
} _HPyMemberRecord;

extern HPyAPI_IMPL PyTypeObject _HPyTypeInfo_Type;

/* A new, empty record, or NULL with an exception set. */
HPyAPI_IMPL _HPyTypeInfo *_HPyTypeInfo_New(void);

/* The record of `type` itself, or NULL. */
static inline _HPyTypeInfo *_HPyTypeInfo_Of(PyTypeObject *type) {
  PyObject *record = type->tp_cache;
  if (record == NULL) return NULL;
  if (Py_TYPE(record) != &_HPyTypeInfo_Type &&
      strcmp(Py_TYPE(record)->tp_name, HPY_TYPE_INFO_NAME) != 0) {
    return NULL;
  }
  return (_HPyTypeInfo *)record;
}

/* The first type with a record among `type` and the bases that give it its layout, or NULL. */
static inline PyTypeObject *_HPyType_Nearest(PyTypeObject *type) {
  while (type != NULL && _HPyTypeInfo_Of(type) == NULL) type = type->tp_base;
  return type;
}

HPyAPI_IMPL _HPyTypeInfo *_HPyTypeInfo_FindNearest(PyTypeObject *type);

/* Its record. Mostly the type, which is not NULL, has one itself, made by this very library. */
static inline _HPyTypeInfo *_HPyTypeInfo_Nearest(PyTypeObject *type) {
  PyObject *record = type->tp_cache;
  if (record != NULL && Py_TYPE(record) == &_HPyTypeInfo_Type) return (_HPyTypeInfo *)record;
  return _HPyTypeInfo_FindNearest(type);
}

/* The strictest alignment of the platform's basic types. */
#define HPY_STRUCT_ALIGN ((Py_ssize_t)16)
#define HPY_ROUND_UP(size, to) (((Py_ssize_t)(size) + (to)-1) / (to) * (to))

/* Int and tuple keep their digits or items right behind their header, where every other shape
 * has the struct. So theirs comes behind the last one, at the next aligned place. The number of
 * items never changes once the object exists; tp_basicsize leaves room for the struct and the
 * alignment. */
static inline void *_HPyType_BehindItems(PyObject *object) {
  Py_ssize_t end = PyLong_Check(object)
                       ? (Py_ssize_t)HPY_COMPAT_LONG_DIGITS +
                             _HPyCompat_Long_DigitCount(object) * PyLong_Type.tp_itemsize
                       : (Py_ssize_t)offsetof(PyTupleObject, ob_item) +
                             PyTuple_GET_SIZE(object) * PyTuple_Type.tp_itemsize;
  return (char *)object + HPY_ROUND_UP(end, HPY_STRUCT_ALIGN);
}

/* The struct of `object` as the type of `info` sees it. */
static inline void *_HPyTypeInfo_Struct(const _HPyTypeInfo *info, PyObject *object) {
  if (info->start == HPY_BEHIND_ITEMS) return _HPyType_BehindItems(object);
  return (char *)object + info->start;
}

/* Layout of a type to be made: fills in start, struct_size and call_offset of `info`, and the
 * sizes that CPython gets. `base` gives the layout; `needs_call`: the type has HPy_tp_call;
 * `wants_guard`: there may be a guard. -1 with TypeError when structs would overlap. */
HPyAPI_IMPL int _HPyType_Layout(_HPyTypeInfo *info, const HPyType_Spec *spec, PyTypeObject *base,
                                int needs_call, int wants_guard, int *basicsize);

/* The three functions of runtime/ctx_type_gc.c that types get, and the one behind
 * `clear_fields`. */
HPyAPI_IMPL void _HPyType_Dealloc(PyObject *self);
HPyAPI_IMPL int _HPyType_Traverse(PyObject *self, visitproc visit, void *arg);
HPyAPI_IMPL int _HPyType_Clear(PyObject *self);
HPyAPI_IMPL void _HPyType_ClearFields(PyObject *self, const _HPyTypeInfo *info);
/* Finds CPython's functions for classes made by a class statement. -1 with an exception set. */
HPyAPI_IMPL int _HPyType_InitGC(void);
/* Of these the tp_dealloc, which is also that of a type made without one. */
HPyAPI_IMPL destructor _HPyType_SubtypeDealloc(void);

/* tp_call of types with the call protocol. */
HPyAPI_IMPL PyObject *_HPyType_Call(PyObject *self, PyObject *args, PyObject *kwargs);
/* Fills the hidden call pointer of a new object. */
HPyAPI_IMPL void _HPyType_InitCall(PyObject *self);

/* Methods, getsets and members of a type as CPython wants them. `members` ends up in `info` or
 * in `*plain_members`, which the caller frees with PyMem_Free once the type exists: CPython
 * copies them. -1 with an exception set. */
HPyAPI_IMPL int _HPyType_CollectMethods(_HPyTypeInfo *info, const HPyType_Spec *spec,
                                        const PyMethodDef *legacy);
HPyAPI_IMPL int _HPyType_CollectMembers(_HPyTypeInfo *info, const HPyType_Spec *spec,
                                        const PyMemberDef *legacy_members,
                                        const PyGetSetDef *legacy_getsets,
                                        PyMemberDef **plain_members);

/* A PyMethodDef from an HPyMeth. -1 with ValueError for an illegal signature. */
HPyAPI_IMPL int _HPyMeth_AsPyMethodDef(const HPyMeth *meth, PyMethodDef *result);

#if HPY_COMPAT_OWN_FROM_METACLASS
/* PyType_FromMetaclass for CPythons that have none. `metaclass` may be NULL: that of the bases.
 * `base` is the one that gives the layout. spec->name has to live as long as the type. */
HPyAPI_IMPL PyObject *_HPyType_FromMetaclass(PyTypeObject *metaclass, PyType_Spec *spec,
                                             PyObject *bases, PyTypeObject *base);
#endif

#endif
