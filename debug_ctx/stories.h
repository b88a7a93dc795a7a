// The story of a handle is the number of an interned native stack or, in the upper half of the
// numbers, of a pair of it with the Python frames that were in progress.
#ifndef HPY_DEBUG_CTX_STORIES_H_
#define HPY_DEBUG_CTX_STORIES_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "leakdetector/violation.h"
#include "stacktrace/stacktrace.h"

namespace hpy::debug_ctx {

using StoryId = uint32_t;

// Guarded by the interpreter's lock. Equal stacks are kept once, for ever.
class Stories {
 public:
  // The number of a Python stack; 0 for none.
  uint32_t InternPython(std::vector<leakdetector::PythonFrame> frames);
  // A story with its Python stack. One that has a Python stack already keeps it.
  StoryId WithPython(StoryId story, uint32_t python);

  stacktrace::StackId Native(StoryId story) const;
  const std::vector<leakdetector::PythonFrame>& Python(StoryId story) const;

 private:
  static constexpr StoryId kPair = StoryId{1} << 31;
  using Frames = std::vector<leakdetector::PythonFrame>;

  std::vector<Frames> python_{Frames()};
  absl::flat_hash_map<std::vector<std::string>, uint32_t> python_numbers_;
  std::vector<std::pair<stacktrace::StackId, uint32_t>> pairs_;
  absl::flat_hash_map<std::pair<stacktrace::StackId, uint32_t>, StoryId> pair_numbers_;
};

}  // namespace hpy::debug_ctx

#endif  // HPY_DEBUG_CTX_STORIES_H_
