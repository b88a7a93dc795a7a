// The kinds of violations as a constant array, derived from kinds.inc.

#include "leakdetector/kind.h"

namespace hpy::leakdetector {
namespace {

constexpr KindInfo kKinds[] = {
#define HPY_KIND(name, string, severity, title, cause, help) \
  {Kind::k##name, string, Severity::k##severity, title, cause, help},
#include "leakdetector/kinds.inc"
#undef HPY_KIND
};

}  // namespace

std::span<const KindInfo> AllKinds() { return kKinds; }

const KindInfo& GetKindInfo(Kind kind) { return kKinds[static_cast<size_t>(kind)]; }

std::string_view KindName(Kind kind) { return GetKindInfo(kind).name; }

std::string_view SeverityName(Severity severity) {
  return severity == Severity::kNote ? "note" : "error";
}

std::optional<Kind> KindFromName(std::string_view name) {
  for (const KindInfo& info : kKinds) {
    if (info.name == name) return info.kind;
  }
  return std::nullopt;
}

bool IsLeak(Kind kind) {
  return kind == Kind::kHandleLeak || kind == Kind::kLongLivedHandle ||
         kind == Kind::kBuilderLeak || kind == Kind::kTrackerLeak;
}

}  // namespace hpy::leakdetector
