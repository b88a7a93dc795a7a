// The line number program of one compilation unit (DWARF 2 to 5, section 6.2).

#include "stacktrace/line_table.h"

#include <dwarf.h>
#include <string.h>

#include <algorithm>

namespace hpy::stacktrace {
namespace {

// Reads within bounds: past the end everything is 0 and `ok` is false.
class Reader {
 public:
  Reader(const unsigned char* p, const unsigned char* end) : p_(p), end_(end) {}

  bool ok() const { return ok_; }
  bool more() const { return ok_ && p_ < end_; }
  const unsigned char* at() const { return p_; }

  template <typename T>
  T Get() {
    T value{};
    if (Has(sizeof value)) {
      memcpy(&value, p_, sizeof value);
      p_ += sizeof value;
    }
    return value;
  }
  uint64_t Uleb() {
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const auto byte = Get<uint8_t>();
      if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
  }
  int64_t Sleb() {
    uint64_t value = 0;
    unsigned shift = 0;
    uint8_t byte;
    do {
      byte = Get<uint8_t>();
      if (shift < 64) value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      shift += 7;
    } while ((byte & 0x80) != 0);
    if (shift < 64 && (byte & 0x40) != 0) value |= ~uint64_t{0} << shift;
    return static_cast<int64_t>(value);
  }
  void Skip(uint64_t n) {
    if (Has(n)) p_ += n;
  }

 private:
  bool Has(uint64_t n) {
    if (ok_ && n <= static_cast<uint64_t>(end_ - p_)) return true;
    ok_ = false;
    p_ = end_;
    return false;
  }
  const unsigned char* p_;
  const unsigned char* end_;
  bool ok_ = true;
};

// Where a linker puts what it has dropped: at 0 (GNU; 1 in range lists), or at the top (lld).
bool IsDropped(uint64_t address, int address_size) {
  const uint64_t top = address_size == 8 ? ~uint64_t{0} : 0xffffffffu;
  return address <= 1 || address >= top - 1;
}

}  // namespace

LineTable LineTable::Decode(const unsigned char* section, size_t size, uint64_t offset,
                            int address_size) {
  LineTable table;
  if (offset >= size) return table;
  Reader r(section + offset, section + size);

  bool wide = false;
  uint64_t length = r.Get<uint32_t>();
  if (length == 0xffffffffu) {
    wide = true;
    length = r.Get<uint64_t>();
  }
  if (!r.ok() || length > static_cast<uint64_t>(section + size - r.at())) return table;
  const unsigned char* end = r.at() + length;
  r = Reader(r.at(), end);
  const auto version = r.Get<uint16_t>();
  if (version < 2 || version > 5) return table;
  if (version >= 5) {
    address_size = r.Get<uint8_t>();
    r.Get<uint8_t>();  // segment selector size
  }
  const uint64_t header_length = wide ? r.Get<uint64_t>() : r.Get<uint32_t>();
  if (!r.ok() || header_length > static_cast<uint64_t>(end - r.at())) return table;
  const unsigned char* program = r.at() + header_length;
  const uint64_t min_length = r.Get<uint8_t>();
  if (version >= 4 && r.Get<uint8_t>() != 1) return table;  // operations per instruction
  r.Get<uint8_t>();  // default_is_stmt: a row counts for its addresses whatever it says
  // Signed by the format. NOLINTNEXTLINE(bugprone-signed-char-misuse)
  const int line_base = r.Get<int8_t>();
  const int line_range = r.Get<uint8_t>();
  const int opcode_base = r.Get<uint8_t>();
  if (!r.ok() || line_range == 0 || opcode_base == 0) return table;
  uint8_t operands[256] = {};
  for (int i = 1; i < opcode_base; ++i) operands[i] = r.Get<uint8_t>();

  r = Reader(program, end);
  uint64_t address = 0, file = 1, line = 1;
  size_t first = 0;
  const auto restart = [&] {
    address = 0;
    file = line = 1;
    first = table.rows_.size();
  };
  const auto append = [&] {
    table.rows_.push_back({address, static_cast<uint32_t>(file), static_cast<uint32_t>(line)});
  };
  while (r.more()) {
    const int opcode = r.Get<uint8_t>();
    if (opcode >= opcode_base) {
      const int adjusted = opcode - opcode_base;
      address += static_cast<uint64_t>(adjusted / line_range) * min_length;
      line += static_cast<uint64_t>(static_cast<int64_t>(line_base + adjusted % line_range));
      append();
      continue;
    }
    switch (opcode) {
      case 0: {
        const uint64_t n = r.Uleb();
        if (!r.ok() || n == 0 || n > static_cast<uint64_t>(end - r.at())) {
          if (n != 0) r.Skip(n);
          break;
        }
        const unsigned char* next = r.at() + n;
        switch (r.Get<uint8_t>()) {
          case DW_LNE_end_sequence: {
            auto begin = table.rows_.begin() + static_cast<std::ptrdiff_t>(first);
            const bool sorted =
                std::is_sorted(begin, table.rows_.end(),
                               [](const Row& a, const Row& b) { return a.address < b.address; });
            if (table.rows_.size() > first && sorted && !IsDropped(begin->address, address_size) &&
                begin->address < address) {
              table.sequences_.push_back({begin->address, address, first, table.rows_.size()});
            } else {
              table.rows_.resize(first);
            }
            restart();
            break;
          }
          case DW_LNE_set_address:
            address = n - 1 == 8 ? r.Get<uint64_t>() : r.Get<uint32_t>();
            break;
          default:
            break;  // define_file, discriminators, extensions of vendors
        }
        r = Reader(next, end);
        break;
      }
      case DW_LNS_copy:
        append();
        break;
      case DW_LNS_advance_pc:
        address += r.Uleb() * min_length;
        break;
      case DW_LNS_advance_line:
        line += static_cast<uint64_t>(r.Sleb());
        break;
      case DW_LNS_set_file:
        file = r.Uleb();
        break;
      case DW_LNS_const_add_pc:
        address += static_cast<uint64_t>((255 - opcode_base) / line_range) * min_length;
        break;
      case DW_LNS_fixed_advance_pc:
        address += r.Get<uint16_t>();
        break;
      default:  // without effect on address, file and line, or unknown
        for (int i = 0; i < operands[opcode]; ++i) r.Uleb();
        break;
    }
  }
  table.rows_.resize(first);  // a sequence without an end is damaged
  std::sort(table.sequences_.begin(), table.sequences_.end(),
            [](const Sequence& a, const Sequence& b) { return a.low < b.low; });
  return table;
}

const LineTable::Row* LineTable::Find(uint64_t address) const {
  auto it = std::upper_bound(sequences_.begin(), sequences_.end(), address,
                             [](uint64_t a, const Sequence& s) { return a < s.low; });
  if (it == sequences_.begin()) return nullptr;
  --it;
  if (address >= it->high) return nullptr;
  const auto begin = rows_.begin() + static_cast<std::ptrdiff_t>(it->first);
  const auto end = rows_.begin() + static_cast<std::ptrdiff_t>(it->last);
  // Of rows with equal addresses the last one is in force: the others cover nothing.
  auto row =
      std::upper_bound(begin, end, address, [](uint64_t a, const Row& r) { return a < r.address; });
  return &*--row;
}

}  // namespace hpy::stacktrace
