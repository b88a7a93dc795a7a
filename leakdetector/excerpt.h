// Excerpts of source code with labels under the lines, and what of a line to underline.

#ifndef HPY_LEAKDETECTOR_EXCERPT_H_
#define HPY_LEAKDETECTOR_EXCERPT_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace hpy::leakdetector {

// Bytes [begin, end) of a line.
struct Span {
  size_t begin = 0, end = 0;

  bool operator==(const Span&) const = default;
};

// What a label stands at, and so which of several calls in a line is meant when the name of the
// function is not known.
enum class Role { kAt, kOpened, kClosed };

// The call of `function` in `line`: only its name with `name_only`, else the whole expression to
// its closing parenthesis, or to the end of the statement when that is on another line. Without
// `function`, the first call of HPy's API in the line that fits `role`. Where no such call is
// found, the whole statement: the line without indentation and trailing comment. Empty for a blank
// line.
Span FindUnderline(std::string_view line, std::string_view function, Role role, bool name_only);

// The word `name` in `line`, or the whole statement where it does not occur.
Span FindWord(std::string_view line, std::string_view name);

// `line` with tabs as far as the next multiple of four, and otherwise as OneLine does.
std::string DisplayLine(std::string_view line);

enum class Style { kNone, kError, kNote, kGutter, kPrimary, kSecondary, kBold };

// `text` in the colour of `style`, or just `text`.
std::string Paint(std::string_view text, Style style, bool color);

struct Mark {
  int line = 0;
  std::string source;  // the line, as DisplayLine made it
  Span span;           // in `source`
  bool primary = false;
  std::string label;
};

struct ExcerptOptions {
  size_t gutter = 1;  // width of the line numbers
  size_t max_columns = 160;
  bool color = false;
};

// The lines of one file with the labels under them, in the order of the lines; labels of one line
// in the order given. Begins with an empty gutter line.
std::string RenderExcerpt(std::vector<Mark> marks, const ExcerptOptions& options);

}  // namespace hpy::leakdetector

#endif  // HPY_LEAKDETECTOR_EXCERPT_H_
