// Registers of a call site where there is no faster way: return address and CFA.
//
// They identify the frame, and unwinding starts from our own frame (unwind_libgcc.cc). Included by
// registers.h only.

#ifndef HPY_STACKTRACE_REGISTERS_GENERIC_H_
#define HPY_STACKTRACE_REGISTERS_GENERIC_H_

#include <ucontext.h>

#define HPY_STACKTRACE_CALL_SITE()                                                             \
  (::hpy::stacktrace::CallSite{                                                                \
      reinterpret_cast<uintptr_t>(__builtin_extract_return_addr(__builtin_return_address(0))), \
      reinterpret_cast<uintptr_t>(__builtin_dwarf_cfa()), 0})

#define HPY_STACKTRACE_FRAME() (&::hpy::stacktrace::kNoFp)

namespace hpy::stacktrace {

inline constexpr uintptr_t kNoFp = 0;

// As a call site, from the third argument of a signal handler: the interrupted instruction is the one
// that holds the byte before `pc`. All zero where the layout of that is not known.
inline CallSite InterruptedSite(const void* context) {
#if defined(__aarch64__)
  const auto& registers = static_cast<const ucontext_t*>(context)->uc_mcontext;
  return {registers.pc + 1, registers.sp, registers.regs[29]};
#else
  static_cast<void>(context);
  return {0, 0, 0};
#endif
}

}  // namespace hpy::stacktrace

#endif  // HPY_STACKTRACE_REGISTERS_GENERIC_H_
