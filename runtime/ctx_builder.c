/* List and tuple builders.
 *
 * A builder is the list or tuple under construction. As long as it has holes it is hidden from the
 * garbage collector, so that no Python code sees it. Set has no result: what goes wrong there is
 * noted, and Build raises it.
 *
 * Such notes are rare, and a builder is passed by value: they are kept aside in a list, by the
 * address of the object. A tuple of no items is one object for everybody, so while it is under
 * construction an empty list of its own stands for it. All of this happens under the GIL.
 *
 * Lists are filled from the first item to the last, mostly. As long as that goes on, the list has no
 * holes: its length is the number of items that are set, and what lies behind is not even zeroed;
 * `allocated` is the number that was asked for (Set: _HPyCPy_SetListItem in hpy/cpython/convert.h). Once an item is set out of turn, it is hidden, its
 * length is kOutOfTurn, and holes are NULL. */
#include "ctx_internal.h"

typedef struct Note {
  PyObject *sequence;
  Py_ssize_t index; /* the first one that was out of range */
  struct Note *next;
} Note;

static Note *notes;

/* Without memory for the note it cannot say which index, but must not be lost either. */
static int note_was_lost;

static Note *take_note(PyObject *sequence) {
  Note **link;
  for (link = &notes; *link != NULL; link = &(*link)->next) {
    Note *note = *link;
    if (note->sequence == sequence) {
      *link = note->next;
      return note;
    }
  }
  return NULL;
}

_HPy_COLD static void note_index(PyObject *sequence, Py_ssize_t index) {
  Note *note;
  for (note = notes; note != NULL; note = note->next) {
    if (note->sequence == sequence) return;
  }
  note = (Note *)PyMem_Malloc(sizeof(Note));
  if (note == NULL) {
    note_was_lost = 1;
    return;
  }
  note->sequence = sequence;
  note->index = index;
  note->next = notes;
  notes = note;
}

static inline void set(PyObject *sequence, PyObject **items, Py_ssize_t size, Py_ssize_t index,
                       PyObject *item) {
  if ((size_t)index < (size_t)size) {
    PyObject *old = items[index];
    Py_XINCREF(item);
    items[index] = item;
    if (old != NULL) Py_DECREF(old);
  } else {
    note_index(sequence, index);
  }
}

static void drop(PyObject *sequence) {
  if (sequence == NULL) return;
  if (notes != NULL) PyMem_Free(take_note(sequence));
  Py_DECREF(sequence);
}

/* Whether every item is set. False also where an address lies in the upper half, as NULL - 1 does:
 * then the caller has to look at each. */
static inline int is_full(PyObject **items, Py_ssize_t size) {
  uintptr_t all = 0;
  Py_ssize_t i = 0;
  for (; i + 1 < size; i += 2) all |= ((uintptr_t)items[i] - 1) | ((uintptr_t)items[i + 1] - 1);
  if (i < size) all |= (uintptr_t)items[i] - 1;
  return (intptr_t)all >= 0;
}

/* Whether the sequence may be handed out; otherwise it is dropped and an exception is set. */
static int check(PyObject *sequence, PyObject **items, Py_ssize_t size, const char *function) {
  Py_ssize_t i;
  if (sequence == NULL) {
    if (!PyErr_Occurred()) PyErr_NoMemory();
    return 0;
  }
  if (notes != NULL) {
    Note *note = take_note(sequence);
    if (note != NULL) {
      PyErr_Format(PyExc_SystemError,
                   "%s: an item was set at index %zd, but the builder was made for %zd items",
                   function, note->index, size);
      PyMem_Free(note);
      Py_DECREF(sequence);
      return 0;
    }
  }
  if (note_was_lost) {
    note_was_lost = 0;
    PyErr_NoMemory();
    Py_DECREF(sequence);
    return 0;
  }
  if (is_full(items, size)) return 1;
  for (i = 0; i < size && items[i] != NULL; i++) continue;
  if (i == size) return 1;
  if (!PyErr_Occurred()) {
    PyErr_Format(PyExc_SystemError, "%s: the item at index %zd of %zd was never set", function, i,
                 size);
  }
  Py_DECREF(sequence);
  return 0;
}

/* No index: it is not below any size. */
#define kOutOfTurn PY_SSIZE_T_MAX

HPyAPI_IMPL HPyListBuilder ctx_ListBuilder_New(HPyContext *ctx, HPy_ssize_t size) {
  HPyListBuilder builder = {0};
  PyListObject *list;
  (void)ctx;
  if (size < 0) return builder;
  list = (PyListObject *)PyList_New(0);
  if (list == NULL) {
    PyErr_Clear(); /* Build on the null builder raises MemoryError */
    return builder;
  }
  if (size > 0) {
    list->ob_item = PyMem_New(PyObject *, size);
    list->allocated = size;
    if (list->ob_item == NULL) {
      list->allocated = 0;
      Py_DECREF(list);
      return builder;
    }
  }
  builder._lst = (intptr_t)list;
  return builder;
}

/* From now on the list is hidden and of the length that it is going to have, and every item is set or
 * NULL. */
static void settle(PyListObject *list) {
  Py_ssize_t set = Py_SIZE(list);
  if (set != kOutOfTurn) {
    PyObject_GC_UnTrack(list);
    for (; set < list->allocated; set++) list->ob_item[set] = NULL;
  }
  Py_SET_SIZE(list, list->allocated);
}

_HPy_COLD void _HPyListBuilder_SetOutOfTurn(HPyContext *ctx, HPyListBuilder builder,
                                            Py_ssize_t index, HPy h_item) {
  PyListObject *list = (PyListObject *)builder._lst;
  (void)ctx;
  if (list == NULL) return;
  settle(list);
  Py_SET_SIZE(list, kOutOfTurn);
  set((PyObject *)list, list->ob_item, list->allocated, index, _h2py(h_item));
}

_HPy_COLD static int settle_and_check(PyListObject *list) {
  if (list == NULL) return check(NULL, NULL, 0, "");
  settle(list);
  return check((PyObject *)list, list->ob_item, Py_SIZE(list), "HPyListBuilder_Build");
}

HPyAPI_IMPL HPy ctx_ListBuilder_Build(HPyContext *ctx, HPyListBuilder builder) {
  PyListObject *list = (PyListObject *)builder._lst;
  (void)ctx;
  if (list == NULL || Py_SIZE(list) != list->allocated || notes != NULL || note_was_lost) {
    if (!settle_and_check(list)) return HPy_NULL;
    PyObject_GC_Track(list);
  }
  return _py2h((PyObject *)list);
}

HPyAPI_IMPL void ctx_ListBuilder_Cancel(HPyContext *ctx, HPyListBuilder builder) {
  PyListObject *list = (PyListObject *)builder._lst;
  (void)ctx;
  if (list != NULL) settle(list);
  drop((PyObject *)list);
}

HPyAPI_IMPL HPyTupleBuilder ctx_TupleBuilder_New(HPyContext *ctx, HPy_ssize_t size) {
  HPyTupleBuilder builder;
  PyObject *tuple;
  (void)ctx;
  tuple = size == 0 ? PyList_New(0) : PyTuple_New(size);
  if (tuple == NULL) {
    PyErr_Clear(); /* Build on the null builder raises MemoryError */
  } else {
    PyObject_GC_UnTrack(tuple);
  }
  builder._tup = (intptr_t)tuple;
  return builder;
}

HPyAPI_IMPL void ctx_TupleBuilder_Set(HPyContext *ctx, HPyTupleBuilder builder, HPy_ssize_t index,
                                      HPy h_item) {
  PyObject *tuple = (PyObject *)builder._tup;
  (void)ctx;
  if (tuple == NULL) return;
  if (!PyTuple_CheckExact(tuple)) {
    set(tuple, NULL, 0, index, _h2py(h_item));
    return;
  }
  set(tuple, ((PyTupleObject *)tuple)->ob_item, PyTuple_GET_SIZE(tuple), index, _h2py(h_item));
}

HPyAPI_IMPL HPy ctx_TupleBuilder_Build(HPyContext *ctx, HPyTupleBuilder builder) {
  PyObject *tuple = (PyObject *)builder._tup;
  (void)ctx;
  if (tuple == NULL || !PyTuple_CheckExact(tuple)) {
    if (!check(tuple, NULL, 0, "HPyTupleBuilder_Build")) return HPy_NULL;
    Py_DECREF(tuple);
    return _py2h(PyTuple_New(0));
  }
  if (!check(tuple, ((PyTupleObject *)tuple)->ob_item, PyTuple_GET_SIZE(tuple),
             "HPyTupleBuilder_Build")) {
    return HPy_NULL;
  }
  PyObject_GC_Track(tuple);
  return _py2h(tuple);
}

HPyAPI_IMPL void ctx_TupleBuilder_Cancel(HPyContext *ctx, HPyTupleBuilder builder) {
  (void)ctx;
  drop((PyObject *)builder._tup);
}
