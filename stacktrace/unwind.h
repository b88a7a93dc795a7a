// What an unwinder gives: the return addresses, and everything that the answer depended on.
//
// One of unwind_libunwind.cc, unwind_libgcc.cc and unwind_none.cc implements it, chosen by the
// build.

#ifndef HPY_STACKTRACE_UNWIND_H_
#define HPY_STACKTRACE_UNWIND_H_

#include <cstdint>

#include "stacktrace/modules.h"
#include "stacktrace/stacktrace.h"

namespace hpy::stacktrace {

// A word of the stack that the unwinder read, and what it held.
struct StackWord {
  uintptr_t address, value;
};

struct Unwinding {
  static constexpr int kMaxWords = 4 * kMaxFrames;

  // One more than captured is looked at, to know whether anything is cut off.
  uintptr_t
      pcs[kMaxFrames];  // return addresses; of a frame that a signal interrupted: the address + 1
  int depth;
  bool truncated;  // there are more frames, or it is not known whether there are
  bool at_stop;    // ended because the next frame lies at or above stop_sp
  bool permanent;  // all the code that was looked at lies in libraries that are never unloaded
  // Whether the same answer may be given again while fp (if read) and all the words are the same.
  bool repeatable;
  bool read_fp;
  bool exact;                  // had to start from our own frames
  StackWord words[kMaxWords];  // in the order in which they were read
  int word_count;
};

// Unwinds from `site`; stop_sp is 0 or above site.sp, max_frames is 1 to kMaxFrames. False if
// nothing can be known at all in this build. To be called under the core's lock, from a function
// that was called, by however many, from the function that `site` describes the caller of.
bool Unwind(const Modules& modules, const CallSite& site, uintptr_t stop_sp, int max_frames,
            Unwinding* out);

// The same from where a signal interrupted a thread, by the third argument of its handler.
bool UnwindInterrupted(const Modules& modules, const void* context, uintptr_t stop_sp,
                       int max_frames, Unwinding* out);

// Libraries were loaded or unloaded: drop caches of unwind tables. Under the core's lock.
void UnwindTablesChanged();

}  // namespace hpy::stacktrace

#endif  // HPY_STACKTRACE_UNWIND_H_
