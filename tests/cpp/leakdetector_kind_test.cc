// The table of kinds: complete, and written by its own rules.

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <set>
#include <string>
#include <vector>

#include "leakdetector/kind.h"
#include "leakdetector/violation.h"

namespace hpy::leakdetector {
namespace {

// Public API: a line is never taken away or changed here.
const std::vector<std::string> kReleased = {"handle-leak",
                                            "long-lived-handle",
                                            "use-after-close",
                                            "double-close",
                                            "close-of-argument",
                                            "close-of-constant",
                                            "return-of-argument",
                                            "return-of-constant",
                                            "return-of-closed",
                                            "null-argument",
                                            "not-a-handle",
                                            "stale-context",
                                            "call-after-leave",
                                            "nested-leave",
                                            "reenter-mismatch",
                                            "leave-not-reentered",
                                            "wrong-thread",
                                            "call-in-traverse",
                                            "error-without-exception",
                                            "result-with-exception",
                                            "wrong-argument-type",
                                            "builder-after-build",
                                            "builder-leak",
                                            "builder-index",
                                            "builder-unfilled",
                                            "tracker-after-close",
                                            "tracker-leak",
                                            "buffer-after-close",
                                            "buffer-write",
                                            "buffer-overrun",
                                            "struct-overrun",
                                            "wrong-struct",
                                            "field-not-visited",
                                            "field-not-owned",
                                            "field-without-traverse",
                                            "field-on-stack",
                                            "global-not-registered"};

TEST(Kinds, AreThoseReleased) {
  std::vector<std::string> names;
  for (const KindInfo& info : AllKinds()) names.emplace_back(info.name);
  EXPECT_EQ(names, kReleased);
}

TEST(Kinds, AreFoundByNumberAndName) {
  size_t index = 0;
  for (const KindInfo& info : AllKinds()) {
    EXPECT_EQ(static_cast<size_t>(info.kind), index++);
    EXPECT_EQ(&GetKindInfo(info.kind), &info);
    EXPECT_EQ(KindFromName(info.name), info.kind);
  }
  EXPECT_EQ(KindFromName("handle"), std::nullopt);
  EXPECT_EQ(KindFromName(""), std::nullopt);
}

TEST(Kinds, OnlyALongLivedHandleIsANote) {
  for (const KindInfo& info : AllKinds()) {
    const bool note = info.kind == Kind::kLongLivedHandle;
    EXPECT_EQ(info.severity, note ? Severity::kNote : Severity::kError) << info.name;
  }
  EXPECT_EQ(SeverityName(Severity::kError), "error");
  EXPECT_EQ(SeverityName(Severity::kNote), "note");
}

TEST(Kinds, LeaksAreThoseWithoutAPlaceOfUse) {
  std::set<std::string> leaks;
  for (const KindInfo& info : AllKinds()) {
    if (IsLeak(info.kind)) leaks.emplace(info.name);
  }
  EXPECT_EQ(leaks, (std::set<std::string>{"handle-leak", "long-lived-handle", "builder-leak",
                                          "tracker-leak"}));
}

TEST(Kinds, TextsFollowTheRulesOfTheTable) {
  for (const KindInfo& info : AllKinds()) {
    for (const std::string_view text : {info.title, info.cause, info.help}) {
      EXPECT_FALSE(text.empty()) << info.name;
      EXPECT_EQ(text.find("  "), std::string_view::npos) << info.name << ": " << text;
      EXPECT_TRUE(std::all_of(text.begin(), text.end(), [](unsigned char c) {
        return c >= 0x20 && c < 0x7F && c != '\\' && c != '"';
      })) << text;
    }
    EXPECT_FALSE(info.title.ends_with('.')) << info.title;
    EXPECT_FALSE(info.help.ends_with('.')) << info.help;
    EXPECT_TRUE(info.cause.ends_with('.')) << info.cause;
    EXPECT_FALSE(std::isupper(static_cast<unsigned char>(info.help[0]))) << info.help;
  }
}

TEST(Message, SaysWhatHappenedAndWhatToDo) {
  Violation violation;
  violation.kind = Kind::kReturnOfArgument;
  violation.message = ComposeMessage(violation.kind, "f returned its argument");
  EXPECT_EQ(violation.message, "f returned its argument; return HPy_Dup(ctx, argument)");
  EXPECT_EQ(MessageWithoutHelp(violation), "f returned its argument");
}

TEST(Message, IsTheTitleWhereNothingMoreIsKnown) {
  Violation violation;
  violation.kind = Kind::kReturnOfArgument;
  violation.message = ComposeMessage(violation.kind, "");
  EXPECT_EQ(MessageWithoutHelp(violation), GetKindInfo(violation.kind).title);
}

TEST(Message, FromElsewhereStaysAsItIs) {
  Violation violation;
  violation.kind = Kind::kReturnOfArgument;
  for (const char* message : {"", "f failed", "return HPy_Dup(ctx, argument)", "; "}) {
    violation.message = message;
    EXPECT_EQ(MessageWithoutHelp(violation), message);
  }
}

}  // namespace
}  // namespace hpy::leakdetector
