// What the debug context needs from an interpreter beyond its HPyContext.
//
// python/ implements it for CPython; the tests of this room have a small one of their own. Every
// function is called by a thread that holds the interpreter, unless it says otherwise.
#ifndef HPY_DEBUG_CTX_HOST_H_
#define HPY_DEBUG_CTX_HOST_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "debug_ctx/host_objects.h"
#include "debug_ctx/stories.h"
#include "hpy.h"
#include "leakdetector/violation.h"

struct _HPyInterpreter;  // the runtime's record of an interpreter, opaque here

namespace hpy::debug_ctx {

class State;

// The hooks of the older interface (`_debug.set_on_invalid_handle` and its twin for builders).
enum class Hook { kInvalidHandle, kInvalidBuilder };

// A handle of the universal context is the address of the native object plus this: so the trampolines
// convert arguments without a call. Null stays null.
inline constexpr intptr_t kNativeHandleBias = 1;

class Host : public ObjectHost {
 public:
  // A place that holds a pointer of the interpreter, whatever it points to.
  using Pointer [[gnu::may_alias]] = const void*;
  // The interpreter's record of this thread.
  using ThreadFunction = void* (*)();
  // `exception`: so many bytes from its beginning the interpreter keeps what is pending on the thread.
  Host(ThreadFunction thread, size_t exception) : thread_(thread), exception_(exception) {}

  // Native objects are `void *`, for the type differs with what includes hpy.h.
  static HPy Borrow(void* object) { return object == nullptr ? HPy_NULL : BorrowNotNull(object); }
  static HPy BorrowNotNull(void* object) {
    return HPy{reinterpret_cast<intptr_t>(object) + kNativeHandleBias};
  }
  static void* Native(HPy handle) { return HPy_IsNull(handle) ? nullptr : NativeOfNotNull(handle); }
  static void* NativeOfNotNull(HPy handle) {
    return reinterpret_cast<void*>(handle._i - kNativeHandleBias);
  }

  // Where the interpreter keeps what is pending on this thread: not null there while it is an exception.
  // The place is the same from the beginning of a call to its end. Asked for in each call into an
  // extension: so neither a context nor a virtual function stands in between.
  const Pointer* ExceptionPlace() const {
    return reinterpret_cast<const Pointer*>(static_cast<const char*>(thread_()) + exception_);
  }

  // The state of the interpreter that this thread runs. `hint` is that of the context of a loaded
  // library, which is of the interpreter that loaded the file last.
  virtual State& StateOfInterpreter(State& hint) { return hint; }
  // While it points at a record, the interpreter of that record is the only one that uses hpy, so
  // that an answer of StateOfInterpreter holds. Read at each call into an extension.
  const _HPyInterpreter* const* only_interpreter = &none_;

  // The items of an argument tuple, borrowed and valid as long as it is.
  virtual void* const* TupleItems(void* tuple, HPy_ssize_t* size) = 0;

  // The Python frames in progress on this thread, innermost first, at most `max`.
  virtual std::vector<leakdetector::PythonFrame> PythonFrames(int max) = 0;
  // The innermost of them alone, as a number of `stories`.
  virtual uint32_t PythonLine(Stories& stories) { return stories.InternPython(PythonFrames(1)); }

  // What a report says of an object. They run code of the object; a pending exception is kept, and one
  // that they raise is dropped.
  virtual std::optional<std::string> Repr(HPy object) = 0;
  virtual std::string TypeName(HPy object) = 0;

  // Sets the exception for a violation; a pending one becomes its context. Unless `also` is null, it
  // is an instance of that exception class too.
  virtual void Raise(const leakdetector::Violation& violation, HPy also) = 0;
  // Issues the warning for a violation. False when the warning was turned into an exception.
  virtual bool Warn(const leakdetector::Violation& violation) = 0;
  // Tells of a violation where nothing can be raised (sys.unraisablehook); a pending exception is kept.
  virtual void Unraisable(const leakdetector::Violation& violation) = 0;
  // Tells those who subscribed.
  virtual void Notify(const leakdetector::Violation& violation) = 0;
  // Whether the user knows of it already and wants to hear no more of it.
  virtual bool Suppressed(const leakdetector::Violation&) { return false; }
  // Ends the process the way HPy_FatalError does. Any thread.
  [[noreturn]] virtual void Fatal(const char* message) = 0;

  // Whether this thread holds the interpreter. Any thread.
  virtual bool HoldsInterpreter() = 0;
  // Has a thread that holds the interpreter call `function(data)` soon. Any thread; never waits. False
  // where that cannot be had now.
  virtual bool CallSoon(void (*function)(void*), void* data) = 0;

  virtual bool HasHook(Hook hook) = 0;
  virtual void CallHook(Hook hook) = 0;

 private:
  static constexpr const _HPyInterpreter* none_ = nullptr;
  const ThreadFunction thread_;
  const size_t exception_;
};

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_HOST_H_
