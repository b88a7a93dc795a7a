// Stacks that are captured in signal handlers, of faults, and on stacks of the program's own.

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "tests/cpp/stacktrace_test_util.h"

// A stack that was not seen before is interned on the heap, in a signal handler too. (The sanitizer's
// library looks for a symbol that is exported.)
extern "C" __attribute__((visibility("default"))) const char* __tsan_default_options() {
  return "report_signal_unsafe=0";
}

namespace hpy::stacktrace::testing {
namespace {

thread_local volatile int g_sink;

__attribute__((noinline)) void Leaf(int n) {
  ApiFunction(__LINE__);
  g_sink = n;
}

std::atomic<int> g_in_handler{0}, g_refused{0};
std::atomic<StackId> g_handler_id{kNoStack};

void OnSignal(int) {
  const CaptureLimits limits = t_call.limits;
  const StackId id = t_call.id;
  const int line = t_call.line;
  Trampoline(Leaf, 1);
  if (t_call.id == kNoStack) {
    ++g_refused;
  } else {
    g_handler_id = t_call.id;
  }
  t_call.limits = limits;
  t_call.id = id;
  t_call.line = line;
  ++g_in_handler;
}

__attribute__((noinline)) void RaiseAndCall(int n) {
  raise(SIGUSR1);
  ApiFunction(__LINE__);
  g_sink = n;
}

// A signal that interrupts a thread that captures all the time. (The first capture in a handler
// uses the heap, which is safe in raise(); later ones are answered by the memo, or refused.)
TEST(Signal, InAHandler) {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  struct sigaction old;
  sigaction(SIGUSR1, &action, &old);
  const StackId id = Trampoline(Leaf, 1);
  for (int i = 0; i < 5; ++i) Trampoline(RaiseAndCall, 1);
  EXPECT_EQ(g_in_handler.load(), 5);
  EXPECT_EQ(g_handler_id.load(), id);  // the same frames down to the handler's trampoline
  std::atomic<bool> done{false};
  const pthread_t self = pthread_self();
  std::thread sender([&] {
    for (int i = 0; i < 300; ++i) {
      pthread_kill(self, SIGUSR1);
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
    done = true;
  });
  while (!done) {
    if (Trampoline(Leaf, 1) != id) ADD_FAILURE();
  }
  sender.join();
  sigaction(SIGUSR1, &old, nullptr);
  EXPECT_GT(g_in_handler.load(), 5);
  EXPECT_EQ(g_handler_id.load(), id);
}

// The stack of a fault: the handler has the registers of the extension.
std::vector<uint64_t> g_fault_offsets;
thread_local CaptureLimits t_fault_limits;

__attribute__((noinline)) void Faults(int* p) {
  *p = 5;
  g_sink = 2;
}
__attribute__((noinline)) void CallsFaults(int* p) {
  Faults(p);
  g_sink = 1;
}
StackId g_fault_id;
void* g_page;

void OnFault(int, siginfo_t*, void* context) {
  const auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const CallSite site{.pc = static_cast<uintptr_t>(registers[REG_RIP]) + 1,
                      .sp = static_cast<uintptr_t>(registers[REG_RSP]),
                      .fp = static_cast<uintptr_t>(registers[REG_RBP])};
  uintptr_t pcs[8];
  const int n = CaptureAddresses(site, t_fault_limits, pcs, 8);
  g_fault_offsets = Offsets(std::vector<uintptr_t>(pcs, pcs + n));
  g_fault_id = Capture(site, t_fault_limits);
  mprotect(g_page, 4096, PROT_READ | PROT_WRITE);
}
__attribute__((noinline)) void FaultTrampoline(int* p) {
  t_fault_limits = {.stop_sp = HPY_STACKTRACE_STOP(), .callee = 0, .max_frames = 64};
  CallsFaults(p);
  asm volatile("");
}

TEST(Signal, TheStackOfAFault) {
  g_page = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct sigaction action = {}, old;
  action.sa_sigaction = OnFault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGSEGV, &action, &old);
  FaultTrampoline(static_cast<int*>(g_page));
  sigaction(SIGSEGV, &old, nullptr);
  const std::vector<Frame> frames = Symbolize(g_fault_id);
  ASSERT_EQ(frames.size(), 2u) << Text(frames);
  EXPECT_NE(frames[0].function.find("Faults"), std::string::npos) << Text(frames);
  EXPECT_NE(frames[1].function.find("CallsFaults"), std::string::npos) << Text(frames);
  EXPECT_EQ(Offsets(Lookup(g_fault_id)), g_fault_offsets);
  munmap(g_page, 4096);
}

// Another stack below or above the trampoline's: the stop means nothing there, and nothing is read
// past its end.
ucontext_t g_main_context, g_other_context;
void OnOtherStack() {
  Leaf(1);
  Leaf(2);
  swapcontext(&g_other_context, &g_main_context);
}
TEST(Signal, OnAnotherStack) {
  constexpr size_t kSize = 1 << 18;
  for (static int repeat = 0; repeat < 3; ++repeat) {
    char* memory = static_cast<char*>(
        mmap(nullptr, kSize + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    mprotect(memory + 4096, kSize, PROT_READ | PROT_WRITE);
    getcontext(&g_other_context);
    g_other_context.uc_stack.ss_sp = memory + 4096;
    g_other_context.uc_stack.ss_size = kSize;
    g_other_context.uc_link = nullptr;
    makecontext(&g_other_context, OnOtherStack, 0);
    const CaptureLimits saved = t_call.limits;
    // A stop on our stack, and one that lies below the other stack.
    t_call.limits.stop_sp =
        repeat == 2 ? reinterpret_cast<uintptr_t>(memory) : HPY_STACKTRACE_STOP();
    t_call.id = kNoStack;
    swapcontext(&g_main_context, &g_other_context);
    t_call.limits = saved;
    const std::vector<Frame> frames = Symbolize(t_call.id);
    ASSERT_GE(frames.size(), 2u);
    EXPECT_NE(frames[0].function.find("Leaf"), std::string::npos) << Text(frames);
    EXPECT_NE(frames[1].function.find("OnOtherStack"), std::string::npos) << Text(frames);
    munmap(memory, kSize + 8192);
  }
}

}  // namespace
}  // namespace hpy::stacktrace::testing
