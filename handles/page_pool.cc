// Guarded pages for small buffers, from memory that is mapped twice.
#include "handles/page_pool.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

namespace hpy::handles {

namespace {

using State = PagePool::SlotState;

constexpr uint32_t kMinSlots = 2 * PagePool::kArenaSlots;
constexpr unsigned char kPoison[] = {0xBA, 0xD0, 0xDA, 0x7A};

// Half of the mappings that a process may have, at two for each slot in the worst case (every other
// slot open). The rest is for the program.
uint32_t SlotsForMappings() {
  unsigned long limit = 65530;
  const int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    char text[24] = {};
    if (read(fd, text, sizeof(text) - 1) > 0) limit = std::strtoul(text, nullptr, 10);
    close(fd);
  }
  return static_cast<uint32_t>(
      std::min<unsigned long>(limit / 4, size_t{PagePool::kMaxArenas} * PagePool::kArenaSlots));
}

// A file without a name, in memory. -1 where it cannot be had. A limit on the size of files would
// be answered with a signal.
int MemoryFile(size_t size) {
  rlimit limit;
  if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
      limit.rlim_cur < size) {
    return -1;
  }
  const int fd = memfd_create("hpy-buffers", MFD_CLOEXEC);
  if (fd < 0) return -1;
  if (ftruncate(fd, static_cast<off_t>(size)) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

// ulimit -v, -f.
bool HasLimits() {
  rlimit space, files;
  return (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY) ||
         (getrlimit(RLIMIT_FSIZE, &files) == 0 && files.rlim_cur != RLIM_INFINITY);
}

// Whether a processor of Intel's says that it has a hypervisor.
bool IsVirtualIntel() {
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (__get_cpuid(0, &a, &b, &c, &d) == 0 || b != signature_INTEL_ebx) return false;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c >> 31 & 1) != 0;
#else
  return false;
#endif
}

}  // namespace

SlotLayout SlotLayout::Best() { return IsVirtualIntel() ? Far() : Near(); }

void Poison(char* data, size_t size) {
  for (; size >= sizeof(kPoison); data += sizeof(kPoison), size -= sizeof(kPoison)) {
    std::memcpy(data, kPoison, sizeof(kPoison));
  }
  std::memcpy(data, kPoison, size);
}

bool IsPoisoned(const char* data, size_t size) {
  for (size_t i = 0; i < size; i++) {
    if (data[i] != static_cast<char>(kPoison[i % 4])) return false;
  }
  return true;
}

PagePool::PagePool(uint32_t max_slots, GuardMethod method, SlotLayout layout)
    : page_size_(static_cast<size_t>(sysconf(_SC_PAGESIZE))),
      alone_layout_(layout),
      max_slots_(max_slots),
      method_(method) {
  if (max_slots_ == 0) max_slots_ = SlotsForMappings();
  max_slots_ = std::min(max_slots_ / kArenaSlots, kMaxArenas) * kArenaSlots;
}

PagePool::~PagePool() {
  for (uint32_t i = 0; i < arena_count_; i++) {
    const Arena& arena = arenas_[i];
    munmap(arena.readable, arena.bytes());
    munmap(arena.writable, arena.bytes());
    munmap(static_cast<void*>(arena.slots), sizeof(Slot) * kArenaSlots);
  }
}

bool PagePool::InstallMarkers(const Arena& arena) const {
  const auto install = [&](uint32_t slot, uint32_t first, uint32_t end) {
    return first == end || madvise(arena.readable + arena.Offset(slot) + first * page_size_,
                                   (end - first) * page_size_, MADV_GUARD_INSTALL) == 0;
  };
  const SlotLayout& layout = arena.layout;
  const uint32_t behind = layout.far != 0 ? layout.far + 1 : layout.pages;
  for (uint32_t i = 0; i < kArenaSlots; i++) {
    if (!install(i, 1, SlotLayout::kGuardEnd) || !install(i, behind, layout.pages)) return false;
  }
  return true;
}

bool PagePool::InstallGuards(const Arena& arena, int fd) {
  if (method_ != GuardMethod::kBeyondEnd) {
    const bool good = InstallMarkers(arena);
    if (good) method_ = GuardMethod::kMarkers;
    if (good || method_ == GuardMethod::kMarkers) return good;
  }
  method_ = GuardMethod::kBeyondEnd;
  if (arena.layout.far != 0) return false;  // it would be a mapping of its own
  for (uint32_t i = 0; i < kArenaSlots; i++) {
    char* guard = arena.readable + arena.Offset(i) + page_size_;
    const off_t beyond = static_cast<off_t>(arena.bytes() + arena.Offset(i));
    if (mmap(guard, arena.slot_bytes - page_size_, PROT_NONE, MAP_SHARED | MAP_FIXED, fd, beyond) ==
        MAP_FAILED) {
      return false;
    }
  }
  return true;
}

bool PagePool::Map(Arena* arena) {
  const size_t size = arena->bytes();
  const int fd = MemoryFile(size);
  if (fd < 0) return false;
  const bool again = arena->readable != nullptr;
  const int fixed = again ? MAP_FIXED : 0;
  void* readable = mmap(arena->readable, size, PROT_NONE, MAP_SHARED | fixed, fd, 0);
  void* writable = mmap(arena->writable, size, PROT_READ | PROT_WRITE, MAP_SHARED | fixed, fd, 0);
  Arena mapped = *arena;
  mapped.readable = static_cast<char*>(readable);
  mapped.writable = static_cast<char*>(writable);
  const bool good = readable != MAP_FAILED && writable != MAP_FAILED && InstallGuards(mapped, fd);
  close(fd);  // the mappings keep it: programs may close all descriptors
  if (!good) {
    if (again) return false;
    if (readable != MAP_FAILED) munmap(readable, size);
    if (writable != MAP_FAILED) munmap(writable, size);
    return false;
  }
  *arena = mapped;
  arena->stale = false;
  for (uint32_t i = 0; again && i < kArenaSlots; i++) {
    arena->slots[i].key = ProtectionKeys::kNone;
    arena->slots[i].has_far = false;
  }
  return true;
}

bool PagePool::Grow() {
  if (made_ >= max_slots_) return false;
  const uint32_t index = made_ / kArenaSlots;
  Arena& arena = arenas_[index];
  const bool is_far =
      !batched_ && !UsesKeys() && method_ != GuardMethod::kBeyondEnd && !HasLimits();
  arena.Set(is_far ? alone_layout_ : SlotLayout::Near(), page_size_);
  void* slots = mmap(nullptr, sizeof(Slot) * kArenaSlots, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (slots == MAP_FAILED) return false;
  bool good = Map(&arena);
  if (!good && is_far) {  // no guard markers, or no space
    arena.Set(SlotLayout::Near(), page_size_);
    good = Map(&arena);
  }
  if (!good) {
    munmap(slots, sizeof(Slot) * kArenaSlots);
    return false;
  }
  arena.slots = new (slots) Slot[kArenaSlots];
  arena_count_.store(index + 1, std::memory_order_release);
  made_ += kArenaSlots;
  return Arm(index);
}

bool PagePool::Protect(uint32_t first, uint32_t count, int protection) {
  calls_++;
  return mprotect(const_cast<char*>(readable(first)), count * arena(first).slot_bytes,
                  protection) == 0;
}

uint32_t PagePool::ProtectRuns(uint32_t first, uint32_t count, State from, int protection,
                               State to) {
  const uint32_t end = first + count;
  uint32_t changed = 0;
  for (uint32_t slot = first; slot < end;) {
    uint32_t run = 0;
    while (slot + run < end && at(slot + run).state == from) run++;
    if (run != 0 && Protect(slot, run, protection)) {
      changed += run;
      for (uint32_t i = 0; i < run; i++) at(slot + i).set(to);
    }
    slot += run + 1;
  }
  return changed;
}

// Neighbours get different keys, the same ones in every round. Each takes a mapping: where there are
// no more, the program needs them, and keys are given up.
void PagePool::GiveKeys(uint32_t first, uint32_t count) {
  for (uint32_t slot = first; slot < first + count; slot++) {
    if (at(slot).key != ProtectionKeys::kNone || at(slot).state != State::kRevoked) continue;
    const int key = static_cast<int>(slot % static_cast<uint32_t>(keys_.count()));
    calls_++;
    if (!keys_.Protect(const_cast<char*>(readable(slot)), arena(slot).slot_bytes, PROT_NONE, key)) {
      has_mappings_ = false;
      TakeKeys(first, count);
      return;
    }
    at(slot).key = static_cast<int8_t>(key);
  }
}

void PagePool::TakeKeys(uint32_t first, uint32_t count) {
  for (uint32_t slot = first; slot < first + count; slot++) {
    if (at(slot).key == ProtectionKeys::kNone || at(slot).state != State::kRevoked) continue;
    calls_++;
    if (keys_.Protect(const_cast<char*>(readable(slot)), arena(slot).slot_bytes, PROT_NONE,
                      ProtectionKeys::kNone)) {
      at(slot).key = ProtectionKeys::kNone;
    } else {
      at(slot).set(State::kClosed);  // inaccessible, and of no use
    }
  }
}

// Makes the slots of an arena accessible that are nobody's.
bool PagePool::Arm(uint32_t index) {
  if (arenas_[index].stale && !Map(&arenas_[index])) return false;
  const uint32_t first = index * kArenaSlots;
  if (UsesKeys()) {
    GiveKeys(first, kArenaSlots);
  } else if (keys_.count() != 0) {
    TakeKeys(first, kArenaSlots);
  }
  next_ = first;
  end_ = first + kArenaSlots;
  armings_++;
  return ProtectRuns(first, kArenaSlots, State::kRevoked, PROT_READ, State::kArmed) != 0;
}

bool PagePool::ArmNext() {
  const size_t wanted = std::max<size_t>(closed_max_, kMinSlots);
  // Enough are closed and inaccessible once as many as that are left besides an arena to hand out.
  if (made_ < open_ + wanted + kArenaSlots && Grow()) return true;
  const uint32_t arenas = made_ / kArenaSlots;
  if (arenas == 0) return false;
  // After the setting was lowered the ring is only as long as it asks for.
  const auto ring = static_cast<uint32_t>(
      std::min<size_t>(arenas, (open_ + wanted + kArenaSlots - 1) / kArenaSlots + 1));
  for (uint32_t tried = 0; tried < arenas; tried++) {
    if (recycle_ >= (tried < ring ? ring : arenas)) recycle_ = 0;
    const uint32_t index = recycle_++;
    uint32_t free = 0;
    for (uint32_t i = 0; i < kArenaSlots; i++) {
      free += arenas_[index].slots[i].state == State::kRevoked;
    }
    if (free != 0 && Arm(index)) return true;
  }
  return Grow();
}

// Slots of a key that were closed are taken away before another slot makes it accessible again.
bool PagePool::AdmitKey(int key) {
  if (!UsesKeys()) return false;
  if ((hidden_ >> key & 1) != 0) RevokePending();
  users_[key]++;
  keys_.Admit(key);
  return true;
}

// An open slot with this key is closed. True when its key hides it from now on.
bool PagePool::LeaveKey(int key, bool shared) {
  if (--users_[key] != 0 || shared || !UsesKeys()) return false;
  hidden_ |= uint32_t{1} << key;
  keys_.Refuse(key);
  return true;
}

// Only a page that was accessed is in the TLB and needs to be dropped. When a slot is used again, for
// memory has to be found for it: a program that needs few buffers does without.
void PagePool::TouchFar(uint32_t slot) {
  const uint32_t far = arena(slot).layout.far;
  if (far != 0) {
    static_cast<void>(*static_cast<const volatile char*>(readable(slot) + far * page_size_));
  }
  at(slot).has_far = true;
}

uint32_t PagePool::Take() {
  if (disabled_) return kNone;
  if (!keys_.asked() && MayUseKeys() && ProtectionKeys::ThreadIsAlone()) keys_.Allocate();
  for (;;) {
    while (next_ < end_) {
      const uint32_t slot = next_++;
      if (at(slot).state != State::kArmed) continue;
      if (at(slot).key != ProtectionKeys::kNone && !AdmitKey(at(slot).key)) {
        // Armed when this thread was alone.
        ProtectRuns(slot, 1, State::kArmed, PROT_NONE, State::kRevoked);
        continue;
      }
      at(slot).set(State::kOpen);
      open_++;
      if (!at(slot).has_far && at(slot).story.size != 0) TouchFar(slot);
      return slot;
    }
    if (!ArmNext()) return kNone;
  }
}

bool PagePool::Share(uint32_t slot) const {
  Slot& shared = at(slot);
  if (shared.key == ProtectionKeys::kNone) return false;
  State was = State::kOpen;
  if (!shared.state.compare_exchange_strong(was, State::kSharing)) {
    return was == State::kSharing || was == State::kShared;  // another thread was faster
  }
  if (shared.key == ProtectionKeys::kNone) {  // it was used again meanwhile, by who needs no key
    was = State::kSharing;
    shared.state.compare_exchange_strong(was, State::kOpen);
    return true;
  }
  const bool good = keys_.Protect(const_cast<char*>(readable(slot)), arena(slot).slot_bytes,
                                  PROT_READ, ProtectionKeys::kNone);
  shared.state = good ? State::kShared : State::kOpen;
  return good;
}

void PagePool::Close(uint32_t slot) {
  Slot& closed = at(slot);
  open_--;
  // Before this one is hidden: it makes an end of what is.
  if (pending_count_ == kMaxPending) RevokePending();
  bool is_hidden = false;
  if (closed.key == ProtectionKeys::kNone) {
    closed.set(State::kClosed);  // Share() has no business with it
  } else {
    State was = closed.state;
    while (was == State::kSharing || !closed.state.compare_exchange_weak(was, State::kClosed)) {
      sched_yield();
      was = closed.state;
    }
    is_hidden = LeaveKey(closed.key, was == State::kShared);
    if (was == State::kShared) closed.key = ProtectionKeys::kNone;
  }
  if (pending_count_ == kMaxPending) {
    // The kernel refuses more mappings: this one stays readable, and is not used again.
    Poison(writable(slot), page_size_);
    return;
  }
  pending_[pending_count_++] = slot;
  if (!is_hidden) pending_readable_++;
}

bool PagePool::RevokePending() {
  if (pending_count_ > 1) std::sort(pending_, pending_ + pending_count_);
  size_t refused = 0;
  for (size_t i = 0; i < pending_count_;) {
    const uint32_t first = pending_[i];
    uint32_t count = 1;
    while (i + count < pending_count_ && pending_[i + count] == first + count &&
           (first + count) % kArenaSlots != 0) {
      count++;
    }
    const bool revoked = Protect(first, count, PROT_NONE);
    for (uint32_t n = 0; n < count; n++) {
      if (revoked) {
        at(first + n).set(State::kRevoked);
      } else {
        Poison(writable(first + n), page_size_);
        pending_[refused++] = first + n;
      }
    }
    i += count;
  }
  pending_count_ = pending_readable_ = refused;
  hidden_ = 0;
  return refused == 0;
}

uint32_t PagePool::Locate(uintptr_t address, bool* in_guard) const {
  const uint32_t count = arena_count_.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < count; i++) {
    const Arena& arena = arenas_[i];
    const uintptr_t offset = address - reinterpret_cast<uintptr_t>(arena.readable);
    if (offset >= arena.bytes()) continue;
    *in_guard = offset % arena.slot_bytes >= page_size_;
    return i * kArenaSlots + static_cast<uint32_t>(offset / arena.slot_bytes);
  }
  return kNone;
}

uint32_t PagePool::OpenIn(const Arena& arena) {
  uint32_t open = 0;
  for (uint32_t i = 0; i < kArenaSlots; i++) open += arena.slots[i].is_open();
  return open;
}

void PagePool::PrepareFork() {
  if (disabled_ || open_ == 0) return;
  const size_t bytes = size_t{open_} * page_size_;
  void* copy = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (copy == MAP_FAILED) return;
  snapshot_ = static_cast<char*>(copy);
  snapshot_bytes_ = bytes;
  char* to = snapshot_;
  for (uint32_t slot = 0; slot < made_; slot++) {
    if (!at(slot).is_open()) continue;
    // Only the bytes of the buffer: what lies before them in the page means nothing.
    const size_t size = std::min<size_t>(at(slot).story.size, page_size_);
    std::memcpy(to + page_size_ - size, writable(slot) + page_size_ - size, size);
    to += page_size_;
  }
}

void PagePool::AfterForkInParent() {
  if (snapshot_ != nullptr) munmap(snapshot_, snapshot_bytes_);
  snapshot_ = nullptr;
}

bool PagePool::CopyOpen(uint32_t index, const char** from) {
  Arena& arena = arenas_[index];
  if (!Map(&arena)) return false;
  const uint32_t first = index * kArenaSlots;
  for (uint32_t slot = first; slot < first + kArenaSlots; slot++) {
    if (!at(slot).is_open()) continue;
    const size_t size = std::min<size_t>(at(slot).story.size, page_size_);
    std::memcpy(writable(slot) + page_size_ - size, *from + page_size_ - size, size);
    *from += page_size_;
  }
  return ProtectRuns(first, kArenaSlots, State::kOpen, PROT_READ, State::kOpen) == OpenIn(arena);
}

bool PagePool::AfterForkInChild() {
  if (disabled_) return false;
  // What the parent writes from now on must never be seen here, nor the reverse. Arenas without open
  // buffers are mapped anew when they are needed.
  const char* from = snapshot_;
  bool good = open_ == 0 || snapshot_ != nullptr;
  for (uint32_t i = 0; i < arena_count_.load(std::memory_order_relaxed); i++) {
    Arena& arena = arenas_[i];
    for (uint32_t n = 0; n < kArenaSlots; n++) {
      Slot& slot = arena.slots[n];
      slot.set(slot.is_open() ? State::kOpen : State::kRevoked);  // nobody is at Share() here
    }
    if (OpenIn(arena) != 0) {
      good = good && CopyOpen(i, &from);
    } else {
      // Closed buffers of the parent stay what they are: inaccessible, with their story.
      mprotect(arena.readable, arena.bytes(), PROT_NONE);
      arena.stale = true;
    }
  }
  AfterForkInParent();
  next_ = end_ = 0;
  pending_count_ = pending_readable_ = 0;
  std::fill(std::begin(users_), std::end(users_), 0);
  hidden_ = 0;
  disabled_ = !good;
  return good;
}

}  // namespace hpy::handles
