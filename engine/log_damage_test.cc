// What Open makes of a log whose files are not as they were left: a torn tail ends it, anything
// else is refused, and nothing is ever lost silently.
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/coding.h"
#include "engine/log.h"
#include "engine/log_test_support.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#define XXH_INLINE_ALL
#include "xxhash.h"

namespace slotkv {
namespace {

constexpr absl::StatusCode kDataLoss = absl::StatusCode::kDataLoss;

using testing::ElementsAre;
using testing::SizeIs;

// The offset of the `index`-th record of a segment that begins with record 1.
size_t OffsetOf(const std::string& bytes, int index) {
  size_t offset = kSegmentHeaderBytes;
  for (int i = 1; i < index; ++i) {
    const size_t payload = LoadFixed<uint32_t>(bytes.data() + offset) + 4 - kRecordHeaderBytes;
    offset += EncodedRecordSize(payload);
  }
  return offset;
}

class LogDamageTest : public testing::Test {
 protected:
  LogDamageTest() { t_.options.io = LogIo::kWrite; }

  // A closed log of one file with these payloads. `synced`: of the first so many.
  void MakeLog(const std::vector<std::string>& payloads, size_t synced) {
    ASSERT_THAT(t_.Create(), IsOk());
    for (size_t i = 0; i < payloads.size(); ++i) {
      ASSERT_THAT(t_.Append({payloads[i]}), IsOk());
      if (i + 1 == synced) {
        ASSERT_THAT(t_.Sync(), IsOk());
      }
    }
    t_.log.reset();
    file_ = t_.Files().front();
    bytes_ = BytesOf(file_);
  }

  // Opens the log with `bytes` in its one file.
  absl::Status OpenWith(std::string_view bytes) {
    t_.log.reset();
    for (const std::string& path : t_.Files()) std::filesystem::remove(path);
    SetFileBytes(file_, bytes);
    return t_.Open();
  }

  // A closed log of three segments with records of 1..last, all durable.
  void MakeThreeSegments() {
    ASSERT_THAT(t_.Create(), IsOk());
    while (t_.log->segment_count() < 3) ASSERT_THAT(t_.AppendMany(1), IsOk());
    ASSERT_THAT(t_.Sync(), IsOk());
    t_.log.reset();
  }

  TestLog t_;
  std::string file_, bytes_;
};

TEST_F(LogDamageTest, TheLastRecordCutAtEveryByte) {
  MakeLog({"one", "two", "three, of some length"}, 0);
  const size_t start = OffsetOf(bytes_, 3);
  const size_t end = start + kRecordHeaderBytes + 21;
  for (size_t cut = start; cut < end; ++cut) {
    ASSERT_THAT(OpenWith(bytes_.substr(0, cut)), IsOk()) << cut;  // the file ends there
    EXPECT_THAT(*t_.ReadAll(), ElementsAre("one", "two")) << cut;
    std::string torn = bytes_;  // or the rest was never written
    torn.replace(cut, end - cut, end - cut, '\0');
    ASSERT_THAT(OpenWith(torn), IsOk()) << cut;
    EXPECT_THAT(*t_.ReadAll(), ElementsAre("one", "two")) << cut;
    EXPECT_EQ(t_.recovery.last.index, LogIndex(2));
    // The log goes on, and stays as it is now.
    ASSERT_THAT(t_.Append({"new three"}), IsOk());
    ASSERT_THAT(t_.Open(), IsOk());
    EXPECT_THAT(*t_.ReadAll(), ElementsAre("one", "two", "new three"));
  }
  for (size_t cut = end; cut < end + 100; ++cut) {  // padding, and space behind it
    ASSERT_THAT(OpenWith(bytes_.substr(0, cut)), IsOk()) << cut;
    EXPECT_THAT(*t_.ReadAll(), SizeIs(3));
  }
}

TEST_F(LogDamageTest, TheLastRecordCutAtEveryByteAfterItsSync) {
  MakeLog({"one", "two", "three, of some length"}, 3);
  const size_t start = OffsetOf(bytes_, 3);
  const std::string where = file_ + ": offset " + std::to_string(start);
  for (size_t cut = start; cut < start + kRecordHeaderBytes + 21; ++cut) {
    EXPECT_THAT(OpenWith(bytes_.substr(0, cut)), HasError(kDataLoss, where)) << cut;
    EXPECT_THAT(t_.Files(), SizeIs(1)) << "a refused log was changed";
    EXPECT_EQ(BytesOf(file_), bytes_.substr(0, cut));
  }
}

// A later record says so, too, when the marks are gone.
TEST_F(LogDamageTest, ALaterRecordProvesWhatWasDurable) {
  MakeLog({"one", "two", "three"}, 2);
  std::string no_marks = bytes_;
  for (const size_t offset : kMarkOffsets) no_marks.replace(offset, 24, 24, '\0');
  ASSERT_THAT(OpenWith(no_marks), IsOk());
  EXPECT_THAT(*t_.ReadAll(), SizeIs(3));
  for (const int damaged : {1, 2}) {
    std::string bytes = no_marks;
    const size_t start = OffsetOf(bytes, damaged);
    bytes[start + kRecordHeaderBytes] ^= 1;
    EXPECT_THAT(OpenWith(bytes), HasError(kDataLoss, file_ + ": offset " + std::to_string(start)));
  }
  std::string bytes = no_marks;  // nothing says that the third one was
  bytes[OffsetOf(bytes, 3) + kRecordHeaderBytes] ^= 1;
  ASSERT_THAT(OpenWith(bytes), IsOk());
  EXPECT_THAT(*t_.ReadAll(), ElementsAre("one", "two"));
}

TEST_F(LogDamageTest, EveryFlippedByteOfASyncedSegment) {
  MakeLog({"one", "", "three, of some length"}, 3);
  const std::vector<std::string> all = {"one", "", "three, of some length"};
  const size_t end = OffsetOf(bytes_, 3) + EncodedRecordSize(all[2].size());
  int refused = 0;
  for (size_t i = 0; i < end + 16; ++i) {
    if (i == 240) i = 504;  // nothing is there
    std::string bytes = bytes_;
    bytes[i] = static_cast<char>(bytes[i] ^ 0x41);
    const absl::Status status = OpenWith(bytes);
    if (status.ok()) {
      EXPECT_EQ(*t_.ReadAll(), all) << "offset " << i;
      continue;
    }
    ++refused;
    EXPECT_THAT(status, HasError(kDataLoss, file_ + ": offset ")) << "offset " << i;
  }
  // The header's 80 bytes, and each record without its padding.
  EXPECT_EQ(refused, static_cast<int>(80 + 3 * kRecordHeaderBytes + 3 + 21));
  for (const size_t mark : kMarkOffsets) {
    std::string bytes = bytes_;
    bytes.replace(mark, 24, 24, 'x');
    EXPECT_THAT(OpenWith(bytes), IsOk());
    EXPECT_EQ(*t_.ReadAll(), all);
  }
}

TEST_F(LogDamageTest, WhatOpenMadeDurableIsMissedLater) {
  MakeLog({"one", "two", "three"}, 0);
  ASSERT_THAT(t_.Open(), IsOk());  // syncs what it found
  ASSERT_THAT(t_.Sync(), IsOk());
  t_.log.reset();
  std::string bytes = BytesOf(file_);
  bytes[OffsetOf(bytes, 2) + kRecordHeaderBytes] ^= 1;
  SetFileBytes(file_, bytes);
  EXPECT_THAT(t_.Open(), HasError(kDataLoss, file_));
}

TEST_F(LogDamageTest, AReadFindsDamageBehindOpensBack) {
  ASSERT_THAT(t_.Create(), IsOk());
  ASSERT_THAT(t_.AppendMany(3), IsOk());
  const std::string file = t_.Files().front();
  std::string bytes = BytesOf(file);
  const size_t start = OffsetOf(bytes, 2);
  bytes[start + 60] ^= 1;
  SetFileBytes(file, bytes);
  EXPECT_THAT(t_.ReadAll(), HasError(kDataLoss, file + ": offset " + std::to_string(start)));
}

TEST_F(LogDamageTest, MissingSegments) {
  MakeThreeSegments();
  const std::vector<std::string> files = t_.Files();
  const auto without = [&](size_t missing) {
    std::filesystem::rename(files[missing], files[missing] + ".away");
    const absl::Status status = t_.Open();
    EXPECT_FALSE(status.ok() && missing != 0);
    t_.log.reset();
    std::filesystem::rename(files[missing] + ".away", files[missing]);
    return status;
  };
  EXPECT_THAT(without(1), HasError(kDataLoss, files[0] + ": offset "));
  // Whether the first one may be gone, the store knows.
  EXPECT_THAT(without(0), IsOk());
  EXPECT_GT(t_.recovery.first, LogIndex(1));
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(t_.recovery.first, LogIndex(1));
}

TEST_F(LogDamageTest, AMissingMiddleSegmentIsSeenWithoutAnyLaterRecord) {
  MakeLog({"one"}, 1);
  ASSERT_THAT(t_.Open(), IsOk());
  ASSERT_THAT(t_.Append({"two"}), IsOk());
  ASSERT_THAT(t_.Sync(), IsOk());
  ASSERT_THAT(t_.Open(), IsOk());
  t_.log.reset();
  ASSERT_THAT(t_.Files(), SizeIs(3));
  std::filesystem::remove(t_.Files()[1]);
  EXPECT_THAT(t_.Open(), HasCode(kDataLoss));
}

TEST_F(LogDamageTest, MissingLog) {
  EXPECT_THAT(t_.Open(), HasError(kDataLoss, t_.directory));
  std::filesystem::create_directories(t_.directory);
  EXPECT_THAT(t_.Open(), HasError(kDataLoss, t_.directory + ": the log is missing"));
  // Spares alone are no log.
  SetFileBytes(JoinPath(t_.directory, SegmentName(1)), std::string(4096, '\0'));
  EXPECT_THAT(t_.Open(), HasError(kDataLoss, t_.directory + ": the log is missing"));
}

TEST_F(LogDamageTest, SegmentsBehindTheEndAreDeleted) {
  // Four segments, none durable; then the second loses its last record.
  ASSERT_THAT(t_.Create(), IsOk());
  while (t_.log->segment_count() < 4) ASSERT_THAT(t_.AppendMany(1), IsOk());
  const size_t all = t_.ReadAll()->size();
  t_.log.reset();
  std::vector<std::string> files = t_.Files();
  std::string second = BytesOf(files[1]);
  const size_t last_byte = second.find_last_not_of('\0');
  second[last_byte] ^= 1;
  SetFileBytes(files[1], second);
  ASSERT_THAT(t_.Open(), IsOk());
  const std::vector<std::string> kept = *t_.ReadAll();
  EXPECT_LT(kept.size(), all);
  EXPECT_EQ(t_.log->segment_count(), 3u);
  EXPECT_FALSE(std::filesystem::exists(files[2]));
  EXPECT_FALSE(std::filesystem::exists(files[3]));
  EXPECT_GE(t_.hook->done(FileOp::kSyncDirectory), 1);
  // Otherwise these records would stand before the old ones of the same indexes.
  ASSERT_THAT(t_.Append({"new"}), IsOk());
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_EQ(t_.ReadAll()->size(), kept.size() + 1);
  EXPECT_EQ(t_.ReadAll()->back(), "new");
}

TEST_F(LogDamageTest, FilesOfOthersAreLeftAlone) {
  MakeLog({"one"}, 1);
  SetFileBytes(JoinPath(t_.directory, "notes.txt"), "hello");
  SetFileBytes(JoinPath(t_.directory, "42.log"), "hello");
  ASSERT_THAT(t_.Open(), IsOk());
  EXPECT_THAT(*t_.ReadAll(), ElementsAre("one"));
  EXPECT_EQ(BytesOf(JoinPath(t_.directory, "42.log")), "hello");
}

TEST_F(LogDamageTest, AnotherLogIsRefusedByName) {
  MakeLog({"one"}, 1);
  const LogIdentity own = t_.identity;
  t_.identity.cluster[0] ^= 1;
  EXPECT_THAT(t_.Open(), HasError(kDataLoss, file_ + ": offset 16: the log of another cluster"));
  t_.identity = own;
  t_.identity.node = NodeId(8);
  EXPECT_THAT(t_.Open(), HasError(kDataLoss, "the log of shard-3 node-7, not of shard-3 node-8"));
  t_.identity = own;
  t_.identity.shard = ShardId(4);
  EXPECT_THAT(t_.Open(), HasError(kDataLoss, "the log of shard-3 node-7, not of shard-4 node-7"));
  t_.identity = own;
  // One segment under another's name.
  std::filesystem::rename(file_, JoinPath(t_.directory, SegmentName(9)));
  EXPECT_THAT(t_.Open(), HasError(kDataLoss, "this is file 1 of the log"));
}

TEST_F(LogDamageTest, ALaterVersionIsRefusedByName) {
  MakeLog({"one"}, 1);
  std::string bytes = bytes_;
  bytes[8] = 2;
  StoreFixed<uint64_t>(bytes.data() + 72, XXH3_64bits(bytes.data(), 72));
  EXPECT_THAT(OpenWith(bytes), HasError(absl::StatusCode::kFailedPrecondition,
                                        file_ + ": offset 8: log format version 2"));
}

}  // namespace
}  // namespace slotkv
