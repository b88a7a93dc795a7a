// Writing the record of a fault.
#include "debug_ctx/fault_record.h"

#include <algorithm>
#include <cstring>

#include "debug_ctx/story.h"
#include "stacktrace/modules.h"

namespace hpy::debug_ctx {

using leakdetector::Kind;
using stacktrace::RawFrame;

namespace {

constexpr int kMaxFrames = 64;

void RecordFrame(const char* stack, const RawFrame& frame, RecordWriter* writer) {
  // The file is told with every frame of it: the reader keeps the first.
  if (const stacktrace::ModuleInfo* info = stacktrace::ModuleOf(frame.module)) {
    writer->Line("file").Number(frame.module).Text(info->path).End();
    writer->Line("build_id").Number(frame.module);
    for (const char byte : info->build_id) writer->Number(static_cast<unsigned char>(byte));
    writer->End();
    writer->Line("identity").Number(frame.module).Number(info->text_file_offset);
    writer->Number(info->text_size).Number(info->text_hash).Number(info->device);
    writer->Number(info->inode).Number(info->file_size);
    writer->Number(static_cast<uint64_t>(info->mtime_sec));
    writer->Number(static_cast<uint64_t>(info->mtime_nsec)).End();
  }
  writer->Line("frame").Text(stack).Number(frame.module).Number(frame.offset);
  writer->Number(frame.tail ? 1 : 0).End();
}

void RecordPythonFrames(const char* stack, const std::vector<leakdetector::PythonFrame>& frames,
                        RecordWriter* writer) {
  for (const leakdetector::PythonFrame& frame : frames) {
    writer->Line("python").Text(stack).Number(static_cast<uint64_t>(frame.line));
    writer->Text(frame.file).Text(frame.function).End();
  }
}

void RecordStory(const Fault& fault, const char* stack, StoryId story, RecordWriter* writer) {
  const Stories& stories = fault.state->stories;
  RawFrame frames[kMaxFrames];
  bool truncated = false;
  const int count = stacktrace::LookupInto(stories.Native(story), frames, kMaxFrames, &truncated);
  for (int i = 0; i < count; i++) RecordFrame(stack, frames[i], writer);
  if (truncated) writer->Line("truncated").Text(stack).End();
  RecordPythonFrames(stack, stories.Python(story), writer);
}

}  // namespace

Kind Fault::kind() const {
  if (!located.open) return Kind::kBufferAfterClose;
  return located.beyond ? Kind::kBufferOverrun : Kind::kBufferWrite;
}

void RecordWriter::Put(char c) {
  if (end_ + 1 >= capacity_) {
    full_ = true;
  } else {
    memory_[end_++] = c;
  }
}

RecordWriter& RecordWriter::Line(std::string_view key) {
  end_ = used_;
  full_ = false;
  for (const char c : key) Put(c);
  return *this;
}

RecordWriter& RecordWriter::Text(std::string_view text) {
  Put('\t');
  for (const char c : text) {
    if (c == '\n' || c == '\t' || c == '\\') {
      Put('\\');
      Put(c == '\n' ? 'n' : c == '\t' ? 't' : c);
    } else {
      Put(c);
    }
  }
  return *this;
}

RecordWriter& RecordWriter::Number(uint64_t number) {
  char digits[24];
  char* at = digits + sizeof(digits);
  do {
    *--at = static_cast<char>('0' + number % 10);
    number /= 10;
  } while (number != 0);
  return Text({at, static_cast<size_t>(digits + sizeof(digits) - at)});
}

void RecordWriter::End() {
  Put('\n');
  if (!full_) used_ = end_;
}

void RecordFacts(const Fault& fault, RecordWriter* writer) {
  const State& state = *fault.state;
  const handles::Located& located = fault.located;
  writer->Line("process").Number(static_cast<uint64_t>(fault.process)).End();
  writer->Line("kind").Text(leakdetector::KindName(fault.kind())).End();
  writer->Line("access").Number(static_cast<uint64_t>(fault.access)).End();
  writer->Line("offset").Number(fault.address - located.data).End();
  writer->Line("size").Number(located.story.size).End();
  if (located.story.api != nullptr) writer->Line("api").Text(located.story.api).End();
  writer->Line("handle").Number(located.story.handle).End();
  writer->Line("order").Number(OrderFromFirst(state, state.table, located.story.order)).End();
  if (!located.open && located.story.end.by_return) writer->Line("by_return").End();
  if (state.report_file != nullptr) {
    writer->Line("report").Text(state.report_file->pattern()).End();
  }
  const Call* call = fault.call;
  // Where the thread is in no function, the one that got the pointer is all that can be named.
  const Function& function =
      state.functions[call != nullptr ? call->function : located.story.function];
  if (!function.module.empty()) writer->Line("module").Text(function.module).End();
  if (call != nullptr && !function.name.empty()) {
    writer->Line("function").Text(function.name).End();
  }
  for (const std::string& path : state.filter.own_libraries) {
    writer->Line("own_library").Text(path).End();
  }
  for (const std::string& path : state.filter.own_directories) {
    writer->Line("own_directory").Text(path).End();
  }
  for (const std::string& name : state.filter.own_functions) {
    writer->Line("own_function").Text(name).End();
  }
  if (call != nullptr && call->in_progress) {
    // These happened while the Python frames of `at` were in progress.
    if (located.story.given >= call->first_order) writer->Line("in_call").Text("opened").End();
    if (!located.open && located.story.end.ended >= call->first_order) {
      writer->Line("in_call").Text("closed").End();
    }
  }
}

void RecordOpened(const Fault& fault, RecordWriter* writer) {
  // The library of the extension, where no stack shows it.
  const uintptr_t entry = fault.state->functions[fault.located.story.function].entry;
  if (entry != 0) {
    RecordFrame("extension", stacktrace::RawFrameOf(entry + 1, false), writer);
  }
  RecordStory(fault, "opened", fault.located.story.opened, writer);
}

void RecordClosed(const Fault& fault, RecordWriter* writer) {
  if (fault.located.open) return;
  const handles::BufferStory& story = fault.located.story;
  if (story.end.by_return) {
    const uintptr_t entry = fault.state->functions[story.function].entry;
    if (entry != 0) RecordFrame("closed", stacktrace::RawFrameOf(entry + 1, false), writer);
  } else {
    RecordStory(fault, "closed", story.end.closed, writer);
  }
}

void RecordAt(const Fault& fault, bool with_heap, RecordWriter* writer) {
  uintptr_t pcs[kMaxFrames];
  stacktrace::CaptureLimits limits{.stop_sp = 0, .callee = 0, .max_frames = kMaxFrames};
  if (fault.call != nullptr && fault.call->in_progress) limits.stop_sp = fault.call->stop_sp();
  const int count = stacktrace::CaptureInterrupted(fault.context, limits, pcs, kMaxFrames);
  for (int i = 0; i < count; i++) {
    RecordFrame("at", stacktrace::RawFrameOf(pcs[i], with_heap), writer);
  }
}

void RecordPython(const Fault& fault, RecordWriter* writer) {
  RecordPythonFrames("at", fault.state->host.PythonFrames(kMaxFrames), writer);
}

void RecordObject(const Fault& fault, RecordWriter* writer) {
  if (!fault.located.open) return;
  State& state = *fault.state;
  const handles::Slot* slot =
      state.table.Resolve(HPy{static_cast<intptr_t>(fault.located.story.handle)});
  if (slot == nullptr) return;
  const std::string type = state.host.TypeName(slot->wrapped());
  writer->Line("type").Text(type).End();
  // Only what is known to run no code of the program.
  if (type != "str" && type != "bytes") return;
  if (const auto repr = state.host.Repr(slot->wrapped())) {
    const std::string_view text = *repr;
    writer->Line("repr").Text(text.substr(0, 4096)).End();
  }
}

}  // namespace hpy::debug_ctx
