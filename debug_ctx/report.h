// Results and closed handles that the rest of the debug context reports.
#ifndef HPY_DEBUG_CTX_REPORT_H_
#define HPY_DEBUG_CTX_REPORT_H_

#include <cstdint>

#include "debug_ctx/call.h"
#include "debug_ctx/slots.h"
#include "debug_ctx/state.h"
#include "leakdetector/violation.h"
#include "stacktrace/stacktrace.h"

namespace hpy::debug_ctx {

// A result that the extension may not return. The universal handle to give to Python, owned, in the
// one case where an older hook lets it pass; else null with an exception set.
HPy OnInvalidResult(State& state, Call& call, HPy result);

// Closes a handle for a person (`DebugHandle._force_close`). One that is closed already is treated like
// a second HPy_Close by an extension, and then an exception is set.
void ForceClose(State& state, handles::Slot* slot);

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_REPORT_H_
