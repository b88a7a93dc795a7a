// Chooses the way of taking the registers of a call site: one header per architecture, one place.
//
// Each header defines
//   HPY_STACKTRACE_CALL_SITE()  an expression of type hpy::stacktrace::CallSite: the registers of
//   the
//                               caller of the function in which the macro stands, as they are right
//                               after the call returns. A helper that uses it must be
//                               always_inline: it is the frame of the enclosing function that
//                               counts.
//   HPY_STACKTRACE_STOP()       the CaptureLimits::stop_sp for a trampoline: the CFA of the
//   function in
//                               which it stands. (Its frame address will not do: without locals
//                               that is the CFA of the function that it calls.)
//   struct SavedRegisters       registers of the calling function itself, for an exact unwinding
//                               through our own frames (used by unwind_libunwind.cc only).

#ifndef HPY_STACKTRACE_REGISTERS_H_
#define HPY_STACKTRACE_REGISTERS_H_

#include <cstdint>

namespace hpy::stacktrace {

// Registers of the frame that called us, right after the call returns. `pc` is the return address,
// `sp` the stack pointer after the return, `fp` the frame pointer register (whatever it holds).
//
// For a place that is not a call (a faulting instruction of a signal context), give `pc` + 1: the
// instruction that is looked up is always the one that holds the byte before `pc`.
struct CallSite {
  uintptr_t pc, sp, fp;
};

}  // namespace hpy::stacktrace

#define HPY_STACKTRACE_STOP() (reinterpret_cast<uintptr_t>(__builtin_dwarf_cfa()))

#if defined(__x86_64__)
#include "stacktrace/registers_x86_64.h"
#else
#include "stacktrace/registers_generic.h"
#endif

#endif  // HPY_STACKTRACE_REGISTERS_H_
