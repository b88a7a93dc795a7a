// Copies of bytes: lifetime, limits, what faults and what is known of it, batches, fork.
#include <gtest/gtest.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csetjmp>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <iterator>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "handles/buffers.h"

namespace hpy::handles {
namespace {

sigjmp_buf g_jump;

void Jump(int) { siglongjmp(g_jump, 1); }

// A thread's rights to protection keys (RDPKRU, WRPKRU). A signal handler has none, and a jump out of
// it leaves it at that.
class KeyRights {
 public:
#if defined(__x86_64__)
  KeyRights() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    has_keys_ = __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (c >> 4 & 1) != 0;
    if (has_keys_) __asm__ volatile(".byte 0x0f, 0x01, 0xee" : "=a"(rights_) : "c"(0) : "rdx");
  }
  ~KeyRights() {
    if (has_keys_) {
      __asm__ volatile(".byte 0x0f, 0x01, 0xef" : : "a"(rights_), "c"(0), "d"(0) : "memory");
    }
  }

 private:
  bool has_keys_ = false;
  uint32_t rights_ = 0;
#endif
};

class Faults {
 public:
  Faults() {
    struct sigaction action = {};
    action.sa_handler = Jump;
    sigaction(SIGSEGV, &action, &before_[0]);
    sigaction(SIGBUS, &action, &before_[1]);
  }
  ~Faults() {
    sigaction(SIGSEGV, &before_[0], nullptr);
    sigaction(SIGBUS, &before_[1], nullptr);
  }

 private:
  struct sigaction before_[2];
  KeyRights rights_;
};

bool Reads(const char* at) {
  const Faults faults;
  if (sigsetjmp(g_jump, 1) != 0) return false;
  static_cast<void>(*static_cast<const volatile char*>(at));
  return true;
}

bool Writes(const char* at) {
  const Faults faults;
  if (sigsetjmp(g_jump, 1) != 0) return false;
  auto* place = const_cast<volatile char*>(at);
  *place = 'X';
  return true;
}

constexpr size_t kMany = 10 << 20;

bool Revoke(Buffers& buffers, uint32_t slot, size_t limit = kMany, bool later = false) {
  return buffers.Revoke(slot, {.closed = 7}, limit, later);
}

size_t MappingsOfThisProcess() {
  FILE* maps = std::fopen("/proc/self/maps", "r");
  size_t lines = 0;
  for (int c; (c = std::getc(maps)) != EOF;) lines += c == '\n';
  std::fclose(maps);
  return lines;
}

struct GuardParam {
  const char* name;
  GuardMethod method;
  SlotLayout layout;
};
void PrintTo(const GuardParam& param, std::ostream* out) { *out << param.name; }

class EachGuard : public testing::TestWithParam<GuardParam> {};
INSTANTIATE_TEST_SUITE_P(Methods, EachGuard,
                         testing::Values(GuardParam{"Near", GuardMethod::kNone, SlotLayout::Near()},
                                         GuardParam{"Far", GuardMethod::kNone, SlotLayout::Far()},
                                         GuardParam{"BeyondEnd", GuardMethod::kBeyondEnd,
                                                    SlotLayout::Far()}),
                         [](const auto& info) { return info.param.name; });

TEST(Buffers, OneCopyForAHandle) {
  Buffers buffers;
  EXPECT_EQ(buffers.Find(1), nullptr);
  EXPECT_EQ(buffers.SizeOf(1), -1);
  const char* copy = buffers.Give(1, "with\0nul", 8);
  EXPECT_EQ(std::string(copy, 9), std::string("with\0nul\0", 9));
  EXPECT_EQ(buffers.Find(1), copy);
  EXPECT_EQ(buffers.SizeOf(1), 9);
}

TEST_P(EachGuard, WhatFaultsAndWhatIsKnownOfIt) {
  Buffers buffers(0, GetParam().method, GetParam().layout);
  for (const size_t size : {size_t{5}, size_t{0}, size_t{4095}, size_t{4096}, size_t{100'000}}) {
    const std::string text(size, 'x');
    const char* copy = buffers.Give(1, text.data(), size, {.handle = 42, .api = "HPyApi"});
    EXPECT_EQ(std::string(copy, size + 1), text + '\0');
    EXPECT_FALSE(Writes(copy)) << size;
    EXPECT_FALSE(Reads(copy + size + 1)) << size;
    EXPECT_FALSE(Writes(copy + size + 1)) << size;
    EXPECT_FALSE(Reads(copy + size + 4096)) << size;
    Located located;
    ASSERT_TRUE(buffers.Locate(reinterpret_cast<uintptr_t>(copy), &located));
    EXPECT_TRUE(located.open);
    EXPECT_FALSE(located.beyond);
    EXPECT_EQ(located.story.handle, 42u);
    EXPECT_STREQ(located.story.api, "HPyApi");
    EXPECT_EQ(located.story.size, size + 1);
    EXPECT_EQ(located.data, reinterpret_cast<uintptr_t>(copy));
    ASSERT_TRUE(buffers.Locate(reinterpret_cast<uintptr_t>(copy + size + 1), &located));
    EXPECT_TRUE(located.beyond);

    EXPECT_TRUE(Revoke(buffers, 1));
    EXPECT_FALSE(Reads(copy)) << size;
    EXPECT_FALSE(Reads(copy + size)) << size;
    ASSERT_TRUE(buffers.Locate(reinterpret_cast<uintptr_t>(copy + size), &located));
    EXPECT_FALSE(located.open);
    EXPECT_EQ(located.story.end.closed, 7u);
    EXPECT_EQ(located.story.handle, 42u);
    buffers.Drop(1);
    EXPECT_EQ(buffers.SizeOf(1), -1);
  }
  Located located;
  EXPECT_FALSE(buffers.Locate(reinterpret_cast<uintptr_t>(&buffers), &located));
  EXPECT_FALSE(buffers.Locate(0, &located));
}

TEST(Buffers, OnTheHeapBytesArePoisonedAndDamageIsFound) {
  Buffers buffers;
  buffers.set_guard(Guard::kHeap);
  const char* copy = buffers.Give(1, "hello", 5, {.handle = 42});
  EXPECT_TRUE(buffers.IsOnHeap(1));
  EXPECT_EQ(buffers.Inspect(1), Damage::kNone);
  EXPECT_TRUE(Revoke(buffers, 1));
  EXPECT_EQ(std::string(copy, 6), "\xBA\xD0\xDA\x7A\xBA\xD0");
  EXPECT_EQ(buffers.Inspect(1), Damage::kNone);
  buffers.Drop(1);
  EXPECT_EQ(buffers.SizeOf(1), -1);

  char* written = const_cast<char*>(buffers.Give(2, "hello", 5, {.handle = 43}));
  written[4] = 'O';
  EXPECT_EQ(buffers.StoryOf(2)->handle, 43u);
  EXPECT_EQ(buffers.Inspect(2), Damage::kWritten);
  EXPECT_EQ(buffers.Inspect(2), Damage::kNone);  // said once
  EXPECT_FALSE(Revoke(buffers, 2, 0));
  EXPECT_EQ(buffers.StoryOf(2), nullptr);
  for (const ptrdiff_t place : {ptrdiff_t{6}, ptrdiff_t{37}, ptrdiff_t{-1}}) {
    char* overrun = const_cast<char*>(buffers.Give(3, "hello", 5));
    overrun[place] = 0;
    EXPECT_EQ(buffers.Inspect(3), Damage::kOverrun) << place;
    EXPECT_EQ(buffers.Inspect(3), Damage::kNone);
    Revoke(buffers, 3);
    buffers.Drop(3);
  }
}

TEST(Buffers, ClosedBytesAreLimited) {
  Buffers buffers;
  const std::string text(200, 'x');
  auto give = [&](uint32_t slot, size_t size) { buffers.Give(slot, text.data(), size - 1); };
  give(1, 151);
  EXPECT_FALSE(Revoke(buffers, 1, 100));
  give(2, 32);
  give(3, 33);
  give(4, 51);
  EXPECT_TRUE(Revoke(buffers, 2, 100));
  EXPECT_TRUE(Revoke(buffers, 3, 100));
  EXPECT_FALSE(Revoke(buffers, 4, 100));
  EXPECT_EQ(buffers.SizeOf(4), -1);
  buffers.Drop(2);  // its slot was used again: 33 are left
  give(5, 51);
  EXPECT_TRUE(Revoke(buffers, 5, 100));
}

TEST_P(EachGuard, TheOldestIsUsedAgainFirst) {
  Buffers buffers(0, GetParam().method, GetParam().layout);
  constexpr size_t kClosed = 256;
  buffers.set_closed_max(kClosed * 8192);
  std::vector<const char*> all;
  for (int i = 0; i < 5000; i++) {
    const char* copy = buffers.Give(1, "some text", 9);
    EXPECT_STREQ(copy, "some text");
    all.push_back(copy);
    Revoke(buffers, 1);
    buffers.Drop(1);
    // None of the last closed ones may be accessible.
    if (i % 501 == 500) {
      for (size_t back = 1; back <= kClosed; back++) ASSERT_FALSE(Reads(all[all.size() - back]));
    }
  }
  EXPECT_LE(buffers.pool()->slots(), kClosed + 2 * PagePool::kArenaSlots);
  EXPECT_EQ(buffers.exhausted(), 0u);
}

TEST_P(EachGuard, OneCallForOneBuffer) {
  Buffers buffers(0, GetParam().method, GetParam().layout);
  uint64_t before = 0;
  for (int i = 0; i < 64'000; i++) {
    if (i == 32'000) before = buffers.pool()->calls();
    buffers.Give(1, "text", 4);
    Revoke(buffers, 1);
    buffers.Drop(1);
  }
  EXPECT_LE(buffers.pool()->calls() - before, 32'000u + 32'000 / PagePool::kArenaSlots + 1);
}

TEST_P(EachGuard, OneCallForSeveralThatAreClosedTogether) {
  Buffers buffers(0, GetParam().method, GetParam().layout);
  uint64_t before = 0;
  for (int i = 0; i < 10'240; i++) {
    if (i == 5120) before = buffers.pool()->calls();
    const char* copies[4];
    for (uint32_t k = 0; k < 4; k++) copies[k] = buffers.Give(k, "text", 4);
    for (uint32_t k = 0; k < 4; k++) Revoke(buffers, k, kMany, /*later=*/true);
    buffers.Flush();
    for (uint32_t k = 0; k < 4; k++) {
      if (i % 997 == 0) {
        EXPECT_FALSE(Reads(copies[k]));
      }
      buffers.Drop(k);
    }
  }
  EXPECT_LE(buffers.pool()->calls() - before, 5120u * 4 / 32 + 5120 + 1);
}

TEST_P(EachGuard, MappingsDoNotExplode) {
  Buffers buffers(0, GetParam().method, GetParam().layout);
  for (uint32_t i = 0; i < 2000; i++) buffers.Give(i, "text", 4);
  const size_t filled = MappingsOfThisProcess();
  // Every other one is closed, over and over, and others take their place.
  for (uint32_t round = 0; round < 20; round++) {
    for (uint32_t i = round % 2; i < 2000; i += 2) {
      Revoke(buffers, i);
      buffers.Drop(i);
    }
    for (uint32_t i = round % 2; i < 2000; i += 2) {
      ASSERT_STREQ(buffers.Give(i, "again", 5), "again");
    }
  }
  EXPECT_LE(buffers.pool()->slots(), 2000u + 1280 + 3 * PagePool::kArenaSlots + 1000);
  EXPECT_LE(MappingsOfThisProcess(), filled + 2 * buffers.pool()->slots());
  EXPECT_EQ(buffers.exhausted(), 0u);
  for (uint32_t i = 0; i < 2000; i++) ASSERT_STREQ(buffers.Find(i), "again");
}

TEST_P(EachGuard, WithoutPagesTheHeapHelps) {
  Buffers buffers(128, GetParam().method, GetParam().layout);
  for (uint32_t i = 0; i < 200; i++) {
    ASSERT_STREQ(buffers.Give(i, "text", 4), "text");
    EXPECT_EQ(buffers.IsOnHeap(i), i >= 128) << i;
  }
  EXPECT_EQ(buffers.exhausted(), 72u);
  for (uint32_t i = 0; i < 200; i++) {
    EXPECT_EQ(buffers.Inspect(i), Damage::kNone);
    Revoke(buffers, i);
    EXPECT_EQ(Reads(buffers.Find(i)), i >= 128);
    buffers.Drop(i);
  }
  // And there are pages again.
  buffers.Give(1, "text", 4);
  EXPECT_FALSE(buffers.IsOnHeap(1));
}

TEST(Buffers, WithoutAddressSpaceTheHeapHelps) {
  Buffers others, buffers;
  others.Give(1, "text", 4);  // or ASan's heap has no room for the first of a size
  rlimit before;
  getrlimit(RLIMIT_AS, &before);
  rlimit little = before;
  little.rlim_cur = 1;
  setrlimit(RLIMIT_AS, &little);
  const char* copy = buffers.Give(1, "text", 4);
  setrlimit(RLIMIT_AS, &before);
  EXPECT_STREQ(copy, "text");
  EXPECT_TRUE(buffers.IsOnHeap(1));
  EXPECT_EQ(buffers.exhausted(), 1u);
}

TEST(Buffers, ALimitOnFilesIsNoSignal) {
  Buffers buffers;
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  rlimit little = before;
  little.rlim_cur = 4096;
  setrlimit(RLIMIT_FSIZE, &little);
  buffers.Give(1, "text", 4);
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_STREQ(buffers.Find(1), "text");
  EXPECT_TRUE(buffers.IsOnHeap(1));
}

TEST_P(EachGuard, AdaptiveRevokesInBatchesWhatWasAlwaysRight) {
  Buffers buffers(0, GetParam().method, GetParam().layout);
  buffers.set_guard(Guard::kAdaptive);
  const BufferStory site{.opened = 5};
  auto cycle = [&] {
    const char* copy = buffers.Give(1, "text", 4, site);
    EXPECT_STREQ(copy, "text");
    EXPECT_FALSE(Reads(copy + 5));
    Revoke(buffers, 1);
    buffers.Drop(1);
    return copy;
  };
  for (uint32_t i = 0; i < Buffers::kTrusted; i++) ASSERT_FALSE(Reads(cycle()));
  const char* trusted = cycle();
  ASSERT_TRUE(Reads(trusted));
  EXPECT_EQ(std::string(trusted, 5), "\xBA\xD0\xDA\x7A\xBA");
  const uint64_t before = buffers.pool()->calls();
  for (int i = 0; i < 6400; i++) cycle();
  EXPECT_FALSE(Reads(trusted));
  EXPECT_LE(buffers.pool()->calls() - before, 6400u / 32 * 3);
  // Another pair of sites is strict.
  const char* other = buffers.Give(1, "text", 4, {.opened = 6});
  Revoke(buffers, 1);
  EXPECT_FALSE(Reads(other));
}

// One page more is accessible with the bytes, so far away that the kernel drops the whole TLB.
TEST(PagePool, AFarPageGoesWithTheBytes) {
  std::thread([] {}).join();  // protection keys, where there are any, need no far page
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  for (const bool batched : {false, true}) {
    PagePool pool(0, GuardMethod::kNone, SlotLayout::Far());
    pool.set_batched(batched);
    const uint32_t slot = pool.Take();
    const uint32_t neighbour = pool.Take();
    if (pool.method() != GuardMethod::kMarkers) GTEST_SKIP() << "this kernel has no guard markers";
    const char* const bytes = pool.readable(slot);
    if (batched) {  // no use for one
      EXPECT_EQ(pool.readable(neighbour), bytes + SlotLayout::Near().pages * page);
      continue;
    }
    const size_t far = SlotLayout::Far().far;
    const auto accessible = [&](const char* first) {
      std::vector<size_t> found;
      for (size_t i = 0; i < SlotLayout::Far().pages; i++) {
        if (Reads(first + i * page)) found.push_back(i);
      }
      return found;
    };
    const std::vector<size_t> open = accessible(bytes);
    EXPECT_EQ(open[0], 0u);
    EXPECT_EQ(open[1], SlotLayout::kGuardEnd);
    EXPECT_EQ(open.back(), far);
    EXPECT_GT(far + 1, 33u);  // tlb_single_page_flush_ceiling
    bool in_guard = false;
    EXPECT_EQ(pool.Locate(reinterpret_cast<uintptr_t>(bytes + far * page), &in_guard), slot);
    EXPECT_TRUE(in_guard);
    pool.Close(slot);
    EXPECT_TRUE(pool.Flush());
    EXPECT_EQ(accessible(bytes), std::vector<size_t>{});
    EXPECT_EQ(accessible(pool.readable(neighbour)), open);
    EXPECT_EQ(pool.Locate(reinterpret_cast<uintptr_t>(pool.readable(neighbour)), &in_guard),
              neighbour);
    EXPECT_FALSE(in_guard);
  }
}

TEST(PagePool, FarPagesAreForVirtualMachinesOnIntel) {
  std::ifstream file("/proc/cpuinfo");
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const bool is_virtual = text.find(" hypervisor") != std::string::npos;
  const bool is_intel = text.find("GenuineIntel") != std::string::npos;
  EXPECT_EQ(SlotLayout::Best().far != 0, is_virtual && is_intel);
}

bool IsFar(PagePool& pool) {
  const uint32_t slot = pool.Take();
  const auto step = pool.readable(pool.Take()) - pool.readable(slot);
  return step != static_cast<std::ptrdiff_t>(pool.counted_bytes());
}

TEST(PagePool, SlotsAreNearUnderALimit) {
  std::thread([] {}).join();
  for (const auto resource : {RLIMIT_AS, RLIMIT_FSIZE}) {
    PagePool pool(0, GuardMethod::kNone, SlotLayout::Far());
    rlimit before;
    getrlimit(resource, &before);
    if (before.rlim_cur == RLIM_INFINITY) {
      EXPECT_TRUE(IsFar(pool) || pool.method() == GuardMethod::kBeyondEnd);
      for (uint32_t i = 2; i < PagePool::kArenaSlots; i++) pool.Take();
    }
    rlimit limited = before;
    limited.rlim_cur = std::min<rlim_t>(before.rlim_cur, RLIM_INFINITY - 1);
    setrlimit(resource, &limited);
    EXPECT_FALSE(IsFar(pool));
    setrlimit(resource, &before);
  }
}

// The kernel gives no guard markers to memory that is locked as it is mapped.
TEST(PagePool, WithoutGuardMarkersSlotsAreNear) {
  std::thread([] {}).join();
  const pid_t child = fork();
  if (child == 0) {
    if (syscall(SYS_mlockall, MCL_FUTURE) != 0) _exit(77);  // ASan's mlockall() does nothing
    PagePool pool(0, GuardMethod::kNone, SlotLayout::Far());
    if (IsFar(pool)) _exit(1);
    if (pool.method() != GuardMethod::kBeyondEnd) _exit(2);
    const uint32_t slot = pool.Take();
    const char* const bytes = pool.readable(slot);
    if (!Reads(bytes) || Reads(bytes + pool.page_size())) _exit(3);
    pool.Close(slot);
    _exit(pool.Flush() && !Reads(bytes) ? 0 : 4);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 77) GTEST_SKIP() << "memory may not be locked";
  EXPECT_EQ(status, 0);
}

// A copy in memory that the program has locked is taken away like any other.
TEST_P(EachGuard, LockedMemory) {
  Buffers buffers(0, GetParam().method, GetParam().layout);
  const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const char* locked = nullptr;
  for (int i = 0; i < 10'000; i++) {
    const char* copy = buffers.Give(1, "text", 4);
    ASSERT_STREQ(copy, "text");
    if (i == 3) {
      locked = copy;
      const uintptr_t start = reinterpret_cast<uintptr_t>(copy) / page * page;
      ASSERT_EQ(mlock(reinterpret_cast<void*>(start), page), 0);
    }
    Revoke(buffers, 1);
    if (i % 100 == 3 || copy == locked) {
      ASSERT_FALSE(Reads(copy));
    }
    buffers.Drop(1);
  }
  EXPECT_EQ(buffers.exhausted(), 0u);
}

TEST_P(EachGuard, ParentAndChildDoNotShare) {
  Buffers buffers(0, GetParam().method, GetParam().layout);
  std::vector<const char*> copies;
  for (uint32_t i = 0; i < 1000; i++) {
    copies.push_back(buffers.Give(i, ("text " + std::to_string(i)).c_str(), 4 + (i > 9) + 2));
  }
  std::vector<std::string> texts(copies.begin(), copies.end());
  const std::string large(50'000, 'L');
  const char* mapped = buffers.Give(5000, large.data(), large.size());
  const char* closed = buffers.Give(6000, "closed", 6);
  Revoke(buffers, 6000);
  int to_child[2], to_parent[2];
  ASSERT_EQ(pipe(to_child) + pipe(to_parent), 0);
  char byte = 0;
  const pid_t child = fork();
  if (child == 0) {
    // After the parent has changed everything of its own.
    if (read(to_child[0], &byte, 1) != 1) _exit(9);
    for (uint32_t i = 0; i < 1000; i++) {
      if (copies[i] != texts[i]) _exit(1);
      if (Writes(copies[i]) || Reads(copies[i] + texts[i].size() + 1)) _exit(2);
    }
    if (mapped != large) _exit(3);
    Located located;
    if (Reads(closed) || !buffers.Locate(reinterpret_cast<uintptr_t>(closed), &located)) _exit(4);
    if (located.open) _exit(5);
    for (uint32_t i = 0; i < 1000; i++) {
      Revoke(buffers, i);
      if (Reads(copies[i])) _exit(6);
      buffers.Drop(i);
    }
    for (uint32_t i = 0; i < 5000; i++) {
      if (std::strcmp(buffers.Give(i, "child's", 7), "child's") != 0) _exit(7);
    }
    if (buffers.exhausted() != 0) _exit(8);
    // A grandchild.
    const pid_t grandchild = fork();
    if (grandchild == 0) {
      _exit(std::strcmp(buffers.Find(3), "child's") == 0 && !Writes(buffers.Find(3)) ? 0 : 1);
    }
    int status = 0;
    waitpid(grandchild, &status, 0);
    if (status != 0) _exit(10);
    if (write(to_parent[1], &byte, 1) != 1) _exit(9);
    _exit(0);
  }
  for (uint32_t i = 0; i < 500; i++) {
    Revoke(buffers, i);
    buffers.Drop(i);
    buffers.Give(i, "parent's", 8);
  }
  Revoke(buffers, 5000);
  ASSERT_EQ(write(to_child[1], &byte, 1), 1);
  ASSERT_EQ(read(to_parent[0], &byte, 1), 1);
  for (uint32_t i = 0; i < 1000; i++) {
    ASSERT_STREQ(buffers.Find(i), i < 500 ? "parent's" : texts[i].c_str());
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  for (const int fd : {to_child[0], to_child[1], to_parent[0], to_parent[1]}) close(fd);
}

// Nothing is lost where a child can have no memory of its own: what is open is the parent's.
TEST_P(EachGuard, AChildWithoutDescriptors) {
  Buffers buffers(0, GetParam().method, GetParam().layout);
  std::vector<const char*> copies;
  for (uint32_t i = 0; i < 400; i++) copies.push_back(buffers.Give(i, "text", 4));
  const auto is_closed = [](size_t i) { return i >= 100 && i < 300; };  // all of one arena
  for (uint32_t i = 100; i < 300; i++) Revoke(buffers, i);
  rlimit before;
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit none = before;
  none.rlim_cur = 0;
  setrlimit(RLIMIT_NOFILE, &none);
  const pid_t child = fork();
  if (child == 0) {
    for (uint32_t i = 0; i < 400; i++) {
      Located located;
      if (Reads(copies[i]) == is_closed(i)) _exit(1);
      if (!buffers.Locate(reinterpret_cast<uintptr_t>(copies[i]), &located)) _exit(2);
      if (located.open == is_closed(i)) _exit(3);
    }
    if (std::strcmp(buffers.Give(1000, "more", 4), "more") != 0 || !buffers.IsOnHeap(1000))
      _exit(4);
    const pid_t grandchild = fork();
    if (grandchild == 0) _exit(Reads(copies[0]) && !Reads(copies[200]) ? 0 : 1);
    int status = 0;
    waitpid(grandchild, &status, 0);
    _exit(status == 0 ? 0 : 5);
  }
  setrlimit(RLIMIT_NOFILE, &before);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  for (uint32_t i = 0; i < 400; i++) EXPECT_EQ(Reads(copies[i]), !is_closed(i)) << i;
}

TEST(Buffers, ForkWhileAnotherThreadIsInside) {
  Buffers buffers;
  std::atomic<bool> stop{false};
  std::thread other([&] {
    while (!stop) {
      buffers.Give(1, "text", 4);
      Revoke(buffers, 1);
      buffers.Drop(1);
    }
  });
  for (int i = 0; i < 50; i++) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(10);
      for (uint32_t n = 100; n < 200; n++) {
        if (std::strcmp(buffers.Give(n, "child", 5), "child") != 0) _exit(1);
      }
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_EQ(status, 0);
  }
  stop = true;
  other.join();
}

}  // namespace
}  // namespace hpy::handles
