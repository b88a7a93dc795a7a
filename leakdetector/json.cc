// A violation as one line of JSON.

#include "leakdetector/json.h"

#include <fmt/format.h>

#include <iterator>
#include <optional>

#include "leakdetector/utf8.h"

namespace hpy::leakdetector {
namespace {

void AppendKey(std::string_view key, std::string& out) {
  if (out.back() != '{') out += ',';
  out += '"';
  out += key;
  out += "\":";
}

void AppendOptional(const std::optional<std::string>& text, std::string& out) {
  if (text) {
    AppendJsonString(*text, out);
  } else {
    out += "null";
  }
}

// What is not known is empty in a frame, and null in JSON.
void AppendKnown(std::string_view text, std::string& out) {
  if (text.empty()) {
    out += "null";
  } else {
    AppendJsonString(text, out);
  }
}

void AppendLine(int line, std::string& out) {
  if (line > 0) {
    fmt::format_to(std::back_inserter(out), "{}", line);
  } else {
    out += "null";
  }
}

void AppendFrame(const stacktrace::Frame& frame, std::string& out) {
  out += '{';
  AppendKey("function", out);
  AppendKnown(frame.function, out);
  AppendKey("file", out);
  AppendKnown(frame.file, out);
  AppendKey("line", out);
  AppendLine(frame.line, out);
  AppendKey("library", out);
  AppendKnown(frame.library, out);
  AppendKey("offset", out);
  fmt::format_to(std::back_inserter(out), "{}", frame.offset);
  out += '}';
}

void AppendFrame(const PythonFrame& frame, std::string& out) {
  out += '{';
  AppendKey("function", out);
  AppendKnown(frame.function, out);
  AppendKey("file", out);
  AppendKnown(frame.file, out);
  AppendKey("line", out);
  AppendLine(frame.line, out);
  out += '}';
}

template <typename Frames>
void AppendFrames(const Frames& frames, std::string& out) {
  out += '[';
  for (const auto& frame : frames) {
    if (out.back() != '[') out += ',';
    AppendFrame(frame, out);
  }
  out += ']';
}

void AppendStack(const std::optional<Stack>& stack, std::string& out) {
  if (!stack) {
    out += "null";
    return;
  }
  out += '{';
  AppendKey("native", out);
  AppendFrames(stack->native, out);
  AppendKey("python", out);
  AppendFrames(stack->python, out);
  out += '}';
}

void AppendHandle(const std::optional<HandleInfo>& handle, std::string& out) {
  if (!handle) {
    out += "null";
    return;
  }
  out += '{';
  AppendKey("id", out);
  fmt::format_to(std::back_inserter(out), "\"{:#x}\"", handle->id);
  AppendKey("repr", out);
  if (handle->repr) {
    AppendJsonString(FirstCharacters(*handle->repr, kMaxReprCharacters), out);
  } else {
    out += "null";
  }
  AppendKey("type", out);
  AppendOptional(handle->type, out);
  out += '}';
}

}  // namespace

void AppendJsonString(std::string_view text, std::string& out) {
  out += '"';
  for (size_t position = 0; position < text.size();) {
    const char32_t character = NextCharacter(text, &position);
    switch (character) {
      case '"':
        out += "\\\"";
        continue;
      case '\\':
        out += "\\\\";
        continue;
      case '\n':
        out += "\\n";
        continue;
      case '\r':
        out += "\\r";
        continue;
      case '\t':
        out += "\\t";
        continue;
      default:
        break;
    }
    // JSON demands the escape for control characters only. The others here are line breaks to many
    // readers (Python's str.splitlines among them), and a report is one line.
    const bool line_break = character == 0x85 || character == 0x2028 || character == 0x2029;
    if (character < 0x20 || character == 0x7F || line_break) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<uint32_t>(character));
    } else {
      AppendCharacter(character, out);
    }
  }
  out += '"';
}

std::string ToJson(const Violation& violation) {
  std::string out;
  out.reserve(1024);
  out += '{';
  AppendKey("kind", out);
  AppendJsonString(KindName(violation.kind), out);
  AppendKey("message", out);
  AppendJsonString(violation.message, out);
  AppendKey("api", out);
  AppendOptional(violation.api, out);
  AppendKey("module", out);
  AppendOptional(violation.module, out);
  AppendKey("function", out);
  AppendOptional(violation.function, out);
  AppendKey("handle", out);
  AppendHandle(violation.handle, out);
  AppendKey("at", out);
  AppendStack(violation.at, out);
  AppendKey("opened", out);
  AppendStack(violation.opened, out);
  AppendKey("closed", out);
  AppendStack(violation.closed, out);
  AppendKey("severity", out);
  AppendJsonString(SeverityName(GetKindInfo(violation.kind).severity), out);
  AppendKey("count", out);
  fmt::format_to(std::back_inserter(out), "{}", violation.count);
  out += '}';
  return out;
}

}  // namespace hpy::leakdetector
