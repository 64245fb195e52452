#include "shard/cluster_files.h"

#include <random>
#include <string>

#include "engine/coding.h"
#include "gtest/gtest.h"
#include "tests/test_support.h"

#define XXH_INLINE_ALL
#include "xxhash.h"

namespace slotkv {
namespace {

constexpr absl::StatusCode kDataLoss = absl::StatusCode::kDataLoss;

ClusterPointer SamplePointer() {
  ClusterPointer pointer;
  std::string id;
  for (char c = 0; c < 16; ++c) id += static_cast<char>(0xa0 + c);
  pointer.id = ClusterId::FromBytes(id);
  pointer.shards = 3;
  pointer.replicas_per_shard = 1;
  pointer.zones.push_back({ZoneState{"zone-a", ZoneId(0x0102030405060708)}, "zone-a"});
  pointer.zones.push_back({ZoneState{"b", ZoneId(2)}, "/mnt/b"});
  return pointer;
}

// The bytes with their checksum put right after a change.
std::string Resealed(std::string bytes) {
  bytes.resize(bytes.size() - 8);
  PutFixed<uint64_t>(&bytes, XXH3_64bits(bytes.data(), bytes.size()));
  return bytes;
}

TEST(ClusterFilesTest, GoldenBytes) {
  // doc/formats.md describes these bytes; they must stay readable for ever.
  EXPECT_EQ(ToHex(EncodeClusterPointer(SamplePointer())),
            "534c4f544b56434c"                  // magic
            "02000000"                          // version
            "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"  // cluster
            "03"                                // shards
            "01"                                // replicas
            "02"                                // zones
            "06"
            "7a6f6e652d61"      // name
            "0807060504030201"  // id
            "06"
            "7a6f6e652d61"  // path
            "01"
            "62"                //
            "0200000000000000"  //
            "06"
            "2f6d6e742f62"        //
            "1a57ae744b72aaca");  // checksum
}

TEST(ClusterFilesTest, ReadsVersion1) {
  std::string bytes = EncodeClusterPointer(SamplePointer());
  bytes[8] = 1;
  bytes.erase(29, 1);
  const auto decoded = DecodeClusterPointer(Resealed(bytes));
  ASSERT_THAT(decoded, IsOk());
  EXPECT_EQ(decoded->shards, 3);
  EXPECT_EQ(decoded->replicas_per_shard, 0);
  EXPECT_EQ(decoded->zones.size(), 2u);
}

TEST(ClusterFilesTest, RoundTrip) {
  const auto decoded = DecodeClusterPointer(EncodeClusterPointer(SamplePointer()));
  ASSERT_THAT(decoded, IsOk());
  EXPECT_EQ(decoded->id, SamplePointer().id);
  EXPECT_EQ(decoded->shards, 3);
  EXPECT_EQ(decoded->replicas_per_shard, 1);
  ASSERT_EQ(decoded->zones.size(), 2u);
  EXPECT_EQ(decoded->zones[0].zone.name, "zone-a");
  EXPECT_EQ(decoded->zones[0].zone.id, ZoneId(0x0102030405060708));
  EXPECT_EQ(decoded->zones[1].path, "/mnt/b");
}

TEST(ClusterFilesTest, EveryTruncationAndFlipIsRefused) {
  const std::string bytes = EncodeClusterPointer(SamplePointer());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THAT(DecodeClusterPointer(bytes.substr(0, size)), HasCode(kDataLoss)) << size;
    std::string flipped = bytes;
    flipped[size] = static_cast<char>(flipped[size] ^ 0x10);
    EXPECT_THAT(DecodeClusterPointer(flipped), HasCode(kDataLoss)) << size;
  }
  EXPECT_THAT(DecodeClusterPointer(bytes + "x"), HasCode(kDataLoss));
}

TEST(ClusterFilesTest, WhatASoundChecksumCoversIsCheckedToo) {
  std::string bytes = EncodeClusterPointer(SamplePointer());
  bytes[8] = 3;
  EXPECT_THAT(DecodeClusterPointer(Resealed(bytes)),
              HasError(absl::StatusCode::kUnimplemented, "format version 3"));
  bytes = EncodeClusterPointer(SamplePointer());
  bytes[30] = 3;  // one zone more than there are
  EXPECT_THAT(DecodeClusterPointer(Resealed(bytes)), HasCode(kDataLoss));
  bytes[30] = 1;  // one less
  EXPECT_THAT(DecodeClusterPointer(Resealed(bytes)), HasCode(kDataLoss));
  bytes[30] = 100;
  EXPECT_THAT(DecodeClusterPointer(Resealed(bytes)), HasError(kDataLoss, "too many zones"));
  bytes = EncodeClusterPointer(SamplePointer());
  bytes[29] = 64;
  EXPECT_THAT(DecodeClusterPointer(Resealed(bytes)), HasError(kDataLoss, "too many replicas"));
  bytes = EncodeClusterPointer(SamplePointer());
  bytes[28] = 0;
  EXPECT_THAT(DecodeClusterPointer(Resealed(bytes)), HasError(kDataLoss, "too many shards"));
}

TEST(ClusterFilesTest, GarbageNeverCrashes) {
  std::mt19937_64 random(TestSeed());
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = EncodeClusterPointer(SamplePointer());
    for (uint64_t flips = random() % 5; flips > 0; --flips) {
      bytes[12 + random() % (bytes.size() - 12)] = static_cast<char>(random());
    }
    DecodeClusterPointer(Resealed(bytes)).status().IgnoreError();
  }
}

TEST(ClusterFilesTest, ErrorsNameTheFile) {
  const TemporaryDirectory root;
  const Disk disk;
  const std::string path = root.Path("CLUSTER");
  EXPECT_THAT(ReadClusterPointer(disk, path), HasError(absl::StatusCode::kNotFound, path));
  SetFileBytes(path, "nonsense");
  EXPECT_THAT(ReadClusterPointer(disk, path), HasError(kDataLoss, path));
  SetFileBytes(path, EncodeClusterPointer(SamplePointer()));
  EXPECT_THAT(ReadClusterPointer(disk, path), IsOk());
}

TEST(ClusterFilesTest, NewPointersHaveIdsOfTheirOwn) {
  Options options;
  const ClusterPointer first = NewClusterPointer(options), second = NewClusterPointer(options);
  EXPECT_NE(first.id, second.id);
  ASSERT_EQ(first.zones.size(), 3u);
  EXPECT_EQ(first.zones[0].zone.name, "zone-a");
  EXPECT_EQ(first.zones[2].path, "zone-c");
  EXPECT_NE(first.zones[0].zone.id, first.zones[1].zone.id);
  EXPECT_NE(first.zones[0].zone.id, second.zones[0].zone.id);
  EXPECT_EQ(first.shards, options.shards);
  options.zones = {{"only", "/mnt/only"}};
  const ClusterPointer one = NewClusterPointer(options);
  ASSERT_EQ(one.zones.size(), 1u);
  EXPECT_EQ(one.zones[0].path, "/mnt/only");
}

TEST(ClusterFilesTest, RelativeZonesMoveWithTheCluster) {
  EXPECT_EQ(ZonePath("/data/cluster", SamplePointer().zones[0]), "/data/cluster/zone-a");
  EXPECT_EQ(ZonePath("/data/cluster", SamplePointer().zones[1]), "/mnt/b");
}

}  // namespace
}  // namespace slotkv
