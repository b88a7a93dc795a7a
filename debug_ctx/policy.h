// What is done with a violation: the report file, those who subscribed, and the policy.
#ifndef HPY_DEBUG_CTX_POLICY_H_
#define HPY_DEBUG_CTX_POLICY_H_

#include <string_view>

#include "debug_ctx/call.h"
#include "debug_ctx/state.h"
#include "leakdetector/violation.h"

namespace hpy::debug_ctx {

// Deals with a violation as the policy says. Afterwards, where `can_fail`, an exception is set; where
// not, it may have been deferred to the return of the function.
// `fatal`, if there is one, is what the process is ended with under the policy abort.
void Report(State& state, Call& call, leakdetector::Violation violation, bool can_fail,
            const char* fatal = nullptr);

// The part of it that every policy has: written to the report file, counted, told to subscribers. True
// when it is suppressed: then it is only written to the report file.
bool Emit(State& state, const leakdetector::Violation& violation);
// The same of one that has been written: ReportLater() in outside.h.
bool Tell(State& state, const leakdetector::Violation& violation);

// Notes in a call what it was refused, so that what follows from that is no mistake of its own.
void MarkRefused(Call& call, const leakdetector::Violation& violation);

// Calls an older hook. An exception that it leaves set is not the function's.
void CallHook(State& state, Call& call, Hook hook);

// Raises what was deferred during a call of a function. True when there was any; then an exception is
// set, and the result must be given up.
bool RaiseDeferred(State& state, Call& call);

// Makes standard error what settings.last_words says. Any thread, and in signal handlers.
void OpenLastWords(const State& state);
// Writes to standard error. Any thread.
void WriteError(std::string_view text);
// Writes the report of a violation and ends the process. Any thread.
[[noreturn]] void Abort(State& state, const leakdetector::Violation& violation,
                        const char* fatal = nullptr);

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_POLICY_H_
