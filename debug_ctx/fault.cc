// The handler of faults in guarded memory: which fault is ours, and who else wants to know of it.
#include "debug_ctx/fault.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <mutex>

#include "debug_ctx/fault_helper.h"
#include "debug_ctx/fault_record.h"
#include "debug_ctx/policy.h"
#include "debug_ctx/state.h"

namespace hpy::debug_ctx {

namespace {

constexpr int kSignals[] = {SIGSEGV, SIGBUS};
constexpr int kMaxStates = 64;
constexpr size_t kAlternateStack = 64 << 10;

constinit std::mutex g_mutex;
constinit std::atomic<State*> g_states[kMaxStates] = {};

// The dispositions under ours, the oldest first; a handler that was put over ours, and found to be, is
// under it from then on. Each is used up when a signal goes on to it. Atomic, for it is read in
// handlers; written under g_mutex, and by handlers.
struct Chain {
  static constexpr int kMax = 8;
  struct sigaction dispositions[kMax];
  std::atomic<int> count{0};
};
constinit Chain g_chains[2] = {};

Chain& ChainOf(int signal) { return g_chains[signal == SIGSEGV ? 0 : 1]; }

// The thread that makes a report, and the fault that was reported last.
constinit std::atomic<pid_t> g_reporting{0};
constinit std::atomic<uintptr_t> g_reported_address{0};
constinit std::atomic<uintptr_t> g_reported_pc{0};
constinit std::atomic<int> g_ignored_reraises{0};

pid_t ThreadId() { return static_cast<pid_t>(syscall(SYS_gettid)); }

uintptr_t ProgramCounter(const void* context) { return stacktrace::InterruptedSite(context).pc; }

uintptr_t StackPointer(const void* context) { return stacktrace::InterruptedSite(context).sp; }

#if defined(__x86_64__)
Access AccessOf(const void* context) {
  const auto error = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs[REG_ERR];
  return (error & 2) != 0 ? Access::kWrite : Access::kRead;
}
#elif defined(__aarch64__)
// The syndrome is one of the records behind the registers.
Access AccessOf(const void* context) {
  const auto& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
  const unsigned char* at = reinterpret_cast<const unsigned char*>(machine.__reserved);
  const unsigned char* const end = at + sizeof(machine.__reserved);
  constexpr uint32_t kEsrMagic = 0x45535201;
  while (at + 16 <= end) {
    uint32_t head[2];
    std::memcpy(head, at, sizeof(head));
    if (head[0] == 0 || head[1] < 8) break;
    if (head[0] == kEsrMagic) {
      uint64_t syndrome;
      std::memcpy(&syndrome, at + 8, sizeof(syndrome));
      return (syndrome >> 6 & 1) != 0 ? Access::kWrite : Access::kRead;
    }
    at += head[1];
  }
  return Access::kUnknown;
}
#else
Access AccessOf(const void*) { return Access::kUnknown; }
#endif

// Whose buffer an address is in.
State* Find(uintptr_t address, handles::Located* located) {
  for (const std::atomic<State*>& entry : g_states) {
    State* const state = entry.load(std::memory_order_acquire);
    if (state != nullptr && state->buffers.Locate(address, located)) return state;
  }
  return nullptr;
}

#ifdef SEGV_PKUERR
bool IsKeyFault(const siginfo_t& info) {
  return info.si_signo == SIGSEGV && info.si_code == SEGV_PKUERR;
}
#else
bool IsKeyFault(const siginfo_t&) { return false; }
#endif

bool IsFault(const siginfo_t& info) {
  return (info.si_signo == SIGSEGV &&
          (info.si_code == SEGV_MAPERR || info.si_code == SEGV_ACCERR)) ||
         IsKeyFault(info) || (info.si_signo == SIGBUS && info.si_code == BUS_ADRERR);
}

void OnFault(int signal, siginfo_t* info, void* context);

bool IsOurs(const struct sigaction& action) {
  return (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == OnFault;
}

void InstallOurs(int signal) {
  struct sigaction action = {};
  action.sa_sigaction = OnFault;
  // Others' handlers may want the signals that come meanwhile, but not on top of this one.
  sigfillset(&action.sa_mask);
  for (const int fault : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP}) {
    sigdelset(&action.sa_mask, fault);
  }
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigaction(signal, &action, nullptr);
}

// Puts ours on top, and what was there under it.
void StayOnTop(int signal) {
  struct sigaction now;
  if (sigaction(signal, nullptr, &now) != 0 || IsOurs(now)) return;
  Chain& chain = ChainOf(signal);
  int count = chain.count;
  for (int i = 0; i < count; i++) {
    // It had been there before, and comes to the top again.
    if (chain.dispositions[i].sa_sigaction == now.sa_sigaction) count = i;
  }
  if (count == Chain::kMax) count--;
  chain.dispositions[count] = now;
  chain.count = count + 1;
  InstallOurs(signal);
}

// The next disposition under ours takes effect.
void GoUnder(int signal) {
  Chain& chain = ChainOf(signal);
  const int count = chain.count;
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  if (count > 0) {
    action = chain.dispositions[count - 1];
    chain.count = count - 1;
  }
  sigaction(signal, &action, nullptr);
}

// Whether three words of a stack are what the kernel saves of a fault; the third is its address.
#if defined(__x86_64__)
// In the registers, where the handler did not ask for more: a page fault has number 14.
bool IsSavedFault(const uintptr_t* words) { return words[0] == 14; }
#else
// A siginfo_t.
bool IsSavedFault(const uintptr_t* words) {
  int head[3];
  std::memcpy(head, words, sizeof(head));
  return head[0] == SIGSEGV && (head[2] == SEGV_MAPERR || head[2] == SEGV_ACCERR);
}
#endif

// A handler that was put over ours without our knowledge got the fault first, put ours back and raised
// the signal again, as faulthandler does. Then the record of the fault lies further up on this stack.
// What else lies there is not ours to read, as AddressSanitizer would say.
__attribute__((no_sanitize_address)) bool IsRaisedAgain(const siginfo_t& info,
                                                        const void* context) {
  if (info.si_code > 0 || info.si_pid != getpid()) return false;
  constexpr size_t kFarthest = 64 << 10;
  constexpr size_t kPage = 4096;
  const uintptr_t begin = StackPointer(context) & ~uintptr_t{7};
  for (uintptr_t at = begin; at < begin + kFarthest; at += 8) {
    if (at == begin || at % kPage == 0) {
      // The kernel says whether memory can be read: EFAULT comes before what is wrong with the rest.
      if (syscall(SYS_rt_sigprocmask, ~0, at, nullptr, 8) != 0 && errno == EFAULT) return false;
    }
    if (at % kPage > kPage - 24) continue;  // it would reach into the next page
    uintptr_t words[3];
    std::memcpy(words, reinterpret_cast<const void*>(at), sizeof(words));
    handles::Located located;
    if (IsSavedFault(words) && Find(words[2], &located) != nullptr) return true;
  }
  return false;
}

void Append(char* text, size_t capacity, std::string_view piece) {
  const size_t used = std::strlen(text);
  const size_t size = piece.size() < capacity - used ? piece.size() : capacity - used - 1;
  std::memcpy(text + used, piece.data(), size);
  text[used + size] = '\0';
}

void AppendHex(char* text, size_t capacity, uint64_t number) {
  char digits[16];
  char* at = digits + sizeof(digits);
  do {
    *--at = "0123456789abcdef"[number % 16];
    number /= 16;
  } while (number != 0);
  Append(text, capacity, "0x");
  Append(text, capacity, {at, static_cast<size_t>(digits + sizeof(digits) - at)});
}

// One line that needs nothing but what is in registers and in pages of our own.
void WriteRawRecord(const Fault& fault) {
  char text[320] = "hpy.debug: ";
  Append(text, sizeof(text), leakdetector::KindName(fault.kind()));
  Append(text, sizeof(text),
         fault.access == Access::kWrite  ? ": writing "
         : fault.access == Access::kRead ? ": reading "
                                         : ": accessing ");
  AppendHex(text, sizeof(text), fault.address);
  Append(text, sizeof(text), " at ");
  AppendHex(text, sizeof(text), ProgramCounter(fault.context) - 1);
  Append(text, sizeof(text), ", memory from ");
  Append(text, sizeof(text),
         fault.located.story.api != nullptr ? fault.located.story.api : "the API");
  Append(text, sizeof(text), " of the handle ");
  AppendHex(text, sizeof(text), fault.located.story.handle);
  Append(text, sizeof(text), "\n");
  const ssize_t written = write(STDERR_FILENO, text, std::strlen(text));
  static_cast<void>(written);  // there is nobody left to tell
}

// A write to a closed pipe sends SIGPIPE, which is blocked here and must not end the process instead.
class WithoutPipeSignal {
 public:
  WithoutPipeSignal() {
    sigset_t waiting;
    sigpending(&waiting);
    was_pending_ = sigismember(&waiting, SIGPIPE) == 1;
  }
  ~WithoutPipeSignal() {
    if (was_pending_) return;
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    const timespec now = {0, 0};
    sigtimedwait(&pipe, nullptr, &now);
  }
  WithoutPipeSignal(const WithoutPipeSignal&) = delete;
  WithoutPipeSignal& operator=(const WithoutPipeSignal&) = delete;

 private:
  bool was_pending_;
};

void ReportOurs(State* state, const handles::Located& located, uintptr_t address, void* context) {
  pid_t nobody = 0;
  if (!g_reporting.compare_exchange_strong(nobody, ThreadId())) {
    // Another thread is at it. The process ends when that one has finished.
    for (int i = 0; i < 600 && g_reporting.load() != 0 && nobody != ThreadId(); i++) {
      const timespec pause = {0, 100'000'000};
      nanosleep(&pause, nullptr);
    }
    return;
  }
  const uintptr_t pc = ProgramCounter(context);
  // A handler under ours may call ours again.
  if (g_reported_address.exchange(address) != address || g_reported_pc.exchange(pc) != pc) {
    const WithoutPipeSignal without;
    const Call* const call = thread_calls.innermost;
    Fault fault{.state = state,
                .call = call != nullptr && call->state == state ? call : nullptr,
                .located = located,
                .address = address,
                .access = AccessOf(context),
                .context = context,
                .process = getpid()};
    OpenLastWords(*state);
    WriteRawRecord(fault);
    ReportInHelper(fault);
  }
  g_reported_pc = pc;
  g_reporting = 0;
}

void OnFault(int signal, siginfo_t* info, void* context) {
  const int saved = errno;
  const auto address = reinterpret_cast<uintptr_t>(info->si_addr);
  handles::Located located;
  State* const state = IsFault(*info) ? Find(address, &located) : nullptr;
  if (state != nullptr && IsKeyFault(*info) && AccessOf(context) != Access::kWrite &&
      state->buffers.Share(address)) {
    // Nobody's mistake: a signal handler, or a thread that the C library does not know of.
  } else if (state != nullptr) {
    ReportOurs(state, located, address, context);
    // The access is tried again, and ends the process by SIGSEGV also where memory lies beyond the end
    // of its file, which alone would be SIGBUS.
    if (signal == SIGBUS) {
      mprotect(located.page, located.page_size, PROT_NONE);
      GoUnder(SIGSEGV);
      GoUnder(SIGBUS);
    } else {
      GoUnder(signal);
    }
  } else if (g_ignored_reraises < Chain::kMax && IsRaisedAgain(*info, context)) {
    g_ignored_reraises++;
    StayOnTop(signal);
  } else {
    GoUnder(signal);
    // What was no fault does not happen again by itself.
    if (info->si_code <= 0) {
      syscall(SYS_rt_tgsigqueueinfo, getpid(), ThreadId(), signal, info);
    }
  }
  errno = saved;
}

void FreeStack(void* stack) {
  stack_t none = {};
  none.ss_flags = SS_DISABLE;
  sigaltstack(&none, nullptr);
  munmap(stack, kAlternateStack);
}

}  // namespace

constinit thread_local bool FaultGuard::thread_is_prepared_ = false;

FaultGuard::~FaultGuard() {
  for (std::atomic<State*>& entry : g_states) {
    State* mine = state_;
    entry.compare_exchange_strong(mine, nullptr);
  }
}

void FaultGuard::WatchAgain(uint64_t armings) {
  const std::lock_guard<std::mutex> lock(g_mutex);
  if (armings_ == 0) {
    for (std::atomic<State*>& entry : g_states) {
      State* nobody = nullptr;
      if (entry.compare_exchange_strong(nobody, state_)) break;
    }
  }
  armings_ = armings;
  for (const int signal : kSignals) StayOnTop(signal);
}

void FaultGuard::PrepareThread() {
  thread_is_prepared_ = true;
  stack_t present;
  if (sigaltstack(nullptr, &present) != 0 || (present.ss_flags & SS_DISABLE) == 0) return;
  struct Key {
    pthread_key_t key;
    bool good;
  };
  static const Key key = [] {
    Key made{};
    made.good = pthread_key_create(&made.key, FreeStack) == 0;
    return made;
  }();
  if (!key.good) return;
  void* memory = mmap(nullptr, kAlternateStack, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return;
  stack_t stack = {};
  stack.ss_sp = memory;
  stack.ss_size = kAlternateStack;
  if (pthread_setspecific(key.key, memory) != 0 || sigaltstack(&stack, nullptr) != 0) {
    pthread_setspecific(key.key, nullptr);
    munmap(memory, kAlternateStack);
  }
}

}  // namespace hpy::debug_ctx
