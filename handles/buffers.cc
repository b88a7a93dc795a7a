// Copies of bytes for extensions: in the pool of guarded pages, in mappings of their own, on the heap.
#include "handles/buffers.h"

#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>

namespace hpy::handles {

namespace {

constexpr size_t kCanary = 32;
// Past some number of pages the kernel drops the whole TLB, which is cheaper than page by page:
// 390 ns for a copy, a read and its end with batches of 32 became 265 with 128 (x86-64, Linux 6.18).
constexpr size_t kAdaptiveBatch = 128;

void FillCanary(char* at) {
  for (size_t i = 0; i < kCanary; i++) at[i] = static_cast<char>(0xC5 ^ (i * 29));
}
bool CanaryIsGood(const char* at) {
  for (size_t i = 0; i < kCanary; i++) {
    if (at[i] != static_cast<char>(0xC5 ^ (i * 29))) return false;
  }
  return true;
}

// Eight bytes at a time: it runs over every copy on the heap twice.
uint64_t Checksum(const char* data, size_t size) {
  uint64_t sum = size;
  while (size > 0) {
    uint64_t word = 0;
    const size_t n = std::min(size, sizeof(word));
    std::memcpy(&word, data, n);
    sum = (sum ^ word) * 0x9E3779B97F4A7C15ull;
    sum ^= sum >> 29;
    data += n;
    size -= n;
  }
  return sum;
}

uint32_t Cut(size_t size) { return static_cast<uint32_t>(std::min<size_t>(size, UINT32_MAX)); }

constinit std::mutex g_all_mutex;
constinit Buffers* g_all = nullptr;

}  // namespace

// All that is copied or locked over a fork. Lock order: the list, then each of its members.
struct ForkHandlers {
  static void Before() {
    g_all_mutex.lock();
    for (Buffers* b = g_all; b != nullptr; b = b->next_) {
      b->lock_.lock();
      if (b->pool_ != nullptr) b->pool_->PrepareFork();
    }
  }
  static void InParent() {
    for (Buffers* b = g_all; b != nullptr; b = b->next_) {
      if (b->pool_ != nullptr) b->pool_->AfterForkInParent();
      b->lock_.unlock();
    }
    g_all_mutex.unlock();
  }
  static void InChild() {
    for (Buffers* b = g_all; b != nullptr; b = b->next_) {
      if (b->pool_ != nullptr) b->pool_->AfterForkInChild();
      b->lock_.unlock();
    }
    g_all_mutex.unlock();
  }
};

Buffers::Buffers(uint32_t max_pool_slots, GuardMethod method, SlotLayout layout)
    : max_pool_slots_(max_pool_slots),
      method_(method),
      layout_(layout),
      page_size_(static_cast<size_t>(sysconf(_SC_PAGESIZE))) {
  static const int registered =
      pthread_atfork(ForkHandlers::Before, ForkHandlers::InParent, ForkHandlers::InChild);
  static_cast<void>(registered);
  const std::lock_guard<std::mutex> lock(g_all_mutex);
  next_ = g_all;
  g_all = this;
}

Buffers::~Buffers() {
  {
    const std::lock_guard<std::mutex> lock(g_all_mutex);
    Buffers** link = &g_all;
    while (*link != this) link = &(*link)->next_;
    *link = next_;
  }
  for (const auto& chunk : chunks_) {
    if (chunk == nullptr) continue;
    for (const Buffer& buffer : *chunk) Free(buffer);
  }
  if (mappings_ != nullptr) munmap(static_cast<void*>(mappings_), sizeof(Mapping) * kMaxMappings);
}

void Buffers::set_guard(Guard guard) {
  const std::lock_guard<ForkLock> lock(lock_);
  guard_ = guard;
  if (pool_ == nullptr) return;
  // Until now none was trusted, so none is pending; from now on none may be.
  pool_->Flush();
  pool_->set_batched(guard == Guard::kAdaptive);
}

void Buffers::set_closed_max(size_t bytes) {
  const std::lock_guard<ForkLock> lock(lock_);
  closed_max_ = bytes;
  if (pool_ != nullptr) pool_->set_closed_max(bytes / pool_->counted_bytes());
}

bool Buffers::GiveFromPool(const char* data, size_t size, const BufferStory& story, Buffer* out) {
  if (pool_ == nullptr) {
    pool_ = std::make_unique<PagePool>(max_pool_slots_, method_, layout_);
    pool_->set_closed_max(closed_max_ / pool_->counted_bytes());
    pool_->set_batched(guard_ == Guard::kAdaptive);
    published_pool_.store(pool_.get(), std::memory_order_release);
  }
  const uint64_t armings = pool_->armings();
  const uint32_t slot = pool_->Take();
  armings_ += pool_->armings() - armings;
  if (slot == PagePool::kNone) return false;
  BufferStory& told = pool_->at(slot).story;
  told = story;
  told.size = static_cast<uint32_t>(size);  // no more than a page
  const size_t offset = page_size_ - size;
  char* bytes = pool_->writable(slot) + offset;
  std::memcpy(bytes, data, size - 1);
  bytes[size - 1] = '\0';
  *out = {const_cast<char*>(pool_->readable(slot)) + offset, size, 0, slot, Where::kPool, false};
  return true;
}

bool Buffers::GiveMapping(const char* data, size_t size, const BufferStory& story, Buffer* out) {
  if (mappings_ == nullptr) {
    void* table = mmap(nullptr, sizeof(Mapping) * kMaxMappings, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (table == MAP_FAILED) return false;
    mappings_ = new (table) Mapping[kMaxMappings];
  }
  uint32_t number = mapping_count_.load(std::memory_order_relaxed);
  if (free_mappings_ != 0) {
    number = 0;
    while (mappings_[number].base.load(std::memory_order_relaxed) != 0) number++;
  }
  if (number >= kMaxMappings) return false;

  const size_t pages = (size + page_size_ - 1) / page_size_ * page_size_;
  void* base = mmap(nullptr, pages + page_size_, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) return false;
  char* bytes = static_cast<char*>(base) + pages - size;
  bool good = mprotect(base, pages, PROT_READ | PROT_WRITE) == 0;
  if (good) {
    std::memcpy(bytes, data, size - 1);
    bytes[size - 1] = '\0';
    good = mprotect(base, pages, PROT_READ) == 0;
  }
  if (!good) {
    munmap(base, pages + page_size_);
    return false;
  }
  armings_++;
  Mapping& mapping = mappings_[number];
  mapping.story = story;
  mapping.story.size = Cut(size);
  mapping.bytes = pages + page_size_;
  mapping.data = reinterpret_cast<uintptr_t>(bytes);
  mapping.open.store(true, std::memory_order_relaxed);
  mapping.base.store(reinterpret_cast<uintptr_t>(base), std::memory_order_release);
  if (number == mapping_count_.load(std::memory_order_relaxed)) {
    mapping_count_.store(number + 1, std::memory_order_release);
  } else {
    free_mappings_--;
  }
  *out = {bytes, size, 0, number, Where::kMapping, false};
  return true;
}

bool Buffers::GiveFromHeap(const char* data, size_t size, Buffer* out) {
  char* copy = static_cast<char*>(std::malloc(size + 2 * kCanary));
  if (copy == nullptr) return false;
  FillCanary(copy);
  char* bytes = copy + kCanary;
  std::memcpy(bytes, data, size - 1);
  bytes[size - 1] = '\0';
  FillCanary(bytes + size);
  *out = {bytes, size, Checksum(bytes, size), 0, Where::kHeap, false};
  return true;
}

const char* Buffers::Give(uint32_t slot, const char* data, size_t size, const BufferStory& story) {
  const std::lock_guard<ForkLock> lock(lock_);
  Buffer& place = Make(slot);  // first: it may throw
  size++;
  if (guard_ != Guard::kHeap) {
    if (size <= page_size_ ? GiveFromPool(data, size, story, &place)
                           : GiveMapping(data, size, story, &place)) {
      return place.data;
    }
    exhausted_++;
  }
  if (!GiveFromHeap(data, size, &place)) return nullptr;
  BufferStory& told = heap_stories_[slot];
  told = story;
  told.size = Cut(size);
  told.fallback = guard_ != Guard::kHeap;
  return place.data;
}

Buffers::Buffer& Buffers::Make(uint32_t slot) {
  const uint32_t chunk = slot / kChunk;
  if (chunk >= chunks_.size()) chunks_.resize(chunk + 1);
  if (chunks_[chunk] == nullptr) chunks_[chunk] = std::make_unique<Chunk>();
  return (*chunks_[chunk])[slot % kChunk];
}

const char* Buffers::Find(uint32_t slot) const {
  const Buffer* const buffer = BufferOf(slot);
  return buffer == nullptr ? nullptr : buffer->data;
}

ptrdiff_t Buffers::SizeOf(uint32_t slot) const {
  const Buffer* const buffer = BufferOf(slot);
  return buffer == nullptr ? -1 : static_cast<ptrdiff_t>(buffer->size);
}

BufferStory* Buffers::StoryOf(uint32_t slot) {
  const Buffer* const buffer = BufferOf(slot);
  if (buffer == nullptr) return nullptr;
  switch (buffer->where) {
    case Where::kPool:
      return &pool_->at(buffer->number).story;
    case Where::kMapping:
      return &mappings_[buffer->number].story;
    case Where::kHeap:
      return &heap_stories_[slot];
    case Where::kNowhere:
      break;
  }
  return nullptr;
}

bool Buffers::IsOnHeap(uint32_t slot) const {
  const Buffer* const buffer = BufferOf(slot);
  return buffer != nullptr && buffer->where == Where::kHeap;
}

Damage Buffers::Inspect(uint32_t slot) {
  if (!IsOnHeap(slot)) return Damage::kNone;
  Buffer& buffer = *BufferOf(slot);
  char* const behind = buffer.data + buffer.size;
  const bool around = !CanaryIsGood(behind) || !CanaryIsGood(buffer.data - kCanary);
  if (around) {
    FillCanary(behind);
    FillCanary(buffer.data - kCanary);
  }
  if (buffer.revoked) {
    if (!around && IsPoisoned(buffer.data, buffer.size)) return Damage::kNone;
    Poison(buffer.data, buffer.size);
    return Damage::kAfterClose;
  }
  if (around) return Damage::kOverrun;
  const uint64_t check = Checksum(buffer.data, buffer.size);
  if (check == buffer.check) return Damage::kNone;
  buffer.check = check;
  return Damage::kWritten;
}

bool Buffers::IsTrusted(uint64_t pair) {
  if (pairs_ == nullptr) pairs_ = std::make_unique<Pair[]>(kPairs);
  Pair& entry = pairs_[(pair * 0x9E3779B97F4A7C15ull) >> 54];
  static_assert(kPairs == 1 << (64 - 54));
  if (entry.key != pair) {
    entry = {pair, 0};
  } else if (entry.count >= kTrusted) {
    return true;
  }
  entry.count++;
  return false;
}

bool Buffers::Revoke(uint32_t slot, const BufferEnd& end, size_t limit, bool later) {
  const std::lock_guard<ForkLock> lock(lock_);
  Buffer* const found = BufferOf(slot);
  if (found == nullptr) return false;
  Buffer& buffer = *found;
  switch (buffer.where) {
    case Where::kPool: {
      BufferStory& told = pool_->at(buffer.number).story;
      told.end = end;
      const bool trusted = guard_ == Guard::kAdaptive && told.opened != 0 &&
                           IsTrusted(uint64_t{told.opened} << 32 | end.closed);
      pool_->Close(buffer.number);
      if (trusted) {
        Poison(pool_->writable(buffer.number) + page_size_ - buffer.size, buffer.size);
        if (pool_->pending() >= kAdaptiveBatch || PagePool::IsLast(buffer.number)) pool_->Flush();
      } else if (later) {
        flush_needed_ = pool_->pending() != 0;
      } else {
        pool_->Flush();
      }
      break;
    }
    case Where::kMapping: {
      Mapping& mapping = mappings_[buffer.number];
      mapping.story.end = end;
      mapping.open.store(false, std::memory_order_relaxed);
      void* base = reinterpret_cast<void*>(mapping.base.load(std::memory_order_relaxed));
      // A new mapping over the old one: inaccessible, and its memory is given back.
      if (mmap(base, mapping.bytes, PROT_NONE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED) {
        mprotect(base, mapping.bytes, PROT_NONE);
      }
      break;
    }
    case Where::kHeap:
      heap_stories_[slot].end = end;
      Poison(buffer.data, buffer.size);
      break;
    case Where::kNowhere:
      break;
  }
  if (buffer.size > limit || revoked_bytes_ > limit - buffer.size) {
    Forget(slot, buffer);
    return false;
  }
  buffer.revoked = true;
  revoked_bytes_ += buffer.size;
  return true;
}

void Buffers::Flush() {
  if (!flush_needed_) return;
  const std::lock_guard<ForkLock> lock(lock_);
  flush_needed_ = false;
  pool_->Flush();
}

void Buffers::Drop(uint32_t slot) {
  Buffer* const buffer = BufferOf(slot);
  if (buffer == nullptr) return;
  if (buffer->revoked) revoked_bytes_ -= buffer->size;
  Forget(slot, *buffer);
}

void Buffers::Forget(uint32_t slot, Buffer& buffer) {
  Free(buffer);
  if (buffer.where == Where::kHeap) heap_stories_.erase(slot);
  buffer.where = Where::kNowhere;
}

// Pages of the pool are not given back here: they stay inaccessible until their turn comes.
void Buffers::Free(const Buffer& buffer) {
  switch (buffer.where) {
    case Where::kNowhere:
    case Where::kPool:
      break;
    case Where::kMapping: {
      Mapping& mapping = mappings_[buffer.number];
      void* base = reinterpret_cast<void*>(mapping.base.load(std::memory_order_relaxed));
      // First the record: the address may be another's right afterwards.
      mapping.base.store(0, std::memory_order_release);
      free_mappings_++;
      munmap(base, mapping.bytes);
      break;
    }
    case Where::kHeap:
      std::free(buffer.data - kCanary);
      break;
  }
}

bool Buffers::Share(uintptr_t address) const {
  const PagePool* const pool = published_pool_.load(std::memory_order_acquire);
  bool in_guard = false;
  const uint32_t number = pool == nullptr ? PagePool::kNone : pool->Locate(address, &in_guard);
  return number != PagePool::kNone && !in_guard && pool->Share(number);
}

bool Buffers::Locate(uintptr_t address, Located* located) const {
  located->page_size = page_size_;
  located->page = reinterpret_cast<void*>(address & ~(page_size_ - 1));
  if (const PagePool* pool = published_pool_.load(std::memory_order_acquire); pool != nullptr) {
    bool in_guard = false;
    const uint32_t number = pool->Locate(address, &in_guard);
    if (number != PagePool::kNone) {
      const PagePool::Slot& slot = pool->at(number);
      if (slot.story.size == 0) return false;  // never handed out
      located->story = slot.story;
      located->open = slot.is_open();
      located->beyond = in_guard;
      located->data =
          reinterpret_cast<uintptr_t>(pool->readable(number)) + page_size_ - slot.story.size;
      return true;
    }
  }
  const uint32_t count = mapping_count_.load(std::memory_order_acquire);
  for (uint32_t i = 0; i < count; i++) {
    const Mapping& mapping = mappings_[i];
    const uintptr_t base = mapping.base.load(std::memory_order_acquire);
    if (base == 0 || address - base >= mapping.bytes) continue;
    located->story = mapping.story;
    located->open = mapping.open.load(std::memory_order_relaxed);
    located->beyond = address - base >= mapping.bytes - page_size_;
    located->data = mapping.data;
    return true;
  }
  return false;
}

}  // namespace hpy::handles
