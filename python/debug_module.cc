// The module hpy.debug._native: the debug context on CPython, and what hpy.debug needs of it.
#include <Python.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "debug_ctx/fault.h"
#include "debug_ctx/fault_record.h"
#include "debug_ctx/outside_lock.h"
#include "debug_ctx/report.h"
#include "debug_state.h"
#include "leakdetector/json.h"
#include "leakdetector/report.h"
#include "leakdetector/wording.h"
#include "stacktrace/stacktrace.h"
#include "universal/capi.h"

namespace hpy::python {

namespace {

// ---------------------------------------------------------------------------------------------------
// For the loader

HPyContext* GetContext() {
  DebugState* debug = DebugState::OfInterpreter();
  return debug == nullptr ? nullptr : debug->state.root();
}

void RegisterModule(const char* name, const HPyModuleDef* definition, void*) {
  DebugState* debug = DebugState::OfInterpreter();
  if (debug == nullptr) {
    PyErr_Clear();
    return;
  }
  debug->state.functions.RegisterModule(name, definition->defines);
  debug->modules.emplace_back(name);
  debug->state.globals.Register(definition->globals);
  // Python never unloads an extension; saying so makes captures cheaper.
  stacktrace::Pin(definition);
}

void AddOwnLibrary(const void* address) {
  DebugState* debug = DebugState::OfInterpreter();
  if (debug == nullptr) {
    PyErr_Clear();
    return;
  }
  const std::lock_guard lock(debug_ctx::OutsideMutex());
  std::vector<std::string>& own = debug->state.filter.own_libraries;
  std::string library = LibraryOf(address);
  if (std::find(own.begin(), own.end(), library) == own.end()) own.push_back(std::move(library));
}

hpy_debug_capi capi = {GetContext, RegisterModule, AddOwnLibrary};

// ---------------------------------------------------------------------------------------------------
// Settings

bool SetPolicy(debug_ctx::State& state, PyObject* value) {
  const char* text = PyUnicode_AsUTF8(value);
  if (text == nullptr) return false;
  if (std::strcmp(text, "abort") == 0) {
    state.SetPolicy(debug_ctx::Policy::kAbort);
  } else if (std::strcmp(text, "raise") == 0) {
    state.SetPolicy(debug_ctx::Policy::kRaise);
  } else if (std::strcmp(text, "warn") == 0) {
    state.SetPolicy(debug_ctx::Policy::kWarn);
  } else {
    PyErr_Format(PyExc_ValueError, "on_violation must be 'abort', 'raise' or 'warn', not %R",
                 value);
    return false;
  }
  return true;
}

bool SetGuard(debug_ctx::State& state, PyObject* value) {
  const char* text = PyUnicode_AsUTF8(value);
  if (text == nullptr) return false;
  if (std::strcmp(text, "strict") == 0) {
    state.SetGuard(handles::Guard::kStrict);
  } else if (std::strcmp(text, "adaptive") == 0) {
    state.SetGuard(handles::Guard::kAdaptive);
  } else if (std::strcmp(text, "heap") == 0) {
    state.SetGuard(handles::Guard::kHeap);
  } else {
    PyErr_Format(PyExc_ValueError, "guard must be 'strict', 'adaptive' or 'heap', not %R", value);
    return false;
  }
  return true;
}

bool SetReport(debug_ctx::State& state, PyObject* value) {
  if (value == Py_None) {
    state.SetReportPath("");
    return true;
  }
  PyObject* path = nullptr;
  if (PyUnicode_FSConverter(value, &path) == 0) return false;
  state.SetReportPath(PyBytes_AS_STRING(path));
  Py_DECREF(path);
  return true;
}

// configure_native(name, value): the names and the ranges are those of hpy.debug.settings, which has
// checked the value and explains it.
PyObject* ConfigureNative(PyObject*, PyObject* args) {
  const char* name;
  PyObject* value;
  if (!PyArg_ParseTuple(args, "sO:configure_native", &name, &value)) return nullptr;
  DebugState* debug = DebugState::OfInterpreter();
  if (debug == nullptr) return nullptr;
  debug_ctx::Settings& settings = debug->state.settings;
  const std::string setting = name;
  if (setting == "on_violation") {
    if (!SetPolicy(debug->state, value)) return nullptr;
  } else if (setting == "report") {
    if (!SetReport(debug->state, value)) return nullptr;
  } else if (setting == "stack_depth") {
    const long depth = PyLong_AsLong(value);
    if (depth == -1 && PyErr_Occurred() != nullptr) return nullptr;
    if (depth < 0 || depth > debug_ctx::kMaxStackDepth) {
      return PyErr_Format(PyExc_ValueError, "stack_depth must be 0 to %d, not %ld",
                          debug_ctx::kMaxStackDepth, depth);
    }
    debug->state.SetStackDepth(static_cast<int>(depth));
  } else if (setting == "long_lived") {
    settings.long_lived = PyObject_IsTrue(value) == 1;
  } else if (setting == "python_stacks") {
    settings.python_stacks = PyObject_IsTrue(value) == 1;
  } else if (setting == "closed_handles" || setting == "closed_buffers") {
    const size_t size = PyLong_AsSize_t(value);
    if (size == static_cast<size_t>(-1) && PyErr_Occurred() != nullptr) return nullptr;
    if (setting == "closed_handles") {
      if (size != debug->state.table.closed_queue_max()) debug->state.QueueArguments();
      debug->state.table.set_closed_queue_max(size);
    } else {
      debug->state.SetClosedBuffers(size);
    }
  } else if (setting == "guard") {
    if (!SetGuard(debug->state, value)) return nullptr;
  } else if (setting == "last_words") {  // of reporting.py
    settings.last_words = static_cast<int>(PyLong_AsLong(value));
    if (settings.last_words == -1 && PyErr_Occurred() != nullptr) return nullptr;
  } else if (setting == "debuginfod") {
    stacktrace::SetDebuginfod(PyObject_IsTrue(value) == 1);
  }
  // The other settings are read by the Python half only.
  Py_RETURN_NONE;
}

// ---------------------------------------------------------------------------------------------------
// Leaks and reports

PyObject* ToText(const std::string& text) {
  return PyUnicode_DecodeUTF8(text.data(), static_cast<Py_ssize_t>(text.size()), "replace");
}

PyObject* RenderText(PyObject*, PyObject* args, PyObject* keywords) {
  static const char* names[] = {"violations", "top", "colour", "report", "folder", nullptr};
  PyObject* violations;
  Py_ssize_t top = 20;
  int color = 0;
  const char* report = nullptr;
  const char* folder = nullptr;
  if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|npzz:render_text", const_cast<char**>(names),
                                   &violations, &top, &color, &report, &folder)) {
    return nullptr;
  }
  PyObject* json = PyImport_ImportModule("json");
  PyObject* items = PySequence_Fast(violations, "render_text: violations must be a sequence");
  std::vector<leakdetector::Violation> read;
  bool ok = json != nullptr && items != nullptr;
  for (Py_ssize_t i = 0; ok && i < PySequence_Fast_GET_SIZE(items); i++) {
    PyObject* dict = PyObject_CallMethod(json, "loads", "O", PySequence_Fast_GET_ITEM(items, i));
    ok = dict != nullptr && ViolationFromDict(dict, &read.emplace_back());
    Py_XDECREF(dict);
  }
  Py_XDECREF(json);
  Py_XDECREF(items);
  if (!ok) return nullptr;
  leakdetector::TextOptions options;
  options.top = static_cast<size_t>(top < 0 ? 0 : top);
  options.color = color != 0;
  if (report != nullptr) options.report_path = report;
  if (folder != nullptr) options.base_directory = folder;
  return ToText(leakdetector::ToReport(read, options));
}

PyObject* AppendReport(PyObject*, PyObject* line) {
  Py_ssize_t size;
  const char* text = PyUnicode_AsUTF8AndSize(line, &size);
  if (text == nullptr) return nullptr;
  DebugState* debug = DebugState::OfInterpreter();
  if (debug == nullptr) return nullptr;
  if (debug->state.report_file != nullptr) {
    debug->state.report_file->Append({text, static_cast<size_t>(size)});
  }
  Py_RETURN_NONE;
}

PyObject* Kinds(PyObject*, PyObject*) {
  PyObject* list = PyList_New(0);
  if (list == nullptr) return nullptr;
  for (const leakdetector::KindInfo& kind : leakdetector::AllKinds()) {
    auto text = [](std::string_view view) { return ToText(std::string(view)); };
    const leakdetector::Labels labels = leakdetector::LabelsOf(kind.kind);
    PyObject* tuple = Py_BuildValue("(NNNNNNNN)", text(kind.name),
                                    text(leakdetector::SeverityName(kind.severity)),
                                    text(kind.title), text(kind.cause), text(kind.help),
                                    text(labels.at), text(labels.opened), text(labels.closed));
    if (tuple == nullptr || PyList_Append(list, tuple) != 0) {
      Py_XDECREF(tuple);
      Py_DECREF(list);
      return nullptr;
    }
    Py_DECREF(tuple);
  }
  return list;
}

PyObject* SetCallback(PyObject* Callbacks::*member, PyObject* callable) {
  DebugState* debug = DebugState::OfInterpreter();
  if (debug == nullptr) return nullptr;
  if (callable == Py_None) callable = nullptr;
  Py_XINCREF(callable);
  Py_XDECREF(std::exchange(debug->host.callbacks.*member, callable));
  Py_RETURN_NONE;
}

PyObject* SetErrorFactory(PyObject*, PyObject* callable) {
  return SetCallback(&Callbacks::error_factory, callable);
}
PyObject* SetWarningFactory(PyObject*, PyObject* callable) {
  return SetCallback(&Callbacks::warning_factory, callable);
}
PyObject* SetViolationCallback(PyObject*, PyObject* callable) {
  return SetCallback(&Callbacks::on_violation, callable);
}

PyObject* SetSuppressionCallback(PyObject*, PyObject* callable) {
  return SetCallback(&Callbacks::suppressed, callable);
}

// report_fault(): for the process that a fault handler starts; see debug_ctx/fault.h.
PyObject* ReportFault(PyObject*, PyObject*) {
  std::string record;
  char piece[4096];
  ssize_t got;
  while ((got = read(STDIN_FILENO, piece, sizeof(piece))) > 0) {
    record.append(piece, static_cast<size_t>(got));
  }
  return PyBool_FromLong(debug_ctx::ReportFault(record) ? 1 : 0);
}

// The interpreter of this process as that helper: isolated, and with this very package.
void PrepareFaultHelper() {
  static const char kProgram[] =
      "import sys; sys.path.insert(0, sys.argv[1]); from hpy.debug import _native; "
      "sys.exit(0 if _native.report_fault() else 1)";
  PyObject* executable = PySys_GetObject("executable");
  if (executable == nullptr || !PyUnicode_Check(executable)) return;
  const std::string python = ToUtf8(executable);
  std::string folder = LibraryOf(reinterpret_cast<void*>(&LibraryOf));
  for (int up = 0; up < 3; up++) {  // hpy/debug/_native
    const size_t slash = folder.rfind('/');
    if (slash == std::string::npos) return;
    folder.resize(slash);
  }
  if (python.empty() || python[0] != '/') return;
  debug_ctx::SetFaultHelper({python, "-I", "-S", "-c", kProgram, folder});
}

PyObject* ViolationCount(PyObject*, PyObject*) {
  DebugState* debug = DebugState::OfInterpreter();
  return debug == nullptr ? nullptr : PyLong_FromUnsignedLongLong(debug->state.violations);
}

PyObject* LoadedModules(PyObject*, PyObject*) {
  DebugState* debug = DebugState::OfInterpreter();
  if (debug == nullptr) return nullptr;
  PyObject* list = PyList_New(0);
  for (const std::string& name : debug->modules) {
    PyObject* text = list != nullptr ? ToText(name) : nullptr;
    if (text == nullptr || PyList_Append(list, text) != 0) Py_CLEAR(list);
    Py_XDECREF(text);
  }
  return list;
}

PyMethodDef functions[] = {
    {"configure_native", ConfigureNative, METH_VARARGS, "Applies one setting."},
    {"find_leaks", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(FindLeaks)),
     METH_VARARGS | METH_KEYWORDS,
     "find_leaks(generation, ignore=None, report=False, long_lived=False, until=None)\n\n"
     "What was opened since a generation and is still open, folded by stacks: for each the JSON "
     "text,\n"
     "that of those which were not reported yet or None, and its first DebugHandle objects."},
    {"flush_notes", FlushNotes, METH_NOARGS,
     "Appends the long-lived handles that were only counted to the report file."},
    {"render_text", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(RenderText)),
     METH_VARARGS | METH_KEYWORDS, "The text report for JSON texts of violations."},
    {"append_report", AppendReport, METH_O, "Appends a line to the report file, if there is one."},
    {"kinds", Kinds, METH_NOARGS,
     "(kind, severity, title, cause, help, labels of at, opened, closed) of every kind."},
    {"set_error_factory", SetErrorFactory, METH_O, "Sets what makes an exception of JSON text."},
    {"set_warning_factory", SetWarningFactory, METH_O,
     "Sets what issues the warning for JSON text."},
    {"set_violation_callback", SetViolationCallback, METH_O, "Sets who is told of each violation."},
    {"set_suppression_callback", SetSuppressionCallback, METH_O,
     "Sets who says of each violation whether it is suppressed."},
    {"report_fault", ReportFault, METH_NOARGS,
     "Makes a report of the record of a fault, on standard input. False when it is none."},
    {"violation_count", ViolationCount, METH_NOARGS, "How many violations were reported so far."},
    {"loaded_modules", LoadedModules, METH_NOARGS, "The modules loaded in debug mode, by name."},
    {"doctor", Doctor, METH_NOARGS, "What works on this machine: a dict."},
    {nullptr, nullptr, 0, nullptr},
};

// hpy.debug sets the settings and the functions that make our exceptions, whoever imports us first.
bool ConnectPython(PyObject* module) {
  PyObject* access = PyImport_ImportModule("hpy.debug.native");
  if (access == nullptr) return false;
  PyObject* done = PyObject_CallMethod(access, "connect", "O", module);
  Py_DECREF(access);
  Py_XDECREF(done);
  return done != nullptr;
}

int Exec(PyObject* module) {
  PrepareFaultHelper();
  DebugState* debug = DebugState::OfInterpreter();
  if (debug == nullptr) return -1;
  PyObject* old = MakeOldModule(*debug);
  PyObject* capsule = PyCapsule_New(&capi, HPY_DEBUG_CAPSULE, nullptr);
  const bool ok = old != nullptr && capsule != nullptr &&
                  PyObject_SetAttrString(module, "_debug", old) == 0 &&
                  PyObject_SetAttrString(module, "_capi", capsule) == 0;
  if (ok) {
    PyObject* type = PyObject_GetAttrString(old, "DebugHandle");
    if (type == nullptr || PyObject_SetAttrString(module, "DebugHandle", type) != 0) {
      Py_XDECREF(type);
      return -1;
    }
    Py_DECREF(type);
  }
  Py_XDECREF(old);
  Py_XDECREF(capsule);
  return ok && ConnectPython(module) ? 0 : -1;
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
    "hpy.debug._native",
    "The debug context of HPy on CPython. People use hpy.debug.",
    0,
    functions,
    slots,
    nullptr,
    nullptr,
    nullptr,
};

}  // namespace

}  // namespace hpy::python

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&hpy::python::definition); }
