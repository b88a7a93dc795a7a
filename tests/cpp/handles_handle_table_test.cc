// The table of handles: validity for ever, reuse, generations, memory.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "handles/handle_table.h"

namespace hpy::handles {
namespace {

HPy Object(intptr_t address) { return HPy{address + 1}; }  // as in the universal context: odd

TEST(HandleTable, GivesBackWhatItWraps) {
  HandleTable table;
  const HPy handle = table.Open(Object(0x1000), 7, 3);
  Slot* slot = table.Resolve(handle);
  ASSERT_NE(slot, nullptr);
  EXPECT_EQ(slot->wrapped()._i, 0x1001);
  EXPECT_EQ(slot->opened, 7u);
  EXPECT_EQ(slot->function, 3u);
  EXPECT_EQ(table.HandleOf(*slot)._i, handle._i);
}

TEST(HandleTable, ValuesAreNeitherPointersNorUniversalHandles) {
  HandleTable table;
  for (int i = 0; i < 100; i++) {
    const uint64_t bits = static_cast<uint64_t>(table.Open(Object(16), 0, 0)._i);
    EXPECT_EQ(bits & 0xF, kTag);
    EXPECT_NE(bits >> 32, 0u) << "a value that is cut to 32 bits must show";
  }
}

TEST(HandleTable, TellsWhyAValueDoesNotResolve) {
  HandleTable table;
  const HPy open = table.Open(Object(16), 0, 0);
  const HPy closed = table.Open(Object(16), 0, 0);
  table.Close(table.Resolve(closed), 0, Ending::kClosed);
  EXPECT_EQ(table.Classify(open), Validity::kOpen);
  EXPECT_EQ(table.Classify(closed), Validity::kClosed);
  EXPECT_EQ(table.Classify(HPy_NULL), Validity::kNull);
  const auto bits = static_cast<uint64_t>(open._i);
  const uint64_t forged[] = {
      bits & 0xFFFFFFFF,           // truncated
      bits + (uint64_t{2} << 32),  // a generation of the future
      bits + (uint64_t{1} << 32),  // an even one
      bits | uint64_t{1} << 30,    // a slot that does not exist
      bits ^ 0x7,                  // odd, as a handle of the universal context
      0x7f0000001000,              // a pointer
      ~uint64_t{0},
      0xFFFFFFFFFFFFFFF6,  // the right pattern, nothing else
  };
  for (const uint64_t value : forged) {
    EXPECT_EQ(table.Classify(HPy{static_cast<intptr_t>(value)}), Validity::kNotAHandle) << value;
    EXPECT_EQ(table.Resolve(HPy{static_cast<intptr_t>(value)}), nullptr) << value;
  }
}

TEST(HandleTable, FindsNothingWhereNoHandleWasGivenOut) {
  // Without room for even one handle too: as where no address space can be had.
  for (const uint32_t max_slots : {kMaxSlots, uint32_t{32 * 1024}, uint32_t{0}}) {
    HandleTable table(max_slots);
    for (const uint64_t high : {0u, 1u, 2u, 3u, 0x7f00u}) {
      for (const uint64_t base : {0u, (32u * 1024 - 2) << kSlotShift, 0x80000000u, ~0u - 63}) {
        for (uint64_t low = 0; low < 64; low++) {
          const uint64_t bits = high << 32 | (base + low);
          EXPECT_EQ(table.Resolve(HPy{static_cast<intptr_t>(bits)}), nullptr) << bits;
        }
      }
    }
    EXPECT_EQ(HPy_IsNull(table.Open(Object(16), 0, 0)), max_slots == 0);
  }
}

// Whatever slots hold, nothing but the value of an open handle leads to one: not the numbers of stacks,
// not the links of free slots, not what closed ones remember.
TEST(HandleTable, FindsNothingButOpenHandles) {
  constexpr uint32_t kCount = 4096;
  std::mt19937 random(20261128);
  HandleTable table;
  table.set_closed_queue_max(100);
  std::vector<HPy> handles;
  for (uint32_t i = 0; i < kCount; i++) {
    handles.push_back(table.Open(Object(16 * i), i + 1, i & 0xFF));
  }
  std::shuffle(handles.begin(), handles.end(), random);
  std::set<intptr_t> open;
  for (size_t i = 0; i < handles.size(); i++) {
    if (i % 4 == 0) {
      open.insert(handles[i]._i);
    } else {
      const Ending ending = i % 4 == 1 ? Ending::kReturned : Ending::kClosed;
      table.Close(table.Resolve(handles[i]), i % 4 == 3 ? static_cast<uint32_t>(i) : 0, ending);
    }
  }
  const auto look = [&](uint64_t bits) {
    const auto value = static_cast<intptr_t>(bits);
    ASSERT_EQ(table.Resolve(HPy{value}) != nullptr, open.count(value) != 0) << bits;
  };
  for (uint64_t bits = 0; bits < 16 * kCount + 64; bits++) {
    for (const uint64_t high : {0u, 1u, 2u, 3u}) look(high << 32 | bits);
  }
  for (uint32_t i = 0; i < kCount; i++) {
    uint32_t words[sizeof(Slot) / 4];
    std::memcpy(words, static_cast<const void*>(&table.slot_at(i)), sizeof(words));
    for (const uint64_t high : words) {
      for (const uint64_t low : words) look(high << 32 | low);
    }
  }
}

TEST(HandleTable, WhatIsOpenedAtOnceIsWhatIsReadBack) {
  HandleTable table;
  for (const Origin origin : {Origin::kOwned, Origin::kArgument, Origin::kConstant}) {
    for (const uint32_t function : {uint32_t{0}, uint32_t{1}, kMaxFunctions - 1}) {
      const uint64_t order = table.next_order();
      const Slot& slot = *table.Resolve(table.Open(Object(16), ~uint32_t{0}, function, origin));
      EXPECT_EQ(slot.order, order);
      EXPECT_EQ(slot.function, function);
      EXPECT_EQ(slot.origin, static_cast<uint64_t>(origin));
      EXPECT_EQ(slot.opened, ~uint32_t{0});
      EXPECT_EQ(slot.closed, 0u);
      EXPECT_FALSE(slot.keeps());
      EXPECT_FALSE(slot.was_returned());
    }
  }
}

TEST(HandleTable, AClosedHandleStaysClosedHoweverManyCome) {
  HandleTable table;
  table.set_closed_queue_max(4);
  std::vector<HPy> closed;
  for (int i = 0; i < 100000; i++) {
    const HPy handle = table.Open(Object(16), 0, 0);
    if (i % 1000 == 0) closed.push_back(handle);
    table.Close(table.Resolve(handle), 0, Ending::kClosed);
    const HPy open = table.Open(Object(16), 0, 0);
    for (const HPy old : closed) ASSERT_EQ(table.Resolve(old), nullptr);
    table.Close(table.Resolve(open), 0, Ending::kClosed);
  }
  for (const HPy old : closed) EXPECT_EQ(table.Classify(old), Validity::kClosed);
}

TEST(HandleTable, TheStoryOfTheLastClosedHandlesIsKept) {
  HandleTable table;
  table.set_closed_queue_max(10);
  std::vector<HPy> handles;
  for (uint32_t i = 0; i < 30; i++) {
    handles.push_back(table.Open(Object(16), i, 0));
    table.Close(table.Resolve(handles.back()), 100 + i, Ending::kClosed);
  }
  for (uint32_t i = 0; i < 30; i++) {
    const Slot* slot = table.SlotOf(handles[i]);
    ASSERT_NE(slot, nullptr);
    if (i < 20) {
      EXPECT_FALSE(table.HasStory(*slot, handles[i])) << i;
    } else {
      ASSERT_TRUE(table.HasStory(*slot, handles[i])) << i;
      EXPECT_EQ(slot->opened, i);
      EXPECT_EQ(slot->closed, 100 + i);
    }
  }
}

TEST(HandleTable, TheQueueOfClosedHandlesBehavesAsDocumented) {
  HandleTable table;
  table.set_closed_queue_max(3);
  auto close_one = [&] {
    table.Close(table.Resolve(table.Open(Object(16), 0, 0)), 0, Ending::kClosed);
  };
  std::vector<HPy> open;
  for (int i = 0; i < 6; i++) open.push_back(table.Open(Object(16), 0, 0));
  for (const HPy handle : open) table.Close(table.Resolve(handle), 0, Ending::kClosed);
  EXPECT_EQ(table.ClosedSlots(0).size(), 3u);
  table.set_closed_queue_max(1);  // drops nothing by itself
  EXPECT_EQ(table.ClosedSlots(0).size(), 3u);
  close_one();  // one is reused, one appended, and one more dropped
  EXPECT_EQ(table.ClosedSlots(0).size(), 2u);
  table.set_closed_queue_max(0);
  close_one();
  close_one();
  close_one();
  EXPECT_TRUE(table.ClosedSlots(0).empty());
  close_one();
  EXPECT_TRUE(table.ClosedSlots(0).empty());
}

TEST(HandleTable, GenerationsCountAndListOldestFirst) {
  HandleTable table;
  table.Open(Object(16), 0, 0, Origin::kConstant);
  const HPy before = table.Open(Object(16), 1, 0);
  EXPECT_EQ(table.NewGeneration(), 1);
  EXPECT_EQ(table.CountOpen(1), 0u);
  EXPECT_EQ(table.CountOpen(0), 2u);
  std::vector<HPy> in_first;
  for (uint32_t i = 0; i < 5; i++) in_first.push_back(table.Open(Object(16), 10 + i, 0));
  EXPECT_EQ(table.NewGeneration(), 2);
  const HPy young = table.Open(Object(16), 20, 0);
  EXPECT_EQ(table.CountOpen(1), 6u);
  EXPECT_EQ(table.CountOpen(2), 1u);
  table.Close(table.Resolve(in_first[0]), 0, Ending::kClosed);
  table.Close(table.Resolve(before), 0, Ending::kClosed);
  EXPECT_EQ(table.CountOpen(0), 6u);
  EXPECT_EQ(table.CountOpen(1), 5u);
  const std::vector<Slot*> open = table.OpenSlots(1);
  ASSERT_EQ(open.size(), 5u);
  for (uint32_t i = 0; i < 4; i++) EXPECT_EQ(open[i]->opened, 11 + i);
  EXPECT_EQ(open[4]->opened, 20u);
  table.Close(table.Resolve(young), 0, Ending::kClosed);
  EXPECT_EQ(table.CountOpen(2), 0u);
  EXPECT_TRUE(table.OpenSlots(2).empty());
  EXPECT_EQ(table.CountOpen(3), 0u) << "a generation of the future";
  EXPECT_EQ(table.CountOpen(-1), table.CountOpen(0));
}

TEST(HandleTable, KnowsAnotherHandleOfTheSameObject) {
  HandleTable table;
  const HPy witness = table.Open(Object(0x5550), 0, 0);
  const HPy handle = table.Open(Object(0x5550), 0, 0);
  Slot* slot = table.Resolve(handle);
  const HPy later_dup = table.Open(Object(0x5550), 0, 0);
  table.Close(slot, 0, Ending::kClosed);
  EXPECT_NE(table.FindSameObject(*slot), nullptr);
  table.Close(table.Resolve(witness), 0, Ending::kClosed);
  ASSERT_NE(table.FindSameObject(*slot), nullptr) << "opened before the handle was closed";
  table.Close(table.Resolve(later_dup), 0, Ending::kClosed);
  // The object may have died; another one may live at its address now.
  table.Open(Object(0x5550), 0, 0);
  EXPECT_EQ(table.FindSameObject(*slot), nullptr);
}

TEST(HandleTable, TheQueueOfClosedHandlesGrows) {
  HandleTable table;
  constexpr size_t kMax = 100'000;
  table.set_closed_queue_max(kMax);
  std::vector<HPy> handles;
  for (uint32_t i = 0; i < kMax + 10; i++) handles.push_back(table.Open(Object(16), i, 0));
  for (const HPy handle : handles) table.Close(table.Resolve(handle), 0, Ending::kClosed);
  const std::vector<Slot*> closed = table.ClosedSlots(0);
  ASSERT_EQ(closed.size(), kMax);
  for (uint32_t i = 0; i < kMax; i++) ASSERT_EQ(closed[i]->opened, i + 10);
}

HPy OpenFirst(HandleTable& table, Slot* run, uint32_t function) {
  HandleTable::RunOpener opener(table, run, function);
  const HPy handle = opener.Open(Object(16));
  opener.Done();
  return handle;
}

TEST(HandleTable, SlotsOfARunThatWereLeftOutGetTheGenerationOfTheFirst) {
  HandleTable table;
  Slot* const run = table.TakeRun(3);
  const auto open = [&](int count) {
    std::vector<HPy> handles;
    HandleTable::RunOpener opener(table, run, 1);
    for (int i = 0; i < count; i++) handles.push_back(opener.Open(Object(16)));
    opener.Done();
    return handles;
  };
  const auto close = [&](size_t count) {
    EXPECT_EQ(table.CloseInRun(run, run + count), run + count);
  };
  const std::vector<HPy> three = open(3);
  close(3);
  const std::vector<HPy> one = open(1);
  EXPECT_TRUE(table.HasStory(run[2], three[2])) << "it was not opened since";
  close(1);
  const std::vector<HPy> again = open(3);
  for (size_t i = 0; i < 3; i++) {
    EXPECT_EQ(table.Resolve(again[i]), &run[i]);
    EXPECT_EQ(table.Classify(three[i]), Validity::kClosed);
    EXPECT_FALSE(table.HasStory(run[i], three[i]));
    EXPECT_TRUE(table.HasStory(run[i], again[i]));
  }
  EXPECT_EQ(table.Classify(one[0]), Validity::kClosed);
  close(3);
  EXPECT_EQ(table.next_order(), 7u) << "one for each that was opened";
}

TEST(HandleTable, ArgumentsHaveNoPlaceInTheQueueUntilTheirRunIsQueued) {
  HandleTable table;
  table.set_closed_queue_max(3);
  Slot* const run = table.TakeRun(4);
  ASSERT_NE(run, nullptr);
  std::vector<HPy> arguments;
  HandleTable::RunOpener opener(table, run, 7);
  for (int i = 0; i < 3; i++) arguments.push_back(opener.Open(Object(16)));
  opener.Done();
  EXPECT_EQ(opener.next(), run + 3);
  EXPECT_EQ(table.CountOpen(0), 0u) << "their owner closes them";
  EXPECT_TRUE(table.OpenSlots(0).empty());
  EXPECT_EQ(table.Resolve(arguments[1]), &run[1]);
  EXPECT_EQ(table.CloseInRun(run, run + 3), run + 3);
  for (int i = 0; i < 100; i++) {
    table.Close(table.Resolve(table.Open(Object(16), 0, 0)), 0, Ending::kClosed);
  }
  EXPECT_EQ(table.Classify(arguments[0]), Validity::kClosed);
  EXPECT_TRUE(table.HasStory(run[0], arguments[0])) << "others do not push it out";
  EXPECT_EQ(run[0].function, 7u);
  const HPy again = OpenFirst(table, run, 8);
  EXPECT_FALSE(table.HasStory(run[0], arguments[0]));
  ASSERT_EQ(table.Resolve(again), run);
  table.CloseInRun(run, run + 1);
  table.QueueRuns({run}, 4);
  const std::vector<Slot*> closed = table.ClosedSlots(0);
  ASSERT_EQ(closed.size(), 3u);
  EXPECT_EQ(closed.back(), &run[0]) << "the last one that was opened";
  // From now on they are slots as any other.
  for (int i = 0; i < 100; i++) {
    table.Close(table.Resolve(table.Open(Object(16), 0, 0)), 0, Ending::kClosed);
  }
  EXPECT_FALSE(table.HasStory(run[0], again));
}

// All of them or none: those that need more are closed one by one.
TEST(HandleTable, ARowIsClosedWithoutALoopOnlyIfAllOfItIsOpenAndPlain) {
  HandleTable table;
  Slot* const run = table.TakeRun(3);
  const auto open = [&] {
    HandleTable::RunOpener opener(table, run, 1);
    for (int i = 0; i < 3; i++) opener.Open(Object(16));
    opener.Done();
  };
  open();
  EXPECT_TRUE(table.CloseRow<2>(run));
  EXPECT_FALSE(run[0].is_open());
  EXPECT_FALSE(run[1].is_open());
  EXPECT_TRUE(run[2].is_open());
  EXPECT_FALSE(table.CloseRow<3>(run)) << "some are closed";
  EXPECT_TRUE(run[2].is_open());
  table.CloseInRun(run + 2, run + 3);
  open();
  run[1].has_buffer = 1;
  EXPECT_FALSE(table.CloseRow<3>(run));
  EXPECT_EQ(table.CloseInRun(run, run + 3), run + 1);
}

TEST(HandleTable, ARunIsWornOutBeforeItsCounterWraps) {
  HandleTable table;
  Slot* const run = table.TakeRun(1);
  EXPECT_FALSE(HandleTable::IsWornOut(*run));
  run->value = Slot::ClosedValue(0x7FFFFFFE, table.index_of(*run));
  const HPy last = OpenFirst(table, run, 0);
  table.CloseInRun(run, run + 1);
  EXPECT_TRUE(HandleTable::IsWornOut(*run));
  EXPECT_EQ(table.Classify(last), Validity::kClosed);
}

// Releasing what a closed handle kept may run Python code, which may begin a generation.
TEST(HandleTable, WhatIsDroppedMayBeginAGeneration) {
  HandleTable* in_drop = nullptr;
  HandleTable table(
      kMaxSlots,
      [](void* data, Slot& slot) {
        if (slot.kept) (*static_cast<HandleTable**>(data))->NewGeneration();
      },
      &in_drop);
  in_drop = &table;
  const auto close_kept = [&] {
    table.Close(table.Resolve(table.Open(Object(16), 0, 0)), 0, Ending::kClosed, /*keep=*/true);
  };
  const auto check = [&](size_t open) {
    for (int64_t g = 0; g <= table.generation(); g++) {
      EXPECT_EQ(table.CountOpen(g), table.OpenSlots(g).size()) << g;
    }
    EXPECT_EQ(table.CountOpen(0), open);
  };
  table.set_closed_queue_max(3);
  for (int i = 0; i < 3; i++) close_kept();
  check(0);
  table.Open(Object(16), 0, 0);  // takes the oldest
  EXPECT_EQ(table.generation(), 1);
  check(1);
  table.set_closed_queue_max(1);
  close_kept();
  EXPECT_GT(table.generation(), 1);
  check(1);
  table.set_closed_queue_max(4);
  Slot* const run = table.TakeRun(2);
  OpenFirst(table, run, 0);
  table.CloseInRun(run, run + 1);
  for (int i = 0; i < 4; i++) close_kept();
  table.set_closed_queue_max(1);
  table.QueueRuns({run}, 2);
  check(1);
}

TEST(HandleTable, DropsWhatASlotKeepsWhenItIsUsedAgain) {
  std::vector<uint64_t> dropped;
  HandleTable table(
      kMaxSlots,
      [](void* data, Slot& slot) {
        if (slot.kept) static_cast<std::vector<uint64_t>*>(data)->push_back(slot.object);
      },
      &dropped);
  table.set_closed_queue_max(1);
  const HPy handle = table.Open(Object(0x40), 0, 0);
  table.Close(table.Resolve(handle), 0, Ending::kClosed, /*keep=*/true);
  EXPECT_TRUE(dropped.empty());
  table.Open(Object(0x80), 0, 0);
  EXPECT_EQ(dropped, std::vector<uint64_t>{0x41});
}

TEST(HandleTable, ASlotIsRetiredBeforeItsCounterWraps) {
  HandleTable table;
  table.set_closed_queue_max(0);
  const HPy first = table.Open(Object(16), 0, 0);
  Slot* slot = table.Resolve(first);
  slot->value |= uint64_t{0x7FFFFFFF} << kGenerationShift;  // the last handle of this slot
  const HPy last = table.HandleOf(*slot);
  table.Close(slot, 0, Ending::kClosed);
  for (int i = 0; i < 10; i++) {
    const HPy handle = table.Open(Object(16), 0, 0);
    EXPECT_NE(table.Resolve(handle), slot);
    table.Close(table.Resolve(handle), 0, Ending::kClosed);
  }
  EXPECT_EQ(table.Classify(last), Validity::kClosed);
  EXPECT_EQ(table.Classify(first), Validity::kClosed);
}

TEST(HandleTable, RefusesWhenItIsFull) {
  HandleTable table(32 * 1024);
  HPy last = HPy_NULL;
  for (int i = 0; i < 32 * 1024; i++) last = table.Open(Object(16), 0, 0);
  ASSERT_FALSE(HPy_IsNull(last));
  EXPECT_TRUE(HPy_IsNull(table.Open(Object(16), 0, 0)));
  table.Close(table.Resolve(last), 0, Ending::kClosed);
  EXPECT_FALSE(HPy_IsNull(table.Open(Object(16), 0, 0))) << "rather loses a story than fails";
}

long ResidentPages() {
  long size = 0, resident = 0;
  FILE* statm = std::fopen("/proc/self/statm", "r");
  EXPECT_EQ(std::fscanf(statm, "%ld %ld", &size, &resident), 2);
  std::fclose(statm);
  return resident;
}

TEST(HandleTable, OpeningAndClosingDoesNotGrow) {
  HandleTable table;
  auto rounds = [&](int n) {
    for (int i = 0; i < n; i++) {
      table.Close(table.Resolve(table.Open(Object(16), 0, 0)), 0, Ending::kClosed);
    }
  };
  rounds(100000);
  const long before = ResidentPages();
  rounds(10000000);
  EXPECT_LE((ResidentPages() - before) * sysconf(_SC_PAGESIZE), 1 << 20);
}

// Against a model: a set of the handles that are open, and the generations that they are counted in.
TEST(HandleTable, RandomSequencesAgreeWithAModel) {
  constexpr uint32_t kRun = 3;
  struct Opened {
    HPy handle;
    size_t generation;
    bool counted;
  };
  for (unsigned seed = 0; seed < 20; seed++) {
    std::mt19937 random(seed);
    HandleTable table;
    table.set_closed_queue_max(random() % 50);
    std::vector<Opened> open;
    std::vector<HPy> closed;
    std::vector<Slot*> runs;
    std::vector<size_t> counted(1);  // by generation
    for (int step = 0; step < 5000; step++) {
      const unsigned choice = random() % 1000;
      if (choice < 2) {
        table.NewGeneration();
        counted.push_back(0);
      } else if (choice < 7) {
        runs.push_back(table.TakeRun(kRun));
        OpenFirst(table, runs.back(), 0);
        table.CloseInRun(runs.back(), runs.back() + 1);
      } else if (choice < 10) {
        table.QueueRuns(std::exchange(runs, {}), kRun);
      } else if (choice < 520 || open.empty()) {
        const bool is_argument = random() % 8 == 0;
        const HPy object = Object(16 * static_cast<intptr_t>(1 + random() % 8));
        const HPy handle =
            table.Open(object, 0, 0, is_argument ? Origin::kArgument : Origin::kOwned);
        if (!is_argument) counted.back()++;
        open.push_back({handle, counted.size() - 1, !is_argument});
      } else {
        const size_t i = random() % open.size();
        Slot* const slot = table.Resolve(open[i].handle);
        if (random() % 100 == 0) {  // wears out: it is not used again
          slot->value =
              uint64_t{0x7FFFFFFF} << kGenerationShift | static_cast<uint32_t>(slot->value);
          open[i].handle = table.HandleOf(*slot);
        }
        table.Close(slot, 0, Ending::kClosed);
        if (open[i].counted) counted[open[i].generation]--;
        closed.push_back(open[i].handle);
        open[i] = open.back();
        open.pop_back();
      }
      size_t expected = 0;
      for (size_t g = counted.size(); g-- > 0;) {
        expected += counted[g];
        ASSERT_EQ(table.CountOpen(static_cast<int64_t>(g)), expected) << "step " << step;
      }
    }
    std::set<intptr_t> values;
    for (const Opened& o : open) {
      EXPECT_NE(table.Resolve(o.handle), nullptr);
      EXPECT_TRUE(values.insert(o.handle._i).second) << "two open handles with one value";
    }
    for (const HPy handle : closed) {
      EXPECT_EQ(table.Classify(handle), Validity::kClosed);
      EXPECT_EQ(values.count(handle._i), 0u);
    }
    EXPECT_EQ(table.OpenSlots(0).size(), table.CountOpen(0));
  }
}

}  // namespace
}  // namespace hpy::handles
