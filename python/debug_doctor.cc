// What `python -m hpy.debug doctor` asks of native code: the cost of a capture, and who handles faults.
#include <Python.h>
#include <alloca.h>
#include <dlfcn.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "debug_state.h"
#include "handles/buffers.h"
#include "stacktrace/stacktrace.h"

namespace hpy::python {

namespace {

using Clock = std::chrono::steady_clock;
using stacktrace::StackId;

constexpr int kRepetitions = 100000;
constexpr int kRounds = 5;
constexpr int kFunctions = 2;
constexpr int kColdSites = 256;

// As an API function does for its caller.
[[gnu::noinline]] StackId CaptureCaller(uintptr_t stop_sp) {
  const StackId id = stacktrace::Capture(HPY_STACKTRACE_CALL_SITE(), {stop_sp, 0, 16});
  asm volatile("" ::: "memory");  // keeps the frame: no tail call
  return id;
}

// The nanoseconds of a capture of the same place again and again.
[[gnu::noinline]] double Warm(uintptr_t stop_sp, StackId* id) {
  const Clock::time_point begin = Clock::now();
  for (int i = 0; i < kRepetitions; i++) *id = CaptureCaller(stop_sp);
  const std::chrono::duration<double, std::nano> taken = Clock::now() - begin;
  return taken.count() / kRepetitions;
}

// The same of a place that was not seen before: at another depth of the stack each time.
[[gnu::noinline]] double Cold(uintptr_t stop_sp, size_t depth) {
  volatile char* room = static_cast<volatile char*>(alloca(depth));
  room[0] = 0;
  const Clock::time_point begin = Clock::now();
  CaptureCaller(stop_sp);
  const std::chrono::duration<double, std::nano> taken = Clock::now() - begin;
  room[depth - 1] = 0;
  return taken.count();
}

// The same below a few functions, as an extension has them.
[[gnu::noinline]] double WarmBelow(int functions, uintptr_t stop_sp, StackId* id) {
  const double taken = functions == 0 ? Warm(stop_sp, id) : WarmBelow(functions - 1, stop_sp, id);
  asm volatile("" ::: "memory");
  return taken;
}

[[gnu::noinline]] PyObject* MeasureCaptures() {
  const uintptr_t stop_sp = HPY_STACKTRACE_STOP();
  StackId id = stacktrace::kNoStack;
  WarmBelow(kFunctions, stop_sp, &id);  // fills the memo
  const stacktrace::Stats before = stacktrace::GetStats();
  std::vector<double> warm, cold;
  warm.reserve(kRounds);
  cold.reserve(kColdSites);
  for (int i = 0; i < kRounds; i++) warm.push_back(WarmBelow(kFunctions, stop_sp, &id));
  const stacktrace::Stats after = stacktrace::GetStats();
  for (int i = 0; i < kColdSites; i++)
    cold.push_back(Cold(stop_sp, static_cast<size_t>(i + 1) * 16));
  std::sort(cold.begin(), cold.end());
  const double captures = static_cast<double>(kRepetitions) * kRounds;
  return Py_BuildValue(
      "{s:n,s:d,s:d,s:d}", "frames", static_cast<Py_ssize_t>(stacktrace::Lookup(id).frames.size()),
      "warm_ns", *std::min_element(warm.begin(), warm.end()), "cold_ns", cold[cold.size() / 2],
      "fast_share", 1.0 - static_cast<double>(after.misses - before.misses) / captures);
}

// Which library handles a signal: its path, "default", "ignored", or "unknown".
std::string HandlerOf(int signal) {
  struct sigaction action;
  if (sigaction(signal, nullptr, &action) != 0) return "unknown";
  const void* handler = (action.sa_flags & SA_SIGINFO) != 0
                            ? reinterpret_cast<const void*>(action.sa_sigaction)
                            : reinterpret_cast<const void*>(action.sa_handler);
  if (handler == reinterpret_cast<const void*>(SIG_DFL)) return "default";
  if (handler == reinterpret_cast<const void*>(SIG_IGN)) return "ignored";
  Dl_info info;
  if (dladdr(handler, &info) == 0 || info.dli_fname == nullptr) return "unknown";
  return info.dli_fname;
}

// What guards memory behind pointers here, tried with a buffer of its own.
std::string GuardOfMemory(handles::Guard guard) {
  handles::Buffers buffers;
  if (guard != handles::Guard::kHeap) buffers.set_guard(guard);
  errno = 0;
  if (buffers.Give(0, "", 0) == nullptr || buffers.IsOnHeap(0)) {
    rlimit files{}, space{};
    getrlimit(RLIMIT_FSIZE, &files);
    getrlimit(RLIMIT_AS, &space);
    std::string why = "no guarded pages";
    if (files.rlim_cur != RLIM_INFINITY) why += "; ulimit -f is set: raise it";
    if (space.rlim_cur != RLIM_INFINITY) why += "; ulimit -v is set: raise it";
    if (errno != 0) why += std::string("; the kernel says: ") + std::strerror(errno);
    return "copies on the heap (" + why + ")";
  }
  const handles::PagePool& pool = *buffers.pool();
  const bool markers = pool.method() == handles::GuardMethod::kMarkers;
  const std::string keys =
      pool.keys() == 0 ? "" : " and " + std::to_string(pool.keys()) + " protection keys";
  return "pages with " +
         std::string(markers ? "guard markers (madvise)" : "guards beyond the end of a file") +
         keys + ", for up to " + std::to_string(pool.max_slots()) + " small copies";
}

}  // namespace

PyObject* Doctor(PyObject*, PyObject*) {
  const DebugState* const debug = DebugState::OfInterpreter();
  if (debug == nullptr) return nullptr;
  const handles::Guard guard = debug->state.buffers.guard();
  PyObject* captures = MeasureCaptures();
  if (captures == nullptr) return nullptr;
  return Py_BuildValue("{s:N,s:s,s:{s:s,s:s}}", "captures", captures, "guard",
                       GuardOfMemory(guard).c_str(), "fault_handlers", "SIGSEGV",
                       HandlerOf(SIGSEGV).c_str(), "SIGBUS", HandlerOf(SIGBUS).c_str());
}

}  // namespace hpy::python
