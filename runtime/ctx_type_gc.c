/* tp_traverse, tp_clear and tp_dealloc of types with HPy_tp_traverse or HPy_tp_destroy.
 *
 * The chain of bases of an object's type can have layers of four kinds, in any order:
 *   - types of HPy with a record;
 *   - below the first of these, classes made by a class statement (or by PyType_FromSpec without
 *     a tp_dealloc). CPython's functions for them cannot be called as those of a base: they
 *     start from the object's own type, find the generated function, and call it again. So what
 *     they would do (slots, dictionary, weak references) is done here;
 *   - at last one native type with functions of its own: object, list, a type of the Python/C
 *     API;
 *   - above the first type of HPy anything. That has been dealt with by whoever called us. */
#include "ctx_observer.h"
#include "ctx_type_info.h"

/* CPython's functions for classes made by a class statement. The addresses are the same in every
 * interpreter. */
static destructor subtype_dealloc = NULL;
static traverseproc subtype_traverse = NULL;
static inquiry subtype_clear = NULL;

HPyAPI_IMPL int _HPyType_InitGC(void) {
  PyObject *probe;
  if (subtype_dealloc != NULL) return 0;
  probe = PyObject_CallFunction((PyObject *)&PyType_Type, "s(){}", "hpy_probe");
  if (probe == NULL) return -1;
  subtype_traverse = ((PyTypeObject *)probe)->tp_traverse;
  subtype_clear = ((PyTypeObject *)probe)->tp_clear;
  subtype_dealloc = ((PyTypeObject *)probe)->tp_dealloc;
  Py_DECREF(probe);
  return 0;
}

HPyAPI_IMPL destructor _HPyType_SubtypeDealloc(void) { return subtype_dealloc; }

/* The members that a class has for its __slots__ lie behind the type object, and Py_SIZE counts
 * them. */
static PyObject **slot_of(PyObject *self, PyTypeObject *type, Py_ssize_t index) {
  const PyMemberDef *member = &type->tp_members[index];
  if (member->type != T_OBJECT_EX || (member->flags & READONLY) != 0) return NULL;
  return (PyObject **)((char *)self + member->offset);
}

static Py_ssize_t slot_count(PyTypeObject *type) {
  return (type->tp_flags & Py_TPFLAGS_HEAPTYPE) != 0 && type->tp_members != NULL ? Py_SIZE(type)
                                                                                 : 0;
}

/* The first type of HPy with HPy_tp_traverse, or, where `with_dealloc`, with the generated
 * tp_dealloc. */
static PyTypeObject *first_layer(PyTypeObject *type, int with_dealloc) {
  for (; type != NULL; type = type->tp_base) {
    const _HPyTypeInfo *info = _HPyTypeInfo_Of(type);
    if (info != NULL && (with_dealloc ? info->has_dealloc : info->traverse_impl != NULL)) break;
  }
  return type;
}

/* A type of the Python/C API that has no function of its own inherits the one that we generated
 * for a base of it. */
static int is_generated(PyTypeObject *type, traverseproc traverse, inquiry clear) {
  for (; type != NULL; type = type->tp_base) {
    const _HPyTypeInfo *info = _HPyTypeInfo_Of(type);
    if (info != NULL && ((traverse != NULL && info->generated_traverse == traverse) ||
                         (clear != NULL && info->generated_clear == clear))) {
      return 1;
    }
  }
  return 0;
}

/* -- watched calls
 * ------------------------------------------------------------------------------------- */

#ifdef HPY_UNIVERSAL_CONTEXT
static _HPySlot_Begin slot_begin = NULL;
static _HPySlot_End slot_end = NULL;

HPyAPI_IMPL void _HPyType_WatchSlots(_HPySlot_Begin begin, _HPySlot_End end) {
  slot_begin = begin;
  slot_end = end;
}

/* `call` with the watcher told, if there is one. */
#define WATCHED(function, object, destroys, call)                                \
  do {                                                                           \
    uintptr_t frame[HPY_SLOT_FRAME_WORDS];                                       \
    if (slot_begin == NULL) {                                                    \
      call;                                                                      \
    } else {                                                                     \
      slot_begin(frame, HPY_FUNCTION(HPyCFunction, function), object, destroys); \
      call;                                                                      \
      slot_end(frame);                                                           \
    }                                                                            \
  } while (0)
#else
#define WATCHED(function, object, destroys, call) call
#endif

static int call_traverse(HPyFunc_traverseproc impl, PyObject *self, void *data,
                         HPyFunc_visitproc visit, void *arg) {
  int result;
  (void)self;
  WATCHED(impl, self, 0, result = impl(data, visit, arg));
  return result;
}

static void call_destroy(HPyFunc_destroyfunc destroy, PyObject *self, void *data) {
  (void)self;
  WATCHED(destroy, self, 1, destroy(data));
}

/* -- traverse
 * ------------------------------------------------------------------------------------- */

typedef struct {
  visitproc visit;
  void *arg;
} Visitor;

static int visit_field(HPyField *field, void *data) {
  const Visitor *visitor = (const Visitor *)data;
  PyObject *object = _hf2py(*field);
  return object == NULL ? 0 : visitor->visit(object, visitor->arg);
}

HPyAPI_IMPL int _HPyType_CallTraverse(HPyFunc_traverseproc impl, PyObject *self, visitproc visit,
                                      void *arg) {
  Visitor visitor = {visit, arg};
  PyTypeObject *type;
  for (type = Py_TYPE(self); type != NULL; type = type->tp_base) {
    const _HPyTypeInfo *info = _HPyTypeInfo_Of(type);
    if (info != NULL && info->traverse_impl == impl) {
      return call_traverse(impl, self, _HPyTypeInfo_Struct(info, self), visit_field, &visitor);
    }
  }
  /* The debug context may have put a function of its own in the place of the extension's. */
  return call_traverse(impl, self, _HPyType_StructOf(self), visit_field, &visitor);
}

/* Visits each field of the object once: HPy_tp_traverse of the most derived type visits those of
 * the structs that its own begins with too, so the others are not asked. */
HPyAPI_IMPL int _HPyType_Traverse(PyObject *self, visitproc visit, void *arg) {
  PyTypeObject *type = Py_TYPE(self);
  PyTypeObject *first = first_layer(type, 0);
  PyTypeObject *layer;
  const _HPyTypeInfo *info;
  int dict_seen = 0;
  int result;
  if (first == NULL) return 0;
  info = _HPyTypeInfo_Of(first);
  result = info->traverse != NULL ? info->traverse(self, visit, arg)
                                  : _HPyType_CallTraverse(info->traverse_impl, self, visit, arg);
  if (result != 0) return result;
  for (layer = first->tp_base; layer != NULL; layer = layer->tp_base) {
    if (_HPyTypeInfo_Of(layer) != NULL) continue;
    if (layer->tp_traverse == subtype_traverse) {
      Py_ssize_t i;
      for (i = 0; i < slot_count(layer); i++) {
        PyObject **slot = slot_of(self, layer, i);
        if (slot != NULL) Py_VISIT(*slot);
      }
      if (!dict_seen && layer->tp_dictoffset != 0) {
        dict_seen = 1;
        result = _HPyCompat_VisitDict(self, type->tp_traverse != subtype_traverse,
                                      first->tp_dictoffset != 0, visit, arg);
        if (result != 0) return result;
      }
    } else if (layer->tp_traverse != NULL && !is_generated(layer, layer->tp_traverse, NULL)) {
      break;
    }
  }
  /* An object of a Python subclass visits its class, as CPython expects of the traverse function
   * of a type on the heap (that of such a native type does it too). One of the type itself does
   * not: HPy 0.9 has it so, and gc.get_referents() shows it. */
  if (_HPyTypeInfo_Of(type) == NULL &&
      (layer == NULL || (layer->tp_flags & Py_TPFLAGS_HEAPTYPE) == 0)) {
    Py_VISIT(type);
  }
  return layer == NULL ? 0 : layer->tp_traverse(self, visit, arg);
}

/* -- clear
 * ---------------------------------------------------------------------------------------- */

/* References are dropped only when HPy_tp_traverse has returned: what runs then may change the
 * struct that it is walking over. When the buffer is full it is stopped and called again; by then
 * the fields that it has passed are null. The buffer is small because objects that own each other
 * are deallocated inside each other, on 3.13 up to 10000 of them before CPython's trashcan steps in.
 */
#define TAKEN_AT_ONCE 6

typedef struct {
  int count;
  PyObject *taken[TAKEN_AT_ONCE];
} Taker;

static int take_field(HPyField *field, void *data) {
  Taker *taker = (Taker *)data;
  PyObject *object = _hf2py(*field);
  if (object == NULL) return 0;
  if (taker->count == TAKEN_AT_ONCE) return 1;
  *field = HPyField_NULL;
  taker->taken[taker->count++] = object;
  return 0;
}

HPyAPI_IMPL void _HPyType_ClearFields(PyObject *self, const _HPyTypeInfo *info) {
  Taker taker;
  if (info->traverse_impl == NULL) return;
  do {
    int i;
    taker.count = 0;
    (void)call_traverse(info->traverse_impl, self, _HPyTypeInfo_Struct(info, self), take_field,
                        &taker);
    for (i = 0; i < taker.count; i++) HPY_OBSERVE(taken, self, taker.taken[i]);
    for (i = 0; i < taker.count; i++) Py_DECREF(taker.taken[i]);
  } while (taker.count == TAKEN_AT_ONCE);
}

static void clear_all_fields(PyObject *self, PyTypeObject *first, int dies) {
  PyTypeObject *layer;
  for (layer = first; layer != NULL; layer = layer->tp_base) {
    const _HPyTypeInfo *info = _HPyTypeInfo_Of(layer);
    if (info != NULL) info->clear_fields(self, info);
  }
  HPY_OBSERVE(cleared, self, dies);
  (void)dies;
}

static void clear_slots(PyObject *self, PyTypeObject *layer) {
  Py_ssize_t i;
  for (i = 0; i < slot_count(layer); i++) {
    PyObject **slot = slot_of(self, layer, i);
    if (slot != NULL) Py_CLEAR(*slot);
  }
}

HPyAPI_IMPL int _HPyType_Clear(PyObject *self) {
  PyTypeObject *first = first_layer(Py_TYPE(self), 0);
  PyTypeObject *layer;
  if (first == NULL) return 0;
  clear_all_fields(self, first, 0);
  for (layer = first->tp_base; layer != NULL; layer = layer->tp_base) {
    if (_HPyTypeInfo_Of(layer) != NULL) continue;
    if (layer->tp_clear == subtype_clear) {
      clear_slots(self, layer);
      if (layer->tp_dictoffset != 0) _HPyCompat_ClearDict(self);
    } else if (layer->tp_clear != NULL && !is_generated(layer, NULL, layer->tp_clear)) {
      return layer->tp_clear(self);
    }
  }
  return 0;
}

/* -- dealloc
 * -------------------------------------------------------------------------------------- */

/* A type of HPy may have a `__dictoffset__` member. A dictionary inherited from a base is the
 * base's. */
static void clear_own_dict(PyObject *self, PyTypeObject *layer) {
  if (layer->tp_dictoffset > 0 && layer->tp_base->tp_dictoffset == 0) {
    PyObject **dict = (PyObject **)((char *)self + layer->tp_dictoffset);
    Py_CLEAR(*dict);
  }
}

/* 1 when tp_finalize has brought the object back to life. */
static int finalize(PyObject *self, int is_gc) {
  PyObject *type, *value, *traceback;
  int result;
  if (Py_TYPE(self)->tp_finalize == NULL) return 0;
  /* An exception that is on its way is not the finalizer's. */
  PyErr_Fetch(&type, &value, &traceback);
  if (is_gc) PyObject_GC_Track(self);
  result = PyObject_CallFinalizerFromDealloc(self);
  if (result == 0 && is_gc) PyObject_GC_UnTrack(self);
  PyErr_Restore(type, value, traceback);
  return result < 0;
}

/* `first` is the first type with the generated tp_dealloc. The object is not tracked. */
static void dealloc_layers(PyObject *self, PyTypeObject *first) {
  PyTypeObject *type = Py_TYPE(self);
  PyTypeObject *layer;
  int type_is_ours;
  if (first == type && finalize(self, PyType_IS_GC(type))) return;
  if (first->tp_weaklistoffset != 0) PyObject_ClearWeakRefs(self);

  clear_all_fields(self, first, 1);
  for (layer = first; layer != NULL; layer = layer->tp_base) {
    const _HPyTypeInfo *info = _HPyTypeInfo_Of(layer);
    if (info == NULL) continue;
    clear_own_dict(self, layer);
    if (info->destroy != NULL) call_destroy(info->destroy, self, _HPyTypeInfo_Struct(info, self));
  }
  HPY_OBSERVE(dies, self);
  for (layer = first->tp_base; layer != NULL; layer = layer->tp_base) {
    if (_HPyTypeInfo_Of(layer) != NULL) continue;
    if (layer->tp_dealloc != subtype_dealloc) break;
    clear_slots(self, layer);
    if (layer->tp_dictoffset != 0) _HPyCompat_ClearDict(self);
  }
  /* Now `layer` is native, `object` at the latest. It frees the memory, and the reference to the
   * type goes with it if it is a type on the heap. */
  type_is_ours = (layer->tp_flags & Py_TPFLAGS_HEAPTYPE) == 0;
  if (PyType_IS_GC(layer)) PyObject_GC_Track(self); /* as it expects */
  layer->tp_dealloc(self);
  if (type_is_ours) Py_DECREF(type);
}

HPyAPI_IMPL void _HPyType_Dealloc(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  PyTypeObject *first = first_layer(type, 1);
  if (!PyType_IS_GC(type)) {
    dealloc_layers(self, first);
    return;
  }
  PyObject_GC_UnTrack(self);
  if (first != type) {
    dealloc_layers(self, first); /* subtype_dealloc called us: it used the trashcan */
    return;
  }
  /* A long chain of objects must not use up the stack. */
  Py_TRASHCAN_BEGIN(self, _HPyType_Dealloc) dealloc_layers(self, first);
  Py_TRASHCAN_END
}
