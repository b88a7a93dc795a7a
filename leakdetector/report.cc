// Many violations as one report with a SUMMARY line.

#include "leakdetector/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "leakdetector/utf8.h"
#include "leakdetector/wording.h"

namespace hpy::leakdetector {
namespace {

struct Tally {
  Kind kind;
  uint64_t count = 0;
  uint64_t sites = 0;
};

// Mistakes, which name a line that is wrong, before leaks, and both before notes.
int Rank(Kind kind) {
  if (GetKindInfo(kind).severity == Severity::kNote) return 2;
  return IsLeak(kind) ? 1 : 0;
}

std::string SummaryOfFolded(const std::vector<Violation>& folded, std::string_view report_path) {
  std::vector<Tally> tallies;
  for (const KindInfo& info : AllKinds()) tallies.push_back({info.kind});
  for (const Violation& violation : folded) {
    Tally& tally = tallies[static_cast<size_t>(violation.kind)];
    tally.count += violation.count;
    ++tally.sites;
  }
  std::stable_sort(tallies.begin(), tallies.end(),
                   [](const Tally& a, const Tally& b) { return Rank(a.kind) < Rank(b.kind); });
  std::string out = "SUMMARY: hpy.debug:";
  std::string_view separator = " ";
  for (const Tally& tally : tallies) {
    if (tally.count == 0) continue;
    out += fmt::format("{}{} {}", separator, tally.count, KindName(tally.kind));
    if (tally.count > 1) {
      out += fmt::format(" ({} site{})", tally.sites, tally.sites == 1 ? "" : "s");
    }
    separator = ", ";
  }
  if (folded.empty()) out += " no violations";
  if (!report_path.empty()) out += ", report: " + OneLine(report_path);
  return out;
}

}  // namespace

std::string SummaryLine(const std::vector<Violation>& violations, std::string_view report_path) {
  return SummaryOfFolded(Fold(violations), report_path);
}

std::string ToReport(const std::vector<Violation>& violations, const TextOptions& options) {
  const std::vector<Violation> folded = Fold(violations);
  const size_t shown = std::min(folded.size(), options.top);
  TextRenderer renderer(options);
  std::string out;
  for (size_t i = 0; i < shown; ++i) out += renderer.Render(folded[i]) + "\n";
  if (shown < folded.size()) {
    uint64_t rest = 0;
    for (size_t i = shown; i < folded.size(); ++i) rest += folded[i].count;
    out += fmt::format("and {} with {} not shown: the setting top sets how many are\n\n",
                       Counted(folded.size() - shown, "more site"), Counted(rest, "violation"));
  }
  return out + SummaryOfFolded(folded, options.report_path) + "\n";
}

}  // namespace hpy::leakdetector
