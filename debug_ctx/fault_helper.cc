// The helper processes of a fault.
//
// A child that is forked with a bare system call has the tables of its parent and none of its threads.
// It may die of what the extension did to the memory, so it works in steps, and notes in shared memory
// which one it is at: the next child begins behind that one. The last step is to become the helper
// command, a fresh process, which reads the record and looks up files and lines.
#include "debug_ctx/fault_helper.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>

#include "debug_ctx/fault.h"

extern char** environ;

namespace hpy::debug_ctx {

namespace {

enum Step : uint32_t {
  kFacts,
  kOpened,
  kClosed,
  kAt,
  kAtWithoutHeap,
  kPython,
  kObject,
  kCommand,
  kInProcess,
  kEnd,
};

constexpr size_t kRecordBytes = 256 << 10;
constexpr size_t kStackBytes = 2 << 20;
constexpr long kPollNanoseconds = 2'000'000;
constexpr int kStepMilliseconds = 3000;
constexpr int kReportMilliseconds = 30'000;

struct Shared {
  std::atomic<uint32_t> step;
  std::atomic<uint32_t> used;  // bytes of the record
  char record[kRecordBytes];
};

struct Child {
  const Fault* fault;
  Shared* shared;
  uint32_t first;  // step to begin with
  bool locked;
};

constexpr int kMaxCommand = 16;
constexpr size_t kMaxCommandBytes = 8192;
// Copies: what is on the heap may be damaged.
constinit char g_command_bytes[kMaxCommandBytes] = {};
constinit char* g_command[kMaxCommand + 1] = {};

// The descriptors 0 to 2 must be something, or the files that are opened here get their numbers.
void FillStandardDescriptors() {
  for (int fd = 0; fd <= 2; fd++) {
    if (fcntl(fd, F_GETFD) == -1 && errno == EBADF) {
      const int opened = open("/dev/null", O_RDWR);
      if (opened >= 0 && opened != fd) {
        dup2(opened, fd);
        close(opened);
      }
    }
  }
}

// What goes wrong from here on is this process's own affair.
void BecomeQuiet() {
  for (const int signal : {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGTERM, SIGINT, SIGALRM}) {
    struct sigaction action = {};
    action.sa_handler = SIG_DFL;
    sigaction(signal, &action, nullptr);
  }
  signal(SIGPIPE, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const rlimit no_core = {0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
}

// The record as standard input of what is executed.
bool OpenRecord(const Shared* shared) {
  int fd = memfd_create("hpy-fault", 0);
  if (fd < 0 && errno == EMFILE) {
    for (int other = 3; other < 64; other++) close(other);  // they are of no use to this process
    fd = memfd_create("hpy-fault", 0);
  }
  if (fd < 0) return false;
  size_t done = 0;
  const size_t size = shared->used;
  while (done < size) {
    const ssize_t written = write(fd, shared->record + done, size - done);
    if (written <= 0) return false;
    done += static_cast<size_t>(written);
  }
  return lseek(fd, 0, SEEK_SET) == 0 && dup2(fd, 0) == 0;
}

void Execute(const Shared* shared) {
  if (g_command[0] == nullptr || !OpenRecord(shared)) return;
  // Debug mode in the helper would be another's business.
  constexpr size_t kMaxVariables = 4096;
  static char* variables[kMaxVariables + 1];
  size_t count = 0;
  for (char** at = environ; *at != nullptr && count < kMaxVariables; at++) {
    if (std::strncmp(*at, "HPY", 3) != 0) variables[count++] = *at;
  }
  variables[count] = nullptr;
  execve(g_command[0], g_command, variables);
}

// Runs in the child, on a stack of its own.
int RunChild(void* argument) {
  const Child& child = *static_cast<Child*>(argument);
  const Fault& fault = *child.fault;
  Shared* const shared = child.shared;
  BecomeQuiet();
  FillStandardDescriptors();
  if (child.locked) stacktrace::UnlockAfterFork();
  // The last words of a damaged heap are of interest to nobody.
  const int errors = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (null >= 0) dup2(null, STDERR_FILENO);

  uint32_t step = child.first;
  // Only where the usual way failed.
  const auto skips = [&child](uint32_t s) { return s == kAtWithoutHeap && child.first != s; };
  for (; step < kCommand; step++) {
    if (skips(step)) continue;
    shared->step = step;
    RecordWriter writer(shared->record, kRecordBytes, shared->used);
    switch (step) {
      case kFacts:
        RecordFacts(fault, &writer);
        break;
      case kOpened:
        RecordOpened(fault, &writer);
        break;
      case kClosed:
        RecordClosed(fault, &writer);
        break;
      case kAt:
      case kAtWithoutHeap:
        RecordAt(fault, step == kAt, &writer);
        break;
      case kPython:
      case kObject:
        if (!fault.state->host.HoldsInterpreter()) break;
        if (step == kObject) {
          RecordObject(fault, &writer);
        } else if (fault.state->settings.python_stacks) {
          RecordPython(fault, &writer);
        }
        break;
      default:
        break;
    }
    shared->used = static_cast<uint32_t>(writer.used());
  }
  if (errors >= 0) dup2(errors, STDERR_FILENO);
  if (step == kCommand) {
    shared->step = kCommand;
    Execute(shared);
  }
  shared->step = kInProcess;
  _exit(ReportFault({shared->record, shared->used}) ? 0 : 1);
}

// The exit status, or -1 when it had to be killed.
int WaitFor(pid_t child, const Shared* shared) {
  uint32_t step = shared->step;
  int waited = 0;
  for (;;) {
    int status = 0;
    const pid_t ended = waitpid(child, &status, WNOHANG | __WALL);
    if (ended == child) return status;
    if (ended < 0 && errno != EINTR) return -1;
    const timespec pause = {0, kPollNanoseconds};
    nanosleep(&pause, nullptr);
    waited += static_cast<int>(kPollNanoseconds / 1'000'000);
    if (shared->step != step) {
      step = shared->step;
      waited = 0;
    }
    if (waited >= (step < kCommand ? kStepMilliseconds : kReportMilliseconds)) {
      kill(child, SIGKILL);
      waitpid(child, &status, __WALL);
      return -1;
    }
  }
}

void* MapMemory(size_t size, int flags) {
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace

void SetFaultHelper(const std::vector<std::string>& command) {
  char* to = g_command_bytes;
  int count = 0;
  g_command[0] = nullptr;
  size_t bytes = 0;
  for (const std::string& part : command) bytes += part.size() + 1;
  if (command.size() > kMaxCommand || bytes > kMaxCommandBytes) return;
  for (const std::string& part : command) {
    std::memcpy(to, part.c_str(), part.size() + 1);
    g_command[count++] = to;
    to += part.size() + 1;
  }
  g_command[count] = nullptr;
}

bool ReportInHelper(const Fault& fault) {
  auto* const shared = static_cast<Shared*>(MapMemory(sizeof(Shared), MAP_SHARED));
  auto* const stack = static_cast<char*>(MapMemory(kStackBytes, MAP_PRIVATE | MAP_NORESERVE));
  bool reported = false;
  uint32_t first = kFacts;
  while (shared != nullptr && stack != nullptr && !reported && first < kEnd) {
    shared->step = first;
    Child child{&fault, shared, first, stacktrace::TryLockForFork()};
    // Not the C library's fork(): it calls what others have registered. No signal at the end of the
    // child, which is nobody else's business.
    const pid_t pid = clone(RunChild, stack + kStackBytes, 0, &child);
    if (child.locked) stacktrace::UnlockAfterFork();
    if (pid < 0) break;
    const int status = WaitFor(pid, shared);
    reported = status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    first = shared->step + 1;
    if (shared->step == kAt) first = kAtWithoutHeap;
    if (shared->step == kAtWithoutHeap) first = kPython;
  }
  if (shared != nullptr) munmap(static_cast<void*>(shared), sizeof(Shared));
  if (stack != nullptr) munmap(stack, kStackBytes);
  return reported;
}

}  // namespace hpy::debug_ctx
