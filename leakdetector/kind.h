// The kinds of violations: the enum and what kinds.inc says about each of them.

#ifndef HPY_LEAKDETECTOR_KIND_H_
#define HPY_LEAKDETECTOR_KIND_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace hpy::leakdetector {

// The numbers are private to one build; what is released, and never changes meaning, are the
// kind strings (KindName).
enum class Kind : uint8_t {
#define HPY_KIND(name, string, severity, title, cause, help) k##name,
#include "leakdetector/kinds.inc"
#undef HPY_KIND
};

// A note shows in reports on request. It never fails, warns or raises.
enum class Severity : uint8_t { kError, kNote };

struct KindInfo {
  Kind kind;
  std::string_view name;  // "use-after-close"
  Severity severity;
  std::string_view title;  // one sentence: what the extension did
  std::string_view cause;  // how this comes about
  std::string_view help;   // what to do instead, in the imperative, without a full stop
};

// Every kind, in the order of kinds.inc, which is the order of the enum. All strings live as long
// as the program. Safe to use everywhere, in signal handlers too.
std::span<const KindInfo> AllKinds();

const KindInfo& GetKindInfo(Kind kind);

// "use-after-close", "error".
std::string_view KindName(Kind kind);
std::string_view SeverityName(Severity severity);

// The kind of that name, or nothing where there is none.
std::optional<Kind> KindFromName(std::string_view name);

// True for what is found when the extension failed to give something back (`handle-leak`,
// `builder-leak`, `tracker-leak`, and the note `long-lived-handle`): such a violation has no `at`,
// its place is where the thing was opened.
bool IsLeak(Kind kind);

}  // namespace hpy::leakdetector

#endif  // HPY_LEAKDETECTOR_KIND_H_
