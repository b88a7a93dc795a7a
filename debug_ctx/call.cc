// The beginning and the end of a call into an extension.
#include "debug_ctx/call.h"

#include "debug_ctx/state.h"

namespace hpy::debug_ctx {

using handles::Slot;

namespace {

// Takes a call that did not end in its turn out of those in progress. Calls that began inside it, on a
// stack that is not running now, go on: what was outside of it is outside of them.
[[gnu::cold, gnu::noinline]] void Unlink(Call* call) {
  for (Call* later = thread_calls.last; later != nullptr; later = later->previous) {
    if (later->outer == call) later->outer = call->outer;
    if (later->previous == call) {
      later->previous = call->previous;
      return;
    }
  }
}

// The handles that it leaves behind: remember from which Python line it was called.
[[gnu::noinline]] void LeavesBehind(State& state, Call& call) {
  uint32_t python = 0;
  bool read = false;
  call.log.ForEachOpen(state.table, [&](Slot& slot) {
    if (!read && state.settings.python_stacks) {
      python = state.stories.InternPython(state.host.PythonFrames(64));
      read = true;
    }
    slot.opened = state.stories.WithPython(slot.opened, python);
  });
  // The call outside may be of another interpreter, whose handles are others.
  if (call.outer != nullptr && call.outer->state == &state) call.outer->open += call.open;
}

}  // namespace

CallScope::CallScope(State& state, HPyCFunction function, uintptr_t stop_sp)
    : context_(state.TakeContext()), call_(&context_->call) {
  Call& call = context_->call;
  call.outer = innermost_call;
  call.previous = thread_calls.last;
  call.scope = this;
  call.stop_sp = stop_sp;
  call.entry = reinterpret_cast<uintptr_t>(function);
  call.function = state.functions.NumberOf(function);
  call.in_progress = true;
  call.refreshed = false;
  call.attention = false;
  call.excused = false;
  call.refused_leaves = 0;
  call.refused_reenters.store(0, std::memory_order_relaxed);
  call.pending_before = state.universal->ctx_Err_Occurred(state.universal) != 0;
  call.first_order = state.table.next_order();
  call.open = 0;
  innermost_call = &call;
  thread_calls.last = &call;
}

CallScope::~CallScope() {
  Call& call = context_->call;
  State& state = *call.state;
  if (call.open > 0) LeavesBehind(state, call);
  call.log.Clear();
  if (call.stores.number != 0) state.fields.End(&call.stores);
  if (!call.made.empty()) call.made.clear();
  call.in_progress = false;
  if (thread_calls.last == &call) [[likely]] {
    thread_calls.last = call.previous;
  } else {
    Unlink(&call);
  }
  innermost_call = call.outer;
  if (call.attention) [[unlikely]] {
    call.warned = nullptr;
    call.refused = nullptr;
  }
  state.GiveBack(context_);
}

__attribute__((no_sanitize_address, no_sanitize_thread)) bool CallScope::Holds(
    const Call* call) const {
  return *const_cast<const Call* const volatile*>(&call_) == call;
}

}  // namespace hpy::debug_ctx
