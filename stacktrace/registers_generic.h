// Registers of a call site where there is no faster way: return address and CFA.
//
// They identify the frame, and unwinding starts from our own frame (unwind_libgcc.cc). Included by
// registers.h only.

#ifndef HPY_STACKTRACE_REGISTERS_GENERIC_H_
#define HPY_STACKTRACE_REGISTERS_GENERIC_H_

#define HPY_STACKTRACE_CALL_SITE()                                                             \
  (::hpy::stacktrace::CallSite{                                                                \
      reinterpret_cast<uintptr_t>(__builtin_extract_return_addr(__builtin_return_address(0))), \
      reinterpret_cast<uintptr_t>(__builtin_dwarf_cfa()), 0})

#endif  // HPY_STACKTRACE_REGISTERS_GENERIC_H_
