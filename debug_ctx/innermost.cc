// The walk from an API call to the first trampoline.
//
// A trampoline is a frame whose CFA is the `stop_sp` of a call in progress. Greenlets run at the same
// addresses one after the other, their stacks being copied to the heap and back, so several calls can
// have the same `stop_sp`: which of them is there now says the frame itself, in which its CallScope
// lies.
#include "debug_ctx/innermost.h"

#include <algorithm>
#include <vector>

#include "debug_ctx/call_scope.h"

namespace hpy::debug_ctx {

namespace {

enum class Found { kYes, kNo, kUnknown };

// Whether the walk comes to a frame with just that CFA: a stop at the next address lets one more frame
// pass.
Found HasFrame(const stacktrace::CallSite& site, uintptr_t cfa) {
  using stacktrace::kMaxFrames;
  const auto below = stacktrace::Lookup(stacktrace::Capture(site, {cfa, 0, kMaxFrames}));
  if (below.truncated) return Found::kUnknown;
  const auto with = stacktrace::Lookup(stacktrace::Capture(site, {cfa + 1, 0, kMaxFrames}));
  return with.frames.size() > below.frames.size() ? Found::kYes : Found::kNo;
}

}  // namespace

Call* FindInnermost(const stacktrace::CallSite& site) {
  // Those that can be on this stack. The scope of a call in progress lies in memory that exists: a
  // stack that was swapped out is of this thread, or its own.
  std::vector<Call*> calls;
  for (Call* call = thread_calls.last; call != nullptr; call = call->previous) {
    const auto scope = reinterpret_cast<uintptr_t>(call->scope);
    if (scope >= site.sp && scope < call->limits.stop_sp && call->scope->Holds(call)) {
      calls.push_back(call);
    }
  }
  std::sort(calls.begin(), calls.end(),
            [](const Call* a, const Call* b) { return a->limits.stop_sp < b->limits.stop_sp; });
  for (Call* call : calls) {
    // Where the stack cannot be walked so far, the memory of the frame is all that there is.
    if (HasFrame(site, call->limits.stop_sp) != Found::kNo) return call;
  }
  return nullptr;
}

}  // namespace hpy::debug_ctx
