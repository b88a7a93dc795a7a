// What a stack trace costs: with the memo, without it, at many sites, and when it is read.

#include <benchmark/benchmark.h>

#include <cstdint>

#include "stacktrace/stacktrace.h"

namespace {

using hpy::stacktrace::Capture;
using hpy::stacktrace::CaptureLimits;
using hpy::stacktrace::StackId;

thread_local CaptureLimits t_limits;

// The API wrapper.
__attribute__((noinline)) StackId Api() { return Capture(HPY_STACKTRACE_CALL_SITE(), t_limits); }

// The extension: `Depth` frames, and the benchmark's loop in the innermost one.
template <int Depth>
__attribute__((noinline)) void Extension(benchmark::State& state) {
  if constexpr (Depth == 1) {
    for (auto _ : state) benchmark::DoNotOptimize(Api());
  } else {
    Extension<Depth - 1>(state);
    asm volatile("");
  }
}

template <int Depth>
__attribute__((noinline)) void BM_Memo(benchmark::State& state) {
  t_limits = {.stop_sp = HPY_STACKTRACE_STOP(), .callee = 0, .max_frames = 64};
  Extension<Depth>(state);
  asm volatile("");
}
BENCHMARK(BM_Memo<1>);
BENCHMARK(BM_Memo<4>);
BENCHMARK(BM_Memo<16>);

// The cost of the call and of the benchmark itself, to be subtracted.
__attribute__((noinline)) StackId EmptyApi() {
  hpy::stacktrace::CallSite site = HPY_STACKTRACE_CALL_SITE();
  benchmark::DoNotOptimize(site);
  return 1;
}
void BM_EmptyApi(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(EmptyApi());
}
BENCHMARK(BM_EmptyApi);

#define HPY_TEN(x) x x x x x x x x x x
__attribute__((noinline)) void TenThousandSites() {
  HPY_TEN(HPY_TEN(HPY_TEN(HPY_TEN(benchmark::DoNotOptimize(Api());))))
  asm volatile("");
}
__attribute__((noinline)) void TenThousandEmpty() {
  HPY_TEN(HPY_TEN(HPY_TEN(HPY_TEN(benchmark::DoNotOptimize(EmptyApi());))))
  asm volatile("");
}
__attribute__((noinline)) void BM_TenThousandSites(benchmark::State& state) {
  t_limits = {.stop_sp = HPY_STACKTRACE_STOP(), .callee = 0, .max_frames = 64};
  const uint64_t misses = hpy::stacktrace::GetStats().misses;
  uint64_t rounds = 0;
  for (auto _ : state) {
    TenThousandSites();
    ++rounds;
  }
  state.SetItemsProcessed(static_cast<int64_t>(rounds) * 10000);
  state.counters["misses_per_round"] =
      static_cast<double>(hpy::stacktrace::GetStats().misses - misses) /
      static_cast<double>(rounds);
}
BENCHMARK(BM_TenThousandSites);
void BM_TenThousandEmpty(benchmark::State& state) {
  for (auto _ : state) TenThousandEmpty();
  state.SetItemsProcessed(static_cast<int64_t>(state.iterations()) * 10000);
}
BENCHMARK(BM_TenThousandEmpty);

// Without the memo: the unwinding that a first capture does (interning is nothing beside it).
__attribute__((noinline)) int UnwindApi() {
  uintptr_t pcs[64];
  const int n = hpy::stacktrace::CaptureAddresses(HPY_STACKTRACE_CALL_SITE(), t_limits, pcs, 64);
  benchmark::DoNotOptimize(pcs[0]);
  return n;
}
template <int Depth>
__attribute__((noinline)) void Cold(benchmark::State& state) {
  if constexpr (Depth == 1) {
    for (auto _ : state) {
      if (UnwindApi() < 1) state.SkipWithError("nothing was captured");
    }
  } else {
    Cold<Depth - 1>(state);
    asm volatile("");
  }
}
template <int Depth>
__attribute__((noinline)) void BM_Cold(benchmark::State& state) {
  t_limits = {.stop_sp = HPY_STACKTRACE_STOP(), .callee = 0, .max_frames = 64};
  Cold<Depth>(state);
  asm volatile("");
}
BENCHMARK(BM_Cold<1>);
BENCHMARK(BM_Cold<4>);
BENCHMARK(BM_Cold<16>);

// The first reading of each address of a program with debug information, and the second.
__attribute__((noinline)) void BM_SymbolizeFirst(benchmark::State& state) {
  const auto code = reinterpret_cast<uintptr_t>(&TenThousandSites);
  hpy::stacktrace::SymbolizeAddress(code, false);  // reads the file's index
  uintptr_t offset = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(hpy::stacktrace::SymbolizeAddress(code + ++offset, false));
  }
}
BENCHMARK(BM_SymbolizeFirst)->Iterations(20000);
void BM_SymbolizeAgain(benchmark::State& state) {
  const auto code = reinterpret_cast<uintptr_t>(&TenThousandSites);
  for (auto _ : state) benchmark::DoNotOptimize(hpy::stacktrace::SymbolizeAddress(code + 1, false));
}
BENCHMARK(BM_SymbolizeAgain);

}  // namespace

BENCHMARK_MAIN();
