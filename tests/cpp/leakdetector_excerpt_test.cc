// What of a source line is underlined, and how excerpts are laid out.

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "leakdetector/excerpt.h"

namespace hpy::leakdetector {
namespace {

std::string Underlined(std::string_view line, std::string_view function, Role role = Role::kAt,
                       bool name_only = false) {
  const Span span = FindUnderline(line, function, role, name_only);
  return std::string(line.substr(span.begin, span.end - span.begin));
}

TEST(Underline, TheWholeCall) {
  EXPECT_EQ(Underlined("    HPy x = HPy_Add(ctx, a, b);", "HPy_Add"), "HPy_Add(ctx, a, b)");
  EXPECT_EQ(Underlined("f(HPy_Add (ctx, g(a), (b)), c);", "HPy_Add"), "HPy_Add (ctx, g(a), (b))");
}

TEST(Underline, OnlyTheName) {
  EXPECT_EQ(Underlined("x = HPy_Add(ctx, a, b);", "HPy_Add", Role::kAt, true), "HPy_Add");
}

TEST(Underline, NotAnotherWordThatHoldsTheName) {
  EXPECT_EQ(Underlined("y = MyHPy_Add(c) + HPy_AddX(c) + HPy_Add(ctx);", "HPy_Add"),
            "HPy_Add(ctx)");
}

TEST(Underline, NotInTextOrComments) {
  EXPECT_EQ(Underlined("f(\"HPy_Add(\\\")\", HPy_Add(ctx, ')'));", "HPy_Add"), "HPy_Add(ctx, ')')");
  EXPECT_EQ(Underlined("  /* HPy_Add(a) */ HPy_Add(b); // HPy_Add(c)", "HPy_Add"), "HPy_Add(b)");
  EXPECT_EQ(Underlined("x = 1'000'000 + HPy_Length(ctx, h);", "HPy_Length"), "HPy_Length(ctx, h)");
}

TEST(Underline, ACallThatGoesOnInTheNextLine) {
  EXPECT_EQ(Underlined("  x = HPy_Call(ctx, f,   // why", "HPy_Call"), "HPy_Call(ctx, f,");
}

TEST(Underline, TheStatementWhereTheCallIsHidden) {
  EXPECT_EQ(
      Underlined("  PointObject *p = PointObject_AsStruct(ctx, h);  // or so", "_HPy_AsStruct"),
      "PointObject *p = PointObject_AsStruct(ctx, h);");
  EXPECT_EQ(Underlined("\tx++; ", ""), "x++;");
  EXPECT_EQ(Underlined("  // HPy_Close(h)", "HPy_Close"), "// HPy_Close(h)");
  EXPECT_EQ(Underlined("   ", ""), "");
  EXPECT_EQ(Underlined("", "HPy_Add"), "");
}

TEST(Underline, WithoutANameTheCallThatFits) {
  const std::string_view line = "if (HPy_Close(ctx, a), HPy_IsNull(b = HPy_Dup(ctx, c))) {";
  EXPECT_EQ(Underlined(line, "", Role::kClosed), "HPy_Close(ctx, a)");
  EXPECT_EQ(Underlined(line, "", Role::kOpened), "HPy_IsNull(b = HPy_Dup(ctx, c))");
  EXPECT_EQ(Underlined("t = HPyTupleBuilder_Build(ctx, HPy_NULL);", "", Role::kClosed),
            "HPyTupleBuilder_Build(ctx, HPy_NULL)");
  EXPECT_EQ(Underlined("  Forget(ctx, h);", "", Role::kClosed), "Forget(ctx, h);");
}

TEST(Underline, UnbalancedAndEndlessText) {
  EXPECT_EQ(Underlined("HPy_Add(ctx, \"open", "HPy_Add"), "HPy_Add(ctx, \"open");
  EXPECT_EQ(Underlined(")))((HPy_Add(", "HPy_Add"), "HPy_Add(");
  EXPECT_EQ(Underlined("x = '\\", ""), "x = '\\");
  EXPECT_EQ(Underlined("/* never closed", ""), "/* never closed");
}

TEST(Word, IsFoundWhole) {
  const std::string_view line = "static HPy my_add_impl(HPyContext *ctx) // add_impl";
  const Span span = FindWord(line, "my_add_impl");
  EXPECT_EQ(line.substr(span.begin, span.end - span.begin), "my_add_impl");
  EXPECT_EQ(FindWord("a add_impl", "add"), (Span{0, 10}));
  EXPECT_EQ(FindWord(" a ", ""), (Span{1, 2}));
}

TEST(DisplayedLine, ExpandsTabsAndDisarmsTerminals) {
  EXPECT_EQ(DisplayLine("\tx\ty"), "    x   y");
  EXPECT_EQ(DisplayLine("a\x1b[31mb\xff\r"), "a\uFFFD[31mb\uFFFD ");
  EXPECT_EQ(DisplayLine("\u20ac\tx"), "\u20ac   x");
}

Mark MakeMark(int line, std::string source, std::string_view word, bool primary,
              std::string label) {
  Mark mark;
  mark.line = line;
  mark.span = FindWord(source, word);
  mark.source = std::move(source);
  mark.primary = primary;
  mark.label = std::move(label);
  return mark;
}

TEST(Excerpt, LinesInOrderAndLabelsOfOneLineBelowEachOther) {
  EXPECT_EQ(RenderExcerpt({MakeMark(110, "  b(b1);", "b1", false, "second"),
                           MakeMark(9, "  a();", "a", false, "first"),
                           MakeMark(110, "  b(b1);", "b", true, "third")},
                          {3, 80, false}),
            "    |\n"
            "  9 |   a();\n"
            "    |   - first\n"
            "110 |   b(b1);\n"
            "    |     -- second\n"
            "    |   ^ third\n");
}

TEST(Excerpt, UnderlinesCharactersNotBytes) {
  EXPECT_EQ(RenderExcerpt({MakeMark(1, "\"\u00e4\u00f6\" f x", "f", true, "here")}, {1, 80, false}),
            "  |\n"
            "1 | \"\u00e4\u00f6\" f x\n"
            "  |      ^ here\n");
}

TEST(Excerpt, CutsALongLineAroundTheMark) {
  const std::string line = std::string(50, 'a') + " target " + std::string(50, 'b');
  EXPECT_EQ(RenderExcerpt({MakeMark(1, line, "target", true, "here")}, {1, 20, false}),
            "  |\n"
            "1 | ...aaaa target bbbbbbbb...\n"
            "  |         ^^^^^^ here\n");
  EXPECT_EQ(RenderExcerpt({MakeMark(1, "target " + line, "target", true, "here")}, {1, 20, false}),
            "  |\n"
            "1 | target aaaaaaaaaaaaa...\n"
            "  | ^^^^^^ here\n");
}

TEST(Excerpt, AnEmptyLineStillHasItsLabel) {
  EXPECT_EQ(RenderExcerpt({MakeMark(1, "", "x", true, "here")}, {1, 20, false}),
            "  |\n"
            "1 |\n"
            "  | ^ here\n");
}

TEST(Excerpt, InColour) {
  EXPECT_EQ(RenderExcerpt({MakeMark(1, "x", "x", true, "here"), MakeMark(2, "y", "y", false, "o")},
                          {1, 20, true}),
            "\x1b[1;34m  |\x1b[0m\n"
            "\x1b[1;34m1 |\x1b[0m x\n"
            "\x1b[1;34m  |\x1b[0m \x1b[1;31m^ here\x1b[0m\n"
            "\x1b[1;34m2 |\x1b[0m y\n"
            "\x1b[1;34m  |\x1b[0m \x1b[1;36m- o\x1b[0m\n");
}

}  // namespace
}  // namespace hpy::leakdetector
