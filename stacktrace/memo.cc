// The memo of one thread: what is not on the hot path.

#include "stacktrace/memo.h"

#include <cstdlib>
#include <new>
#include <utility>

#include "stacktrace/core.h"
#include "stacktrace/unwind.h"

namespace hpy::stacktrace {
namespace {

// Stacks that share call site and stack pointer, as when one helper is called from many places at
// the same depth, are chained: what differed in the entry that was found first says where to look
// next.
constexpr int kRounds = 4;
constexpr int kMaxKicks = 32;

// Of MemoEntry::Last::more, for so many words after the first.
size_t MoreBytes(int count) {
  return sizeof(uintptr_t) + static_cast<size_t>(count) * (sizeof(uintptr_t) + sizeof(int32_t));
}

}  // namespace

constinit Memo::Bucket Memo::empty_{};

Memo::~Memo() {
  if (buckets_ == &empty_) return;
  const size_t n = size_t{mask()} + 1;
  for (size_t i = 0; i < n; ++i) {
    for (MemoEntry& e : buckets_[i].entries) Free(&e);
  }
  ::operator delete (buckets_, std::align_val_t{alignof(Bucket)});
  g_memo_bytes.fetch_sub(n * sizeof(Bucket), std::memory_order_relaxed);
}

void Memo::Free(MemoEntry* e) {
  if (e->pc != 0 && e->has(MemoEntry::kMoreWords)) {
    g_memo_bytes.fetch_sub(MoreBytes(e->more_count()), std::memory_order_relaxed);
    free(e->last.more);
  }
  *e = MemoEntry{};
}

// Something odd-valued about the first thing in which `key` differs from an entry of the same pc
// and sp.
uint64_t Memo::Difference(const MemoEntry& e, const MemoKey& key) {
  const auto salt = [](uint64_t kind, uint64_t value) {
    const uint64_t mixed = (value << 4 | kind) * 0xd6e8feb86659fd93u;
    return ((mixed ^ mixed >> 32) * 0xd6e8feb86659fd93u) | 1;
  };
  if ((e.limits ^ key.limits) > MemoEntry::kFlags) return salt(1, key.limits);
  if (e.has(MemoEntry::kReadFp) && e.fp != key.fp) return salt(3, key.fp);
  if (e.has(MemoEntry::kTail) && e.last.callee != key.callee) return salt(4, key.callee);
  if (!e.has(MemoEntry::kNoWords)) {
    const uintptr_t word = StackWordAt(key.sp, e.offset0);
    if (word != e.value0) return salt(5, word);
  }
  if (e.has(MemoEntry::kMoreWords)) {
    const int32_t* offsets = e.more_offsets();
    for (int i = 0; i < e.more_count(); ++i) {
      const uintptr_t word = StackWordAt(key.sp, offsets[i]);
      if (word != e.more_values()[i]) return salt(7 + static_cast<uint64_t>(i), word);
    }
  } else if (e.has(MemoEntry::kSecondWord)) {
    const uintptr_t word = StackWordAt(key.sp, e.offset1);
    if (word != e.last.value1) return salt(6, word);
  }
  if (e.has(MemoEntry::kThirdWord)) {
    const uintptr_t word = StackWordAt(key.sp, e.offset2);
    if (word != e.value2) return salt(7, word);
  }
  return 0;  // the epoch: the same answer must be found anew
}

bool Memo::Matches(const MemoEntry& e, const MemoKey& key, uint32_t epoch) {
  if (!e.has(MemoEntry::kRare)) return MatchesOften(e, key.sp, &key.fp, key.limits);
  if ((e.limits ^ key.limits) > MemoEntry::kFlags) return false;
  if (e.epoch != epoch && e.epoch != kEveryEpoch) return false;
  if (e.has(MemoEntry::kReadFp) && e.fp != key.fp) return false;
  if (e.has(MemoEntry::kTail) && e.last.callee != key.callee) return false;
  if (e.has(MemoEntry::kNoWords)) return true;
  if (StackWordAt(key.sp, e.offset0) != e.value0) return false;
  if (e.has(MemoEntry::kSecondWord)) return StackWordAt(key.sp, e.offset1) == e.last.value1;
  if (!e.has(MemoEntry::kMoreWords)) return true;
  const uintptr_t* values = e.more_values();
  const int32_t* offsets = e.more_offsets();
  const auto* const end = reinterpret_cast<const uintptr_t*>(offsets);
#pragma GCC unroll 4
  for (; values != end; ++values, ++offsets) {
    if (StackWordAt(key.sp, *offsets) != *values) return false;
  }
  return true;
}

const MemoEntry* Memo::FindElsewhere(const MemoKey& key, uint32_t epoch) const {
  // Most of those that are not found at once are where the first difference leads.
  const MemoEntry* e = Find<MemoBucket::kFirst>(key.pc, key.sp);
  if (e == nullptr) e = Find<MemoBucket::kSecond>(key.pc, key.sp);
  if (e != nullptr) {
    if (Matches(*e, key, epoch)) return e;
    const bool stale = e->EpochOf() != epoch && e->EpochOf() != kEveryEpoch;
    if (const uint64_t salt = stale ? 0 : Difference(*e, key)) {
      for (const MemoEntry& next : buckets_[Buckets(key.pc, key.sp, salt).first].entries) {
        if (next.pc == key.pc && next.sp == key.sp && Matches(next, key, epoch)) return &next;
      }
    }
  }
  uint64_t salt = 0;
  for (int round = 0; round < kRounds; ++round) {
    const Pair where = Buckets(key.pc, key.sp, salt);
    uint64_t next = 0;
    for (const uint32_t b : {where.first, where.second}) {
      for (const MemoEntry& e : buckets_[b].entries) {
        if (e.pc != key.pc || e.sp != key.sp) continue;
        if (Matches(e, key, epoch)) return &e;
        if (next == 0 && (e.EpochOf() == epoch || e.EpochOf() == kEveryEpoch))
          next = Difference(e, key);
      }
    }
    if (next == 0 || next == salt) break;
    salt = next;
  }
  return nullptr;
}

bool Memo::IsFree(const MemoEntry& e, uint32_t now) const {
  return e.pc == 0 || (e.EpochOf() != now && e.EpochOf() != kEveryEpoch);
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
    MemoEntry& victim = buckets_[b].entries[Random() >> 31];
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

// A free place in a bucket, if need be one that `moves` entries made by going to their other bucket, one
// after the other. Null, and all is as before, where that is not enough.
MemoEntry* Memo::MakeRoom(uint32_t bucket, int moves) {
  for (MemoEntry& e : buckets_[bucket].entries) {
    if (e.pc == 0) return &e;
  }
  if (moves == 0) return nullptr;
  const uint32_t first = Random() >> 31;  // or the same one would have to go again and again
  for (const uint32_t i : {first, first ^ 1}) {
    MemoEntry& e = buckets_[bucket].entries[i];
    const uint32_t other = bucket ^ Distance(e.pc, e.sp);
    // Not where another of its pc and sp lies: one of the two would not be found at once any more.
    if (FindAt(other * sizeof(Bucket), e.pc, e.sp) != nullptr) continue;
    if (MemoEntry* const place = MakeRoom(other, moves - 1)) {
      *place = std::exchange(e, MemoEntry{});
      return &e;
    }
  }
  return nullptr;
}

void Memo::Promote(MemoEntry* entry, uint32_t to) {
  const MemoEntry promoted = std::exchange(*entry, MemoEntry{});
  MemoEntry* const place = MakeRoom(to, 2);
  *(place != nullptr ? place : entry) = promoted;
}

bool Memo::Grow(uint32_t now) {
  const bool first = buckets_ == &empty_;
  const size_t old_n = first ? 0 : size_t{mask()} + 1;
  const size_t n = first ? kFirstBuckets : old_n * 2;
  void* memory =
      ::operator new (n * sizeof(Bucket), std::align_val_t{alignof(Bucket)}, std::nothrow);
  if (memory == nullptr) return false;
  g_memo_bytes.fetch_add(n * sizeof(Bucket), std::memory_order_relaxed);
  auto* bigger = static_cast<Bucket*>(memory);
  for (size_t i = 0; i < n; ++i) new (&bigger[i]) Bucket;
  Bucket* old = std::exchange(buckets_, bigger);
  offset_mask_ = static_cast<uint32_t>((n - 1) * sizeof(Bucket));
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
  entry.id = id;
  const int count = u.word_count;
  const bool third = count == 3 && !u.read_fp && epoch == kEveryEpoch;
  uint64_t flags = (tail ? MemoEntry::kTail : 0) | (count == 0 ? MemoEntry::kNoWords : 0) |
                   (count > 2 && !third ? MemoEntry::kMoreWords : 0);
  if (flags != 0 || epoch != kEveryEpoch) flags |= MemoEntry::kRare;
  entry.limits = key.limits | flags | (u.read_fp ? MemoEntry::kReadFp : 0) |
                 (count == 2 || third ? MemoEntry::kSecondWord : 0) |
                 (third ? MemoEntry::kThirdWord : 0);
  if (third) {
    entry.offset2 = offsets[2];
    entry.value2 = u.words[2].value;
  } else {
    entry.fp = u.read_fp ? key.fp : 0;
    entry.epoch = epoch;
  }
  if (count > 0) {
    entry.offset0 = offsets[0];
    entry.value0 = u.words[0].value;
  }
  if (tail) {
    entry.last.callee = key.callee;
  } else if (count > 2 && !third) {
    const int more = count - 1;
    entry.last.more = static_cast<uintptr_t*>(malloc(MoreBytes(more)));
    if (entry.last.more == nullptr) return;
    g_memo_bytes.fetch_add(MoreBytes(more), std::memory_order_relaxed);
    entry.last.more[0] = static_cast<uintptr_t>(more);
    for (int i = 0; i < more; ++i) {
      entry.more_values()[i] = u.words[i + 1].value;
      entry.more_offsets()[i] = offsets[i + 1];
    }
  } else if (count > 1) {
    entry.offset1 = offsets[1];
    entry.last.value1 = u.words[1].value;
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
  if (mask() + 1 < kLastBuckets && live_ > mask() && Grow(now) &&
      Place(&entry, Buckets(entry.pc, entry.sp, 0), now)) {
    return;
  }
  Free(&entry);
}

}  // namespace hpy::stacktrace
