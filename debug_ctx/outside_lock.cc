// The lock of what threads that do not hold the interpreter share with those that do.
#include "debug_ctx/outside_lock.h"

#include <pthread.h>

namespace hpy::debug_ctx {

namespace {

constinit std::mutex g_mutex;

void Lock() { g_mutex.lock(); }
void Unlock() { g_mutex.unlock(); }

}  // namespace

std::mutex& OutsideMutex() {
  [[maybe_unused]] static const int registered = pthread_atfork(Lock, Unlock, Unlock);
  return g_mutex;
}

}  // namespace hpy::debug_ctx
