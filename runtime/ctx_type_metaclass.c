/* PyType_FromMetaclass for CPython 3.9 to 3.11, whose PyType_FromSpec makes instances of `type`
 * only. */
#include "ctx_type_info.h"

#if HPY_COMPAT_OWN_FROM_METACLASS

/* Every slot that is a pointer to a function or to an array, and the part of PyHeapTypeObject that
 * has it. */
/* clang-format off */
#define FOR_EACH_SLOT(S) \
  S(bf_getbuffer, as_buffer) S(bf_releasebuffer, as_buffer) S(mp_ass_subscript, as_mapping) \
  S(mp_length, as_mapping) S(mp_subscript, as_mapping) S(nb_absolute, as_number) \
  S(nb_add, as_number) S(nb_and, as_number) S(nb_bool, as_number) S(nb_divmod, as_number) \
  S(nb_float, as_number) S(nb_floor_divide, as_number) S(nb_index, as_number) \
  S(nb_inplace_add, as_number) S(nb_inplace_and, as_number) \
  S(nb_inplace_floor_divide, as_number) S(nb_inplace_lshift, as_number) \
  S(nb_inplace_multiply, as_number) S(nb_inplace_or, as_number) S(nb_inplace_power, as_number) \
  S(nb_inplace_remainder, as_number) S(nb_inplace_rshift, as_number) \
  S(nb_inplace_subtract, as_number) S(nb_inplace_true_divide, as_number) \
  S(nb_inplace_xor, as_number) S(nb_int, as_number) S(nb_invert, as_number) \
  S(nb_lshift, as_number) S(nb_multiply, as_number) S(nb_negative, as_number) \
  S(nb_or, as_number) S(nb_positive, as_number) S(nb_power, as_number) \
  S(nb_remainder, as_number) S(nb_rshift, as_number) S(nb_subtract, as_number) \
  S(nb_true_divide, as_number) S(nb_xor, as_number) S(sq_ass_item, as_sequence) \
  S(sq_concat, as_sequence) S(sq_contains, as_sequence) S(sq_inplace_concat, as_sequence) \
  S(sq_inplace_repeat, as_sequence) S(sq_item, as_sequence) S(sq_length, as_sequence) \
  S(sq_repeat, as_sequence) S(nb_matrix_multiply, as_number) \
  S(nb_inplace_matrix_multiply, as_number) S(am_await, as_async) S(am_aiter, as_async) \
  S(am_anext, as_async) S(tp_alloc, ht_type) S(tp_call, ht_type) S(tp_clear, ht_type) \
  S(tp_dealloc, ht_type) S(tp_del, ht_type) S(tp_descr_get, ht_type) S(tp_descr_set, ht_type) \
  S(tp_getattr, ht_type) S(tp_getattro, ht_type) S(tp_hash, ht_type) S(tp_init, ht_type) \
  S(tp_is_gc, ht_type) S(tp_iter, ht_type) S(tp_iternext, ht_type) S(tp_new, ht_type) \
  S(tp_repr, ht_type) S(tp_richcompare, ht_type) S(tp_setattr, ht_type) S(tp_setattro, ht_type) \
  S(tp_str, ht_type) S(tp_traverse, ht_type) S(tp_free, ht_type) S(tp_finalize, ht_type) \
  S(tp_methods, ht_type) S(tp_getset, ht_type) \
  HPY_COMPAT_NEW_SLOTS(S)
/* clang-format on */

/* Where a slot is stored in the type; NULL for a number that is none. */
static void *place_of_slot(PyHeapTypeObject *type, int slot) {
  switch (slot) {
#define PLACE(name, part) \
  case Py_##name:         \
    return &type->part.name;
    FOR_EACH_SLOT(PLACE)
#undef PLACE
    default:
      return NULL;
  }
}

static PyTypeObject *derived_metaclass(PyTypeObject *metaclass, PyObject *bases) {
  PyTypeObject *winner = metaclass != NULL ? metaclass : &PyType_Type;
  Py_ssize_t i;
  for (i = 0; i < PyTuple_GET_SIZE(bases); i++) {
    PyTypeObject *other = Py_TYPE(PyTuple_GET_ITEM(bases, i));
    if (PyType_IsSubtype(winner, other)) continue;
    if (!PyType_IsSubtype(other, winner)) {
      PyErr_SetString(PyExc_TypeError,
                      "metaclass conflict: the metaclass of a derived class must be a (non-strict) "
                      "subclass of the metaclasses of all its bases");
      return NULL;
    }
    winner = other;
  }
  return winner;
}

/* The array is behind the type object. */
static void take_members(PyHeapTypeObject *result, const PyMemberDef *members, Py_ssize_t count) {
  PyTypeObject *type = &result->ht_type;
  Py_ssize_t i;
  type->tp_members = (PyMemberDef *)(void *)((char *)result + Py_TYPE(type)->tp_basicsize);
  memcpy(type->tp_members, members, (size_t)count * sizeof(PyMemberDef));
  for (i = 0; i < count; i++) {
    if (strcmp(members[i].name, "__weaklistoffset__") == 0)
      type->tp_weaklistoffset = members[i].offset;
    if (strcmp(members[i].name, "__dictoffset__") == 0) type->tp_dictoffset = members[i].offset;
    if (strcmp(members[i].name, "__vectorcalloffset__") == 0) {
      type->tp_vectorcall_offset = members[i].offset;
    }
  }
}

static int take_doc(PyTypeObject *type, const char *doc) {
  size_t size = doc == NULL ? 0 : strlen(doc) + 1;
  char *copy = NULL;
  if (doc != NULL) {
    copy = (char *)PyObject_Malloc(size); /* the type frees it with PyObject_Free */
    if (copy == NULL) {
      PyErr_NoMemory();
      return -1;
    }
    memcpy(copy, doc, size);
  }
  PyObject_Free((char *)type->tp_doc);
  type->tp_doc = copy;
  return 0;
}

static int take_slots(PyHeapTypeObject *result, const PyType_Slot *slot, Py_ssize_t member_count) {
  for (; slot->slot != 0; slot++) {
    void *place;
    if (slot->slot == Py_tp_base || slot->slot == Py_tp_bases) continue;
    if (slot->slot == Py_tp_doc) {
      if (take_doc(&result->ht_type, (const char *)slot->pfunc) < 0) return -1;
      continue;
    }
    if (slot->slot == Py_tp_members) {
      take_members(result, (const PyMemberDef *)slot->pfunc, member_count);
      continue;
    }
    place = place_of_slot(result, slot->slot);
    if (place == NULL) {
      PyErr_SetString(PyExc_RuntimeError, "invalid slot offset");
      return -1;
    }
    memcpy(place, &slot->pfunc, sizeof(void *));
  }
  return 0;
}

static int set_module(PyTypeObject *type, const char *name) {
  const char *dot = strrchr(name, '.');
  PyObject *module;
  int result;
  if (dot == NULL) {
    return PyErr_WarnFormat(PyExc_DeprecationWarning, 1,
                            "builtin type %.200s has no __module__ attribute", name);
  }
  module = PyUnicode_FromStringAndSize(name, dot - name);
  if (module == NULL) return -1;
  result = PyDict_SetItemString(type->tp_dict, "__module__", module);
  Py_DECREF(module);
  return result;
}

static PyObject *make_type(PyTypeObject *metaclass, const PyType_Spec *spec, PyObject *bases,
                           PyTypeObject *base) {
  const char *dot = strrchr(spec->name, '.');
  const PyType_Slot *slot;
  Py_ssize_t member_count = 0;
  PyHeapTypeObject *result;
  PyTypeObject *type;
  for (slot = spec->slots; slot->slot != 0; slot++) {
    const PyMemberDef *member = (const PyMemberDef *)slot->pfunc;
    if (slot->slot != Py_tp_members) continue;
    for (member_count = 0; member[member_count].name != NULL;) member_count++;
  }
  result = (PyHeapTypeObject *)metaclass->tp_alloc(metaclass, member_count);
  if (result == NULL) return NULL;
  type = &result->ht_type;
  /* At once: the object is tracked, and the collector takes what lacks the flag for a static
   * type. */
  type->tp_flags = spec->flags | Py_TPFLAGS_HEAPTYPE;
  type->tp_name = spec->name;
  type->tp_basicsize = spec->basicsize;
  type->tp_itemsize = spec->itemsize;
  type->tp_as_async = &result->as_async;
  type->tp_as_number = &result->as_number;
  type->tp_as_sequence = &result->as_sequence;
  type->tp_as_mapping = &result->as_mapping;
  type->tp_as_buffer = &result->as_buffer;
  Py_INCREF(bases);
  type->tp_bases = bases;
  Py_INCREF(base);
  type->tp_base = base;
  result->ht_name = PyUnicode_FromString(dot == NULL ? spec->name : dot + 1);
  result->ht_qualname = result->ht_name;
  Py_XINCREF(result->ht_qualname);
  if (result->ht_name == NULL || take_slots(result, spec->slots, member_count) < 0) goto fail;
  if (type->tp_dealloc == NULL) type->tp_dealloc = _HPyType_SubtypeDealloc();
  if (PyType_Ready(type) < 0 || set_module(type, spec->name) < 0) goto fail;
  return (PyObject *)type;
fail:
  Py_DECREF(type);
  return NULL;
}

HPyAPI_IMPL PyObject *_HPyType_FromMetaclass(PyTypeObject *metaclass, PyType_Spec *spec,
                                             PyObject *bases, PyTypeObject *base) {
  PyObject *given_bases = bases;
  PyObject *all_bases = NULL, *result = NULL;
  const PyType_Slot *slot;
  PyTypeObject *winner;
  for (slot = spec->slots; slot->slot != 0 && given_bases == NULL; slot++) {
    if (slot->slot == Py_tp_bases) bases = (PyObject *)slot->pfunc;
  }
  all_bases = bases != NULL ? PySequence_Tuple(bases) : PyTuple_Pack(1, (PyObject *)base);
  if (all_bases == NULL) return NULL;
  winner = derived_metaclass(metaclass, all_bases);
  if (winner == NULL) {
    /* Only an explicit metaclass is a promise; CPython ignores those of the bases. */
    if (metaclass == NULL) {
      PyErr_Clear();
      result = PyType_FromSpecWithBases(spec, given_bases);
    }
  } else if (winner == &PyType_Type ||
             (metaclass == NULL && winner->tp_new != PyType_Type.tp_new)) {
    result = PyType_FromSpecWithBases(spec, given_bases);
  } else if (winner->tp_new != PyType_Type.tp_new) {
    PyErr_SetString(PyExc_TypeError, "Metaclasses with custom tp_new are not supported.");
  } else {
    result = make_type(winner, spec, all_bases, base);
  }
  Py_DECREF(all_bases);
  return result;
}

#else
typedef int _HPyType_metaclass_needs_nothing; /* C99 wants a declaration in every file */
#endif
