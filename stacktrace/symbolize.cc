// From interned addresses to lines of a report: each address once, under one lock.

#include <memory>
#include <unordered_map>

#include "stacktrace/core.h"
#include "stacktrace/debug_info.h"

namespace hpy::stacktrace {
namespace {

struct Symbolizer {
  // By module. Null: the file cannot be trusted, and is not looked at again.
  std::unordered_map<uint32_t, std::unique_ptr<DebugInfo>> files;
  // By PackedFrame: addresses never mean anything else.
  std::unordered_map<uint64_t, std::vector<Frame>> frames;
};

// Guarded by SymbolizerMutex().
Symbolizer& TheSymbolizer() {
  static Symbolizer* const symbolizer = new Symbolizer;
  return *symbolizer;
}

constinit std::atomic<bool> g_debuginfod{false};
constinit std::atomic<uint64_t> g_symbolized{0};

// Records of modules are never freed or changed, so the lock is needed for finding one only.
const ModuleInfo* InfoOf(uint32_t module) {
  CoreLock core;
  return core->modules.Info(module);
}

// `file` may be null.
std::vector<Frame> DescribeIn(DebugInfo* file, const ModuleInfo& info, const RawFrame& raw) {
  // Of a call, the instruction that holds the byte before the return address.
  const uint64_t address = raw.tail ? raw.offset : raw.offset - 1;
  std::vector<Frame> frames;
  if (file != nullptr) frames = raw.tail ? file->DescribeTail(address) : file->Describe(address);
  if (frames.empty()) {
    Frame f;
    f.offset = address;
    f.tail = raw.tail;
    frames.push_back(std::move(f));
  }
  for (auto f = frames.begin(); f != frames.end(); ++f) f->library = info.path;
  return frames;
}

std::vector<Frame> Describe(const RawFrame& raw) {
  const ModuleInfo* info = InfoOf(raw.module);
  if (info != nullptr) {
    auto& files = TheSymbolizer().files;
    auto it = files.find(raw.module);
    if (it == files.end()) {
      auto opened = DebugInfo::Open(*info, g_debuginfod.load(std::memory_order_relaxed));
      it = files.emplace(raw.module, std::move(opened)).first;
    }
    return DescribeIn(it->second.get(), *info, raw);
  }
  return DescribeIn(nullptr, ModuleInfo(), raw);
}

// Under SymbolizerMutex().
void Append(const RawFrame& raw, std::vector<Frame>* out) {
  auto& known = TheSymbolizer().frames;
  const uint64_t key = PackedFrame(raw.module, raw.offset, raw.tail).bits();
  auto it = known.find(key);
  if (it == known.end()) {
    it = known.emplace(key, Describe(raw)).first;
    g_symbolized.fetch_add(1, std::memory_order_relaxed);
  }
  out->insert(out->end(), it->second.begin(), it->second.end());
}

}  // namespace

std::vector<Frame> SymbolizeIn(const ModuleInfo& module, uint64_t offset, bool tail) {
  BusyScope busy;
  std::lock_guard<std::mutex> lock(SymbolizerMutex());
  const auto file = DebugInfo::Open(module, g_debuginfod.load(std::memory_order_relaxed));
  return DescribeIn(file.get(), module, {.module = 0, .offset = offset, .tail = tail});
}

std::vector<Frame> Symbolize(StackId id) {
  BusyScope busy;
  const RawStack stack = Lookup(id);
  std::lock_guard<std::mutex> lock(SymbolizerMutex());
  std::vector<Frame> result;
  for (const RawFrame& raw : stack.frames) Append(raw, &result);
  return result;
}

std::vector<Frame> SymbolizeAddress(uintptr_t pc, bool is_return_address) {
  BusyScope busy;
  RawFrame raw{.module = 0, .offset = is_return_address ? pc : pc + 1, .tail = false};
  {
    CoreLock core;
    core.Update();
    if (const Segment* s = core->modules.Find(raw.offset - 1); s != nullptr) {
      raw.module = core->modules.Register(*s);
      if (raw.module != 0) raw.offset -= s->bias;
    }
  }
  std::lock_guard<std::mutex> lock(SymbolizerMutex());
  std::vector<Frame> result;
  Append(raw, &result);
  return result;
}

void SetDebuginfod(bool on) { g_debuginfod.store(on, std::memory_order_relaxed); }

Stats GetStats() {
  CoreLock core;
  return {.misses = core->misses,
          .exact = core->exact,
          .reentered = g_reentered.load(std::memory_order_relaxed),
          .invalidations = core->invalidations,
          .stacks = core->depot.stacks(),
          .frames = core->depot.frames(),
          .modules = core->modules.size(),
          .depot_bytes = core->depot.bytes(),
          .memo_bytes = g_memo_bytes.load(std::memory_order_relaxed),
          .symbolized = g_symbolized.load(std::memory_order_relaxed)};
}

}  // namespace hpy::stacktrace
