// Files on disk: identity by build id, by checksum, or by content.

#include "stacktrace/elf_file.h"

#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <libelf.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vector>

namespace hpy::stacktrace {
namespace {

int OpenForReading(const std::string& path) {
  return path.empty() ? -1 : open(path.c_str(), O_RDONLY | O_CLOEXEC);
}

std::string BuildIdOf(int fd) {
  elf_version(EV_CURRENT);
  Elf* elf = elf_begin(fd, ELF_C_READ_MMAP, nullptr);
  if (elf == nullptr) return {};
  const void* bytes = nullptr;
  const ssize_t n = dwelf_elf_gnu_build_id(elf, &bytes);
  std::string id =
      n > 0 ? std::string(static_cast<const char*>(bytes), static_cast<size_t>(n)) : std::string();
  elf_end(elf);
  return id;
}

// Calls f(bytes, size) with the file's content; false if there is none.
template <typename F>
bool WithContent(int fd, F f) {
  struct stat st;
  if (fstat(fd, &st) != 0 || st.st_size <= 0) return false;
  const auto size = static_cast<size_t>(st.st_size);
  void* bytes = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (bytes == MAP_FAILED) return false;
  f(static_cast<const unsigned char*>(bytes), size);
  munmap(bytes, size);
  return true;
}

bool IsSameContent(int fd, const ModuleInfo& m) {
  struct stat st;
  if (fstat(fd, &st) != 0) return false;
  if (st.st_dev != m.device || st.st_ino != m.inode ||
      static_cast<uint64_t>(st.st_size) != m.file_size || st.st_mtim.tv_sec != m.mtime_sec ||
      st.st_mtim.tv_nsec != m.mtime_nsec) {
    return false;
  }
  bool same = false;
  WithContent(fd, [&](const unsigned char* bytes, size_t size) {
    same = m.text_file_offset <= size && m.text_size <= size - m.text_file_offset &&
           HashBytes(bytes + m.text_file_offset, m.text_size) == m.text_hash;
  });
  return same;
}

// The checksum of .gnu_debuglink (CRC-32 as in zlib).
uint32_t Crc32(const unsigned char* p, size_t n) {
  std::vector<uint32_t> table(256);
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int k = 0; k < 8; ++k) c = (c & 1) != 0 ? 0xedb88320u ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
  uint32_t c = 0xffffffffu;
  for (size_t i = 0; i < n; ++i) c = table[(c ^ p[i]) & 0xff] ^ (c >> 8);
  return c ^ 0xffffffffu;
}

int OpenIfBuildId(const std::string& path, const std::string& build_id) {
  const int fd = OpenForReading(path);
  if (fd < 0 || BuildIdOf(fd) == build_id) return fd;
  close(fd);
  return -1;
}

int OpenIfCrc(const std::string& path, uint32_t crc) {
  const int fd = OpenForReading(path);
  if (fd < 0) return -1;
  bool same = false;
  WithContent(fd,
              [&](const unsigned char* bytes, size_t size) { same = Crc32(bytes, size) == crc; });
  if (same) return fd;
  close(fd);
  return -1;
}

bool IsSameFile(int fd, const std::string& path) {
  struct stat a, b;
  return fstat(fd, &a) == 0 && stat(path.c_str(), &b) == 0 && a.st_dev == b.st_dev &&
         a.st_ino == b.st_ino;
}

}  // namespace

int OpenLoadedFile(const ModuleInfo& module) {
  const int fd = OpenForReading(std::string(module.path));
  if (fd < 0) return -1;
  const bool same =
      module.build_id.empty() ? IsSameContent(fd, module) : BuildIdOf(fd) == module.build_id;
  if (same) return fd;
  close(fd);
  return -1;
}

int OpenSeparateDebugFile(const std::string& library, const std::string& build_id, const char* link,
                          uint32_t crc, std::string* found) {
  static constexpr char kDebugRoot[] = "/usr/lib/debug";
  std::vector<std::string> candidates;
  if (build_id.size() > 1) {
    static constexpr char kHex[] = "0123456789abcdef";
    std::string path = std::string(kDebugRoot) + "/.build-id/";
    for (size_t i = 0; i < build_id.size(); ++i) {
      const auto byte = static_cast<unsigned char>(build_id[i]);
      path += kHex[byte >> 4];
      path += kHex[byte & 15];
      if (i == 0) path += '/';
    }
    candidates.push_back(path + ".debug");
  }
  const std::string directory = library.substr(0, library.rfind('/') + 1);
  if (link != nullptr && link[0] != '\0') {
    candidates.push_back(directory + link);
    candidates.push_back(directory + ".debug/" + link);
    candidates.push_back(kDebugRoot + directory + link);
  }
  for (const std::string& path : candidates) {
    const int fd = build_id.empty() ? OpenIfCrc(path, crc) : OpenIfBuildId(path, build_id);
    if (fd < 0) continue;
    // A link that names the library itself leads nowhere.
    if (IsSameFile(fd, library)) {
      close(fd);
      continue;
    }
    *found = path;
    return fd;
  }
  return -1;
}

}  // namespace hpy::stacktrace
