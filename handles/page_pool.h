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
// extension. In the second, the first page of a slot has its bytes and the next two are its guard. A
// guard faults whatever its protection is: it has a guard marker (MADV_GUARD_INSTALL, Linux 6.15),
// or it lies beyond the end of the mapped file. So one mprotect() makes an arena's slots readable,
// and one takes away any run of them, the guards in between included.
//
// Slots go round in a ring, arena by arena, so that those closed longest ago are used again first.
// It also keeps the number of mappings low: neighbours were closed at about the same time, and
// inaccessible neighbours are one mapping. Arenas are small, for one of them in ten lies across two
// nodes of the kernel's tree of mappings, where each mprotect() takes 0.9 us more.
//
// Half of the time goes to the TLB. Linux on x86 drops the page that was taken away, or the whole TLB
// where the first and the last of several span more than 33 pages. On a processor of Intel's in a
// virtual machine the second is faster by 0.4 us. So there a slot has one more page 33 pages behind its
// bytes, which is taken away together with them: a buffer took 1.1 us instead of 1.5. Between the two
// are holes, which mean nothing (with guards there it would be 0.05 us more, and a fork() twice as
// long). On one of AMD's (Zen 4) it was slower: 2.2 us instead of 1.7.
//
// In a process with one thread, neighbours belong to different protection keys where there are any.
// A closed slot is inaccessible as soon as its key is refused, if no open slot has the same key; the
// next one of that key takes away, with one call, all that were closed since. So a call is shared by
// as many buffers as there are keys. Twelve slots of three pages span more than 33: a buffer took
// 0.6 us, and with slots of two pages 0.9.
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

// The pages of a slot: its bytes are in the first, behind them its guard, and another in front of the
// next slot. Where `far` is not 0 that page is accessible with the bytes, so that the kernel drops the
// whole TLB when both are taken away.
struct SlotLayout {
  static constexpr uint32_t kGuardEnd = 3;
  uint32_t pages = kGuardEnd;
  uint32_t far = 0;

  static constexpr SlotLayout Near() { return {kGuardEnd, 0}; }
  static constexpr SlotLayout Far() { return {35, 33}; }
  // What is faster here. Near() is also what a pool falls back to: without guard markers, and where
  // address space or the size of files is limited (ulimit -v, -f) or exhausted.
  static SlotLayout Best();
};

// Not thread-safe, but for Locate() and Share(). Allocates nothing but mappings once it is made.
// What every buffer needs is on few pages (alignas; gnu::hot does it for code), for the TLB has just
// been dropped then.
class alignas(4096) PagePool {
 public:
  static constexpr uint32_t kNone = ~uint32_t{0};
  static constexpr uint32_t kArenaSlots = 128;  // armed with one call
  static constexpr uint32_t kMaxArenas = 256;

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
    bool has_far = false;                            // the far page was accessed, so it is present
    // Others than the owner of the pool only look, but for Share().
    void set(SlotState to) { state.store(to, std::memory_order_release); }
    bool is_open() const {
      const SlotState now = state.load(std::memory_order_relaxed);
      return now == SlotState::kOpen || now == SlotState::kSharing || now == SlotState::kShared;
    }
  };

  // At most `max_slots`; 0: as many as the kernel's limit of mappings is good for. `method`: kNone
  // is what the kernel can do best.
  explicit PagePool(uint32_t max_slots = 0, GuardMethod method = GuardMethod::kNone,
                    SlotLayout layout = SlotLayout::Best());
  ~PagePool();
  PagePool(const PagePool&) = delete;
  PagePool& operator=(const PagePool&) = delete;

  // A slot that is accessible, or kNone. Its story is that of the buffer before.
  [[gnu::hot]] uint32_t Take();
  // Closes an open slot: it is inaccessible after the next Flush().
  [[gnu::hot]] void Close(uint32_t slot);
  // Revokes what was closed and is accessible, with one call for each run of neighbours. False when
  // the kernel refused it for some: these were overwritten instead (Poison), and are tried again.
  bool Flush() { return pending_readable_ == 0 || RevokePending(); }
  size_t pending() const { return pending_readable_; }  // that a Flush() would revoke
  // Whether the neighbour is another mapping: a run that goes on there takes another call.
  static bool IsLast(uint32_t slot) { return slot % kArenaSlots == kArenaSlots - 1; }

  // Whether many slots are left to one Flush(). Neither keys nor far pages are any good then.
  void set_batched(bool batched) { batched_ = batched; }
  // A thread, or a signal handler, that is refused the key of an open slot reads it: from now on
  // everyone may, until it is closed. False when that was not the reason. Safe in a signal handler,
  // on any thread.
  bool Share(uint32_t slot) const;

  size_t page_size() const { return page_size_; }
  // What a closed slot counts for where a limit is in bytes.
  size_t counted_bytes() const { return SlotLayout::Near().pages * page_size_; }
  char* writable(uint32_t slot) const { return arena(slot).writable + arena(slot).Offset(slot); }
  const char* readable(uint32_t slot) const {
    return arena(slot).readable + arena(slot).Offset(slot);
  }
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
  uint64_t armings() const { return armings_; }

 private:
  struct Arena {
    char* readable = nullptr;
    char* writable = nullptr;
    Slot* slots = nullptr;
    SlotLayout layout;
    size_t slot_bytes = 0;  // of address space
    bool stale = false;     // after a fork: the pages are shared with the parent

    void Set(SlotLayout wanted, size_t page_size) {
      layout = wanted;
      slot_bytes = wanted.pages * page_size;
    }
    size_t bytes() const { return kArenaSlots * slot_bytes; }
    size_t Offset(uint32_t slot) const { return slot % kArenaSlots * slot_bytes; }
  };

  Arena& arena(uint32_t slot) const { return arenas_[slot / kArenaSlots]; }
  // Maps both views of an arena, at its addresses if it has some already.
  bool Map(Arena* arena);
  bool InstallGuards(const Arena& arena, int fd);
  bool InstallMarkers(const Arena& arena) const;
  // The slots of [first, first + count) that have a state get another one with the protection, if
  // the kernel allows it. How many did.
  uint32_t ProtectRuns(uint32_t first, uint32_t count, SlotState from, int protection,
                       SlotState to);
  bool Protect(uint32_t first, uint32_t count, int protection);
  bool Grow();
  bool ArmNext();
  bool Arm(uint32_t index);
  [[gnu::hot]] bool RevokePending();
  void TouchFar(uint32_t slot);
  static uint32_t OpenIn(const Arena& arena);
  // In the child: memory of its own for an arena that has open slots, whose bytes begin at `*from`.
  bool CopyOpen(uint32_t index, const char** from);

  bool MayUseKeys() const { return !batched_ && has_mappings_; }
  bool UsesKeys() const {
    return MayUseKeys() && keys_.count() != 0 && ProtectionKeys::ThreadIsAlone();
  }
  void GiveKeys(uint32_t first, uint32_t count);
  void TakeKeys(uint32_t first, uint32_t count);
  bool AdmitKey(int key);
  bool LeaveKey(int key, bool shared);

  const size_t page_size_;
  const SlotLayout alone_layout_;  // of slots that are taken away one by one
  uint32_t max_slots_;
  GuardMethod method_;
  size_t closed_max_ = 1280;

  std::atomic<uint32_t> arena_count_{0};
  uint32_t made_ = 0;  // slots that have been in use
  uint32_t next_ = 0;  // of the arena that is being handed out: [next_, end_)
  uint32_t end_ = 0;
  uint32_t recycle_ = 0;  // the arena that is looked at next when slots are used again
  uint32_t open_ = 0;
  bool disabled_ = false;
  uint64_t calls_ = 0;
  uint64_t armings_ = 0;

  static constexpr size_t kMaxPending = 256;
  size_t pending_count_ = 0;
  size_t pending_readable_ = 0;  // of these; the others are hidden by their keys

  ProtectionKeys keys_;
  bool batched_ = false;
  bool has_mappings_ = true;                    // enough of them for keys
  uint32_t users_[ProtectionKeys::kMost] = {};  // open slots
  uint32_t hidden_ = 0;                         // bits of keys that hide a closed slot

  char* snapshot_ = nullptr;  // pages of open slots, in the order of their numbers
  size_t snapshot_bytes_ = 0;

  // Last, for of these only the first are used often.
  uint32_t pending_[kMaxPending];
  mutable Arena arenas_[kMaxArenas];
};

// Overwrites closed memory: a late read shows by BA D0 DA 7A, again and again.
void Poison(char* data, size_t size);
bool IsPoisoned(const char* data, size_t size);

}  // namespace hpy::handles

#endif  // HPY_HANDLES_PAGE_POOL_H_
