// The words of a text report.

#include "leakdetector/wording.h"

#include <cstddef>

namespace hpy::leakdetector {

namespace {

constexpr Labels kUsual;
constexpr std::string_view kReturned = "returned by this function";
constexpr std::string_view kMade = "made here";
constexpr std::string_view kObtained = "memory obtained here";
constexpr std::string_view kLeft = "Python execution left here";

struct Wording {
  Kind kind;
  std::string_view at;
  std::string_view opened = kUsual.opened;
  std::string_view closed = kUsual.closed;
};

// The kinds that are not simply about opening, using and closing; what is not listed has the usual
// labels. kReturned is for those whose `at` is the call of the extension function: its first frame
// is that function, and no line in it.
constexpr Wording kWordings[] = {
    {Kind::kDoubleClose, "closed again here"},
    {Kind::kCloseOfArgument, "closed here", "argument of this call"},
    {Kind::kCloseOfConstant, "closed here"},
    {Kind::kReturnOfArgument, kReturned, "argument of this call"},
    {Kind::kReturnOfConstant, kReturned},
    {Kind::kReturnOfClosed, kReturned},
    {Kind::kNullArgument, "HPy_NULL passed here"},
    {Kind::kNotAHandle, "passed here"},
    {Kind::kCallAfterLeave, "called here", kLeft},
    {Kind::kNestedLeave, "left again here", kLeft},
    {Kind::kReenterMismatch, "re-entered here"},
    {Kind::kLeaveNotReentered, kReturned, kLeft},
    {Kind::kWrongThread, "called here"},
    {Kind::kCallInTraverse, "called here"},
    {Kind::kErrorWithoutException, kReturned},
    {Kind::kResultWithException, kReturned},
    {Kind::kWrongArgumentType, "passed here"},
    {Kind::kBuilderAfterBuild, kUsual.at, kMade, "built or cancelled here"},
    {Kind::kBuilderLeak, kUsual.at, kMade},
    {Kind::kBuilderIndex, "set here", kMade},
    {Kind::kBuilderUnfilled, "built here", kMade},
    {Kind::kTrackerAfterClose, kUsual.at, kMade},
    {Kind::kTrackerLeak, kUsual.at, kMade},
    {Kind::kBufferAfterClose, "accessed here", kObtained, "handle closed here"},
    {Kind::kBufferWrite, "written here", kObtained},
    {Kind::kBufferOverrun, "accessed here", kObtained},
    {Kind::kStructOverrun, "found here", "allocated here"},
    {Kind::kWrongStruct, "read here"},
    {Kind::kFieldNotVisited, "stored here"},
    {Kind::kFieldNotOwned, "visited here"},
    {Kind::kFieldWithoutTraverse, "stored here"},
};

}  // namespace

Labels LabelsOf(Kind kind) {
  for (const Wording& wording : kWordings) {
    if (wording.kind == kind) return {wording.at, wording.opened, wording.closed};
  }
  return kUsual;
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
