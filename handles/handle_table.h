// The table of debug handles of one interpreter: opening, resolving and closing them, and which of
// them are open.
//
//   HandleTable table;
//   HPy h = table.Open(wrapped, stack, function);     // a value that is valid until...
//   Slot* slot = table.Resolve(h);                    // one load; null when h is not open
//   table.Close(slot, stack, Ending::kClosed);        // ... and Resolve(h) is null for ever
//
// Not thread-safe: the caller holds the interpreter. Nothing here calls the interpreter.
#ifndef HPY_HANDLES_HANDLE_TABLE_H_
#define HPY_HANDLES_HANDLE_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "handles/slot.h"
#include "hpy.h"

namespace hpy::handles {

enum class Validity {
  kOpen,
  kClosed,  // given out once, and closed since
  kNull,
  kNotAHandle,  // never given out
};

class HandleTable {
 public:
  // `drop` is called with a slot whose story is about to be lost, when it keeps something: its
  // object (`kept`), or data that the caller holds aside for it.
  using DropFunction = void (*)(void* data, Slot& slot);

  // Reserves address space for `max_slots` handles at once. The generations of its slots begin at
  // `first_generation`, which is even: tables that begin far apart do not take each other's handles
  // for their own.
  explicit HandleTable(uint32_t max_slots = kMaxSlots, DropFunction drop = nullptr,
                       void* drop_data = nullptr, uint32_t first_generation = 0);
  ~HandleTable();
  HandleTable(const HandleTable&) = delete;
  HandleTable& operator=(const HandleTable&) = delete;

  // A new handle. Fails (a null handle) only when `max_slots` are open, or memory is exhausted.
  [[gnu::always_inline]] HPy Open(HPy wrapped, uint32_t stack, uint32_t function,
                                  Origin origin = Origin::kOwned) {
    const uint32_t index = TakeSlot();
    if (index == kNoSlot) [[unlikely]] {
      return HPy_NULL;
    }
    Slot& slot = slots_[index];
    const uint32_t generation = slot.generation + 1;
    // At once, so that no bit field is read to be written.
    slot = Slot{.object = static_cast<uint64_t>(wrapped._i),
                .generation = generation,
                .opened = stack,
                .closed = stacktrace::kNoStack,
                .link = 0,
                .origin = static_cast<uint32_t>(origin),
                .ending = 0,
                .kept = 0,
                .order = next_order_++,
                .function = function,
                .has_buffer = 0};
    newest_->open++;
    return Value(generation, index);
  }

  // The slot of a handle that is open, else null. One load from the table.
  Slot* Resolve(HPy handle) const {
    const uint64_t bits = static_cast<uint64_t>(handle._i);
    const uint32_t index = static_cast<uint32_t>(bits) >> kSlotShift;
    if ((bits & kGivenOutMask) != kGivenOutBits || index >= used_) return nullptr;
    Slot* slot = &slots_[index];
    return slot->generation == bits >> kGenerationShift ? slot : nullptr;
  }

  // Ends the handle of an open slot. The caller releases what it referred to, unless `keep`: then it
  // stays referred to until the slot is used again.
  [[gnu::always_inline]] void Close(Slot* slot, uint32_t stack, Ending ending, bool keep = false) {
    const uint32_t index = index_of(*slot);
    const uint64_t order = slot->order;
    (order >= newest_->first_order ? *newest_ : GenerationOf(order)).open--;
    if (!keep) slot->object = ClosedObject(slot->object, next_order_);
    slot->closed = stack;
    slot->ending = static_cast<uint32_t>(ending);
    slot->kept = keep;
    if (++slot->generation == kLastGeneration) [[unlikely]] {
      return;  // never used again
    }
    if (closed_size_ == 0) {
      closed_head_ = index;
    } else {
      slots_[closed_tail_].link = index;
    }
    closed_tail_ = index;
    if (++closed_size_ > closed_max_) [[unlikely]] {
      Forget();
    }
  }

  // Why a value does not resolve.
  Validity Classify(HPy handle) const;

  // The slot of a value that was given out, whatever became of the handle, else null.
  Slot* SlotOf(HPy handle) const;

  // Whether the slot still tells the story of this handle, which may be closed.
  bool HasStory(const Slot& slot, HPy handle) const {
    const uint32_t generation = static_cast<uint64_t>(handle._i) >> kGenerationShift;
    return slot.generation == generation || slot.generation == generation + 1;
  }

  // The value of the slot's present or last handle.
  HPy HandleOf(const Slot& slot) const {
    return Value(slot.is_open() ? slot.generation : slot.generation - 1, index_of(slot));
  }

  // An open slot other than `slot` with the object that the closed `slot` referred to, or null.
  // Walks the table.
  const Slot* FindSameObject(const Slot& slot) const;

  // Generations: `NewGeneration` returns the number of the new one; handles opened from then on belong
  // to it. Counting the open handles of a generation and later ones does not look at any handle.
  int64_t NewGeneration();
  int64_t generation() const { return static_cast<int64_t>(generations_.size()) - 1; }
  size_t CountOpen(int64_t generation) const;
  uint64_t FirstOrder(int64_t generation) const;
  // Calls f(slot) for each of them, in no particular order. It must not open or close any.
  template <typename F>
  void ForEachOpen(int64_t generation, F f) const {
    size_t left = CountOpen(generation);
    const uint64_t first = FirstOrder(generation);
    for (uint32_t i = 0; i < used_ && left != 0; i++) {
      if (!slots_[i].is_open() || slots_[i].order < first) continue;
      f(slots_[i]);
      left--;
    }
  }
  // Oldest first.
  std::vector<Slot*> OpenSlots(int64_t generation) const;
  std::vector<Slot*> ClosedSlots(int64_t generation) const;

  size_t closed_queue_max() const { return closed_max_; }
  void set_closed_queue_max(size_t max) { closed_max_ = max; }

  uint64_t next_order() const { return next_order_; }
  uint32_t index_of(const Slot& slot) const { return static_cast<uint32_t>(&slot - slots_); }
  Slot& slot_at(uint32_t index) const { return slots_[index]; }

 private:
  struct Generation {
    uint64_t first_order;
    size_t open;
  };

  static constexpr uint32_t kLastGeneration = ~uint32_t{1};  // closing to this value retires a slot

  static HPy Value(uint32_t generation, uint32_t index) {
    return HPy{static_cast<intptr_t>(uint64_t{generation} << kGenerationShift |
                                     uint64_t{index} << kSlotShift | kTag)};
  }

  Generation& GenerationOf(uint64_t order);

  // A slot that is not open; kNoSlot when there is none. Once the queue of closed handles is full, its
  // oldest.
  uint32_t TakeSlot() {
    if (closed_size_ >= closed_max_ && closed_size_ != 0) [[likely]] {
      return TakeOldest();
    }
    return TakeOther();
  }
  uint32_t TakeOldest() {
    const uint32_t index = closed_head_;
    Slot& slot = slots_[index];
    closed_head_ = slot.link;
    closed_size_--;
    if (slot.kept || slot.has_buffer) [[unlikely]] {
      Drop(slot);
    }
    return index;
  }
  uint32_t TakeOther();
  void Forget();
  void Drop(Slot& slot);
  bool Grow();

  // The reserved range. [0, used_) have been handed out at some time, [0, committed_) can be touched.
  Slot* slots_ = nullptr;
  uint32_t used_ = 0;
  uint32_t committed_ = 0;
  uint32_t reserved_ = 0;
  const uint32_t first_generation_;

  // Closed handles whose story is kept, linked oldest first (the links end by their number, not by a
  // mark); then slots without a story.
  uint32_t closed_head_ = kNoSlot;
  uint32_t closed_tail_ = kNoSlot;
  uint32_t free_head_ = kNoSlot;
  size_t closed_size_ = 0;
  size_t closed_max_ = 1024;

  uint64_t next_order_ = 0;
  std::vector<Generation> generations_;
  Generation* newest_;  // the last of them

  DropFunction drop_;
  void* drop_data_;
};

}  // namespace hpy::handles

#endif  // HPY_HANDLES_HANDLE_TABLE_H_
