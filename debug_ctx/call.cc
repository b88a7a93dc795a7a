// The beginning and the end of a call into an extension.
#include "debug_ctx/call.h"

#include <utility>
#include <vector>

#include "debug_ctx/call_scope.h"
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
  return noted;
}

}  // namespace

void CallScope::End(State& state, DebugContext* context) {
  Call& call = context->call;
  for (HPy handle : std::exchange(call.more_arguments, {})) {
    if (Slot* slot = state.table.Resolve(handle)) state.CloseArgument(slot);
  }
  if (state.buffers.needs_flush()) state.buffers.Flush();
  const std::vector<Slot*> noted = LeaveBehind(state, call);
  call.log.Clear();
  if (call.stores.number != 0) state.fields.End(&call.stores);
  call.made.clear();
  call.warned = nullptr;
  call.refused = nullptr;
  if (call.arguments != nullptr && state.arguments_queued()) {
    state.table.QueueRuns({std::exchange(call.arguments, nullptr)}, kArgumentRun);
  }
  call.in_progress = false;
  if (thread_calls.last == &call) {
    thread_calls.last = call.previous;
  } else {
    Unlink(&call);
  }
  thread_calls.innermost = call.outer;
  // It was traced meanwhile, or is not any more: State::TakeOtherContext().
  if (context->context._private != state.root()->_private) context->context = *state.root();
  state.GiveBack(context);
  if (!noted.empty()) state.long_lived.Note(state, noted);
}

}  // namespace hpy::debug_ctx
