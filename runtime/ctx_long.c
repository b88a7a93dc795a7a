/* Integers of 32 bits, for which CPython has no conversion with a range check of its own. */
#include "ctx_internal.h"

HPyAPI_IMPL int32_t ctx_Long_AsInt32_t(HPyContext *ctx, HPy h) {
  long value;
  (void)ctx;
  value = PyLong_AsLong(_h2py_nn(h));
  if (value == -1 && PyErr_Occurred()) return -1;
  if ((long)(int32_t)value != value) {
    PyErr_SetString(PyExc_OverflowError, "Python int too large to convert to C int32_t");
    return -1;
  }
  return (int32_t)value;
}

/* The exception of the conversion itself is kept: what is not an int is a TypeError, and only what
 * does not fit is an OverflowError. */
HPyAPI_IMPL uint32_t ctx_Long_AsUInt32_t(HPyContext *ctx, HPy h) {
  unsigned long value;
  (void)ctx;
  value = PyLong_AsUnsignedLong(_h2py_nn(h));
  if (value == (unsigned long)-1 && PyErr_Occurred()) return (uint32_t)-1;
  if ((unsigned long)(uint32_t)value != value) {
    PyErr_SetString(PyExc_OverflowError, "Python int too large to convert to C uint32_t");
    return (uint32_t)-1;
  }
  return (uint32_t)value;
}
