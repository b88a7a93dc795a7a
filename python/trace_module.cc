// The module hpy.trace._native: trace mode on CPython, and the functions of hpy.trace.
#include <Python.h>

#include "trace_state.h"

namespace hpy::python {

namespace {

// ---------------------------------------------------------------------------------------------------
// For the loader

HPyContext* GetContext() {
  TraceState* state = TraceState::OfInterpreter();
  return state == nullptr ? nullptr : state->context();
}

hpy_debug_capi capi = {GetContext, nullptr, nullptr};

// ---------------------------------------------------------------------------------------------------
// The functions of hpy.trace and of hpy.universal._trace

PyObject* DictOf(uint64_t debug_ctx::TracedFunction::*member) {
  TraceState* state = TraceState::OfInterpreter();
  PyObject* dict = state == nullptr ? nullptr : PyDict_New();
  if (dict == nullptr) return nullptr;
  for (int i = 0; i < debug_ctx::Trace::Size(); i++) {
    const debug_ctx::TracedFunction function = state->trace().Get(i);
    PyObject* number = PyLong_FromUnsignedLongLong(function.*member);
    if (number == nullptr || PyDict_SetItemString(dict, function.name, number) != 0) {
      Py_XDECREF(number);
      Py_DECREF(dict);
      return nullptr;
    }
    Py_DECREF(number);
  }
  return dict;
}

PyObject* GetCallCounts(PyObject*, PyObject*) { return DictOf(&debug_ctx::TracedFunction::calls); }

PyObject* GetDurations(PyObject*, PyObject*) {
  return DictOf(&debug_ctx::TracedFunction::nanoseconds);
}

PyObject* GetFrequency(PyObject*, PyObject*) {
  return PyLong_FromUnsignedLongLong(debug_ctx::Trace::ClockFrequency());
}

PyObject* SetTraceFunctions(PyObject*, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"on_enter", "on_exit", nullptr};
  PyObject *on_enter = nullptr, *on_exit = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|OO:set_trace_functions",
                                   const_cast<char**>(names), &on_enter, &on_exit)) {
    return nullptr;
  }
  for (PyObject* function : {on_enter, on_exit}) {
    if (function != nullptr && function != Py_None && PyCallable_Check(function) == 0) {
      PyErr_SetString(PyExc_TypeError, "Expected a callable object or None");
      return nullptr;
    }
  }
  TraceState* state = TraceState::OfInterpreter();
  if (state == nullptr) return nullptr;
  state->SetFunctions(on_enter, on_exit);
  Py_RETURN_NONE;
}

PyObject* TraceDebugMode(PyObject*, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"enabled", nullptr};
  int enabled = 1;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "|p:trace_debug_mode", const_cast<char**>(names),
                                   &enabled)) {
    return nullptr;
  }
  TraceState* state = TraceState::OfInterpreter();
  if (state == nullptr || !state->TraceDebugMode(enabled != 0)) return nullptr;
  Py_RETURN_NONE;
}

PyCFunction WithKeywords(PyObject* (*function)(PyObject*, PyObject*, PyObject*)) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

PyMethodDef functions[] = {
    {"get_call_counts", GetCallCounts, METH_NOARGS,
     "get_call_counts($module, /)\n--\n\n"
     "How often each function of the context was called in trace mode, by its name ('ctx_Add')."},
    {"get_durations", GetDurations, METH_NOARGS,
     "get_durations($module, /)\n--\n\n"
     "The nanoseconds spent in each function of the context, nested calls included."},
    {"get_frequency", GetFrequency, METH_NOARGS,
     "get_frequency($module, /)\n--\n\nThe resolution of the clock of get_durations() in Hz."},
    {"set_trace_functions", WithKeywords(SetTraceFunctions), METH_VARARGS | METH_KEYWORDS,
     "Sets the functions that are called with the name of a function of the context before and\n"
     "after each call of it. What is omitted stays as it is; None ends it."},
    {nullptr, nullptr, 0, nullptr},
};

PyMethodDef own_functions[] = {
    {"trace_debug_mode", WithKeywords(TraceDebugMode), METH_VARARGS | METH_KEYWORDS,
     "trace_debug_mode($module, /, enabled=True)\n--\n\n"
     "Traces what extensions that are loaded in debug mode call too, or ends that."},
    {nullptr, nullptr, 0, nullptr},
};

// ---------------------------------------------------------------------------------------------------
// The module

// At the end of the interpreter the modules are emptied before the last extension types are gone: a
// trace function that is called then would find its names missing, and that is a fatal error.
bool EndWithInterpreter(PyObject* trace) {
  PyObject* atexit = PyImport_ImportModule("atexit");
  if (atexit == nullptr) return false;
  PyObject* set = PyObject_GetAttrString(trace, "set_trace_functions");
  PyObject* done = set == nullptr
                       ? nullptr
                       : PyObject_CallMethod(atexit, "register", "OOO", set, Py_None, Py_None);
  Py_DECREF(atexit);
  Py_XDECREF(set);
  Py_XDECREF(done);
  return done != nullptr;
}

int Exec(PyObject* module) {
  PyObject* trace = PyModule_New("hpy.trace._trace");
  PyObject* capsule = PyCapsule_New(&capi, HPY_TRACE_CAPSULE, nullptr);
  const bool ok =
      trace != nullptr && capsule != nullptr && PyModule_AddFunctions(trace, functions) == 0 &&
      PyObject_SetAttrString(module, "_trace", trace) == 0 &&
      PyObject_SetAttrString(module, "_capi", capsule) == 0 && EndWithInterpreter(trace);
  Py_XDECREF(trace);
  Py_XDECREF(capsule);
  return ok ? 0 : -1;
}

PyModuleDef_Slot slots[] = {
    {Py_mod_exec, reinterpret_cast<void*>(Exec)},
#ifdef Py_mod_multiple_interpreters
    // Those that share the GIL, like hpy.universal.
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_SUPPORTED},
#endif
    {0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    "hpy.trace._native",
    "The trace context of HPy on CPython. People use hpy.trace.",
    0,
    own_functions,
    slots,
    nullptr,
    nullptr,
    nullptr,
};

}  // namespace

}  // namespace hpy::python

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&hpy::python::definition); }
