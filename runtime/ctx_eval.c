/* Compiling and running Python source, and leaving the interpreter. */
#include "ctx_internal.h"

HPyAPI_IMPL HPy ctx_Compile_s(HPyContext *ctx, const char *utf8_source, const char *utf8_filename,
                              HPy_SourceKind kind) {
  int start;
  (void)ctx;
  switch (kind) {
    case HPy_SourceKind_Expr:
      start = Py_eval_input;
      break;
    case HPy_SourceKind_File:
      start = Py_file_input;
      break;
    case HPy_SourceKind_Single:
      start = Py_single_input;
      break;
    default:
      PyErr_SetString(PyExc_SystemError, "invalid source kind");
      return HPy_NULL;
  }
  return _py2h(Py_CompileString(utf8_source, utf8_filename, start));
}

/* CPython trusts its callers with the types of these arguments and crashes when they are wrong. */
HPyAPI_IMPL HPy ctx_EvalCode(HPyContext *ctx, HPy code, HPy globals, HPy locals) {
  PyObject *code_object = _h2py_nn(code);
  PyObject *global_dict = _h2py_nn(globals);
  PyObject *local_mapping = _h2py(locals);
  (void)ctx;
  if (!PyCode_Check(code_object)) {
    PyErr_Format(PyExc_TypeError, "HPy_EvalCode requires a code object, got '%.200s'",
                 Py_TYPE(code_object)->tp_name);
    return HPy_NULL;
  }
  if (!PyDict_Check(global_dict)) {
    PyErr_Format(PyExc_TypeError, "HPy_EvalCode requires globals to be a dict, got '%.200s'",
                 Py_TYPE(global_dict)->tp_name);
    return HPy_NULL;
  }
  if (local_mapping != NULL && !PyMapping_Check(local_mapping)) {
    PyErr_Format(PyExc_TypeError,
                 "HPy_EvalCode requires locals to be a mapping or null handle, got '%.200s'",
                 Py_TYPE(local_mapping)->tp_name);
    return HPy_NULL;
  }
  return _py2h(PyEval_EvalCode(code_object, global_dict, local_mapping));
}

HPyAPI_IMPL HPyThreadState ctx_LeavePythonExecution(HPyContext *ctx) {
  HPyThreadState state;
  (void)ctx;
  state._i = (intptr_t)PyEval_SaveThread();
  return state;
}
