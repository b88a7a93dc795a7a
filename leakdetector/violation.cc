// The few functions of a violation as data.

#include "leakdetector/violation.h"

namespace hpy::leakdetector {
namespace {

constexpr std::string_view kBeforeHelp = "; ";

}  // namespace

std::string ComposeMessage(Kind kind, std::string_view what) {
  const KindInfo& info = GetKindInfo(kind);
  std::string message(what.empty() ? info.title : what);
  message += kBeforeHelp;
  message += info.help;
  return message;
}

std::string_view MessageWithoutHelp(const Violation& violation) {
  const std::string_view help = GetKindInfo(violation.kind).help;
  std::string_view message = violation.message;
  if (!message.ends_with(help)) return message;
  message.remove_suffix(help.size());
  if (!message.ends_with(kBeforeHelp)) return violation.message;
  message.remove_suffix(kBeforeHelp.size());
  return message;
}

const Stack* PrimaryStack(const Violation& violation) {
  if (violation.at) return &*violation.at;
  if (violation.opened) return &*violation.opened;
  return nullptr;
}

}  // namespace hpy::leakdetector
