#include "engine/segment.h"

#include <algorithm>
#include <random>
#include <string>

#define XXH_INLINE_ALL
#include "engine/coding.h"
#include "gtest/gtest.h"
#include "tests/test_support.h"
#include "xxhash.h"

namespace slotkv {
namespace {

constexpr absl::StatusCode kDataLoss = absl::StatusCode::kDataLoss;
const std::string kPath = "dir/0000000042.log";

SegmentHeader SampleHeader() {
  SegmentHeader header;
  for (size_t i = 0; i < 16; ++i) header.identity.cluster[i] = static_cast<uint8_t>(0xa0 + i);
  header.identity.shard = ShardId(3);
  header.identity.node = NodeId(7);
  header.sequence = 42;
  header.first = LogIndex(0x0102030405060708);
  header.previous_epoch = ShardEpoch(0x1112131415161718);
  header.seed = 0x2122232425262728;
  return header;
}

absl::StatusOr<SegmentScan> Scan(std::string_view bytes) {
  return ScanSegment(bytes, SampleHeader().identity, 42, kPath);
}

// A segment of `count` records, reserved space behind them.
std::string SampleSegment(int count) {
  const SegmentHeader header = SampleHeader();
  std::string bytes = EncodeSegmentHeader(header);
  for (int i = 0; i < count; ++i) {
    const std::string payload = "payload " + std::to_string(i);
    Record record;
    record.position = {header.previous_epoch.Next(),
                       LogIndex(header.first.value() + static_cast<uint64_t>(i))};
    record.commit = LogIndex(header.first.value() + static_cast<uint64_t>(i) - 1);
    record.clock_ms = 1000 + static_cast<uint64_t>(i);
    record.payload = payload;
    EncodeRecord(record, LogIndex(0), header.seed, &bytes);
  }
  bytes.resize(4096);
  return bytes;
}

// Puts the header's checksum right after a change of the header.
void Reseal(std::string* bytes) {
  StoreFixed<uint64_t>(bytes->data() + 72, XXH3_64bits(bytes->data(), 72));
}

TEST(SegmentTest, GoldenHeader) {
  const std::string bytes = EncodeSegmentHeader(SampleHeader());
  ASSERT_EQ(bytes.size(), 512u);
  EXPECT_EQ(ToHex(bytes.substr(0, 80)),
            "534c4f544b564c47"                  // magic
            "01000000"                          // version
            "00020000"                          // offset of the first record
            "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"  // cluster
            "03000000"                          // shard
            "07000000"                          // node
            "2a00000000000000"                  // sequence
            "0807060504030201"                  // first index
            "1817161514131211"                  // previous epoch
            "2827262524232221"                  // checksum seed
            "af55ec19ad2729d3");                // checksum
  EXPECT_EQ(bytes.substr(80), std::string(432, '\0'));
}

TEST(SegmentTest, GoldenMark) {
  EXPECT_EQ(ToHex(EncodeMark({LogIndex(0x0102030405060708), 0x1112131415161718}, 99)),
            "0807060504030201"    // synced index
            "1817161514131211"    // clock
            "5be415b77cbce5cf");  // checksum
}

TEST(SegmentTest, ScanFindsWhatWasWritten) {
  const std::string bytes = SampleSegment(3);
  const auto scan = Scan(bytes);
  ASSERT_THAT(scan, IsOk());
  ASSERT_TRUE(scan->header.has_value());
  EXPECT_EQ(scan->header->first, SampleHeader().first);
  EXPECT_EQ(scan->header->previous_epoch, SampleHeader().previous_epoch);
  EXPECT_EQ(scan->header->seed, SampleHeader().seed);
  EXPECT_EQ(scan->last.index.value(), SampleHeader().first.value() + 2);
  EXPECT_EQ(scan->last.epoch, SampleHeader().previous_epoch.Next());
  EXPECT_EQ(scan->last_commit.value(), SampleHeader().first.value() + 1);
  EXPECT_EQ(scan->end, 512 + 3 * EncodedRecordSize(9));
  EXPECT_EQ(scan->highest_clock_ms, 1002u);
  EXPECT_EQ(scan->highest_synced, LogIndex(0));
}

TEST(SegmentTest, EmptySegmentEndsBeforeItsFirstRecord) {
  const auto scan = Scan(SampleSegment(0));
  ASSERT_THAT(scan, IsOk());
  EXPECT_EQ(scan->last.index.Next(), SampleHeader().first);
  EXPECT_EQ(scan->last.epoch, SampleHeader().previous_epoch);
  EXPECT_EQ(scan->end, kSegmentHeaderBytes);
}

TEST(SegmentTest, EveryFlippedHeaderBitIsSeen) {
  const std::string with_records = SampleSegment(2), without = SampleSegment(0);
  for (size_t i = 0; i < 80; ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string bytes = with_records;
      bytes[i] = static_cast<char>(bytes[i] ^ (1 << bit));
      EXPECT_THAT(Scan(bytes), HasError(kDataLoss, kPath + ": offset 0: bad checksum")) << i;
      // Without data it may be a header that a crash tore: it holds nothing either way.
      bytes = without;
      bytes[i] = static_cast<char>(bytes[i] ^ (1 << bit));
      const auto scan = Scan(bytes);
      ASSERT_THAT(scan, IsOk());
      EXPECT_FALSE(scan->header.has_value()) << i;
    }
  }
}

TEST(SegmentTest, NoHeader) {
  for (const size_t size : {0, 1, 511, 512, 4096}) {
    const auto scan = Scan(std::string(size, '\0'));
    ASSERT_THAT(scan, IsOk());
    EXPECT_FALSE(scan->header.has_value()) << size;
  }
  EXPECT_THAT(Scan(SampleSegment(2).substr(0, 511)),
              HasError(kDataLoss, "ends within the segment header"));
}

TEST(SegmentTest, OtherLogsAndLaterVersionsAreRefusedByName) {
  struct Case {
    size_t offset;
    absl::StatusCode code;
    const char* text;
  };
  for (const Case& c : {Case{0, kDataLoss, "not a slotkv log segment"},
                        Case{8, absl::StatusCode::kFailedPrecondition, "log format version"},
                        Case{16, kDataLoss, "another cluster"},
                        Case{32, kDataLoss, "the log of shard-2 node-7, not of shard-3 node-7"},
                        Case{36, kDataLoss, "the log of shard-3 node-6, not of shard-3 node-7"},
                        Case{40, kDataLoss, "file 43 of the log"}}) {
    std::string bytes = SampleSegment(1);
    bytes[c.offset] = static_cast<char>(bytes[c.offset] ^ 1);
    Reseal(&bytes);
    EXPECT_THAT(Scan(bytes), HasError(c.code, c.text)) << c.offset;
    EXPECT_THAT(Scan(bytes), HasError(c.code, kPath)) << c.offset;
  }
}

TEST(SegmentTest, OneTornMarkCostsNothing) {
  const LogMark old_mark = {LogIndex(5), 1000}, new_mark = {LogIndex(9), 900};
  for (const size_t torn : kMarkOffsets) {
    const size_t sound = torn == kMarkOffsets[0] ? kMarkOffsets[1] : kMarkOffsets[0];
    std::string bytes = SampleSegment(0);
    bytes.replace(sound, 24, EncodeMark(old_mark, SampleHeader().seed));
    const std::string mark = EncodeMark(new_mark, SampleHeader().seed);
    for (size_t written = 0; written < 24; ++written) {
      bytes.replace(torn, 24, mark.substr(0, written) + std::string(24 - written, '\0'));
      const auto scan = Scan(bytes);
      ASSERT_THAT(scan, IsOk());
      EXPECT_EQ(scan->mark.synced, LogIndex(5)) << written;
      EXPECT_EQ(scan->mark.clock_ms, 1000u) << written;
    }
    // Whole, each field is the higher of the two.
    bytes.replace(torn, 24, mark);
    const auto scan = Scan(bytes);
    ASSERT_THAT(scan, IsOk());
    EXPECT_EQ(scan->mark.synced, LogIndex(9));
    EXPECT_EQ(scan->highest_synced, LogIndex(9));
    EXPECT_EQ(scan->mark.clock_ms, 1000u);
    EXPECT_EQ(scan->highest_clock_ms, 1000u);
  }
}

TEST(SegmentTest, EveryFlippedMarkBitIsSeen) {
  for (const size_t offset : kMarkOffsets) {
    std::string sound = SampleSegment(1);
    sound.replace(offset, 24, EncodeMark({LogIndex(5), 1000}, SampleHeader().seed));
    for (size_t i = offset; i < offset + 24; ++i) {
      std::string bytes = sound;
      bytes[i] = static_cast<char>(bytes[i] ^ 4);
      const auto scan = Scan(bytes);
      ASSERT_THAT(scan, IsOk());
      EXPECT_EQ(scan->mark.synced, LogIndex(0)) << i;
    }
  }
}

TEST(SegmentTest, RecordsBehindABadOneSayWhatWasDurable) {
  const SegmentHeader header = SampleHeader();
  std::string bytes = SampleSegment(2);
  Record record;
  record.position = {header.previous_epoch.Next(), LogIndex(header.first.value() + 2)};
  record.clock_ms = 77777;
  record.payload = "third";
  std::string encoded;
  EncodeRecord(record, LogIndex(header.first.value() + 1), header.seed, &encoded);
  bytes.replace(512 + 2 * EncodedRecordSize(9), encoded.size(), encoded);
  bytes[512 + kRecordHeaderBytes] ^= 1;  // the first record's payload
  const auto scan = Scan(bytes);
  ASSERT_THAT(scan, IsOk());
  EXPECT_EQ(scan->end, 512u);
  EXPECT_EQ(scan->last.index.Next(), header.first);
  EXPECT_EQ(scan->highest_synced.value(), header.first.value() + 1);
  EXPECT_EQ(scan->highest_clock_ms, 77777u);
}

TEST(SegmentTest, RunEndsAtAGapAndAtAFallingEpoch) {
  const SegmentHeader header = SampleHeader();
  const auto scan_of = [&](ShardEpoch epoch, LogIndex index) {
    std::string bytes = SampleSegment(1);
    Record record;
    record.position = {epoch, index};
    std::string encoded;
    EncodeRecord(record, LogIndex(0), header.seed, &encoded);
    bytes.replace(512 + EncodedRecordSize(9), encoded.size(), encoded);
    return Scan(bytes)->last.index.value() - header.first.value() + 1;
  };
  const ShardEpoch epoch = header.previous_epoch.Next();
  EXPECT_EQ(scan_of(epoch, LogIndex(header.first.value() + 1)), 2u);
  EXPECT_EQ(scan_of(epoch.Next(), LogIndex(header.first.value() + 1)), 2u);
  EXPECT_EQ(scan_of(header.previous_epoch, LogIndex(header.first.value() + 1)), 1u);
  EXPECT_EQ(scan_of(epoch, LogIndex(header.first.value() + 2)), 1u);
  EXPECT_EQ(scan_of(epoch, header.first), 1u);
}

TEST(SegmentTest, Names) {
  EXPECT_EQ(SegmentName(42), "0000000042.log");
  EXPECT_EQ(SegmentName(12345678901), "12345678901.log");
  for (const uint64_t sequence : {uint64_t{0}, uint64_t{1}, uint64_t{9999999999}, ~uint64_t{0}}) {
    EXPECT_EQ(ParseSegmentName(SegmentName(sequence)), sequence);
  }
  for (const char* const name :
       {"", ".log", "42.log", "000000042.log", "00000000042.log", "0000000042", "0000000042.tmp",
        "+000000042.log", "-000000042.log", " 000000042.log", "0000000042.log.log",
        "000000004x.log", "99999999999999999999.log"}) {
    EXPECT_EQ(ParseSegmentName(name), std::nullopt) << name;
  }
}

TEST(SegmentTest, GarbageNeverCrashes) {
  std::mt19937_64 random(TestSeed());
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = SampleSegment(static_cast<int>(random() % 5));
    for (uint64_t flips = random() % 8; flips > 0; --flips) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    bytes.resize(random() % 2 == 0 ? bytes.size() : random() % bytes.size());
    if (bytes.size() >= 80 && random() % 2 == 0) Reseal(&bytes);
    const auto scan = Scan(bytes);
    if (scan.ok()) {
      EXPECT_LE(scan->end, bytes.size());
    }
  }
}

}  // namespace
}  // namespace slotkv
