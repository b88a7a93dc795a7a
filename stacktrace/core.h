// The state of this room and its one lock.
//
// Lock order: the symbolizer's lock, this lock, the loader's lock (dl_iterate_phdr). The hot path
// of a capture takes none.

#ifndef HPY_STACKTRACE_CORE_H_
#define HPY_STACKTRACE_CORE_H_

#include <signal.h>

#include <atomic>
#include <mutex>

#include "stacktrace/depot.h"
#include "stacktrace/memo.h"
#include "stacktrace/modules.h"
#include "stacktrace/stacktrace.h"
#include "stacktrace/tls.h"

namespace hpy::stacktrace {

struct Core {
  std::mutex mutex;
  Modules modules;
  Depot depot;
  // Under the lock; GetStats() adds the rest.
  uint64_t misses = 0, exact = 0, invalidations = 0;
};

// Made at the first use and never destroyed: threads may capture until the process ends.
Core& TheCore();

// The state of loaded libraries that memo entries were made in; starts at 1. 0 stands in entries
// that hold in every epoch (all their libraries are pinned).
inline constexpr uint32_t kEveryEpoch = 0;
extern constinit std::atomic<uint32_t> g_epoch;

extern constinit std::atomic<uint64_t> g_reentered;
extern constinit std::atomic<uint64_t> g_memo_bytes;

// Not 0 while this thread is inside this room, so that a capture in a signal handler keeps out.
extern constinit thread_local volatile sig_atomic_t t_busy HPY_STACKTRACE_TLS;
// Of this thread; freed when it ends.
extern constinit thread_local Memo* t_memo HPY_STACKTRACE_TLS;

// The same, and while the memo is in use (Remembered()).
inline bool IsBusy() { return t_busy != 0 || t_idle_memo != t_memo; }

// Marks the thread as busy. The fences keep the compiler from moving work out of the marked
// region; a signal handler runs on the same thread, so nothing else is needed.
class BusyScope {
 public:
  BusyScope() : before_(t_busy), idle_(t_idle_memo == t_memo) {
    t_busy = 1;
    t_idle_memo = nullptr;
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  ~BusyScope() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (idle_ && before_ == 0) t_idle_memo = t_memo;
    t_busy = before_;
  }
  BusyScope(const BusyScope&) = delete;
  BusyScope& operator=(const BusyScope&) = delete;

 private:
  const sig_atomic_t before_;
  const bool idle_;  // nobody else was using the memo
};

// The lock. The thread is marked first and unmarked last: a handler in between would wait for
// itself.
class CoreLock {
 public:
  CoreLock() : core_(TheCore()), lock_(core_.mutex) {}
  Core* operator->() const { return &core_; }

  // Reads the list of libraries again if it has changed; entries made before are void then.
  void Update();

 private:
  BusyScope busy_;
  Core& core_;
  std::lock_guard<std::mutex> lock_;
};

// The symbolizer's lock, which is held over fork() as well.
std::mutex& SymbolizerMutex();

}  // namespace hpy::stacktrace

#endif  // HPY_STACKTRACE_CORE_H_
