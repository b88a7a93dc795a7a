// The depot: every distinct stack once, under a 32-bit number.

#ifndef HPY_STACKTRACE_DEPOT_H_
#define HPY_STACKTRACE_DEPOT_H_

#include <cstdint>
#include <vector>

#include "stacktrace/stacktrace.h"

namespace hpy::stacktrace {

// A frame in eight bytes. Virtual addresses in a file and user-space addresses have at most 48 bits
// (what does not fit has no module and is cut, which no platform of today can show).
class PackedFrame {
 public:
  static constexpr uint32_t kMaxModule = (1u << 15) - 1;

  PackedFrame() = default;
  PackedFrame(uint32_t module, uint64_t offset, bool tail)
      : bits_((uint64_t{tail} << 63) | (uint64_t{module & kMaxModule} << 48) |
              (offset & ((uint64_t{1} << 48) - 1))) {}
  explicit PackedFrame(uint64_t bits) : bits_(bits) {}

  uint64_t bits() const { return bits_; }
  RawFrame Unpack() const {
    return {.module = static_cast<uint32_t>(bits_ >> 48) & kMaxModule,
            .offset = bits_ & ((uint64_t{1} << 48) - 1),
            .tail = (bits_ >> 63) != 0};
  }

 private:
  uint64_t bits_ = 0;
};

// All members must be called under the one lock of this room (core.h): only captures that the memo
// does not know come here. Nothing is ever removed, so a number means the same stack for ever.
class Depot {
 public:
  StackId Intern(const PackedFrame* frames, int count, bool truncated);
  RawStack Lookup(StackId id) const;
  // Writes at most `max` frames and returns their number; uses no heap.
  int LookupInto(StackId id, RawFrame* frames, int max, bool* truncated) const;

  uint64_t stacks() const { return starts_.size(); }
  uint64_t frames() const { return words_.size() - starts_.size(); }
  uint64_t bytes() const {
    return words_.capacity() * sizeof(uint64_t) + starts_.capacity() * sizeof(uint32_t) +
           table_.capacity() * sizeof(Cell);
  }

 private:
  struct Cell {
    uint32_t hash;
    StackId id;  // 0: empty
  };
  void Grow();

  // A stack is a word (frames << 1 | truncated) and its frames; starts_[id - 1] is the place of
  // that word.
  std::vector<uint64_t> words_;
  std::vector<uint32_t> starts_;
  std::vector<Cell> table_;  // open addressing, a power of two, at most half full
};

}  // namespace hpy::stacktrace

#endif  // HPY_STACKTRACE_DEPOT_H_
