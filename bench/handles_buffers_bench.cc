// What a pointer into guarded memory costs: the copy, one read by the extension, the end of the handle.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "handles/buffers.h"

namespace {

using hpy::handles::Buffers;
using hpy::handles::BufferStory;
using hpy::handles::Guard;
using hpy::handles::PagePool;

constexpr size_t kLimit = 10 << 20;  // of bytes of closed copies, as the setting closed_buffers

// As many slots as the queue of closed handles has by default: a handle's slot comes back after that.
constexpr uint32_t kSlots = 1024;

char ReadOne(const char* copy) { return *static_cast<const volatile char*>(copy); }

// One buffer at a time: given, read once, closed.
template <Guard guard>
void BM_GiveReadClose(benchmark::State& state) {
  Buffers buffers;
  buffers.set_guard(guard);
  buffers.set_closed_max(kLimit);
  BufferStory story;
  story.opened = 1;  // adaptive trusts a pair of sites that it knows
  uint32_t slot = 0;
  for (auto _ : state) {
    buffers.Drop(slot);
    benchmark::DoNotOptimize(ReadOne(buffers.Give(slot, "some text", 9, story)));
    buffers.Revoke(slot, {.closed = 2, .by_return = false, .ended = 0}, kLimit);
    slot = (slot + 1) % kSlots;
  }
  if (buffers.pool() != nullptr) {
    state.counters["mprotect"] = benchmark::Counter(static_cast<double>(buffers.pool()->calls()),
                                                    benchmark::Counter::kAvgIterations);
  }
}
BENCHMARK(BM_GiveReadClose<Guard::kStrict>);
BENCHMARK(BM_GiveReadClose<Guard::kAdaptive>);
BENCHMARK(BM_GiveReadClose<Guard::kHeap>);

// The arguments of one call: given one after the other, read, closed together.
template <Guard guard>
void BM_Arguments(benchmark::State& state) {
  Buffers buffers;
  buffers.set_guard(guard);
  buffers.set_closed_max(kLimit);
  const auto count = static_cast<uint32_t>(state.range(0));
  uint32_t slot = 0;
  for (auto _ : state) {
    for (uint32_t i = 0; i < count; i++) {
      buffers.Drop(slot + i);
      benchmark::DoNotOptimize(ReadOne(buffers.Give(slot + i, "some text", 9)));
    }
    for (uint32_t i = 0; i < count; i++) {
      buffers.Revoke(slot + i, {.closed = 0, .by_return = true, .ended = 0}, kLimit, true);
    }
    buffers.Flush();
    slot = (slot + count) % kSlots;
  }
  state.SetItemsProcessed(state.iterations() * count);
}
BENCHMARK(BM_Arguments<Guard::kStrict>)->Arg(2)->Arg(8);

// While this many others are open.
void BM_WithOpenOnes(benchmark::State& state) {
  Buffers buffers;
  const auto open = static_cast<uint32_t>(state.range(0));
  for (uint32_t i = 0; i < open; i++) buffers.Give(kSlots + i, "some text", 9);
  uint32_t slot = 0;
  for (auto _ : state) {
    buffers.Drop(slot);
    benchmark::DoNotOptimize(ReadOne(buffers.Give(slot, "some text", 9)));
    buffers.Revoke(slot, {}, kLimit);
    slot = (slot + 1) % kSlots;
  }
}
BENCHMARK(BM_WithOpenOnes)->Arg(100)->Arg(5000);

// A copy that is larger than a page has a mapping of its own.
void BM_Large(benchmark::State& state) {
  Buffers buffers;
  const std::vector<char> text(static_cast<size_t>(state.range(0)), 'x');
  for (auto _ : state) {
    benchmark::DoNotOptimize(ReadOne(buffers.Give(0, text.data(), text.size())));
    buffers.Revoke(0, {}, 0);
  }
}
BENCHMARK(BM_Large)->Arg(10000)->Arg(1000000);

}  // namespace

BENCHMARK_MAIN();
