/* Reading a context variable. */
#include "ctx_internal.h"

/* *result is always written: on failure, and when there is neither value nor default, with null. */
HPyAPI_IMPL int32_t ctx_ContextVar_Get(HPyContext *ctx, HPy context_var, HPy default_value,
                                       HPy *result) {
  PyObject *value = NULL;
  (void)ctx;
  if (PyContextVar_Get(_h2py_nn(context_var), _h2py(default_value), &value) < 0) {
    *result = HPy_NULL;
    return -1;
  }
  *result = _py2h(value);
  return 0;
}
