// The report file: violations appended as lines of JSON, by any number of processes and threads.

#ifndef HPY_LEAKDETECTOR_REPORT_FILE_H_
#define HPY_LEAKDETECTOR_REPORT_FILE_H_

#include <atomic>
#include <string>
#include <string_view>

namespace hpy::leakdetector {

// Holds the path and nothing else: no descriptor is kept between two lines and no lock of ours is,
// so a fork at any moment leaves parent and child able to write, each to the file of its own
// process where the path has a {pid}.
//
// Lines do not mix: each is one write to a file that was opened for appending, under an advisory
// lock on an open file description that belongs to this call alone.
class ReportFile {
 public:
  // Told once in the life of a ReportFile when a line could not be written: what was wanted, what
  // was found, what mends it; without a line break.
  using Complain = void (*)(std::string_view message);

  // `path`: each `{pid}` in it stands for the id of the process that writes. The file is created
  // by the first line. Without `complain`, errors go to standard error.
  explicit ReportFile(std::string path, Complain complain = nullptr);
  ReportFile(const ReportFile&) = delete;
  ReportFile& operator=(const ReportFile&) = delete;

  // Appends `line`, which must not hold a line break, and a line break. False when the line is not
  // in the file: then nothing of it is. Thread-safe; allocates nothing and takes no lock of this
  // process, so it may be called by a fault handler. `errno` is kept.
  bool Append(std::string_view line);

  // As it was given.
  const std::string& pattern() const { return path_; }
  // The path of this process, with `{pid}` replaced.
  std::string path() const;

 private:
  void Fail(const char* path, const char* what, int error);

  const std::string path_;
  const Complain complain_;
  std::atomic<bool> complained_{false};
};

}  // namespace hpy::leakdetector

#endif  // HPY_LEAKDETECTOR_REPORT_FILE_H_
