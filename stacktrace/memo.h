// The memo of one thread: stacks that were unwound before, and what would have to be the same to trust them.
//
// Unwinding is a deterministic function of the registers it starts with, the words of the stack that it
// reads and the unwind tables of the loaded libraries. An entry holds all of them: call site and limits,
// the words in the order in which the unwinder read them, the epoch of loaded libraries. If everything is
// still the same, so is the answer. The first word that differs ends the comparison: the unwinder would have gone
// another way from there, so the addresses that follow may not even be readable (stacks can be swapped).
//
// The table is a cuckoo hash of buckets of two entries: each entry may lie in two buckets, so that ten thousand
// call sites fit into sixteen thousand places. It starts small and grows as it fills.

#ifndef HPY_STACKTRACE_MEMO_H_
#define HPY_STACKTRACE_MEMO_H_

#include <cstddef>
#include <cstdint>

#include "stacktrace/stacktrace.h"
#include "stacktrace/unwind.h"

namespace hpy::stacktrace {

// What a capture is asked for, in the form in which it is compared.
struct MemoKey {
  uintptr_t pc, sp, fp;
  uintptr_t callee;
  uint32_t stop_delta;  // stop_sp - sp; 0: no stop
  uint16_t max_frames;
};

// One cache line. The words: sp + 8 * offset held value.
struct alignas(64) MemoEntry {
  static constexpr uint16_t kReadFp = 1u << 14;
  static constexpr uint16_t kTail = 1u << 15;

  uintptr_t pc = 0;  // 0: empty
  uintptr_t sp = 0;
  uintptr_t fp = 0;  // compared if kReadFp
  uint32_t stop_delta = 0;
  uint32_t epoch = 0;
  StackId id = kNoStack;
  uint16_t limit = 0;  // max_frames and the flags
  uint16_t count = 0;  // of words
  int32_t offset0 = 0, offset1 = 0;
  uintptr_t value0 = 0;
  union Last {
    uintptr_t value1;  // two words
    uintptr_t callee;  // kTail, which has one word at most
    uintptr_t* more;   // three words or more: the values of all but the first, then their offsets (int32_t). Ours
  } last = {0};
};
static_assert(sizeof(MemoEntry) == 64);

// Used by its own thread only, never by two callers at once (t_busy, core.h).
class Memo {
 public:
  static constexpr int kFirstBits = 6;   // 64 buckets, 8 KiB
  static constexpr int kLastBits = 15;   // 32 768 buckets, 4 MiB

  Memo() = default;
  ~Memo();
  Memo(const Memo&) = delete;
  Memo& operator=(const Memo&) = delete;

  // The number of the stack, or kNoStack if the memo does not know. Reads only addresses that the unwinder
  // would read too.
  StackId Find(const MemoKey& key, uint32_t epoch) const {
    if (const Bucket* bucket = buckets_; bucket != nullptr) {
      bucket += Hash(key.pc, key.sp) >> shift_;
      if (Matches(bucket->entries[0], key, epoch)) return bucket->entries[0].id;
      if (Matches(bucket->entries[1], key, epoch)) return bucket->entries[1].id;
      return FindElsewhere(key, epoch);
    }
    return kNoStack;
  }

  // Remembers an unwinding, if it can be. `epoch` is kEveryEpoch for one that no unloading can touch.
  void Insert(const MemoKey& key, uint32_t epoch, uint32_t now, const Unwinding& u, bool tail, StackId id);

 private:
  struct Bucket {
    MemoEntry entries[2];
  };
  struct Pair {
    uint32_t first, second;
  };

  // Sites differ in the low bits of pc, depths in the low bits of sp: both must reach the high bits.
  static uint64_t Hash(uintptr_t pc, uintptr_t sp) {
    return (pc ^ (sp << 29 | sp >> 35)) * 0x9e3779b97f4a7c15u;
  }
  // The two buckets of a key differ by this in either direction, so an entry can be moved without knowing
  // which of the two it was meant for.
  uint32_t Distance(uint64_t hash) const {
    return (static_cast<uint32_t>(hash >> 20) | 1) & ((1u << bits_) - 1);
  }
  Pair Buckets(uint64_t hash, uint64_t salt) const {
    const auto first = static_cast<uint32_t>(((hash ^ salt) * (salt == 0 ? 1 : 0x9e3779b97f4a7c15u)) >> shift_);
    return {first, first ^ Distance(hash)};
  }
  static bool Matches(const MemoEntry& e, const MemoKey& key, uint32_t epoch);
  static uint64_t Difference(const MemoEntry& e, const MemoKey& key);
  StackId FindElsewhere(const MemoKey& key, uint32_t epoch) const;
  bool IsFree(const MemoEntry& e, uint32_t now) const;
  bool Place(MemoEntry* entry, Pair where, uint32_t now);
  bool Grow(uint32_t now);
  static void Free(MemoEntry* e);

  Bucket* buckets_ = nullptr;
  int shift_ = 64;  // 64 - bits_
  int bits_ = 0;
  uint32_t live_ = 0;  // entries placed, less those evicted; stale ones count until they are replaced
  uint32_t random_ = 0x2545f491;
};

// Other frames' locals, which the sanitizers have marked as out of bounds for this code.
__attribute__((no_sanitize_address, no_sanitize_thread)) inline uintptr_t StackWordAt(uintptr_t sp,
                                                                                    int32_t offset) {
  return *reinterpret_cast<const volatile uintptr_t*>(sp + static_cast<intptr_t>(offset) * 8);
}

inline bool Memo::Matches(const MemoEntry& e, const MemoKey& key, uint32_t epoch) {
  if (e.pc != key.pc || e.sp != key.sp || e.stop_delta != key.stop_delta) return false;
  if (e.epoch != epoch && e.epoch != 0) return false;
  if ((e.limit & 0x3fff) != key.max_frames) return false;
  if ((e.limit & MemoEntry::kReadFp) != 0 && e.fp != key.fp) return false;
  if ((e.limit & MemoEntry::kTail) != 0 && e.last.callee != key.callee) return false;
  if (e.count == 0) return true;
  if (StackWordAt(key.sp, e.offset0) != e.value0) return false;
  if (e.count == 1) return true;
  if (e.count == 2) return StackWordAt(key.sp, e.offset1) == e.last.value1;
  const uintptr_t* values = e.last.more;
  const auto* offsets = reinterpret_cast<const int32_t*>(values + (e.count - 1));
  for (int i = 0; i < e.count - 1; ++i) {
    if (StackWordAt(key.sp, offsets[i]) != values[i]) return false;
  }
  return true;
}

}  // namespace hpy::stacktrace

#endif  // HPY_STACKTRACE_MEMO_H_
