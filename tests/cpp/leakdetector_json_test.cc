// A violation as JSON: the keys, their order, and text that fights back.

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "leakdetector/json.h"
#include "leakdetector/utf8.h"

namespace hpy::leakdetector {
namespace {

using namespace std::string_view_literals;

std::string Quoted(std::string_view text) {
  std::string out;
  AppendJsonString(text, out);
  return out;
}

TEST(Json, EmptyViolationHasEveryKey) {
  EXPECT_EQ(ToJson(Violation{}),
            R"({"kind":"not-a-handle","message":"","api":null,"module":null,"function":null,)"
            R"("handle":null,"at":null,"opened":null,"closed":null,"severity":"error","count":1})");
}

TEST(Json, FullViolation) {
  Violation violation;
  violation.kind = Kind::kLongLivedHandle;
  violation.message = "kept";
  violation.api = "HPy_Dup";
  violation.module = "pkg.matrix";
  violation.function = "Matrix.trace";
  violation.handle = HandleInfo{0x1f00000123, 7, "[1, 2]", "list"};
  violation.count = 3;
  violation.argument = 2;
  violation.notes = {"not in the JSON"};
  Stack stack;
  stack.native.push_back({.function = "trace",
                          .file = "/src/matrix.c",
                          .line = 88,
                          .library = "/lib/matrix.so",
                          .offset = 0x11a9});
  stack.native.push_back({"", "", 0, "/lib/other.so", 16});
  stack.python.push_back({"test_trace", "test_matrix.py", 17});
  stack.python.push_back({"<module>", "test_matrix.py", 0});
  stack.truncated = true;
  violation.opened = stack;
  violation.at = Stack{};
  EXPECT_EQ(
      ToJson(violation),
      R"({"kind":"long-lived-handle","message":"kept","api":"HPy_Dup","module":"pkg.matrix",)"
      R"("function":"Matrix.trace","handle":{"id":"0x1f00000123","repr":"[1, 2]","type":"list"},)"
      R"("at":{"native":[],"python":[]},"opened":{"native":[)"
      R"({"function":"trace","file":"/src/matrix.c","line":88,"library":"/lib/matrix.so",)"
      R"("offset":4521},)"
      R"({"function":null,"file":null,"line":null,"library":"/lib/other.so","offset":16}],)"
      R"("python":[{"function":"test_trace","file":"test_matrix.py","line":17},)"
      R"({"function":"<module>","file":"test_matrix.py","line":null}]},)"
      R"("closed":null,"severity":"note","count":3})");
}

TEST(Json, EscapesWhatJsonAndLinesNeed) {
  EXPECT_EQ(Quoted("a\"b\\c/d"), R"("a\"b\\c/d")");
  EXPECT_EQ(Quoted("\n\r\t\b\f\x1b\x7f\0end"sv), R"("\n\r\t\u0008\u000c\u001b\u007f\u0000end")");
  EXPECT_EQ(Quoted("\u0085\u2028\u2029"), R"("\u0085\u2028\u2029")");
  EXPECT_EQ(Quoted("\u00e9\u20ac\U0001F600"), "\"\u00e9\u20ac\U0001F600\"");
}

TEST(Json, ReplacesWhatIsNoUtf8) {
  const std::string bad = "\uFFFD";
  EXPECT_EQ(Quoted("a\xff"
                   "b"),
            "\"a" + bad + "b\"");
  EXPECT_EQ(Quoted("\xc3"), "\"" + bad + "\"");                      // cut short
  EXPECT_EQ(Quoted("\xc3\"x"), "\"" + bad + "\\\"x\"");              // the quote is not swallowed
  EXPECT_EQ(Quoted("\xc0\x80"), "\"" + bad + bad + "\"");            // overlong
  EXPECT_EQ(Quoted("\xe0\x80\x80"), "\"" + bad + bad + bad + "\"");  // overlong
  EXPECT_EQ(Quoted("\xed\xa0\x80"), "\"" + bad + bad + bad + "\"");  // a surrogate
  EXPECT_EQ(Quoted("\xf4\x90\x80\x80"), "\"" + bad + bad + bad + bad + "\"");  // above U+10FFFF
}

TEST(Json, IsOneLineOfUtf8ForEveryByte) {
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const char bytes[] = {static_cast<char>(first), static_cast<char>(second)};
      const std::string quoted = Quoted({bytes, 2});
      for (const char c : quoted) EXPECT_GE(static_cast<unsigned char>(c), 0x20);
      // Read again, nothing of it needs to be replaced.
      std::string copy;
      for (size_t at = 0; at < quoted.size();) AppendCharacter(NextCharacter(quoted, &at), copy);
      EXPECT_EQ(copy, quoted);
    }
  }
}

TEST(Json, CutsReprByCharacters) {
  Violation violation;
  violation.handle = HandleInfo{};
  std::string repr;
  for (int i = 0; i < 300; ++i) repr += "\u20ac";
  violation.handle->repr = repr;
  const std::string json = ToJson(violation);
  const std::string kept = repr.substr(0, 3 * kMaxReprCharacters);
  EXPECT_NE(json.find("\"repr\":\"" + kept + "\""), std::string::npos) << json;
}

}  // namespace
}  // namespace hpy::leakdetector
