// Guarded pages for small buffers, from memory that is mapped twice.
#include "handles/page_pool.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

namespace hpy::handles {

namespace {

constexpr uint32_t kMinSlots = 2 * PagePool::kBatch;
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

}  // namespace

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

PagePool::PagePool(uint32_t max_slots, GuardMethod method)
    : page_size_(static_cast<size_t>(sysconf(_SC_PAGESIZE))),
      max_slots_(max_slots),
      method_(method) {
  if (max_slots_ == 0) max_slots_ = SlotsForMappings();
  max_slots_ = std::min(max_slots_ / kBatch * kBatch, kMaxArenas * kArenaSlots);
}

PagePool::~PagePool() {
  for (uint32_t i = 0; i < arena_count_; i++) {
    munmap(arenas_[i].readable, arena_bytes());
    munmap(arenas_[i].writable, arena_bytes());
    munmap(static_cast<void*>(arenas_[i].slots), sizeof(Slot) * kArenaSlots);
  }
}

bool PagePool::InstallGuards(const Arena& arena, int fd) {
  if (method_ != GuardMethod::kBeyondEnd) {
    bool good = true;
    for (uint32_t i = 0; i < kArenaSlots && good; i++) {
      char* guard = arena.readable + Offset(i) + page_size_;
      good = madvise(guard, page_size_, MADV_GUARD_INSTALL) == 0;
    }
    if (good) method_ = GuardMethod::kMarkers;
    if (good || method_ == GuardMethod::kMarkers) return good;
  }
  method_ = GuardMethod::kBeyondEnd;
  for (uint32_t i = 0; i < kArenaSlots; i++) {
    char* guard = arena.readable + Offset(i) + page_size_;
    const off_t beyond = static_cast<off_t>(arena_bytes() + Offset(i));
    if (mmap(guard, page_size_, PROT_NONE, MAP_SHARED | MAP_FIXED, fd, beyond) == MAP_FAILED) {
      return false;
    }
  }
  return true;
}

bool PagePool::Map(Arena* arena) {
  const size_t size = arena_bytes();
  const int fd = MemoryFile(size);
  if (fd < 0) return false;
  const bool again = arena->readable != nullptr;
  const int fixed = again ? MAP_FIXED : 0;
  void* readable = mmap(arena->readable, size, PROT_NONE, MAP_SHARED | fixed, fd, 0);
  void* writable = mmap(arena->writable, size, PROT_READ | PROT_WRITE, MAP_SHARED | fixed, fd, 0);
  const Arena mapped{static_cast<char*>(readable), static_cast<char*>(writable), nullptr, false};
  const bool good = readable != MAP_FAILED && writable != MAP_FAILED && InstallGuards(mapped, fd);
  close(fd);  // the mappings keep it: programs may close all descriptors
  if (!good) {
    if (again) return false;
    if (readable != MAP_FAILED) munmap(readable, size);
    if (writable != MAP_FAILED) munmap(writable, size);
    return false;
  }
  arena->readable = mapped.readable;
  arena->writable = mapped.writable;
  arena->stale = false;
  return true;
}

bool PagePool::Grow() {
  if (made_ >= max_slots_) return false;
  const uint32_t index = made_ / kArenaSlots;
  if (index == arena_count_.load(std::memory_order_relaxed)) {
    Arena& arena = arenas_[index];
    void* slots = mmap(nullptr, sizeof(Slot) * kArenaSlots, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slots == MAP_FAILED) return false;
    if (!Map(&arena)) {
      munmap(slots, sizeof(Slot) * kArenaSlots);
      return false;
    }
    arena.slots = new (slots) Slot[kArenaSlots];
    arena_count_.store(index + 1, std::memory_order_release);
  }
  const uint32_t first = made_;
  made_ += kBatch;
  return Arm(first);
}

bool PagePool::Protect(uint32_t first, uint32_t count, int protection) {
  calls_++;
  return mprotect(const_cast<char*>(readable(first)), size_t{count} * 2 * page_size_, protection) ==
         0;
}

// Makes the slots of a batch accessible that are nobody's.
bool PagePool::Arm(uint32_t first) {
  if (arena(first).stale && !Map(&arena(first))) return false;
  const uint32_t end = first + kBatch;
  bool any = false;
  for (uint32_t slot = first; slot < end;) {
    uint32_t count = 0;
    while (slot + count < end && at(slot + count).state == SlotState::kRevoked) count++;
    if (count == 0) {
      slot++;
      continue;
    }
    if (Protect(slot, count, PROT_READ)) {
      any = true;
      for (uint32_t i = 0; i < count; i++) at(slot + i).state = SlotState::kArmed;
    }
    slot += count;
  }
  next_ = first;
  batch_end_ = end;
  armed_batches_++;
  return any;
}

bool PagePool::ArmNextBatch() {
  const size_t wanted = std::max<size_t>(closed_max_, kMinSlots);
  // Enough are closed and inaccessible once as many as that are left besides a batch to hand out.
  if (made_ < open_ + wanted + kBatch && Grow()) return true;
  const uint32_t batches = made_ / kBatch;
  if (batches == 0) return false;
  // After the setting was lowered the ring is only as long as it asks for.
  const auto ring =
      static_cast<uint32_t>(std::min<size_t>(batches, (open_ + wanted + kBatch - 1) / kBatch + 1));
  for (uint32_t tried = 0; tried < batches; tried++) {
    if (recycle_ >= (tried < ring ? ring : batches)) recycle_ = 0;
    const uint32_t first = recycle_++ * kBatch;
    uint32_t free = 0;
    for (uint32_t i = 0; i < kBatch; i++) free += at(first + i).state == SlotState::kRevoked;
    if (free != 0 && Arm(first)) return true;
  }
  return Grow();
}

uint32_t PagePool::Take() {
  if (disabled_) return kNone;
  for (;;) {
    while (next_ < batch_end_) {
      const uint32_t slot = next_++;
      if (at(slot).state != SlotState::kArmed) continue;
      at(slot).state = SlotState::kOpen;
      open_++;
      return slot;
    }
    if (!ArmNextBatch()) return kNone;
  }
}

void PagePool::Close(uint32_t slot) {
  at(slot).state = SlotState::kClosed;
  open_--;
  if (pending_count_ == kMaxPending) Flush();
  if (pending_count_ == kMaxPending) {
    // The kernel refuses more mappings: this one stays readable, and is not used again.
    Poison(writable(slot), page_size_);
    return;
  }
  pending_[pending_count_++] = slot;
}

bool PagePool::Flush() {
  if (pending_count_ == 0) return true;
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
        at(first + n).state = SlotState::kRevoked;
      } else {
        Poison(writable(first + n), page_size_);
        pending_[refused++] = first + n;
      }
    }
    i += count;
  }
  pending_count_ = refused;
  return refused == 0;
}

uint32_t PagePool::Locate(uintptr_t address, bool* in_guard) const {
  const uint32_t count = arena_count_.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < count; i++) {
    const uintptr_t offset = address - reinterpret_cast<uintptr_t>(arenas_[i].readable);
    if (offset >= arena_bytes()) continue;
    const size_t page = offset / page_size_;
    *in_guard = page % 2 != 0;
    return i * kArenaSlots + static_cast<uint32_t>(page / 2);
  }
  return kNone;
}

void PagePool::PrepareFork() {
  if (open_ == 0) return;
  const size_t bytes = size_t{open_} * page_size_;
  void* copy = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (copy == MAP_FAILED) return;
  snapshot_ = static_cast<char*>(copy);
  snapshot_bytes_ = bytes;
  char* to = snapshot_;
  for (uint32_t slot = 0; slot < made_; slot++) {
    if (at(slot).state != SlotState::kOpen) continue;
    // Only the bytes of the buffer: what lies before them in the page means nothing.
    const size_t size = std::min<size_t>(at(slot).story.size, page_size_);
    std::memcpy(to + page_size_ - size, writable(slot) + page_size_ - size, size);
    to += page_size_;
  }
}

void PagePool::AfterForkInParent() {
  if (snapshot_ == nullptr) return;
  munmap(snapshot_, snapshot_bytes_);
  snapshot_ = nullptr;
}

bool PagePool::AfterForkInChild() {
  const uint32_t arenas = arena_count_.load(std::memory_order_relaxed);
  if (disabled_ || arenas == 0) return !disabled_;
  if (open_ != 0 && snapshot_ == nullptr) {
    disabled_ = true;
    return false;
  }
  // What the parent writes from now on must never be seen here, nor the reverse. Arenas without open
  // buffers are mapped anew when they are needed.
  const char* from = snapshot_;
  bool good = true;
  for (uint32_t i = 0; i < arenas && good; i++) {
    Arena& arena = arenas_[i];
    bool mapped = false;
    for (uint32_t n = 0; n < kArenaSlots; n++) {
      const uint32_t slot = i * kArenaSlots + n;
      SlotState state = at(slot).state;
      if (state != SlotState::kOpen) {
        at(slot).state = SlotState::kRevoked;
        continue;
      }
      if (!mapped && !Map(&arena)) {
        good = false;
        break;
      }
      mapped = true;
      const size_t size = std::min<size_t>(at(slot).story.size, page_size_);
      std::memcpy(writable(slot) + page_size_ - size, from + page_size_ - size, size);
      from += page_size_;
    }
    for (uint32_t n = 0; mapped && good && n < kArenaSlots;) {
      uint32_t count = 0;
      while (n + count < kArenaSlots && at(i * kArenaSlots + n + count).state == SlotState::kOpen) {
        count++;
      }
      if (count != 0) good = Protect(i * kArenaSlots + n, count, PROT_READ);
      n += count + 1;
    }
    // Closed buffers of the parent stay what they are: inaccessible, with their story.
    if (!mapped) {
      mprotect(arena.readable, arena_bytes(), PROT_NONE);
      arena.stale = true;
    }
  }
  AfterForkInParent();
  next_ = batch_end_ = 0;
  pending_count_ = 0;
  disabled_ = !good;
  return good;
}

}  // namespace hpy::handles
