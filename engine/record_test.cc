#include "engine/record.h"

#include <random>
#include <string>
#include <vector>

#include "engine/coding.h"
#include "gtest/gtest.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

constexpr uint64_t kSeed = 0x1234;

Record SampleRecord(std::string_view payload) {
  Record record;
  record.position = {ShardEpoch(0x0102030405060708), LogIndex(0x1112131415161718)};
  record.commit = LogIndex(0x2122232425262728);
  record.clock_ms = 0x4142434445464748;
  record.kind = RecordKind::kWrite;
  record.payload = payload;
  return record;
}

std::string Encoded(const Record& record, uint64_t seed = kSeed) {
  std::string out;
  EncodeRecord(record, LogIndex(0x3132333435363738), seed, &out);
  return out;
}

TEST(RecordTest, GoldenBytes) {
  // doc/formats.md describes these bytes; they must stay readable for ever.
  EXPECT_EQ(ToHex(Encoded(SampleRecord("payload"))),
            "38000000"          // length: 8 + 41 + 7
            "a69ebbaf513b0833"  // checksum
            "0807060504030201"  // shard epoch
            "1817161514131211"  // index
            "2827262524232221"  // commit index
            "3837363534333231"  // synced index
            "4847464544434241"  // clock
            "02"                // kind
            "7061796c6f6164"    // payload
            "00000000");        // padding
}

TEST(RecordTest, RoundTrip) {
  std::mt19937_64 random(TestSeed());
  for (const size_t size : {0, 1, 2, 3, 4, 5, 10, 11, 12, 100, 4096, 100000}) {
    std::string payload(size, '\0');
    for (char& c : payload) c = static_cast<char>(random());
    Record record = SampleRecord(payload);
    record.kind = size == 0 ? RecordKind::kEpochStart : RecordKind::kWrite;
    std::string out = "12345678";  // encoding appends
    EncodeRecord(record, LogIndex(7), kSeed, &out);
    ASSERT_EQ(out.size(), 8 + EncodedRecordSize(size));
    EXPECT_EQ(out.size() % kRecordAlignment, 0u);
    const auto decoded = DecodeRecord(std::string_view(out).substr(8), kSeed);
    ASSERT_TRUE(decoded.has_value()) << size;
    EXPECT_EQ(decoded->record.position, record.position);
    EXPECT_EQ(decoded->record.commit, record.commit);
    EXPECT_EQ(decoded->record.clock_ms, record.clock_ms);
    EXPECT_EQ(decoded->record.kind, record.kind);
    EXPECT_EQ(decoded->record.payload, payload);
    EXPECT_EQ(decoded->synced, LogIndex(7));
    EXPECT_EQ(decoded->size, EncodedRecordSize(size));
  }
}

TEST(RecordTest, EveryTruncationIsRefused) {
  const std::string bytes = Encoded(SampleRecord("some payload of no round length"));
  const size_t unpadded = kRecordHeaderBytes + 31;
  ASSERT_LT(unpadded, bytes.size());
  for (size_t size = 0; size < unpadded; ++size) {
    EXPECT_FALSE(DecodeRecord(std::string_view(bytes).substr(0, size), kSeed).has_value()) << size;
  }
  // What a torn write leaves: zeros from some byte on.
  for (size_t size = 0; size < unpadded; ++size) {
    std::string torn = bytes.substr(0, size);
    torn.resize(bytes.size() + 64);
    if (torn.substr(0, bytes.size()) == bytes) continue;
    EXPECT_FALSE(DecodeRecord(torn, kSeed).has_value()) << size;
  }
}

TEST(RecordTest, EveryFlippedBitIsRefused) {
  const std::string payload = "payload";
  const std::string bytes = Encoded(SampleRecord(payload));
  for (size_t i = 0; i < kRecordHeaderBytes + payload.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = bytes + std::string(1 << 16, 'x');  // room for a larger length
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      EXPECT_FALSE(DecodeRecord(flipped, kSeed).has_value()) << i << " bit " << bit;
    }
  }
}

TEST(RecordTest, RecordsOfAnotherSegmentAreRefused) {
  const std::string bytes = Encoded(SampleRecord("payload"));
  EXPECT_TRUE(DecodeRecord(bytes, kSeed).has_value());
  for (const uint64_t seed : {uint64_t{0}, kSeed + 1, kSeed - 1, kSeed + 56, ~kSeed}) {
    EXPECT_FALSE(DecodeRecord(bytes, seed).has_value()) << seed;
  }
}

TEST(RecordTest, LengthsThatCannotBeAreRefused) {
  std::string bytes = Encoded(SampleRecord("payload"));
  for (const uint32_t length : {0u, 1u, 8u, 48u, 0x7fffffffu, 0xffffffffu}) {
    StoreFixed<uint32_t>(bytes.data(), length);
    EXPECT_FALSE(DecodeRecord(bytes, kSeed).has_value()) << length;
  }
}

TEST(RecordTest, GarbageNeverDecodesNorCrashes) {
  std::mt19937_64 random(TestSeed());
  const std::string sound = Encoded(SampleRecord(std::string(200, 'v')));
  for (int i = 0; i < 50000; ++i) {
    std::string bytes(random() % 200, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    if (bytes.size() >= 4) {
      StoreFixed<uint32_t>(bytes.data(), static_cast<uint32_t>(random() % 256));
    }
    EXPECT_FALSE(DecodeRecord(bytes, kSeed).has_value());
    std::string damaged = sound;
    for (int flips = 0; flips < 3; ++flips) {
      const size_t at = random() % (kRecordHeaderBytes + 200);
      damaged[at] = static_cast<char>(random());
    }
    EXPECT_EQ(DecodeRecord(damaged, kSeed).has_value(), damaged == sound);
  }
}

}  // namespace
}  // namespace slotkv
