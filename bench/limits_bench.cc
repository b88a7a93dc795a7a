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

// What a strict guard does for a buffer, and nothing else: its bytes are written by way of one mapping
// and read by way of another, which becomes inaccessible, so many at once (adaptive: 128). They have
// become accessible 128 at once. Neighbours go round, so the kernel has few mappings to look after. In
// place of mprotect(), guard markers (MADV_GUARD_INSTALL) took as long, userfaultfd() with
// MADV_DONTNEED 5 to 14 % less (Linux 6.18, a virtual machine). The second number are the pages from
// one to the next: if it is not 1, another page is taken away together with it, so far behind that
// Linux on x86 drops the whole TLB.
// (DoNotOptimize() of the byte in place would write it back.)
char Read(const char* at) { return *static_cast<const volatile char*>(at); }
void BM_GuardedBuffer(benchmark::State& state) {
  constexpr size_t kPages = 1024, kBatch = 128;
  const auto at_once = static_cast<size_t>(state.range(0));
  const auto apart = static_cast<size_t>(state.range(1));
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t step = apart * page;
  const int file = memfd_create("limits", MFD_CLOEXEC);
  if (file < 0 || ftruncate(file, static_cast<off_t>(kPages * step)) != 0) {
    state.SkipWithError("memfd_create");
    return;
  }
  const auto map = [&](int protection) {
    return static_cast<char*>(mmap(nullptr, kPages * step, protection, MAP_SHARED, file, 0));
  };
  char* const readable = map(PROT_READ);
  char* const writable = map(PROT_READ | PROT_WRITE);
  close(file);
  if (readable == MAP_FAILED || writable == MAP_FAILED) {
    state.SkipWithError("mmap");
    return;
  }
  for (size_t i = 0; i < kPages; i++) {
    writable[i * step] = 1;
    Read(readable + (i + 1) * step - page);
  }
  mprotect(readable, kPages * step, PROT_NONE);
  size_t next = 0;
  for (auto _ : state) {
    if (next % kBatch == 0) mprotect(readable + next * step, kBatch * step, PROT_READ);
    writable[next * step] = 2;
    benchmark::DoNotOptimize(Read(readable + next * step));
    next++;
    if (next % at_once == 0) {
      mprotect(readable + (next - at_once) * step, at_once * step, PROT_NONE);
    }
    if (next == kPages) next = 0;
  }
  munmap(readable, kPages * step);
  munmap(writable, kPages * step);
}
BENCHMARK(BM_GuardedBuffer)->Args({1, 1})->Args({1, 34})->Args({128, 1});

#ifdef PKEY_DISABLE_ACCESS
// The same with protection keys, where the machine has them: a page becomes inaccessible as its key is
// refused, and one call takes away as many as there are keys. Pages lie so far apart that the kernel
// drops the TLB as a whole.
void BM_KeyedBuffer(benchmark::State& state) {
  constexpr size_t kApart = 3;
  const auto keys = static_cast<size_t>(state.range(0));
  const size_t batch = 4 * keys, pages = 40 * batch;
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t bytes = pages * kApart * page;
  std::vector<int> key;
  const int file = memfd_create("limits", MFD_CLOEXEC);
  if (file < 0 || ftruncate(file, static_cast<off_t>(bytes)) != 0) {
    state.SkipWithError("memfd_create");
    return;
  }
  const auto map = [&](int protection) {
    return static_cast<char*>(mmap(nullptr, bytes, protection, MAP_SHARED, file, 0));
  };
  char* const readable = map(PROT_NONE);
  char* const writable = map(PROT_READ | PROT_WRITE);
  close(file);
  while (key.size() < keys) {
    const int one = pkey_alloc(0, PKEY_DISABLE_ACCESS);
    if (one < 0) break;
    key.push_back(one);
  }
  const auto at = [&](size_t i) { return i * kApart * page; };
  bool good = readable != MAP_FAILED && writable != MAP_FAILED && key.size() == keys;
  for (size_t i = 0; good && i < pages; i++) {
    writable[at(i)] = 1;
    good = pkey_mprotect(readable + at(i), kApart * page, PROT_NONE, key[i % keys]) == 0;
  }
  if (!good) state.SkipWithError("protection keys");
  size_t next = 0;
  for (auto _ : state) {
    if (next % batch == 0) mprotect(readable + at(next), at(batch), PROT_READ);
    pkey_set(key[next % keys], 0);
    writable[at(next)] = 2;
    benchmark::DoNotOptimize(Read(readable + at(next)));
    pkey_set(key[next % keys], PKEY_DISABLE_ACCESS);
    next++;
    if (next % keys == 0) mprotect(readable + at(next - keys), at(keys), PROT_NONE);
    if (next == pages) next = 0;
  }
  munmap(readable, bytes);
  munmap(writable, bytes);
  for (const int one : key) pkey_free(one);
}
[[maybe_unused]] const bool g_has_keys = [] {
  const int key = pkey_alloc(0, PKEY_DISABLE_ACCESS);
  if (key < 0) return false;
  pkey_free(key);
  benchmark::RegisterBenchmark("BM_KeyedBuffer", BM_KeyedBuffer)->Arg(12);
  return true;
}();
#endif

}  // namespace
