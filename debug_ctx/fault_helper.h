// Makes the report of a fault in processes of their own, whatever state the faulting one is in.
#ifndef HPY_DEBUG_CTX_FAULT_HELPER_H_
#define HPY_DEBUG_CTX_FAULT_HELPER_H_

#include "debug_ctx/fault_record.h"

namespace hpy::debug_ctx {

// For a signal handler: uses no heap, and waits for at most half a minute. What a forked child dies of,
// or hangs in, is left out in the next one. False when there is no report.
bool ReportInHelper(const Fault& fault);

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_FAULT_HELPER_H_
