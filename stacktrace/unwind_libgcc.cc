// Unwinding with _Unwind_Backtrace, on every platform: exact, and never memoised.
//
// Chosen by HPY_UNWIND=libgcc (unwind_none.cc describes the choice). Needs no library but libgcc_s.

#include <unwind.h>

#include "stacktrace/unwind.h"

namespace hpy::stacktrace {
namespace {

struct Walk {
  const Modules* modules;
  const CallSite* site;
  uintptr_t stop_sp;
  int max_frames;
  Unwinding* out;
  bool found = false;    // the call site was reached
  bool pending = false;  // `pc` is a frame whose CFA is not known yet
  uintptr_t pc = 0;
  bool ended = false;
};

// _Unwind_GetCFA() in a callback gives the stack pointer *in* that frame at its call, which is the
// CFA of the frame below it. So each frame is decided when the next one is seen. False: stop here.
bool Decide(Walk* w, uintptr_t cfa) {
  if (!w->pending) return true;
  w->pending = false;
  if (w->stop_sp != 0 && cfa >= w->stop_sp) {
    w->out->at_stop = true;
    return false;
  }
  if (w->out->depth == w->max_frames) {
    w->out->truncated = true;
    return false;
  }
  w->out->pcs[w->out->depth++] = w->pc;
  return true;
}

_Unwind_Reason_Code Visit(_Unwind_Context* context, void* arg) {
  auto* w = static_cast<Walk*>(arg);
  int before = 0;  // 1: a signal interrupted the frame at this very address
  const uintptr_t ip = _Unwind_GetIPInfo(context, &before);
  const uintptr_t sp = _Unwind_GetCFA(context);
  const uintptr_t return_address = before != 0 ? ip + 1 : ip;
  if (!w->found) {
    if (return_address != w->site->pc || sp != w->site->sp) return _URC_NO_REASON;
    w->found = true;
  } else if (!Decide(w, sp)) {
    w->ended = true;
    return _URC_NORMAL_STOP;
  }
  if (ip == 0) {
    w->ended = true;
    return _URC_NORMAL_STOP;
  }
  w->pc = return_address;
  w->pending = true;
  return _URC_NO_REASON;
}

}  // namespace

__attribute__((noinline)) bool Unwind(const Modules& modules, const CallSite& site,
                                      uintptr_t stop_sp, int max_frames, Unwinding* out) {
  out->depth = 0;
  out->truncated = out->at_stop = out->read_fp = false;
  out->permanent = out->repeatable = false;
  out->exact = true;
  out->word_count = 0;
  Walk w{
      .modules = &modules, .site = &site, .stop_sp = stop_sp, .max_frames = max_frames, .out = out};
  const _Unwind_Reason_Code code = _Unwind_Backtrace(Visit, &w);
  if (!w.found) {
    out->pcs[out->depth++] =
        site.pc;  // the caller is known all the same; what lies above it is not
    out->truncated = true;
  } else if (!w.ended) {
    // The last frame has no caller, or no unwind information.
    if (w.pending && out->depth < max_frames) {
      out->pcs[out->depth++] = w.pc;
      out->truncated = code != _URC_END_OF_STACK;
    } else if (w.pending) {
      out->truncated = true;
    }
  }
  return true;
}

// Found only while the handler of the signal runs on the same stack; else the place alone is known.
bool UnwindInterrupted(const Modules& modules, const void* context, uintptr_t stop_sp,
                       int max_frames, Unwinding* out) {
  return Unwind(modules, InterruptedSite(context), stop_sp, max_frames, out);
}

void UnwindTablesChanged() {}

}  // namespace hpy::stacktrace
