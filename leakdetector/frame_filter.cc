// Takes HPy's own frames out of a symbolized stack.

#include "leakdetector/frame_filter.h"

#include <algorithm>
#include <utility>

namespace hpy::leakdetector {
namespace {

bool BeginsWithAny(std::string_view text, const std::vector<std::string>& prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(), [text](const std::string& prefix) {
    return !prefix.empty() && text.starts_with(prefix);
  });
}

// True when `file` lies in `directory`, at any depth.
bool LiesIn(std::string_view file, std::string_view directory) {
  if (directory.empty() || !file.starts_with(directory)) return false;
  return directory.back() == '/' || file.substr(directory.size()).starts_with('/');
}

// True when the folders `folders` ("include/hpy/") occur in `file` as whole components.
bool HasFolders(std::string_view file, std::string_view folders) {
  for (size_t at = file.find(folders); at != std::string_view::npos;
       at = file.find(folders, at + 1)) {
    if (at == 0 || file[at - 1] == '/') return true;
  }
  return false;
}

// The API is spelt HPy..., and the functions of the table behind it ctx_...
bool IsApiName(std::string_view function) {
  return function.starts_with("HPy") || function.starts_with("_HPy");
}

}  // namespace

bool IsHPySource(std::string_view file) {
  if (file == "hpy.h" || file.ends_with("/hpy.h")) return true;
  return HasFolders(file, "include/hpy/") || HasFolders(file, "hpy/devel/src/");
}

bool FrameFilter::IsOwn(const stacktrace::Frame& frame) const {
  if (!frame.library.empty() && BeginsWithAny(frame.library, own_libraries)) return true;
  if (!frame.function.empty() && BeginsWithAny(frame.function, own_functions)) return true;
  if (frame.file.empty()) return false;
  return IsHPySource(frame.file) ||
         std::any_of(own_directories.begin(), own_directories.end(),
                     [&frame](const std::string& folder) { return LiesIn(frame.file, folder); });
}

Stack FrameFilter::Apply(std::vector<stacktrace::Frame> native) const {
  Stack stack;
  stack.native.reserve(native.size());
  for (stacktrace::Frame& frame : native) {
    if (!IsOwn(frame)) {
      stack.native.push_back(std::move(frame));
    } else if (stack.native.empty() && IsApiName(frame.function)) {
      stack.api = std::move(frame.function);
    }
  }
  return stack;
}

}  // namespace hpy::leakdetector
