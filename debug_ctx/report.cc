// What wrappers refuse: handles, contexts, builders and trackers that may not be used.
#include "debug_ctx/report.h"

#include <string>
#include <string_view>
#include <utility>

#include "debug_ctx/api_call.h"
#include "debug_ctx/policy.h"
#include "debug_ctx/story.h"
#include "leakdetector/text.h"

namespace hpy::debug_ctx {

using handles::Ending;
using handles::HandleTable;
using handles::Slot;
using handles::Validity;
using leakdetector::Kind;
using leakdetector::Violation;

namespace {

std::string Given(const SlotInfo& info, std::string_view what) {
  return std::string(info.api) + " was given " + std::string(what);
}

// "a handle that is already closed", with what is worth saying about it.
std::string DescribeClosed(const HandleTable& table, HPy handle) {
  const Slot* slot = table.SlotOf(handle);
  if (slot != nullptr && table.HasStory(*slot, handle)) {
    if (slot->is_argument()) {
      return "an argument of a call that has returned: its handle was closed then";
    }
    if (slot->was_returned()) {
      return "a handle that its function had returned to Python, which closed it";
    }
  }
  return "a handle that is already closed";
}

}  // namespace

void ApiCall::Refuse(Violation violation, const char* fatal) {
  ok_ = false;
  Report(state(), *call_, std::move(violation), info_.can_fail, fatal);
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
        MarkRefused(*call_, violation);
        s.host.Raise(violation, s.universal->*info_.raises);
      }
      break;
    }
    case Validity::kClosed: {
      if (s.host.HasHook(Hook::kInvalidHandle)) {
        const Slot* slot = s.table.SlotOf(handle);
        const HPy kept = s.table.HasStory(*slot, handle) && slot->kept ? slot->wrapped() : HPy_NULL;
        CallHook(s, *call_, Hook::kInvalidHandle);
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
  if (slot != nullptr && slot->is_owned()) [[likely]] {
    call_->log.Pop(handle);
    const HPy wrapped = s.Close(slot, Capture(), Ending::kClosed);
    s.universal->ctx_Close(s.universal, wrapped);
    return;
  }
  if (HPy_IsNull(handle)) return;
  const Validity validity = s.table.Classify(handle);
  if (validity != Validity::kNotAHandle && s.host.HasHook(Hook::kInvalidHandle)) {
    CallHook(s, *call_, Hook::kInvalidHandle);
    return;
  }
  Kind kind = Kind::kDoubleClose;
  std::string what = std::string(info_.api) + " was given " + DescribeClosed(s.table, handle);
  if (validity == Validity::kNotAHandle) {
    kind = Kind::kNotAHandle;
    what = Given(info_, "a value that is no handle");
  } else if (slot != nullptr && slot->is_argument()) {
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
    CallHook(s, *call_, Hook::kInvalidBuilder);
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
    CallHook(state, call, Hook::kInvalidHandle);
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
  if (slot != nullptr && slot->is_argument()) {
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

void ForceClose(State& state, Slot* slot) {
  Call& call = DebugContext::From(state.root())->call;
  if (slot->is_open() && slot->is_owned()) {
    const HPy wrapped = state.Close(slot, stacktrace::kNoStack, Ending::kClosed);
    state.universal->ctx_Close(state.universal, wrapped);
    return;
  }
  if (state.host.HasHook(Hook::kInvalidHandle)) {
    CallHook(state, call, Hook::kInvalidHandle);
    return;
  }
  const Kind kind = !slot->is_open()      ? Kind::kDoubleClose
                    : slot->is_argument() ? Kind::kCloseOfArgument
                                          : Kind::kCloseOfConstant;
  const Place place{state, call, nullptr, nullptr};
  Violation violation =
      Begin(place, kind, "DebugHandle._force_close() was called for such a handle");
  TellStory(place, state.table, state.table.HandleOf(*slot), &violation);
  Report(state, call, std::move(violation), /*can_fail=*/true);
}

}  // namespace hpy::debug_ctx
