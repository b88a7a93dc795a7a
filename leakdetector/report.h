// Many violations as one report: equal ones folded, the most frequent first, a SUMMARY line last.

#ifndef HPY_LEAKDETECTOR_REPORT_H_
#define HPY_LEAKDETECTOR_REPORT_H_

#include <string>
#include <string_view>
#include <vector>

#include "leakdetector/text.h"
#include "leakdetector/violation.h"

namespace hpy::leakdetector {

// Violations with the same kind, API function, module, function and stacks become one whose count
// is the sum; its other members are those of the first. Sorted by count, the largest first; equal
// counts keep the order in which they came. Frames are equal when function, file and line are;
// where the line is not known, when library and offset are.
std::vector<Violation> Fold(std::vector<Violation> violations);

// A text that two violations share exactly when Fold makes one of them.
std::string FoldKey(const Violation& violation);

// "SUMMARY: hpy.debug: 1 use-after-close, 3 handle-leak (2 sites), report: out.jsonl", without a
// line break. Mistakes come first, then leaks, then notes. `violations` need not be folded.
std::string SummaryLine(const std::vector<Violation>& violations, std::string_view report_path);

// The whole text: the top sites as TextRenderer renders them, a line that counts the rest, and the
// SUMMARY line, which ends with the only line break after it. Folds by itself.
std::string ToReport(const std::vector<Violation>& violations, const TextOptions& options);

}  // namespace hpy::leakdetector

#endif  // HPY_LEAKDETECTOR_REPORT_H_
