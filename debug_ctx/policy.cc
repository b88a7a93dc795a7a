// The policies abort, raise and warn.
#include "debug_ctx/policy.h"

#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string_view>
#include <utility>

#include "leakdetector/json.h"
#include "leakdetector/text.h"

namespace hpy::debug_ctx {

using leakdetector::Kind;
using leakdetector::Violation;

namespace {

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

}  // namespace

void WriteError(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

void OpenLastWords(const State& state) {
  if (state.settings.last_words >= 0) dup2(state.settings.last_words, STDERR_FILENO);
}

void Abort(State& state, const Violation& violation, const char* fatal) {
  OpenLastWords(state);
  WriteError(leakdetector::ToText(violation, {}));
  if (fatal == nullptr) fatal = FatalText(violation.kind);
  if (violation.kind == Kind::kStaleContext) WriteError("Error: Wrong HPy Context!\n");
  state.host.Fatal(fatal != nullptr ? fatal : violation.message.c_str());
  std::abort();  // a host that returns from Fatal
}

bool Tell(State& state, const Violation& violation) {
  if (state.host.Suppressed(violation)) return true;
  state.violations++;
  state.host.Notify(violation);
  return false;
}

bool Emit(State& state, const Violation& violation) {
  if (state.report_file != nullptr) state.report_file->Append(leakdetector::ToJson(violation));
  return Tell(state, violation);
}

void MarkRefused(Call& call, const Violation& violation) {
  call.attention = true;
  if (!violation.api.has_value()) return;
  call.excused = true;
  call.refused = std::make_unique<Violation>(violation);
}

void Report(State& state, Call& call, Violation violation, bool can_fail, const char* fatal) {
  const bool suppressed = Emit(state, violation);
  MarkRefused(call, violation);
  // A suppressed one is as a warning that nobody sees: the call itself cannot but fail.
  switch (suppressed ? Policy::kWarn : state.settings.policy) {
    case Policy::kAbort:
      Abort(state, violation, fatal);
    case Policy::kWarn:
      if (suppressed || state.host.Warn(violation)) {
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

void CallHook(State& state, Call& call, Hook hook) {
  state.host.CallHook(hook);
  if (!state.universal->ctx_Err_Occurred(state.universal)) return;
  call.attention = true;
  call.excused = true;
}

bool RaiseDeferred(State& state, Call& call) {
  if (call.deferred.empty()) return false;
  // Each becomes the context of the next.
  for (const Violation& violation : std::exchange(call.deferred, {})) {
    state.host.Raise(violation, HPy_NULL);
  }
  return true;
}

}  // namespace hpy::debug_ctx
