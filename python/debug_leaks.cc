// Functions of hpy.debug._native about what is open.
#include <string>
#include <vector>

#include "debug_ctx/leaks.h"
#include "debug_state.h"
#include "leakdetector/json.h"

namespace hpy::python {

namespace {

PyObject* ListOf(DebugState& debug, const std::vector<handles::Slot*>& slots) {
  PyObject* list = PyList_New(static_cast<Py_ssize_t>(slots.size()));
  for (size_t i = 0; list != nullptr && i < slots.size(); i++) {
    PyObject* handle = NewDebugHandle(debug, slots[i]);
    if (handle == nullptr) {
      Py_CLEAR(list);
    } else {
      PyList_SET_ITEM(list, static_cast<Py_ssize_t>(i), handle);
    }
  }
  return list;
}

PyObject* JsonOf(const leakdetector::Violation& violation) {
  const std::string text = leakdetector::ToJson(violation);
  return PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
}

PyObject* TupleOf(DebugState& debug, const debug_ctx::Leak& leak) {
  PyObject* text = JsonOf(leak.violation);
  PyObject* fresh = Py_None;
  Py_INCREF(fresh);
  if (leak.fresh) {
    Py_DECREF(fresh);
    fresh = JsonOf(*leak.fresh);
  }
  PyObject* handles = ListOf(debug, leak.handles);
  PyObject* tuple = nullptr;
  if (text != nullptr && fresh != nullptr && handles != nullptr) {
    tuple = PyTuple_Pack(3, text, fresh, handles);
  }
  Py_XDECREF(text);
  Py_XDECREF(fresh);
  Py_XDECREF(handles);
  return tuple;
}

// Whether function(argument) is true; -1 with an exception set. Takes the argument, which may be
// null.
int IsTrueOf(PyObject* function, PyObject* argument) {
  PyObject* answer = argument == nullptr ? nullptr : PyObject_CallOneArg(function, argument);
  Py_XDECREF(argument);
  if (answer == nullptr) return -1;
  const int is_true = PyObject_IsTrue(answer);
  Py_DECREF(answer);
  return is_true;
}

}  // namespace

PyObject* FindLeaks(PyObject*, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"generation", "ignore",   "report", "long_lived",
                                "until",      "progress", nullptr};
  long long generation;
  PyObject* ignore = Py_None;
  PyObject* report = Py_False;
  PyObject* until = Py_None;
  PyObject* progress = Py_None;
  int long_lived = 0;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "L|OOpOO:find_leaks", const_cast<char**>(names),
                                   &generation, &ignore, &report, &long_lived, &until, &progress)) {
    return nullptr;
  }
  DebugState* debug = DebugState::OfInterpreter();
  if (debug == nullptr) return nullptr;
  debug_ctx::LeakOptions options;
  options.generation = generation;
  if (until != Py_None) {
    options.until = PyLong_AsLongLong(until);
    if (PyErr_Occurred() != nullptr) return nullptr;
  }
  if (PyCallable_Check(report)) {
    options.report = [&](const leakdetector::Violation& violation) {
      return PyErr_Occurred() == nullptr && IsTrueOf(report, JsonOf(violation)) == 1;
    };
  } else if (report == Py_True) {
    options.report = [](const leakdetector::Violation&) { return true; };
  }
  options.long_lived = long_lived != 0;
  if (ignore != Py_None) {
    options.ignore = [&](handles::Slot* slot) {
      return IsTrueOf(ignore, NewDebugHandle(*debug, slot));
    };
  }
  if (progress != Py_None) {
    options.progress = [&](size_t done, size_t total) {
      // Time enough passes between two of these for a change to be worth showing.
      if (done % 64 != 0 || PyErr_Occurred() != nullptr) return;
      Py_XDECREF(PyObject_CallFunction(progress, "nn", static_cast<Py_ssize_t>(done),
                                       static_cast<Py_ssize_t>(total)));
    };
  }
  const std::vector<debug_ctx::Leak> leaks = debug_ctx::FindLeaks(debug->state, options);
  if (PyErr_Occurred() != nullptr) return nullptr;  // of `ignore`, `report` or `progress`
  PyObject* list = PyList_New(0);
  if (list == nullptr) return nullptr;
  for (const debug_ctx::Leak& leak : leaks) {
    PyObject* tuple = TupleOf(*debug, leak);
    const bool appended = tuple != nullptr && PyList_Append(list, tuple) == 0;
    Py_XDECREF(tuple);
    if (!appended) {
      Py_DECREF(list);
      return nullptr;
    }
  }
  return list;
}

PyObject* FlushNotes(PyObject*, PyObject*) {
  DebugState* debug = DebugState::OfInterpreter();
  if (debug == nullptr) return nullptr;
  debug->state.long_lived.Flush(debug->state);
  Py_RETURN_NONE;
}

}  // namespace hpy::python
