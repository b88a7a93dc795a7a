// CPython as the host of the debug context: frames, errors, warnings, hooks.
#include "cpython_host.h"

#include <frameobject.h>  // PyFrame_GetBack, on CPython 3.9

#include <cstdio>
#include <memory>
#include <new>
#include <utility>

#include "debug_state.h"
#include "leakdetector/json.h"
#include "leakdetector/text.h"
#include "runtime/compat.h"

namespace hpy::python {

namespace {

// Puts the pending exception aside while Python code runs, and back at the end.
class PendingException {
 public:
  PendingException() { PyErr_Fetch(&type_, &value_, &traceback_); }
  ~PendingException() { PyErr_Restore(type_, value_, traceback_); }
  PendingException(const PendingException&) = delete;
  PendingException& operator=(const PendingException&) = delete;

  // The exception object, a new reference, which is then no longer put back; null for none.
  PyObject* Take() {
    if (type_ == nullptr) return nullptr;
    PyErr_NormalizeException(&type_, &value_, &traceback_);
    if (traceback_ != nullptr) PyException_SetTraceback(value_, traceback_);
    Py_CLEAR(type_);
    Py_CLEAR(traceback_);
    return std::exchange(value_, nullptr);
  }

 private:
  PyObject* type_;
  PyObject* value_;
  PyObject* traceback_;
};

PyObject* ObjectOf(HPy handle) { return reinterpret_cast<PyObject*>(handle._i - 1); }

PyObject* JsonText(const leakdetector::Violation& violation) {
  const std::string json = leakdetector::ToJson(violation);
  return PyUnicode_DecodeUTF8(json.data(), static_cast<Py_ssize_t>(json.size()), "replace");
}

void WriteText(const leakdetector::Violation& violation) {
  std::fputs(leakdetector::ToText(violation, {}).c_str(), stderr);
}

// The Python half registers its callbacks when it is imported.
bool ImportPythonHalf() {
  PyObject* module = PyImport_ImportModule("hpy.debug");
  Py_XDECREF(module);
  return module != nullptr;
}

std::string FrameText(PyObject* code, const char* attribute) {
  PyObject* text = PyObject_GetAttrString(code, attribute);
  if (text == nullptr) {
    PyErr_Clear();
    return {};
  }
  std::string utf8 = ToUtf8(text);
  Py_DECREF(text);
  return utf8;
}

}  // namespace

std::string ToUtf8(PyObject* text) {
  PyObject* bytes = PyUnicode_Check(text)
                        ? PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace")
                        : nullptr;
  if (bytes == nullptr) {
    PyErr_Clear();
    return {};
  }
  std::string utf8(PyBytes_AS_STRING(bytes), static_cast<size_t>(PyBytes_GET_SIZE(bytes)));
  Py_DECREF(bytes);
  return utf8;
}

debug_ctx::State& CPythonHost::StateOfInterpreter(debug_ctx::State& hint) {
  // One that never loaded anything in debug mode has no state yet. Making it runs Python code.
  if (DebugState* found = DebugState::Find()) return found->state;
  const PendingException pending;
  DebugState* made = DebugState::OfInterpreter();
  if (made == nullptr) {
    PyErr_Clear();
    return hint;
  }
  made->state.functions = hint.functions;
  return made->state;
}

void CPythonHost::End() {
  ended_ = true;
  ForgetLines();
  Py_CLEAR(callbacks.error_factory);
  Py_CLEAR(callbacks.warning_factory);
  Py_CLEAR(callbacks.on_violation);
  Py_CLEAR(callbacks.suppressed);
  Py_CLEAR(callbacks.invalid_handle);
  Py_CLEAR(callbacks.invalid_builder);
}

void* const* CPythonHost::TupleItems(void* tuple, HPy_ssize_t* size) {
  *size = PyTuple_GET_SIZE(static_cast<PyObject*>(tuple));
  return reinterpret_cast<void* const*>(static_cast<PyTupleObject*>(tuple)->ob_item);
}

std::vector<leakdetector::PythonFrame> CPythonHost::PythonFrames(int max) {
  const PendingException pending;
  std::vector<leakdetector::PythonFrame> frames;
  PyFrameObject* frame = PyThreadState_GetFrame(PyThreadState_Get());
  while (frame != nullptr && static_cast<int>(frames.size()) < max) {
    PyObject* code = reinterpret_cast<PyObject*>(PyFrame_GetCode(frame));
    std::string file = FrameText(code, "co_filename");
    const bool own = !own_folder.empty() && file.starts_with(own_folder);
    // Outside of it are the frames of `python -m hpy.debug run`, which stands for `python` itself.
    const bool program = own && file.ends_with("/cli/program.py");
    if (!own) {
      frames.push_back({FrameText(code, "co_name"), std::move(file), PyFrame_GetLineNumber(frame)});
    }
    Py_DECREF(code);
    PyFrameObject* back = program ? nullptr : PyFrame_GetBack(frame);
    Py_DECREF(frame);
    frame = back;
  }
  Py_XDECREF(frame);
  return frames;
}

std::optional<std::string> CPythonHost::Repr(HPy object) {
  const PendingException pending;
  PyObject* repr = PyObject_Repr(ObjectOf(object));
  if (repr == nullptr) {
    PyErr_Clear();
    return std::nullopt;
  }
  std::string utf8 = ToUtf8(repr);
  Py_DECREF(repr);
  return utf8;
}

std::string CPythonHost::TypeName(HPy object) { return Py_TYPE(ObjectOf(object))->tp_name; }

void CPythonHost::Raise(const leakdetector::Violation& violation, HPy also) {
  PyObject* context = PendingException().Take();
  PyObject* error = nullptr;
  if (callbacks.error_factory != nullptr || (!ended_ && ImportPythonHalf())) {
    PyObject* json = JsonText(violation);
    PyObject* also_class = HPy_IsNull(also) ? Py_None : ObjectOf(also);
    if (json != nullptr && callbacks.error_factory != nullptr) {
      error = PyObject_CallFunctionObjArgs(callbacks.error_factory, json, also_class, nullptr);
    }
    Py_XDECREF(json);
  }
  if (error == nullptr) {
    // The mistake must be seen even where our Python half cannot be had: at the end of an interpreter
    // the modules are gone, and what is raised in a destructor is printed to nobody.
    PyObject* python_stderr = PySys_GetObject("stderr");
    if (python_stderr == nullptr || python_stderr == Py_None) {
      PyErr_Clear();
      WriteText(violation);
    }
    if (PyErr_Occurred() == nullptr) PyErr_SetString(PyExc_SystemError, violation.message.c_str());
    Py_XDECREF(context);
    return;
  }
  if (context != nullptr) PyException_SetContext(error, context);  // takes the reference
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error)), error);
  Py_DECREF(error);
}

bool CPythonHost::Warn(const leakdetector::Violation& violation) {
  if (ended_) {  // the module warnings is gone
    WriteText(violation);
    return true;
  }
  PyObject* context = PendingException().Take();
  PyObject* result = nullptr;
  if (callbacks.warning_factory != nullptr || ImportPythonHalf()) {
    PyObject* json = JsonText(violation);
    if (json != nullptr && callbacks.warning_factory != nullptr) {
      result = PyObject_CallFunctionObjArgs(callbacks.warning_factory, json, nullptr);
    }
    Py_XDECREF(json);
  }
  if (result == nullptr) {
    Py_XDECREF(context);
    return false;
  }
  Py_DECREF(result);
  if (context != nullptr) {
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(context)), context);
    Py_DECREF(context);
  }
  return true;
}

void CPythonHost::Unraisable(const leakdetector::Violation& violation) {
  const PendingException pending;
  Raise(violation, HPy_NULL);
  PyErr_WriteUnraisable(nullptr);
}

void CPythonHost::Notify(const leakdetector::Violation& violation) {
  if (callbacks.on_violation == nullptr) return;
  const PendingException pending;
  PyObject* json = JsonText(violation);
  PyObject* result = json != nullptr
                         ? PyObject_CallFunctionObjArgs(callbacks.on_violation, json, nullptr)
                         : nullptr;
  if (result == nullptr) PyErr_WriteUnraisable(callbacks.on_violation);
  Py_XDECREF(result);
  Py_XDECREF(json);
}

bool CPythonHost::Suppressed(const leakdetector::Violation& violation) {
  if (callbacks.suppressed == nullptr) return false;
  const PendingException pending;
  PyObject* json = JsonText(violation);
  PyObject* result =
      json != nullptr ? PyObject_CallFunctionObjArgs(callbacks.suppressed, json, nullptr) : nullptr;
  if (result == nullptr) PyErr_WriteUnraisable(callbacks.suppressed);
  const bool suppressed = result == Py_True;
  Py_XDECREF(result);
  Py_XDECREF(json);
  return suppressed;
}

void CPythonHost::Fatal(const char* message) { Py_FatalError(message); }

bool CPythonHost::HoldsInterpreter() { return _HPyCompat_HoldsInterpreter() != 0; }

bool CPythonHost::CallSoon(void (*function)(void*), void* data) {
  struct Request {
    void (*function)(void*);
    void* data;
  };
  // CPython 3.9 looks for what another thread has added when it next takes the GIL, later ones at once.
  auto* request = new (std::nothrow) Request{function, data};
  if (request == nullptr) return false;
  const int status = Py_AddPendingCall(
      [](void* argument) {
        const std::unique_ptr<Request> call(static_cast<Request*>(argument));
        call->function(call->data);
        return 0;
      },
      request);
  if (status != 0) delete request;  // the interpreter's queue is full
  return status == 0;
}

bool CPythonHost::HasHook(debug_ctx::Hook hook) {
  return (hook == debug_ctx::Hook::kInvalidHandle ? callbacks.invalid_handle
                                                  : callbacks.invalid_builder) != nullptr;
}

void CPythonHost::CallHook(debug_ctx::Hook hook) {
  const bool handle = hook == debug_ctx::Hook::kInvalidHandle;
  PyObject* callable = handle ? callbacks.invalid_handle : callbacks.invalid_builder;
  Py_INCREF(callable);
  PyObject* result = PyObject_CallObject(callable, nullptr);
  Py_DECREF(callable);
  if (result == nullptr) {
    PySys_FormatStderr("Error when executing the on_invalid_%shandle callback\n",
                       handle ? "" : "builder_");
  }
  Py_XDECREF(result);
}

}  // namespace hpy::python
