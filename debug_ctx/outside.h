// Reports from where no Python code may run: threads that do not hold the interpreter, the garbage
// collector, traverse and destroy functions.
//
// The line of JSON is written at once, and from a thread without the interpreter the text too. What
// Python must do (telling subscribers, warning, raising) waits for the return of the extension function
// in progress; where there is none, in a queue until a thread that holds the interpreter gets to it,
// and what would be raised goes to sys.unraisablehook. Nothing here waits for the interpreter.
#ifndef HPY_DEBUG_CTX_OUTSIDE_H_
#define HPY_DEBUG_CTX_OUTSIDE_H_

#include <cstdint>
#include <string_view>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "debug_ctx/call.h"
#include "debug_ctx/slots.h"
#include "leakdetector/violation.h"
#include "stacktrace/stacktrace.h"

namespace hpy::debug_ctx {

class State;

// Part of a State; guarded by OutsideMutex().
struct Outside {
  // Kind, `at`, `opened`, object: the same mistake is reported once.
  using Key = std::tuple<int, stacktrace::StackId, stacktrace::StackId, uint64_t>;
  absl::flat_hash_set<Key> reported;
  std::vector<Late> queue;
  bool scheduled = false;  // the host was asked to empty the queue
};

// A mistake that is found outside, before anything about it is looked up.
struct OutsideMistake {
  leakdetector::Kind kind;
  std::string_view what;  // the message, as for Begin()
  const SlotInfo* info;
  stacktrace::CallSite site;
  uintptr_t stop_sp = 0;       // where the capture of `at` ends; 0: it goes on
  uintptr_t entry = 0;         // the function that was called from there
  uint32_t function = 0;       // the one in progress
  Call* left = nullptr;        // the call whose leave is `opened`, and that has the Python frames
  bool python_frames = false;  // the Python frames can be read now
  uint64_t object = 0;         // what tells mistakes of equal stacks apart
  bool holds_interpreter = false;
};

// Reports it as the policy says, once.
void ReportOutside(State& state, const OutsideMistake& mistake);

// Reports any other violation there, for a thread that holds the interpreter. The caller sees to it
// that the same mistake is reported once.
void ReportLater(State& state, leakdetector::Violation violation);

// Does what waits for the return of a call. What is raised is deferred.
void TakeLate(State& state, Call& call);

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_OUTSIDE_H_
