// What the debug context keeps of builders and trackers: their slots in the tables point at these.
#ifndef HPY_DEBUG_CTX_RECORDS_H_
#define HPY_DEBUG_CTX_RECORDS_H_

#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include "handles/slot.h"
#include "hpy.h"

namespace hpy::debug_ctx {

// A list or tuple builder, and which of its items are set.
class BuilderRecord {
 public:
  BuilderRecord(HPy made, HPy_ssize_t length, bool of_tuple)
      : builder(made), size(length), is_tuple(of_tuple) {
    if (size > 64) many_.reset(new uint64_t[static_cast<size_t>(size + 63) / 64]());
  }

  void SetItem(HPy_ssize_t index, bool is_set) {
    const uint64_t bit = uint64_t{1} << (index % 64);
    uint64_t& word = Word(index);
    if (((word & bit) != 0) == is_set) return;
    word ^= bit;
    filled_ += is_set ? 1 : -1;
  }
  bool IsFull() const { return filled_ == size; }
  HPy_ssize_t FirstUnset() {
    HPy_ssize_t index = 0;
    while (index < size && (Word(index) >> (index % 64) & 1) != 0) index++;
    return index;
  }

  static BuilderRecord* Of(const handles::Slot& slot) {
    return reinterpret_cast<BuilderRecord*>(slot.wrapped()._i);
  }

  const HPy builder;  // of the universal context
  const HPy_ssize_t size;
  const bool is_tuple;
  bool refused = false;  // an item is missing, or may be, for its Set was refused

 private:
  uint64_t& Word(HPy_ssize_t index) { return many_ != nullptr ? many_[index / 64] : few_; }

  HPy_ssize_t filled_ = 0;
  uint64_t few_ = 0;
  std::unique_ptr<uint64_t[]> many_;
};

// A tracker holds debug handles, so it is ours alone: the universal context never sees one.
struct TrackerRecord {
  std::vector<HPy> handles;

  static TrackerRecord* Of(const handles::Slot& slot) {
    return reinterpret_cast<TrackerRecord*>(slot.wrapped()._i);
  }
};

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_RECORDS_H_
