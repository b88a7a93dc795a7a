// The lock of what threads that do not hold the interpreter share with those that do.
#ifndef HPY_DEBUG_CTX_OUTSIDE_LOCK_H_
#define HPY_DEBUG_CTX_OUTSIDE_LOCK_H_

#include <mutex>

namespace hpy::debug_ctx {

// One for the process, since it is held over fork(): a child has only the thread that forked, and
// nobody who would give back what another held. Innermost of our locks; held for moments, never while
// Python code runs or stacks are turned into names.
std::mutex& OutsideMutex();

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_OUTSIDE_LOCK_H_
