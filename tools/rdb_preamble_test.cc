#include "tools/rdb_preamble.h"

#include <string>
#include <string_view>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/test_input.h"

namespace slotkv::tools {
namespace {

using ::testing::HasSubstr;

// Both written by Redis 7.0.15: before the first key, and with SET a 1.
std::string EmptySnapshot() {
  return absl::HexStringToBytes(
      "524544495330303130fa0972656469732d76657206372e302e3135fa0a72656469732d62697473c040fa05637469"
      "6d65c21a1b036bfa08757365642d6d656dc270600d00fa08616f662d62617365c001ffa5db2215210a1799");
}
std::string SnapshotWithOneKey() {
  return absl::HexStringToBytes(
      "524544495330303130fa0972656469732d76657206372e302e3135fa0a72656469732d62697473c040fa05637469"
      "6d65c21b1b036bfa08757365642d6d656dc2f8560e00fa08616f662d62617365c001fe00fb0100000161c001ff1a"
      "616106d8b41bfe");
}

TEST(RdbPreambleTest, PassesOverAnEmptySnapshot) {
  for (const size_t part_bytes : {size_t{1}, SIZE_MAX}) {
    BufferedInput input(StringSource(EmptySnapshot() + "PING\r\n", part_bytes));
    EXPECT_TRUE(SkipEmptyRdbPreamble(&input).ok());
    EXPECT_EQ(input.offset(), EmptySnapshot().size());
    EXPECT_EQ(*input.Lookahead(6), "PING\r\n");
  }
}

TEST(RdbPreambleTest, PassesOverAnEmptySnapshotWithDatabases) {
  // The checksum 0 means that there is none.
  const std::string bytes =
      std::string("REDIS0010") +
      absl::HexStringToBytes("fe00fb0000fe43e8fb8000000000810000000000000000ff") +
      std::string(8, '\0');
  BufferedInput input(StringSource(bytes));
  EXPECT_TRUE(SkipEmptyRdbPreamble(&input).ok());
  EXPECT_EQ(input.offset(), bytes.size());
}

TEST(RdbPreambleTest, RefusesASnapshotWithKeysAndSaysWhatToDo) {
  BufferedInput input(StringSource(SnapshotWithOneKey()));
  const absl::Status status = SkipEmptyRdbPreamble(&input);
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("aof-use-rdb-preamble no"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("version 0010"));
}

TEST(RdbPreambleTest, FindsDamage) {
  for (size_t size = 9; size < EmptySnapshot().size(); ++size) {
    BufferedInput input(StringSource(EmptySnapshot().substr(0, size)));
    EXPECT_TRUE(absl::IsDataLoss(SkipEmptyRdbPreamble(&input))) << size;
  }
  // Any changed byte is found, by its meaning or by the checksum.
  for (size_t at = 9; at < EmptySnapshot().size(); ++at) {
    std::string bytes = EmptySnapshot();
    bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
    BufferedInput input(StringSource(bytes));
    EXPECT_FALSE(SkipEmptyRdbPreamble(&input).ok()) << at;
  }
}

TEST(RdbPreambleTest, LeavesEverythingElseAlone) {
  for (const char* const bytes : {"", "REDI", "PING\r\n", "REDIS\r\n", "REDISABCD\r\n"}) {
    BufferedInput input(StringSource(bytes));
    EXPECT_TRUE(SkipEmptyRdbPreamble(&input).ok()) << bytes;
    EXPECT_EQ(input.offset(), 0) << bytes;
  }
}

}  // namespace
}  // namespace slotkv::tools
