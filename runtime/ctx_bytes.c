/* Bytes from memory: CPython takes NULL as a request for uninitialised bytes, HPy refuses it. */
#include "ctx_internal.h"

HPyAPI_IMPL HPy ctx_Bytes_FromStringAndSize(HPyContext *ctx, const char *bytes, HPy_ssize_t len) {
  (void)ctx;
  if (bytes == NULL) {
    PyErr_SetString(PyExc_ValueError, "NULL char * passed to HPyBytes_FromStringAndSize");
    return HPy_NULL;
  }
  return _py2h(PyBytes_FromStringAndSize(bytes, len));
}
