// One call of an extension's function, from the trampoline: takes a context, gives it back.
#ifndef HPY_DEBUG_CTX_CALL_SCOPE_H_
#define HPY_DEBUG_CTX_CALL_SCOPE_H_

#include <atomic>
#include <cstdint>

#include "debug_ctx/call.h"
#include "debug_ctx/state.h"

namespace hpy::debug_ctx {

class CallScope {
 public:
  [[gnu::always_inline]] CallScope(State& state, HPyCFunction function, uintptr_t stop_sp)
      : context_(state.TakeContext()), call_(&context_->call) {
    Call& call = context_->call;
    call.outer = innermost_call;
    call.previous = thread_calls.last;
    call.scope = this;
    call.limits.stop_sp = stop_sp;
    call.limits.callee = reinterpret_cast<uintptr_t>(function);
    state.BeginCaptures(call);
    call.function = state.functions.NumberOf(function);
    call.in_progress = true;
    call.pending_before = state.universal->ctx_Err_Occurred(state.universal) != 0;
    call.attention = false;
    call.excused = false;
    call.refused_leaves = 0;
    call.refused_reenters.store(0, std::memory_order_relaxed);
    call.first_order = state.table.next_order();
    call.first_builder = state.builders.next_order();
    call.first_tracker = state.trackers.next_order();
    call.open = 0;
    innermost_call = &call;
    thread_calls.last = &call;
  }
  [[gnu::always_inline]] ~CallScope() {
    Call& call = context_->call;
    State& state = *call.state;
    if (call.attention || call.open > 0 || thread_calls.last != &call) [[unlikely]] {
      End(state, call);
    } else {
      thread_calls.last = call.previous;
      innermost_call = call.outer;
      call.log.Clear();
      call.in_progress = false;
      state.GiveBack(context_);
    }
  }
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;

  HPyContext* context() { return &context_->context; }
  Call& call() { return context_->call; }

  // Whether the memory of this scope holds that of `call` now: not while the stack that it is on is
  // swapped out.
  bool Holds(const Call* call) const;

 private:
  // The rest of the calls: that leave something behind, or do not end in their turn.
  void End(State& state, Call& call);

  DebugContext* const context_;
  const Call* const call_;
};

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_CALL_SCOPE_H_
