#include "shard/zone_directory.h"

#include <cstdlib>
#include <string>

#include "engine/coding.h"
#include "gtest/gtest.h"

#define XXH_INLINE_ALL
#include "xxhash.h"

namespace slotkv {
namespace {

ClusterId NumberedCluster(char first) {
  std::string bytes(ClusterId::kBytes, '\x11');
  bytes[0] = first;
  return ClusterId::FromBytes(bytes);
}

const ZoneIdentity kZoneA = {NumberedCluster(1), ZoneId(0x1122334455667788), "zone-a"};
const ZoneIdentity kZoneB = {NumberedCluster(1), ZoneId(2), "zone-b"};

class ZoneDirectoryTest : public testing::Test {
 protected:
  ZoneDirectoryTest() : root_(testing::TempDir() + "/zone_directory_test") {
    EXPECT_TRUE(disk_.DeleteTree(root_).ok());
  }
  ~ZoneDirectoryTest() override { EXPECT_TRUE(disk_.DeleteTree(root_).ok()); }

  std::string Path(const std::string& name) const { return root_ + "/" + name; }

  void Write(const std::string& path, std::string_view bytes) {
    ASSERT_TRUE(disk_.Replace(path, bytes).ok());
  }

  Disk disk_;
  const std::string root_;
};

TEST_F(ZoneDirectoryTest, CreatesAndOpens) {
  {
    const auto zone = ZoneDirectory::Create(&disk_, Path("a/deep"), kZoneA);
    ASSERT_TRUE(zone.ok()) << zone.status();
    EXPECT_EQ((*zone)->identity(), kZoneA);
    EXPECT_EQ((*zone)->NodePath(NodeId(7), 2), Path("a/deep/node-7.2"));
  }
  const auto zone = ZoneDirectory::Open(&disk_, Path("a/deep"), kZoneA);
  ASSERT_TRUE(zone.ok()) << zone.status();
  const auto found = ZoneDirectory::Identify(disk_, Path("a/deep"));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(*found, kZoneA);
}

TEST_F(ZoneDirectoryTest, OneAtATime) {
  auto first = ZoneDirectory::Create(&disk_, Path("a"), kZoneA);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_TRUE(absl::IsUnavailable(ZoneDirectory::Open(&disk_, Path("a"), kZoneA).status()));
  EXPECT_TRUE(absl::IsUnavailable(ZoneDirectory::Create(&disk_, Path("a"), kZoneA).status()));
  first->reset();
  EXPECT_TRUE(ZoneDirectory::Open(&disk_, Path("a"), kZoneA).ok());
}

TEST_F(ZoneDirectoryTest, CreationCanBeRepeatedButNotTakenOver) {
  ASSERT_TRUE(ZoneDirectory::Create(&disk_, Path("a"), kZoneA).ok());
  EXPECT_TRUE(ZoneDirectory::Create(&disk_, Path("a"), kZoneA).ok());
  const absl::Status status = ZoneDirectory::Create(&disk_, Path("a"), kZoneB).status();
  EXPECT_TRUE(absl::IsAlreadyExists(status)) << status;
  const std::string text = status.ToString();
  EXPECT_NE(text.find("zone-a"), std::string::npos) << text;
  EXPECT_NE(text.find("zone-b"), std::string::npos) << text;
  EXPECT_TRUE(ZoneDirectory::Open(&disk_, Path("a"), kZoneA).ok());
}

TEST_F(ZoneDirectoryTest, OpenCreatesNothingInAnUnidentifiedRoot) {
  EXPECT_TRUE(absl::IsUnavailable(ZoneDirectory::Open(&disk_, Path("none"), kZoneA).status()));
  EXPECT_FALSE(disk_.Exists(Path("none")));
  ASSERT_TRUE(disk_.MakeDirectory(Path("blank")).ok());
  const absl::Status status = ZoneDirectory::Open(&disk_, Path("blank"), kZoneA).status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_NE(status.ToString().find("is the disk mounted?"), std::string::npos) << status;
  EXPECT_TRUE(disk_.List(Path("blank"))->empty());
}

TEST_F(ZoneDirectoryTest, OpenRefusesAnotherZoneNamingBoth) {
  ASSERT_TRUE(ZoneDirectory::Create(&disk_, Path("a"), kZoneA).ok());
  const ZoneIdentity other_cluster = {NumberedCluster(2), kZoneA.id, kZoneA.name};
  const ZoneIdentity other_id = {kZoneA.cluster, ZoneId(9), kZoneA.name};
  const ZoneIdentity other_name = {kZoneA.cluster, kZoneA.id, "zone-z"};
  for (const ZoneIdentity& expected : {other_cluster, other_id, other_name}) {
    const absl::Status status = ZoneDirectory::Open(&disk_, Path("a"), expected).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    const std::string text = status.ToString();
    EXPECT_NE(text.find(kZoneA.ToString()), std::string::npos) << text;
    EXPECT_NE(text.find(expected.ToString()), std::string::npos) << text;
  }
}

TEST_F(ZoneDirectoryTest, CreateLeavesUnidentifiedDataAlone) {
  for (const char* name : {"TOPOLOGY", "node-3.1"}) {
    ASSERT_TRUE(disk_.MakeDirectory(Path(name)).ok());
    Write(Path(name) + "/" + name, "data");
    const absl::Status status = ZoneDirectory::Create(&disk_, Path(name), kZoneA).status();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_FALSE(disk_.Exists(Path(name) + "/ZONE"));
  }
  // What a file system puts into its root is no reason to refuse it.
  ASSERT_TRUE(disk_.MakeDirectory(Path("disk/lost+found")).ok());
  EXPECT_TRUE(ZoneDirectory::Create(&disk_, Path("disk"), kZoneA).ok());
}

TEST_F(ZoneDirectoryTest, GoldenBytes) {
  const std::string golden(
      "SLOTKVZN"
      "\x01\x00\x00\x00"
      "\x01\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11"
      "\x88\x77\x66\x55\x44\x33\x22\x11"
      "\x06zone-a",
      8 + 4 + 16 + 8 + 7);
  const std::string bytes = EncodeZoneIdentity(kZoneA);
  ASSERT_EQ(bytes.size(), golden.size() + 8);
  EXPECT_EQ(bytes.substr(0, golden.size()), golden);
  EXPECT_EQ(LoadFixed<uint64_t>(bytes.data() + golden.size()),
            XXH3_64bits(golden.data(), golden.size()));
}

TEST_F(ZoneDirectoryTest, DamageIsNamedAtEveryByte) {
  const std::string bytes = EncodeZoneIdentity(kZoneA);
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = bytes;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      EXPECT_TRUE(absl::IsDataLoss(DecodeZoneIdentity(flipped).status())) << i;
    }
    EXPECT_TRUE(absl::IsDataLoss(DecodeZoneIdentity(bytes.substr(0, i)).status())) << i;
  }
  EXPECT_TRUE(absl::IsDataLoss(DecodeZoneIdentity(bytes + "x").status()));
  ASSERT_TRUE(disk_.MakeDirectory(Path("a")).ok());
  Write(Path("a/ZONE"), bytes.substr(1));
  for (const absl::Status& status : {ZoneDirectory::Open(&disk_, Path("a"), kZoneA).status(),
                                     ZoneDirectory::Create(&disk_, Path("a"), kZoneA).status()}) {
    EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    EXPECT_NE(status.ToString().find(Path("a/ZONE")), std::string::npos) << status;
  }
}

TEST_F(ZoneDirectoryTest, LaterVersionsAreRefusedByName) {
  std::string bytes = EncodeZoneIdentity(kZoneA);
  bytes.resize(bytes.size() - 8);
  bytes[8] = 2;
  PutFixed(&bytes, static_cast<uint64_t>(XXH3_64bits(bytes.data(), bytes.size())));
  const absl::Status status = DecodeZoneIdentity(bytes).status();
  EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
  EXPECT_NE(status.ToString().find("version 2"), std::string::npos) << status;
}

}  // namespace
}  // namespace slotkv
