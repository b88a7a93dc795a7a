// Excerpts of source code with labels under the lines.

#include "leakdetector/excerpt.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "leakdetector/utf8.h"

namespace hpy::leakdetector {
namespace {

constexpr size_t kTab = 4;
constexpr std::string_view kCut = "...";

bool IsWordByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f'; }

// Behind the string or character literal that begins at `at`, or the end of the line.
size_t SkipLiteral(std::string_view line, size_t at) {
  const char quote = line[at++];
  while (at < line.size() && line[at] != quote) at += line[at] == '\\' ? 2 : 1;
  return std::min(at + 1, line.size());
}

// Walks over the code in a line: literals in one step, and it ends where a comment runs to the end
// of the line. A C++ digit separator (1'000) is no literal.
class CodeWalk {
 public:
  explicit CodeWalk(std::string_view line) : line_(line) {}

  // The next byte of code, or nothing.
  std::optional<size_t> Next() {
    while (at_ < line_.size()) {
      const std::string_view rest = line_.substr(at_);
      if (rest.starts_with("//")) return std::nullopt;
      if (rest.starts_with("/*")) {
        const size_t end = line_.find("*/", at_ + 2);
        if (end == std::string_view::npos) return std::nullopt;
        at_ = end + 2;
        continue;
      }
      const bool separator = line_[at_] == '\'' && at_ > 0 && IsWordByte(line_[at_ - 1]);
      if ((line_[at_] == '"' || line_[at_] == '\'') && !separator) {
        const size_t start = at_;
        at_ = SkipLiteral(line_, at_);
        last_end_ = at_;
        return start;
      }
      last_end_ = at_ + 1;
      return at_++;
    }
    return std::nullopt;
  }

  // Behind what Next returned last: more than a byte for a literal.
  size_t last_end() const { return last_end_; }

 private:
  const std::string_view line_;
  size_t at_ = 0;
  size_t last_end_ = 0;
};

// From the first to the last byte of code that is not blank. A line that is all comment is taken
// whole.
Span Statement(std::string_view line) {
  Span span;
  bool any = false;
  CodeWalk walk(line);
  while (const std::optional<size_t> at = walk.Next()) {
    if (IsBlank(line[*at])) continue;
    if (!any) span.begin = *at;
    any = true;
    span.end = walk.last_end();
  }
  if (any) return span;
  while (span.begin < line.size() && IsBlank(line[span.begin])) ++span.begin;
  span.end = line.size();
  while (span.end > span.begin && IsBlank(line[span.end - 1])) --span.end;
  return span;
}

struct Call {
  Span name;
  size_t parenthesis;
};

// Every call in the line, left to right: a word in front of an opening parenthesis.
std::vector<Call> FindCalls(std::string_view line) {
  std::vector<Call> calls;
  CodeWalk walk(line);
  while (const std::optional<size_t> at = walk.Next()) {
    if (line[*at] != '(') continue;
    size_t end = *at;
    while (end > 0 && IsBlank(line[end - 1])) --end;
    size_t begin = end;
    while (begin > 0 && IsWordByte(line[begin - 1])) --begin;
    if (begin < end) calls.push_back({{begin, end}, *at});
  }
  return calls;
}

// Behind the parenthesis that closes the one at `open`; the end of the statement when it does not.
size_t EndOfCall(std::string_view line, size_t open) {
  int depth = 0;
  CodeWalk walk(line);
  while (const std::optional<size_t> at = walk.Next()) {
    if (*at < open) continue;
    if (line[*at] == '(') ++depth;
    if (line[*at] == ')' && --depth == 0) return *at + 1;
  }
  return Statement(line).end;
}

bool Fits(std::string_view name, Role role) {
  if (!name.starts_with("HPy") && !name.starts_with("_HPy")) return false;
  switch (role) {
    case Role::kAt:
      return true;
    case Role::kOpened:
      return !name.ends_with("Close");
    case Role::kClosed:
      return name.ends_with("Close") || name.ends_with("Build") || name.ends_with("Cancel");
  }
  return false;
}

// Characters [begin, begin + count) of `text`.
std::string_view Characters(std::string_view text, size_t begin, size_t count) {
  text.remove_prefix(FirstCharacters(text, begin).size());
  return FirstCharacters(text, count);
}

// A source line as it is shown, and which columns of it.
struct Window {
  std::string text;
  size_t first = 0, count = 0;  // columns of the line
  size_t lead = 0;              // columns that kCut takes in front

  // The column on the screen for a column of the line that may lie outside of the window.
  size_t Column(size_t column) const {
    return lead + std::clamp(column, first, first + count) - first;
  }
};

// The part of a long line around `anchor`, a column.
Window MakeWindow(std::string_view source, size_t anchor, size_t max_columns) {
  const size_t columns = CountCharacters(source);
  Window window;
  window.count = columns;
  if (columns > max_columns) {
    const size_t before = max_columns / 4;
    window.first = anchor > max_columns - before ? anchor - before : 0;
    window.count = std::min(max_columns, columns - window.first);
  }
  if (window.first > 0) {
    window.lead = kCut.size();
    window.text = kCut;
  }
  window.text += Characters(source, window.first, window.count);
  if (window.first + window.count < columns) window.text += kCut;
  return window;
}

}  // namespace

Span FindUnderline(std::string_view line, std::string_view function, Role role, bool name_only) {
  for (const Call& call : FindCalls(line)) {
    const std::string_view name = line.substr(call.name.begin, call.name.end - call.name.begin);
    if (function.empty() ? !Fits(name, role) : name != function) continue;
    if (name_only) return call.name;
    return {call.name.begin, EndOfCall(line, call.parenthesis)};
  }
  return Statement(line);
}

Span FindWord(std::string_view line, std::string_view name) {
  for (size_t at = line.find(name); !name.empty() && at != std::string_view::npos;
       at = line.find(name, at + 1)) {
    const size_t end = at + name.size();
    const bool begins = at == 0 || !IsWordByte(line[at - 1]);
    const bool ends = end == line.size() || !IsWordByte(line[end]);
    if (begins && ends) return {at, end};
  }
  return Statement(line);
}

std::string DisplayLine(std::string_view line) {
  std::string out;
  size_t column = 0;
  for (size_t at = 0; at < line.size();) {
    const size_t start = at;
    if (NextCharacter(line, &at) == '\t') {
      const size_t blanks = kTab - column % kTab;
      out.append(blanks, ' ');
      column += blanks;
    } else {
      out += OneLine(line.substr(start, at - start));
      ++column;
    }
  }
  return out;
}

std::string Paint(std::string_view text, Style style, bool color) {
  const char* code = nullptr;
  switch (style) {
    case Style::kNone:
      break;
    case Style::kError:
    case Style::kPrimary:
      code = "1;31";
      break;
    case Style::kNote:
      code = "1;32";
      break;
    case Style::kGutter:
      code = "1;34";
      break;
    case Style::kSecondary:
      code = "1;36";
      break;
    case Style::kBold:
      code = "1";
      break;
  }
  if (!color || code == nullptr || text.empty()) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", code, text);
}

std::string RenderExcerpt(std::vector<Mark> marks, const ExcerptOptions& options) {
  const auto gutter = [&options](std::string_view number) {
    return Paint(fmt::format("{:>{}} |", number, options.gutter), Style::kGutter, options.color);
  };
  std::stable_sort(marks.begin(), marks.end(),
                   [](const Mark& a, const Mark& b) { return a.line < b.line; });
  std::string out = gutter("") + "\n";
  Window window;
  int shown = 0;
  for (const Mark& mark : marks) {
    const std::string_view source = mark.source;
    const size_t begin = CountCharacters(source.substr(0, mark.span.begin));
    const size_t end = CountCharacters(source.substr(0, mark.span.end));
    if (mark.line != shown) {
      window = MakeWindow(source, begin, options.max_columns);
      shown = mark.line;
      out +=
          gutter(std::to_string(mark.line)) + (window.text.empty() ? "" : " ") + window.text + "\n";
    }
    const size_t first = window.Column(begin);
    const size_t width = std::max<size_t>(window.Column(end) - first, 1);
    const std::string line(width, mark.primary ? '^' : '-');
    out += gutter("") + std::string(first + 1, ' ') +
           Paint(line + " " + mark.label, mark.primary ? Style::kPrimary : Style::kSecondary,
                 options.color) +
           "\n";
  }
  return out;
}

}  // namespace hpy::leakdetector
