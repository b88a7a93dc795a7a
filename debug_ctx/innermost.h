// Which call of this thread is running, where stacks may have been swapped.
#ifndef HPY_DEBUG_CTX_INNERMOST_H_
#define HPY_DEBUG_CTX_INNERMOST_H_

#include "debug_ctx/call.h"
#include "stacktrace/stacktrace.h"

namespace hpy::debug_ctx {

// The call that the code at `site` runs in: that of the first trampoline on the way out. Null when
// there is none on this stack. Microseconds.
Call* FindInnermost(const stacktrace::CallSite& site);

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_INNERMOST_H_
