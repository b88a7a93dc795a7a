// Which frames are HPy's own, so that the first one left is the extension's.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "leakdetector/frame_filter.h"

namespace hpy::leakdetector {
namespace {

using stacktrace::Frame;

Frame At(std::string function, std::string file, std::string library) {
  return {.function = std::move(function),
          .file = std::move(file),
          .line = 1,
          .library = std::move(library),
          .offset = 16};
}

FrameFilter MakeFilter() {
  FrameFilter filter;
  filter.own_libraries = {"/site-packages/hpy/"};
  filter.own_directories = {"/checkout/inc"};
  filter.own_functions = {"_PyEval_"};
  return filter;
}

TEST(FrameFilter, InlinedApiFunctionsVanishAndNameTheCall) {
  const Stack stack = MakeFilter().Apply({
      At("debug_ctx_Add", "", "/site-packages/hpy/debug/_native.so"),
      At("HPy_Add", "/usr/include/hpy/inline_universal.h", "/ext/matrix.so"),
      At("row_sum", "/src/matrix.c", "/ext/matrix.so"),
      At("HPy_Call", "/usr/include/hpy/inline_universal.h", "/ext/matrix.so"),
      At("trace", "/src/matrix.c", "/ext/matrix.so"),
      At("_PyEval_EvalFrameDefault", "ceval.c", "/usr/bin/python3"),
  });
  ASSERT_EQ(stack.native.size(), 2u);
  EXPECT_EQ(stack.native[0].function, "row_sum");
  EXPECT_EQ(stack.native[1].function, "trace");
  EXPECT_EQ(stack.api, "HPy_Add");
}

TEST(FrameFilter, TheCallIsTheOutermostFunctionOfTheApi) {
  const Stack stack = MakeFilter().Apply({
      At("HPy_Close", "/usr/include/hpy/inline_universal.h", "/ext/matrix.so"),
      At("parse_item", "/venv/hpy/devel/src/runtime/argparse.c", "/ext/matrix.so"),
      At("HPyArg_Parse", "/venv/hpy/devel/src/runtime/argparse.c", "/ext/matrix.so"),
      At("trace", "/src/matrix.c", "/ext/matrix.so"),
  });
  ASSERT_EQ(stack.native.size(), 1u);
  EXPECT_EQ(stack.api, "HPyArg_Parse");
}

TEST(FrameFilter, FramesOfTheExtensionAreNeverTaken) {
  const FrameFilter filter = MakeFilter();
  EXPECT_FALSE(filter.IsOwn(At("HPyArray_New", "/src/array.c", "/ext/array.so")));
  EXPECT_FALSE(filter.IsOwn(At("f", "/home/me/hpy/src/array.c", "/home/me/hpy/array.so")));
  EXPECT_FALSE(filter.IsOwn(At("f", "/home/me/hpy/helpers.h", "/ext/array.so")));
  EXPECT_FALSE(filter.IsOwn(At("f", "/home/me/myhpy.h", "/ext/array.so")));
  EXPECT_FALSE(filter.IsOwn(At("f", "/home/me/myinclude/hpy/x.h", "/ext/array.so")));
  EXPECT_FALSE(filter.IsOwn(At("f", "/checkout/include2/x.c", "/site-packages/hpy_ext.so")));
  EXPECT_FALSE(filter.IsOwn(At("", "", "/ext/array.so")));
  EXPECT_FALSE(filter.IsOwn(Frame{}));
}

TEST(FrameFilter, FramesOfHPyAreTaken) {
  const FrameFilter filter = MakeFilter();
  EXPECT_TRUE(filter.IsOwn(At("f", "", "/site-packages/hpy/universal.so")));
  EXPECT_TRUE(filter.IsOwn(At("f", "/venv/hpy/devel/include/hpy.h", "/ext/a.so")));
  EXPECT_TRUE(filter.IsOwn(At("f", "/venv/hpy/devel/include/hpy/cpython/x.h", "/ext/a.so")));
  EXPECT_TRUE(filter.IsOwn(At("f", "include/hpy/x.h", "/ext/a.so")));
  EXPECT_TRUE(filter.IsOwn(At("f", "/checkout/inc/hpy/x.h", "/ext/a.so")));
}

TEST(FrameFilter, AnEmptySettingTakesNothing) {
  FrameFilter filter;
  filter.own_libraries = {""};
  filter.own_directories = {""};
  filter.own_functions = {""};
  EXPECT_FALSE(filter.IsOwn(At("f", "/src/array.c", "/ext/array.so")));
}

TEST(FrameFilter, NothingLeftIsAnEmptyStack) {
  const Stack stack = MakeFilter().Apply({At("ctx_Add", "", "/site-packages/hpy/universal.so")});
  EXPECT_TRUE(stack.native.empty());
  EXPECT_EQ(stack.api, "");
  EXPECT_TRUE(MakeFilter().Apply({}).native.empty());
}

}  // namespace
}  // namespace hpy::leakdetector
