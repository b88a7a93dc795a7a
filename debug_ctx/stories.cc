// Native stacks paired with Python stacks.
#include "debug_ctx/stories.h"

#include <string>

namespace hpy::debug_ctx {

uint32_t Stories::InternPython(Frames frames) {
  if (frames.empty()) return 0;
  std::vector<std::string> key;
  key.reserve(frames.size());
  for (const leakdetector::PythonFrame& frame : frames) {
    key.push_back(frame.file + ':' + std::to_string(frame.line) + ':' + frame.function);
  }
  auto [it, inserted] =
      python_numbers_.try_emplace(std::move(key), static_cast<uint32_t>(python_.size()));
  if (inserted) python_.push_back(std::move(frames));
  return it->second;
}

StoryId Stories::WithPython(StoryId story, uint32_t python) {
  if (python == 0 || (story & kPair) != 0) return story;
  auto [it, inserted] =
      pair_numbers_.try_emplace({story, python}, static_cast<StoryId>(pairs_.size()) | kPair);
  if (inserted) pairs_.emplace_back(story, python);
  return it->second;
}

stacktrace::StackId Stories::Native(StoryId story) const {
  return (story & kPair) != 0 ? pairs_[story & ~kPair].first : story;
}

const Stories::Frames& Stories::Python(StoryId story) const {
  return python_[(story & kPair) != 0 ? pairs_[story & ~kPair].second : 0];
}

}  // namespace hpy::debug_ctx
