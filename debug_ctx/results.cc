// Results that do not agree with the pending exception.
#include "debug_ctx/results.h"

#include <utility>

#include "debug_ctx/api_call.h"
#include "debug_ctx/outside.h"
#include "debug_ctx/policy.h"
#include "debug_ctx/story.h"

namespace hpy::debug_ctx {

using leakdetector::Kind;
using leakdetector::Violation;

void PrepareReturn(Call& call) {
  State& state = *call.state;
  ReenterAtReturn(call);
  if (call.stores.number != 0) state.fields.CheckReturn(call);
  if (!call.made.empty()) state.guards.CheckReturn(call);
  if (!call.heap_buffers.empty()) CheckHeapBuffers(call);
  TakeLate(state, call);
}

bool ConcludeReturn(State& state, Call& call, bool failed, bool occurred, Silent silent) {
  // A result that does not agree, because the function could not know that a call was refused, is no
  // mistake of its own: the one that was reported is what surfaces.
  bool give_up = false;
  if (failed && !occurred) {
    if (call.warned != nullptr) {
      state.host.Raise(*call.warned, HPy_NULL);
    } else if (silent == Silent::kNever && !call.excused) {
      Report(state, call,
             Begin({state, call, nullptr, nullptr}, Kind::kErrorWithoutException,
                   "the function returned its error value without an exception set"),
             /*can_fail=*/true);
    } else if (silent == Silent::kNever && call.refused != nullptr && call.deferred.empty()) {
      state.host.Raise(*call.refused, HPy_NULL);
    }
  } else if (!failed && occurred && !call.pending_before) {
    give_up = true;
    if (!call.excused) {
      Report(state, call,
             Begin({state, call, nullptr, nullptr}, Kind::kResultWithException,
                   "the function returned a result with an exception set"),
             /*can_fail=*/true);
    }
  }
  return RaiseDeferred(state, call) || give_up;
}

void ConcludeVoid(State& state, Call& call, bool occurred) {
  HPyContext* const universal = state.universal;
  if (occurred && !call.pending_before) {
    if (!call.excused) {
      Report(state, call,
             Begin({state, call, nullptr, nullptr}, Kind::kResultWithException,
                   "the function, which has no result, returned with an exception set"),
             /*can_fail=*/true);
    }
    universal->ctx_Err_WriteUnraisable(universal, HPy_NULL);
  }
  for (const Violation& violation : std::exchange(call.deferred, {})) {
    state.host.Unraisable(violation);
  }
}

void CheckCapsuleDestructor(State& state, HPyCFunction function, bool pending_before) {
  HPyContext* const universal = state.universal;
  if (pending_before || !universal->ctx_Err_Occurred(universal)) return;
  Call call;
  call.state = &state;
  call.callee = reinterpret_cast<uintptr_t>(function);
  call.function = state.functions.NumberOf(function);
  Report(state, call,
         Begin({state, call, nullptr, nullptr}, Kind::kResultWithException,
               "the destructor of a capsule returned with an exception set"),
         /*can_fail=*/true);
  universal->ctx_Err_WriteUnraisable(universal, HPy_NULL);
}

}  // namespace hpy::debug_ctx
