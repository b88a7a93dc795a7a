// An interpreter of a few lines: integers with reference counts behind an HPyContext, and a host that
// records what it is asked. Enough for the debug context, which knows no other.
#ifndef HPY_TESTS_CPP_FAKE_INTERPRETER_H_
#define HPY_TESTS_CPP_FAKE_INTERPRETER_H_

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "debug_ctx/host.h"
#include "debug_ctx/state.h"
#include "hpy.h"

namespace hpy::debug_ctx {

struct alignas(16) FakeObject {
  int64_t value = 0;
  int64_t references = 1;
};

// One at a time: the functions of a context have no place for data.
class FakeInterpreter final : public Host {
 public:
  FakeInterpreter() : Host(&Thread, 0) {
    current = this;
    context.name = "HPy Universal ABI (fake)";
#define HPY_HANDLE(index, member, object) context.member = New(index);
#include "hpy/abi/context.inc"
    context.ctx_Dup = [](HPyContext*, HPy h) {
      if (!HPy_IsNull(h)) Object(h)->references++;
      return h;
    };
    context.ctx_Close = [](HPyContext*, HPy h) {
      if (!HPy_IsNull(h)) Object(h)->references--;
    };
    context.ctx_Long_FromInt64_t = [](HPyContext*, int64_t v) { return current->New(v); };
    context.ctx_Long_AsInt64_t = [](HPyContext*, HPy h) { return Object(h)->value; };
    context.ctx_Add = [](HPyContext*, HPy a, HPy b) {
      return current->New(Object(a)->value + Object(b)->value);
    };
    context.ctx_Is = [](HPyContext*, HPy a, HPy b) -> int { return a._i == b._i; };
    context.ctx_Err_Occurred = [](HPyContext*) -> int { return current->pending != nullptr; };
    context.ctx_Err_Clear = [](HPyContext*) { current->SetException(""); };
    context.ctx_Err_NoMemory = [](HPyContext*) { current->SetException("MemoryError"); };
    context.ctx_Err_SetString = [](HPyContext*, HPy, const char* text) {
      current->SetException(text);
    };
    context.ctx_Err_WriteUnraisable = [](HPyContext*, HPy) { current->SetException(""); };
    context.ctx_LeavePythonExecution = [](HPyContext*) {
      current->holder = std::thread::id();
      return HPyThreadState{0x1234};
    };
    context.ctx_ReenterPythonExecution = [](HPyContext*, HPyThreadState) {
      current->holder = std::this_thread::get_id();
    };
    context.ctx_Unicode_AsUTF8AndSize = [](HPyContext*, HPy, HPy_ssize_t* size) {
      if (size != nullptr) *size = 4;
      return "text";
    };
  }
  ~FakeInterpreter() override { current = nullptr; }

  static FakeObject* Object(HPy h) { return reinterpret_cast<FakeObject*>(h._i - 1); }
  HPy New(int64_t value) {
    objects.push_back(std::make_unique<FakeObject>());
    objects.back()->value = value;
    return HPy{reinterpret_cast<intptr_t>(objects.back().get()) + 1};
  }
  // References held beyond the constants' own.
  int64_t References() const {
    int64_t sum = 0;
    for (const auto& object : objects) sum += object->references;
    return sum - constants;
  }

  void* const* TupleItems(void*, HPy_ssize_t* size) override {
    *size = 0;
    return nullptr;
  }
  std::vector<leakdetector::PythonFrame> PythonFrames(int) override {
    return {{"caller", "caller.py", 17}};
  }
  std::optional<std::string> Repr(HPy h) override { return std::to_string(Object(h)->value); }
  std::string TypeName(HPy) override { return "int"; }
  void Raise(const leakdetector::Violation& violation, HPy also) override {
    SetException(violation.message);
    raised_also = also;
    raised.push_back(violation);
  }
  bool Warn(const leakdetector::Violation& violation) override {
    warned.push_back(violation);
    return !warnings_are_errors;
  }
  void Unraisable(const leakdetector::Violation& violation) override {
    unraisable.push_back(violation);
  }
  void Notify(const leakdetector::Violation& violation) override { told.push_back(violation); }
  [[noreturn]] void Fatal(const char* message) override {
    std::fprintf(stderr, "Fatal: %s\n", message);
    std::abort();
  }
  bool HoldsInterpreter() override { return std::this_thread::get_id() == holder.load(); }
  bool CallSoon(void (*function)(void*), void* data) override {
    const std::lock_guard lock(soon_mutex);
    if (!refuses_calls) soon.emplace_back(function, data);
    return !refuses_calls;
  }
  // What an evaluation loop does between two instructions.
  void RunPendingCalls() {
    std::vector<std::pair<void (*)(void*), void*>> calls;
    {
      const std::lock_guard lock(soon_mutex);
      calls.swap(soon);
    }
    for (auto [function, data] : calls) function(data);
  }
  bool HasHook(Hook) override { return hook_installed; }
  // Its objects have no structs and no fields.
  HPy NewType(HPyType_Spec*, HPyType_SpecParam*) override { return HPy_NULL; }
  bool IsObserved(HPy) override { return false; }
  StructGuard GuardOf(HPy) override { return {}; }
  Struct StructOf(HPy) override { return {}; }
  FieldVisits FieldVisitsOf(HPy) override { return FieldVisits::kForeign; }
  void Traverse(HPy, HPyFunc_visitproc, void*) override {}
  HPyCFunction TraverseFunction(HPy) override { return nullptr; }
  void StoreField(HPy, HPyField* field, HPy value) override { field->_i = value._i; }
  Bounds ThreadStack() override { return {0, 0}; }
  void CallHook(Hook) override { hook_calls++; }

  void SetException(std::string text) {
    exception = std::move(text);
    pending = exception.empty() ? nullptr : &exception;
  }
  static void* Thread() { return &current->pending; }

  static inline FakeInterpreter* current = nullptr;
  static constexpr int64_t constants = 0
#define HPY_HANDLE(...) +1
#include "hpy/abi/context.inc"
      ;
  HPyContext context = {};
  std::vector<std::unique_ptr<FakeObject>> objects;
  std::string exception;  // "": none
  Pointer pending = nullptr;
  HPy raised_also = {};
  std::vector<leakdetector::Violation> raised, warned, told, unraisable;
  std::atomic<std::thread::id> holder{std::this_thread::get_id()};
  std::mutex soon_mutex;
  std::vector<std::pair<void (*)(void*), void*>> soon;
  bool refuses_calls = false;
  bool warnings_are_errors = false;
  bool hook_installed = false;
  int hook_calls = 0;
};

// The debug context in front of it, and a way to call "extension functions".
class FakeDebugger {
 public:
  FakeDebugger() : state(interpreter, &interpreter.context, {}) {
    state.settings.policy = Policy::kRaise;
  }

  // Calls f(ctx, self, arg) as the interpreter would. The object of the result, or null.
  FakeObject* Call(HPyFunc_o function, int64_t argument) {
    const HPy self = interpreter.New(0), arg = interpreter.New(argument);
    _HPyFunc_args_O args = {};
    args.self = static_cast<cpy_PyObject*>(interpreter.Native(self));
    args.arg = static_cast<cpy_PyObject*>(interpreter.Native(arg));
    HPyContext* root = state.root();
    root->ctx_CallRealFunctionFromTrampoline(
        root, HPyFunc_O, reinterpret_cast<HPyCFunction>(reinterpret_cast<void (*)()>(function)),
        &args);
    interpreter.context.ctx_Close(&interpreter.context, self);
    interpreter.context.ctx_Close(&interpreter.context, arg);
    return reinterpret_cast<FakeObject*>(args.result);
  }

  FakeInterpreter interpreter;
  State state;
};

}  // namespace hpy::debug_ctx

#endif  // HPY_TESTS_CPP_FAKE_INTERPRETER_H_
