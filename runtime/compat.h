/* Differences between the supported CPythons (3.9 to 3.13). Nothing else tests PY_VERSION_HEX. */
#ifndef HPY_RUNTIME_COMPAT_H_
#define HPY_RUNTIME_COMPAT_H_

#include <Python.h>
#include <string.h>
#include <structmember.h> /* T_*, READONLY; still there in 3.13 */

#if PY_VERSION_HEX < 0x03090000
#error "hpy supports CPython 3.9 and newer"
#endif
#ifdef Py_GIL_DISABLED
#error "hpy does not support free-threaded builds of CPython"
#endif

/* PyType_FromMetaclass came with 3.12. Before, runtime/ctx_type_metaclass.c has one. */
#if PY_VERSION_HEX >= 0x030C0000
#define HPY_COMPAT_OWN_FROM_METACLASS 0
#else
#define HPY_COMPAT_OWN_FROM_METACLASS 1
#endif

/* A field of a struct sequence without a name. Before 3.11 CPython declares its mark and does not export
 * it: there the field is one with HPy's own name for such fields. */
#if PY_VERSION_HEX >= 0x030B0000
#define HPY_COMPAT_UNNAMED_FIELD PyStructSequence_UnnamedField
#else
#define HPY_COMPAT_UNNAMED_FIELD HPyStructSequence_UnnamedField
#endif

/* Slots that came after 3.9. */
#if PY_VERSION_HEX >= 0x030A0000
#define HPY_COMPAT_NEW_SLOTS(S) S(am_send, as_async)
#else
#define HPY_COMPAT_NEW_SLOTS(S)
#endif

/* The digits that an int has allocated for its value. From 3.12 on the count shares a word with the
 * sign, which has the three low bits. */
static inline Py_ssize_t _HPyCompat_Long_DigitCount(PyObject *value) {
#if PY_VERSION_HEX >= 0x030C0000
  return (Py_ssize_t)(((PyLongObject *)value)->long_value.lv_tag >> 3);
#else
  Py_ssize_t size = Py_SIZE(value);
  return size < 0 ? -size : size;
#endif
}

/* Where the digits of an int start. */
#if PY_VERSION_HEX >= 0x030C0000
#define HPY_COMPAT_LONG_DIGITS offsetof(PyLongObject, long_value.ob_digit)
#else
#define HPY_COMPAT_LONG_DIGITS offsetof(PyLongObject, ob_digit)
#endif

/* The instance dictionary of an object whose class was made by a class statement, as far as no
 * subtype_traverse above us has visited it. `outermost`: the traverse function in progress is
 * that of the object's own type. `inherited`: the type that the traverse function belongs to has
 * the dictionary too; then subtype_traverse leaves it to us. On 3.11 attributes may lie in an
 * array that only the interpreter can reach; they are left out, which keeps a cycle through them
 * alive but is never wrong. */
static inline int _HPyCompat_VisitDict(PyObject *self, int outermost, int inherited,
                                       visitproc visit, void *arg) {
  PyTypeObject *type = Py_TYPE(self);
  if (!outermost && !inherited) return 0;
#if PY_VERSION_HEX >= 0x030C0000
  if ((type->tp_flags & Py_TPFLAGS_MANAGED_DICT) != 0) {
#if PY_VERSION_HEX >= 0x030D0000
    return PyObject_VisitManagedDict(self, visit, arg);
#else
    return _PyObject_VisitManagedDict(self, visit, arg);
#endif
  }
#elif PY_VERSION_HEX >= 0x030B0000
  if ((type->tp_flags & Py_TPFLAGS_MANAGED_DICT) != 0) {
    PyObject *dict = ((PyObject **)self)[-3];
    Py_VISIT(dict);
    return 0;
  }
#endif
  if (type->tp_dictoffset != 0) {
    PyObject **dict = _PyObject_GetDictPtr(self);
    if (dict != NULL) Py_VISIT(*dict);
  }
  return 0;
}

/* Drops the same dictionary. Doing it twice does no harm. */
static inline void _HPyCompat_ClearDict(PyObject *self) {
  PyTypeObject *type = Py_TYPE(self);
  PyObject **dict;
#if PY_VERSION_HEX >= 0x030D0000
  if ((type->tp_flags & Py_TPFLAGS_MANAGED_DICT) != 0) {
    PyObject_ClearManagedDict(self);
    return;
  }
#elif PY_VERSION_HEX >= 0x030C0000
  if ((type->tp_flags & Py_TPFLAGS_MANAGED_DICT) != 0) {
    _PyObject_ClearManagedDict(self);
    return;
  }
#endif
  if (type->tp_dictoffset == 0) return;
  dict =
      _PyObject_GetDictPtr(self); /* 3.11: also collects attributes that have no dictionary yet */
  if (dict != NULL) Py_CLEAR(*dict);
}

/* Whether this thread holds the GIL. Any thread, at any time. */
static inline int _HPyCompat_HoldsInterpreter(void) {
#if PY_VERSION_HEX >= 0x030C0000
  /* A variable of the thread's own. */
  return _PyThreadState_UncheckedGet() != NULL;
#else
  /* That of the thread that holds the GIL, and the first one that this thread had. A thread of our
   * kind may be in another interpreter by now; while there is only one, it cannot. Looking into the
   * state of another thread is not safe, for that may end at any time: that is left to processes with
   * several interpreters. (PyGILState_Check always says yes in them.) */
  PyThreadState *current = _PyThreadState_UncheckedGet();
  PyThreadState *own = PyGILState_GetThisThreadState();
  if (current == NULL || own == NULL) return 0;
  if (current == own) return 1;
  if (PyInterpreterState_Next(PyInterpreterState_Head()) == NULL) return 0;
  return current->thread_id == PyThread_get_thread_ident();
#endif
}

#endif
