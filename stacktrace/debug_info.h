// What one file on disk says about its addresses: functions, files, lines, inlined frames.

#ifndef HPY_STACKTRACE_DEBUG_INFO_H_
#define HPY_STACKTRACE_DEBUG_INFO_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "stacktrace/modules.h"
#include "stacktrace/stacktrace.h"

namespace hpy::stacktrace {

// Not thread-safe: the symbolizer's lock guards all of them (libdw has no locks of its own).
class DebugInfo {
 public:
  // Null if the file is gone, or is not the one whose code ran.
  static std::unique_ptr<DebugInfo> Open(const ModuleInfo& module, bool debuginfod);
  virtual ~DebugInfo() = default;

  // Frames of a virtual address in the file, innermost first, without `library`; at least one.
  virtual std::vector<Frame> Describe(uint64_t address) = 0;

  // The one frame (or, with a unique tail call in inlined code, its frames) of a function that
  // ended in a tail call.
  virtual std::vector<Frame> DescribeTail(uint64_t entry) = 0;
};

}  // namespace hpy::stacktrace

#endif  // HPY_STACKTRACE_DEBUG_INFO_H_
