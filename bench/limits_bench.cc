// What the machine needs for the least that operations must do: the limits in docs/performance.md.

#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

namespace {

// An indirect call that is predicted, of a function that does nothing: a context function.
__attribute__((noinline)) void Nothing(int64_t* value) { benchmark::DoNotOptimize(value); }
void BM_IndirectCall(benchmark::State& state) {
  void (*volatile function)(int64_t*) = Nothing;
  int64_t value = 0;
  for (auto _ : state) function(&value);
}
BENCHMARK(BM_IndirectCall);

// A word that is written and read back, each time after the last: a slot of the handle table.
void BM_StoreThenLoad(benchmark::State& state) {
  volatile int64_t word = 0;
  for (auto _ : state) word = word + 1;
}
BENCHMARK(BM_StoreThenLoad);

// One load that hits no cache: a slot among ten million.
void BM_CacheMiss(benchmark::State& state) {
  constexpr size_t kLines = 10'000'000 / 2;  // two slots of 32 bytes each
  struct alignas(64) Line {
    uint32_t next;
  };
  std::vector<Line> lines(kLines);
  std::vector<uint32_t> order(kLines);
  std::iota(order.begin(), order.end(), 0u);
  std::shuffle(order.begin(), order.end(), std::minstd_rand(1));
  for (size_t i = 0; i < kLines; ++i) lines[order[i]].next = order[(i + 1) % kLines];
  uint32_t at = 0;
  for (auto _ : state) benchmark::DoNotOptimize(at = lines[at].next);
}
BENCHMARK(BM_CacheMiss);

void BM_SystemCall(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(getppid());
}
BENCHMARK(BM_SystemCall);

void BM_Clock(benchmark::State& state) {
  timespec now;
  for (auto _ : state) benchmark::DoNotOptimize(clock_gettime(CLOCK_MONOTONIC, &now));
}
BENCHMARK(BM_Clock);

// Pages that become inaccessible, one call for so many: the least that a strict guard does. They
// were read before, so each has an entry that must go, and the processor must be told.
// (DoNotOptimize() of the byte in place would write it back.)
char Read(const char* at) { return *static_cast<const volatile char*>(at); }
void BM_RevokePages(benchmark::State& state) {
  const auto pages = static_cast<size_t>(state.range(0));
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  auto* memory = static_cast<char*>(
      mmap(nullptr, pages * page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  if (memory == MAP_FAILED) {
    state.SkipWithError("mmap");
    return;
  }
  for (size_t i = 0; i < pages; ++i) memory[i * page] = 1;
  for (auto _ : state) {
    state.PauseTiming();
    mprotect(memory, pages * page, PROT_READ);
    for (size_t i = 0; i < pages; ++i) {
      benchmark::DoNotOptimize(Read(memory + i * page));
    }
    state.ResumeTiming();
    mprotect(memory, pages * page, PROT_NONE);
  }
  munmap(memory, pages * page);
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_RevokePages)->Arg(1)->Arg(3)->Iterations(20000);

// The fault at the first read of a page that was armed.
void BM_FirstRead(benchmark::State& state) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  auto* memory = static_cast<char*>(
      mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  if (memory == MAP_FAILED) {
    state.SkipWithError("mmap");
    return;
  }
  memory[0] = 1;
  for (auto _ : state) {
    state.PauseTiming();
    mprotect(memory, page, PROT_NONE);
    mprotect(memory, page, PROT_READ);
    state.ResumeTiming();
    benchmark::DoNotOptimize(Read(memory));
  }
  munmap(memory, page);
}
BENCHMARK(BM_FirstRead)->Iterations(20000);

}  // namespace
