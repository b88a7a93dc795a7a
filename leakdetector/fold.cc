// Folds equal violations into one with a count.

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

#include "leakdetector/report.h"

namespace hpy::leakdetector {
namespace {

// A text that two violations share exactly when they fold. Each part carries its length, so that
// no two different lists of parts give the same text.
class Key {
 public:
  explicit Key(const Violation& violation) {
    Add(KindName(violation.kind));
    AddOptional(violation.api);
    AddOptional(violation.module);
    AddOptional(violation.function);
    AddStack(violation.at);
    AddStack(violation.opened);
    AddStack(violation.closed);
  }

  std::string Take() && { return std::move(text_); }

 private:
  void Add(std::string_view part) {
    text_ += std::to_string(part.size());
    text_ += ':';
    text_ += part;
  }

  void AddOptional(const std::optional<std::string>& part) {
    if (part) {
      Add(*part);
    } else {
      text_ += '-';
    }
  }

  void AddStack(const std::optional<Stack>& stack) {
    if (!stack) {
      text_ += '-';
      return;
    }
    Add(std::to_string(stack->native.size()));
    for (const stacktrace::Frame& frame : stack->native) {
      Add(frame.function);
      if (frame.line > 0) {
        Add(frame.file);
        Add(std::to_string(frame.line));
      } else {
        Add(frame.library);
        Add(fmt::format("+{}", frame.offset));
      }
    }
    Add(std::to_string(stack->python.size()));
    for (const PythonFrame& frame : stack->python) {
      Add(frame.function);
      Add(frame.file);
      Add(std::to_string(frame.line));
    }
  }

  std::string text_;
};

}  // namespace

std::string FoldKey(const Violation& violation) { return Key(violation).Take(); }

std::vector<Violation> Fold(std::vector<Violation> violations) {
  std::vector<Violation> folded;
  std::unordered_map<std::string, size_t> places;
  for (Violation& violation : violations) {
    const auto [place, is_new] = places.try_emplace(FoldKey(violation), folded.size());
    if (is_new) {
      folded.push_back(std::move(violation));
    } else {
      folded[place->second].count += violation.count;
    }
  }
  std::stable_sort(folded.begin(), folded.end(),
                   [](const Violation& a, const Violation& b) { return a.count > b.count; });
  return folded;
}

}  // namespace hpy::leakdetector
