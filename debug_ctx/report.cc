// Violations of the debug context: built from what the tables know, and dealt with by the policy.
#include "debug_ctx/report.h"

#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "debug_ctx/api_call.h"
#include "leakdetector/json.h"
#include "leakdetector/text.h"

namespace hpy::debug_ctx {

using handles::Ending;
using handles::HandleTable;
using handles::Origin;
using handles::Slot;
using handles::Validity;
using leakdetector::Kind;
using leakdetector::Stack;
using leakdetector::Violation;

namespace {

constexpr int kPythonFrames = 64;
constexpr int kFramesOfMistake = 64;  // `at` is captured also where traces are switched off

// What the reports of one mistake have in common: where it is made.
struct Place {
  State& state;
  const Call& call;
  const SlotInfo* info;              // null: the return from the function
  const stacktrace::CallSite* site;  // null where `info` is
};

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
    stack = Filtered(
        place.state,
        stacktrace::Capture(*place.site, {place.call.stop_sp, place.call.entry, kFramesOfMistake}));
  }
  if (place.state.settings.python_stacks) {
    stack.python = place.state.host.PythonFrames(kPythonFrames);
  }
  return stack;
}

Stack OpenedStack(State& state, const Slot& slot) {
  Stack stack = static_cast<Origin>(slot.origin) == Origin::kArgument
                    ? FunctionStack(state, slot.function)
                    : Filtered(state, state.stories.Native(slot.opened));
  stack.python = state.stories.Python(slot.opened);
  return stack;
}

void NameFunction(const State& state, uint32_t number, Violation* violation) {
  const Function& function = state.functions[number];
  if (!function.module.empty()) violation->module = function.module;
  if (!function.name.empty()) violation->function = function.name;
}

uint64_t OrderOf(const State& state, const HandleTable& table, const Slot& slot) {
  // Counted as an author counts: from 1, without the context's constants.
  static constexpr uint64_t kConstants = 0
#define HPY_HANDLE(...) +1
#include "hpy/abi/context.inc"
      ;
  return &table == &state.table ? slot.order - kConstants + 1 : slot.order + 1;
}

// What is known of a handle, and its `opened` and `closed` stacks. `table` is the one that it is of.
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
  const bool constant = static_cast<Origin>(slot->origin) == Origin::kConstant;
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
  const bool of_this_call = slot->order >= place.call.first_order && violation->at.has_value();
  violation->opened = OpenedStack(state, *slot);
  if (of_this_call && violation->opened->python.empty()) {
    violation->opened->python = violation->at->python;
  }
  if (slot->is_open()) return;
  if (static_cast<Origin>(slot->origin) == Origin::kArgument ||
      static_cast<Ending>(slot->ending) == Ending::kReturned) {
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

// The texts that HPy 0.9 ends the process with: tools look for them.
const char* FatalText(Kind kind) {
  switch (kind) {
    case Kind::kUseAfterClose:
    case Kind::kDoubleClose:
    case Kind::kCloseOfArgument:
    case Kind::kCloseOfConstant:
    case Kind::kReturnOfArgument:
    case Kind::kReturnOfConstant:
    case Kind::kReturnOfClosed:
      return "Invalid usage of already closed handle";
    case Kind::kBuilderAfterBuild:
      return "Invalid usage of already closed builder";
    case Kind::kStaleContext:
      return "Error: Wrong HPy Context!";
    default:
      return nullptr;
  }
}

void WriteError(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

[[noreturn]] void Abort(State& state, const Violation& violation) {
  WriteError(leakdetector::ToText(violation, {}));
  const char* fatal = FatalText(violation.kind);
  if (violation.kind == Kind::kStaleContext) WriteError("Error: Wrong HPy Context!\n");
  state.host.Fatal(fatal != nullptr ? fatal : violation.message.c_str());
  std::abort();  // a host that returns from Fatal
}

void Emit(State& state, const Violation& violation) {
  state.violations++;
  if (state.report_file != nullptr) state.report_file->Append(leakdetector::ToJson(violation));
  state.host.Notify(violation);
}

// Deals with a violation as the policy says. Afterwards, where `can_fail`, an exception is set; where
// not, it may have been deferred to the return of the function.
void Report(State& state, Call& call, Violation violation, bool can_fail) {
  Emit(state, violation);
  switch (state.settings.policy) {
    case Policy::kAbort:
      Abort(state, violation);
    case Policy::kWarn:
      if (state.host.Warn(violation)) {
        if (can_fail) {
          state.host.Raise(violation, HPy_NULL);
        } else {
          call.warned = std::make_unique<Violation>(std::move(violation));
        }
        return;
      }
      if (can_fail) return;  // the warning was turned into an exception, which is as good
      state.universal->ctx_Err_Clear(state.universal);
      [[fallthrough]];
    case Policy::kRaise:
      if (can_fail) {
        state.host.Raise(violation, HPy_NULL);
      } else {
        call.deferred.push_back(std::move(violation));
      }
  }
}

std::string Given(const SlotInfo& info, std::string_view what) {
  return std::string(info.api) + " was given " + std::string(what);
}

// "a handle that is already closed", with what is worth saying about it.
std::string DescribeClosed(const HandleTable& table, HPy handle) {
  const Slot* slot = table.SlotOf(handle);
  if (slot != nullptr && table.HasStory(*slot, handle)) {
    if (static_cast<Origin>(slot->origin) == Origin::kArgument) {
      return "an argument of a call that has returned: its handle was closed then";
    }
    if (static_cast<Ending>(slot->ending) == Ending::kReturned) {
      return "a handle that its function had returned to Python, which closed it";
    }
  }
  return "a handle that is already closed";
}

}  // namespace

void ApiCall::CheckContext() {
  // The root context is handed to nobody, and a context between two calls to nobody either.
  Call* const used = call_;
  State& state = *used->state;
  Call& call = innermost_call != nullptr ? *innermost_call : *used;
  Violation violation = Begin({state, call, &info_, &site_}, Kind::kStaleContext,
                              std::string(info_.api) + " was given the context of another call");
  ok_ = false;
  call_ = &call;
  Report(state, call, std::move(violation), info_.can_fail);
}

HPy ApiCall::UnwrapInvalid(HPy handle, int position) {
  if (!ok_) return HPy_NULL;  // one report for one call
  State& s = state();
  const Place place{s, *call_, &info_, &site_};
  ok_ = false;
  switch (s.table.Classify(handle)) {
    case Validity::kOpen:
      break;
    case Validity::kNull: {
      Violation violation = Begin(place, Kind::kNullArgument, Given(info_, "HPy_NULL"));
      violation.argument = position;
      if ((info_.observed >> position & 1) == 0) {
        Report(s, *call_, std::move(violation), info_.can_fail);
      } else {
        // Where the universal context answers with an exception, so do we, under every policy.
        Emit(s, violation);
        s.host.Raise(violation, s.universal->*info_.raises);
      }
      break;
    }
    case Validity::kClosed: {
      if (s.host.HasHook(Hook::kInvalidHandle)) {
        const Slot* slot = s.table.SlotOf(handle);
        const HPy kept = s.table.HasStory(*slot, handle) && slot->kept ? slot->wrapped() : HPy_NULL;
        s.host.CallHook(Hook::kInvalidHandle);
        if (!HPy_IsNull(kept)) {
          ok_ = true;
          return kept;
        }
        if (info_.can_fail) {
          s.universal->ctx_Err_SetString(s.universal, s.universal->h_SystemError,
                                         "the closed handle no longer has its object");
        }
        break;
      }
      Violation violation =
          Begin(place, Kind::kUseAfterClose, Given(info_, DescribeClosed(s.table, handle)));
      violation.argument = position;
      TellStory(place, s.table, handle, &violation);
      Report(s, *call_, std::move(violation), info_.can_fail);
      break;
    }
    case Validity::kNotAHandle: {
      Violation violation =
          Begin(place, Kind::kNotAHandle, Given(info_, "a value that is no handle"));
      violation.argument = position;
      violation.handle = leakdetector::HandleInfo{static_cast<uint64_t>(handle._i), 0, {}, {}};
      Report(s, *call_, std::move(violation), info_.can_fail);
      break;
    }
  }
  return HPy_NULL;
}

void ApiCall::Close(HPy handle) {
  State& s = state();
  Slot* slot = s.table.Resolve(handle);
  const Place place{s, *call_, &info_, &site_};
  if (slot != nullptr && static_cast<Origin>(slot->origin) == Origin::kOwned) [[likely]] {
    const HPy wrapped = s.Close(slot, *call_, Capture(), Ending::kClosed);
    s.universal->ctx_Close(s.universal, wrapped);
    return;
  }
  if (HPy_IsNull(handle)) return;
  const Validity validity = s.table.Classify(handle);
  if (validity != Validity::kNotAHandle && s.host.HasHook(Hook::kInvalidHandle)) {
    s.host.CallHook(Hook::kInvalidHandle);
    return;
  }
  Kind kind = Kind::kDoubleClose;
  std::string what = std::string(info_.api) + " was given " + DescribeClosed(s.table, handle);
  if (validity == Validity::kNotAHandle) {
    kind = Kind::kNotAHandle;
    what = Given(info_, "a value that is no handle");
  } else if (slot != nullptr && static_cast<Origin>(slot->origin) == Origin::kArgument) {
    kind = Kind::kCloseOfArgument;
    what = Given(info_, "an argument of the function, which belongs to the caller");
  } else if (slot != nullptr) {
    kind = Kind::kCloseOfConstant;
    what = Given(info_, "a constant of the context, which is never closed");
  }
  Violation violation = Begin(place, kind, what);
  violation.argument = 1;
  TellStory(place, s.table, handle, &violation);
  Report(s, *call_, std::move(violation), info_.can_fail);
}

void ApiCall::RefuseBuilder(const HandleTable& table, HPy value, int position) {
  if (!ok_) return;
  State& s = state();
  const bool known = table.Classify(value) == Validity::kClosed;
  if (known && s.host.HasHook(Hook::kInvalidBuilder)) {
    s.host.CallHook(Hook::kInvalidBuilder);
    return;  // acts as the null builder
  }
  ok_ = false;
  const Place place{s, *call_, &info_, &site_};
  Violation violation = Begin(place, known ? Kind::kBuilderAfterBuild : Kind::kNotAHandle,
                              Given(info_, known ? "a builder that was already built or cancelled"
                                                 : "a value that is no builder"));
  violation.argument = position;
  TellStory(place, table, value, &violation);
  Report(s, *call_, std::move(violation), info_.can_fail);
}

void ApiCall::RefuseTracker(const HandleTable& table, HPy value, int position) {
  if (!ok_) return;
  ok_ = false;
  const bool known = table.Classify(value) == Validity::kClosed;
  const Place place{state(), *call_, &info_, &site_};
  Violation violation = Begin(
      place, known ? Kind::kTrackerAfterClose : Kind::kNotAHandle,
      Given(info_, known ? "a tracker that is already closed" : "a value that is no tracker"));
  violation.argument = position;
  TellStory(place, table, value, &violation);
  Report(state(), *call_, std::move(violation), info_.can_fail);
}

HPy OnInvalidResult(State& state, Call& call, HPy result) {
  const Place place{state, call, nullptr, nullptr};
  Slot* const slot = state.table.Resolve(result);
  const Validity validity = state.table.Classify(result);
  const bool hook = validity != Validity::kNotAHandle && state.host.HasHook(Hook::kInvalidHandle);
  if (hook) {
    state.host.CallHook(Hook::kInvalidHandle);
    const Slot* known = slot != nullptr ? slot : state.table.SlotOf(result);
    if (slot != nullptr || (state.table.HasStory(*known, result) && known->kept)) {
      return state.universal->ctx_Dup(state.universal, known->wrapped());
    }
    state.universal->ctx_Err_SetString(state.universal, state.universal->h_SystemError,
                                       "the closed handle no longer has its object");
    return HPy_NULL;
  }
  Kind kind = Kind::kNotAHandle;
  const char* what = "the function returned a value that is no handle";
  if (slot != nullptr && static_cast<Origin>(slot->origin) == Origin::kArgument) {
    kind = Kind::kReturnOfArgument;
    what = "the function returned one of its arguments, which belong to the caller";
  } else if (slot != nullptr) {
    kind = Kind::kReturnOfConstant;
    what = "the function returned a constant of the context";
  } else if (validity == Validity::kClosed) {
    kind = Kind::kReturnOfClosed;
    what = "the function returned a handle that is already closed";
  }
  Violation violation = Begin(place, kind, what);
  TellStory(place, state.table, result, &violation);
  Report(state, call, std::move(violation), /*can_fail=*/true);
  return HPy_NULL;
}

bool RaiseDeferred(State& state, Call& call, bool failed) {
  const std::unique_ptr<Violation> warned = std::move(call.warned);
  if (warned != nullptr && failed && !state.universal->ctx_Err_Occurred(state.universal)) {
    state.host.Raise(*warned, HPy_NULL);
  }
  if (call.deferred.empty()) return false;
  // Each becomes the context of the next.
  for (const Violation& violation : std::exchange(call.deferred, {})) {
    state.host.Raise(violation, HPy_NULL);
  }
  return true;
}

std::vector<Slot*> OpenSlots(State& state, int64_t generation) {
  if (state.table.CountOpen(generation) == 0) return {};
  std::vector<Slot*> open = state.table.OpenSlots(generation);
  std::erase_if(
      open, [](const Slot* slot) { return static_cast<Origin>(slot->origin) != Origin::kOwned; });
  return open;
}

Violation LeakOf(State& state, const Slot& slot) {
  Violation violation;
  violation.kind = Kind::kHandleLeak;
  violation.message = leakdetector::ComposeMessage(Kind::kHandleLeak, "");
  NameFunction(state, slot.function, &violation);
  violation.handle = leakdetector::HandleInfo{
      static_cast<uint64_t>(state.table.HandleOf(slot)._i), OrderOf(state, state.table, slot),
      state.host.Repr(slot.wrapped()), state.host.TypeName(slot.wrapped())};
  violation.opened = OpenedStack(state, slot);
  return violation;
}

void ForceClose(State& state, Slot* slot) {
  Call& call = DebugContext::From(state.root())->call;
  if (slot->is_open() && static_cast<Origin>(slot->origin) == Origin::kOwned) {
    const HPy wrapped = state.Close(slot, call, stacktrace::kNoStack, Ending::kClosed);
    state.universal->ctx_Close(state.universal, wrapped);
    return;
  }
  if (state.host.HasHook(Hook::kInvalidHandle)) {
    state.host.CallHook(Hook::kInvalidHandle);
    return;
  }
  const Kind kind = !slot->is_open() ? Kind::kDoubleClose
                    : static_cast<Origin>(slot->origin) == Origin::kArgument
                        ? Kind::kCloseOfArgument
                        : Kind::kCloseOfConstant;
  const Place place{state, call, nullptr, nullptr};
  Violation violation =
      Begin(place, kind, "DebugHandle._force_close() was called for such a handle");
  TellStory(place, state.table, state.table.HandleOf(*slot), &violation);
  Report(state, call, std::move(violation), /*can_fail=*/true);
}

}  // namespace hpy::debug_ctx
