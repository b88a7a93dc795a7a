// Violations for tests of texts: an extension matrix.c, with its source, and mistakes in it.

#ifndef HPY_TESTS_CPP_SAMPLE_VIOLATIONS_H_
#define HPY_TESTS_CPP_SAMPLE_VIOLATIONS_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "leakdetector/text.h"
#include "leakdetector/violation.h"
#include "temporary_directory.h"

namespace hpy::testing {

using leakdetector::Kind;
using leakdetector::Stack;
using leakdetector::Violation;

// The source of the extension, in a folder of its own.
class SampleExtension {
 public:
  SampleExtension() {
    directory_.WriteLines("src/matrix.c",
                          {
                              {12, "HPyDef_METH(trace, \"trace\", HPyFunc_O)"},
                              {13, "static HPy trace_impl(HPyContext *ctx, HPy self, HPy matrix)"},
                              {80, "    HPy item = HPy_GetItem_i(ctx, row, i);"},
                              {84, "        HPy_Close(ctx, item);"},
                              {88, "    total = HPy_Add(ctx, total, item);"},
                              {120, "\tresult = row_sum(ctx, row); /* may fail */"},
                          });
    directory_.WriteLines("src/row.c", {
                                           {7, "  return HPy_GetItem_i(ctx,"},
                                           {8, "                       row, i);"},
                                       });
  }

  leakdetector::TextOptions Options() const {
    leakdetector::TextOptions options;
    options.base_directory = directory_.path();
    return options;
  }

  stacktrace::Frame Frame(std::string function, const std::string& file, int line) const {
    return {.function = std::move(function),
            .file = directory_.File(file),
            .line = line,
            .library = "/venv/matrix.hpy0.so",
            .offset = 0x1000 + static_cast<uint64_t>(line)};
  }

  Stack At(int line) const {
    Stack stack;
    stack.native = {Frame("row_sum", "src/matrix.c", line),
                    Frame("matrix_trace_impl", "src/matrix.c", 120)};
    stack.python = {{"test_trace", "test_matrix.py", 17}, {"<module>", "test_matrix.py", 30}};
    return stack;
  }

  Violation UseAfterClose() const {
    Violation violation;
    violation.kind = Kind::kUseAfterClose;
    violation.message = leakdetector::ComposeMessage(
        violation.kind, "HPy_Add was given a handle that is already closed");
    violation.api = "HPy_Add";
    violation.module = "matrix";
    violation.function = "trace";
    violation.handle = leakdetector::HandleInfo{0x20000012300, 1204, std::nullopt, std::nullopt};
    violation.argument = 2;
    violation.at = At(88);
    violation.opened = At(80);
    violation.closed = At(84);
    return violation;
  }

  Violation Leak(int line) const {
    Violation violation;
    violation.kind = Kind::kHandleLeak;
    violation.message = leakdetector::ComposeMessage(violation.kind, "");
    violation.module = "matrix";
    violation.function = "trace";
    violation.handle = leakdetector::HandleInfo{0x30000012310, 3, "[1.0, 2.0]", "list"};
    violation.opened = At(line);
    return violation;
  }

 private:
  const TemporaryDirectory directory_;
};

}  // namespace hpy::testing

#endif  // HPY_TESTS_CPP_SAMPLE_VIOLATIONS_H_
