// Stack traces that are always on: nanoseconds to take, 32 bits to keep, names when asked.
//
//   // in the trampoline that calls the extension:
//   call->stop_sp = HPY_STACKTRACE_STOP();
//   // in a function that the extension calls directly (an API wrapper):
//   CaptureLimits limits{.stop_sp = call->stop_sp, .callee = call->entry, .max_frames = 64};
//   StackId where = Capture(HPY_STACKTRACE_CALL_SITE(), limits);
//   ...
//   for (const Frame& f : Symbolize(where)) printf("%s:%d in %s\n", f.file.c_str(), f.line, ...);
//
// Nothing here knows HPy or CPython. All functions may be called from any thread, and none throws
// anything but std::bad_alloc. Locks are held over fork(), so a child may go on calling.
// Signal handlers may call Capture() and CaptureAddresses(). Where the interrupted code
// was inside this room they do nothing (kNoStack, 0). Capture() may use the heap for a stack that
// it has not seen before; CaptureAddresses() does so only if libraries were loaded since the last
// capture.

#ifndef HPY_STACKTRACE_STACKTRACE_H_
#define HPY_STACKTRACE_STACKTRACE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "stacktrace/registers.h"

namespace hpy::stacktrace {

// The number of an interned stack: equal stacks have equal numbers, and a number is never reused.
using StackId = uint32_t;
inline constexpr StackId kNoStack = 0;

// More frames than this are never captured, whatever CaptureLimits says.
inline constexpr int kMaxFrames = 256;

struct CaptureLimits {
  // Frames whose CFA (the stack pointer after their return) lies at or above it are not captured;
  // 0: none is left out. A call site that itself lies at or above it is on another stack: there is
  // no stop then.
  uintptr_t stop_sp = 0;
  // Entry address of the function that was called from the frame at `stop_sp`. When no frame lies
  // below `stop_sp`, that function ended in a tail call, and it becomes the one frame, marked
  // `tail`. 0: unknown.
  uintptr_t callee = 0;
  // 1 to kMaxFrames; what is cut off is recorded as RawStack::truncated.
  int max_frames = 64;
};

// Interns the stack of a call site. kNoStack: nothing is known of it (no unwinder in this build, or
// a signal handler interrupted a capture on the same thread). About 2 ns when the stack was seen
// before on this thread, about a microsecond otherwise.
StackId Capture(const CallSite& site, const CaptureLimits& limits);

// The same without interning and without the heap: writes up to `max` return addresses and returns
// their number. For fault handlers.
int CaptureAddresses(const CallSite& site, const CaptureLimits& limits, uintptr_t* pcs, int max);

// The same for the place that a signal interrupted: `context` is the third argument of its handler,
// and the first address that of the interrupted instruction plus one. Reads the stack of that thread,
// but need not run on it: so also in a process that was forked from a handler.
int CaptureInterrupted(const void* context, const CaptureLimits& limits, uintptr_t* pcs, int max);

// The library that holds `address` will never be unloaded (made true with RTLD_NODELETE), so the
// memo of stacks that lie in such libraries only is used without asking the loader whether they
// are there still, which would cost about 40 ns a capture. For extension modules, which
// Python never unloads. False if there is no such library.
bool Pin(const void* address);

// One frame as it is kept: which loaded file (a number of ours, 0: none) and the virtual address in
// that file of the return address; for a `tail` frame of the function's entry.
struct RawFrame {
  uint32_t module;
  uint64_t offset;
  bool tail;
};

// Innermost frame first.
struct RawStack {
  std::vector<RawFrame> frames;
  bool truncated =
      false;  // there were more frames (max_frames, or a frame without unwind information)
};

// An unknown id gives an empty stack.
RawStack Lookup(StackId id);

// One line of a report. What is unknown is empty or 0, never guessed.
struct Frame {
  std::string function;  // demangled
  std::string file;      // absolute where the debug information allows
  int line = 0;
  std::string library;  // absolute path of the loaded file
  // Virtual address in the file, of the call (tail: of the entry, or of the tail call if there is
  // just one): `addr2line -fie LIBRARY OFFSET` gives the same function, file and line.
  uint64_t offset = 0;
  bool inlined = false;  // this function was inlined into the one of the next frame
  bool tail =
      false;  // the call was the last thing that this function did: its frame was gone already
};

// Innermost frame first, inlined functions expanded. Takes one lock; each address is looked up
// once.
std::vector<Frame> Symbolize(StackId id);
// An address of code of this process, as of now.
std::vector<Frame> SymbolizeAddress(uintptr_t pc, bool is_return_address);

// For a process that is about to end. What follows uses no heap, but for RawFrameOf() with
// `may_register`, where the file of the address never appeared in a stack: then a frame without
// module and offset is all that can be had otherwise.
int LookupInto(StackId id, RawFrame* frames, int max, bool* truncated);
RawFrame RawFrameOf(uintptr_t return_address, bool may_register);
// What identifies the file with that number; null for 0. Lives for ever.
struct ModuleInfo;
const ModuleInfo* ModuleOf(uint32_t module);
// Frames of a stack that another process captured.
std::vector<Frame> SymbolizeIn(const ModuleInfo& module, uint64_t offset, bool tail);

// Held by a fault handler while it forks with a bare system call, so that the child finds the tables
// of this room whole and its locks free. False when they could not be had within 100 ms, or this
// thread is inside this room.
bool TryLockForFork();
void UnlockAfterFork();

// Whether missing debug information may be fetched from the servers of DEBUGINFOD_URLS. Off at
// first. Set it before the first symbolisation of a library: what was found is kept.
void SetDebuginfod(bool on);

struct Stats {
  uint64_t misses = 0;  // captures that had to unwind
  uint64_t exact = 0;   // of those, captures that had to start from our own frames
  uint64_t reentered =
      0;  // captures refused because a signal interrupted another on the same thread
  uint64_t invalidations = 0;  // times that libraries had been loaded or unloaded
  uint64_t stacks = 0;         // interned
  uint64_t frames = 0;         // in all interned stacks
  uint64_t modules = 0;        // files that appear in them
  uint64_t depot_bytes = 0;
  uint64_t memo_bytes = 0;  // of all threads
  uint64_t symbolized = 0;  // distinct addresses looked up
};
Stats GetStats();

}  // namespace hpy::stacktrace

#endif  // HPY_STACKTRACE_STACKTRACE_H_
