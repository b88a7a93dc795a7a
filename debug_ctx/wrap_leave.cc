// Leaving and re-entering Python execution.
//
// While a call has left, there is no innermost call on its thread: so every other function of the API
// finds that out on its way to a context that is not the expected one, and pays nothing for it.
//
// A refused leave or re-enter changes nothing. The re-entry that belongs to a refused leave brings the
// null state that this one returned, and is silent; where a re-entry was refused, so is the return.
#include <string>
#include <string_view>
#include <utility>

#include "debug_ctx/api_call.h"
#include "debug_ctx/innermost.h"
#include "debug_ctx/policy.h"
#include "debug_ctx/story.h"
#include "debug_ctx/wrapper.h"

namespace hpy::debug_ctx {

using leakdetector::Kind;
using leakdetector::Violation;

namespace {

constexpr int kLeaveFrames = 64;

HPyThreadState LeaveNow(State& state, Call& call, const stacktrace::CallSite& site) {
  Leave& leave = call.leave;
  leave.at = state.Capture(call, site);
  leave.python.clear();
  if (state.settings.python_stacks) leave.python = state.host.PythonFrames(kLeaveFrames);
  leave.active = true;
  leave.outer = std::exchange(thread_calls.left, &call);
  call.attention = true;
  thread_calls.innermost = nullptr;
  leave.state = state.universal->ctx_LeavePythonExecution(state.universal);
  return leave.state;
}

void ReenterNow(Call& call) {
  State& state = *call.state;
  state.universal->ctx_ReenterPythonExecution(state.universal, call.leave.state);
  call.leave.active = false;
  state.BeginCaptures(call, call.stop_sp());  // the settings may have been changed
  thread_calls.left = call.leave.outer;
  thread_calls.innermost = &call;
}

}  // namespace

HPyThreadState Wrapper<table::Slot_ctx_LeavePythonExecution>::Call(HPyContext* ctx) {
  using S = table::Slot_ctx_LeavePythonExecution;
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  if (debug_ctx::Call* const left = LeftCall(); left != nullptr) {
    // Where it has no more room it stays there, and no re-entry is refused any more.
    if (left->refused_leaves != UINT16_MAX) left->refused_leaves++;
    ReportLeft(Kind::kNestedLeave,
               std::string(S::kInfo.api) + " was called although Python execution had been left",
               left, S::kInfo, site);
    return Refuse<S>();
  }
  ApiCall api(ctx, S::kInfo, site);
  if (!api.ok()) return Refuse<S>();
  return LeaveNow(api.state(), api.call(), site);
}

void Wrapper<table::Slot_ctx_ReenterPythonExecution>::Call(HPyContext* ctx, HPyThreadState token) {
  using S = table::Slot_ctx_ReenterPythonExecution;
  const stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  debug_ctx::Call* const used = &DebugContext::From(ctx)->call;
  debug_ctx::Call* const left = LeftCall();
  if (left == used && token._i == left->leave.state._i) [[likely]] {
    ReenterNow(*used);
    return;
  }
  const bool own = left == used || thread_calls.innermost == used;
  if (own && token._i == 0 && used->refused_leaves > 0) {
    if (used->refused_leaves != UINT16_MAX) used->refused_leaves--;
    return;
  }
  const std::string api = S::kInfo.api;
  if (left != nullptr) {
    left->refused_reenters.fetch_add(1, std::memory_order_relaxed);
    if (left == used) {
      ReportLeft(Kind::kReenterMismatch,
                 api + " was given another state than HPy_LeavePythonExecution had returned", left,
                 S::kInfo, site);
    } else {
      ReportLeft(Kind::kStaleContext, api + " was given the context of another call", left,
                 S::kInfo, site);
    }
    return;
  }
  if (thread_calls.slot.function == nullptr && !used->state->host.HoldsInterpreter()) {
    used->refused_reenters.fetch_add(1, std::memory_order_relaxed);
    const std::string what = api + " was called on a thread that has not left Python execution";
    ReportOutside(*used->state, {Kind::kReenterMismatch, what, &S::kInfo, site});
    return;
  }
  ApiCall checked(ctx, S::kInfo, site);
  if (!checked.ok()) return;
  used->refused_reenters.fetch_add(1, std::memory_order_relaxed);
  State& state = checked.state();
  Violation violation = Begin({state, *used, &S::kInfo, &site}, Kind::kReenterMismatch,
                              api + " was called although Python execution had not been left");
  Report(state, *used, std::move(violation), S::kInfo.can_fail);
}

void ReenterAtReturn(Call& call) {
  if (!call.leave.active) return;
  ReenterNow(call);
  if (call.refused_reenters.load(std::memory_order_relaxed) != 0) return;
  State& state = *call.state;
  Violation violation = Begin({state, call, nullptr, nullptr}, Kind::kLeaveNotReentered,
                              "the function returned without calling HPy_ReenterPythonExecution");
  violation.opened = Filtered(state, call.leave.at);
  violation.opened->python = call.leave.python;
  Report(state, call, std::move(violation), /*can_fail=*/false);
}

}  // namespace hpy::debug_ctx
