// Trace mode on CPython: who has which state, and how the functions that people set are called.
#include "trace_state.h"

#include <new>
#include <utility>

#include "import_universal.h"

namespace hpy::python {

namespace {

constexpr char kKey[] = "hpy.trace state";

// A function of the user is running on this thread. As with sys.settrace, the calls that it makes
// itself are counted but not told to it: it may use extensions that are traced.
thread_local bool in_function = false;

}  // namespace

TraceState* TraceState::states_ = nullptr;

TraceState* TraceState::Find(PyInterpreterState* interpreter) {
  for (TraceState* state = states_; state != nullptr; state = state->next_) {
    if (state->interpreter_ == interpreter) return state;
  }
  return nullptr;
}

// A state that is free, or one more; nullptr when there is no memory.
TraceState* TraceState::New(PyInterpreterState* interpreter) {
  TraceState* state = Find(nullptr);
  if (state != nullptr) {
    state->interpreter_ = interpreter;
    state->trace_.Reset();
    state->debug_knows_us_ = false;  // the debug state will be another one
    return state;
  }
  state = new (std::nothrow) TraceState(interpreter);
  if (state == nullptr) {
    PyErr_NoMemory();
    return nullptr;
  }
  state->next_ = std::exchange(states_, state);
  return state;
}

// CPython clears the dict of an interpreter when it still can run destructors.
void TraceState::InterpreterEnds(PyObject* capsule) {
  auto* state = static_cast<TraceState*>(PyCapsule_GetPointer(capsule, kKey));
  if (state == nullptr) {
    PyErr_Clear();
    return;
  }
  state->SetFunctions(Py_None, Py_None);
  state->interpreter_ = nullptr;
}

TraceState* TraceState::OfInterpreter() {
  PyInterpreterState* interpreter = PyInterpreterState_Get();
  if (TraceState* state = Find(interpreter)) return state;
  const hpy_universal_capi* universal = ImportUniversal("hpy.trace._native");
  if (universal == nullptr) return nullptr;
  PyObject* dict = PyInterpreterState_GetDict(interpreter);
  if (dict == nullptr) {
    PyErr_SetString(PyExc_SystemError,
                    "the interpreter has no dict to keep the state of trace mode in");
    return nullptr;
  }
  TraceState* state = New(interpreter);
  if (state == nullptr) return nullptr;
  state->call_real_function_ = universal->call_real_function;
  state->layer_.Init(&state->context_, universal->universal_ctx);
  PyObject* capsule = PyCapsule_New(state, kKey, InterpreterEnds);
  if (capsule == nullptr) {
    state->interpreter_ = nullptr;
    return nullptr;
  }
  const int failed = PyDict_SetItemString(dict, kKey, capsule);
  Py_DECREF(capsule);  // which frees the state again, if it is in no dict
  return failed == 0 ? state : nullptr;
}

void TraceState::SetFunctions(PyObject* on_enter, PyObject* on_exit) {
  // What is dropped may run Python code: last, when both are set.
  PyObject* dropped[] = {nullptr, nullptr};
  PyObject** members[] = {&on_enter_, &on_exit_};
  PyObject* given[] = {on_enter, on_exit};
  for (int i = 0; i < 2; i++) {
    if (given[i] == nullptr) continue;
    PyObject* callable = given[i] == Py_None ? nullptr : given[i];
    Py_XINCREF(callable);
    dropped[i] = std::exchange(*members[i], callable);
  }
  trace_.SetHooks(on_enter_ != nullptr, on_exit_ != nullptr);
  for (PyObject* object : dropped) Py_XDECREF(object);
}

void TraceState::CallFunction(PyObject* callable, const char* function, const char* fatal_message) {
  if (callable == nullptr || in_function) return;
  PyObject *type, *value, *traceback;
  PyErr_Fetch(&type, &value, &traceback);
  in_function = true;
  Py_INCREF(callable);  // it may set another one
  PyObject* result = PyObject_CallFunction(callable, "s", function);
  if (result == nullptr) Py_FatalError(fatal_message);  // which prints the exception
  Py_DECREF(result);
  Py_DECREF(callable);
  in_function = false;
  PyErr_Restore(type, value, traceback);
}

void TraceState::OnEnter(const char* function) {
  CallFunction(on_enter_, function, "error when executing on-enter trace function");
}

void TraceState::OnExit(const char* function) {
  CallFunction(on_exit_, function, "error when executing on-exit trace function");
}

// The context is that of the current interpreter: the library's own variable holds that of the one
// which loaded it last.
void TraceState::CallRealFunction(HPyContext* ctx, HPyFunc_Signature signature,
                                  HPyCFunction function, void* args) {
  if (states_->next_ != nullptr) [[unlikely]] {
    TraceState* state = Find(PyInterpreterState_Get());
    if (state != nullptr) ctx = state->context();
  }
  call_real_function_(ctx, signature, function, args);
}

bool TraceState::TraceDebugMode(bool enabled) {
  PyObject* module = PyImport_ImportModule("hpy.debug._native");
  if (module == nullptr) return false;
  PyObject* capsule = PyObject_GetAttrString(module, "_capi");
  Py_DECREF(module);
  if (capsule == nullptr) return false;
  auto* debug =
      static_cast<const hpy_debug_capi*>(PyCapsule_GetPointer(capsule, HPY_DEBUG_CAPSULE));
  Py_DECREF(capsule);  // what it points at is static in the native module, which is never unloaded
  HPyContext* root = debug != nullptr ? debug->get_ctx() : nullptr;
  if (root == nullptr) {
    if (PyErr_Occurred() == nullptr) {
      PyErr_SetString(PyExc_SystemError, "Could not create debug context");
    }
    return false;
  }
  if (!enabled) {
    debug_layer_.Detach(root);
    return true;
  }
  if (!std::exchange(debug_knows_us_, true)) {
    debug->add_own_library(reinterpret_cast<const void*>(&states_));
  }
  debug_layer_.Attach(root);
  return true;
}

}  // namespace hpy::python
