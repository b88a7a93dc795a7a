// Everything at once: threads that load and unload libraries in each other's places, signals that
// interrupt them, frames of changing size. Every stack is compared with a fresh unwinding by libgcc.

#include <alloca.h>
#include <errno.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>

#include "stacktrace/modules.h"
#include "tests/cpp/stacktrace_test_util.h"

namespace hpy::stacktrace::testing {
namespace {

// HPY_STRESS=300 takes minutes and compares tens of millions of stacks.
const int kLoads = [] {
  const char* factor = getenv("HPY_STRESS");
  return 40 * (factor == nullptr ? 1 : std::max(1, atoi(factor)));
}();
constexpr int kThreads = 3;
constexpr int kLibraries = 4;
constexpr int kMaxSeen = 48;

// Built with several values of SIZE, which is encoded in as many bytes: so the same addresses are
// call sites in frames of another size.
constexpr char kSource[] = R"(#include <alloca.h>
typedef void (*api)(int);
volatile int sink;
static __attribute__((noinline)) void fixed(api f, int n)
{
    volatile char buffer[SIZE];
    buffer[n % SIZE] = (char)n;
    f(n);
    sink = buffer[0];
}
static __attribute__((noinline)) void changing(api f, int n)
{
    volatile char *buffer = alloca((unsigned)n % 300 + SIZE);
    buffer[0] = (char)n;
    f(n);
    fixed(f, n + 1);
    sink = buffer[0];
}
static __attribute__((noinline)) void deep(api f, int n, int depth)
{
    volatile char buffer[SIZE];
    buffer[n % SIZE] = (char)depth;
    if (depth > 0) {
        deep(f, n, depth - 1);
    } else {
        changing(f, n);
    }
    f(buffer[0]);
    sink = buffer[0];
}
void enter(api f, int seed)
{
    unsigned n = (unsigned)seed;
    for (int i = 0; i < 20; i++) {
        n = n * 1103515245u + 12345u;
        switch (n >> 16 & 3) {
        case 0: fixed(f, n >> 18 & 255); break;
        case 1: changing(f, n >> 18 & 255); break;
        default: deep(f, n >> 18 & 255, n >> 26 & 7); break;
        }
    }
    sink = 1;
}
)";

std::atomic<int64_t> g_compared{0}, g_of_handlers{0}, g_refused{0}, g_wrong{0};

// What a handler saw; compared when it has returned, for that needs the heap.
struct Seen {
  StackId id;
  int depth;
  uintptr_t pcs[kMaxSeen];
};
constexpr int kRing = 64;
thread_local Seen t_seen[kRing];
thread_local volatile sig_atomic_t t_seen_count = 0;

// Whether SIGUSR1 may come, for as long as the object lives: never where the heap or the loader may be
// in use, which is everywhere but in calls of the libraries, the start and the end of a thread among it.
class Signals {
 public:
  explicit Signals(int how) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(how, &set, &before_);
  }
  ~Signals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  sigset_t before_;
};

std::vector<Located> LocatedOf(const RawStack& stack) {
  std::vector<Located> result;
  for (const RawFrame& f : stack.frames) {
    const ModuleInfo* info = ModuleOf(f.module);
    result.push_back({info == nullptr ? std::string() : std::string(info->path), f.offset});
  }
  return result;
}

std::vector<Located> LocatedOf(const uintptr_t* pcs, size_t count) {
  std::vector<Located> result;
  for (size_t i = 0; i < count; ++i) {
    Dl_info info;
    std::string path;
    if (dladdr(reinterpret_cast<void*>(pcs[i] - 1), &info) != 0) path = info.dli_fname;
    std::error_code none;
    const auto whole = std::filesystem::canonical(path, none);
    result.push_back({none ? path : whole.string(), OffsetOf(pcs[i])});
  }
  return result;
}

std::string Text(const std::vector<Located>& stack) {
  std::string text;
  for (const Located& f : stack) text += "  " + f.path + "+" + std::to_string(f.offset) + "\n";
  return text;
}

void Compare(StackId id, const uintptr_t* fresh, size_t count) {
  const std::vector<Located> expected = LocatedOf(fresh, count);
  const std::vector<Located> got = LocatedOf(Lookup(id));
  if (got != expected && g_wrong.fetch_add(1) < 5) {
    ADD_FAILURE() << "captured\n" << Text(got) << "unwound afresh\n" << Text(expected);
  }
}

void CompareSeen() {
  for (int i = 0; i < t_seen_count; ++i) {
    const Seen& seen = t_seen[i];
    Compare(seen.id, seen.pcs, static_cast<size_t>(seen.depth));
    ++g_of_handlers;
  }
  t_seen_count = 0;
}

// The API of the libraries. The capture itself may be interrupted, the comparison may not.
__attribute__((noinline)) void Api(int) {
  const CallSite site = HPY_STACKTRACE_CALL_SITE();
  const StackId id = Capture(site, t_call.limits);
  {
    const Signals blocked(SIG_BLOCK);
    const std::vector<uintptr_t> fresh =
        FreshStack(site, t_call.limits.stop_sp, t_call.limits.max_frames);
    if (id == kNoStack) {
      ADD_FAILURE() << "nothing was captured";
    } else {
      Compare(id, fresh.data(), fresh.size());
    }
    ++g_compared;
    CompareSeen();
  }
  asm volatile("" : : : "memory");
}

// What FreshStack() does, without the heap.
struct Walk {
  CallSite site;
  uintptr_t stop_sp;
  bool started;
  uintptr_t last;
  Seen* seen;
};
__attribute__((noinline)) void HandlerApi(uintptr_t stop_sp) {
  const CallSite site = HPY_STACKTRACE_CALL_SITE();
  const StackId id = Capture(site, {.stop_sp = stop_sp, .callee = 0, .max_frames = kMaxSeen});
  const int place = t_seen_count;
  if (id == kNoStack) {
    ++g_refused;
  } else if (place < kRing) {
    Seen* seen = &t_seen[place];
    seen->id = id;
    seen->depth = 0;
    Walk walk{site, stop_sp, false, 0, seen};
    _Unwind_Backtrace(
        [](_Unwind_Context* context, void* arg) {
          auto* w = static_cast<Walk*>(arg);
          int before = 0;
          const uintptr_t ip = _Unwind_GetIPInfo(context, &before) + (before != 0 ? 1 : 0);
          const auto sp = static_cast<uintptr_t>(_Unwind_GetCFA(context));
          // `sp` is the CFA of the frame before, for which `last` was kept.
          if (w->started) {
            if (sp >= w->stop_sp || w->seen->depth >= kMaxSeen) return _URC_END_OF_STACK;
            w->seen->pcs[w->seen->depth++] = w->last;
          } else if (ip == w->site.pc && sp == w->site.sp) {
            w->started = true;
          }
          w->last = ip;
          return _URC_NO_REASON;
        },
        &walk);
    t_seen_count = place + 1;
  }
  asm volatile("" : : : "memory");
}

__attribute__((noinline)) void HandlerFrames(uintptr_t stop_sp, int depth) {
  auto* buffer = static_cast<char*>(alloca(static_cast<size_t>(depth) * 40 + 1));
  asm volatile("" : : "r"(buffer) : "memory");
  if (depth > 0) HandlerFrames(stop_sp, depth - 1);
  HandlerApi(stop_sp);
  asm volatile("" : : "r"(buffer) : "memory");
}

void OnSignal(int) {
  const int before = errno;
  HandlerFrames(HPY_STACKTRACE_STOP(), 3);
  errno = before;
  asm volatile("");
}

// Loads one of the libraries of this thread, calls it, and unloads it, so that the next one comes to
// lie in its place.
void Work(const std::vector<std::string>& paths, unsigned seed, std::atomic<int>* same_place) {
  std::minstd_rand random(seed);
  uintptr_t last = 0;
  for (int i = 0; i < kLoads && g_wrong.load() == 0; ++i) {
    const Library library(paths[random() % paths.size()]);
    auto* enter = library.Get<void(testing::Api, int)>("enter");
    *same_place += reinterpret_cast<uintptr_t>(enter) == last;
    last = reinterpret_cast<uintptr_t>(enter);
    for (int k = 0; k < 8; ++k) {
      const int seed_of_call = static_cast<int>(random() % 8);
      const Signals allowed(SIG_UNBLOCK);
      Trampoline(enter, &Api, seed_of_call);
    }
    CompareSeen();
  }
}

TEST(Stress, ThreadsThatLoadAndUnloadUnderSignals) {
  TempDir dir;
  dir.Write("shape.c", kSource);
  std::vector<std::vector<std::string>> paths(kThreads);
  for (int i = 0; i < kLibraries; ++i) {
    const std::string name = "libshape" + std::to_string(i) + ".so";
    std::string command = "cc -std=gnu99 -shared -fPIC -O1 -o " + name;
    command += " -DSIZE=" + std::to_string(24 + 16 * i) + " shape.c";
    Shell(dir.path(), command);
    // A file of its own for each thread: no other one keeps it loaded.
    for (int t = 0; t < kThreads; ++t) {
      std::string folder = dir.path() + "/";
      folder += std::to_string(t);
      std::filesystem::create_directories(folder);
      std::filesystem::copy(dir.path() + "/" + name, folder + "/" + name);
      paths[static_cast<size_t>(t)].push_back(folder + "/" + name);
    }
  }
  // Tables that the unwinder and the loader make at the first use.
  HandlerFrames(HPY_STACKTRACE_STOP(), 3);
  t_seen_count = 0;
  struct sigaction action = {}, old = {};
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGUSR1, &action, &old);

  // Inherited by the threads.
  const Signals blocked(SIG_BLOCK);
  std::atomic<int> same_place{0}, running{kThreads};
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      t_call.limits.max_frames = kMaxSeen;
      Work(paths[static_cast<size_t>(t)], static_cast<unsigned>(t + 1), &same_place);
      --running;
    });
  }
  // Threads stay joinable until the end, so their ids are good.
  while (running.load() > 0) {
    for (std::thread& t : threads) pthread_kill(t.native_handle(), SIGUSR1);
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  for (std::thread& t : threads) t.join();
  sigaction(SIGUSR1, &old, nullptr);
  const std::string compared = std::to_string(g_compared + g_of_handlers);
  const std::string of_handlers = std::to_string(g_of_handlers);
  printf(
      "%s stacks compared, %s of them in signal handlers (%s refused); %d libraries in the place "
      "of the one before\n",
      compared.c_str(), of_handlers.c_str(), std::to_string(g_refused).c_str(), same_place.load());
  EXPECT_EQ(g_wrong.load(), 0);
  EXPECT_GT(g_compared.load(), kLoads * kThreads * 8 * 20);
  EXPECT_GT(g_of_handlers.load(), 0);
  EXPECT_GT(same_place.load(), 0);
}

}  // namespace
}  // namespace hpy::stacktrace::testing
