// Appends lines to the report file so that they stay whole between processes and threads.
//
// Why lines do not mix. Each call opens the file anew, so it has an open file description of its
// own, and flock(2), which locks those, excludes other threads and forked processes as well as
// strangers. Under the lock one writev(2) with O_APPEND writes the line and its line break. Where a
// lock cannot be had (a file system without locks, a process stopped while it held one) the write
// goes ahead without it: an appending write is still one piece on a local file system.
//
// Why a line is there wholly or not at all. A short write (disk full, a limit on the file size) is
// continued under the lock, and taken back with ftruncate when it cannot be.

#include "leakdetector/report_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <utility>

namespace hpy::leakdetector {
namespace {

constexpr std::string_view kPid = "{pid}";

// How long a lock is waited for: far longer than any line takes to write.
constexpr int kLockAttempts = 2000;
constexpr long kLockPauseNanoseconds = 1'000'000;

struct KeepErrno {
  const int saved = errno;
  ~KeepErrno() { errno = saved; }
};

// A path with its `{pid}` replaced, without allocating. `fits` is false where it is longer than
// any path may be.
struct ExpandedPath {
  char text[PATH_MAX];
  bool fits = true;

  explicit ExpandedPath(std::string_view path) {
    char pid[24];
    char* digits = pid + sizeof(pid);
    auto number = static_cast<unsigned long>(getpid());
    do {
      *--digits = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number != 0);
    const std::string_view pid_text(digits, pid + sizeof(pid) - digits);

    size_t size = 0;
    const auto add = [this, &size](std::string_view piece) {
      if (size + piece.size() >= sizeof(text)) {
        fits = false;
        return;
      }
      std::memcpy(text + size, piece.data(), piece.size());
      size += piece.size();
    };
    while (fits) {
      const size_t at = path.find(kPid);
      add(path.substr(0, at));
      if (at == std::string_view::npos) break;
      add(pid_text);
      path.remove_prefix(at + kPid.size());
    }
    text[size] = '\0';
  }
};

bool Lock(int fd) {
  for (int attempt = 0; attempt < kLockAttempts; ++attempt) {
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) return true;
    if (errno != EWOULDBLOCK && errno != EINTR) return false;
    const timespec pause = {0, kLockPauseNanoseconds};
    nanosleep(&pause, nullptr);
  }
  return false;
}

// Writes all pieces, or returns the error.
int WriteAll(int fd, iovec* pieces, int count) {
  while (count > 0) {
    const ssize_t written = writev(fd, pieces, count);
    if (written < 0) {
      if (errno == EINTR) continue;
      return errno;
    }
    size_t left = static_cast<size_t>(written);
    while (count > 0 && left >= pieces->iov_len) {
      left -= pieces->iov_len;
      ++pieces;
      --count;
    }
    if (count > 0) {
      pieces->iov_base = static_cast<char*>(pieces->iov_base) + left;
      pieces->iov_len -= left;
    }
  }
  return 0;
}

// True for a file that ends within a line: its writer was killed. The next line must not continue
// that one. Where it cannot be read (a pipe, a file that may only be written) it is taken as whole.
bool EndsWithinLine(const char* path, off_t size) {
  if (size == 0) return false;
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) return false;
  char last = '\n';
  const ssize_t got = pread(fd, &last, 1, size - 1);
  close(fd);
  return got == 1 && last != '\n';
}

iovec Piece(std::string_view text) { return {const_cast<char*>(text.data()), text.size()}; }

// Appends one line, or returns the error and leaves the file as it was.
int AppendLine(int fd, const char* path, std::string_view line) {
  const bool locked = Lock(fd);
  struct stat status;
  // Without the lock somebody else may be writing: neither look at the end nor cut it.
  const bool own = locked && fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  const bool cut = own && EndsWithinLine(path, status.st_size);

  iovec pieces[] = {Piece("\n"), Piece(line), Piece("\n")};
  const int skip = cut ? 0 : 1;
  int error = WriteAll(fd, pieces + skip, 3 - skip);
  if (error != 0 && own && ftruncate(fd, status.st_size) != 0) {
    // The beginning of a line stays behind. The reader knows such lines, and EndsWithinLine keeps
    // the next one apart.
  }
  // Not left to close(): a child forked meanwhile shares this description and keeps it open.
  if (locked) flock(fd, LOCK_UN);
  // Some file systems (NFS, quotas) tell only now that the data had no room.
  if (close(fd) != 0 && error == 0 && errno != EINTR) error = errno;
  return error;
}

void ToStandardError(std::string_view message) {
  iovec pieces[] = {Piece(message), Piece("\n")};
  WriteAll(STDERR_FILENO, pieces, 2);
}

const char* WhatMends(int error) {
  switch (error) {
    case EACCES:
    case EPERM:
    case EROFS:
      return "choose a path that this user may write with HPY_DEBUG_REPORT or "
             "hpy.debug.configure(report=...)";
    case ENOENT:
    case ENOTDIR:
      return "create its folder first, or choose another path with HPY_DEBUG_REPORT or "
             "hpy.debug.configure(report=...)";
    case EISDIR:
      return "name a file inside of that folder with HPY_DEBUG_REPORT or "
             "hpy.debug.configure(report=...)";
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return "make room, or choose a path on another disk with HPY_DEBUG_REPORT or "
             "hpy.debug.configure(report=...)";
    case EMFILE:
    case ENFILE:
      return "close files, or raise the limit with ulimit -n";
    default:
      return "choose another path with HPY_DEBUG_REPORT or hpy.debug.configure(report=...)";
  }
}

}  // namespace

ReportFile::ReportFile(std::string path, Complain complain)
    : path_(std::move(path)), complain_(complain != nullptr ? complain : ToStandardError) {}

bool ReportFile::Append(std::string_view line) {
  const KeepErrno keep_errno;
  const ExpandedPath path(path_);
  if (!path.fits) {
    Fail(path_.c_str(), "opening it", ENAMETOOLONG);
    return false;
  }
  int fd;
  do {
    fd = open(path.text, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) {
    Fail(path.text, "opening it", errno);
    return false;
  }
  const int error = AppendLine(fd, path.text, line);
  if (error != 0) Fail(path.text, "writing a line", error);
  return error == 0;
}

std::string ReportFile::path() const {
  const ExpandedPath path(path_);
  return path.fits ? path.text : path_;
}

void ReportFile::Fail(const char* path, const char* what, int error) {
  if (complained_.exchange(true)) return;
  // strerrordesc_np neither allocates nor translates: this may be a fault handler.
  const char* description = strerrordesc_np(error);
  if (description == nullptr) description = "unknown error";
  char message[PATH_MAX + 512];
  const int size = std::snprintf(
      message, sizeof(message),
      "hpy.debug: wanted to append violations to the report file '%.*s', but %s failed: %s. To "
      "mend it, %s. Violations are missing in the file from here on.",
      PATH_MAX, path, what, description, WhatMends(error));
  complain_({message, std::min(static_cast<size_t>(std::max(size, 0)), sizeof(message) - 1)});
}

}  // namespace hpy::leakdetector
