// How the thread-locals of this room are reached.
#ifndef HPY_STACKTRACE_TLS_H_
#define HPY_STACKTRACE_TLS_H_

#include <cstdint>

// A thread-local of a shared library is reached without a call where the C library reserves room
// for those of libraries that are loaded late, as glibc does (ours take two pointers and a flag).
#if defined(__GLIBC__)
#define HPY_STACKTRACE_TLS __attribute__((tls_model("initial-exec")))
#else
#define HPY_STACKTRACE_TLS
#endif

#endif  // HPY_STACKTRACE_TLS_H_
