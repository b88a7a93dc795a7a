// The table of debug handles: slots in one reserved range, reused first-in first-out.
#include "handles/handle_table.h"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

namespace hpy::handles {

namespace {

constexpr uint32_t kCommitStep = 32 * 1024;  // slots, 1 MiB
constexpr size_t kClosedQueueMax = 1024;     // at first
constexpr size_t kFirstRing = 2 * kClosedQueueMax;

// Where not even a small range can be had: two slots that are never opened.
constexpr Slot Unused(uint32_t index) {
  Slot slot{};
  slot.value = Slot::ClosedValue(0, index);
  return slot;
}
constinit Slot no_slots[] = {Unused(0), Unused(1)};
constexpr uint32_t kNoSlotsMask = 1 << kSlotShift;

}  // namespace

HandleTable::HandleTable(uint32_t max_slots, DropFunction drop, void* drop_data,
                         uint32_t first_generation)
    : slots_(no_slots),
      value_mask_(kNoSlotsMask),
      first_generation_(first_generation),
      drop_(drop),
      drop_data_(drop_data) {
  // Address space only; where 8 GiB of it cannot be had (ulimit -v), less will do.
  for (uint32_t slots = max_slots; slots >= kCommitStep && !Reserve(slots);) slots /= 2;
  ring_.resize(kFirstRing);
  queue_ = ring_.data();
  queue_mask_ = kFirstRing - 1;
  set_closed_queue_max(kClosedQueueMax);
}

HandleTable::~HandleTable() {
  if (reserved_ == 0) return;
  munmap(slots_, size_t{std::bit_ceil(reserved_)} * sizeof(Slot));
}

bool HandleTable::Reserve(uint32_t slots) {
  const size_t size = size_t{std::bit_ceil(slots)} * sizeof(Slot);
  // Readable: that takes no memory, but under mlockall(MCL_FUTURE) page tables.
  void* const range =
      mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (range == MAP_FAILED) return false;
  slots_ = static_cast<Slot*>(range);
  reserved_ = slots;
  value_mask_ = static_cast<uint32_t>(size / 2 - 1) & ~uint32_t{0xF};
  if (Commit(1)) {
    slots_[0].value = Slot::ClosedValue(first_generation_, 0);
    return true;
  }
  munmap(range, size);
  slots_ = no_slots;
  reserved_ = 0;
  value_mask_ = kNoSlotsMask;
  return false;
}

// Makes so many more slots usable than are used.
bool HandleTable::Commit(uint32_t slots) {
  while (committed_ - used_ < slots) {
    if (committed_ >= reserved_ || committed_ >= kNoSlot) return false;
    if (mprotect(slots_ + committed_, size_t{kCommitStep} * sizeof(Slot), PROT_READ | PROT_WRITE) !=
        0) {
      return false;
    }
    committed_ += kCommitStep;
  }
  return used_ + slots <= kNoSlot;
}

void HandleTable::set_closed_queue_max(size_t max) {
  closed_max_ = max;
  open_limit_ = std::max<size_t>(max, 1);
  close_limit_ = std::min<size_t>(max, queue_mask_);
}

// Doubles the ring, with what it holds at the same numbers.
bool HandleTable::GrowQueue() {
  std::vector<uint32_t> bigger;
  try {
    bigger.resize(ring_.size() * 2);
  } catch (const std::bad_alloc&) {
    return false;
  }
  const uint64_t mask = bigger.size() - 1;
  for (uint64_t i = queue_head_; i != queue_tail_; i++) bigger[i & mask] = queue_[i & queue_mask_];
  ring_ = std::move(bigger);
  queue_ = ring_.data();
  queue_mask_ = mask;
  close_limit_ = std::min<size_t>(closed_max_, mask);
  return true;
}

void HandleTable::Drop(Slot& slot) {
  if (drop_ != nullptr) drop_(drop_data_, slot);
  slot.kept = 0;
  slot.has_buffer = 0;
}

uint32_t HandleTable::TakeOldest() {
  const uint32_t index = queue_[queue_head_++ & queue_mask_];
  if (slots_[index].keeps()) {
    aside_++;  // what is dropped may run any code, which may count
    Drop(slots_[index]);
    aside_--;
  }
  return index;
}

HPy HandleTable::OpenElsewhere(HPy wrapped, uint32_t stack, uint32_t function, Origin origin) {
  const bool full = queue_tail_ - queue_head_ >= open_limit_;
  uint32_t index;
  if (!full && free_head_ != kNoSlot) {
    index = TakeFree();
  } else if (!full && Commit(1)) {
    index = used_++;
    slots_[index].value = Slot::ClosedValue(first_generation_, index);
  } else if (queue_head_ != queue_tail_) {
    // The oldest is to be reused; or memory is exhausted: rather lose its story than fail.
    index = TakeOldest();
  } else {
    return HPy_NULL;
  }
  return OpenSlot(index, wrapped, stack, function, origin);
}

void HandleTable::CloseElsewhere(Slot* slot, uint32_t stack, Ending ending, bool keep) {
  if (!is_of_newest(*slot) && !slot->is_argument()) {
    OlderOf(slot->order).open--;
    older_open_--;
  }
  slot->kept = keep;
  if (!keep) slot->object = ClosedObject(slot->object, next_order_);
  slot->closed = stack;
  slot->ending = static_cast<uint64_t>(ending);
  slot->ToClosed();
  if (slot->is_in_run()) return;
  if (slot->is_argument()) aside_--;
  if (IsWornOut(*slot)) {
    aside_++;
    return;
  }
  queue_[queue_tail_++ & queue_mask_] = index_of(*slot);
  if (must_forget()) Forget();
}

void HandleTable::Forget() {
  if (queue_tail_ - queue_head_ <= closed_max_ && GrowQueue()) return;
  PutFree(TakeOldest());
}

Slot* HandleTable::TakeRun(uint32_t count) {
  if (!Commit(count)) return nullptr;
  Slot* const run = &slots_[used_];
  for (uint32_t i = 0; i < count; i++) {
    run[i].value = Slot::ClosedValue(first_generation_, used_ + i);
    run[i].origin = static_cast<uint64_t>(Origin::kArgumentInRun);
  }
  used_ += count;
  aside_ += count;
  return run;
}

void HandleTable::QueueRuns(const std::vector<Slot*>& runs, uint32_t count) {
  std::vector<uint32_t> closed;
  for (; queue_head_ != queue_tail_; queue_head_++) {
    closed.push_back(queue_[queue_head_ & queue_mask_]);
    aside_++;
  }
  for (Slot* run : runs) {
    for (Slot* slot = run; slot != run + count; slot++) {
      slot->origin = static_cast<uint64_t>(Origin::kArgument);
      if (IsWornOut(*slot)) continue;
      if (slot->generation() == first_generation_) {
        aside_--;
        PutFree(index_of(*slot));
      } else {
        closed.push_back(index_of(*slot));
      }
    }
  }
  std::sort(closed.begin(), closed.end(),
            [this](uint32_t a, uint32_t b) { return slots_[a].order < slots_[b].order; });
  for (const uint32_t index : closed) {
    queue_[queue_tail_++ & queue_mask_] = index;
    aside_--;
    if (must_forget()) Forget();
  }
}

HandleTable::Generation& HandleTable::OlderOf(uint64_t order) {
  auto after = std::upper_bound(older_.begin(), older_.end(), order,
                                [](uint64_t o, const Generation& g) { return o < g.first_order; });
  return *(after - 1);
}

Slot* HandleTable::SlotOf(HPy handle) const {
  const uint64_t bits = static_cast<uint64_t>(handle._i);
  const uint32_t index = static_cast<uint32_t>(bits) >> kSlotShift;
  if ((bits & kGivenOutMask) != kGivenOutBits || index >= used_) return nullptr;
  Slot* slot = &slots_[index];
  // A generation that the slot has not reached yet was never given out.
  return bits >> kGenerationShift <= slot->generation() ? slot : nullptr;
}

Validity HandleTable::Classify(HPy handle) const {
  if (HPy_IsNull(handle)) return Validity::kNull;
  if (SlotOf(handle) == nullptr) return Validity::kNotAHandle;
  return Resolve(handle) != nullptr ? Validity::kOpen : Validity::kClosed;
}

const Slot* HandleTable::FindSameObject(const Slot& slot) const {
  for (uint32_t i = 0; i < used_; i++) {
    if (slots_[i].is_open() && RefersToSameObject(slot.object, slots_[i], next_order_)) {
      return &slots_[i];
    }
  }
  return nullptr;
}

int64_t HandleTable::NewGeneration() {
  older_.push_back({std::exchange(newest_first_order_, next_order_), open() - older_open_});
  older_open_ += older_.back().open;
  return generation();
}

size_t HandleTable::CountOpen(int64_t from) const {
  if (from > generation()) return 0;
  size_t open = this->open() - older_open_;
  for (size_t g = static_cast<size_t>(std::max<int64_t>(from, 0)); g < older_.size(); g++) {
    open += older_[g].open;
  }
  return open;
}

uint64_t HandleTable::FirstOrder(int64_t of) const {
  if (of <= 0) return 0;
  if (of > generation()) return next_order_;
  return of == generation() ? newest_first_order_ : older_[static_cast<size_t>(of)].first_order;
}

std::vector<Slot*> HandleTable::OpenSlots(int64_t generation) const {
  std::vector<Slot*> open;
  open.reserve(CountOpen(generation));
  ForEachOpen(generation, [&](Slot& slot) { open.push_back(&slot); });
  std::sort(open.begin(), open.end(), [](Slot* a, Slot* b) { return a->order < b->order; });
  return open;
}

std::vector<Slot*> HandleTable::ClosedSlots(int64_t generation) const {
  std::vector<Slot*> closed;
  const uint64_t first = FirstOrder(generation);
  for (uint64_t i = queue_head_; i != queue_tail_; i++) {
    Slot& slot = slots_[queue_[i & queue_mask_]];
    if (slot.order >= first) closed.push_back(&slot);
  }
  return closed;
}

}  // namespace hpy::handles
