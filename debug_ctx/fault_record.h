// What is known of a fault in guarded memory, as text, one fact a line: written by the process that is
// about to end, without its heap, and made a report by whoever reads it.
#ifndef HPY_DEBUG_CTX_FAULT_RECORD_H_
#define HPY_DEBUG_CTX_FAULT_RECORD_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "debug_ctx/state.h"
#include "handles/buffers.h"
#include "leakdetector/kind.h"
#include "stacktrace/stacktrace.h"

namespace hpy::debug_ctx {

enum class Access : uint8_t { kUnknown, kRead, kWrite };

struct Fault {
  State* state = nullptr;
  const Call* call = nullptr;  // the innermost one of the thread, or null
  handles::Located located;
  uintptr_t address = 0;
  Access access = Access::kUnknown;
  const void* context = nullptr;  // of the signal
  pid_t process = 0;

  leakdetector::Kind kind() const;
};

// Appends to memory of a fixed size. What has no room is left out, line by line.
class RecordWriter {
 public:
  RecordWriter(char* memory, size_t capacity, size_t used)
      : memory_(memory), capacity_(capacity), used_(used), end_(used) {}

  RecordWriter& Line(std::string_view key);
  RecordWriter& Text(std::string_view text);  // line breaks and backslashes escaped
  RecordWriter& Number(uint64_t number);
  void End();

  size_t used() const { return used_; }

 private:
  void Put(char c);

  char* const memory_;
  const size_t capacity_;
  size_t used_;  // whole lines
  size_t end_;   // with the line that is being written
  bool full_ = false;
};

// The parts, in the order in which they are tried. Each may fail by a fault of its own where the memory
// of the process was damaged: the caller runs them in a process that may die of it.
void RecordFacts(const Fault& fault, RecordWriter* writer);
void RecordOpened(const Fault& fault, RecordWriter* writer);
void RecordClosed(const Fault& fault, RecordWriter* writer);
// `with_heap`: also of files that never appeared in a stack.
void RecordAt(const Fault& fault, bool with_heap, RecordWriter* writer);
// These two use Python, and its heap. The thread must hold the interpreter.
void RecordPython(const Fault& fault, RecordWriter* writer);
void RecordObject(const Fault& fault, RecordWriter* writer);

// Writes the report: the text to standard error, the line of JSON to the report file. False when the
// record is none. Uses the heap, and needs no state.
bool ReportFault(std::string_view record);

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_FAULT_RECORD_H_
