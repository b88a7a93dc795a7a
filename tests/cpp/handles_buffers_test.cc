// Copies of bytes: lifetime, limit, poison.
#include <gtest/gtest.h>

#include <string>

#include "handles/buffers.h"

namespace hpy::handles {
namespace {

TEST(Buffers, OneCopyForAHandle) {
  Buffers buffers;
  EXPECT_EQ(buffers.Find(1), nullptr);
  EXPECT_EQ(buffers.SizeOf(1), -1);
  const char* copy = buffers.Give(1, "with\0nul", 8);
  EXPECT_EQ(std::string(copy, 9), std::string("with\0nul\0", 9));
  EXPECT_EQ(buffers.Find(1), copy);
  EXPECT_EQ(buffers.SizeOf(1), 9);
}

TEST(Buffers, BytesArePoisonedWhenTheHandleIsClosed) {
  Buffers buffers;
  const char* copy = buffers.Give(1, "hello", 5);
  EXPECT_TRUE(buffers.Revoke(1, 100));
  EXPECT_EQ(std::string(copy, 6), "\xBA\xD0\xDA\x7A\xBA\xD0");
  buffers.Drop(1);
  EXPECT_EQ(buffers.SizeOf(1), -1);
}

TEST(Buffers, ClosedBytesAreLimited) {
  Buffers buffers;
  const std::string text(200, 'x');
  auto give = [&](uint32_t slot, size_t size) { buffers.Give(slot, text.data(), size - 1); };
  give(1, 151);
  EXPECT_FALSE(buffers.Revoke(1, 100));
  give(2, 32);
  give(3, 33);
  give(4, 51);
  EXPECT_TRUE(buffers.Revoke(2, 100));
  EXPECT_TRUE(buffers.Revoke(3, 100));
  EXPECT_FALSE(buffers.Revoke(4, 100));
  EXPECT_EQ(buffers.SizeOf(4), -1);
  buffers.Drop(2);  // its slot was used again: 33 are left
  give(5, 51);
  EXPECT_TRUE(buffers.Revoke(5, 100));
}

}  // namespace
}  // namespace hpy::handles
