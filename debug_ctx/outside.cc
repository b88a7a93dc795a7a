// Reports from where no Python code may run.
#include "debug_ctx/outside.h"

#include <memory>
#include <utility>

#include "debug_ctx/call.h"
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

void EmptyQueueOf(void* state) { EmptyQueue(*static_cast<State*>(state)); }

void Schedule(State& state) {
  {
    const std::lock_guard lock(state.outside.mutex);
    if (state.outside.scheduled || state.outside.queue.empty()) return;
    state.outside.scheduled = true;
  }
  if (!state.host.CallSoon(EmptyQueueOf, &state)) {
    // The next report asks again.
    const std::lock_guard lock(state.outside.mutex);
    state.outside.scheduled = false;
  }
}

void Wait(State& state, const Violation& violation, Outside::Then then) {
  {
    const std::lock_guard lock(state.outside.mutex);
    state.outside.queue.push_back({violation, then});
  }
  Schedule(state);
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
  std::shared_ptr<leakdetector::ReportFile> file;
  Policy policy;
  {
    const std::lock_guard lock(state.outside.mutex);
    const Outside::Key key{static_cast<int>(mistake.kind), at, opened, mistake.object};
    if (!state.outside.reported.insert(key).second) return;
    filter = state.filter;
    file = state.report_file;
    policy = state.settings.policy;
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

  if (file != nullptr) file->Append(leakdetector::ToJson(violation));
  if (policy == Policy::kAbort) Abort(state, violation);
  if (!mistake.holds_interpreter) WriteError(leakdetector::ToText(violation, {}));
  Call* const call = mistake.returns;
  if (call != nullptr) {
    MarkRefused(*call, violation);
    if (policy == Policy::kRaise) call->from_outside.push_back(violation);
  }
  Wait(state, violation,
       policy == Policy::kWarn ? Outside::Then::kWarn
       : call == nullptr       ? Outside::Then::kUnraisable
                               : Outside::Then::kTell);
}

void EmptyQueue(State& state) {
  std::vector<Outside::Waiting> queue;
  {
    const std::lock_guard lock(state.outside.mutex);
    queue.swap(state.outside.queue);
    state.outside.scheduled = false;
  }
  for (const Outside::Waiting& waiting : queue) {
    if (state.host.Suppressed(waiting.violation)) continue;
    state.violations++;
    state.host.Notify(waiting.violation);
    if (waiting.then == Outside::Then::kUnraisable) {
      state.host.Unraisable(waiting.violation);
    } else if (waiting.then == Outside::Then::kWarn && !state.host.Warn(waiting.violation)) {
      // The warning was turned into an exception, which has nowhere to go.
      state.universal->ctx_Err_WriteUnraisable(state.universal, HPy_NULL);
    }
  }
}

}  // namespace hpy::debug_ctx
