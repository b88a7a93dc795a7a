// A folder for one test, removed with everything in it when the test ends.

#ifndef HPY_TESTS_CPP_TEMPORARY_DIRECTORY_H_
#define HPY_TESTS_CPP_TEMPORARY_DIRECTORY_H_

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>

namespace hpy::testing {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "hpy_test_XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) {
      std::perror("mkdtemp");
      std::abort();
    }
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string File(std::string_view name) const { return path_ + "/" + std::string(name); }

  // Writes a file and returns its path. The folders above it are made.
  std::string Write(std::string_view name, std::string_view content) const {
    const std::string file = File(name);
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    std::ofstream(file, std::ios::binary) << content;
    return file;
  }

  // The same with these lines at these numbers, and empty lines between them.
  std::string WriteLines(std::string_view name, const std::map<int, std::string>& lines) const {
    std::ostringstream content;
    int at = 1;
    for (const auto& [number, text] : lines) {
      for (; at < number; ++at) content << '\n';
      content << text << '\n';
      ++at;
    }
    return Write(name, content.str());
  }

 private:
  std::string path_;
};

inline std::string ReadFile(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

}  // namespace hpy::testing

#endif  // HPY_TESTS_CPP_TEMPORARY_DIRECTORY_H_
