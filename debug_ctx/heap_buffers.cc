// Damage of copies on the heap, as violations.
#include "debug_ctx/heap_buffers.h"

#include <algorithm>
#include <string>
#include <utility>

#include "debug_ctx/outside.h"
#include "debug_ctx/policy.h"
#include "debug_ctx/story.h"
#include "leakdetector/text.h"

namespace hpy::debug_ctx {

using handles::BufferStory;
using handles::Damage;
using handles::Slot;
using leakdetector::Kind;
using leakdetector::Violation;

namespace {

constexpr int kPythonFrames = 64;

Kind KindOf(Damage damage) {
  switch (damage) {
    case Damage::kWritten:
      return Kind::kBufferWrite;
    case Damage::kOverrun:
      return Kind::kBufferOverrun;
    default:
      return Kind::kBufferAfterClose;
  }
}

std::string Describe(const BufferStory& story, Damage damage, FoundAt found) {
  std::string text = "memory from " + std::string(story.api);
  if (damage == Damage::kWritten) {
    text += " was written to, which may only be read";
  } else if (damage == Damage::kOverrun) {
    text += " was written to outside of its " + std::to_string(story.size) +
            " bytes, the NUL among them";
  } else {
    text += " was written to after its handle had been closed";
    if (story.end.by_return) text += " by the return of the function";
  }
  text += found == FoundAt::kClose    ? " (found when the handle was closed"
          : found == FoundAt::kReturn ? " (found when the function returned"
                                      : " (found when the record of the handle was used again";
  // In the message, for a warning and the report file have no notes.
  if (story.fallback) {
    text +=
        ": it did not fault, for no guarded pages were left; raise vm.max_map_count (sysctl), "
        "ulimit -v or ulimit -f";
  }
  return text + ")";
}

}  // namespace

void HeapBufferLog::Push(HPy handle, const handles::HandleTable& table) {
  if (handles_.size() >= look_again_) {
    handles_.erase(std::remove_if(handles_.begin(), handles_.end(),
                                  [&table](HPy known) {
                                    const Slot* slot = table.SlotOf(known);
                                    return slot == nullptr || !table.HasStory(*slot, known);
                                  }),
                   handles_.end());
    look_again_ = std::max<size_t>(1024, 2 * handles_.size());
  }
  handles_.push_back(handle);
}

std::vector<HPy> HeapBufferLog::Take() {
  look_again_ = 1024;
  return std::exchange(handles_, {});
}

std::optional<Violation> FindDamage(State& state, const Slot& slot, FoundAt found,
                                    StoryId closing) {
  const uint32_t index = state.table.index_of(slot);
  const Damage damage = state.buffers.Inspect(index);
  if (damage == Damage::kNone) return std::nullopt;
  const BufferStory story = *state.buffers.StoryOf(index);
  const Call* const call =
      thread_calls.innermost != nullptr && thread_calls.innermost->state == &state
          ? thread_calls.innermost
          : nullptr;

  Violation violation;
  violation.kind = KindOf(damage);
  violation.message = leakdetector::ComposeMessage(violation.kind, Describe(story, damage, found));
  violation.api = story.api;
  NameFunction(state, call != nullptr ? call->function : story.function, &violation);
  violation.handle = leakdetector::HandleInfo{
      story.handle, OrderFromFirst(state, state.table, story.order), {}, {}};
  if (slot.is_open()) {
    violation.handle->type = state.host.TypeName(slot.wrapped());
    if (*violation.handle->type == "str" || *violation.handle->type == "bytes") {
      violation.handle->repr = state.host.Repr(slot.wrapped());
    }
  }
  if (closing != stacktrace::kNoStack) {
    violation.at = Filtered(state, state.stories.Native(closing));
  } else {
    violation.at = call != nullptr ? FunctionStack(state, call->function) : leakdetector::Stack();
  }
  if (state.settings.python_stacks) {
    violation.at->python = state.host.PythonFrames(kPythonFrames);
  }
  const auto in_this_call = [call](uint64_t order) {
    return call != nullptr && call->in_progress && order >= call->first_order;
  };
  violation.opened = Filtered(state, state.stories.Native(story.opened));
  violation.opened->python = state.stories.Python(story.opened);
  if (violation.opened->python.empty() && in_this_call(story.given)) {
    violation.opened->python = violation.at->python;
  }
  if (damage == Damage::kAfterClose) {
    violation.closed = story.end.by_return
                           ? FunctionStack(state, story.function)
                           : Filtered(state, state.stories.Native(story.end.closed));
    if (in_this_call(story.end.ended)) violation.closed->python = violation.at->python;
  }
  if (!story.fallback) {
    violation.notes.push_back(
        "the write itself came before: with guard=\"strict\" (HPY_DEBUG_GUARD=strict) it faults, "
        "and the report names its line");
  }
  return violation;
}

void ReportDamage(State& state, Violation violation) {
  Call* const call = thread_calls.innermost;
  if (call == nullptr || call->state != &state || !call->in_progress) {
    return ReportLater(state, std::move(violation));
  }
  Report(state, *call, std::move(violation), /*can_fail=*/false);
}

void CheckHeapBuffers(Call& call) {
  State& state = *call.state;
  for (const HPy handle : call.heap_buffers.Take()) {
    const Slot* slot = state.table.SlotOf(handle);
    if (slot == nullptr || !state.table.HasStory(*slot, handle) || !slot->has_buffer) continue;
    if (auto violation = FindDamage(state, *slot, FoundAt::kReturn, stacktrace::kNoStack)) {
      Report(state, call, std::move(*violation), /*can_fail=*/false);
    }
  }
}

}  // namespace hpy::debug_ctx
