// Functions of hpy.debug._native about what is open.
#include <algorithm>
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

}  // namespace

// Each handle of its own: for who must tell apart who opened which.
PyObject* LeakReport(PyObject*, PyObject* args) {
  debug_ctx::LeakOptions options;
  long long generation;
  if (!PyArg_ParseTuple(args, "L:leak_report", &generation)) return nullptr;
  options.generation = generation;
  DebugState* debug = DebugState::OfInterpreter();
  if (debug == nullptr) return nullptr;
  std::vector<handles::Slot*> slots;
  std::vector<const debug_ctx::Leak*> others;
  const std::vector<debug_ctx::Leak> leaks = debug_ctx::FindLeaks(debug->state, options);
  for (const debug_ctx::Leak& leak : leaks) {
    if (leak.handles.empty()) others.push_back(&leak);
    slots.insert(slots.end(), leak.handles.begin(), leak.handles.end());
  }
  std::sort(slots.begin(), slots.end(),
            [](const handles::Slot* a, const handles::Slot* b) { return a->order < b->order; });
  PyObject* texts = PyList_New(0);
  const auto append = [&](const leakdetector::Violation& violation) {
    PyObject* text = texts == nullptr ? nullptr : JsonOf(violation);
    if (text == nullptr || PyList_Append(texts, text) != 0) Py_CLEAR(texts);
    Py_XDECREF(text);
  };
  for (const handles::Slot* slot : slots) append(debug_ctx::LeakOf(debug->state, *slot));
  for (const debug_ctx::Leak* leak : others) append(leak->violation);
  PyObject* handles = texts == nullptr ? nullptr : ListOf(*debug, slots);
  if (handles == nullptr) {
    Py_XDECREF(texts);
    return nullptr;
  }
  return Py_BuildValue("(NN)", handles, texts);
}

PyObject* MarkReported(PyObject*, PyObject* args) {
  const char* kind;
  unsigned long long id;
  if (!PyArg_ParseTuple(args, "sK:mark_reported", &kind, &id)) return nullptr;
  DebugState* debug = DebugState::OfInterpreter();
  if (debug == nullptr) return nullptr;
  const auto known = leakdetector::KindFromName(kind);
  return PyBool_FromLong(
      known && debug_ctx::MarkReported(debug->state, *known, HPy{static_cast<HPy_ssize_t>(id)}));
}

PyObject* FindLeaks(PyObject*, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"generation", "ignore", "report", "long_lived", nullptr};
  long long generation;
  PyObject* ignore = Py_None;
  int report = 0, long_lived = 0;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "L|Opp:find_leaks", const_cast<char**>(names),
                                   &generation, &ignore, &report, &long_lived)) {
    return nullptr;
  }
  DebugState* debug = DebugState::OfInterpreter();
  if (debug == nullptr) return nullptr;
  debug_ctx::LeakOptions options;
  options.generation = generation;
  options.report = report != 0;
  options.long_lived = long_lived != 0;
  if (ignore != Py_None) {
    options.ignore = [&](handles::Slot* slot) {
      PyObject* handle = NewDebugHandle(*debug, slot);
      PyObject* answer = handle == nullptr ? nullptr : PyObject_CallOneArg(ignore, handle);
      Py_XDECREF(handle);
      if (answer == nullptr) return -1;
      const int is_true = PyObject_IsTrue(answer);
      Py_DECREF(answer);
      return is_true;
    };
  }
  const std::vector<debug_ctx::Leak> leaks = debug_ctx::FindLeaks(debug->state, options);
  if (PyErr_Occurred() != nullptr) return nullptr;  // of `ignore`
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
