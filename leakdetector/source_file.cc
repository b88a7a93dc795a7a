// Lines of source files for excerpts, read safely.

#include "leakdetector/source_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace hpy::leakdetector {
namespace {

// The bytes of a source; empty for everything else. The descriptor does not block, so that a path
// which turns out to be a pipe or a device cannot hang a report.
std::string ReadSource(const std::string& path) {
  std::string bytes;
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) return bytes;
  struct stat status;
  if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > 0 &&
      static_cast<size_t>(status.st_size) <= SourceFiles::kMaxBytes) {
    // The file may change while it is read: its size is an upper limit, not a promise.
    bytes.resize(static_cast<size_t>(status.st_size));
    size_t have = 0;
    while (have < bytes.size()) {
      const ssize_t got = read(fd, bytes.data() + have, bytes.size() - have);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      have += static_cast<size_t>(got);
    }
    bytes.resize(have);
  }
  close(fd);
  if (bytes.find('\0') != std::string::npos) bytes.clear();
  return bytes;
}

}  // namespace

SourceFiles::SourceFiles(std::string base_directory) : base_directory_(std::move(base_directory)) {}

std::string SourceFiles::Locate(const std::string& file) const {
  if (base_directory_.empty() || file.starts_with('/')) return file;
  return base_directory_ + "/" + file;
}

std::optional<std::string_view> SourceFiles::Line(const std::string& file, int line) {
  if (file.empty() || line <= 0) return std::nullopt;
  auto found = texts_.find(file);
  if (found == texts_.end()) {
    if (texts_.size() >= kMaxFiles) texts_.clear();
    Text text;
    text.bytes = ReadSource(Locate(file));
    for (size_t start = 0; start < text.bytes.size();) {
      text.line_starts.push_back(start);
      const size_t end = text.bytes.find('\n', start);
      start = end == std::string::npos ? text.bytes.size() : end + 1;
    }
    found = texts_.emplace(file, std::move(text)).first;
  }
  const Text& text = found->second;
  const size_t index = static_cast<size_t>(line) - 1;
  if (index >= text.line_starts.size()) return std::nullopt;
  const size_t start = text.line_starts[index];
  std::string_view content = text.bytes;
  content.remove_prefix(start);
  content = content.substr(0, content.find('\n'));
  if (content.ends_with('\r')) content.remove_suffix(1);
  return content;
}

bool SourceFiles::IsNewerThan(const std::string& file, const std::string& library) const {
  struct stat source, binary;
  if (file.empty() || library.empty()) return false;
  if (stat(Locate(file).c_str(), &source) != 0) return false;
  if (stat(library.c_str(), &binary) != 0) return false;
  return std::pair(source.st_mtim.tv_sec, source.st_mtim.tv_nsec) >
         std::pair(binary.st_mtim.tv_sec, binary.st_mtim.tv_nsec);
}

}  // namespace hpy::leakdetector
