// The state of this room and its one lock.

#include "stacktrace/core.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "stacktrace/unwind.h"

namespace hpy::stacktrace {

constinit std::atomic<uint32_t> g_epoch{1};
constinit std::atomic<uint64_t> g_reentered{0};
constinit std::atomic<uint64_t> g_memo_bytes{0};
constinit thread_local volatile sig_atomic_t t_busy HPY_STACKTRACE_TLS = 0;
constinit thread_local Memo* t_memo HPY_STACKTRACE_TLS = nullptr;
constinit thread_local Memo* t_idle_memo HPY_STACKTRACE_TLS = nullptr;

namespace {

constinit std::mutex g_symbolizer_mutex;

// A child has only the thread that forked, so no other may be inside at that moment: the child
// would find half a table and a lock that nobody gives back.
void BeforeFork() {
  SymbolizerMutex().lock();
  TheCore().mutex.lock();
}
void AfterFork() {
  TheCore().mutex.unlock();
  SymbolizerMutex().unlock();
}

}  // namespace

Core& TheCore() {
  static Core* const core = [] {
    auto* made = new Core;
    // The handlers below, the destructors of threads and the frames of our caller all need our code
    // to stay.
    made->modules.Pin(reinterpret_cast<uintptr_t>(&TheCore));
    made->modules.Pin(
        reinterpret_cast<uintptr_t>(&qsort));  // the C library, which calls back now and then
    pthread_atfork(BeforeFork, AfterFork, AfterFork);
    return made;
  }();
  return *core;
}

std::mutex& SymbolizerMutex() { return g_symbolizer_mutex; }

void CoreLock::Update() {
  if (!core_.modules.Update()) return;
  ++core_.invalidations;
  // No library was loaded before the first look, so nothing was remembered either; later ones void
  // the memo.
  uint32_t next = g_epoch.load(std::memory_order_relaxed) + 1;
  if (next == kEveryEpoch) ++next;
  g_epoch.store(next, std::memory_order_release);
  UnwindTablesChanged();
}

bool Pin(const void* address) {
  CoreLock core;
  core.Update();
  return core->modules.Pin(reinterpret_cast<uintptr_t>(address));
}

RawStack Lookup(StackId id) {
  CoreLock core;
  return core->depot.Lookup(id);
}

int LookupInto(StackId id, RawFrame* frames, int max, bool* truncated) {
  CoreLock core;
  return core->depot.LookupInto(id, frames, max, truncated);
}

const ModuleInfo* ModuleOf(uint32_t module) {
  CoreLock core;
  return core->modules.Info(module);
}

bool TryLockForFork() {
  if (IsBusy()) return false;
  for (int attempt = 0; attempt < 100; ++attempt) {
    if (SymbolizerMutex().try_lock()) {
      if (TheCore().mutex.try_lock()) return true;
      SymbolizerMutex().unlock();
    }
    const timespec millisecond = {0, 1'000'000};
    nanosleep(&millisecond, nullptr);
  }
  return false;
}

void UnlockAfterFork() { AfterFork(); }

}  // namespace hpy::stacktrace
