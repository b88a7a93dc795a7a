// The decoder of line tables, on tables that no compiler would write.

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "stacktrace/line_table.h"

namespace hpy::stacktrace {
namespace {

// A version 4 table around a program. min_length 1, line_base -5, line_range 14, opcode_base 13.
std::string Table(const std::string& program) {
  std::string header("\x01\x01\x01\xfb\x0e\x0d\x00\x01\x01\x01\x01\x00\x00\x00\x01\x00\x00\x01",
                     18);
  header += std::string("\0\0", 2);  // no directories, no files
  const auto u32 = [](size_t n) {
    std::string s(4, '\0');
    for (int i = 0; i < 4; ++i) s[static_cast<size_t>(i)] = static_cast<char>(n >> (8 * i));
    return s;
  };
  const std::string body = std::string("\x04\x00", 2) + u32(header.size()) + header + program;
  return u32(body.size()) + body;
}
std::string SetAddress(uint64_t address) {
  std::string s("\x00\x09\x02", 3);
  for (int i = 0; i < 8; ++i) s += static_cast<char>(address >> (8 * i));
  return s;
}
const std::string kEnd("\x00\x01\x01", 3);
std::string Advance(int bytes) { return std::string("\x02") + static_cast<char>(bytes); }
std::string Line(int delta) { return std::string("\x03") + static_cast<char>(delta & 0x7f); }
const std::string kCopy("\x01");

LineTable Decode(const std::string& bytes) {
  return LineTable::Decode(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), 0,
                           8);
}
int LineAt(const LineTable& table, uint64_t address) {
  const LineTable::Row* row = table.Find(address);
  return row == nullptr ? -1 : static_cast<int>(row->line);
}

TEST(LineTable, RowsHoldUntilTheNext) {
  const LineTable t = Decode(Table(SetAddress(0x1000) + Line(9) + kCopy + Advance(16) + Line(1) +
                                   kCopy + Advance(4) + kEnd));
  EXPECT_EQ(LineAt(t, 0xfff), -1);
  EXPECT_EQ(LineAt(t, 0x1000), 10);
  EXPECT_EQ(LineAt(t, 0x100f), 10);
  EXPECT_EQ(LineAt(t, 0x1010), 11);
  EXPECT_EQ(LineAt(t, 0x1013), 11);
  EXPECT_EQ(LineAt(t, 0x1014), -1);  // past the end
}

TEST(LineTable, OfRowsAtOneAddressTheLast) {
  const LineTable t = Decode(Table(SetAddress(0x1000) + Line(9) + kCopy + Line(1) + kCopy +
                                   Line(1) + kCopy + Advance(4) + kEnd));
  EXPECT_EQ(LineAt(t, 0x1000), 12);
}

TEST(LineTable, SpecialOpcodesGoBackwards) {
  // Opcode 13: address + 0, line - 5.
  const LineTable t = Decode(Table(SetAddress(0x1000) + Line(9) + "\x0d" + Advance(4) + kEnd));
  EXPECT_EQ(LineAt(t, 0x1000), 5);
}

TEST(LineTable, SequencesKeepApart) {
  std::string dropped = SetAddress(0);
  for (int i = 0; i < 100; ++i) dropped += Line(1) + kCopy + Advance(100);
  const LineTable t =
      Decode(Table(dropped + kEnd + SetAddress(0x1000) + Line(9) + kCopy + Advance(100) + kEnd +
                   SetAddress(0x900) + Line(1) + kCopy + Advance(4) + kEnd));
  for (uint64_t a = 0x1000; a < 0x1064; ++a) EXPECT_EQ(LineAt(t, a), 10);
  EXPECT_EQ(LineAt(t, 0x900), 2);
  EXPECT_EQ(LineAt(t, 0x1100), -1);
  EXPECT_EQ(LineAt(t, 100), -1);
}

TEST(LineTable, DamagedTablesAreHarmless) {
  const std::string good = Table(SetAddress(0x1000) + Line(9) + kCopy + Advance(16) + kEnd);
  for (size_t n = 0; n < good.size(); ++n) EXPECT_TRUE(Decode(good.substr(0, n)).empty());
  std::minstd_rand random(1);
  for (int i = 0; i < 20000; ++i) {
    std::string bad = good;
    for (int k = 0; k < 3; ++k) bad[4 + random() % (bad.size() - 4)] = static_cast<char>(random());
    Decode(bad).Find(0x1000);
  }
  EXPECT_TRUE(LineTable::Decode(nullptr, 0, 0, 8).empty());
  EXPECT_TRUE(LineTable::Decode(reinterpret_cast<const unsigned char*>(good.data()), good.size(),
                                1u << 20, 8)
                  .empty());
}

}  // namespace
}  // namespace hpy::stacktrace
