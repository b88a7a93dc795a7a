// Guarded pages for small buffers: readable while a buffer is open, inaccessible from its end, and
// always followed by a page that cannot be accessed.
//
//   PagePool pool(page_size);
//   uint32_t slot = pool.Take();                        // kNone: no pages to be had
//   char* end = pool.writable(slot) + pool.page_size(); // fill it from the end backwards
//   ... pool.readable(slot) is what the extension sees ...
//   pool.Close(slot); pool.Flush();                     // any access faults from here on
//
// How. The memory of an arena is mapped twice: a writable view for us and a read-only one for the
// extension. In the second, slot i has the pages 2i (its bytes) and 2i + 1 (its guard). A guard
// page faults whatever its protection is: it has a guard marker (MADV_GUARD_INSTALL, Linux 6.15),
// or it lies beyond the end of the mapped file. So one mprotect() makes a batch of slots readable,
// and one takes away any run of them, the guards in between included.
//
// Slots go round in a ring, batch by batch, so that those closed longest ago are used again first.
// It also keeps the number of mappings low: neighbours were closed at about the same time, and
// inaccessible neighbours are one mapping.
#ifndef HPY_HANDLES_PAGE_POOL_H_
#define HPY_HANDLES_PAGE_POOL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace hpy::handles {

// What is learned of a buffer when its handle is closed.
struct BufferEnd {
  uint32_t closed = 0;     // the story of the closing
  bool by_return = false;  // closed by the return of the extension's function and not by a call
  uint64_t ended = 0;      // as many handles had been opened
};

// What is known of a buffer, for the report of a mistake. Read by the fault handler.
struct BufferStory {
  uint64_t handle = 0;        // the value of the handle that it belongs to
  uint64_t order = 0;         // the handle was the order-th that was opened
  uint64_t given = 0;         // as many handles had been opened when the pointer was handed out
  const char* api = nullptr;  // the function that handed out the pointer; lives for ever
  uint32_t opened = 0;        // the story of that call
  uint32_t function = 0;      // the extension's function in progress when it was handed out
  uint32_t size = 0;          // bytes with the NUL, cut to 32 bits
  bool fallback = false;      // on the heap, for no pages were left
  BufferEnd end = {};         // once it is closed
};

enum class GuardMethod : uint8_t { kNone, kMarkers, kBeyondEnd };

// Not thread-safe, but for Locate(). Allocates nothing but mappings once it is made.
class PagePool {
 public:
  static constexpr uint32_t kNone = ~uint32_t{0};
  static constexpr uint32_t kBatch = 128;  // slots that are armed with one call
  static constexpr uint32_t kArenaSlots = 512;
  static constexpr uint32_t kMaxArenas = 64;

  enum class SlotState : uint8_t {
    kRevoked,  // inaccessible
    kArmed,    // accessible, and nobody's
    kOpen,
    kClosed,  // to be revoked by the next Flush()
  };
  struct Slot {
    BufferStory story;  // of the last buffer here
    std::atomic<SlotState> state{SlotState::kRevoked};
  };

  // At most `max_slots`; 0: as many as the kernel's limit of mappings is good for. `method`: kNone
  // is what the kernel can do best.
  explicit PagePool(uint32_t max_slots = 0, GuardMethod method = GuardMethod::kNone);
  ~PagePool();
  PagePool(const PagePool&) = delete;
  PagePool& operator=(const PagePool&) = delete;

  // A slot that is accessible, or kNone. Its story is that of the buffer before.
  uint32_t Take();
  // Closes an open slot: it is inaccessible after the next Flush().
  void Close(uint32_t slot);
  // Revokes what was closed, with one call for each run of neighbours. False when the kernel refused
  // it for some: these were overwritten instead (Poison), and are tried again.
  bool Flush();
  size_t pending() const { return pending_count_; }

  size_t page_size() const { return page_size_; }
  char* writable(uint32_t slot) const { return arena(slot).writable + Offset(slot); }
  const char* readable(uint32_t slot) const { return arena(slot).readable + Offset(slot); }
  Slot& at(uint32_t slot) const { return arena(slot).slots[slot % kArenaSlots]; }

  // How many slots may be closed at a time before the one closed first is used again.
  void set_closed_max(size_t slots) { closed_max_ = slots; }

  // The slot that an address of the read-only view belongs to, and whether it is in its guard page;
  // or kNone. Safe in a signal handler, on any thread.
  uint32_t Locate(uintptr_t address, bool* in_guard) const;

  // fork(): PrepareFork() copies what is open. In the child, AfterForkInChild() puts memory of its
  // own at the same addresses, with that copy; in the parent, AfterForkInParent() drops the copy.
  // Between the two, only system calls are made. False where the child could get no memory: the
  // bytes of open buffers are the parent's still, and the pool hands out nothing any more.
  void PrepareFork();
  void AfterForkInParent();
  bool AfterForkInChild();

  GuardMethod method() const { return method_; }
  uint32_t max_slots() const { return max_slots_; }
  uint32_t slots() const { return made_; }
  uint32_t open() const { return open_; }
  uint64_t calls() const { return calls_; }  // to mprotect, since the beginning
  uint64_t armed_batches() const { return armed_batches_; }

 private:
  struct Arena {
    char* readable = nullptr;
    char* writable = nullptr;
    Slot* slots = nullptr;
    bool stale = false;  // after a fork: the pages are shared with the parent
  };

  Arena& arena(uint32_t slot) const { return arenas_[slot / kArenaSlots]; }
  size_t Offset(uint32_t slot) const { return size_t{slot % kArenaSlots} * 2 * page_size_; }
  size_t arena_bytes() const { return size_t{kArenaSlots} * 2 * page_size_; }
  // Maps both views of an arena, at its addresses if it has some already.
  bool Map(Arena* arena);
  bool InstallGuards(const Arena& arena, int fd);
  bool Protect(uint32_t first, uint32_t count, int protection);
  bool Grow();
  bool ArmNextBatch();
  bool Arm(uint32_t first);

  const size_t page_size_;
  uint32_t max_slots_;
  GuardMethod method_;
  size_t closed_max_ = 1280;

  mutable Arena arenas_[kMaxArenas];
  std::atomic<uint32_t> arena_count_{0};
  uint32_t made_ = 0;  // slots that have been in use
  uint32_t next_ = 0;  // of the batch that is being handed out: [next_, batch_end_)
  uint32_t batch_end_ = 0;
  uint32_t recycle_ = 0;  // the batch that is looked at next when slots are used again
  uint32_t open_ = 0;
  bool disabled_ = false;
  uint64_t calls_ = 0;
  uint64_t armed_batches_ = 0;

  static constexpr size_t kMaxPending = 256;
  uint32_t pending_[kMaxPending];
  size_t pending_count_ = 0;

  char* snapshot_ = nullptr;  // pages of open slots, in the order of their numbers
  size_t snapshot_bytes_ = 0;
};

// Overwrites closed memory: a late read shows by BA D0 DA 7A, again and again.
void Poison(char* data, size_t size);
bool IsPoisoned(const char* data, size_t size);

}  // namespace hpy::handles

#endif  // HPY_HANDLES_PAGE_POOL_H_
