// Violations from the dicts that their JSON text stands for.
#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

#include "debug_state.h"
#include "leakdetector/kind.h"

namespace hpy::python {

namespace {

// A borrowed member of a dict, or null where it is missing or None.
PyObject* Member(PyObject* dict, const char* key) {
  PyObject* value = PyDict_Check(dict) ? PyDict_GetItemString(dict, key) : nullptr;
  return value == Py_None ? nullptr : value;
}

std::optional<std::string> Text(PyObject* dict, const char* key) {
  PyObject* value = Member(dict, key);
  if (value == nullptr || !PyUnicode_Check(value)) return std::nullopt;
  return ToUtf8(value);
}

uint64_t Number(PyObject* dict, const char* key) {
  PyObject* value = Member(dict, key);
  if (value == nullptr || !PyLong_Check(value)) return 0;
  return PyLong_AsUnsignedLongLongMask(value);
}

std::optional<leakdetector::Stack> ReadStack(PyObject* dict, const char* key) {
  PyObject* value = Member(dict, key);
  if (value == nullptr) return std::nullopt;
  leakdetector::Stack stack;
  if (PyObject* native = Member(value, "native"); native != nullptr && PyList_Check(native)) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(native); i++) {
      PyObject* frame = PyList_GET_ITEM(native, i);
      stacktrace::Frame read;
      read.function = Text(frame, "function").value_or("");
      read.file = Text(frame, "file").value_or("");
      read.line = static_cast<int>(Number(frame, "line"));
      read.library = Text(frame, "library").value_or("");
      read.offset = Number(frame, "offset");
      stack.native.push_back(std::move(read));
    }
  }
  if (PyObject* python = Member(value, "python"); python != nullptr && PyList_Check(python)) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(python); i++) {
      PyObject* frame = PyList_GET_ITEM(python, i);
      stack.python.push_back({Text(frame, "function").value_or(""),
                              Text(frame, "file").value_or(""),
                              static_cast<int>(Number(frame, "line"))});
    }
  }
  return stack;
}

}  // namespace

bool ViolationFromDict(PyObject* dict, leakdetector::Violation* violation) {
  const std::string kind = Text(dict, "kind").value_or("");
  const auto known = leakdetector::KindFromName(kind);
  if (!known) {
    PyErr_Format(PyExc_ValueError,
                 "this is no violation: its kind is '%s', which is none of hpy.debug.kinds()",
                 kind.c_str());
    return false;
  }
  violation->kind = *known;
  violation->message = Text(dict, "message").value_or("");
  violation->api = Text(dict, "api");
  violation->module = Text(dict, "module");
  violation->function = Text(dict, "function");
  violation->at = ReadStack(dict, "at");
  violation->opened = ReadStack(dict, "opened");
  violation->closed = ReadStack(dict, "closed");
  violation->count = std::max<uint64_t>(Number(dict, "count"), 1);
  if (PyObject* handle = Member(dict, "handle")) {
    leakdetector::HandleInfo info;
    info.id = std::strtoull(Text(handle, "id").value_or("0").c_str(), nullptr, 16);
    info.repr = Text(handle, "repr");
    info.type = Text(handle, "type");
    violation->handle = info;
  }
  return true;
}

}  // namespace hpy::python
