// Arming and checking the guards of native structs.
#include "debug_ctx/struct_guard.h"

#include <cstddef>
#include <cstring>
#include <string>
#include <utility>

#include "debug_ctx/outside.h"
#include "debug_ctx/policy.h"
#include "debug_ctx/state.h"
#include "debug_ctx/story.h"
#include "leakdetector/text.h"
#include "runtime/observer.h"

namespace hpy::debug_ctx {

using handles::Slot;
using leakdetector::Kind;
using leakdetector::Violation;

namespace {

constexpr int kPythonFrames = 64;

// The guard of an armed object. The seal is at the far end, where an overrun comes to last.
struct Guard {
  unsigned char pattern[HPY_GUARD_SIZE - 16];
  StoryId story;
  uint32_t function;
  uint64_t seal;
};
static_assert(sizeof(Guard) == HPY_GUARD_SIZE);

uint64_t SealOf(HPy object, StoryId story, uint32_t function) {
  uint64_t x = static_cast<uint64_t>(object._i) ^ (uint64_t{story} << 32 | function);
  x = (x ^ x >> 31) * 0xD6E8FEB86659FD93;
  return x ^ x >> 32 ^ 0x68507947;  // never zero by chance of a zero guard
}

Guard Armed(HPy object, StoryId story, uint32_t function) {
  Guard guard;
  std::memset(guard.pattern, 0xD7, sizeof(guard.pattern));
  guard.story = story;
  guard.function = function;
  guard.seal = SealOf(object, story, function);
  return guard;
}

// Whether the guard is as Arm() wrote it for that object: so for all but those that are overrun or were
// never armed.
bool IsWhole(const char* bytes, HPy object) {
  uint64_t words[HPY_GUARD_SIZE / 8];
  static_assert(offsetof(Guard, story) == HPY_GUARD_SIZE - 16);
  std::memcpy(words, bytes, sizeof(words));
  constexpr size_t kPatternWords = sizeof(Guard::pattern) / 8;
  uint64_t changed = 0;
  for (size_t i = 0; i < kPatternWords; i++) changed |= words[i] ^ 0xD7D7D7D7D7D7D7D7;
  Guard found;
  std::memcpy(&found, bytes, sizeof(found));
  return (changed | (found.seal ^ SealOf(object, found.story, found.function))) == 0;
}

// Vectors up to this size are kept for the next call.
constexpr size_t kKept = 1024;

}  // namespace

bool StructGuards::Arm(HPy object, StoryId story, uint32_t function) {
  const StructGuard place = state_.host.GuardOf(object);
  if (place.bytes == nullptr) return false;
  const Guard guard = Armed(object, story, function);
  std::memcpy(place.bytes, &guard, sizeof(guard));
  return true;
}

void StructGuards::Check(HPy object, const MadeStruct* made, Call* call) {
  const StructGuard place = state_.host.GuardOf(object);
  if (place.bytes == nullptr || IsWhole(place.bytes, object)) return;
  Guard found;
  std::memcpy(&found, place.bytes, sizeof(found));
  const bool sealed = found.seal == SealOf(object, found.story, found.function);
  Guard expected{};  // nobody has armed it
  if (sealed) {
    expected = Armed(object, found.story, found.function);
  } else if (made != nullptr) {
    expected = Armed(object, made->story, call->function);
  } else if (state_.host.has_shape(Host::Native(object), HPyType_BuiltinShape_Legacy) != 0) {
    return;  // it may have been made of memory that nobody zeroed
  }
  if (std::memcmp(&found, &expected, sizeof(found)) == 0) [[likely]] {
    return;
  }
  if (!reported_.insert(object._i).second) return;

  size_t first = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(&found);
  const auto* expected_bytes = reinterpret_cast<const unsigned char*>(&expected);
  while (bytes[first] == expected_bytes[first]) first++;
  Violation violation;
  violation.kind = Kind::kStructOverrun;
  violation.message = leakdetector::ComposeMessage(
      violation.kind, "the memory behind the struct of a '" + state_.host.TypeName(object) +
                          "' object was changed, at offset " +
                          std::to_string(place.struct_size + first) + " of a struct of " +
                          std::to_string(place.struct_size) + " bytes");
  const Call* const in_progress = call != nullptr ? call : thread_calls.innermost;
  violation.at.emplace();
  if (in_progress != nullptr) violation.at = FunctionStack(state_, in_progress->function);
  if (state_.settings.python_stacks) {
    violation.at->python = state_.host.PythonFrames(kPythonFrames);
  }
  StoryId story = 0;
  uint32_t function = in_progress != nullptr ? in_progress->function : 0;
  if (sealed || made != nullptr) {
    story = sealed ? found.story : made->story;
    if (function == 0) function = expected.function;
    violation.opened = Filtered(state_, state_.stories.Native(story));
    violation.opened->python =
        made != nullptr ? violation.at->python : state_.stories.Python(story);
  }
  NameFunction(state_, function, &violation);
  if (call == nullptr) return ReportLater(state_, std::move(violation));
  Report(state_, *call, std::move(violation), /*can_fail=*/false);
}

void StructGuards::CheckReturn(Call& call) {
  if (call.made.empty()) return;
  // Reports run Python code: what that makes with this context goes into another vector.
  MadeStructs all = std::exchange(call.made, {});
  for (const MadeStruct& made : all) {
    if (const Slot* slot = state_.table.Resolve(made.handle)) Check(slot->wrapped(), &made, &call);
  }
  if (call.made.empty() && all.capacity() <= kKept) {
    all.clear();
    call.made = std::move(all);
  }
}

void StructGuards::CheckLive(HPy object) { Check(object, nullptr, nullptr); }

void StructGuards::Dies(HPy object) {
  const StructGuard place = state_.host.GuardOf(object);
  if (place.bytes == nullptr) return;  // so it was never reported
  if (!IsWhole(place.bytes, object)) Check(object, nullptr, nullptr);
  if (!reported_.empty()) reported_.erase(object._i);
  // The memory may come back for an object that was not zeroed.
  std::memset(place.bytes, 0, HPY_GUARD_SIZE);
}

}  // namespace hpy::debug_ctx
