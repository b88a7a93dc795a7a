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

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>
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
  HPy Open(HPy wrapped, uint32_t stack, uint32_t function, Origin origin = Origin::kOwned) {
    const HPy handle = OpenAtOnce(wrapped, stack, function, origin);
    return HPy_IsNull(handle) ? OpenElsewhere(wrapped, stack, function, origin) : handle;
  }
  // The usual case, which calls nothing: null where Open() has to be asked.
  [[gnu::always_inline]] HPy OpenAtOnce(HPy wrapped, uint32_t stack, uint32_t function,
                                        Origin origin = Origin::kOwned) {
    uint32_t index;
    if (queue_tail_ - queue_head_ >= open_limit_) [[likely]] {
      index = queue_[queue_head_ & queue_mask_];
      if (slots_[index].keeps()) [[unlikely]] {
        return HPy_NULL;
      }
      queue_head_++;
    } else {
      if (free_head_ == kNoSlot) [[unlikely]] {
        return HPy_NULL;
      }
      index = TakeFree();
    }
    return OpenSlot(index, wrapped, stack, function, origin);
  }

  // The slot of a handle that is open, else null. One load from the table, and one comparison: what is
  // no handle leads to a slot too, which does not hold its value.
  Slot* Resolve(HPy handle) const {
    const auto bits = static_cast<uint64_t>(handle._i);
    static_assert(sizeof(Slot) == 2 << kSlotShift);
    char* const place =
        reinterpret_cast<char*>(slots_) + 2 * uint64_t{static_cast<uint32_t>(bits) & value_mask_};
    Slot* const slot = reinterpret_cast<Slot*>(place);
    return slot->value == bits ? slot : nullptr;
  }

  // Ends the handle of an open slot. The caller releases what it referred to, unless `keep`: then it
  // stays referred to until the slot is used again.
  void Close(Slot* slot, uint32_t stack, Ending ending, bool keep = false) {
    if (keep || slot->is_argument() || !CloseAtOnce(slot, stack, ending)) {
      CloseElsewhere(slot, stack, ending, keep);
    } else if (must_forget()) {
      Forget();
    }
  }
  // The usual case, which calls nothing: false where Close() has to be asked. The slot must not be one
  // of an argument, and Forget() has to be called at once when must_forget().
  [[gnu::always_inline]] bool CloseAtOnce(Slot* slot, uint32_t stack, Ending ending) {
    if (!is_of_newest(*slot) || slot->wears_out()) [[unlikely]] {
      return false;
    }
    CloseNewest(slot, stack, ending);
    return true;
  }
  // The same for a handle of the newest generation whose slot does not wear out.
  [[gnu::always_inline]] void CloseNewest(Slot* slot, uint32_t stack, Ending ending) {
    // Read first: what is written may be the same for all that the compiler knows.
    const uint64_t object = slot->object, value = slot->value;
    if (ending != Ending::kClosed) {
      slot->ending = static_cast<uint64_t>(ending);
      // Or compilers make one store of it and of `closed`, which reads first what was just written in two.
      std::atomic_signal_fence(std::memory_order_seq_cst);
    }
    slot->object = ClosedObject(object, next_order_);
    slot->value = Slot::ClosedValue(value);
    slot->closed = stack;
    queue_[queue_tail_++ & queue_mask_] = static_cast<uint32_t>(value) >> kSlotShift;
  }
  bool is_of_newest(const Slot& slot) const { return slot.order >= newest_first_order_; }
  bool must_forget() const { return queue_tail_ - queue_head_ > close_limit_; }
  // Drops the oldest closed handle, or makes room for more.
  void Forget();

  // Slots for the arguments of calls, `count` in a row, which are opened and closed by their owner:
  // without a place in the queue of closed handles, so that calls do not push the stories of others
  // out. Null when there is no room.
  Slot* TakeRun(uint32_t count);
  // Closes them from `slot` on, as long as they are open and have no buffer, and returns the first that
  // is another one, or `end`.
  [[gnu::always_inline]] Slot* CloseInRun(Slot* slot, const Slot* end) {
    const uint64_t clock = next_order_;
    for (; slot != end && slot->is_open() && !slot->has_buffer; slot++) CloseRunSlot(slot, clock);
    return slot;
  }
  // Closes the first `count`, without a loop. False, and none is closed, where one of them is closed or has
  // a buffer.
  template <size_t count>
  [[gnu::always_inline]] bool CloseRow(Slot* run) {
    const auto each = [ =, clock = next_order_ ]<size_t... I>(std::index_sequence<I...>) {
      if (!Slot::AreOpen((run[I].value & ...)) || (run[I].has_buffer | ...) != 0) return false;
      (CloseRunSlot(run + I, clock), ...);
      return true;
    };
    return each(std::make_index_sequence<count>());
  }
  // Opens slots of a run, beginning with the first, for a function. They get one generation, which is
  // counted in the first.
  class RunOpener {
   public:
    RunOpener(HandleTable& table, Slot* run, uint32_t function)
        : table_(table),
          next_(run),
          value_(Slot::NextValue(run->value)),
          opened_(Slot::Opened(function, Origin::kArgumentInRun, table.next_order_)) {}
    [[gnu::always_inline]] HPy Open(HPy wrapped) {
      if (next_->keeps()) [[unlikely]] {
        Done();
        table_.Drop(*next_);
        Resume();
      }
      return OpenNext(wrapped);
    }
    // The same where the next slot is known to keep nothing.
    [[gnu::always_inline]] HPy OpenNext(HPy wrapped) {
      Slot* const slot = next_++;
      slot->object = static_cast<uint64_t>(wrapped._i);
      slot->value = value_;
      slot->SetOpened(std::exchange(opened_, opened_ + Slot::kNextOrder));
      return HPy{static_cast<intptr_t>(std::exchange(value_, value_ + kNextSlot))};
    }
    Slot* next() const { return next_; }
    // To be called before the table is used for anything else, and after that, if there are more.
    void Done() { table_.next_order_ = opened_ / Slot::kNextOrder; }
    void Resume() { opened_ = opened_ % Slot::kNextOrder + table_.next_order_ * Slot::kNextOrder; }

   private:
    HandleTable& table_;
    Slot* next_;
    uint64_t value_;   // of the next one
    uint64_t opened_;  // the same: see Slot::Opened()
  };
  // Ends runs: their closed slots are ordinary ones from then on, with their place in the queue of
  // closed handles. None of them may be open.
  void QueueRuns(const std::vector<Slot*>& runs, uint32_t count);
  // A slot whose counter would wrap: none of its run is to be opened.
  static bool IsWornOut(const Slot& slot) { return slot.is_worn_out(); }

  // Why a value does not resolve.
  Validity Classify(HPy handle) const;

  // The slot of a value that was given out, whatever became of the handle, else null.
  Slot* SlotOf(HPy handle) const;

  // Whether the slot still tells the story of this handle, which may be closed.
  bool HasStory(const Slot& slot, HPy handle) const {
    const uint32_t generation = static_cast<uint64_t>(handle._i) >> kGenerationShift;
    return slot.generation() == generation || slot.generation() == generation + 1;
  }

  // The value of the slot's present or last handle.
  HPy HandleOf(const Slot& slot) const { return HPy{static_cast<intptr_t>(slot.last_value())}; }

  // An open slot other than `slot` with the object that the closed `slot` referred to, or null.
  // Walks the table.
  const Slot* FindSameObject(const Slot& slot) const;

  // Generations: `NewGeneration` returns the number of the new one; handles opened from then on belong
  // to it. Counting the open handles of a generation and later ones does not look at any handle;
  // arguments are not counted, for their owner closes them.
  int64_t NewGeneration();
  int64_t generation() const { return static_cast<int64_t>(older_.size()); }
  size_t CountOpen(int64_t generation) const;
  uint64_t FirstOrder(int64_t generation) const;
  // Calls f(slot) for each of them, in no particular order. It must not open or close any.
  template <typename F>
  void ForEachOpen(int64_t generation, F f) const {
    size_t left = CountOpen(generation);
    const uint64_t first = FirstOrder(generation);
    for (uint32_t i = 0; i < used_ && left != 0; i++) {
      if (!slots_[i].is_open() || slots_[i].order < first || slots_[i].is_argument()) continue;
      f(slots_[i]);
      left--;
    }
  }
  // Oldest first.
  std::vector<Slot*> OpenSlots(int64_t generation) const;
  std::vector<Slot*> ClosedSlots(int64_t generation) const;

  // Calls f(slot) for each closed slot that keeps its object.
  template <typename F>
  void ForEachKept(F f) const {
    for (uint32_t i = 0; i < used_; i++) {
      if (slots_[i].kept) f(slots_[i]);
    }
  }

  size_t closed_queue_max() const { return closed_max_; }
  void set_closed_queue_max(size_t max);

  uint64_t next_order() const { return next_order_; }
  uint32_t index_of(const Slot& slot) const { return static_cast<uint32_t>(&slot - slots_); }
  Slot& slot_at(uint32_t index) const { return slots_[index]; }

 private:
  struct Generation {
    uint64_t first_order;
    size_t open;  // of the handles that are counted
  };

  static constexpr uint64_t kNextSlot = uint64_t{1} << kSlotShift;  // between values

  Generation& OlderOf(uint64_t order);
  // Open handles that are counted, of all generations. Not a counter, which each opening and closing would
  // have to write: they are what is left.
  size_t open() const { return used_ - aside_ - static_cast<size_t>(queue_tail_ - queue_head_); }

  [[gnu::always_inline]] HPy OpenSlot(uint32_t index, HPy wrapped, uint32_t stack,
                                      uint32_t function, Origin origin) {
    Slot& slot = slots_[index];
    slot.object = static_cast<uint64_t>(wrapped._i);
    slot.ToOpen();
    slot.opened = stack;
    slot.closed = 0;
    slot.SetOpened(Slot::Opened(function, origin, next_order_++));
    if (origin == Origin::kArgument) aside_++;
    if (slot.value == 0) __builtin_unreachable();  // it has a tag
    return HPy{static_cast<intptr_t>(slot.value)};
  }
  [[gnu::hot]] HPy OpenElsewhere(HPy wrapped, uint32_t stack, uint32_t function, Origin origin);
  void CloseElsewhere(Slot* slot, uint32_t stack, Ending ending, bool keep);

  static void CloseRunSlot(Slot* slot, uint64_t clock) {
    slot->object = ClosedObject(slot->object, clock);
    slot->ToClosed();
  }

  uint32_t TakeFree() {
    const uint32_t index = free_head_;
    free_head_ = static_cast<uint32_t>(slots_[index].object);
    aside_--;
    return index;
  }
  void PutFree(uint32_t index) {
    slots_[index].object = free_head_;  // that of no object
    free_head_ = index;
    aside_++;
  }
  uint32_t TakeOldest();
  void Drop(Slot& slot);
  bool Reserve(uint32_t slots);
  bool Commit(uint32_t slots);
  bool GrowQueue();

  // The reserved range. [0, used_) have been handed out at some time, [0, committed_) can be written to.
  // The rest reads as 0, which is the value of no handle but null: that leads to the first slot, which
  // always has another.
  Slot* slots_;
  uint32_t value_mask_;  // of the lower half of a value: what leads into the range
  uint32_t used_ = 0;
  uint32_t committed_ = 0;
  uint32_t reserved_ = 0;
  const uint32_t first_generation_;

  // Closed handles whose story is kept, oldest first: a ring that grows as it fills.
  std::vector<uint32_t> ring_;
  uint32_t* queue_ = nullptr;  // its entries
  uint64_t queue_mask_ = 0;
  uint64_t queue_head_ = 0, queue_tail_ = 0;
  uint64_t open_limit_ = 0;   // an opening takes the oldest of so many;
  uint64_t close_limit_ = 0;  // a closing leaves so many
  size_t closed_max_ = 0;
  uint32_t free_head_ = kNoSlot;  // slots without a story
  // Used slots that are neither in the queue nor open and counted: without a story, of arguments, worn out,
  // or on their way while code of others may run.
  uint32_t aside_ = 0;

  uint64_t next_order_ = 0;
  std::vector<Generation> older_;
  size_t older_open_ = 0;  // of all in older_
  uint64_t newest_first_order_ = 0;

  DropFunction drop_;
  void* drop_data_;
};

}  // namespace hpy::handles

#endif  // HPY_HANDLES_HANDLE_TABLE_H_
