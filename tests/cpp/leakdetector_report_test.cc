// Folding, the order of a report and its SUMMARY line.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "golden.h"
#include "leakdetector/report.h"
#include "sample_violations.h"

namespace hpy::leakdetector {
namespace {

using testing::MatchesGolden;
using testing::SampleExtension;

TEST(Fold, AddsTheCountsOfEqualOnesAndSortsByThem) {
  const SampleExtension extension;
  Violation counted = extension.Leak(84);
  counted.count = 5;
  const std::vector<Violation> folded =
      Fold({extension.UseAfterClose(), extension.Leak(80), counted, extension.Leak(80), counted});
  ASSERT_EQ(folded.size(), 3u);
  EXPECT_EQ(folded[0].count, 10u);
  EXPECT_EQ(folded[0].opened->native[0].line, 84);
  EXPECT_EQ(folded[1].count, 2u);
  EXPECT_EQ(folded[1].opened->native[0].line, 80);
  EXPECT_EQ(folded[2].kind, Kind::kUseAfterClose);
  EXPECT_TRUE(Fold({}).empty());
}

TEST(Fold, LooksAtWhatMakesASiteAndAtNothingElse) {
  const SampleExtension extension;
  const Violation base = extension.UseAfterClose();
  const auto folds = [&base](auto change) {
    Violation other = base;
    change(other);
    return Fold({base, other}).size() == 1;
  };
  EXPECT_TRUE(folds([](Violation& v) { v.handle->id = 1; }));
  EXPECT_TRUE(folds([](Violation& v) { v.message = "other"; }));
  // Two addresses of one line, as a loop that the compiler unrolled has them.
  EXPECT_TRUE(folds([](Violation& v) { v.at->native[0].offset = 1; }));
  EXPECT_FALSE(folds([](Violation& v) { v.kind = Kind::kDoubleClose; }));
  EXPECT_FALSE(folds([](Violation& v) { v.api = "HPy_Subtract"; }));
  EXPECT_FALSE(folds([](Violation& v) { v.function = "Matrix.trace"; }));
  EXPECT_FALSE(folds([](Violation& v) { v.at->native[0].line = 89; }));
  EXPECT_FALSE(folds([](Violation& v) { v.at->native.pop_back(); }));
  EXPECT_FALSE(folds([](Violation& v) { v.closed->native[1].function = "g"; }));
  EXPECT_FALSE(folds([](Violation& v) { v.opened->python[0].line = 18; }));
  EXPECT_FALSE(folds([](Violation& v) { v.closed.reset(); }));
  EXPECT_FALSE(folds([](Violation& v) { std::swap(v.opened, v.closed); }));
}

TEST(Fold, WithoutLinesLooksAtOffsets) {
  const SampleExtension extension;
  Violation first = extension.Leak(80);
  first.opened->native[0].line = 0;
  first.opened->native[0].file = "";
  Violation second = first;
  EXPECT_EQ(Fold({first, second}).size(), 1u);
  second.opened->native[0].offset += 4;
  EXPECT_EQ(Fold({first, second}).size(), 2u);
}

TEST(Summary, IsTheLineThatGrepFinds) {
  const SampleExtension extension;
  EXPECT_EQ(SummaryLine({extension.Leak(80), extension.UseAfterClose(), extension.Leak(84),
                         extension.Leak(80)},
                        "out.jsonl"),
            "SUMMARY: hpy.debug: 1 use-after-close, 3 handle-leak (2 sites), report: out.jsonl");
}

TEST(Summary, OneSiteAndNoReport) {
  const SampleExtension extension;
  Violation note = extension.Leak(80);
  note.kind = Kind::kLongLivedHandle;
  EXPECT_EQ(SummaryLine({note, extension.Leak(80), extension.Leak(80)}, ""),
            "SUMMARY: hpy.debug: 2 handle-leak (1 site), 1 long-lived-handle");
}

TEST(Summary, OfNothing) {
  EXPECT_EQ(SummaryLine({}, ""), "SUMMARY: hpy.debug: no violations");
  EXPECT_EQ(SummaryLine({}, "a\nb"), "SUMMARY: hpy.debug: no violations, report: a b");
}

TEST(Report, ShowsTheTopAndCountsTheRest) {
  const SampleExtension extension;
  TextOptions options = extension.Options();
  options.top = 2;
  options.report_path = "out.jsonl";
  Violation many = extension.Leak(120);
  many.count = 1200;
  EXPECT_TRUE(MatchesGolden("report", ToReport({extension.UseAfterClose(), extension.Leak(80),
                                                extension.Leak(84), extension.Leak(80), many},
                                               options)));
}

TEST(Report, EndsWithTheSummary) {
  EXPECT_EQ(ToReport({}, {}), "SUMMARY: hpy.debug: no violations\n");
  const SampleExtension extension;
  TextOptions options = extension.Options();
  options.top = 0;
  EXPECT_EQ(ToReport({extension.Leak(80)}, options),
            "and 1 more site with 1 violation not shown: the setting top sets how many are\n\n"
            "SUMMARY: hpy.debug: 1 handle-leak\n");
}

}  // namespace
}  // namespace hpy::leakdetector
