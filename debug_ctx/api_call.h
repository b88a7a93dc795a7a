// A call of the API by an extension: what a wrapper knows of it, and how it unwraps its arguments.
#ifndef HPY_DEBUG_CTX_API_CALL_H_
#define HPY_DEBUG_CTX_API_CALL_H_

#include <string_view>
#include <type_traits>

#include "debug_ctx/call.h"
#include "debug_ctx/slots.h"
#include "debug_ctx/state.h"
#include "debug_ctx/story.h"
#include "leakdetector/kind.h"
#include "stacktrace/stacktrace.h"

namespace hpy::debug_ctx {

class ApiCall {
 public:
  ApiCall(HPyContext* ctx, const SlotInfo& info, const stacktrace::CallSite& site)
      : ApiCall(DebugContext::From(ctx)->call, info, site) {}
  ApiCall(Call& call, const SlotInfo& info, const stacktrace::CallSite& site)
      : call_(&call), info_(info), site_(site) {
    if (call_ != thread_calls.innermost) [[unlikely]] {
      CheckContext();
    }
  }

  // False once a mistake was found after which the call must not reach the interpreter.
  bool ok() const { return ok_; }
  State& state() const { return *call_->state; }
  HPyContext* universal() const { return state().universal; }
  Call& call() const { return *call_; }
  const SlotInfo& info() const { return info_; }
  const stacktrace::CallSite& site() const { return site_; }

  // The handle of the universal context for parameter `position` (the context is number 0). Null
  // and ok() false when the extension may not pass it.
  HPy Unwrap(HPy handle, int position) {
    if (handles::Slot* slot = state().table.Resolve(handle)) [[likely]] {
      return slot->wrapped();
    }
    if (HPy_IsNull(handle) && (info_.nullable >> position & 1) != 0) return HPy_NULL;
    return UnwrapInvalid(handle, position);
  }

  HPy Wrap(HPy universal_handle) { return state().Open(universal_handle, *call_, site_); }

  // Closes a handle for the extension: HPy_Close, and what HPyTracker_Close does.
  [[gnu::hot]] void Close(HPy handle);

  // To be called after what may have run Python code: there stacks may have been swapped.
  void Back() { thread_calls.innermost = call_; }

  StoryId Capture() { return state().Capture(*call_, site_); }

  // Where a mistake of this call is made.
  Place place() const { return {state(), *call_, &info_, &site_}; }
  // Reports a mistake, after which the call must not reach the interpreter. `fatal` as for Report.
  void Refuse(leakdetector::Violation violation, const char* fatal = nullptr);

  // In report.cc. What the extension passed to a builder or tracker function was closed or never
  // given out.
  void RefuseBuilder(const handles::HandleTable& table, HPy value, int position);
  void RefuseTracker(const handles::HandleTable& table, HPy value, int position);

 private:
  void CheckContext();
  HPy UnwrapInvalid(HPy handle, int position);

  Call* call_;
  const SlotInfo& info_;
  const stacktrace::CallSite& site_;
  bool ok_ = true;
};

// In check_context.cc. The call of this thread that has left Python execution, if it is left now.
Call* LeftCall();
// Reports a mistake of a thread that has left, in `left`.
void ReportLeft(leakdetector::Kind kind, std::string_view what, Call* left, const SlotInfo& info,
                const stacktrace::CallSite& site);
// In wrap_leave.cc. Re-enters what the function that returns had left, and reports it.
void ReenterAtReturn(Call& call);

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_API_CALL_H_
