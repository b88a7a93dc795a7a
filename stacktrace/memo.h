// The memo of one thread: stacks unwound before, and what must be the same to trust them.
//
// Unwinding is a deterministic function of the registers it starts with, the words of the stack
// that it reads and the unwind tables of the loaded libraries. An entry holds all of them: call
// site and limits, the words in the order in which the unwinder read them, the epoch of loaded
// libraries. If everything is still the same, so is the answer. The first word that differs ends
// the comparison: the unwinder would have gone another way from there, so the addresses that follow
// may not even be readable (stacks can be swapped).
//
// The table is a cuckoo hash of buckets of two entries: each entry may lie in two buckets, so that
// ten thousand call sites fit into sixteen thousand places. What is found in its second one again and
// again moves to the first, which the hot path asks. It starts small and grows as it fills.

#ifndef HPY_STACKTRACE_MEMO_H_
#define HPY_STACKTRACE_MEMO_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "stacktrace/stacktrace.h"
#include "stacktrace/tls.h"

namespace hpy::stacktrace {

struct Unwinding;

// Where a capture stops and how much of it is kept, as one word that is compared at once:
// stop_sp << 16 | max_frames << 7, and in entries their flags below.
using MemoLimits = uint64_t;
inline MemoLimits PackLimits(uintptr_t stop_sp, int max_frames) {
  static_assert(kMaxFrames << 7 < 1 << 16);
  return static_cast<uint64_t>(stop_sp) << 16 | static_cast<uint64_t>(max_frames) << 7;
}
inline uintptr_t StopOf(MemoLimits limits) { return limits >> 16; }

// What a capture is asked for, in the form in which it is compared.
struct MemoKey {
  uintptr_t pc, sp, fp;
  uintptr_t callee;
  MemoLimits limits;  // of a stop_sp that lies on this stack, or 0
};

// One cache line. The words: sp + 8 * offset held value.
struct alignas(64) MemoEntry {
  // The flags in the lowest bits of `limits`. Those of most entries, which have one word: none.
  static constexpr uint64_t kReadFp = 1;  // `fp` is compared
  static constexpr uint64_t kSecondWord = 2;
  static constexpr uint64_t kThirdWord = 4;  // a second one too, and neither fp nor epoch
  static constexpr uint64_t kRare = 8;       // one of the next, or an epoch
  static constexpr uint64_t kTail = 16;      // has no second word
  static constexpr uint64_t kNoWords = 32;
  static constexpr uint64_t kMoreWords = 64;
  static constexpr uint64_t kFlags = 127;

  uintptr_t pc = 0;  // 0: empty
  uintptr_t sp = 0;
  union {
    uintptr_t fp = 0;
    uintptr_t value2;
  };
  MemoLimits limits = 0;
  union {
    uint32_t epoch = 0;
    int32_t offset2;
  };
  StackId id = kNoStack;
  int32_t offset0 = 0, offset1 = 0;
  uintptr_t value0 = 0;
  union Last {
    uintptr_t value1;
    uintptr_t callee;  // kTail
    uintptr_t* more;   // kMoreWords: how many, the values of all but the first, then their offsets
                       // (int32_t). Ours
  } last = {0};

  bool has(uint64_t flag) const { return (limits & flag) != 0; }
  uint32_t EpochOf() const { return has(kThirdWord) ? 0 : epoch; }
  // Of kMoreWords: those after the first.
  int more_count() const { return static_cast<int>(last.more[0]); }
  uintptr_t* more_values() const { return last.more + 1; }
  int32_t* more_offsets() const { return reinterpret_cast<int32_t*>(more_values() + more_count()); }
};
static_assert(sizeof(MemoEntry) == 64);

// The two buckets where most entries may lie.
enum class MemoBucket { kFirst, kSecond };

// Used by its own thread only, never by two callers at once (BusyScope, core.h).
class Memo {
 public:
  static constexpr uint32_t kFirstBuckets = 64;    // 8 KiB
  static constexpr uint32_t kLastBuckets = 32768;  // 4 MiB

  Memo() = default;
  ~Memo();
  Memo(const Memo&) = delete;
  Memo& operator=(const Memo&) = delete;

  // The entry that lies in one of them, if it is for this pc and sp, else null: with MatchesAtOnce() the
  // whole hot path, and small for that reason.
  template <MemoBucket bucket>
  MemoEntry* Find(uintptr_t pc, uintptr_t sp) const {
    uint32_t offset = Hash(pc, sp) << 3 & offset_mask_;
    if (bucket == MemoBucket::kSecond) {
      offset ^= Distance(pc, sp) * static_cast<uint32_t>(sizeof(Bucket));
    }
    return FindAt(offset, pc, sp);
  }
  // Whether an entry of this pc and sp holds. Often: unless it is kRare, which is false too. At once: nor
  // with more than one of the other flags, so that it takes one register. `fp` is read only where it counts.
  static bool MatchesOften(const MemoEntry& e, uintptr_t sp, const uintptr_t* fp,
                           MemoLimits limits);
  static bool MatchesAtOnce(const MemoEntry& e, uintptr_t sp, const uintptr_t* fp,
                            MemoLimits limits);
  static bool Matches(const MemoEntry& e, const MemoKey& key, uint32_t epoch);
  // The entry that holds, or null if the memo does not know. Only addresses are read that the unwinder
  // would read too.
  const MemoEntry* FindElsewhere(const MemoKey& key, uint32_t epoch) const;

  // To be told of an entry that was found in its second bucket and held, of this pc and sp, where the first
  // has none of them: one time in 64 it is moved there, so that what is used again and again is found at once.
  void FoundInSecond(MemoEntry* e, uintptr_t pc, uintptr_t sp) {
    if (Random() >> 26 == 0) [[unlikely]] {
      Promote(e, First(pc, sp));
    }
  }

  // Remembers an unwinding, if it can be. `epoch` is kEveryEpoch for one that no unloading can
  // touch.
  void Insert(const MemoKey& key, uint32_t epoch, uint32_t now, const Unwinding& u, bool tail,
              StackId id);

 private:
  struct Bucket {
    MemoEntry entries[2];
  };
  struct Pair {
    uint32_t first, second;
  };

  // In the bucket that lies so many bytes from the first. Of two of this pc and sp the other is hidden.
  MemoEntry* FindAt(uint32_t offset, uintptr_t pc, uintptr_t sp) const {
    char* const bucket = reinterpret_cast<char*>(buckets_) + offset;
    MemoEntry* e = reinterpret_cast<Bucket*>(bucket)->entries;
    if (e->pc == pc && e->sp == sp) return e;
    ++e;
    return e->pc == pc && e->sp == sp ? e : nullptr;
  }
  // Neighbouring sites lie in neighbouring buckets, so that code which runs through many of them
  // reads the table in order; stacks of different depth are spread. The lowest four bits do not count.
  static uint32_t Hash(uintptr_t pc, uintptr_t sp) {
    return static_cast<uint32_t>(pc) + static_cast<uint32_t>(sp) * 0x9e3779b1u;
  }
  uint32_t First(uintptr_t pc, uintptr_t sp) const { return Hash(pc, sp) >> 4 & mask(); }
  // The two buckets of an entry differ by this in either direction, so it can be moved without
  // knowing which of the two it was meant for.
  uint32_t Distance(uintptr_t pc, uintptr_t sp) const {
    return (static_cast<uint32_t>(((pc ^ sp << 20) * 0x9e3779b97f4a7c15u) >> 40) | 1) & mask();
  }
  // `salt` leads to where a stack lies whose pc and sp are taken already (see FindElsewhere).
  Pair Buckets(uintptr_t pc, uintptr_t sp, uint64_t salt) const {
    const uint32_t first = (First(pc, sp) + static_cast<uint32_t>(salt >> 32)) & mask();
    return {first, first ^ Distance(pc, sp)};
  }
  uint32_t mask() const { return offset_mask_ / sizeof(Bucket); }  // buckets - 1
  static uint64_t Difference(const MemoEntry& e, const MemoKey& key);
  void Promote(MemoEntry* entry, uint32_t to);
  MemoEntry* MakeRoom(uint32_t bucket, int moves);
  uint32_t Random() { return random_ = random_ * 1664525 + 1013904223; }
  bool IsFree(const MemoEntry& e, uint32_t now) const;
  bool Place(MemoEntry* entry, Pair where, uint32_t now);
  bool Grow(uint32_t now);
  static void Free(MemoEntry* e);

  static Bucket empty_;  // where buckets_ points before there are any: never written to

  Bucket* buckets_ = &empty_;
  uint32_t offset_mask_ = 0;  // mask(), in bytes
  uint32_t live_ = 0;         // entries; stale ones count until they are replaced
  uint32_t random_ = 0x2545f491;
};

// Other frames' locals, which the sanitizers have marked as out of bounds for this code.
__attribute__((no_sanitize_address, no_sanitize_thread)) inline uintptr_t StackWordAt(
    uintptr_t sp, int32_t offset) {
  using Word = uintptr_t __attribute__((may_alias));
  return *reinterpret_cast<const Word*>(sp +
                                        static_cast<uintptr_t>(static_cast<intptr_t>(offset) * 8));
}

inline bool Memo::MatchesOften(const MemoEntry& e, uintptr_t sp, const uintptr_t* fp,
                               MemoLimits limits) {
  const uint64_t flags = e.limits ^ limits;
  if (flags >= MemoEntry::kRare) return false;  // or other limits
  if ((flags & MemoEntry::kReadFp) != 0 && e.fp != *fp) return false;
  return StackWordAt(sp, e.offset0) == e.value0 &&
         ((flags & MemoEntry::kSecondWord) == 0 || StackWordAt(sp, e.offset1) == e.last.value1) &&
         ((flags & MemoEntry::kThirdWord) == 0 || StackWordAt(sp, e.offset2) == e.value2);
}

inline bool Memo::MatchesAtOnce(const MemoEntry& e, uintptr_t sp, const uintptr_t* fp,
                                MemoLimits limits) {
  // The empty statements keep both compilers from loading what they can compare with in memory.
  uint64_t flags = e.limits ^ limits;
  asm("" : "+r"(flags));
  const auto is = [sp](int32_t offset, const uintptr_t& value) {
    uintptr_t word = StackWordAt(sp, offset);
    asm("" : "+r"(word));
    return word == value;
  };
  if (flags == 0) [[likely]] {
    return is(e.offset0, e.value0);
  }
  if (flags == MemoEntry::kSecondWord) {
    return is(e.offset0, e.value0) && is(e.offset1, e.last.value1);
  }
  return flags == MemoEntry::kReadFp && e.fp == *fp && is(e.offset0, e.value0);
}

// The memo of this thread while nobody uses it; null where there is none, or in a signal handler
// that interrupted its use.
extern constinit thread_local Memo* t_idle_memo HPY_STACKTRACE_TLS;

// What `ask` finds in it; kNoStack where it is in use.
template <typename Ask>
[[gnu::always_inline]] inline StackId AskIdleMemo(const Ask& ask) {
  Memo* const memo = t_idle_memo;
  if (memo == nullptr) [[unlikely]] {
    return kNoStack;
  }
  t_idle_memo = nullptr;
  std::atomic_signal_fence(std::memory_order_seq_cst);
  const StackId id = ask(*memo);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  t_idle_memo = memo;
  return id;
}

// The stack of a call site, if it is where most are: a capture that has no loop, calls nothing and is
// inlined for that. kNoStack where RememberedElsewhere() has to be asked.
[[gnu::always_inline]] inline StackId Remembered(uintptr_t pc, uintptr_t sp, const uintptr_t* fp,
                                                 MemoLimits limits) {
  return AskIdleMemo([&](const Memo& memo) __attribute__((always_inline)) {
    const MemoEntry* e = memo.Find<MemoBucket::kFirst>(pc, sp);
    if (e == nullptr || !Memo::MatchesAtOnce(*e, sp, fp, limits)) return kNoStack;
    if (e->id == kNoStack) __builtin_unreachable();  // no entry has that
    return e->id;
  });
}
// The rest of the two buckets. kNoStack where Capture() has to be asked.
inline StackId RememberedElsewhere(uintptr_t pc, uintptr_t sp, const uintptr_t* fp,
                                   MemoLimits limits) {
  return AskIdleMemo([&](Memo & memo) __attribute__((always_inline)) {
    const MemoEntry* const first = memo.Find<MemoBucket::kFirst>(pc, sp);
    if (first != nullptr && Memo::MatchesOften(*first, sp, fp, limits)) return first->id;
    MemoEntry* const e = memo.Find<MemoBucket::kSecond>(pc, sp);
    if (e == nullptr || !Memo::MatchesOften(*e, sp, fp, limits)) return kNoStack;
    const StackId id = e->id;
    if (first == nullptr) memo.FoundInSecond(e, pc, sp);
    return id;
  });
}

}  // namespace hpy::stacktrace

#endif  // HPY_STACKTRACE_MEMO_H_
