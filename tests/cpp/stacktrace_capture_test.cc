// Captured stacks are right: compared by the thousand with what libgcc unwinds afresh.

#include <alloca.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <atomic>
#include <cstring>
#include <random>
#include <set>
#include <thread>

#include "tests/cpp/stacktrace_test_util.h"

namespace hpy::stacktrace::testing {
namespace {

// HPY_STRESS=50 compares millions of stacks.
const int kRounds = [] {
  const char* factor = getenv("HPY_STRESS");
  return 500 * (factor == nullptr ? 1 : std::max(1, atoi(factor)));
}();

// Compares what Capture() says with a fresh unwinding, at every call of the API.
struct Comparison {
  int compared = 0;
  Comparison() {
    t_call.also = [this](const CallSite& site) {
      const std::vector<uintptr_t> fresh =
          FreshStack(site, t_call.limits.stop_sp, t_call.limits.max_frames);
      const RawStack stack = Lookup(t_call.id);
      if (!fresh.empty()) {
        ASSERT_EQ(Offsets(stack), Offsets(fresh));
        ASSERT_FALSE(stack.frames[0].tail);
      }
      ++compared;
    };
  }
  ~Comparison() { t_call.also = nullptr; }
};

// An extension of many shapes: frames of fixed size, alloca, arrays, recursion, callbacks.
thread_local volatile int g_sink;

__attribute__((noinline)) void Leaf(int n) {
  ApiFunction(__LINE__);
  g_sink = n;
}
__attribute__((noinline)) void TwoSites(int n) {
  if (n & 1) {
    ApiFunction(__LINE__);
  } else {
    ApiFunction(__LINE__);
  }
  g_sink = n;
}
__attribute__((noinline)) void WithAlloca(int n, int bytes) {
  char* p = static_cast<char*>(alloca(static_cast<size_t>(bytes) + 1));
  memset(p, n, static_cast<size_t>(bytes) + 1);
  asm volatile("" : : "r"(p) : "memory");
  if (n % 3 == 0) Leaf(n);
  ApiFunction(__LINE__);
  TwoSites(n);
  g_sink = p[0];
}
struct alignas(64) Aligned {
  char bytes[128];
};
__attribute__((noinline)) void WithAlignment(int n) {
  Aligned a;  // the function realigns its stack
  memset(&a, n, sizeof a);
  asm volatile("" : : "r"(&a) : "memory");
  ApiFunction(__LINE__);
  Leaf(n + a.bytes[3]);
  asm volatile("" : : "r"(&a) : "memory");
}
// Realigns, has arguments on the stack and alloca: the CFA is found by way of a register or a saved
// word.
__attribute__((noinline)) int Everything(int a, int b, int c, int d, int e, int f, int g, int h) {
  Aligned x;
  memset(&x, a, sizeof x);
  char* p = static_cast<char*>(alloca(static_cast<size_t>(a & 63) + 1));
  p[0] = static_cast<char>(b);
  asm volatile("" : : "r"(&x), "r"(p) : "memory");
  ApiFunction(__LINE__);
  Leaf(c);
  asm volatile("" : : "r"(&x), "r"(p) : "memory");
  return x.bytes[1] + p[0] + d + e + f + g + h;
}
__attribute__((noinline)) int Compare(const void* a, const void* b) {
  ApiFunction(__LINE__);
  return *static_cast<const int*>(a) - *static_cast<const int*>(b);
}
__attribute__((noinline)) void ThroughQsort(int n) {
  int values[5] = {n, 3, n - 2, 9, 1};
  qsort(values, 5, sizeof values[0], Compare);
  g_sink = values[0];
}
struct Throws {
  ~Throws() { ApiFunction(__LINE__); }  // runs while an exception is on its way
};
__attribute__((noinline)) void Thrower(int n) {
  Throws t;
  if (n % 2 == 0) throw n;
  g_sink = n;
}
__attribute__((noinline)) void WithException(int n) {
  try {
    Thrower(n);
  } catch (int caught) {
    ApiFunction(__LINE__);
    g_sink = caught;
  }
}
__attribute__((noinline)) void Random(std::minstd_rand* random, int depth) {
  const int choice = static_cast<int>((*random)() % 9);
  const int n = static_cast<int>((*random)() % 200);
  switch (choice) {
    case 0:
      Leaf(n);
      break;
    case 1:
      TwoSites(n);
      break;
    case 2:
      WithAlloca(n, n);
      break;
    case 3:
      WithAlignment(n);
      break;
    case 4:
      g_sink = Everything(n, 1, 2, 3, 4, 5, 6, 7);
      break;
    case 5:
      ThroughQsort(n);
      break;
    case 6:
      WithException(n);
      break;
    default:
      break;
  }
  if (depth > 0 && choice > 2) {
    Random(random, depth - 1);
    asm volatile("");
    if (choice > 6) Random(random, depth - 1);
  }
  asm volatile("");
}
__attribute__((noinline)) void RandomExtension(unsigned seed) {
  std::minstd_rand random(seed);
  for (int i = 0; i < 20; ++i) Random(&random, 4);
  asm volatile("");
}

TEST(Capture, FramesFromTheCallDownToTheTrampoline) {
  Comparison comparison;
  const StackId id = Trampoline(Leaf, 1);
  const RawStack stack = Lookup(id);
  ASSERT_EQ(stack.frames.size(), 1u);
  EXPECT_FALSE(stack.truncated);
  EXPECT_EQ(comparison.compared, 1);
  const std::vector<Frame> frames = Symbolize(id);
  ASSERT_EQ(frames.size(), 1u) << Text(frames);
  EXPECT_NE(frames[0].function.find("Leaf"), std::string::npos) << Text(frames);
  EXPECT_EQ(frames[0].line, t_call.line);
}

TEST(Capture, TheSameStackHasTheSameNumber) {
  const StackId first = Trampoline(Leaf, 1);
  const uint64_t stacks = GetStats().stacks;
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(Trampoline(Leaf, i), first);
  // Other addresses of the stack, the same frames: the same number.
  char* p = static_cast<char*>(alloca(4096));
  asm volatile("" : : "r"(p) : "memory");
  EXPECT_EQ(Trampoline(Leaf, 5), first);
  std::thread([&] { EXPECT_EQ(Trampoline(Leaf, 5), first); }).join();
  EXPECT_EQ(GetStats().stacks, stacks);
}

TEST(Capture, TheMemoAnswersTheSecondTime) {
  for (int i = 0; i < 2; ++i) Trampoline(Leaf, 1);
  const uint64_t misses = GetStats().misses;
  for (int i = 0; i < 1000; ++i) Trampoline(Leaf, 1);
  EXPECT_EQ(GetStats().misses, misses);
}

// Unwind tables with a personality routine, whose address is read from writable memory.
struct Cleanup {
  ~Cleanup() { g_sink = 3; }
};
__attribute__((noinline)) void WithCleanup(int n) {
  Cleanup cleanup;
  WithException(n);
}

TEST(Capture, TheMemoKnowsFunctionsWithCleanups) {
  for (int n : {1, 2}) {  // without and with an exception
    uint64_t misses = 0;
    for (int i = 0; i < 50; ++i) {
      if (i == 10) misses = GetStats().misses;
      Trampoline(WithCleanup, n);
    }
    EXPECT_EQ(GetStats().misses, misses);
  }
}

TEST(Capture, AgreesWithFreshUnwinding) {
  Comparison comparison;
  for (int i = 0; i < kRounds && !HasFatalFailure(); ++i)
    Trampoline(RandomExtension, static_cast<unsigned>(i % 50));
  EXPECT_GT(comparison.compared, kRounds * 20);
}

TEST(Capture, AgreesInThreads) {
  std::vector<std::thread> threads;
  std::atomic<int> compared{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t, &compared] {
      Comparison comparison;
      for (int i = 0; i < kRounds / 10 && !HasFatalFailure(); ++i) {
        Trampoline(RandomExtension, static_cast<unsigned>((t * 7 + i) % 60));
      }
      compared += comparison.compared;
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_GT(compared.load(), kRounds);
}

TEST(Capture, AThreadGivesItsMemoBack) {
  std::thread([] { Trampoline(Leaf, 1); }).join();
  const uint64_t before = GetStats().memo_bytes;
  for (int i = 0; i < 20; ++i) {
    std::thread([] {
      for (int k = 0; k < 50; ++k) Trampoline(RandomExtension, static_cast<unsigned>(k));
    }).join();
  }
  EXPECT_EQ(GetStats().memo_bytes, before);
}

__attribute__((noinline)) void Recurse(int depth) {
  if (depth == 0) {
    ApiFunction(__LINE__);
    asm volatile("");
    return;
  }
  Recurse(depth - 1);
  if (depth % 10 == 0) ApiFunction(__LINE__);
  asm volatile("");
}

TEST(Capture, DeepRecursionIsTruncatedExactly) {
  Comparison comparison;
  for (int repeat = 0; repeat < 3; ++repeat) {
    t_call.limits.max_frames = 16;
    for (int depth = 0; depth < 40; ++depth) {
      Trampoline(Recurse, depth);
      comparison.compared = 0;
    }
    // The last capture of Recurse(depth) for depth < 10 is the innermost one: depth + 1 frames.
    for (int depth = 0; depth < 10; ++depth) {
      const RawStack stack = Lookup(Trampoline(Recurse, depth));
      EXPECT_EQ(stack.frames.size(), static_cast<size_t>(depth + 1));
      EXPECT_FALSE(stack.truncated);
    }
    t_call.limits.max_frames = 5;
    EXPECT_FALSE(Lookup(Trampoline(Recurse, 4)).truncated);
    EXPECT_TRUE(Lookup(Trampoline(Recurse, 5)).truncated);
    EXPECT_EQ(Lookup(Trampoline(Recurse, 5)).frames.size(), 5u);
    t_call.limits.max_frames = 1000;  // cut to kMaxFrames
    int innermost = 0;
    t_call.also = [&](const CallSite&) {
      if (innermost++ != 0) return;
      EXPECT_EQ(Lookup(t_call.id).frames.size(), static_cast<size_t>(kMaxFrames));
      EXPECT_TRUE(Lookup(t_call.id).truncated);
    };
    Trampoline(Recurse, 600);
    EXPECT_GT(innermost, 0);
    t_call.also = nullptr;
    t_call.limits.max_frames = 64;
  }
}

// Ten thousand call sites in one function.
#define HPY_TEN(x) x x x x x x x x x x
__attribute__((noinline)) void TenThousandSites() {
  HPY_TEN(HPY_TEN(HPY_TEN(HPY_TEN(ApiFunction(__LINE__);))))
  asm volatile("");
}

TEST(Capture, TenThousandSitesFitIntoTheMemo) {
  std::thread([] {
    std::vector<StackId> ids;
    t_call.also = [&](const CallSite&) { ids.push_back(t_call.id); };
    Trampoline(TenThousandSites);
    EXPECT_EQ(std::set<StackId>(ids.begin(), ids.end()).size(), 10000u);
    const std::vector<StackId> first = std::exchange(ids, {});
    for (int i = 0; i < 4; ++i) Trampoline(TenThousandSites);
    ids.clear();
    const uint64_t misses = GetStats().misses;
    Trampoline(TenThousandSites);
    EXPECT_EQ(ids, first);
    EXPECT_LT(GetStats().misses - misses, 1000u);
    t_call.also = nullptr;
  }).join();
}

// One site at one depth, called from many places: same pc, same sp, other stacks.
__attribute__((noinline)) void ManyCallers() {
  HPY_TEN(HPY_TEN(Leaf(1);))
  asm volatile("");
}

TEST(Capture, OneSiteCalledFromManyPlaces) {
  std::vector<StackId> ids;
  {
    Comparison comparison;
    for (int i = 0; i < 5; ++i) Trampoline(ManyCallers);
  }
  t_call.also = [&](const CallSite&) { ids.push_back(t_call.id); };
  Trampoline(ManyCallers);
  t_call.also = nullptr;
  EXPECT_EQ(std::set<StackId>(ids.begin(), ids.end()).size(), 100u);
}

// A call in tail position: the frame of the extension's function is gone.
TEST(Capture, ATailCallLeavesTheFunctionThatWasCalled) {
  TempDir dir;
  const std::string source = dir.Write("tail.c",
                                       "typedef void (*api)(int);\n"  // 1
                                       "void tail(api f)\n"           // 2
                                       "{\n"                          // 3
                                       "    f(4);\n"                  // 4
                                       "}\n"
                                       "void two_tails(api f, int n)\n"  // 6
                                       "{\n"
                                       "    if (n)\n"
                                       "        f(9);\n"
                                       "    else\n"
                                       "        f(11);\n"
                                       "}\n");
  Shell(dir.path(), "cc -O2 -g -shared -fPIC -foptimize-sibling-calls -o libtail.so tail.c");
  Library library(dir.path() + "/libtail.so");
  for (int i = 0; i < 3; ++i) {
    const StackId id = Trampoline(library.Get<void(Api)>("tail"), &ApiFunction);
    const RawStack stack = Lookup(id);
    ASSERT_EQ(stack.frames.size(), 1u);
    EXPECT_TRUE(stack.frames[0].tail);
    const std::vector<Frame> frames = Symbolize(id);
    ASSERT_EQ(frames.size(), 1u);
    EXPECT_EQ(frames[0].function, "tail");
    EXPECT_EQ(frames[0].file, source);
    EXPECT_EQ(frames[0].line, 4);  // the only tail call there is
    EXPECT_TRUE(frames[0].tail);
  }
  // The other function at the same place of the stack: not what the memo remembers.
  const std::vector<Frame> frames =
      Symbolize(Trampoline(library.Get<void(Api, int)>("two_tails"), &ApiFunction, 1));
  ASSERT_EQ(frames.size(), 1u);
  EXPECT_EQ(frames[0].function, "two_tails");
  EXPECT_EQ(frames[0].line, 6);  // one of two: only the function is certain
  EXPECT_TRUE(frames[0].tail);
}

TEST(Capture, WithoutAStopUpToTheStartOfTheThread) {
  std::thread([] {
    t_call.limits = {.stop_sp = 0, .callee = 0, .max_frames = 64};
    Leaf(1);
    const RawStack stack = Lookup(t_call.id);
    EXPECT_FALSE(stack.truncated);
    EXPECT_GT(stack.frames.size(), 2u);
    const std::vector<Frame> frames = Symbolize(t_call.id);
    EXPECT_NE(Text(frames).find("Leaf"), std::string::npos);
  }).join();
}

// A function that uses another register than rsp and rbp for its CFA: the exact way, from our own
// frames.
TEST(Capture, ARegisterThatIsNotKnownAtACallSite) {
  TempDir dir;
  dir.Write("rbx.s",
            ".text\n.globl rbx_frame\n.type rbx_frame,@function\n"
            "rbx_frame:\n.cfi_startproc\n"
            "  pushq %rbx\n  .cfi_adjust_cfa_offset 8\n  .cfi_offset %rbx,-16\n"
            "  movq %rsp,%rbx\n  .cfi_def_cfa_register %rbx\n"
            "  subq $208,%rsp\n  movq %rdi,%rax\n  movl $7,%edi\n  call *%rax\n"
            "  movq %rbx,%rsp\n  .cfi_def_cfa_register %rsp\n"
            "  popq %rbx\n  .cfi_adjust_cfa_offset -8\n  ret\n.cfi_endproc\n"
            ".size rbx_frame,.-rbx_frame\n.section .note.GNU-stack,\"\",@progbits\n");
  Shell(dir.path(), "cc -shared -o librbx.so rbx.s");
  Library library(dir.path() + "/librbx.so");
  Comparison comparison;
  const uint64_t exact = GetStats().exact;
  for (int i = 0; i < 3; ++i) {
    const StackId id = Trampoline(library.Get<void(Api)>("rbx_frame"), &ApiFunction);
    EXPECT_EQ(Lookup(id).frames.size(), 1u);
    EXPECT_FALSE(Lookup(id).truncated);
    EXPECT_EQ(Symbolize(id)[0].function, "rbx_frame");  // from the symbol table
    EXPECT_EQ(Symbolize(id)[0].line, 0);
  }
  EXPECT_EQ(GetStats().exact - exact, 3u);
}

// No unwind information: the caller is known, what lies above it is not guessed.
TEST(Capture, CodeWithoutUnwindInformation) {
  TempDir dir;
  dir.Write(
      "bare.s",
      ".text\n.globl bare\n.type bare,@function\nbare:\n"
      "  subq $8,%rsp\n  movq %rdi,%rax\n  movl $7,%edi\n  call *%rax\n  addq $8,%rsp\n  ret\n"
      ".size bare,.-bare\n.section .note.GNU-stack,\"\",@progbits\n");
  Shell(dir.path(), "cc -shared -nostdlib -o libbare.so bare.s");
  Library library(dir.path() + "/libbare.so");
  const StackId id = Trampoline(library.Get<void(Api)>("bare"), &ApiFunction);
  const RawStack stack = Lookup(id);
  ASSERT_EQ(stack.frames.size(), 1u);
  EXPECT_TRUE(stack.truncated);
  EXPECT_EQ(Symbolize(id)[0].function, "bare");
}

// Code that was made at run time is in no file.
TEST(Capture, CodeInNoLibrary) {
  unsigned char code[] = {0x48, 0x83, 0xec, 0x08, 0x48, 0x89, 0xf8,
                          0xff, 0xd0, 0x48, 0x83, 0xc4, 0x08, 0xc3};
  void* page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(page, code, sizeof code);
  mprotect(page, 4096, PROT_READ | PROT_EXEC);
  const StackId id = Trampoline(reinterpret_cast<void (*)(Api)>(page), &ApiFunction);
  const RawStack stack = Lookup(id);
  ASSERT_EQ(stack.frames.size(), 1u);
  EXPECT_EQ(stack.frames[0].module, 0u);
  EXPECT_EQ(stack.frames[0].offset, reinterpret_cast<uintptr_t>(page) + 9);
  EXPECT_TRUE(stack.truncated);
  EXPECT_EQ(Symbolize(id)[0].function, "");
  munmap(page, 4096);
}

TEST(Capture, InAForkedChild) {
  std::atomic<bool> done{false};
  std::vector<std::thread> busy;
  for (int t = 0; t < 2; ++t) {
    busy.emplace_back([&] {
      for (unsigned i = 0; !done; ++i) {
        Trampoline(RandomExtension, i);
        Symbolize(t_call.id);
      }
    });
  }
  const StackId id = Trampoline(Leaf, 1);
  for (int i = 0; i < 20; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(20);
      bool good = Trampoline(Leaf, 1) == id;
      Trampoline(RandomExtension, 1000u + static_cast<unsigned>(i));
      good = good && !Symbolize(t_call.id).empty();
      _exit(good ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  done = true;
  for (std::thread& t : busy) t.join();
}

// Slow paths must not lose memory: libunwind's pools, replaced entries.
TEST(Capture, MemoryStaysWhereItIs) {
  const auto resident = [] {
    long pages = 0, ignored = 0;
    FILE* f = fopen("/proc/self/statm", "r");
    if (fscanf(f, "%ld %ld", &ignored, &pages) != 2) pages = 0;
    fclose(f);
    return pages * 4096;
  };
  std::thread([&] {
    const auto work = [](int rounds) {
      for (int i = 0; i < rounds; ++i) Trampoline(RandomExtension, static_cast<unsigned>(i % 40));
    };
    work(100);
    const long before = resident();
    work(kRounds);
    EXPECT_LT(resident() - before, 1 << 20);
  }).join();
}

}  // namespace
}  // namespace hpy::stacktrace::testing
