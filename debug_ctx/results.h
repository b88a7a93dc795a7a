// What a function's result and the pending exception say together, when it returns to Python.
#ifndef HPY_DEBUG_CTX_RESULTS_H_
#define HPY_DEBUG_CTX_RESULTS_H_

#include "debug_ctx/call.h"
#include "debug_ctx/state.h"

namespace hpy::debug_ctx {

// Whether the error value may be returned without an exception: HPy_tp_hash, and HPy_tp_iternext at the
// end.
enum class Silent { kNever, kAllowed };

// The parts of these two that are rarely needed.
void PrepareReturn(Call& call);
bool ConcludeReturn(State& state, Call& call, bool failed, bool occurred, Silent silent);
void ConcludeVoid(State& state, Call& call, bool occurred);

// To be called before anything else when the function has returned: what it had left is
// re-entered, and what it stored and made is checked.
inline void OnReturn(Call& call) {
  if (call.attention) [[unlikely]] {
    PrepareReturn(call);
  }
}

// True when the result has to be given up, for an exception is set that the function did not report.
// Under `raise` and `warn` afterwards an exception is set exactly if the function fails.
inline bool MustGiveUp(State& state, Call& call, bool failed, Silent silent) {
  const bool occurred = call.has_exception();
  if (!call.attention && occurred == failed) [[likely]] {
    return false;
  }
  return ConcludeReturn(state, call, failed, occurred, silent);
}

// The same for functions without a result, through which no exception can be raised.
inline void Conclude(State& state, Call& call) {
  OnReturn(call);
  const bool occurred = call.has_exception();
  if (call.attention || occurred) [[unlikely]] {
    ConcludeVoid(state, call, occurred);
  }
}

// A destructor of capsules, which has no call of its own: an exception that it set.
void CheckCapsuleDestructor(State& state, HPyCFunction function, bool pending_before);

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_RESULTS_H_
