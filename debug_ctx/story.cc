// Building violations from what the tables and the stacks know.
#include "debug_ctx/story.h"

#include <string>

#include "leakdetector/text.h"

namespace hpy::debug_ctx {

using handles::HandleTable;
using handles::Slot;
using leakdetector::Kind;
using leakdetector::Stack;
using leakdetector::Violation;

namespace {

constexpr int kPythonFrames = 64;
constexpr int kFramesOfMistake = 64;  // `at` is captured also where traces are switched off

}  // namespace

Stack Filtered(State& state, stacktrace::StackId native) {
  Stack stack = state.filter.Apply(stacktrace::Symbolize(native));
  stack.truncated = stacktrace::Lookup(native).truncated;
  return stack;
}

Stack FunctionStack(State& state, uint32_t function) {
  const uintptr_t entry = state.functions[function].entry;
  if (entry == 0) return {};
  return state.filter.Apply(stacktrace::SymbolizeAddress(entry, false));
}

Stack AtStack(const Place& place) {
  Stack stack;
  if (place.site == nullptr) {
    stack = FunctionStack(place.state, place.call.function);
  } else {
    stack = Filtered(place.state,
                     stacktrace::Capture(*place.site, place.call.Limits(kFramesOfMistake)));
  }
  if (place.state.settings.python_stacks) {
    stack.python = place.state.host.PythonFrames(kPythonFrames);
  }
  return stack;
}

Stack OpenedStack(State& state, const Slot& slot) {
  Stack stack = slot.is_argument() ? FunctionStack(state, slot.function)
                                   : Filtered(state, state.stories.Native(slot.opened));
  stack.python = state.stories.Python(slot.opened);
  return stack;
}

void NameFunction(const State& state, uint32_t number, Violation* violation) {
  const Function function = state.functions.Copy(number);
  if (!function.module.empty()) violation->module = function.module;
  if (!function.name.empty()) violation->function = function.name;
}

uint64_t OrderOf(const State& state, const HandleTable& table, const Slot& slot) {
  return OrderFromFirst(state, table, slot.order);
}

uint64_t OrderFromFirst(const State& state, const HandleTable& table, uint64_t order) {
  // Counted as an author counts: from 1, without the context's constants.
  static constexpr uint64_t kConstants = 0
#define HPY_HANDLE(...) +1
#include "hpy/abi/context.inc"
      ;
  return &table == &state.table ? order - kConstants + 1 : order + 1;
}

void TellStory(const Place& place, const HandleTable& table, HPy handle, Violation* violation) {
  State& state = place.state;
  violation->handle = leakdetector::HandleInfo{static_cast<uint64_t>(handle._i), 0, {}, {}};
  const Slot* slot = table.SlotOf(handle);
  if (slot == nullptr) return;
  if (!table.HasStory(*slot, handle)) {
    // In the message, for that is all that a line of the report file has besides the nulls.
    violation->message = leakdetector::ComposeMessage(
        violation->kind, std::string(leakdetector::MessageWithoutHelp(*violation)) +
                             ", so long ago that its story (where it was opened and closed) was "
                             "recycled (the setting closed_handles, "
                             "HPY_DEBUG_CLOSED_HANDLES, keeps more of them)");
    return;
  }
  const bool constant = slot->is_constant();
  if (!constant) violation->handle->order = OrderOf(state, table, *slot);

  if (&table == &state.table) {
    const Slot* witness = slot->is_open() || slot->kept ? slot : table.FindSameObject(*slot);
    if (witness != nullptr) {
      violation->handle->repr = state.host.Repr(witness->wrapped());
      violation->handle->type = state.host.TypeName(witness->wrapped());
    }
  }
  if (constant) return;
  // A handle of this very call was opened, and closed, while these Python frames were in progress.
  const Call& call = place.call;
  const uint64_t first = &table == &state.table      ? call.first_order
                         : !call.made_records        ? UINT64_MAX
                         : &table == &state.builders ? call.first_builder
                                                     : call.first_tracker;
  const bool of_this_call = slot->order >= first && violation->at.has_value();
  violation->opened = OpenedStack(state, *slot);
  if (of_this_call && violation->opened->python.empty()) {
    violation->opened->python = violation->at->python;
  }
  if (slot->is_open()) return;
  if (slot->is_argument() || slot->was_returned()) {
    violation->closed = FunctionStack(state, slot->function);
  } else {
    violation->closed = Filtered(state, state.stories.Native(slot->closed));
  }
  if (of_this_call) violation->closed->python = violation->at->python;
}

Violation Begin(const Place& place, Kind kind, std::string_view what) {
  Violation violation;
  violation.kind = kind;
  violation.message = leakdetector::ComposeMessage(kind, what);
  if (place.info != nullptr) violation.api = place.info->api;
  NameFunction(place.state, place.call.function, &violation);
  violation.at = AtStack(place);
  return violation;
}

}  // namespace hpy::debug_ctx
