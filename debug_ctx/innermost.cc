// The walk from an API call to the first trampoline.
//
// A trampoline is a frame whose CFA is the `stop_sp` of a call in progress. Greenlets run at the same
// addresses one after the other, their stacks being copied to the heap and back, so several calls can
// have the same `stop_sp`: which of them is there now says the frame itself, in which its mark lies.
#include "debug_ctx/innermost.h"

#include <algorithm>
#include <vector>

namespace hpy::debug_ctx {

namespace {

// Whether the frame of its trampoline is on the stack now.
__attribute__((no_sanitize_address, no_sanitize_thread)) bool IsMarked(const Call* call) {
  return *const_cast<const Call* const volatile*>(call->mark) == call;
}

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
  // Those that can be on this stack. The mark of a call in progress lies in memory that exists: a
  // stack that was swapped out is of this thread, or its own.
  std::vector<Call*> calls;
  for (Call* call = thread_calls.last; call != nullptr; call = call->previous) {
    const auto mark = reinterpret_cast<uintptr_t>(call->mark);
    if (mark >= site.sp && mark < call->stop_sp() && IsMarked(call)) {
      calls.push_back(call);
    }
  }
  std::sort(calls.begin(), calls.end(),
            [](const Call* a, const Call* b) { return a->stop_sp() < b->stop_sp(); });
  for (Call* call : calls) {
    // Where the stack cannot be walked so far, the memory of the frame is all that there is.
    if (HasFrame(site, call->stop_sp()) != Found::kNo) return call;
  }
  return nullptr;
}

}  // namespace hpy::debug_ctx
