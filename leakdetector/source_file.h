// Lines of source files for excerpts, read safely: the paths come from debug information, which may
// name anything.

#ifndef HPY_LEAKDETECTOR_SOURCE_FILE_H_
#define HPY_LEAKDETECTOR_SOURCE_FILE_H_

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hpy::leakdetector {

// Reads each file once and keeps a few of them. Only regular files of at most kMaxBytes that hold
// no NUL byte are sources; anything else counts as not there. Not thread-safe.
class SourceFiles {
 public:
  static constexpr size_t kMaxBytes = size_t{16} << 20;
  static constexpr size_t kMaxFiles = 8;

  // Relative paths are looked up in `base_directory`, or in the current one where it is empty.
  explicit SourceFiles(std::string base_directory);

  // Line `line` of `file`, counted from 1, without its line break; nothing where there is none.
  // The view is valid until the next call.
  std::optional<std::string_view> Line(const std::string& file, int line);

  // True when both files are there and `file` was changed after `library`, so that the lines of
  // `file` need not be those that `library` was compiled from.
  bool IsNewerThan(const std::string& file, const std::string& library) const;

 private:
  struct Text {
    std::string bytes;
    std::vector<size_t> line_starts;
  };

  std::string Locate(const std::string& file) const;

  const std::string base_directory_;
  std::map<std::string, Text> texts_;  // a file that is no source has no lines
};

}  // namespace hpy::leakdetector

#endif  // HPY_LEAKDETECTOR_SOURCE_FILE_H_
