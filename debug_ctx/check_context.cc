// An API call with another context than that of the innermost call: what is wrong with it, if anything.
#include <string>
#include <utility>

#include "debug_ctx/api_call.h"
#include "debug_ctx/innermost.h"
#include "debug_ctx/outside.h"
#include "debug_ctx/policy.h"
#include "debug_ctx/story.h"

namespace hpy::debug_ctx {

using leakdetector::Kind;
using leakdetector::Violation;

// Guards of what is read here: a thread that does not hold the interpreter looks at nothing of a call
// but its state, unless the call is its own.
void ApiCall::CheckContext() {
  Call* const used = call_;
  State& state = *used->state;
  const std::string api = info_.api;
  ok_ = false;

  const SlotCall& slot = thread_calls.slot;
  if (thread_calls.innermost == nullptr && slot.function != nullptr) {
    OutsideMistake mistake{Kind::kCallInTraverse, {}, &info_, site_};
    mistake.function = state.functions.NumberOf(slot.function);
    const std::string& name = state.functions[mistake.function].name;
    const std::string what =
        api + " was called from " + (name.empty() ? "a traverse or destroy function" : name);
    mistake.what = what;
    mistake.stop_sp = slot.stop_sp;
    mistake.entry = reinterpret_cast<uintptr_t>(slot.function);
    mistake.python_frames = state.settings.python_stacks;
    mistake.object = slot.object;
    mistake.holds_interpreter = true;
    ReportOutside(state, mistake);
    return;
  }

  if (Call* const left = LeftCall(); left != nullptr) {
    const std::string what =
        api + " was called between HPy_LeavePythonExecution and HPy_ReenterPythonExecution";
    ReportLeft(Kind::kCallAfterLeave, what, left, info_, site_);
    return;
  }

  if (!state.host.HoldsInterpreter()) {
    const std::string what = api + " was called from a thread that does not hold the interpreter";
    ReportOutside(state, {Kind::kWrongThread, what, &info_, site_});
    return;
  }

  // The stack decides which call is running.
  Call* const running = thread_calls.last != nullptr ? FindInnermost(site_) : nullptr;
  if (running != nullptr) thread_calls.innermost = running;
  if (running == used) {
    ok_ = true;
    return;
  }
  // The context may be one of another interpreter: the mistake is that of the call in progress.
  State& here = running != nullptr ? *running->state : state.OfInterpreter();
  const std::string what = api + " was given the context of another call";
  if (running == nullptr && !info_.can_fail) {
    // There is no function at whose return it could be raised.
    OutsideMistake mistake{Kind::kStaleContext, what, &info_, site_};
    mistake.python_frames = here.settings.python_stacks;
    mistake.holds_interpreter = true;
    ReportOutside(here, mistake);
    return;
  }
  Call& call = running != nullptr ? *running : DebugContext::From(here.root())->call;
  Violation violation = Begin({here, call, &info_, &site_}, Kind::kStaleContext, what);
  call_ = &call;
  Report(here, call, std::move(violation), info_.can_fail);
}

Call* LeftCall() {
  return thread_calls.innermost == nullptr && thread_calls.slot.function == nullptr
             ? thread_calls.left
             : nullptr;
}

void ReportLeft(Kind kind, std::string_view what, Call* left, const SlotInfo& info,
                const stacktrace::CallSite& site) {
  OutsideMistake mistake{kind, what, &info, site};
  mistake.stop_sp = left->stop_sp();
  mistake.entry = left->callee;
  mistake.function = left->function;
  mistake.left = left;
  // Once in a call of the function: the error is raised at its return, so each has its own.
  mistake.object = left->first_order;
  ReportOutside(*left->state, mistake);
}

}  // namespace hpy::debug_ctx
