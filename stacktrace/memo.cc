// The memo of one thread: what is not on the hot path.

#include "stacktrace/memo.h"

#include <cstdlib>
#include <new>
#include <utility>

#include "stacktrace/core.h"

namespace hpy::stacktrace {
namespace {

// Stacks that share call site and stack pointer, as when one helper is called from many places at
// the same depth, are chained: what differed in the entry that was found first says where to look
// next.
constexpr int kRounds = 4;
constexpr int kMaxKicks = 32;

size_t MoreBytes(int count) {
  return static_cast<size_t>(count - 1) * (sizeof(uintptr_t) + sizeof(int32_t));
}

}  // namespace

constinit Memo::Bucket Memo::empty_{};

Memo::~Memo() {
  if (buckets_ == &empty_) return;
  const size_t n = size_t{mask_} + 1;
  for (size_t i = 0; i < n; ++i) {
    for (MemoEntry& e : buckets_[i].entries) Free(&e);
  }
  ::operator delete (buckets_, std::align_val_t{alignof(Bucket)});
  g_memo_bytes.fetch_sub(n * sizeof(Bucket), std::memory_order_relaxed);
}

void Memo::Free(MemoEntry* e) {
  if (e->pc != 0 && e->count() > 2) {
    free(e->last.more);
    g_memo_bytes.fetch_sub(MoreBytes(e->count()), std::memory_order_relaxed);
  }
  *e = MemoEntry{};
}

// Something odd-valued about the first thing in which `key` differs from an entry of the same pc
// and sp.
uint64_t Memo::Difference(const MemoEntry& e, const MemoKey& key) {
  const auto salt = [](uint64_t kind, uint64_t value) {
    return ((value << 4 | kind) * 0xd6e8feb86659fd93u) | 1;
  };
  const uint64_t limits = MemoEntry::Limits(key.stop_delta, key.max_frames);
  if ((e.shape ^ limits) > MemoEntry::kShape) return salt(1, limits >> 16);
  if ((e.shape & MemoEntry::kReadFp) != 0 && e.fp != key.fp) return salt(3, key.fp);
  if ((e.shape & MemoEntry::kTail) != 0 && e.last.callee != key.callee) return salt(4, key.callee);
  if (e.count() > 0) {
    const uintptr_t word = StackWordAt(key.sp, e.offset0);
    if (word != e.value0) return salt(5, word);
  }
  if (e.count() == 2) {
    const uintptr_t word = StackWordAt(key.sp, e.offset1);
    if (word != e.last.value1) return salt(6, word);
  }
  if (e.count() > 2) {
    const auto* offsets = reinterpret_cast<const int32_t*>(e.last.more + (e.count() - 1));
    for (int i = 0; i < e.count() - 1; ++i) {
      const uintptr_t word = StackWordAt(key.sp, offsets[i]);
      if (word != e.last.more[i]) return salt(7 + static_cast<uint64_t>(i), word);
    }
  }
  return 0;  // the epoch: the same answer must be found anew
}

bool Memo::Matches(const MemoEntry& e, uintptr_t sp, uintptr_t fp, uint64_t limits,
                   uintptr_t callee, uint32_t epoch) {
  const uint64_t shape = e.shape ^ limits;
  if (shape > MemoEntry::kShape) return false;
  if ((shape & MemoEntry::kRare) == 0) return MatchesOften(e, sp, fp, limits);
  if (e.epoch != epoch && e.epoch != 0) return false;
  if ((shape & MemoEntry::kReadFp) != 0 && e.fp != fp) return false;
  if ((shape & MemoEntry::kTail) != 0 && e.last.callee != callee) return false;
  const int count = e.count();
  if (count == 0) return true;
  if (StackWordAt(sp, e.offset0) != e.value0) return false;
  if (count == 1) return true;
  if (count == 2) return StackWordAt(sp, e.offset1) == e.last.value1;
  const uintptr_t* values = e.last.more;
  const uintptr_t* const end = values + (count - 1);
  const auto* offsets = reinterpret_cast<const int32_t*>(end);
#pragma GCC unroll 4
  for (; values != end; ++values, ++offsets) {
    if (StackWordAt(sp, *offsets) != *values) return false;
  }
  return true;
}

const MemoEntry* Memo::FindElsewhere(const MemoKey& key, uint32_t epoch) const {
  uint64_t salt = 0;
  for (int round = 0; round < kRounds; ++round) {
    const Pair where = Buckets(key.pc, key.sp, salt);
    uint64_t next = 0;
    for (const uint32_t b : {where.first, where.second}) {
      for (const MemoEntry& e : buckets_[b].entries) {
        if (e.pc != key.pc || e.sp != key.sp) continue;
        if (Matches(e, key.sp, key.fp, MemoEntry::Limits(key.stop_delta, key.max_frames),
                    key.callee, epoch))
          return &e;
        if (next == 0 && (e.epoch == epoch || e.epoch == kEveryEpoch)) next = Difference(e, key);
      }
    }
    if (next == 0 || next == salt) break;
    salt = next;
  }
  return nullptr;
}

bool Memo::IsFree(const MemoEntry& e, uint32_t now) const {
  return e.pc == 0 || (e.epoch != now && e.epoch != kEveryEpoch);
}

// Moves `entry` into the table, if need be by moving others to their second bucket; what is
// left over at the end is in `entry` again, and false is returned.
bool Memo::Place(MemoEntry* entry, Pair where, uint32_t now) {
  for (const uint32_t b : {where.first, where.second}) {
    for (MemoEntry& e : buckets_[b].entries) {
      if (!IsFree(e, now)) continue;
      if (e.pc == 0) ++live_;
      Free(&e);
      e = std::exchange(*entry, MemoEntry{});
      return true;
    }
  }
  uint32_t b = where.first;
  for (int kick = 0; kick < kMaxKicks; ++kick) {
    random_ = random_ * 1664525 + 1013904223;
    MemoEntry& victim = buckets_[b].entries[random_ >> 31];
    std::swap(victim, *entry);
    b ^= Distance(entry->pc, entry->sp);
    for (MemoEntry& e : buckets_[b].entries) {
      if (!IsFree(e, now)) continue;
      if (e.pc == 0) ++live_;
      Free(&e);
      e = std::exchange(*entry, MemoEntry{});
      return true;
    }
  }
  return false;
}

bool Memo::Grow(uint32_t now) {
  const bool first = buckets_ == &empty_;
  const size_t old_n = first ? 0 : size_t{mask_} + 1;
  const size_t n = first ? kFirstBuckets : old_n * 2;
  void* memory =
      ::operator new (n * sizeof(Bucket), std::align_val_t{alignof(Bucket)}, std::nothrow);
  if (memory == nullptr) return false;
  g_memo_bytes.fetch_add(n * sizeof(Bucket), std::memory_order_relaxed);
  auto* bigger = static_cast<Bucket*>(memory);
  for (size_t i = 0; i < n; ++i) new (&bigger[i]) Bucket;
  Bucket* old = std::exchange(buckets_, bigger);
  mask_ = static_cast<uint32_t>(n - 1);
  live_ = 0;
  for (size_t i = 0; i < old_n; ++i) {
    for (MemoEntry& e : old[i].entries) {
      // A chained entry goes where an unchained one would: it is found there as well, or made anew.
      if (IsFree(e, now) || !Place(&e, Buckets(e.pc, e.sp, 0), now)) Free(&e);
    }
  }
  if (!first) {
    ::operator delete (old, std::align_val_t{alignof(Bucket)});
    g_memo_bytes.fetch_sub(old_n * sizeof(Bucket), std::memory_order_relaxed);
  }
  return true;
}

void Memo::Insert(const MemoKey& key, uint32_t epoch, uint32_t now, const Unwinding& u, bool tail,
                  StackId id) {
  if (!u.repeatable || key.pc == 0 || (tail && u.word_count > 1)) return;
  int32_t offsets[Unwinding::kMaxWords];
  for (int i = 0; i < u.word_count; ++i) {
    const auto distance = static_cast<intptr_t>(u.words[i].address - key.sp);
    // Unaligned or out of reach of an offset: rare enough not to be remembered.
    if (distance % 8 != 0 || distance / 8 != static_cast<int32_t>(distance / 8)) return;
    offsets[i] = static_cast<int32_t>(distance / 8);
  }
  if (buckets_ == &empty_ && !Grow(now)) return;

  MemoEntry entry;
  entry.pc = key.pc;
  entry.sp = key.sp;
  entry.fp = u.read_fp ? key.fp : 0;
  entry.epoch = epoch;
  entry.id = id;
  entry.shape =
      MemoEntry::Limits(key.stop_delta, key.max_frames) | static_cast<uint64_t>(u.word_count) |
      (u.read_fp ? MemoEntry::kReadFp : 0) | (tail ? MemoEntry::kTail : 0) |
      (tail || u.word_count == 0 || u.word_count > 2 || epoch != kEveryEpoch ? MemoEntry::kRare
                                                                             : 0);
  if (u.word_count > 0) {
    entry.offset0 = offsets[0];
    entry.value0 = u.words[0].value;
  }
  if (tail) {
    entry.last.callee = key.callee;
  } else if (u.word_count == 1 || u.word_count == 2) {
    entry.offset1 = offsets[u.word_count - 1];
    entry.last.value1 = u.words[u.word_count - 1].value;
  } else if (u.word_count > 2) {
    auto* more = static_cast<uintptr_t*>(malloc(MoreBytes(u.word_count)));
    if (more == nullptr) return;
    g_memo_bytes.fetch_add(MoreBytes(u.word_count), std::memory_order_relaxed);
    auto* more_offsets = reinterpret_cast<int32_t*>(more + (u.word_count - 1));
    for (int i = 1; i < u.word_count; ++i) {
      more[i - 1] = u.words[i].value;
      more_offsets[i - 1] = offsets[i];
    }
    entry.last.more = more;
  }

  // Where FindElsewhere() ended its search.
  uint64_t salt = 0;
  for (int round = 0; round + 1 < kRounds; ++round) {
    const Pair where = Buckets(key.pc, key.sp, salt);
    uint64_t next = 0;
    for (const uint32_t b : {where.first, where.second}) {
      for (const MemoEntry& e : buckets_[b].entries) {
        if (next != 0 || e.pc != key.pc || e.sp != key.sp || IsFree(e, now)) continue;
        next = Difference(e, key);
      }
    }
    if (next == 0 || next == salt) break;
    salt = next;
  }
  if (Place(&entry, Buckets(key.pc, key.sp, salt), now)) return;
  // Half full and nothing to move: it is too small. Emptier than that: too many stacks of one site.
  if (mask_ + 1 < kLastBuckets && live_ > mask_ && Grow(now) &&
      Place(&entry, Buckets(entry.pc, entry.sp, 0), now)) {
    return;
  }
  if (live_ > 0) --live_;
  Free(&entry);
}

}  // namespace hpy::stacktrace
