// Registers of a call site on x86-64. Included by registers.h only.

#ifndef HPY_STACKTRACE_REGISTERS_X86_64_H_
#define HPY_STACKTRACE_REGISTERS_X86_64_H_

#include <ucontext.h>

// __builtin_frame_address(0) makes both compilers keep a frame pointer in the function where it
// stands, even under -fomit-frame-pointer, and what it points to is the caller's rbp. The CFA
// (rather than frame address + 16) is right in a function that realigns its stack too.
#define HPY_STACKTRACE_CALL_SITE()                                                       \
  (::hpy::stacktrace::CallSite{reinterpret_cast<uintptr_t>(__builtin_return_address(0)), \
                               reinterpret_cast<uintptr_t>(__builtin_dwarf_cfa()),       \
                               *static_cast<const uintptr_t*>(__builtin_frame_address(0))})

// Points to the fp of that, for those that rarely need it.
#define HPY_STACKTRACE_FRAME() (static_cast<const uintptr_t*>(__builtin_frame_address(0)))

namespace hpy::stacktrace {

// The registers which the ABI makes a callee preserve, and the place where they were taken.
struct SavedRegisters {
  uintptr_t rbx, rbp, rsp, r12, r13, r14, r15, rip;
};

// Must be inlined: these are the registers of the function in which the call stands.
__attribute__((always_inline)) inline void SaveRegisters(SavedRegisters* out) {
  uintptr_t rip;
  asm volatile(
      "movq %%rbx, 0(%1)\n\t"
      "movq %%rbp, 8(%1)\n\t"
      "movq %%rsp, 16(%1)\n\t"
      "movq %%r12, 24(%1)\n\t"
      "movq %%r13, 32(%1)\n\t"
      "movq %%r14, 40(%1)\n\t"
      "movq %%r15, 48(%1)\n\t"
      "leaq 0(%%rip), %0\n\t"
      : "=&r"(rip)
      : "r"(out)
      : "memory");
  out->rip = rip;
}

// The registers of an interrupted thread, from the third argument of a signal handler.
inline SavedRegisters RegistersOf(const void* context) {
  const auto& r = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs;
  auto get = [&r](int index) { return static_cast<uintptr_t>(r[index]); };
  return {get(REG_RBX), get(REG_RBP), get(REG_RSP), get(REG_R12),
          get(REG_R13), get(REG_R14), get(REG_R15), get(REG_RIP)};
}

// As a call site: the interrupted instruction is the one that holds the byte before `pc`.
inline CallSite InterruptedSite(const void* context) {
  const SavedRegisters r = RegistersOf(context);
  return {r.rip + 1, r.rsp, r.rbp};
}

}  // namespace hpy::stacktrace

#endif  // HPY_STACKTRACE_REGISTERS_X86_64_H_
