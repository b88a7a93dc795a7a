// What one file on disk says about its addresses, read with libdw.

#include "stacktrace/debug_info.h"

#include <cxxabi.h>
#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "stacktrace/elf_file.h"
#include "stacktrace/intervals.h"
#include "stacktrace/line_table.h"

namespace hpy::stacktrace {
namespace {

template <typename F>
void ForEachRange(Dwarf_Die* die, F f) {
  Dwarf_Addr base = 0, low = 0, high = 0;
  for (ptrdiff_t offset = 0; (offset = dwarf_ranges(die, offset, &base, &low, &high)) > 0;)
    f(low, high);
}

std::string Demangle(const char* name) {
  if (name[0] != '_' || name[1] != 'Z') return name;
  int status = 0;
  char* demangled = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string result = status == 0 && demangled != nullptr ? demangled : name;
  free(demangled);
  return result;
}

const char* StringOf(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute;
  return dwarf_formstring(dwarf_attr_integrate(die, name, &attribute));
}

std::string FunctionName(Dwarf_Die* die) {
  for (const unsigned name : {unsigned{DW_AT_linkage_name}, unsigned{DW_AT_MIPS_linkage_name}}) {
    if (const char* s = StringOf(die, name); s != nullptr) return Demangle(s);
  }
  const char* s = StringOf(die, DW_AT_name);
  return s == nullptr ? std::string() : std::string(s);
}

std::optional<uint64_t> NumberOf(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute;
  Dwarf_Word value;
  if (dwarf_formudata(dwarf_attr(die, name, &attribute), &value) != 0) return std::nullopt;
  return value;
}

bool FlagOf(Dwarf_Die* die, unsigned name) {
  Dwarf_Attribute attribute;
  bool value = false;
  return dwarf_formflag(dwarf_attr(die, name, &attribute), &value) == 0 && value;
}

std::string AbsolutePath(const char* path, const char* directory) {
  std::string result;
  if (path[0] != '/' && directory != nullptr && directory[0] != '\0') {
    result = directory;
    if (result.back() != '/') result += '/';
  }
  result += path;
  // "/./" says nothing; "/../" may lead through a symbolic link and is left.
  for (size_t at; (at = result.find("/./")) != std::string::npos;) result.erase(at, 2);
  return result;
}

// A function with code of its own, and what was inlined into it.
struct Function {
  struct Scope {
    Dwarf_Die die;
    int parent;  // index in `inlined`, -1: the function itself
    int depth;
  };
  Dwarf_Die die;
  bool parsed = false;
  std::vector<Scope> inlined;
  Intervals<int> index;  // of `inlined`
};

// One compilation unit.
struct Unit {
  Dwarf_Die die;      // has the line table (of a split unit: the skeleton)
  Dwarf_Die content;  // has the functions
  bool parsed = false;
  LineTable lines;
  Dwarf_Files* files = nullptr;
  const char* directory = nullptr;
  std::vector<Function> functions;
  Intervals<size_t> index;  // of `functions`
};

// What the callback of libdwfl is told.
struct Search {
  std::string library, build_id;
  bool debuginfod;
  bool done =
      false;  // a second call would be for the supplementary file, which libdw finds by itself
};

int FindDebugFile(Dwfl_Module* module, void** userdata, const char* name, Dwarf_Addr base,
                  const char* file, const char* link, GElf_Word crc, char** found) {
  auto* search = static_cast<Search*>(*userdata);
  if (search == nullptr || search->done) return -1;
  search->done = true;
  std::string path;
  const int fd = OpenSeparateDebugFile(search->library, search->build_id, link, crc, &path);
  if (fd >= 0) {
    *found = strdup(path.c_str());
    return fd;
  }
  // libdwfl's own search ends with a download if DEBUGINFOD_URLS is set: only when asked for.
  return search->debuginfod
             ? dwfl_standard_find_debuginfo(module, userdata, name, base, file, link, crc, found)
             : -1;
}

constexpr Dwfl_Callbacks kCallbacks = {.find_elf = nullptr,
                                       .find_debuginfo = FindDebugFile,
                                       .section_address = dwfl_offline_section_address,
                                       .debuginfo_path = nullptr};

class DwarfInfo final : public DebugInfo {
 public:
  DwarfInfo(const ModuleInfo& module, bool debuginfod)
      : search_{std::string(module.path), std::string(module.build_id), debuginfod} {}
  ~DwarfInfo() override {
    if (dwfl_ != nullptr) dwfl_end(dwfl_);
  }

  bool Load(int fd) {
    dwfl_ = dwfl_begin(&kCallbacks);
    if (dwfl_ == nullptr) {
      close(fd);
      return false;
    }
    dwfl_report_begin(dwfl_);
    module_ = dwfl_report_elf(dwfl_, search_.library.c_str(), search_.library.c_str(), fd, 0, true);
    if (module_ == nullptr) close(fd);  // else it belongs to libdwfl
    dwfl_report_end(dwfl_, nullptr, nullptr);
    if (module_ == nullptr) return false;
    void** userdata = nullptr;
    dwfl_module_info(module_, &userdata, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr);
    *userdata = &search_;
    if (Dwarf* dwarf = dwfl_module_getdwarf(module_, &bias_); dwarf != nullptr) IndexUnits(dwarf);
    return true;
  }

  std::vector<Frame> Describe(uint64_t address) override {
    std::vector<Frame> frames;
    if (Unit* unit = FindUnit(address); unit != nullptr) DescribeIn(unit, address - bias_, &frames);
    if (frames.empty()) frames.emplace_back();
    // The outermost function may have no entry in the debug information (assembler).
    if (frames.back().function.empty()) frames.back().function = SymbolAt(address);
    for (Frame& f : frames) f.offset = address;
    return frames;
  }

  std::vector<Frame> DescribeTail(uint64_t entry) override {
    std::vector<Frame> frames;
    if (Unit* unit = FindUnit(entry); unit != nullptr) {
      if (const size_t* function = unit->index.Find(entry - bias_); function != nullptr) {
        Dwarf_Die die = unit->functions[*function].die;
        frames = DescribeTailCall(unit, &die);
        if (frames.empty()) {
          Frame f;
          f.function = FunctionName(&die);
          // Only the function is known: where it is defined.
          int line = 0;
          if (const char* file = dwarf_decl_file(&die);
              file != nullptr && dwarf_decl_line(&die, &line) == 0) {
            f.file = AbsolutePath(file, unit->directory);
            f.line = line;
          }
          f.offset = entry;
          frames.push_back(std::move(f));
        }
      }
    }
    if (frames.empty()) {
      Frame f;
      f.function = SymbolAt(entry);
      f.offset = entry;
      frames.push_back(std::move(f));
    }
    for (Frame& f : frames) f.tail = true;
    return frames;
  }

 private:
  void IndexUnits(Dwarf* dwarf) {
    Elf* elf = dwarf_getelf(dwarf);
    size_t names = 0;
    if (elf_getshdrstrndx(elf, &names) != 0) return;
    for (Elf_Scn* scn = nullptr; (scn = elf_nextscn(elf, scn)) != nullptr;) {
      GElf_Shdr header;
      if (gelf_getshdr(scn, &header) == nullptr || header.sh_type == SHT_NOBITS) continue;
      const char* name = elf_strptr(elf, names, header.sh_name);
      // libdw has decompressed it in place where it was compressed.
      if (name != nullptr &&
          (strcmp(name, ".debug_line") == 0 || strcmp(name, ".zdebug_line") == 0)) {
        debug_line_ = elf_getdata(scn, nullptr);
      }
    }
    // .debug_aranges is not trusted: clang leaves it out, and then it is incomplete and not absent.
    Dwarf_CU* cu = nullptr;
    Dwarf_Half version;
    uint8_t type;
    Dwarf_Die die{}, split{};
    std::vector<Unit> units;
    while (dwarf_get_units(dwarf, cu, &cu, &version, &type, &die, &split) == 0) {
      if (type != DW_UT_compile && type != DW_UT_skeleton) continue;
      const bool is_split = type == DW_UT_skeleton && split.cu != nullptr;
      units.push_back({.die = die,
                       .content = is_split ? split : die,
                       .lines = {},
                       .functions = {},
                       .index = {}});
      split = {};
    }
    units_ = std::move(units);
    for (size_t i = 0; i < units_.size(); ++i) {
      bool any = false;
      ForEachRange(&units_[i].die, [&](uint64_t low, uint64_t high) {
        any = true;
        index_.Add(low, high, i);
      });
      if (any) continue;
      // A unit that does not say what it covers (some assemblers): what its functions cover.
      Parse(&units_[i]);
      for (const auto& [low, high] : covered_) index_.Add(low, high, i);
    }
    index_.Sort();
  }

  Unit* FindUnit(uint64_t address) {
    const size_t* i = index_.Find(address - bias_);
    if (i == nullptr) return nullptr;
    Unit* unit = &units_[*i];
    if (!unit->parsed) Parse(unit);
    return unit;
  }

  void Parse(Unit* unit) {
    unit->parsed = true;
    size_t count = 0;
    if (dwarf_getsrcfiles(&unit->die, &unit->files, &count) != 0) unit->files = nullptr;
    unit->directory = StringOf(&unit->die, DW_AT_comp_dir);
    Dwarf_Attribute attribute;
    Dwarf_Word offset = 0;
    if (debug_line_ != nullptr && debug_line_->d_buf != nullptr &&
        dwarf_formudata(dwarf_attr(&unit->die, DW_AT_stmt_list, &attribute), &offset) == 0) {
      unit->lines = LineTable::Decode(static_cast<const unsigned char*>(debug_line_->d_buf),
                                      debug_line_->d_size, offset, kAddressSize);
    }
    covered_.clear();
    CollectFunctions(unit, unit->content);
    unit->index.Sort();
  }

  // Functions with code may stand in namespaces, classes and (members of local classes) other
  // functions.
  void CollectFunctions(Unit* unit, Dwarf_Die parent) {
    Dwarf_Die die;
    if (dwarf_child(&parent, &die) != 0) return;
    do {
      switch (dwarf_tag(&die)) {
        case DW_TAG_subprogram: {
          const size_t number = unit->functions.size();
          bool any = false;
          ForEachRange(&die, [&](uint64_t low, uint64_t high) {
            any = true;
            unit->index.Add(low, high, number);
            covered_.emplace_back(low, high);
          });
          if (any) unit->functions.push_back({.die = die, .inlined = {}, .index = {}});
          CollectFunctions(unit, die);
          break;
        }
        case DW_TAG_namespace:
        case DW_TAG_module:
        case DW_TAG_class_type:
        case DW_TAG_structure_type:
        case DW_TAG_union_type:
        case DW_TAG_lexical_block:
          CollectFunctions(unit, die);
          break;
        default:
          break;
      }
    } while (dwarf_siblingof(&die, &die) == 0);
  }

  std::string FileName(const Unit& unit, uint64_t index) const {
    const char* name =
        unit.files == nullptr ? nullptr : dwarf_filesrc(unit.files, index, nullptr, nullptr);
    // libdw's own mark for an index without a file.
    if (name == nullptr || strcmp(name, "???") == 0) return {};
    return AbsolutePath(name, unit.directory);
  }

  // `address` is one of the debug information (without bias_).
  void DescribeIn(Unit* unit, uint64_t address, std::vector<Frame>* frames) {
    // The chain of scopes, innermost first: what was inlined, then the function itself.
    std::vector<Dwarf_Die> chain;
    if (const size_t* number = unit->index.Find(address); number != nullptr) {
      Function& function = unit->functions[*number];
      if (!function.parsed) {
        function.parsed = true;
        CollectInlined(&function, function.die, -1);
        function.index.Sort();
      }
      int deepest = -1;
      function.index.ForEachAt(address, [&](uint64_t, int i) {
        if (deepest < 0 || function.inlined[i].depth > function.inlined[deepest].depth) deepest = i;
      });
      for (int i = deepest; i >= 0; i = function.inlined[i].parent)
        chain.push_back(function.inlined[i].die);
      chain.push_back(function.die);
    }
    Frame frame;
    if (const LineTable::Row* row = unit->lines.Find(address); row != nullptr && row->line != 0) {
      frame.file = FileName(*unit, row->file);
      if (!frame.file.empty()) frame.line = static_cast<int>(row->line);
    }
    if (chain.empty()) {
      if (frame.line != 0) frames->push_back(std::move(frame));
      return;
    }
    for (size_t i = 0; i < chain.size(); ++i) {
      if (i + 1 < chain.size() && IsSplitPart(&chain[i], &chain[i + 1])) continue;
      frame.function = FunctionName(&chain[i]);
      frame.inlined = i + 1 < chain.size();
      const bool more = frame.inlined;
      frames->push_back(std::move(frame));
      frame = Frame();
      if (!more) break;
      // Where this one was inlined is where the next one is.
      const auto file = NumberOf(&chain[i], DW_AT_call_file);
      const auto line = NumberOf(&chain[i], DW_AT_call_line);
      if (file && line && *line != 0) {
        frame.file = FileName(*unit, *file);
        if (!frame.file.empty()) frame.line = static_cast<int>(*line);
      }
    }
  }

  // What a function is an instance of.
  static Dwarf_Die Origin(Dwarf_Die die) {
    Dwarf_Attribute attribute;
    Dwarf_Die origin;
    while (dwarf_formref_die(dwarf_attr(&die, DW_AT_abstract_origin, &attribute), &origin) !=
           nullptr)
      die = origin;
    return die;
  }

  // GCC splits functions in two (f.part.0), and where it puts the parts together again they look
  // like a function inlined into itself, called from the very place of its declaration. In the
  // source there is one function.
  static bool IsSplitPart(Dwarf_Die* inner, Dwarf_Die* outer) {
    const Dwarf_Die origin = Origin(*inner);
    if (origin.addr != Origin(*outer).addr) return false;
    Dwarf_Die declaration = origin;
    int line = 0, column = 0;
    return dwarf_decl_line(&declaration, &line) == 0 &&
           dwarf_decl_column(&declaration, &column) == 0 &&
           NumberOf(inner, DW_AT_call_line) == static_cast<uint64_t>(line) &&
           NumberOf(inner, DW_AT_call_column) == static_cast<uint64_t>(column);
  }

  // What was inlined, at any depth; blocks may stand between.
  static void CollectInlined(Function* function, Dwarf_Die scope, int parent) {
    Dwarf_Die die;
    if (dwarf_child(&scope, &die) != 0) return;
    do {
      if (dwarf_tag(&die) == DW_TAG_lexical_block) CollectInlined(function, die, parent);
      if (dwarf_tag(&die) != DW_TAG_inlined_subroutine) continue;
      const int number = static_cast<int>(function->inlined.size());
      function->inlined.push_back(
          {die, parent, parent < 0 ? 1 : function->inlined[parent].depth + 1});
      ForEachRange(&die,
                   [&](uint64_t low, uint64_t high) { function->index.Add(low, high, number); });
      CollectInlined(function, die, number);
    } while (dwarf_siblingof(&die, &die) == 0);
  }

  // Addresses of the tail calls in a function, inlined code included.
  static void CollectTailCalls(Dwarf_Die parent, std::vector<uint64_t>* out) {
    Dwarf_Die die;
    if (dwarf_child(&parent, &die) != 0) return;
    do {
      switch (dwarf_tag(&die)) {
        case DW_TAG_call_site:
        case DW_TAG_GNU_call_site: {
          if (!FlagOf(&die, DW_AT_call_tail_call) && !FlagOf(&die, DW_AT_GNU_tail_call)) break;
          uint64_t at = 0;
          for (const unsigned name :
               {unsigned{DW_AT_call_pc}, unsigned{DW_AT_call_return_pc}, unsigned{DW_AT_low_pc}}) {
            Dwarf_Attribute attribute;
            Dwarf_Addr address;
            if (dwarf_formaddr(dwarf_attr(&die, name, &attribute), &address) != 0) continue;
            at = name == DW_AT_call_pc ? address : address - 1;
            break;
          }
          out->push_back(at);
          break;
        }
        case DW_TAG_lexical_block:
        case DW_TAG_inlined_subroutine:
          CollectTailCalls(die, out);
          break;
        default:
          break;
      }
    } while (dwarf_siblingof(&die, &die) == 0);
  }

  // The frames of the tail call, if all tail calls of the function stand in one place of the
  // source.
  std::vector<Frame> DescribeTailCall(Unit* unit, Dwarf_Die* function) {
    std::vector<uint64_t> calls;
    CollectTailCalls(*function, &calls);
    std::vector<Frame> result;
    for (const uint64_t at : calls) {
      std::vector<Frame> frames;
      if (at != 0) DescribeIn(unit, at, &frames);
      if (frames.empty()) return {};
      for (Frame& f : frames) f.offset = at + bias_;
      if (result.empty()) {
        result = std::move(frames);
        continue;
      }
      const bool same =
          std::equal(result.begin(), result.end(), frames.begin(), frames.end(),
                     [](const Frame& a, const Frame& b) {
                       return a.function == b.function && a.file == b.file && a.line == b.line;
                     });
      if (!same) return {};
    }
    return result;
  }

  std::string SymbolAt(uint64_t address) const {
    GElf_Off offset = 0;
    GElf_Sym symbol{};
    const char* name =
        dwfl_module_addrinfo(module_, address, &offset, &symbol, nullptr, nullptr, nullptr);
    if (name == nullptr || name[0] == '\0') return {};
    // The nearest symbol before an address is not what lies there unless it says that it reaches as
    // far.
    if (symbol.st_size == 0 ? GELF_ST_TYPE(symbol.st_info) != STT_FUNC : offset >= symbol.st_size)
      return {};
    return Demangle(name);
  }

  static constexpr int kAddressSize = sizeof(void*);

  Search search_;
  Dwfl* dwfl_ = nullptr;
  Dwfl_Module* module_ = nullptr;
  Dwarf_Addr bias_ = 0;  // address in the file = address in the debug information + bias_
  Elf_Data* debug_line_ = nullptr;
  std::vector<Unit> units_;
  Intervals<size_t> index_;
  std::vector<std::pair<uint64_t, uint64_t>> covered_;  // by the functions of the unit parsed last
};

}  // namespace

std::unique_ptr<DebugInfo> DebugInfo::Open(const ModuleInfo& module, bool debuginfod) {
  const int fd = OpenLoadedFile(module);
  if (fd < 0) return nullptr;
  auto info = std::make_unique<DwarfInfo>(module, debuginfod);
  if (!info->Load(fd)) return nullptr;
  return info;
}

}  // namespace hpy::stacktrace
