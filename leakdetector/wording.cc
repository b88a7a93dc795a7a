// The words of a text report.

#include "leakdetector/wording.h"

#include <cstddef>

namespace hpy::leakdetector {

// The kinds that are not about opening, using and closing a handle. Where `at` is the call of the
// extension function itself, its first frame is that function and not a line in it.
Labels LabelsOf(Kind kind) {
  constexpr std::string_view kMade = "made here";
  constexpr std::string_view kEnded = "built or cancelled here";
  constexpr std::string_view kObtained = "memory obtained here";
  constexpr std::string_view kLeft = "Python execution left here";
  constexpr std::string_view kReturned = "returned by this function";
  switch (kind) {
    case Kind::kDoubleClose: return {.at = "closed again here"};
    case Kind::kCloseOfArgument: return {.at = "closed here", .opened = "argument of this call"};
    case Kind::kCloseOfConstant: return {.at = "closed here"};
    case Kind::kReturnOfArgument:
    case Kind::kReturnOfConstant:
    case Kind::kReturnOfClosed:
    case Kind::kErrorWithoutException:
    case Kind::kResultWithException: return {.at = kReturned};
    case Kind::kNullArgument: return {.at = "HPy_NULL passed here"};
    case Kind::kNotAHandle:
    case Kind::kWrongArgumentType: return {.at = "passed here"};
    case Kind::kCallAfterLeave: return {.at = "called here", .opened = kLeft};
    case Kind::kNestedLeave: return {.at = "left again here", .opened = kLeft};
    case Kind::kReenterMismatch: return {.at = "re-entered here"};
    case Kind::kLeaveNotReentered: return {.at = kReturned, .opened = kLeft};
    case Kind::kWrongThread:
    case Kind::kCallInTraverse: return {.at = "called here"};
    case Kind::kBuilderAfterBuild: return {.opened = kMade, .closed = kEnded};
    case Kind::kBuilderLeak:
    case Kind::kTrackerLeak:
    case Kind::kTrackerAfterClose: return {.opened = kMade};
    case Kind::kBuilderIndex: return {.at = "set here", .opened = kMade};
    case Kind::kBuilderUnfilled: return {.at = "built here", .opened = kMade};
    case Kind::kBufferAfterClose:
      return {.at = "accessed here", .opened = kObtained, .closed = "handle closed here"};
    case Kind::kBufferWrite: return {.at = "written here", .opened = kObtained};
    case Kind::kBufferOverrun: return {.at = "accessed here", .opened = kObtained};
    case Kind::kStructOverrun: return {.at = "found here", .opened = "allocated here"};
    case Kind::kWrongStruct: return {.at = "read here"};
    case Kind::kFieldNotVisited:
    case Kind::kFieldWithoutTraverse: return {.at = "stored here"};
    case Kind::kFieldNotOwned: return {.at = "visited here"};
    default: return {};
  }
}

std::string Grouped(uint64_t number) {
  const std::string digits = std::to_string(number);
  std::string out;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) out += ' ';
    out += digits[i];
  }
  return out;
}

std::string Ordinal(uint64_t number) {
  const bool teen = number % 100 >= 11 && number % 100 <= 13;
  const char* const endings[] = {"th", "st", "nd", "rd"};
  const uint64_t last = number % 10;
  return Grouped(number) + (teen || last > 3 ? "th" : endings[last]);
}

std::string Counted(uint64_t number, std::string_view singular) {
  return Grouped(number) + " " + std::string(singular) + (number == 1 ? "" : "s");
}

std::string_view BaseName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace hpy::leakdetector
