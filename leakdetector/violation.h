// A violation as data: what every report, exception, warning and line of JSON is made from.
//
// One struct for all of them, leaks and memory faults included, so that there is one way by which
// a mistake becomes visible. Plain data: it owns its strings, refers to no handle and no
// interpreter, and may be moved between threads.

#ifndef HPY_LEAKDETECTOR_VIOLATION_H_
#define HPY_LEAKDETECTOR_VIOLATION_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "leakdetector/kind.h"
#include "stacktrace/stacktrace.h"

namespace hpy::leakdetector {

struct PythonFrame {
  std::string function, file;
  int line = 0;

  bool operator==(const PythonFrame&) const = default;
};

// Innermost frame first, in both lists. `native` has been through a FrameFilter (frame_filter.h):
// its first frame is the extension's own.
struct Stack {
  std::vector<stacktrace::Frame> native;
  std::vector<PythonFrame> python;
  // The API function that was called from native[0], where it is known (an inlined function of
  // HPy's headers that the filter dropped). Only used to find the call in the source line.
  std::string api;
  // The capture ended before it had reached the caller of the extension (`stack_depth`).
  bool truncated = false;
};

struct HandleInfo {
  uint64_t id = 0;     // the value that the extension holds
  uint64_t order = 0;  // it was the order-th handle that was opened, counted from 1; 0: not known
  // Null where the object may no longer exist. `repr` may be of any length and hold any bytes: the
  // renderers cut it to kMaxReprCharacters and replace what is no UTF-8.
  std::optional<std::string> repr, type;
};

// `repr` is cut to that many characters (not bytes) wherever it is shown.
inline constexpr size_t kMaxReprCharacters = 200;

struct Violation {
  Kind kind = Kind::kNotAHandle;
  // One sentence that says what happened and what to do instead: see ComposeMessage.
  std::string message;
  std::optional<std::string> api, module, function;
  std::optional<HandleInfo> handle;
  std::optional<Stack> at, opened, closed;
  uint64_t count = 1;              // how many equal ones are folded into this one, at least 1
  int argument = 0;                // 1-based position of the offending argument, 0: none
  std::vector<std::string> notes;  // further sentences for the text report, one line each
};

// The `message` of a violation: `what` (no full stop, "HPy_Add was given a handle that is already
// closed"), then what to do instead, as kinds.inc says it for this kind. An empty `what` means the
// kind's title. ToText takes the second half off again, since it prints it as `help` of its own.
std::string ComposeMessage(Kind kind, std::string_view what);

// The first half of a message that ComposeMessage made; any other message as it is.
std::string_view MessageWithoutHelp(const Violation& violation);

// The stack that tells where a violation has its place: `at`, and for a leak, which has none,
// `opened`. Null where neither is there. It points into `violation`.
const Stack* PrimaryStack(const Violation& violation);

}  // namespace hpy::leakdetector

#endif  // HPY_LEAKDETECTOR_VIOLATION_H_
