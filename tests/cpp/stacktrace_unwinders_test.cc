// The unwinders that this build has not chosen: compiled here under other names, and right.

#include <gtest/gtest.h>
#include <unwind.h>

#include "stacktrace/modules.h"
#include "stacktrace/stacktrace.h"
#include "tests/cpp/stacktrace_test_util.h"

#define Unwind UnwindWithNone
#define UnwindTablesChanged UnwindTablesChangedWithNone
#define UnwindInterrupted UnwindInterruptedWithNone
#include "stacktrace/unwind_none.cc"  // NOLINT(build/include)
#undef Unwind
#undef UnwindTablesChanged
#undef UnwindInterrupted
#define UnwindTablesChanged UnwindTablesChangedWithLibgcc
#define UnwindInterrupted UnwindInterruptedWithLibgcc
#define Unwind UnwindWithLibgcc
namespace hpy::stacktrace {
bool Unwind(const Modules&, const CallSite&, uintptr_t, int, Unwinding*);
}
#include "stacktrace/unwind_libgcc.cc"  // NOLINT(build/include)
#undef Unwind
#undef UnwindTablesChanged
#undef UnwindInterrupted

namespace hpy::stacktrace::testing {
namespace {

Unwinding g_out;
int g_max_frames = 64;
bool g_use_libgcc;
CallSite g_site;
volatile int g_sink;

__attribute__((noinline)) void UnwindApi() {
  g_site = HPY_STACKTRACE_CALL_SITE();
  Modules modules;
  modules.Update();
  if (g_use_libgcc) {
    UnwindWithLibgcc(modules, g_site, t_call.limits.stop_sp, g_max_frames, &g_out);
  } else {
    UnwindWithNone(modules, g_site, t_call.limits.stop_sp, g_max_frames, &g_out);
  }
  asm volatile("" : : : "memory");
}
__attribute__((noinline)) void Inner(int n) {
  UnwindApi();
  g_sink = n;
}
__attribute__((noinline)) void Recurse(int n) {
  if (n == 0) {
    Inner(n);
  } else {
    Recurse(n - 1);
  }
  g_sink = n;
}

std::vector<uintptr_t> Pcs() { return {g_out.pcs, g_out.pcs + g_out.depth}; }

TEST(UnwindNone, KnowsTheCaller) {
  g_use_libgcc = false;
  Trampoline(Recurse, 3);
  EXPECT_EQ(Pcs(), std::vector<uintptr_t>{g_site.pc});
  EXPECT_TRUE(g_out.truncated);
  EXPECT_TRUE(g_out.repeatable);
  EXPECT_EQ(g_out.word_count, 0);
  const std::vector<Frame> frames = SymbolizeAddress(g_out.pcs[0], true);
  EXPECT_NE(Text(frames).find("Inner"), std::string::npos) << Text(frames);
}

TEST(UnwindLibgcc, AgreesWithTheOther) {
  g_use_libgcc = true;
  for (int depth = 0; depth < 20; ++depth) {
    g_max_frames = 64;
    Trampoline(Recurse, depth);
    EXPECT_EQ(g_out.depth, depth + 2);
    EXPECT_FALSE(g_out.truncated);
    EXPECT_TRUE(g_out.at_stop);
    EXPECT_FALSE(g_out.repeatable);
    const std::vector<uintptr_t> all = Pcs();
    g_max_frames = depth + 1;
    Trampoline(Recurse, depth);
    EXPECT_EQ(g_out.depth, depth + 1);
    EXPECT_TRUE(g_out.truncated);
    EXPECT_EQ(Pcs(), std::vector<uintptr_t>(all.begin(), all.end() - 1));
  }
}

__attribute__((noinline)) void TailTrampoline() {
  t_call.limits.stop_sp = HPY_STACKTRACE_STOP();
  UnwindApi();
  asm volatile("");
}

TEST(UnwindLibgcc, NothingBelowTheStop) {
  g_use_libgcc = true;
  g_max_frames = 64;
  TailTrampoline();
  EXPECT_EQ(g_out.depth, 0);
  EXPECT_TRUE(g_out.at_stop);
}

TEST(UnwindLibgcc, ACallSiteThatIsNotOnTheStack) {
  Modules modules;
  modules.Update();
  UnwindWithLibgcc(modules, CallSite{.pc = 0x1234, .sp = 0x5678, .fp = 0}, 0, 64, &g_out);
  EXPECT_EQ(Pcs(), std::vector<uintptr_t>{0x1234});
  EXPECT_TRUE(g_out.truncated);
}

}  // namespace
}  // namespace hpy::stacktrace::testing
