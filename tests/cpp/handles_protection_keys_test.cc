// Pages hidden by protection keys, in a process with one thread: what is accessible to whom, when the
// kernel is called, and what happens when there are more threads after all. Each test runs in a child,
// which is alone as long as this process is: CTest runs these suites in a process of their own.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <random>
#include <thread>
#include <vector>

#include "handles/buffers.h"
#include "handles/protection_keys.h"

namespace hpy::handles {
namespace {

// Whether this thread may read there, asked of the kernel: it obeys the keys for a system call.
bool MayRead(const char* at) {
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  const bool may = write(ends[1], at, 1) == 1;
  if (!may && errno != EFAULT) std::abort();
  close(ends[0]);
  close(ends[1]);
  return may;
}

class Alone : public testing::Test {
 protected:
  void SetUp() override {
    ProtectionKeys keys;
    if (!keys.Allocate()) GTEST_SKIP() << "this machine or its kernel has no protection keys";
    if (!ProtectionKeys::ThreadIsAlone()) {
      GTEST_SKIP() << "there are threads (a sanitizer's, or of other tests)";
    }
  }

  static void InChild(const std::function<void()>& body) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(60);
      body();
      _exit(testing::Test::HasFailure() ? 1 : 0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFEXITED(status)) << "signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }
};

TEST_F(Alone, AKeyIsAdmittedAndRefused) {
  InChild([] {
    ProtectionKeys keys;
    ASSERT_TRUE(keys.Allocate());
    EXPECT_GE(keys.count(), ProtectionKeys::kFewest);
    EXPECT_LE(keys.count(), ProtectionKeys::kMost);
    static char pages[8192] __attribute__((aligned(4096)));
    ASSERT_TRUE(keys.Protect(pages, 4096, PROT_READ | PROT_WRITE, 0));
    ASSERT_TRUE(keys.Protect(pages + 4096, 4096, PROT_READ | PROT_WRITE, 1));
    EXPECT_FALSE(MayRead(pages));
    keys.Admit(0);
    EXPECT_TRUE(MayRead(pages));
    EXPECT_FALSE(MayRead(pages + 4096));
    keys.Admit(1);
    keys.Refuse(0);
    EXPECT_FALSE(MayRead(pages));
    EXPECT_TRUE(MayRead(pages + 4096));
    ASSERT_TRUE(keys.Protect(pages, 4096, PROT_READ | PROT_WRITE, ProtectionKeys::kNone));
    EXPECT_TRUE(MayRead(pages));
    keys.Protect(pages + 4096, 4096, PROT_READ | PROT_WRITE, ProtectionKeys::kNone);
  });
}

TEST_F(Alone, TooFewKeysAreNone) {
  InChild([] {
    ProtectionKeys first, second;
    ASSERT_TRUE(first.Allocate());
    EXPECT_FALSE(second.Allocate());
    EXPECT_EQ(second.count(), 0);
    // The program can have those that are left.
    EXPECT_GT(pkey_alloc(0, 0), 0);
    PagePool without;  // and a pool does without
    const uint32_t slot = without.Take();
    EXPECT_NE(slot, PagePool::kNone);
    EXPECT_EQ(without.keys(), 0);
    EXPECT_TRUE(MayRead(without.readable(slot)));
    without.Close(slot);
    EXPECT_EQ(without.pending(), 1u);
    EXPECT_TRUE(without.Flush());
    EXPECT_FALSE(MayRead(without.readable(slot)));
  });
}

TEST_F(Alone, ClosedBuffersAreHiddenAtOnceAndShareACall) {
  InChild([] {
    PagePool pool;
    std::vector<uint32_t> closed;
    uint64_t before = 0;
    for (uint32_t i = 0; i < PagePool::kArenaSlots; i++) {
      const uint32_t slot = pool.Take();
      if (i == 0) before = pool.calls();
      EXPECT_TRUE(MayRead(pool.readable(slot)));
      pool.Close(slot);
      pool.Flush();
      closed.push_back(slot);
      for (const uint32_t each : closed) ASSERT_FALSE(MayRead(pool.readable(each)));
      ASSERT_EQ(pool.calls() - before, i / static_cast<uint32_t>(pool.keys()));
    }
  });
}

// More than the pool keeps for one Flush().
TEST_F(Alone, ManyAreClosedBeforeAFlush) {
  for (const int many : {255, 256, 257, 258, 700}) {
    InChild([many] {
      PagePool pool;
      std::vector<uint32_t> slots;
      for (int i = 0; i < many; i++) slots.push_back(pool.Take());
      for (const uint32_t each : slots) pool.Close(each);
      EXPECT_TRUE(pool.Flush());
      for (int i = 0; i < 12; i++) pool.Take();
      for (const uint32_t each : slots) EXPECT_FALSE(MayRead(pool.readable(each))) << each;
    });
  }
}

// A mapping is the program's before it is a key's.
TEST_F(Alone, WithoutMappingsKeysAreGivenUp) {
  InChild([] {
    PagePool pool;
    pool.Close(pool.Take());
    EXPECT_NE(pool.keys(), 0);
    // Neighbours of different protection, until the kernel has no more.
    constexpr size_t kPage = 4096;
    constexpr size_t kBytes = size_t{200'000} * kPage;
    char* const many = static_cast<char*>(
        mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
    ASSERT_NE(many, MAP_FAILED);
    size_t at = 0;
    while (at < kBytes && mprotect(many + at, kPage, PROT_READ) == 0) at += 2 * kPage;
    if (at >= kBytes) return;  // vm.max_map_count is very high
    // Room for a batch, but not for a key for each of its slots.
    munmap(many + at - 100 * kPage, kBytes - at + 100 * kPage);
    std::vector<uint32_t> slots;
    for (uint32_t i = 0; i < 4 * PagePool::kArenaSlots; i++) slots.push_back(pool.Take());
    void* const spare =
        mmap(nullptr, 3 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    EXPECT_NE(spare, MAP_FAILED);
    EXPECT_EQ(mprotect(static_cast<char*>(spare) + kPage, kPage, PROT_READ), 0);
    for (const uint32_t each : slots) {
      ASSERT_NE(each, PagePool::kNone);
      EXPECT_TRUE(MayRead(pool.readable(each)));
    }
    for (const uint32_t each : slots) {
      pool.Close(each);
      EXPECT_TRUE(pool.Flush());
      EXPECT_FALSE(MayRead(pool.readable(each)));
    }
  });
}

// Against a plain model: what is open is readable, what was closed is not, whatever the order.
TEST_F(Alone, OpenedAndClosedInAnyOrder) {
  InChild([] {
    PagePool pool;
    pool.set_closed_max(300);
    std::mt19937 random(20261129);
    std::vector<uint32_t> open;
    std::vector<uint32_t> closed;
    for (int step = 0; step < 20'000; step++) {
      const size_t most = step / 1000 % 2 == 0 ? 5 : 60;
      if (open.empty() || (open.size() < most && random() % 2 == 0)) {
        const uint32_t slot = pool.Take();
        ASSERT_NE(slot, PagePool::kNone);
        ASSERT_EQ(std::count(open.begin(), open.end(), slot), 0);
        closed.erase(std::remove(closed.begin(), closed.end(), slot), closed.end());
        open.push_back(slot);
      } else {
        const size_t which = random() % open.size();
        const uint32_t slot = open[which];
        open.erase(open.begin() + static_cast<std::ptrdiff_t>(which));
        pool.Close(slot);
        if (random() % 8 != 0) pool.Flush();
        if (pool.pending() == 0) closed.push_back(slot);
        if (closed.size() > 200) closed.erase(closed.begin());
      }
      if (step % 7 == 0) {
        for (const uint32_t each : open) ASSERT_TRUE(MayRead(pool.readable(each))) << step;
      }
      if (!closed.empty()) {
        ASSERT_FALSE(MayRead(pool.readable(closed.back()))) << step;
        ASSERT_FALSE(MayRead(pool.readable(closed[random() % closed.size()]))) << step;
      }
    }
  });
}

// It starts with the rights of its creator; the end of a buffer is one for it too.
TEST_F(Alone, AThreadThatIsStartedMeanwhile) {
  InChild([] {
    PagePool pool(512);
    std::vector<uint32_t> slots;
    for (int i = 0; i < 20; i++) slots.push_back(pool.Take());
    pool.Close(slots.back());
    EXPECT_TRUE(pool.Flush());
    std::atomic<int> turn{0};
    std::vector<uint32_t> later;
    std::thread other([&] {
      for (int i = 0; i < 19; i++) EXPECT_TRUE(MayRead(pool.readable(slots[i]))) << i;
      EXPECT_FALSE(MayRead(pool.readable(slots.back())));
      turn = 1;
      while (turn != 2) std::this_thread::yield();
      for (const uint32_t each : slots) EXPECT_FALSE(MayRead(pool.readable(each)));
      for (const uint32_t each : later) EXPECT_TRUE(MayRead(pool.readable(each)));
      turn = 3;
      while (turn != 4) std::this_thread::yield();
      for (const uint32_t each : later) EXPECT_FALSE(MayRead(pool.readable(each)));
    });
    while (turn != 1) std::this_thread::yield();
    for (int i = 0; i < 19; i++) {
      pool.Close(slots[i]);
      pool.Flush();
      EXPECT_FALSE(MayRead(pool.readable(slots[i])));
    }
    for (int i = 0; i < 300; i++) later.push_back(pool.Take());
    turn = 2;
    while (turn != 3) std::this_thread::yield();
    for (const uint32_t each : later) {
      EXPECT_TRUE(MayRead(pool.readable(each)));
      pool.Close(each);
      pool.Flush();
    }
    turn = 4;
    other.join();
    // Every slot is good for more.
    std::vector<uint32_t> all;
    for (uint32_t i = 0; i < 512; i++) {
      all.push_back(pool.Take());
      ASSERT_NE(all.back(), PagePool::kNone) << i;
    }
  });
}

const PagePool* g_pool;
uint32_t g_slot;
volatile char g_read;
std::atomic<int> g_faults;

// A signal handler has no rights: what it reads of an open buffer is shared by the fault handler.
TEST_F(Alone, AnOpenBufferIsSharedOnAFault) {
  InChild([] {
    PagePool pool;
    g_pool = &pool;
    struct sigaction fault = {};
    fault.sa_sigaction = [](int, siginfo_t* info, void*) {
      bool in_guard = false;
      const uint32_t slot = g_pool->Locate(reinterpret_cast<uintptr_t>(info->si_addr), &in_guard);
      if (slot != g_slot || in_guard || ++g_faults > 1 || !g_pool->Share(slot)) _exit(3);
    };
    fault.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGSEGV, &fault, nullptr);
    struct sigaction user = {};
    user.sa_handler = [](int) { g_read = *g_pool->readable(g_slot); };
    sigaction(SIGUSR1, &user, nullptr);
    for (int i = 0; i < 30; i++) {
      g_slot = pool.Take();
      *pool.writable(g_slot) = static_cast<char>('a' + i);
      g_faults = 0;
      raise(SIGUSR1);
      raise(SIGUSR1);
      EXPECT_EQ(g_faults, 1);
      EXPECT_EQ(g_read, 'a' + i);
      pool.Close(g_slot);
      EXPECT_FALSE(pool.Share(g_slot));
      EXPECT_EQ(pool.pending(), 1u);
      EXPECT_TRUE(pool.Flush());
      EXPECT_FALSE(MayRead(pool.readable(g_slot)));
    }
  });
}

// A jump out of a handler leaves it without rights; the next buffer brings them back.
TEST_F(Alone, RightsComeBack) {
  InChild([] {
    PagePool pool;
    const uint32_t open = pool.Take();
    uint32_t rights = 0, zero = 0;
    __asm__ volatile(".byte 0x0f, 0x01, 0xee" : "=a"(rights), "=d"(zero) : "c"(0));
    __asm__ volatile(".byte 0x0f, 0x01, 0xef" : : "a"(0x55555554), "c"(0), "d"(0) : "memory");
    EXPECT_FALSE(MayRead(pool.readable(open)));
    const uint32_t next = pool.Take();
    EXPECT_TRUE(MayRead(pool.readable(next)));
    EXPECT_TRUE(MayRead(pool.readable(open)));
  });
}

}  // namespace
}  // namespace hpy::handles
