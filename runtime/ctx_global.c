/* HPyGlobal: an index into the table of the current interpreter, so that interpreters do not see
 * each other's objects, and an object in a global lives no longer than its interpreter.
 *
 * An HPyGlobal is a static variable, zero at first. The first store, in whatever interpreter, gives
 * it an index (from 1 on) for the rest of the process. */
#include "ctx_interpreter.h"

#define MIN_TABLE_SIZE 16

static Py_ssize_t highest_index;

static _HPyInterpreter *find_interpreter(void) {
#ifdef HPY_UNIVERSAL_CONTEXT
  if (_HPyInterpreter_only != NULL) return _HPyInterpreter_only;
#endif
  return _HPyInterpreter_Find();
}

static int index_is_valid(Py_ssize_t index, const char *function) {
  if (index >= 0 && index <= highest_index) return 1;
  PyErr_Format(
      PyExc_SystemError,
      "%s: this is not an HPyGlobal, or its memory was overwritten (an HPyGlobal must be a "
      "static variable, zero until the first HPyGlobal_Store)",
      function);
  return 0;
}

static int make_room(_HPyInterpreter *interpreter, Py_ssize_t index) {
  Py_ssize_t size = interpreter->globals_size * 2;
  PyObject **globals;
  if (size < MIN_TABLE_SIZE) size = MIN_TABLE_SIZE;
  if (size < index) size = index;
  globals = (PyObject **)PyMem_RawRealloc(interpreter->globals, (size_t)size * sizeof(PyObject *));
  if (globals == NULL) {
    PyErr_NoMemory();
    return -1;
  }
  memset(globals + interpreter->globals_size, 0,
         (size_t)(size - interpreter->globals_size) * sizeof(PyObject *));
  interpreter->globals = globals;
  interpreter->globals_size = size;
  return 0;
}

/* It has no result: when there is no memory for the table, the exception stays set. */
HPyAPI_IMPL void ctx_Global_Store(HPyContext *ctx, HPyGlobal *global, HPy h) {
  PyObject *value = _h2py(h);
  PyObject *old;
  _HPyInterpreter *interpreter;
  Py_ssize_t index = (Py_ssize_t)global->_i;
  (void)ctx;
  if (!index_is_valid(index, "HPyGlobal_Store")) return;
  if (value == NULL && index == 0) return;
  interpreter = find_interpreter();
  if (interpreter == NULL) {
    interpreter = _HPyInterpreter_Attach();
    if (interpreter == NULL) return;
  }
  if (index == 0) {
    index = ++highest_index;
    global->_i = (intptr_t)index;
  }
  if (index > interpreter->globals_size) {
    if (value == NULL || make_room(interpreter, index) < 0) return;
  }
  old = interpreter->globals[index - 1];
  Py_XINCREF(value);
  interpreter->globals[index - 1] = value;
  Py_XDECREF(old);
}

HPyAPI_IMPL HPy ctx_Global_Load(HPyContext *ctx, HPyGlobal global) {
  _HPyInterpreter *interpreter = find_interpreter();
  Py_ssize_t index = (Py_ssize_t)global._i;
  PyObject *value;
  (void)ctx;
  if (interpreter != NULL && index > 0 && index <= interpreter->globals_size) {
    value = interpreter->globals[index - 1];
    if (value != NULL) {
      Py_INCREF(value);
      return _py2h(value);
    }
  }
  if (!PyErr_Occurred() && index_is_valid(index, "HPyGlobal_Load")) {
    PyErr_SetString(PyExc_SystemError,
                    "HPyGlobal_Load: nothing was stored in this HPyGlobal in this interpreter");
  }
  return HPy_NULL;
}
