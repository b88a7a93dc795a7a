// The memo by itself: what it answers, and which words of the stack it reads to do so.
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <memory>
#include <random>
#include <vector>

#include "stacktrace/core.h"
#include "stacktrace/memo.h"
#include "stacktrace/unwind.h"

namespace hpy::stacktrace {
namespace {

// A stack of our own, whose last page can be taken away.
class MemoTest : public testing::Test {
 protected:
  MemoTest() {
    page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    stack = static_cast<char*>(
        mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  }
  ~MemoTest() override { munmap(stack, 2 * page); }

  uintptr_t sp() const { return reinterpret_cast<uintptr_t>(stack); }
  MemoKey Key(uintptr_t fp = 0) const { return {0x1000, sp(), fp, 0, PackLimits(sp() + page, 16)}; }
  uintptr_t& Word(size_t offset) { return reinterpret_cast<uintptr_t*>(stack)[offset]; }
  // An unwinding that read the words at these offsets.
  const Unwinding& Read(std::initializer_list<size_t> offsets, bool fp = false) {
    unwinding = std::make_unique<Unwinding>();
    unwinding->repeatable = true;
    unwinding->read_fp = fp;
    for (const size_t offset : offsets) {
      unwinding->words[unwinding->word_count++] = {sp() + 8 * offset, Word(offset)};
    }
    return *unwinding;
  }
  StackId Find(const Memo& memo, const MemoKey& key, uint32_t epoch = 1) {
    const MemoEntry* entry = memo.FindElsewhere(key, epoch);
    return entry == nullptr ? kNoStack : entry->id;
  }

  size_t page;
  char* stack;
  std::unique_ptr<Unwinding> unwinding;
};

TEST_F(MemoTest, EachWordThatWasReadCounts) {
  for (const uint32_t epoch : {kEveryEpoch, uint32_t{1}}) {
    for (const bool fp : {false, true}) {
      for (const auto& offsets :
           {std::initializer_list<size_t>{}, {3}, {3, 9}, {3, 9, 7}, {1, 2, 3, 4, 5}}) {
        Memo memo;
        memo.Insert(Key(8), epoch, 1, Read(offsets, fp), /*tail=*/false, 77);
        EXPECT_EQ(Find(memo, Key(8)), 77u);
        EXPECT_EQ(Find(memo, Key(16)), fp ? kNoStack : 77u);
        EXPECT_EQ(Find(memo, Key(8), 2), epoch == kEveryEpoch ? 77u : kNoStack);
        for (const size_t offset : offsets) {
          Word(offset)++;
          EXPECT_EQ(Find(memo, Key(8)), kNoStack) << offset << " of " << offsets.size();
          Word(offset)--;
        }
        MemoKey other = Key(8);
        other.limits = PackLimits(sp() + page, 15);
        EXPECT_EQ(Find(memo, other), kNoStack);
      }
    }
  }
}

TEST_F(MemoTest, StacksOfOneSiteAreFoundByWhatTellsThemApart) {
  Memo memo;
  int found = 0;
  // While the memo grows, some have to be inserted again.
  for (int round = 0; round < 4; round++) {
    found = 0;
    for (uintptr_t caller = 1; caller <= 1000; caller++) {
      Word(3) = caller;
      const StackId id = Find(memo, Key());
      ASSERT_TRUE(id == caller || id == kNoStack) << id;
      found += id == caller;
      if (id == kNoStack) {
        memo.Insert(Key(), kEveryEpoch, 1, Read({3, 9}), /*tail=*/false,
                    static_cast<StackId>(caller));
      }
    }
  }
  EXPECT_GT(found, 900);
}

TEST_F(MemoTest, WhatIsFoundInItsSecondBucketAgainAndAgainMovesToTheFirst) {
  Memo memo;
  constexpr StackId kSites = 1500;  // of 2048 places
  std::mt19937 random(1);
  std::vector<MemoKey> keys(kSites, Key());
  for (StackId site = 0; site < kSites; site++) {
    keys[site].pc += uintptr_t{random()} * 16;
    memo.Insert(keys[site], kEveryEpoch, 1, Read({3, 9, 7}), /*tail=*/false, site + 1);
  }
  int of_second = 0, moved = 0;
  for (const MemoKey& key : keys) {
    const auto find_first = [&] { return memo.Find<MemoBucket::kFirst>(key.pc, key.sp); };
    if (find_first() != nullptr) continue;
    of_second++;
    for (int i = 0; i < 1000 && find_first() == nullptr; i++) {
      MemoEntry* const entry = memo.Find<MemoBucket::kSecond>(key.pc, key.sp);
      ASSERT_NE(entry, nullptr);
      memo.FoundInSecond(entry, key.pc, key.sp);
    }
    moved += find_first() != nullptr;
  }
  EXPECT_GT(of_second, 100);
  EXPECT_GT(moved, of_second / 2);
  for (StackId site = 0; site < kSites; site++) EXPECT_EQ(Find(memo, keys[site]), site + 1);
}

TEST_F(MemoTest, OfAnEntryThatIsOutOfDateNoWordIsRead) {
  Memo memo;
  const size_t beyond = page / 8;
  memo.Insert(Key(), /*epoch=*/1, 1, Read({beyond}), /*tail=*/false, 5);
  EXPECT_EQ(Find(memo, Key(), 1), 5u);
  ASSERT_EQ(mprotect(stack + page, page, PROT_NONE), 0);
  EXPECT_EQ(Find(memo, Key(), 2), kNoStack);
}

}  // namespace
}  // namespace hpy::stacktrace
