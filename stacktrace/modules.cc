// Loaded files, read from the dynamic loader with dl_iterate_phdr().

#include "stacktrace/modules.h"

#include <dlfcn.h>
#include <elf.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cinttypes>
#include <memory>
#include <new>
#include <utility>

namespace hpy::stacktrace {
namespace {

struct Counters {
  unsigned long long adds, subs;
};

int ReadCounters(dl_phdr_info* info, size_t size, void* data) {
  auto* out = static_cast<Counters*>(data);
  if (size >= offsetof(dl_phdr_info, dlpi_subs) + sizeof(info->dlpi_subs)) {
    out->adds = info->dlpi_adds;
    out->subs = info->dlpi_subs;
  }
  return 1;  // every entry has the same counters: the first one is enough
}

// Lowest address of the loaded file.
uintptr_t ObjectStart(const dl_phdr_info& info) {
  uintptr_t lowest = UINTPTR_MAX;
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    if (info.dlpi_phdr[i].p_type == PT_LOAD) {
      lowest = std::min<uintptr_t>(lowest, info.dlpi_addr + info.dlpi_phdr[i].p_vaddr);
    }
  }
  return lowest;
}

bool HasNoDeleteFlag(const dl_phdr_info& info) {
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& ph = info.dlpi_phdr[i];
    if (ph.p_type != PT_DYNAMIC) continue;
    const auto* dyn = reinterpret_cast<const ElfW(Dyn)*>(info.dlpi_addr + ph.p_vaddr);
    for (; dyn->d_tag != DT_NULL; ++dyn) {
      if (dyn->d_tag == DT_FLAGS_1) return (dyn->d_un.d_val & DF_1_NODELETE) != 0;
    }
  }
  return false;
}

struct Listing {
  std::vector<Segment> segments;
  Counters counters{0, 0};
  bool first = true;
};

int ListSegments(dl_phdr_info* info, size_t size, void* data) {
  auto* out = static_cast<Listing*>(data);
  if (out->first) ReadCounters(info, size, &out->counters);
  // The first entry is the program itself, which is never unloaded, as is what has no file.
  const bool permanent =
      out->first || strchr(info->dlpi_name, '/') == nullptr || HasNoDeleteFlag(*info);
  out->first = false;
  uintptr_t hdr = 0, hdr_end = 0;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& ph = info->dlpi_phdr[i];
    if (ph.p_type != PT_GNU_EH_FRAME) continue;
    hdr = info->dlpi_addr + ph.p_vaddr;
    hdr_end = hdr + ph.p_memsz;
  }
  const uintptr_t object = ObjectStart(*info);
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& ph = info->dlpi_phdr[i];
    if (ph.p_type != PT_LOAD || ph.p_memsz == 0) continue;
    const uintptr_t start = info->dlpi_addr + ph.p_vaddr;
    out->segments.push_back({.start = start,
                             .end = start + ph.p_memsz,
                             .bias = info->dlpi_addr,
                             .object = object,
                             .eh_frame_hdr = hdr,
                             .eh_frame_hdr_end = hdr_end,
                             .writable = (ph.p_flags & PF_W) != 0,
                             .executable = (ph.p_flags & PF_X) != 0,
                             .permanent = permanent});
  }
  return 0;
}

std::string BuildId(const dl_phdr_info& info) {
  for (int i = 0; i < info.dlpi_phnum; ++i) {
    const ElfW(Phdr)& ph = info.dlpi_phdr[i];
    if (ph.p_type != PT_NOTE) continue;
    const char* p = reinterpret_cast<const char*>(info.dlpi_addr + ph.p_vaddr);
    const char* end = p + ph.p_memsz;
    const size_t align = ph.p_align == 8 ? 8 : 4;
    const auto up = [align](size_t n) { return (n + align - 1) & ~(align - 1); };
    while (static_cast<size_t>(end - p) >= sizeof(ElfW(Nhdr))) {
      ElfW(Nhdr) note;
      memcpy(&note, p, sizeof note);
      const size_t desc = up(sizeof note + note.n_namesz);
      if (static_cast<size_t>(end - p) < desc + note.n_descsz) break;
      if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
          memcmp(p + sizeof note, "GNU", 4) == 0) {
        return std::string(p + desc, note.n_descsz);
      }
      const size_t whole = desc + up(note.n_descsz);
      if (static_cast<size_t>(end - p) < whole) break;
      p += whole;
    }
  }
  return {};
}

struct Description {
  uintptr_t object;
  bool found = false;
  bool program = false;  // the first entry: the program itself
  bool first = true;
  std::string name, build_id;
  ModuleInfo info;  // without its texts
};

// Everything that must be read from the file's memory, while the loader's lock keeps it there.
int Describe(dl_phdr_info* info, size_t, void* data) {
  auto* out = static_cast<Description*>(data);
  const bool first = out->first;
  out->first = false;
  if (ObjectStart(*info) != out->object) return 0;
  out->found = true;
  out->program = first;
  out->name = info->dlpi_name;
  out->build_id = BuildId(*info);
  if (out->build_id.empty()) {
    for (int i = 0; i < info->dlpi_phnum; ++i) {
      const ElfW(Phdr)& ph = info->dlpi_phdr[i];
      // Code is not relocated, so it is the same in memory and in the file.
      if (ph.p_type != PT_LOAD || (ph.p_flags & PF_X) == 0 || (ph.p_flags & PF_W) != 0) continue;
      out->info.text_file_offset = ph.p_offset;
      out->info.text_size = ph.p_filesz;
      out->info.text_hash =
          HashBytes(reinterpret_cast<const void*>(info->dlpi_addr + ph.p_vaddr), ph.p_filesz);
      break;
    }
  }
  return 1;
}

// The file that is mapped at `address`, for a library that was opened by a relative name: the
// working directory may have changed since.
std::string MappedFile(uintptr_t address) {
  std::unique_ptr<FILE, int (*)(FILE*)> maps(fopen("/proc/self/maps", "re"), fclose);
  if (maps == nullptr) return {};
  char* line = nullptr;
  size_t capacity = 0;
  std::string result;
  ssize_t length;
  while ((length = getline(&line, &capacity, maps.get())) > 0) {
    uintptr_t start, end;
    int path = 0;
    if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %*s %n", &start, &end, &path) < 2)
      continue;
    if (address < start || address >= end || path == 0 || line[path] != '/') continue;
    if (line[length - 1] == '\n') line[length - 1] = '\0';
    result = line + path;
    break;
  }
  free(line);
  return result;
}

std::string AbsolutePath(const Description& d) {
  std::string path = d.name;
  if (d.program && path.empty()) {
    char buffer[PATH_MAX];
    const ssize_t n = readlink("/proc/self/exe", buffer, sizeof buffer);
    if (n > 0) path.assign(buffer, static_cast<size_t>(n));
  } else if (path.find('/') == std::string::npos) {
    return {};  // the vDSO
  } else if (path[0] != '/') {
    path = MappedFile(d.object);
  }
  // The kernel's mark for a file that is gone. Whether a file of that name is the one that was
  // loaded is checked when it is read.
  static constexpr char kDeleted[] = " (deleted)";
  if (path.size() > sizeof kDeleted - 1 && path.ends_with(kDeleted)) {
    path.resize(path.size() - (sizeof kDeleted - 1));
  }
  return path;
}

// Memory apart from the heap, which is never freed. Only called by Register(): under its lock.
void* ForEver(size_t size) {
  constexpr size_t kBlock = 64 << 10;
  static char* block = nullptr;
  static size_t left = 0;
  size = (size + 15) & ~size_t{15};
  if (size > left) {
    left = std::max(size, kBlock);
    void* memory = mmap(nullptr, left, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
      left = 0;
      throw std::bad_alloc();
    }
    block = static_cast<char*>(memory);
  }
  left -= size;
  return std::exchange(block, block + size);
}

std::string_view Keep(std::string_view text) {
  auto* copy = static_cast<char*>(ForEver(text.size()));
  std::copy(text.begin(), text.end(), copy);
  return {copy, text.size()};
}

}  // namespace

uint64_t HashBytes(const void* data, size_t size) {
  // FNV-1a over words, then bytes: a checksum against an exchanged file, not against an adversary.
  const auto* p = static_cast<const unsigned char*>(data);
  uint64_t h = 0xcbf29ce484222325u ^ size;
  for (; size >= 8; size -= 8, p += 8) {
    uint64_t word;
    memcpy(&word, p, 8);
    h = (h ^ word) * 0x100000001b3u;
    h ^= h >> 32;
  }
  for (; size > 0; --size, ++p) h = (h ^ *p) * 0x100000001b3u;
  return h;
}

bool Modules::Update() {
  Counters now{0, 0};
  dl_iterate_phdr(ReadCounters, &now);
  if (!segments_.empty() && now.adds == adds_ && now.subs == subs_) return false;
  Listing listing;
  dl_iterate_phdr(ListSegments, &listing);
  std::sort(listing.segments.begin(), listing.segments.end(),
            [](const Segment& a, const Segment& b) { return a.start < b.start; });
  for (Segment& s : listing.segments) {
    if (pinned_.contains(s.object)) s.permanent = true;
  }
  segments_ = std::move(listing.segments);
  adds_ = listing.counters.adds;
  subs_ = listing.counters.subs;
  return true;
}

const Segment* Modules::Find(uintptr_t address) const {
  auto it = std::upper_bound(segments_.begin(), segments_.end(), address,
                             [](uintptr_t a, const Segment& s) { return a < s.start; });
  if (it == segments_.begin()) return nullptr;
  --it;
  return address < it->end ? &*it : nullptr;
}

uint32_t Modules::Register(const Segment& segment) {
  if (segment.module != 0) return segment.module;
  Description d{.object = segment.object, .name = {}, .build_id = {}, .info = {}};
  dl_iterate_phdr(Describe, &d);
  if (!d.found) return 0;
  const std::string path = AbsolutePath(d);
  if (struct stat st; d.build_id.empty() && stat(path.c_str(), &st) == 0) {
    d.info.device = st.st_dev;
    d.info.inode = st.st_ino;
    d.info.file_size = static_cast<uint64_t>(st.st_size);
    d.info.mtime_sec = st.st_mtim.tv_sec;
    d.info.mtime_nsec = st.st_mtim.tv_nsec;
  }
  // The same file loaded again, wherever, is the same module.
  std::string identity = path + '\0' + d.build_id;
  for (uint64_t n :
       {d.info.text_hash, d.info.device, d.info.inode, d.info.file_size,
        static_cast<uint64_t>(d.info.mtime_sec), static_cast<uint64_t>(d.info.mtime_nsec)}) {
    identity += '\0' + std::to_string(n);
  }
  auto [it, inserted] = by_identity_.try_emplace(std::move(identity), 0);
  if (inserted) {
    d.info.path = Keep(path);
    d.info.build_id = Keep(d.build_id);
    if (size_ == room_) {
      room_ = std::max<size_t>(64, 2 * room_);
      auto* larger = static_cast<const ModuleInfo**>(ForEver(room_ * sizeof(void*)));
      std::copy_n(infos_, size_, larger);
      infos_ = larger;
    }
    infos_[size_++] = new (ForEver(sizeof(ModuleInfo))) ModuleInfo(d.info);
    it->second = static_cast<uint32_t>(size_);
  }
  for (Segment& s : segments_) {
    if (s.object == d.object) s.module = it->second;
  }
  return it->second;
}

const ModuleInfo* Modules::Info(uint32_t module) const {
  return module == 0 || module > size_ ? nullptr : infos_[module - 1];
}

bool Modules::Pin(uintptr_t address) {
  Update();
  const Segment* segment = Find(address);
  if (segment == nullptr) return false;
  if (segment->permanent) return true;
  Dl_info info;
  if (dladdr(reinterpret_cast<void*>(address), &info) == 0) return false;
  void* library = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
  if (library == nullptr) return false;
  // By name, so make sure that it is the one which was meant.
  link_map* map = nullptr;
  const bool same = dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 && map->l_addr == segment->bias;
  dlclose(library);
  if (!same) return false;
  const uintptr_t object = segment->object;
  pinned_.insert(object);
  for (Segment& s : segments_) {
    if (s.object == object) s.permanent = true;
  }
  return true;
}

}  // namespace hpy::stacktrace
