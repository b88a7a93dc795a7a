// No unwinding: for platforms that have no way of it. The caller alone is known.
//
// The build compiles exactly one of these, by the CMake option HPY_UNWIND:
//   libunwind  unwind_libunwind.cc   x86-64, the fast and the usual one
//   libgcc     unwind_libgcc.cc      every platform of GCC and clang; exact and slow
//   none       unwind_none.cc        this file
// Every other file of stacktrace/ is always compiled. Tests build all of them.

#include "stacktrace/unwind.h"

namespace hpy::stacktrace {

bool Unwind(const Modules& modules, const CallSite& site, uintptr_t, int, Unwinding* out) {
  // The return address needs no unwinding, and it is the line that matters most. Whether that frame
  // lies below the stop is not known (it may be that of the trampoline itself, after a tail call);
  // the innermost one is given all the same, and marked as not being all.
  const Segment* s = modules.Find(site.pc - 1);
  out->pcs[0] = site.pc;
  out->depth = 1;
  out->truncated = true;
  out->at_stop = false;
  out->permanent = s != nullptr && s->permanent;
  out->repeatable = true;
  out->read_fp = false;
  out->exact = false;
  out->word_count = 0;
  return true;
}

bool UnwindInterrupted(const Modules& modules, const void* context, uintptr_t stop_sp,
                       int max_frames, Unwinding* out) {
  return Unwind(modules, InterruptedSite(context), stop_sp, max_frames, out);
}

void UnwindTablesChanged() {}

}  // namespace hpy::stacktrace
