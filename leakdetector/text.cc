// A violation as text: headline, place, excerpts, notes.

#include "leakdetector/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "leakdetector/excerpt.h"
#include "leakdetector/source_file.h"
#include "leakdetector/utf8.h"
#include "leakdetector/wording.h"

namespace hpy::leakdetector {
namespace {

using stacktrace::Frame;

// One of the three stacks of a violation, with what is said about it.
struct Story {
  const Stack* stack = nullptr;
  Role role = Role::kAt;
  std::string_view name;  // "opened"
  std::string label;      // "opened here"
  bool primary = false;
  bool shown = false;  // an excerpt shows its first line

  const Frame* First() const { return stack->native.empty() ? nullptr : &stack->native.front(); }
};

bool HasLine(const Frame* frame) {
  return frame != nullptr && !frame->file.empty() && frame->line > 0;
}

// The callers of two stacks are the same when all frames but the innermost one are.
bool SameCallers(const Stack& a, const Stack& b) {
  if (a.native.empty() || b.native.empty()) return a.native.empty() == b.native.empty();
  return std::equal(a.native.begin() + 1, a.native.end(), b.native.begin() + 1, b.native.end(),
                    [](const Frame& x, const Frame& y) {
                      return x.function == y.function && x.file == y.file && x.line == y.line &&
                             x.library == y.library && (x.line > 0 || x.offset == y.offset);
                    });
}

// In the order in which it happened, the primary one last.
std::vector<Story> StoriesOf(const Violation& violation) {
  const Labels labels = LabelsOf(violation.kind);
  std::vector<Story> stories;
  if (violation.opened) {
    stories.push_back({&*violation.opened, Role::kOpened, "opened", std::string(labels.opened)});
  }
  if (violation.closed) {
    stories.push_back({&*violation.closed, Role::kClosed, "closed", std::string(labels.closed)});
  }
  if (violation.at) {
    stories.push_back({&*violation.at, Role::kAt, "at", std::string(labels.at)});
  }
  const Stack* primary = PrimaryStack(violation);
  for (Story& story : stories) story.primary = story.stack == primary;
  return stories;
}

}  // namespace

struct TextRenderer::State {
  explicit State(TextOptions given) : options(std::move(given)), sources(options.base_directory) {}

  std::string Path(std::string_view path) const;
  std::string Place(const Frame& frame) const;
  std::string Chain(const std::vector<Frame>& frames) const;
  std::string Chain(const std::vector<PythonFrame>& frames) const;
  std::string Headline(const Violation& violation) const;
  std::string Where(const Violation& violation) const;
  Mark MarkOf(const Violation& violation, const Story& story, std::string_view line) const;
  void AddExcerpts(const Violation& violation, std::vector<Story>& stories, size_t gutter,
                   std::string& out);
  std::vector<std::pair<std::string, std::string>> Notes(const Violation& violation,
                                                         const std::vector<Story>& stories);

  const TextOptions options;
  SourceFiles sources;
  std::set<std::string> hinted_libraries;
};

// A path as it is shown: below the base directory without it.
std::string TextRenderer::State::Path(std::string_view path) const {
  const std::string_view base = options.base_directory;
  if (!base.empty() && path.starts_with(base)) {
    std::string_view rest = path.substr(base.size());
    if (base.ends_with('/') || rest.starts_with('/')) {
      while (rest.starts_with('/')) rest.remove_prefix(1);
      if (!rest.empty()) path = rest;
    }
  }
  return OneLine(path);
}

// "src/matrix.c:88", "matrix.so+0x11a9" or, where nothing is known, "unknown place".
std::string TextRenderer::State::Place(const Frame& frame) const {
  if (HasLine(&frame)) return fmt::format("{}:{}", Path(frame.file), frame.line);
  if (!frame.library.empty()) {
    return fmt::format("{}+{:#x}", OneLine(BaseName(frame.library)), frame.offset);
  }
  return "unknown place";
}

// "row_sum (src/matrix.c:88) <- matrix_trace_impl (src/matrix.c:120)"
std::string TextRenderer::State::Chain(const std::vector<Frame>& frames) const {
  std::string out;
  const size_t shown = std::min(frames.size(), std::max<size_t>(options.max_frames, 1));
  for (size_t i = 0; i < shown; ++i) {
    if (i > 0) out += " <- ";
    if (frames[i].function.empty()) {
      out += Place(frames[i]);
    } else {
      out += fmt::format("{} ({})", OneLine(frames[i].function), Place(frames[i]));
    }
  }
  if (shown < frames.size()) {
    out += fmt::format(" <- {}", Counted(frames.size() - shown, "more frame"));
  }
  return out;
}

// "test_matrix.py:17 in test_trace <- test_matrix.py:30 in main"
std::string TextRenderer::State::Chain(const std::vector<PythonFrame>& frames) const {
  std::string out;
  const size_t shown = std::min(frames.size(), std::max<size_t>(options.max_frames, 1));
  for (size_t i = 0; i < shown; ++i) {
    if (i > 0) out += " <- ";
    out += fmt::format("{}:{}", Path(frames[i].file), frames[i].line);
    if (!frames[i].function.empty()) out += fmt::format(" in {}", OneLine(frames[i].function));
  }
  if (shown < frames.size()) {
    out += fmt::format(" <- {}", Counted(frames.size() - shown, "more frame"));
  }
  return out;
}

std::string TextRenderer::State::Headline(const Violation& violation) const {
  const KindInfo& info = GetKindInfo(violation.kind);
  const Style style = info.severity == Severity::kNote ? Style::kNote : Style::kError;
  const std::string_view what =
      violation.message.empty() ? info.title : MessageWithoutHelp(violation);
  return Paint(fmt::format("{}[{}]", SeverityName(info.severity), info.name), style,
               options.color) +
         Paint(": " + OneLine(what), Style::kBold, options.color) + "\n";
}

// What stands behind the arrow; empty where not even the function is known.
std::string TextRenderer::State::Where(const Violation& violation) const {
  std::string where;
  const Stack* stack = PrimaryStack(violation);
  if (stack != nullptr && !stack->native.empty()) {
    const Frame& frame = stack->native.front();
    where = Place(frame);
    if (!frame.function.empty()) where += " in " + OneLine(frame.function);
  } else if (stack != nullptr && !stack->python.empty()) {
    where = Chain(std::vector<PythonFrame>{stack->python.front()});
  } else if (violation.function) {
    where = violation.module ? *violation.module + "." + *violation.function : *violation.function;
    where = OneLine(where);
  } else if (violation.module) {
    where = "module " + OneLine(*violation.module);
  }
  if (violation.argument > 0 && !where.empty()) {
    where += fmt::format("        ({} argument)", Ordinal(violation.argument));
  }
  return where;
}

// What is underlined, and the label. Of the mistake itself only the name of the function is
// underlined when it is known, of what led to it the whole call.
Mark TextRenderer::State::MarkOf(const Violation& violation, const Story& story,
                                 std::string_view line) const {
  const Frame& frame = *story.First();
  Mark mark;
  mark.line = frame.line;
  mark.source = DisplayLine(line);
  mark.primary = story.primary;
  mark.label = story.label;

  std::string_view api = story.stack->api;
  const bool mistake = story.role == Role::kAt;
  if (mistake && violation.api) api = *violation.api;
  constexpr std::string_view kHere = " here";
  const bool one_line = story.label.ends_with(kHere);
  if (frame.tail && (api.empty() || mark.source.find(api) == std::string::npos)) {
    // The line is where the function begins: all that is left of a call in tail position.
    mark.span = FindWord(mark.source, frame.function);
    if (one_line) {
      mark.label.resize(mark.label.size() - kHere.size());
      mark.label += " by the last call of this function";
    }
  } else if (!one_line) {
    mark.span = FindWord(mark.source, frame.function);
  } else {
    mark.span = FindUnderline(mark.source, api, story.role, mistake && !api.empty());
  }
  return mark;
}

// One excerpt for each file, that of the primary stack first.
void TextRenderer::State::AddExcerpts(const Violation& violation, std::vector<Story>& stories,
                                      size_t gutter, std::string& out) {
  std::vector<Story*> order;
  order.reserve(stories.size());
  for (Story& story : stories) order.push_back(&story);
  std::stable_sort(order.begin(), order.end(),
                   [](const Story* a, const Story* b) { return a->primary > b->primary; });
  bool first_excerpt = true;
  for (const Story* head : order) {
    if (head->shown || !HasLine(head->First())) continue;
    const std::string& file = head->First()->file;
    std::vector<Mark> marks;
    for (Story& story : stories) {
      if (!HasLine(story.First()) || story.First()->file != file) continue;
      const auto line = sources.Line(file, story.First()->line);
      if (!line) continue;
      marks.push_back(MarkOf(violation, story, *line));
      story.shown = true;
    }
    if (marks.empty()) continue;
    // The arrow above names the file of the primary stack.
    if (!first_excerpt || !head->primary) {
      out += Paint(std::string(gutter, ' ') + "::: ", Style::kGutter, options.color) +
             Place(*head->First());
      if (!head->First()->function.empty()) out += " in " + OneLine(head->First()->function);
      out += "\n";
    }
    first_excerpt = false;
    out += RenderExcerpt(std::move(marks), {gutter, options.max_columns, options.color});
  }
}

// The lines behind `=`, each a name and a text.
std::vector<std::pair<std::string, std::string>> TextRenderer::State::Notes(
    const Violation& violation, const std::vector<Story>& stories) {
  std::vector<std::pair<std::string, std::string>> notes;
  const auto add = [&notes](std::string name, std::string text) {
    notes.emplace_back(std::move(name), std::move(text));
  };

  if (violation.handle) {
    const HandleInfo& handle = *violation.handle;
    std::string text;
    if (handle.repr) text = OneLine(FirstCharacters(*handle.repr, kMaxReprCharacters));
    if (handle.type) {
      text += text.empty() ? "an object of type " + OneLine(*handle.type)
                           : " (" + OneLine(*handle.type) + ")";
    }
    if (handle.order > 0) {
      if (!text.empty()) text += ", ";
      text += fmt::format("the {} that was opened", Ordinal(handle.order));
    }
    if (text.empty()) text = fmt::format("{:#x}", handle.id);
    add("handle", std::move(text));
  }
  // Where Python frames say it, the name of the function in progress says nothing more.
  const Stack* primary = PrimaryStack(violation);
  if (violation.function && primary != nullptr && primary->python.empty()) {
    add("function", OneLine(violation.module ? *violation.module + "." + *violation.function
                                             : *violation.function));
  }
  if (primary != nullptr) {
    if (primary->native.size() > 1) add("native", Chain(primary->native));
    if (!primary->python.empty()) add("python", Chain(primary->python));
  }
  for (const Story& story : stories) {
    if (story.primary) continue;
    const Stack& stack = *story.stack;
    const std::string name(story.name);
    const bool callers = stack.native.size() > 1 && !SameCallers(stack, *primary);
    if (!stack.native.empty() && (!story.shown || callers)) add(name, Chain(stack.native));
    if (!stack.python.empty() && stack.python != primary->python) {
      add(name, "from " + Chain(stack.python));
    }
  }

  for (const std::string& note : violation.notes) add("note", OneLine(note));
  bool truncated = false, stale = false;
  for (const Story& story : stories) {
    truncated = truncated || story.stack->truncated;
    const Frame* frame = story.First();
    if (frame == nullptr) continue;
    if (!HasLine(frame) && !frame->library.empty() &&
        hinted_libraries.insert(frame->library).second) {
      add("note", fmt::format("{} has no debug information: compile it with -g, or install its "
                              "debug symbols, to see files and lines",
                              OneLine(BaseName(frame->library))));
    }
    if (!stale && story.shown && sources.IsNewerThan(frame->file, frame->library)) {
      stale = true;
      add("note", fmt::format("{} was changed after {} was built: the lines shown need not be "
                              "those that ran",
                              Path(frame->file), OneLine(BaseName(frame->library))));
    }
  }
  if (truncated) add("note", "a trace was cut short: stack_depth sets how many frames are kept");
  if (violation.count > 1) {
    add("count", fmt::format("{} times with the same stacks", Grouped(violation.count)));
  }
  add("help", std::string(GetKindInfo(violation.kind).help));
  return notes;
}

TextRenderer::TextRenderer(TextOptions options)
    : state_(std::make_unique<State>(std::move(options))) {}

TextRenderer::~TextRenderer() = default;

std::string TextRenderer::Render(const Violation& violation) {
  const bool color = state_->options.color;
  std::vector<Story> stories = StoriesOf(violation);
  size_t gutter = 1;
  for (const Story& story : stories) {
    if (HasLine(story.First())) {
      gutter = std::max(gutter, std::to_string(story.First()->line).size());
    }
  }
  const std::string margin(gutter, ' ');

  std::string out = state_->Headline(violation);
  const std::string where = state_->Where(violation);
  if (!where.empty()) out += Paint(margin + "--> ", Style::kGutter, color) + where + "\n";
  state_->AddExcerpts(violation, stories, gutter, out);
  for (const auto& [name, text] : state_->Notes(violation, stories)) {
    out += Paint(margin + " = ", Style::kGutter, color);
    out += Paint(name + ":", Style::kBold, color);
    out.append(" ").append(text).append("\n");
  }
  return out;
}

std::string ToText(const Violation& violation, const TextOptions& options) {
  return TextRenderer(options).Render(violation);
}

}  // namespace hpy::leakdetector
