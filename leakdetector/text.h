// A violation as text for people, in the manner of a good compiler.
//
//     error[use-after-close]: HPy_Add was given a handle that is already closed
//       --> src/matrix.c:88 in row_sum        (2nd argument)
//        |
//     80 |     HPy item = HPy_GetItem_i(ctx, row, i);
//        |                -------------------------- opened here
//     84 |         HPy_Close(ctx, item);
//        |         -------------------- closed here
//     88 |     total = HPy_Add(ctx, total, item);
//        |             ^^^^^^^ used here
//        = handle: the 1 204th that was opened
//        = help: close the handle after its last use, or HPy_Dup it first

#ifndef HPY_LEAKDETECTOR_TEXT_H_
#define HPY_LEAKDETECTOR_TEXT_H_

#include <cstddef>
#include <memory>
#include <string>

#include "leakdetector/violation.h"

namespace hpy::leakdetector {

struct TextOptions {
  bool color = false;       // ANSI colours; whether they are wanted is the caller's decision
  size_t top = 20;          // ToReport: sites shown, the rest is counted. 0 shows none
  std::string report_path;  // named in the SUMMARY line; empty: not named
  // Paths below this folder are shown relative to it, and relative source paths are looked up in
  // it. Empty: paths are shown as they are, and looked up in the current directory.
  std::string base_directory;
  size_t max_frames = 8;     // frames listed of each stack, the rest is counted
  size_t max_columns = 160;  // longer source lines are cut around what is underlined
};

// Renders violations one after the other. It keeps the source files it has read, and for which
// libraries it has already said how to get debug information: that is said once per library and
// renderer. Not thread-safe: one renderer, one thread.
class TextRenderer {
 public:
  explicit TextRenderer(TextOptions options);
  ~TextRenderer();
  TextRenderer(const TextRenderer&) = delete;
  TextRenderer& operator=(const TextRenderer&) = delete;

  // The text of one violation, always ending with one line break.
  std::string Render(const Violation& violation);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The same with a renderer of its own. Reads source files, so it blocks on the file system.
std::string ToText(const Violation& violation, const TextOptions& options);

}  // namespace hpy::leakdetector

#endif  // HPY_LEAKDETECTOR_TEXT_H_
