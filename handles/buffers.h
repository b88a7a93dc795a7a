// The copies of an object's bytes that extensions get pointers to (HPyUnicode_AsUTF8AndSize and its like).
//
// A copy belongs to a handle: asking twice gives the same pointer. It is good, and may only be read,
// while the handle is open. How that is enforced is the Guard:
//   kStrict    every access after the end of the handle, every write, and every access in the two pages
//              behind the terminating NUL's faults. Locate() tells a fault handler what it was.
//   kAdaptive  the same, but where a pair of opening and closing sites was right kTrusted times, closed
//              bytes are overwritten at once and made inaccessible a batch at a time.
//   kHeap      nothing faults. Bytes are overwritten when the handle is closed, and Inspect() tells when
//              they were changed before or after that, or the canaries around them.
// Where no pages or mappings are left, a copy is as with kHeap.
#ifndef HPY_HANDLES_BUFFERS_H_
#define HPY_HANDLES_BUFFERS_H_

#include <sched.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "handles/page_pool.h"

namespace hpy::handles {

enum class Guard : uint8_t { kStrict, kAdaptive, kHeap };

// What happened to a copy on the heap: while its handle was open, or, the last, afterwards.
enum class Damage : uint8_t { kNone, kWritten, kOverrun, kAfterClose };

// What lies at an address that an extension accessed.
struct Located {
  BufferStory story;
  bool open = false;
  bool beyond = false;   // behind the terminating NUL
  uintptr_t data = 0;    // where the bytes begin
  void* page = nullptr;  // the page of the address
  size_t page_size = 0;
};

// Who holds it has the interpreter's lock, or is in a fork(): so it is free, nearly always, and
// nothing but a flag. (A std::mutex is code and data on three more pages: see page_pool.h.)
class ForkLock {
 public:
  void lock() {
    while (is_held_.test_and_set(std::memory_order_acquire)) sched_yield();
  }
  void unlock() { is_held_.clear(std::memory_order_release); }

 private:
  std::atomic_flag is_held_;
};

// Guarded by the interpreter's lock; the pool by one of its own too, which is held over fork(): in a
// child, copies are its own. `slot` is the index of a handle's slot.
class Buffers {
 public:
  static constexpr uint32_t kTrusted = 1000;

  // The pool is made with the first copy that needs it.
  explicit Buffers(uint32_t max_pool_slots = 0, GuardMethod method = GuardMethod::kNone,
                   SlotLayout layout = SlotLayout::Best());
  ~Buffers();
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;

  void set_guard(Guard guard);
  Guard guard() const { return guard_; }
  // Address space in bytes that small buffers of closed handles may hold before the oldest is used
  // again (never less than that of 256).
  void set_closed_max(size_t bytes);

  // The copy of a handle that has none yet: `size` bytes and a NUL. Null when memory is exhausted.
  // The size of the story and whether it is a fallback are set here.
  [[gnu::hot]] const char* Give(uint32_t slot, const char* data, size_t size,
                                const BufferStory& story);
  const char* Give(uint32_t slot, const char* data, size_t size) {
    return Give(slot, data, size, BufferStory());
  }
  // The copy that was given out for a handle, or null; and its size with the NUL, or -1.
  const char* Find(uint32_t slot) const;
  ptrdiff_t SizeOf(uint32_t slot) const;
  // The story of the copy of a handle, or null.
  BufferStory* StoryOf(uint32_t slot);
  bool IsOnHeap(uint32_t slot) const;
  bool has_heap() const { return !heap_stories_.empty(); }  // whether any copy is
  // What became of a copy on the heap since it was given, or since the last time that this said so.
  Damage Inspect(uint32_t slot);

  // The handle was closed: the copy is inaccessible (on the heap: overwritten) from now on. With
  // `later`, from the next Flush(). It stays known (SizeOf) as long as no more than `limit` bytes of
  // closed handles are, until Drop(); otherwise it is forgotten at once. True when it is known.
  [[gnu::hot]] bool Revoke(uint32_t slot, const BufferEnd& end, size_t limit, bool later = false);
  // Revokes what was closed with `later`: one call for those that lie side by side.
  void Flush();
  bool needs_flush() const { return flush_needed_; }
  // The slot is used again.
  void Drop(uint32_t slot);

  // What an address belongs to; false when to nothing of ours. Takes no lock and allocates nothing:
  // for a fault handler, on any thread.
  bool Locate(uintptr_t address, Located* located) const;
  // A protection key refused somebody a read who may read: an open copy is everyone's from now on.
  // False when that was not the reason. As safe as Locate().
  bool Share(uintptr_t address) const;

  // How many copies had to go to the heap because no pages were left.
  uint64_t exhausted() const { return exhausted_; }
  // Counts the times when memory was made accessible: a batch of pages, or one mapping.
  uint64_t armings() const { return armings_; }
  const PagePool* pool() const { return pool_.get(); }

 private:
  enum class Where : uint8_t { kNowhere, kPool, kMapping, kHeap };
  struct Buffer {
    char* data = nullptr;  // as the extension sees it
    size_t size = 0;
    uint64_t check = 0;   // on the heap: a checksum of the bytes
    uint32_t number = 0;  // in the pool, or in the table of mappings
    Where where = Where::kNowhere;
    bool revoked = false;
  };
  // Those of so many neighbouring slots, together: the queue of closed handles goes through a range.
  static constexpr uint32_t kChunk = 128;
  using Chunk = std::array<Buffer, kChunk>;
  // A mapping for one large buffer. Never moved, for the fault handler reads it.
  struct Mapping {
    BufferStory story;
    std::atomic<uintptr_t> base{0};
    size_t bytes = 0;  // with the guard page
    uintptr_t data = 0;
    std::atomic<bool> open{false};
  };
  static constexpr uint32_t kMaxMappings = 4096;

  [[gnu::hot]] bool GiveFromPool(const char* data, size_t size, const BufferStory& story,
                                 Buffer* out);
  bool GiveMapping(const char* data, size_t size, const BufferStory& story, Buffer* out);
  bool GiveFromHeap(const char* data, size_t size, Buffer* out);
  // Null for a slot that has none.
  const Buffer* BufferOf(uint32_t slot) const {
    const uint32_t chunk = slot / kChunk;
    if (chunk >= chunks_.size() || chunks_[chunk] == nullptr) return nullptr;
    const Buffer& buffer = (*chunks_[chunk])[slot % kChunk];
    return buffer.where == Where::kNowhere ? nullptr : &buffer;
  }
  Buffer* BufferOf(uint32_t slot) {
    return const_cast<Buffer*>(std::as_const(*this).BufferOf(slot));
  }
  [[gnu::hot]] Buffer& Make(uint32_t slot);
  void Free(const Buffer& buffer);
  void Forget(uint32_t slot, Buffer& buffer);
  bool IsTrusted(uint64_t pair);

  friend struct ForkHandlers;
  ForkLock lock_;            // of the pool
  Buffers* next_ = nullptr;  // of all that there are: fork() goes through them

  std::vector<std::unique_ptr<Chunk>> chunks_;
  absl::flat_hash_map<uint32_t, BufferStory> heap_stories_;
  size_t revoked_bytes_ = 0;
  Guard guard_ = Guard::kStrict;
  size_t closed_max_ = 10 << 20;
  uint64_t exhausted_ = 0;
  uint64_t armings_ = 0;
  bool flush_needed_ = false;

  const uint32_t max_pool_slots_;
  const GuardMethod method_;
  const SlotLayout layout_;
  const size_t page_size_;
  std::unique_ptr<PagePool> pool_;
  std::atomic<const PagePool*> published_pool_{nullptr};

  Mapping* mappings_ = nullptr;
  std::atomic<uint32_t> mapping_count_{0};
  uint32_t free_mappings_ = 0;

  // Pairs of sites, direct-mapped: how often one was closed without a fault.
  struct Pair {
    uint64_t key;
    uint32_t count;
  };
  static constexpr size_t kPairs = 1024;
  std::unique_ptr<Pair[]> pairs_;
};

}  // namespace hpy::handles

#endif  // HPY_HANDLES_BUFFERS_H_
