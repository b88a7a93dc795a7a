// The table of debug handles: slots in one reserved range, reused first-in first-out.
#include "handles/handle_table.h"

#include <sys/mman.h>

#include <algorithm>

namespace hpy::handles {

namespace {

constexpr uint32_t kCommitStep = 32 * 1024;  // slots, 1 MiB

}  // namespace

HandleTable::HandleTable(uint32_t max_slots, DropFunction drop, void* drop_data,
                         uint32_t first_generation)
    : first_generation_(first_generation), drop_(drop), drop_data_(drop_data) {
  // Address space only; where 8 GiB of it cannot be had (ulimit -v), less will do.
  for (uint32_t slots = max_slots; slots >= kCommitStep; slots /= 2) {
    void* range = mmap(nullptr, size_t{slots} * sizeof(Slot), PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (range != MAP_FAILED) {
      slots_ = static_cast<Slot*>(range);
      reserved_ = slots;
      break;
    }
  }
  generations_.push_back({0, 0});
  newest_ = &generations_.back();
}

HandleTable::~HandleTable() {
  if (slots_ != nullptr) munmap(slots_, size_t{reserved_} * sizeof(Slot));
}

bool HandleTable::Grow() {
  if (committed_ >= reserved_ || committed_ >= kNoSlot) return false;
  if (mprotect(slots_ + committed_, size_t{kCommitStep} * sizeof(Slot), PROT_READ | PROT_WRITE) !=
      0) {
    return false;
  }
  committed_ += kCommitStep;
  return true;
}

void HandleTable::Drop(Slot& slot) {
  if (drop_ != nullptr) drop_(drop_data_, slot);
  slot.kept = 0;
  slot.has_buffer = 0;
}

uint32_t HandleTable::TakeOther() {
  if (free_head_ != kNoSlot) {
    const uint32_t index = free_head_;
    free_head_ = slots_[index].link;
    return index;
  }
  if (used_ == committed_ && !Grow()) {
    // Memory is exhausted: rather lose the oldest story than fail.
    return closed_size_ == 0 ? kNoSlot : TakeOldest();
  }
  if (used_ >= kNoSlot) return kNoSlot;
  slots_[used_].generation = first_generation_;
  return used_++;
}

void HandleTable::Forget() {
  const uint32_t oldest = TakeOldest();
  slots_[oldest].link = free_head_;
  free_head_ = oldest;
}

HandleTable::Generation& HandleTable::GenerationOf(uint64_t order) {
  auto after = std::upper_bound(generations_.begin(), generations_.end(), order,
                                [](uint64_t o, const Generation& g) { return o < g.first_order; });
  return *(after - 1);
}

Slot* HandleTable::SlotOf(HPy handle) const {
  const uint64_t bits = static_cast<uint64_t>(handle._i);
  const uint32_t index = static_cast<uint32_t>(bits) >> kSlotShift;
  if ((bits & kGivenOutMask) != kGivenOutBits || index >= used_) return nullptr;
  Slot* slot = &slots_[index];
  // A generation that the slot has not reached yet was never given out.
  return bits >> kGenerationShift <= slot->generation ? slot : nullptr;
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
  generations_.push_back({next_order_, 0});
  newest_ = &generations_.back();
  return generation();
}

size_t HandleTable::CountOpen(int64_t generation) const {
  size_t open = 0;
  for (size_t g = std::max<int64_t>(generation, 0); g < generations_.size(); g++) {
    open += generations_[g].open;
  }
  return open;
}

uint64_t HandleTable::FirstOrder(int64_t generation) const {
  if (generation <= 0) return 0;
  if (static_cast<size_t>(generation) >= generations_.size()) return next_order_;
  return generations_[generation].first_order;
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
  uint32_t i = closed_head_;
  for (size_t n = 0; n < closed_size_; n++, i = slots_[i].link) {
    if (slots_[i].order >= first) closed.push_back(&slots_[i]);
  }
  return closed;
}

}  // namespace hpy::handles
