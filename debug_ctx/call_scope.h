// One call of an extension's function, from the trampoline: takes a context, gives it back.
#ifndef HPY_DEBUG_CTX_CALL_SCOPE_H_
#define HPY_DEBUG_CTX_CALL_SCOPE_H_

#include <atomic>
#include <cstdint>

#include "absl/base/optimization.h"
#include "debug_ctx/call.h"
#include "debug_ctx/state.h"

namespace hpy::debug_ctx {

// `mark` points to a variable of the trampoline, which is none of this object: so this one can be kept
// in registers.
class CallScope {
 public:
  [[gnu::always_inline]] CallScope(State& state, HPyCFunction function, uintptr_t stop_sp,
                                   const Call** mark)
      : CallScope(state, state.host.ExceptionPlace(), function, stop_sp, mark) {}
  [[gnu::always_inline]] ~CallScope() {
    Call& call = context_->call;
    if (ABSL_PREDICT_FALSE(call.attention || thread_calls.last != &call ||
                           !call.log.ClearIfClosed(state_.table))) {
      End(state_, context_);
    } else {
      thread_calls.last = call.previous;
      thread_calls.innermost = call.outer;
      call.in_progress = false;
      state_.GiveBack(context_);
    }
  }
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;

  HPyContext* context() const { return &context_->context; }
  Call& call() const { return context_->call; }

 private:
  // The host is asked first, while there is the least to be kept for the time of a call.
  [[gnu::always_inline]] CallScope(State& state, const Host::Pointer* exception,
                                   HPyCFunction function, uintptr_t stop_sp, const Call** mark)
      : state_(state), context_(state.TakeContext()) {
    Call& call = context_->call;
    *mark = &call;
    call.mark = mark;
    call.outer = thread_calls.innermost;
    call.previous = thread_calls.last;
    call.callee = reinterpret_cast<uintptr_t>(function);
    state.BeginCaptures(call, stop_sp);
    call.function = state.functions.NumberOf(function);
    call.exception = exception;
    static_cast<CallFlags&>(call) = state.beginning();
    call.pending_before = call.has_exception();
    call.refused_reenters.store(0, std::memory_order_relaxed);
    call.first_order = state.table.next_order();
    thread_calls.innermost = &call;
    thread_calls.last = &call;
  }
  // The rest of the calls: that leave something behind, or do not end in their turn.
  static void End(State& state, DebugContext* context);

  State& state_;
  DebugContext* const context_;
};

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_CALL_SCOPE_H_
