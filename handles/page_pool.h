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
// extension. In the second, slot i has the pages 3i (its bytes), 3i + 1 and 3i + 2 (its guard). A
// guard faults whatever its protection is: it has a guard marker (MADV_GUARD_INSTALL, Linux 6.15),
// or it lies beyond the end of the mapped file. So one mprotect() makes a batch of slots readable,
// and one takes away any run of them, the guards in between included.
//
// Slots go round in a ring, batch by batch, so that those closed longest ago are used again first.
// It also keeps the number of mappings low: neighbours were closed at about the same time, and
// inaccessible neighbours are one mapping.
//
// In a process with one thread, neighbours belong to different protection keys where there are any.
// A closed slot is inaccessible as soon as its key is refused, if no open slot has the same key; the
// next one of that key takes away, with one call, all that were closed since. So a call is shared by
// as many buffers as there are keys. Twelve slots of three pages span more than 33, where x86's Linux
// drops the whole TLB instead of one page after the other (180 ns each in a virtual machine): a
// buffer took 0.6 us, with slots of two pages 0.9, and without keys 1.9.
#ifndef HPY_HANDLES_PAGE_POOL_H_
#define HPY_HANDLES_PAGE_POOL_H_

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "handles/protection_keys.h"

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

// Not thread-safe, but for Locate() and Share(). Allocates nothing but mappings once it is made.
class PagePool {
 public:
  static constexpr uint32_t kNone = ~uint32_t{0};
  static constexpr uint32_t kSlotPages = 3;
  static constexpr uint32_t kBatch = 128;  // slots that are armed with one call
  static constexpr uint32_t kArenaSlots = 512;
  static constexpr uint32_t kMaxArenas = 64;

  enum class SlotState : uint8_t {
    kRevoked,  // inaccessible
    kArmed,    // accessible, and nobody's
    kOpen,
    kSharing,  // open, and Share() is at it
    kShared,   // open, and has no key any more
    kClosed,   // inaccessible by its key, or after the next Flush()
  };
  struct Slot {
    BufferStory story;  // of the last buffer here
    std::atomic<SlotState> state{SlotState::kRevoked};
    std::atomic<int8_t> key{ProtectionKeys::kNone};  // that its pages have
    bool is_open() const {
      const SlotState now = state.load(std::memory_order_relaxed);
      return now == SlotState::kOpen || now == SlotState::kSharing || now == SlotState::kShared;
    }
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
  // Revokes what was closed and is accessible, with one call for each run of neighbours. False when
  // the kernel refused it for some: these were overwritten instead (Poison), and are tried again.
  bool Flush() { return pending_readable_ == 0 || RevokePending(); }
  size_t pending() const { return pending_readable_; }  // that a Flush() would revoke

  // Whether protection keys may be used. They are no good for who wants to leave much to one Flush().
  void set_keys(bool wanted) { keys_wanted_ = wanted; }
  // A thread, or a signal handler, that is refused the key of an open slot reads it: from now on
  // everyone may, until it is closed. False when that was not the reason. Safe in a signal handler,
  // on any thread.
  bool Share(uint32_t slot) const;

  size_t page_size() const { return page_size_; }
  size_t slot_bytes() const { return kSlotPages * page_size_; }  // of address space
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
  int keys() const { return keys_.count(); }
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
  size_t Offset(uint32_t slot) const { return slot % kArenaSlots * slot_bytes(); }
  size_t arena_bytes() const { return kArenaSlots * slot_bytes(); }
  // Maps both views of an arena, at its addresses if it has some already.
  bool Map(Arena* arena);
  bool InstallGuards(const Arena& arena, int fd);
  // The slots of [first, first + count) that have a state get another one with the protection, if
  // the kernel allows it. How many did.
  uint32_t ProtectRuns(uint32_t first, uint32_t count, SlotState from, int protection,
                       SlotState to);
  bool Protect(uint32_t first, uint32_t count, int protection);
  bool Grow();
  bool ArmNextBatch();
  bool Arm(uint32_t first);
  bool RevokePending();

  bool UsesKeys() const {
    return keys_wanted_ && keys_.count() != 0 && ProtectionKeys::ThreadIsAlone();
  }
  void GiveKeys(uint32_t first, uint32_t count);
  void TakeKeys(uint32_t first, uint32_t count);
  bool AdmitKey(int key);
  bool LeaveKey(int key, bool shared);

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
  size_t pending_readable_ = 0;  // of these; the others are hidden by their keys

  ProtectionKeys keys_;
  bool keys_wanted_ = true;
  uint32_t users_[ProtectionKeys::kMost] = {};  // open slots
  uint32_t hidden_ = 0;                         // bits of keys that hide a closed slot

  char* snapshot_ = nullptr;  // pages of open slots, in the order of their numbers
  size_t snapshot_bytes_ = 0;
};

// Overwrites closed memory: a late read shows by BA D0 DA 7A, again and again.
void Poison(char* data, size_t size);
bool IsPoisoned(const char* data, size_t size);

}  // namespace hpy::handles

#endif  // HPY_HANDLES_PAGE_POOL_H_
