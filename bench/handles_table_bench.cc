// What a handle costs in the table alone: opening, closing and resolving it, warm and cold.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <vector>

#include "handles/handle_table.h"

namespace {

using hpy::handles::Ending;
using hpy::handles::HandleTable;

HPy Object() { return HPy{0x1001}; }

std::vector<HPy> Fill(HandleTable* table, int64_t count) {
  std::vector<HPy> handles(static_cast<size_t>(count));
  for (HPy& handle : handles) handle = table->Open(Object(), 1, 1);
  return handles;
}

std::vector<HPy> Shuffled(std::vector<HPy> handles) {
  std::shuffle(handles.begin(), handles.end(), std::minstd_rand(1));
  return handles;
}

// One new handle, while so many others are open.
void BM_OpenClose(benchmark::State& state) {
  HandleTable table;
  Fill(&table, state.range(0));
  for (auto _ : state) {
    const HPy handle = table.Open(Object(), 1, 1);
    table.Close(table.Resolve(handle), 2, Ending::kClosed);
  }
}
BENCHMARK(BM_OpenClose)->Arg(0)->Arg(1000)->Arg(1000000)->Arg(10000000);

// The same handle again and again; then each time another of ten million, far away from the last.
void BM_ResolveWarm(benchmark::State& state) {
  HandleTable table;
  const HPy handle = table.Open(Object(), 1, 1);
  for (auto _ : state) benchmark::DoNotOptimize(table.Resolve(handle));
}
BENCHMARK(BM_ResolveWarm);
void BM_ResolveCold(benchmark::State& state) {
  HandleTable table;
  const std::vector<HPy> handles = Shuffled(Fill(&table, state.range(0)));
  size_t i = 0;
  intptr_t last = 0;
  for (auto _ : state) {
    // Each lookup waits for the one before, as it does in a program.
    const auto* slot = table.Resolve(HPy{handles[i]._i | (last & 0)});
    benchmark::DoNotOptimize(last = static_cast<intptr_t>(slot->value));
    if (++i == handles.size()) i = 0;
  }
}
BENCHMARK(BM_ResolveCold)->Arg(10000000);

void BM_CloseInRandomOrder(benchmark::State& state) {
  for (auto _ : state) {
    state.PauseTiming();
    {
      HandleTable table;
      const std::vector<HPy> handles = Shuffled(Fill(&table, state.range(0)));
      state.ResumeTiming();
      for (const HPy handle : handles) table.Close(table.Resolve(handle), 2, Ending::kClosed);
      state.PauseTiming();
    }
    state.ResumeTiming();
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_CloseInRandomOrder)->Arg(1000)->Arg(10000000)->Iterations(1);

// A leak check that finds nothing.
void BM_CountOpenOfNewGeneration(benchmark::State& state) {
  HandleTable table;
  Fill(&table, state.range(0));
  const int64_t generation = table.NewGeneration();
  for (auto _ : state) benchmark::DoNotOptimize(table.CountOpen(generation));
}
BENCHMARK(BM_CountOpenOfNewGeneration)->Arg(10000000);

}  // namespace
