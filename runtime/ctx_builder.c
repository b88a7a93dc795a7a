/* List and tuple builders.
 *
 * A builder is the list or tuple under construction, passed by value. Set has no result: what goes
 * wrong there is noted, and Build raises it. All of this happens under the GIL.
 *
 * Lists are filled from the first item to the last, mostly. As long as that goes on, the list is an
 * ordinary one without holes: its length is the number of items that are set, and what lies behind is
 * not even zeroed; `allocated` is the number that was asked for (Set: _HPyCPy_SetListItem in
 * hpy/cpython/convert.h). The first item that is set out of turn has all of them kept aside: they are
 * put back when the list is built, and so Python code, which may find a list at any time, finds an
 * empty one.
 *
 * A tuple has holes from the beginning, and is hidden from the garbage collector until it is built. A
 * tuple of no items is one object for everybody, so while it is under construction an empty list of
 * its own stands for it. */
#include "ctx_internal.h"

/* What is kept aside of a builder, in a list, by the address of the object. */
typedef struct Aside {
  PyObject *sequence;
  PyObject **items; /* of a list that is filled out of turn: each is a reference or NULL */
  Py_ssize_t size;
  int is_out_of_turn;
  int was_refused;
  Py_ssize_t refused; /* the first index that was out of range */
  struct Aside *next;
} Aside;

static Aside *asides;

/* Without memory for it nothing can be kept aside, but that must not be forgotten: until it is told,
 * this one, which is of no sequence, stands among them. */
static Aside lost;

static Aside *take_aside(PyObject *sequence) {
  Aside **link;
  for (link = &asides; *link != NULL; link = &(*link)->next) {
    Aside *aside = *link;
    if (aside->sequence == sequence) {
      *link = aside->next;
      return aside;
    }
  }
  return NULL;
}

/* NULL without memory. */
static Aside *aside_of(PyObject *sequence) {
  Aside *aside = take_aside(sequence);
  if (aside == NULL) {
    aside = (Aside *)PyMem_Calloc(1, sizeof(Aside));
    if (aside == NULL) {
      take_aside(NULL);
      lost.next = asides;
      asides = &lost;
      return NULL;
    }
    aside->sequence = sequence;
  }
  aside->next = asides; /* the next one that is looked for is this one, mostly */
  asides = aside;
  return aside;
}

static void free_aside(Aside *aside) {
  Py_ssize_t i;
  if (aside == NULL) return;
  for (i = 0; i < aside->size; i++) Py_XDECREF(aside->items[i]);
  PyMem_Free(aside->items);
  PyMem_Free(aside);
}

_HPy_COLD static void refuse(Aside *aside, Py_ssize_t index) {
  if (aside == NULL || aside->was_refused) return;
  aside->was_refused = 1;
  aside->refused = index;
}

/* False for an index that is out of range. */
static inline int set(PyObject **items, Py_ssize_t size, Py_ssize_t index, PyObject *item) {
  PyObject *old;
  if ((size_t)index >= (size_t)size) return 0;
  old = items[index];
  Py_XINCREF(item);
  items[index] = item;
  Py_XDECREF(old);
  return 1;
}

static void drop(PyObject *sequence) {
  if (sequence == NULL) return;
  if (asides != NULL) free_aside(take_aside(sequence));
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

/* Whether a sequence of these items may be handed out; otherwise an exception is set. Those from
 * `filled` on are not set. */
static int check(const Aside *aside, PyObject **items, Py_ssize_t filled, Py_ssize_t size,
                 const char *function) {
  Py_ssize_t i;
  if (aside != NULL && aside->was_refused) {
    PyErr_Format(PyExc_SystemError,
                 "%s: an item was set at index %zd, but the builder was made for %zd items",
                 function, aside->refused, size);
    return 0;
  }
  if (asides != NULL && take_aside(NULL) != NULL) {
    PyErr_NoMemory();
    return 0;
  }
  if (filled == size && is_full(items, size)) return 1;
  for (i = 0; i < filled && items[i] != NULL; i++) continue;
  if (i == size) return 1;
  if (!PyErr_Occurred()) {
    PyErr_Format(PyExc_SystemError, "%s: the item at index %zd of %zd was never set", function, i,
                 size);
  }
  return 0;
}

/* Build on the null builder. */
static HPy fail_without_builder(void) {
  if (!PyErr_Occurred()) PyErr_NoMemory();
  return HPy_NULL;
}

HPyAPI_IMPL HPyListBuilder ctx_ListBuilder_New(HPyContext *ctx, HPy_ssize_t size) {
  HPyListBuilder builder = {0};
  PyListObject *list;
  PyObject **items;
  (void)ctx;
  if ((size_t)size > PY_SSIZE_T_MAX / sizeof(PyObject *)) return builder; /* negative, too */
  list = (PyListObject *)PyList_New(0);
  if (list == NULL) {
    PyErr_Clear(); /* Build on the null builder raises MemoryError */
    return builder;
  }
  items = (PyObject **)PyMem_Malloc((size_t)size * sizeof(PyObject *));
  if (items == NULL) {
    Py_DECREF(list);
    return builder;
  }
  list->ob_item = items;
  list->allocated = size;
  builder._lst = (intptr_t)list;
  return builder;
}

/* What was in the list is then in `aside`, and the reverse. */
static void exchange(PyListObject *list, Aside *aside) {
  PyObject **items = list->ob_item;
  Py_ssize_t size = Py_SIZE(list);
  list->ob_item = aside->items;
  list->allocated = aside->size;
  Py_SET_SIZE(list, aside->size);
  aside->items = items;
  aside->size = size;
}

_HPy_COLD void _HPyListBuilder_SetOutOfTurn(HPyContext *ctx, HPyListBuilder builder,
                                            Py_ssize_t index, HPy h_item) {
  PyListObject *list = (PyListObject *)builder._lst;
  Aside *aside;
  (void)ctx;
  if (list == NULL) return;
  aside = aside_of((PyObject *)list);
  if (aside == NULL) return;
  if (!aside->is_out_of_turn) {
    Py_ssize_t size = list->allocated;
    exchange(list, aside);
    while (aside->size < size) aside->items[aside->size++] = NULL;
    aside->is_out_of_turn = 1;
  }
  if (!set(aside->items, aside->size, index, _h2py(h_item))) refuse(aside, index);
}

/* Build, where anything may be wrong. */
_HPy_COLD static HPy build_with_care(PyListObject *list) {
  const char *function = "HPyListBuilder_Build";
  Aside *aside;
  int good;
  if (list == NULL) return fail_without_builder();
  aside = take_aside((PyObject *)list);
  if (aside == NULL) {
    good = check(NULL, list->ob_item, Py_SIZE(list), list->allocated, function);
  } else {
    good = check(aside, aside->items, aside->size, aside->size, function);
    if (good) exchange(list, aside);
    free_aside(aside);
  }
  if (good) return _py2h((PyObject *)list);
  Py_DECREF(list);
  return HPy_NULL;
}

HPyAPI_IMPL HPy ctx_ListBuilder_Build(HPyContext *ctx, HPyListBuilder builder) {
  PyListObject *list = (PyListObject *)builder._lst;
  (void)ctx;
  if (list == NULL || Py_SIZE(list) != list->allocated || asides != NULL) {
    return build_with_care(list);
  }
  return _py2h((PyObject *)list);
}

HPyAPI_IMPL void ctx_ListBuilder_Cancel(HPyContext *ctx, HPyListBuilder builder) {
  (void)ctx;
  drop((PyObject *)builder._lst);
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
  if (!PyTuple_CheckExact(tuple) ||
      !set(((PyTupleObject *)tuple)->ob_item, PyTuple_GET_SIZE(tuple), index, _h2py(h_item))) {
    refuse(aside_of(tuple), index);
  }
}

HPyAPI_IMPL HPy ctx_TupleBuilder_Build(HPyContext *ctx, HPyTupleBuilder builder) {
  PyObject *tuple = (PyObject *)builder._tup;
  const int is_empty = tuple != NULL && !PyTuple_CheckExact(tuple);
  Aside *aside;
  int good;
  (void)ctx;
  if (tuple == NULL) return fail_without_builder();
  aside = asides == NULL ? NULL : take_aside(tuple);
  if (is_empty) {
    good = check(aside, NULL, 0, 0, "HPyTupleBuilder_Build");
  } else {
    const Py_ssize_t size = PyTuple_GET_SIZE(tuple);
    good = check(aside, ((PyTupleObject *)tuple)->ob_item, size, size, "HPyTupleBuilder_Build");
  }
  free_aside(aside);
  if (good && !is_empty) {
    PyObject_GC_Track(tuple);
    return _py2h(tuple);
  }
  Py_DECREF(tuple);
  return good ? _py2h(PyTuple_New(0)) : HPy_NULL;
}

HPyAPI_IMPL void ctx_TupleBuilder_Cancel(HPyContext *ctx, HPyTupleBuilder builder) {
  (void)ctx;
  drop((PyObject *)builder._tup);
}
