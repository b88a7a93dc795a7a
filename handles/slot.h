// The record of one debug handle, and the layout of a handle's value.
#ifndef HPY_HANDLES_SLOT_H_
#define HPY_HANDLES_SLOT_H_

#include <bit>
#include <cstdint>
#include <cstring>

#include "hpy.h"
#include "stacktrace/stacktrace.h"

namespace hpy::handles {

// What a slot is used for. Arguments borrow the caller's reference, and most have a slot in the run of
// their call; constants are never closed.
enum class Origin : uint8_t { kOwned = 0, kArgument = 1, kConstant = 2, kArgumentInRun = 3 };

// How an owned handle ended.
enum class Ending : uint8_t { kClosed = 0, kReturned = 1 };

// The value of a debug handle:
//
//   63            32 31           4 3    0
//   [  generation   ][    slot     ][ 0110 ]
//
// No pointer ends in 6, a handle of the universal context is odd, and the generation in the upper
// half makes a value that was truncated to 32 bits show. Values that were given out have an odd
// generation.
inline constexpr uint64_t kTag = 0x6;
inline constexpr int kSlotShift = 4;
inline constexpr int kGenerationShift = 32;
inline constexpr uint64_t kGivenOutMask = 0xF | (uint64_t{1} << kGenerationShift);
inline constexpr uint64_t kGivenOutBits = kTag | (uint64_t{1} << kGenerationShift);
inline constexpr uint32_t kMaxSlots = uint32_t{1} << (kGenerationShift - kSlotShift);
inline constexpr uint32_t kNoSlot = kMaxSlots - 1;  // never used: ends the list of free slots

// Numbers of functions of extensions have 16 bits: 0 is "none".
inline constexpr uint32_t kMaxFunctions = uint32_t{1} << 16;
inline constexpr int kOrderBits = 43;

// Of open handles.
inline constexpr uint32_t kReported = 1;  // its leak was told
inline constexpr uint32_t kOutlived = 2;  // the call that opened it has returned

// 32 bytes, two in a cache line.
struct alignas(32) Slot {
  // While open, and while `kept`: the wrapped handle of the universal context. Once closed, what is
  // needed to recognise another open handle of the same object (see ClosedObject). In the list of free
  // slots: the next one.
  uint64_t object;
  // The value of the handle while it is open, so that one comparison tells all of it. The generation in
  // its upper half is odd then: opening and closing add one, opening a slot of a run may add more. While
  // it is closed there is no tag, and the number is that of its neighbour (the lowest bit differs): a value
  // that would lead here is never the same.
  uint64_t value;
  // Where it was opened and closed: numbers of interned stacks; see also debug_ctx/story.h. While it
  // is open, `closed` has the flags below.
  uint32_t opened;
  uint32_t closed;
  uint64_t ending : 1;
  uint64_t has_buffer : 1;  // a copy of its bytes was given out: see buffers.h
  uint64_t kept : 1;
  uint64_t origin : 2;
  // The function of the extension that was in progress, and the how manieth handle this was. 2^43
  // openings last a day at 10 ns each.
  uint64_t function : 16;
  uint64_t order : kOrderBits;

  uint32_t generation() const { return static_cast<uint32_t>(value >> kGenerationShift); }
  bool is_open() const { return (value & kTag) != 0; }
  // Of several, by the bits that all of their values have.
  static bool AreOpen(uint64_t common_bits) { return (common_bits & kTag) != 0; }
  // Owned, and nothing hangs on it while it is open.
  bool is_plain() const { return is_owned() && !has_buffer; }
  bool is_owned() const { return origin == static_cast<uint64_t>(Origin::kOwned); }
  // Whether something hangs on it that is lost when the slot is used again.
  bool keeps() const { return kept || has_buffer; }
  bool is_argument() const { return (origin & static_cast<uint64_t>(Origin::kArgument)) != 0; }
  bool is_constant() const { return origin == static_cast<uint64_t>(Origin::kConstant); }
  bool was_returned() const { return ending == static_cast<uint64_t>(Ending::kReturned); }
  bool is_in_run() const { return origin == static_cast<uint64_t>(Origin::kArgumentInRun); }
  HPy wrapped() const { return HPy{static_cast<intptr_t>(object)}; }

  // What stands behind `closed` when it has been opened, as one word; the one of the next opening has
  // kNextOrder more.
  static uint64_t Opened(uint32_t function, Origin origin, uint64_t order) {
    return order * kNextOrder | uint64_t{function} << 5 | static_cast<uint64_t>(origin) << 3;
  }
  static constexpr uint64_t kNextOrder = uint64_t{1} << (64 - kOrderBits);
  void SetOpened(uint64_t opened_as) {
    static_assert(std::endian::native == std::endian::little);  // the first bit field is the lowest
    std::memcpy(reinterpret_cast<char*>(this) + sizeof(Slot) - sizeof(opened_as), &opened_as,
                sizeof(opened_as));
  }
  static constexpr uint64_t ClosedValue(uint32_t generation, uint32_t index) {
    return uint64_t{generation} << kGenerationShift | uint64_t{index ^ 1} << kSlotShift;
  }
  static uint64_t ClosedValue(uint64_t open_value) {
    return (open_value + kNextGeneration - kTag) ^ kNeighbour;
  }
  // The value with which it is opened next. `value`: of the closed slot.
  static uint64_t NextValue(uint64_t value) {
    return (value ^ kNeighbour) + kNextGeneration + kTag;
  }
  // The one that it had last.
  uint64_t last_value() const {
    return is_open() ? value : (value ^ kNeighbour) - kNextGeneration + kTag;
  }
  void ToOpen() { value = NextValue(value); }
  void ToClosed() { value = ClosedValue(value); }
  // Its counter has half of the numbers that fit: once it is closed in the other half, it is not opened
  // again.
  bool is_worn_out() const { return static_cast<int64_t>(value) < 0; }
  bool wears_out() const { return static_cast<int64_t>(ClosedValue(value)) < 0; }

 private:
  static constexpr uint64_t kNextGeneration = uint64_t{1} << kGenerationShift;
  static constexpr uint64_t kNeighbour = uint64_t{1} << kSlotShift;
};
static_assert(sizeof(Slot) == 32, "a handle costs 32 bytes");

// What a closed slot remembers of its object: 36 bits of the address and 28 bits of the time of
// closing, counted in openings. Another handle that was open at that time, and still is, with the same
// address, refers to the same object: it cannot have died in between.
inline uint64_t ClosedObject(uint64_t object, uint64_t clock) {
  return ((object >> 4) & 0xFFFFFFFFFull) << 28 | (clock & 0xFFFFFFF);
}
inline bool RefersToSameObject(uint64_t closed_object, const Slot& open, uint64_t clock_now) {
  if (((open.object >> 4) & 0xFFFFFFFFFull) != closed_object >> 28) return false;
  const uint64_t age = (clock_now - closed_object) & 0xFFFFFFF;  // openings since the closing
  return open.order < clock_now - age;
}

}  // namespace hpy::handles

#endif  // HPY_HANDLES_SLOT_H_
