// Debug mode on CPython: which interpreter has which state.
#include "debug_state.h"

#include <dlfcn.h>

#include <new>
#include <utility>

#include "debug_ctx/slot_calls.h"
#include "import_universal.h"

namespace hpy::python {

namespace {

constexpr char kKey[] = "hpy.debug state";

leakdetector::FrameFilter NewFilter(const hpy_universal_capi& universal) {
  leakdetector::FrameFilter filter;
  filter.own_libraries = {
      LibraryOf(reinterpret_cast<void*>(&LibraryOf)),
      LibraryOf(reinterpret_cast<void*>(universal.universal_ctx->ctx_Dup)),
  };
  filter.own_functions = {"_PyEval_", "PyEval_"};
  return filter;
}

// HPy_tp_traverse and HPy_tp_destroy functions in progress.
static_assert(sizeof(debug_ctx::SlotFrame) == HPY_CAPI_SLOT_FRAME_WORDS * sizeof(uintptr_t));
static_assert(debug_ctx::kNativeHandleBias == HPY_CAPI_HANDLE_BIAS);

void BeginSlot(void* frame, HPyCFunction function, const void* object, int destroys) {
  debug_ctx::BeginSlot(static_cast<debug_ctx::SlotFrame*>(frame), function, object, destroys != 0);
}

void EndSlot(const void* frame) {
  debug_ctx::EndSlot(static_cast<const debug_ctx::SlotFrame*>(frame));
}

}  // namespace

std::string LibraryOf(const void* address) {
  Dl_info info;
  return dladdr(address, &info) != 0 && info.dli_fname != nullptr ? info.dli_fname : "";
}

DebugState* DebugState::states_ = nullptr;
DebugState* DebugState::last_found_ = nullptr;

DebugState::DebugState(PyInterpreterState* interpreter, int64_t id,
                       const hpy_universal_capi& universal)
    : state(host, universal.universal_ctx, NewFilter(universal)),
      interpreter_(interpreter),
      id_(id) {
  host.only_interpreter = universal.only_interpreter;
  const std::string own = LibraryOf(reinterpret_cast<void*>(&LibraryOf));
  host.own_folder = own.substr(0, own.rfind('/') + 1);
  host.UseObserver(universal.observer, universal.universal_ctx);
  universal.watch_slots(BeginSlot, EndSlot);
}

DebugState* DebugState::Find() {
  PyInterpreterState* interpreter = PyInterpreterState_Get();
  if (last_found_ != nullptr && last_found_->interpreter_ == interpreter) return last_found_;
  for (DebugState* debug = states_; debug != nullptr; debug = debug->next_) {
    if (debug->interpreter_ != interpreter) continue;
    // One that has ended, or another one later at the same address: the number tells.
    if (!debug->ended_) return last_found_ = debug;
    if (debug->id_ == PyInterpreterState_GetID(interpreter)) return debug;
  }
  return nullptr;
}

DebugState* DebugState::Any() {
  DebugState* debug = states_;
  while (debug != nullptr && debug->ended_) debug = debug->next_;
  return debug;
}

// A state that is free, or one more. Null with an exception set.
DebugState* DebugState::New(PyInterpreterState* interpreter, const hpy_universal_capi& universal) {
  const int64_t id = PyInterpreterState_GetID(interpreter);
  if (id < 0) return nullptr;
  debug_ctx::State::ForgetOnly();
  for (DebugState* debug = states_; debug != nullptr; debug = debug->next_) {
    if (!debug->ended_ || debug->state.HasCallsInProgress()) continue;
    debug->host.Renew();
    debug_ctx::State::Renew(&debug->state, universal.universal_ctx, NewFilter(universal));
    debug->host.UseObserver(universal.observer, universal.universal_ctx);
    debug->interpreter_ = interpreter;
    debug->id_ = id;
    debug->ended_ = false;
    debug->modules.clear();
    return debug;
  }
  auto* debug = new (std::nothrow) DebugState(interpreter, id, universal);
  if (debug == nullptr) {
    PyErr_NoMemory();
    return nullptr;
  }
  debug->next_ = std::exchange(states_, debug);
  return debug;
}

// CPython clears the dict of an interpreter when it still can run destructors, and runs more of them
// afterwards. They still find the state, and what they do in it is still checked.
void DebugState::InterpreterEnds(PyObject* capsule) {
  auto* debug = static_cast<DebugState*>(PyCapsule_GetPointer(capsule, kKey));
  if (debug == nullptr) {
    PyErr_Clear();
    return;
  }
  debug->ended_ = true;
  last_found_ = nullptr;
  debug_ctx::State::ForgetOnly();
  debug->state.ReleaseKept();
  debug->host.End();
  Py_CLEAR(debug->handle_type);
}

DebugState* DebugState::OfInterpreter() {
  if (DebugState* found = Find()) return found;
  const hpy_universal_capi* universal = ImportUniversal("hpy.debug._native");
  if (universal == nullptr) return nullptr;
  if (DebugState* found = Find()) return found;  // another thread was quicker
  PyInterpreterState* interpreter = PyInterpreterState_Get();
  PyObject* dict = PyInterpreterState_GetDict(interpreter);
  if (dict == nullptr) {
    PyErr_SetString(PyExc_SystemError,
                    "the interpreter has no dict to keep the state of debug mode in");
    return nullptr;
  }
  DebugState* debug = New(interpreter, *universal);
  PyObject* capsule = debug != nullptr ? PyCapsule_New(debug, kKey, InterpreterEnds) : nullptr;
  if (capsule == nullptr) {
    if (debug != nullptr) debug->ended_ = true;
    return nullptr;
  }
  const int failed = PyDict_SetItemString(dict, kKey, capsule);
  Py_DECREF(capsule);  // which frees the state again, if it is in no dict
  return failed == 0 ? debug : nullptr;
}

}  // namespace hpy::python
