// Making a report of the record of a fault.
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "debug_ctx/fault_record.h"
#include "leakdetector/frame_filter.h"
#include "leakdetector/json.h"
#include "leakdetector/report_file.h"
#include "leakdetector/text.h"
#include "stacktrace/modules.h"

namespace hpy::debug_ctx {

using leakdetector::Kind;
using leakdetector::Stack;
using leakdetector::Violation;

namespace {

struct RecordedFrame {
  uint64_t file;
  uint64_t offset;
  bool tail;
};

struct RecordedStack {
  std::vector<RecordedFrame> native;
  std::vector<leakdetector::PythonFrame> python;
  bool truncated = false;
  bool in_call = false;  // of the call in progress
};

struct Record {
  std::map<std::string, std::vector<std::string>, std::less<>> facts;  // the last of each
  std::map<std::string, RecordedStack, std::less<>> stacks;
  std::map<uint64_t, stacktrace::ModuleInfo> files;
  std::deque<std::string> texts;  // of `files`
  leakdetector::FrameFilter filter;

  std::optional<std::string> Text(std::string_view key) const {
    const auto it = facts.find(key);
    if (it == facts.end() || it->second.size() < 2) return std::nullopt;
    return it->second[1];
  }
  uint64_t Number(std::string_view key) const;
};

uint64_t ToNumber(std::string_view text) {
  uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

uint64_t Record::Number(std::string_view key) const { return ToNumber(Text(key).value_or("0")); }

// The parts of a line, with what was escaped.
std::vector<std::string> Split(std::string_view line) {
  std::vector<std::string> parts(1);
  for (size_t i = 0; i < line.size(); i++) {
    if (line[i] == '\t') {
      parts.emplace_back();
    } else if (line[i] == '\\' && i + 1 < line.size()) {
      const char c = line[++i];
      parts.back() += c == 'n' ? '\n' : c == 't' ? '\t' : c;
    } else {
      parts.back() += line[i];
    }
  }
  return parts;
}

Record Parse(std::string_view text) {
  Record record;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) break;  // cut off
    std::vector<std::string> parts = Split(text.substr(0, end));
    text.remove_prefix(end + 1);
    const std::string key = parts[0];
    const size_t count = parts.size();
    if (key == "file" && count == 3) {
      record.files[ToNumber(parts[1])].path = record.texts.emplace_back(parts[2]);
    } else if (key == "build_id" && count >= 2) {
      std::string& id = record.texts.emplace_back();
      for (size_t i = 2; i < count; i++) id += static_cast<char>(ToNumber(parts[i]));
      record.files[ToNumber(parts[1])].build_id = id;
    } else if (key == "identity" && count == 10) {
      stacktrace::ModuleInfo& info = record.files[ToNumber(parts[1])];
      info.text_file_offset = ToNumber(parts[2]);
      info.text_size = ToNumber(parts[3]);
      info.text_hash = ToNumber(parts[4]);
      info.device = ToNumber(parts[5]);
      info.inode = ToNumber(parts[6]);
      info.file_size = ToNumber(parts[7]);
      info.mtime_sec = static_cast<int64_t>(ToNumber(parts[8]));
      info.mtime_nsec = static_cast<int64_t>(ToNumber(parts[9]));
    } else if (key == "frame" && count == 5) {
      record.stacks[parts[1]].native.push_back(
          {ToNumber(parts[2]), ToNumber(parts[3]), parts[4] == "1"});
    } else if (key == "python" && count == 5) {
      record.stacks[parts[1]].python.push_back(
          {parts[4], parts[3], static_cast<int>(ToNumber(parts[2]))});
    } else if (key == "truncated" && count == 2) {
      record.stacks[parts[1]].truncated = true;
    } else if (key == "in_call" && count == 2) {
      record.stacks[parts[1]].in_call = true;
    } else if (key == "own_library" && count == 2) {
      record.filter.own_libraries.push_back(parts[1]);
    } else if (key == "own_directory" && count == 2) {
      record.filter.own_directories.push_back(parts[1]);
    } else if (key == "own_function" && count == 2) {
      record.filter.own_functions.push_back(parts[1]);
    } else {
      record.facts[key] = std::move(parts);
    }
  }
  return record;
}

std::vector<stacktrace::Frame> Symbolized(const Record& record, const RecordedFrame& frame) {
  const auto it = record.files.find(frame.file);
  return stacktrace::SymbolizeIn(it == record.files.end() ? stacktrace::ModuleInfo() : it->second,
                                 frame.offset, frame.tail);
}

Stack ToStack(const Record& record, const RecordedStack& recorded) {
  std::vector<stacktrace::Frame> frames;
  for (const RecordedFrame& frame : recorded.native) {
    for (stacktrace::Frame& f : Symbolized(record, frame)) frames.push_back(std::move(f));
  }
  Stack stack = record.filter.Apply(std::move(frames));
  stack.truncated = recorded.truncated;
  stack.python = recorded.python;
  return stack;
}

// Takes off what lies between the faulting instruction and the extension: an API function that was
// given the pointer, or one of the C library.
void CutToExtension(const Record& record, RecordedStack* at, Violation* violation) {
  std::vector<RecordedFrame>& frames = at->native;
  const auto path = [&record](const RecordedFrame& frame) {
    const auto it = record.files.find(frame.file);
    return it == record.files.end() ? std::string_view() : it->second.path;
  };
  const auto is_own = [&](const RecordedFrame& frame) {
    const auto& own = record.filter.own_libraries;
    return std::find(own.begin(), own.end(), path(frame)) != own.end();
  };
  std::string_view extension;
  if (const auto it = record.stacks.find("extension"); it != record.stacks.end()) {
    extension = path(it->second.native.front());
  }
  size_t cut = 0;
  while (cut < frames.size() && path(frames[cut]) != extension) cut++;
  if (cut == frames.size()) {
    // Another extension's: it is what called the innermost of our wrappers.
    cut = 0;
    while (cut < frames.size() && !is_own(frames[cut])) cut++;
    while (cut < frames.size() && is_own(frames[cut])) cut++;
    if (cut == frames.size()) return;
  }
  const bool by_api =
      std::any_of(frames.begin(), frames.begin() + static_cast<ptrdiff_t>(cut), is_own);
  // Where the call in progress was not known, the capture went on above our trampoline.
  const auto trampoline =
      std::find_if(frames.begin() + static_cast<ptrdiff_t>(cut), frames.end(), is_own);
  frames.erase(trampoline, frames.end());
  if (cut == 0) return;
  const stacktrace::Frame culprit = Symbolized(record, frames.front()).front();
  if (by_api) {
    violation->notes.push_back("the API function that was called here made the access");
  } else if (!culprit.function.empty()) {
    violation->notes.push_back(culprit.function + ", called from here, made the access");
  }
  frames.erase(frames.begin(), frames.begin() + static_cast<ptrdiff_t>(cut));
}

void WriteError(std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = write(STDERR_FILENO, text.data(), text.size());
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

std::string Describe(const Record& record, Kind kind) {
  const std::string memory = "memory from " + record.Text("api").value_or("the API");
  const auto access = static_cast<Access>(record.Number("access"));
  const std::string done = access == Access::kRead    ? " was read"
                           : access == Access::kWrite ? " was written to"
                                                      : " was accessed";
  switch (kind) {
    case Kind::kBufferAfterClose:
      return memory + done + " after its handle had been closed" +
             (record.facts.contains("by_return") ? " by the return of the function" : "");
    case Kind::kBufferOverrun:
      return memory + done + " at byte " + std::to_string(record.Number("offset")) + ", and its " +
             std::to_string(record.Number("size")) + " bytes, the NUL among them, end before that";
    default:
      return memory + " was written to, which may only be read";
  }
}

}  // namespace

bool ReportFault(std::string_view text) {
  Record record = Parse(text);
  const auto kind = leakdetector::KindFromName(record.Text("kind").value_or(""));
  if (!kind.has_value()) return false;

  Violation violation;
  violation.kind = *kind;
  violation.message = leakdetector::ComposeMessage(*kind, Describe(record, *kind));
  violation.api = record.Text("api");
  violation.module = record.Text("module");
  violation.function = record.Text("function");
  violation.handle = leakdetector::HandleInfo{record.Number("handle"), record.Number("order"),
                                              record.Text("repr"), record.Text("type")};

  RecordedStack& at = record.stacks["at"];
  CutToExtension(record, &at, &violation);
  violation.at = ToStack(record, at);
  const auto past = [&](const char* name) {
    const RecordedStack& recorded = record.stacks[name];
    Stack stack = ToStack(record, recorded);
    if (recorded.in_call && stack.python.empty()) stack.python = violation.at->python;
    return stack;
  };
  violation.opened = past("opened");
  if (*kind == Kind::kBufferAfterClose) violation.closed = past("closed");

  WriteError(leakdetector::ToText(violation, {}));
  if (auto path = record.Text("report")) {
    // Of the process that ended, which need not be this one.
    const std::string pid = std::to_string(record.Number("process"));
    for (size_t place; (place = path->find("{pid}")) != std::string::npos;) {
      path->replace(place, 5, pid);
    }
    leakdetector::ReportFile(*path).Append(leakdetector::ToJson(violation));
  }
  return true;
}

}  // namespace hpy::debug_ctx
