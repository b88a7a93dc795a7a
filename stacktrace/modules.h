// Loaded files: where they lie now, and a permanent record of each one that appears in a stack.

#ifndef HPY_STACKTRACE_MODULES_H_
#define HPY_STACKTRACE_MODULES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace hpy::stacktrace {

// What is known for ever of a file that was loaded: enough to tell, long after it was unloaded,
// whether the file of that name is still the one whose code ran. The texts belong to whoever made it.
struct ModuleInfo {
  std::string_view path;      // absolute; empty where there is no file (the vDSO)
  std::string_view build_id;  // the bytes of NT_GNU_BUILD_ID, empty if it has none
  // Only without a build id. The code that was mapped, and the file as it was found then.
  uint64_t text_file_offset = 0, text_size = 0, text_hash = 0;
  uint64_t device = 0, inode = 0, file_size = 0;
  int64_t mtime_sec = 0, mtime_nsec = 0;
};

uint64_t HashBytes(const void* data, size_t size);

// One PT_LOAD segment of a loaded file.
struct Segment {
  uintptr_t start, end;
  uintptr_t bias;          // address = bias + virtual address in the file
  uintptr_t object;        // lowest address of the file: identifies it while it is loaded
  uintptr_t eh_frame_hdr;  // 0: the file has no table of unwind information
  uintptr_t eh_frame_hdr_end;
  bool writable, executable;
  bool permanent;       // will never be unloaded
  uint32_t module = 0;  // the permanent number of the file, once it has one
};

// All members must be called under the one lock of this room (core.h). That lock is always taken
// before the loader's own, which dl_iterate_phdr() takes: so no callback of it takes ours.
class Modules {
 public:
  // Looks at the loader's counters (16 ns) and reads the list of libraries again if they have
  // changed; true if so.
  bool Update();

  // The segment that holds `address`, or null. Valid until the next Update().
  const Segment* Find(uintptr_t address) const;

  // The permanent number of the file to which `segment` belongs: 1 and up; 0 if it was unloaded
  // meanwhile.
  uint32_t Register(const Segment& segment);

  // Null for a number that was never given out. The record lives for ever and does not change. It is
  // not on the heap, since it is wanted when the heap is damaged.
  const ModuleInfo* Info(uint32_t module) const;
  size_t size() const { return size_; }

  // Makes the library that holds `address` stay for ever.
  bool Pin(uintptr_t address);

 private:
  std::vector<Segment> segments_;  // sorted by address
  unsigned long long adds_ = 0, subs_ = 0;
  std::unordered_map<std::string, uint32_t> by_identity_;
  const ModuleInfo** infos_ = nullptr;  // number - 1 -> record
  size_t size_ = 0, room_ = 0;
  std::unordered_set<uintptr_t> pinned_;  // objects
};

}  // namespace hpy::stacktrace

#endif  // HPY_STACKTRACE_MODULES_H_
