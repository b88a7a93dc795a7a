// CPython as the host of the debug context.
#ifndef HPY_PYTHON_CPYTHON_HOST_H_
#define HPY_PYTHON_CPYTHON_HOST_H_

#include <Python.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "debug_ctx/host.h"
#include "debug_ctx/state.h"
#include "runtime/observer.h"

namespace hpy::python {

// What hpy.debug, the Python half, gives us to call. Each may be null. Owned references.
struct Callbacks {
  PyObject* error_factory = nullptr;    // (json, class or None) -> exception instance
  PyObject* warning_factory = nullptr;  // (json): issues the warning
  PyObject* on_violation = nullptr;     // (json): tells the subscribers
  PyObject* suppressed = nullptr;       // (json) -> bool
  PyObject* invalid_handle = nullptr;   // the older hooks, ()
  PyObject* invalid_builder = nullptr;
};

class CPythonHost final : public debug_ctx::Host {
 public:
  CPythonHost() : Host(&Thread, kException) {}

  debug_ctx::State& StateOfInterpreter(debug_ctx::State& hint) override;
  // Has to be called before the first use: what the runtime offers, and its plain HPyField_Store.
  using FieldStore = void (*)(HPyContext*, HPy, HPyField*, HPy);
  void UseObserver(const _HPyObserverFunctions* functions, HPyContext* universal);

  void* const* TupleItems(void* tuple, HPy_ssize_t* size) override;
  std::vector<leakdetector::PythonFrame> PythonFrames(int max) override;
  std::optional<std::string> Repr(HPy object) override;
  std::string TypeName(HPy object) override;
  void Raise(const leakdetector::Violation& violation, HPy also) override;
  bool Warn(const leakdetector::Violation& violation) override;
  void Unraisable(const leakdetector::Violation& violation) override;
  void Notify(const leakdetector::Violation& violation) override;
  bool Suppressed(const leakdetector::Violation& violation) override;
  [[noreturn]] void Fatal(const char* message) override;
  bool HoldsInterpreter() override;
  bool CallSoon(void (*function)(void*), void* data) override;
  bool HasHook(debug_ctx::Hook hook) override;
  void CallHook(debug_ctx::Hook hook) override;

  // The interpreter is about to end: nothing can be imported any more. Releases the callbacks.
  void End();
  // For another interpreter.
  void Renew() { ended_ = false; }
  // In cpython_objects.cc.
  uint32_t PythonLine(debug_ctx::Stories& stories) override;
  HPy NewType(HPyType_Spec* spec, HPyType_SpecParam* params) override;
  bool IsObserved(HPy object) override;
  debug_ctx::StructGuard GuardOf(HPy object) override;
  Struct StructOf(HPy object) override;
  debug_ctx::FieldVisits FieldVisitsOf(HPy object) override;
  void Traverse(HPy object, HPyFunc_visitproc visit, void* arg) override;
  HPyCFunction TraverseFunction(HPy object) override;
  void StoreField(HPy owner, HPyField* field, HPy value) override;
  Bounds ThreadStack() override;

  Callbacks callbacks;
  // Python files below this folder, which ends with a slash, are in no stack.
  std::string own_folder;

 private:
  static void* Thread() { return PyThreadState_Get(); }
#if PY_VERSION_HEX >= 0x030C0000
  static constexpr size_t kException = offsetof(PyThreadState, current_exception);
#else
  static constexpr size_t kException = offsetof(PyThreadState, curexc_type);
#endif

  bool ended_ = false;
  const _HPyObserverFunctions* observer_ = nullptr;
  HPyContext* universal_ = nullptr;
  FieldStore store_field_ = nullptr;

  // What PythonLine has seen. The strings are owned: so equal addresses are equal strings.
  struct Line {
    PyObject* file;
    PyObject* function;
    int line;
    uint32_t number;
  };
  static constexpr size_t kLines = 256;
  void ForgetLines();
  Line lines_[kLines] = {};
};

// The text of a str as UTF-8; what cannot be encoded is escaped.
std::string ToUtf8(PyObject* text);

}  // namespace hpy::python

#endif  // HPY_PYTHON_CPYTHON_HOST_H_
