#include "tools/text.h"

#include <string>

#include "gtest/gtest.h"

namespace slotkv::tools {
namespace {

TEST(TextTest, EscapesWhatDoesNotPrint) {
  EXPECT_EQ(Escaped(""), "");
  EXPECT_EQ(Escaped("session:42 \"quoted\" 'too'"), "session:42 \"quoted\" 'too'");
  EXPECT_EQ(Escaped("a\\b\n\r\t"), "a\\\\b\\n\\r\\t");
  EXPECT_EQ(Escaped(std::string("\0\x1b[2J\x7f\xff~", 8)), "\\x00\\x1b[2J\\x7f\\xff~");
}

TEST(TextTest, ByteSizes) {
  EXPECT_EQ(ByteSize(0), "0 bytes");
  EXPECT_EQ(ByteSize(1), "1 byte");
  EXPECT_EQ(ByteSize(1023), "1,023 bytes");
  EXPECT_EQ(ByteSize(1024), "1.0 KiB");
  EXPECT_EQ(ByteSize(1536), "1.5 KiB");
  EXPECT_EQ(ByteSize((uint64_t{1} << 20) - 1), "1.0 MiB");
  EXPECT_EQ(ByteSize(uint64_t{5} << 40), "5.0 TiB");
  EXPECT_EQ(ByteSize(uint64_t{5} << 50), "5120.0 TiB");
}

TEST(TextTest, Counts) {
  EXPECT_EQ(WithCommas(0), "0");
  EXPECT_EQ(WithCommas(999), "999");
  EXPECT_EQ(WithCommas(1000), "1,000");
  EXPECT_EQ(WithCommas(1234567), "1,234,567");
  EXPECT_EQ(Count(1, "key"), "1 key");
  EXPECT_EQ(Count(2000, "key"), "2,000 keys");
}

}  // namespace
}  // namespace slotkv::tools
