// The line number program of one compilation unit, decoded sequence by sequence.
//
// libdw sorts the rows of all sequences together. That goes wrong where the linker has dropped
// functions
// (--gc-sections, COMDAT): their sequences start at address 0 and their rows lie between those of
// live code. Here each sequence stays by itself, and those of dropped code are left out.

#ifndef HPY_STACKTRACE_LINE_TABLE_H_
#define HPY_STACKTRACE_LINE_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hpy::stacktrace {

class LineTable {
 public:
  struct Row {
    uint64_t address;
    uint32_t file;  // index as the program counts: into the unit's file table
    uint32_t line;  // 0: the compiler says that no line is to blame
  };

  // `section` is .debug_line, `offset` the unit's DW_AT_stmt_list. Little-endian. A damaged or
  // unknown table gives an empty one; so does one of an architecture with several operations per
  // instruction.
  static LineTable Decode(const unsigned char* section, size_t size, uint64_t offset,
                          int address_size);

  // The row in force at `address`, or null.
  const Row* Find(uint64_t address) const;
  bool empty() const { return sequences_.empty(); }

 private:
  struct Sequence {
    uint64_t low, high;
    size_t first, last;  // rows_[first, last)
  };
  std::vector<Row> rows_;
  std::vector<Sequence> sequences_;  // sorted by low
};

}  // namespace hpy::stacktrace

#endif  // HPY_STACKTRACE_LINE_TABLE_H_
