// Reports from where no Python code may run.
#include "debug_ctx/outside.h"

#include <memory>
#include <mutex>
#include <utility>

#include "debug_ctx/call.h"
#include "debug_ctx/outside_lock.h"
#include "debug_ctx/policy.h"
#include "debug_ctx/state.h"
#include "debug_ctx/story.h"
#include "leakdetector/json.h"
#include "leakdetector/text.h"

namespace hpy::debug_ctx {

using leakdetector::Kind;
using leakdetector::Stack;
using leakdetector::Violation;

namespace {

constexpr int kFrames = 64;

// Where there is a call, nothing is lost when it is raised at its return.
void DealWith(State& state, std::vector<Late> violations, Call* call) {
  for (Late& late : violations) {
    if (Tell(state, late.violation)) continue;
    if (late.warns) {
      if (state.host.Warn(late.violation)) continue;
      state.universal->ctx_Err_Clear(state.universal);  // turned into an exception: so it is raised
    }
    if (call != nullptr) {
      call->deferred.push_back(std::move(late.violation));
    } else {
      state.host.Unraisable(late.violation);
    }
  }
}

// Called by a thread that holds the interpreter.
void EmptyQueue(void* data) {
  State& state = *static_cast<State*>(data);
  std::vector<Late> queue;
  {
    const std::lock_guard lock(OutsideMutex());
    queue.swap(state.outside.queue);
    state.outside.scheduled = false;
  }
  DealWith(state, std::move(queue), nullptr);
}

void Enqueue(State& state, Late late) {
  // Held to the end: so a forked child finds that a queue with something in it is scheduled.
  const std::lock_guard lock(OutsideMutex());
  state.outside.queue.push_back(std::move(late));
  // Where that fails the next report asks again.
  if (!state.outside.scheduled) state.outside.scheduled = state.host.CallSoon(EmptyQueue, &state);
}

// `call`: the one of this thread at whose return Python hears of it, or null.
void Write(State& state, Violation violation, Call* call, bool holds_interpreter) {
  std::shared_ptr<leakdetector::ReportFile> file;
  Policy policy;
  {
    const std::lock_guard lock(OutsideMutex());
    file = state.report_file;
    policy = state.settings.policy;
  }
  if (file != nullptr) file->Append(leakdetector::ToJson(violation));
  // The Python code that knows what is suppressed is asked all the same when the process would end
  // otherwise.
  if (policy == Policy::kAbort && !(holds_interpreter && state.host.Suppressed(violation))) {
    Abort(state, violation);
  }
  if (!holds_interpreter) WriteError(leakdetector::ToText(violation, {}));
  Late late{std::move(violation), policy == Policy::kWarn};
  if (call != nullptr) {
    call->late.push_back(std::move(late));
    call->attention = true;
  } else {
    Enqueue(state, std::move(late));
  }
}

// The call in progress on a thread that holds the interpreter. In a traverse or destroy function there
// is no innermost call: it is the interrupted one.
Call* CallInProgress(const State& state) {
  Call* const call =
      thread_calls.innermost != nullptr ? thread_calls.innermost : thread_calls.slot.interrupted;
  return call != nullptr && call->state == &state ? call : nullptr;
}

Stack Shown(const leakdetector::FrameFilter& filter, stacktrace::StackId id) {
  Stack stack = filter.Apply(stacktrace::Symbolize(id));
  stack.truncated = stacktrace::Lookup(id).truncated;
  return stack;
}

}  // namespace

void ReportOutside(State& state, const OutsideMistake& mistake) {
  const stacktrace::StackId at =
      stacktrace::Capture(mistake.site, {mistake.stop_sp, mistake.entry, kFrames});
  const stacktrace::StackId opened =
      mistake.left != nullptr ? static_cast<stacktrace::StackId>(mistake.left->leave.at) : 0;
  leakdetector::FrameFilter filter;
  {
    const std::lock_guard lock(OutsideMutex());
    const Outside::Key key{static_cast<int>(mistake.kind), at, opened, mistake.object};
    if (!state.outside.reported.insert(key).second) return;
    filter = state.filter;
  }

  Violation violation;
  violation.kind = mistake.kind;
  violation.message = leakdetector::ComposeMessage(mistake.kind, mistake.what);
  violation.api = mistake.info->api;
  NameFunction(state, mistake.function, &violation);
  violation.at = Shown(filter, at);
  if (mistake.python_frames) {
    violation.at->python = state.host.PythonFrames(kFrames);
  } else if (mistake.left != nullptr) {
    // The Python frames of a thread do not change while it has left.
    violation.at->python = mistake.left->leave.python;
  }
  if (mistake.kind == Kind::kCallAfterLeave || mistake.kind == Kind::kNestedLeave) {
    violation.opened = Shown(filter, opened);
    violation.opened->python = mistake.left->leave.python;
  }

  Call* const call = mistake.left != nullptr     ? mistake.left
                     : mistake.holds_interpreter ? CallInProgress(state)
                                                 : nullptr;
  if (call != nullptr) MarkRefused(*call, violation);
  Write(state, std::move(violation), call, mistake.holds_interpreter);
}

void ReportLater(State& state, Violation violation) {
  Write(state, std::move(violation), CallInProgress(state), /*holds_interpreter=*/true);
}

void TakeLate(State& state, Call& call) { DealWith(state, std::exchange(call.late, {}), &call); }

}  // namespace hpy::debug_ctx
