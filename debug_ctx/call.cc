// The beginning and the end of a call into an extension.
#include "debug_ctx/call.h"

#include <vector>

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

// Remembers from which Python line the call was made, for what it leaves behind. The handles, where
// notes about them are wanted.
[[gnu::noinline]] std::vector<Slot*> LeaveBehind(State& state, Call& call) {
  std::vector<Slot*> noted;
  uint32_t python = 0;
  bool read = false;
  const auto tell = [&](Slot& slot) {
    if (!read && state.settings.python_stacks) {
      python = state.stories.InternPython(state.host.PythonFrames(64));
      read = true;
    }
    slot.opened = state.stories.WithPython(slot.opened, python);
  };
  call.log.ForEachOpen(state.table, [&](Slot& slot) {
    tell(slot);
    slot.closed |= handles::kOutlived;
    if (state.settings.long_lived) noted.push_back(&slot);
  });
  if (call.made_records) {
    call.builders.ForEachOpen(state.builders, tell);
    call.trackers.ForEachOpen(state.trackers, tell);
    call.builders.Clear();
    call.trackers.Clear();
    call.made_records = false;
  }
  // The call outside may be of another interpreter, whose handles are others.
  if (call.open > 0 && call.outer != nullptr && call.outer->state == &state) {
    call.outer->open += call.open;
  }
  return noted;
}

}  // namespace

CallScope::CallScope(State& state, HPyCFunction function, uintptr_t stop_sp)
    : context_(state.TakeContext()), call_(&context_->call) {
  Call& call = context_->call;
  call.outer = innermost_call;
  call.previous = thread_calls.last;
  call.scope = this;
  call.limits.stop_sp = stop_sp;
  call.limits.callee = reinterpret_cast<uintptr_t>(function);
  call.function = state.functions.NumberOf(function);
  call.in_progress = true;
  call.captures = false;
  call.attention = false;
  call.excused = false;
  call.refused_leaves = 0;
  call.refused_reenters.store(0, std::memory_order_relaxed);
  call.pending_before = state.universal->ctx_Err_Occurred(state.universal) != 0;
  call.first_order = state.table.next_order();
  call.first_builder = state.builders.next_order();
  call.first_tracker = state.trackers.next_order();
  call.open = 0;
  innermost_call = &call;
  thread_calls.last = &call;
}

CallScope::~CallScope() {
  Call& call = context_->call;
  State& state = *call.state;
  std::vector<Slot*> noted;
  if (call.open > 0 || call.made_records) [[unlikely]] {
    noted = LeaveBehind(state, call);
  }
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
  if (!noted.empty()) state.long_lived.Note(state, noted);
}

__attribute__((no_sanitize_address, no_sanitize_thread)) bool CallScope::Holds(
    const Call* call) const {
  return *const_cast<const Call* const volatile*>(&call_) == call;
}

}  // namespace hpy::debug_ctx
