// The text of a report. Most texts are golden files: see golden.h.

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "golden.h"
#include "leakdetector/text.h"
#include "sample_violations.h"

namespace hpy::leakdetector {
namespace {

using testing::MatchesGolden;
using testing::SampleExtension;

// Spelt out here, not in a golden file: this is the form that was agreed on.
TEST(Text, IsLikeTheReportOfAGoodCompiler) {
  const SampleExtension extension;
  EXPECT_EQ(ToText(extension.UseAfterClose(), extension.Options()),
            R"(error[use-after-close]: HPy_Add was given a handle that is already closed
  --> src/matrix.c:88 in row_sum        (2nd argument)
   |
80 |     HPy item = HPy_GetItem_i(ctx, row, i);
   |                -------------------------- opened here
84 |         HPy_Close(ctx, item);
   |         -------------------- closed here
88 |     total = HPy_Add(ctx, total, item);
   |             ^^^^^^^ used here
   = handle: the 1 204th that was opened
   = native: row_sum (src/matrix.c:88) <- matrix_trace_impl (src/matrix.c:120)
   = python: test_matrix.py:17 in test_trace <- test_matrix.py:30 in <module>
   = help: close the handle after its last use, or HPy_Dup it first
)");
}

TEST(Text, Leak) {
  const SampleExtension extension;
  Violation violation = extension.Leak(80);
  violation.count = 1234;
  EXPECT_TRUE(MatchesGolden("handle_leak", ToText(violation, extension.Options())));
}

TEST(Text, LongLivedHandleIsANote) {
  const SampleExtension extension;
  Violation violation = extension.Leak(80);
  violation.kind = Kind::kLongLivedHandle;
  violation.message = "";
  EXPECT_TRUE(MatchesGolden("long_lived_handle", ToText(violation, extension.Options())));
}

TEST(Text, DoubleCloseOnOneLine) {
  const SampleExtension extension;
  Violation violation = extension.UseAfterClose();
  violation.kind = Kind::kDoubleClose;
  violation.message = ComposeMessage(violation.kind, "");
  violation.api = "HPy_Close";
  violation.at = violation.closed;
  EXPECT_TRUE(MatchesGolden("double_close", ToText(violation, extension.Options())));
}

TEST(Text, OpenedInAnotherFileAndByOtherCallers) {
  const SampleExtension extension;
  Violation violation = extension.UseAfterClose();
  violation.opened->native = {extension.Frame("row_item", "src/row.c", 7),
                              extension.Frame("row_sum", "src/matrix.c", 80)};
  violation.opened->python = {{"setup", "test_matrix.py", 5}};
  violation.opened->api = "HPy_GetItem_i";
  EXPECT_TRUE(MatchesGolden("two_files", ToText(violation, extension.Options())));
}

TEST(Text, WithoutSourceFiles) {
  const SampleExtension extension;
  Violation violation = extension.UseAfterClose();
  for (std::optional<Stack>* stack : {&violation.at, &violation.opened, &violation.closed}) {
    (*stack)->native[0].file = "/gone/matrix.c";
  }
  EXPECT_TRUE(MatchesGolden("without_source", ToText(violation, extension.Options())));
}

// A library without debug information: places are offsets, and what to do is said once for each.
TEST(Text, WithoutDebugInformation) {
  const SampleExtension extension;
  Violation violation = extension.UseAfterClose();
  for (std::optional<Stack>* stack : {&violation.at, &violation.opened, &violation.closed}) {
    for (stacktrace::Frame& frame : (*stack)->native) {
      frame.file = "";
      frame.line = 0;
    }
  }
  violation.at->native[1].function = "";
  TextRenderer renderer(extension.Options());
  const std::string first = renderer.Render(violation);
  const std::string second = renderer.Render(violation);
  EXPECT_TRUE(MatchesGolden("without_debug_information", first + "\n" + second));
  EXPECT_EQ(second.find("-g"), std::string::npos);
}

// The extension function itself is all that is known of a call in tail position.
TEST(Text, CallInTailPosition) {
  const SampleExtension extension;
  Violation violation = extension.UseAfterClose();
  violation.at->native = {extension.Frame("trace_impl", "src/matrix.c", 13)};
  violation.at->native[0].tail = true;
  EXPECT_TRUE(MatchesGolden("tail_call", ToText(violation, extension.Options())));
}

// Where the debug information had the line of the tail call after all, it is shown as any other.
TEST(Text, CallInTailPositionWithItsLine) {
  const SampleExtension extension;
  Violation violation = extension.UseAfterClose();
  violation.at->native[0].tail = true;
  const std::string text = ToText(violation, extension.Options());
  EXPECT_NE(text.find("^^^^^^^ used here"), std::string::npos) << text;
}

TEST(Text, ReturnedValueMarksTheFunction) {
  const SampleExtension extension;
  Violation violation = extension.UseAfterClose();
  violation.kind = Kind::kReturnOfClosed;
  violation.message = ComposeMessage(violation.kind, "trace returned a handle that it had closed");
  violation.api.reset();
  violation.argument = 0;
  violation.at->native = {extension.Frame("trace_impl", "src/matrix.c", 13)};
  EXPECT_TRUE(MatchesGolden("return_of_closed", ToText(violation, extension.Options())));
}

TEST(Text, PythonFramesAreThePlaceWhereThereIsNoNativeOne) {
  const SampleExtension extension;
  Violation violation = extension.Leak(80);
  violation.opened->native.clear();
  const std::string text = ToText(violation, extension.Options());
  EXPECT_NE(text.find("\n --> test_matrix.py:17 in test_trace\n"), std::string::npos) << text;
}

TEST(Text, TheFunctionIsThePlaceWhereThereIsNoStack) {
  Violation violation;
  violation.kind = Kind::kResultWithException;
  violation.module = "matrix";
  violation.function = "Matrix.trace";
  violation.notes = {"the story of this handle was recycled"};
  EXPECT_EQ(ToText(violation, {}),
            "error[result-with-exception]: a function returned a result with an exception set\n"
            " --> matrix.Matrix.trace\n"
            "  = note: the story of this handle was recycled\n"
            "  = help: return the error value when a call fails, or call HPyErr_Clear when the "
            "failure does not matter\n");
}

TEST(Text, NothingKnownButTheKind) {
  Violation violation;
  violation.kind = Kind::kReturnOfArgument;
  EXPECT_EQ(ToText(violation, {}),
            "error[return-of-argument]: an argument was returned without HPy_Dup\n"
            "  = help: return HPy_Dup(ctx, argument)\n");
}

TEST(Text, LongAndShortenedStacks) {
  const SampleExtension extension;
  Violation violation = extension.Leak(80);
  for (int i = 0; i < 20; ++i) {
    violation.opened->native.push_back(extension.Frame("recurse", "src/matrix.c", 100 + i));
  }
  violation.opened->truncated = true;
  TextOptions options = extension.Options();
  options.max_frames = 3;
  EXPECT_TRUE(MatchesGolden("long_stack", ToText(violation, options)));
}

TEST(Text, CannotBeUsedToControlATerminal) {
  const SampleExtension extension;
  Violation violation = extension.UseAfterClose();
  violation.message = "bad \x1b[31m\nnews";
  violation.handle->repr = "\x1b]0;title\x07\xff";
  violation.handle->type = "a\nb";
  violation.at->native[0].function = "f\x1b[2J";
  violation.at->python[0].file = "\x1b.py";
  violation.notes = {"note\x9b\n"};
  for (const char c : ToText(violation, extension.Options())) {
    EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 || c == '\n');
  }
}

TEST(Text, ColourChangesNothingElse) {
  const SampleExtension extension;
  TextOptions options = extension.Options();
  options.color = true;
  const std::string coloured = ToText(extension.UseAfterClose(), options);
  std::string plain;
  for (size_t at = 0; at < coloured.size(); ++at) {
    if (coloured[at] == '\x1b') {
      at = coloured.find('m', at);
    } else {
      plain += coloured[at];
    }
  }
  EXPECT_NE(coloured, plain);
  EXPECT_EQ(plain, ToText(extension.UseAfterClose(), extension.Options()));
}

// A stale source shows lines that did not run: that must be said.
TEST(Text, SourceNewerThanTheLibrary) {
  const SampleExtension extension;
  const testing::TemporaryDirectory directory;
  Violation violation = extension.UseAfterClose();
  const std::string library = directory.Write("matrix.so", "");
  std::filesystem::last_write_time(
      library, std::filesystem::last_write_time(library) - std::chrono::hours(1));
  violation.at->native[0].library = library;
  const std::string text = ToText(violation, extension.Options());
  EXPECT_NE(text.find(" = note: src/matrix.c was changed after matrix.so was built"),
            std::string::npos)
      << text;
}

}  // namespace
}  // namespace hpy::leakdetector
