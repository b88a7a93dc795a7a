/* Trackers: a growing array of handles that are closed together.
 *
 * There is always room for one more handle: Add stores it first and grows the array afterwards. So
 * a handle that was passed to Add is tracked even when Add fails, and the caller has one way to
 * clean up, HPyTracker_Close. */
#include "ctx_internal.h"

#define DEFAULT_SIZE 5

/* The record that an HPyTracker is the address of. A small tracker is one allocation. */
typedef struct {
  Py_ssize_t length;
  Py_ssize_t capacity; /* length < capacity, but after a failure to grow */
  HPy *handles;        /* few, or an allocation of its own */
  HPy few[DEFAULT_SIZE + 1];
} Tracker;

static Tracker *tracker_of(HPyTracker ht) { return (Tracker *)ht._i; }

HPyAPI_IMPL HPyTracker ctx_Tracker_New(HPyContext *ctx, HPy_ssize_t size) {
  HPyTracker result;
  Tracker *tracker;
  (void)ctx;
  result._i = 0;
  if (size < 0) {
    PyErr_Format(PyExc_ValueError, "HPyTracker size must not be negative, got %zd",
                 (Py_ssize_t)size);
    return result;
  }
  if (size < DEFAULT_SIZE) size = DEFAULT_SIZE;
  if (size >= PY_SSIZE_T_MAX / (Py_ssize_t)sizeof(HPy)) {
    PyErr_NoMemory();
    return result;
  }
  tracker = (Tracker *)PyMem_Malloc(sizeof(Tracker));
  if (tracker == NULL) {
    PyErr_NoMemory();
    return result;
  }
  tracker->length = 0;
  tracker->capacity = size + 1; /* The one that is always free: size handles fit without growing. */
  tracker->handles = tracker->few;
  if (size > DEFAULT_SIZE) {
    tracker->handles = (HPy *)PyMem_Malloc((size_t)tracker->capacity * sizeof(HPy));
    if (tracker->handles == NULL) {
      PyMem_Free(tracker);
      PyErr_NoMemory();
      return result;
    }
  }
  result._i = (intptr_t)tracker;
  return result;
}

static int grow(Tracker *tracker) {
  Py_ssize_t capacity;
  HPy *handles;
  if (tracker->capacity > PY_SSIZE_T_MAX / (Py_ssize_t)sizeof(HPy) / 2) {
    PyErr_NoMemory();
    return -1;
  }
  capacity = tracker->capacity * 2;
  handles = (HPy *)PyMem_Realloc(tracker->handles == tracker->few ? NULL : tracker->handles,
                                 (size_t)capacity * sizeof(HPy));
  if (handles == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  if (tracker->handles == tracker->few) memcpy(handles, tracker->few, sizeof(tracker->few));
  tracker->handles = handles;
  tracker->capacity = capacity;
  return 0;
}

HPyAPI_IMPL int ctx_Tracker_Add(HPyContext *ctx, HPyTracker ht, HPy h) {
  Tracker *tracker = tracker_of(ht);
  (void)ctx;
  if (tracker == NULL) {
    PyErr_SetString(PyExc_SystemError,
                    "HPyTracker_Add: the tracker is null (was HPyTracker_New's result tested?)");
    return -1;
  }
  if (tracker->length == tracker->capacity) {
    /* The last Add failed to grow, was told so, and went on. Now there is no place for h. */
    if (grow(tracker) < 0) return -1;
  }
  tracker->handles[tracker->length++] = h;
  if (tracker->length == tracker->capacity) return grow(tracker);
  return 0;
}

HPyAPI_IMPL void ctx_Tracker_ForgetAll(HPyContext *ctx, HPyTracker ht) {
  Tracker *tracker = tracker_of(ht);
  (void)ctx;
  if (tracker != NULL) tracker->length = 0;
}

HPyAPI_IMPL void ctx_Tracker_Close(HPyContext *ctx, HPyTracker ht) {
  Tracker *tracker = tracker_of(ht);
  Py_ssize_t i;
  (void)ctx;
  if (tracker == NULL) return;
  for (i = 0; i < tracker->length; i++) Py_XDECREF(_h2py(tracker->handles[i]));
  if (tracker->handles != tracker->few) PyMem_Free(tracker->handles);
  PyMem_Free(tracker);
}
