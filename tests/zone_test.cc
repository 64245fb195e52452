// Zones: given, moved, missing, mixed up.
#include <algorithm>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/directory_tree.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

namespace fs = std::filesystem;

class ZoneTest : public ClusterFixture {
 protected:
  ZoneTest() { options_.replicas_per_shard = 0; }

  absl::Status TryOpen() { return Cluster::Open(options_, path_).status(); }

  void GiveZones(int count) {
    options_.zones.clear();
    for (int i = 0; i < count; ++i) {
      options_.zones.push_back({absl::StrCat("disk-", i), directory_.Path(absl::StrCat("d", i))});
    }
  }

  // One key for each of the three shards, in the order of their slots: zones take them in turn.
  const std::vector<std::string> keys_ = {"{06S}", "{450}", "{6ZJ}"};
  void SetKeys() {
    for (const std::string& key : keys_) ASSERT_THAT(cluster_->Set(key, key), IsOk());
  }
  void ExpectKeys() {
    for (const std::string& key : keys_) EXPECT_THAT(cluster_->Get(key), HoldsValue(key));
    EXPECT_THAT(cluster_->Verify(), IsOk());
  }
  std::string ZoneOf(Slot slot) {
    const Topology topology = cluster_->GetTopology();
    return topology.FindShard(topology.OwnerOf(slot))->nodes.front().zone;
  }
};

TEST_F(ZoneTest, ThreeBelowTheClusterByDefault) {
  Open();
  for (const char* const zone : {"zone-a", "zone-b", "zone-c"}) {
    EXPECT_TRUE(fs::exists(path_ + "/" + zone + "/ZONE"));
  }
  EXPECT_EQ(ZoneOf(0), "zone-a");
  EXPECT_EQ(ZoneOf(5462), "zone-b");
  EXPECT_EQ(ZoneOf(16383), "zone-c");
}

TEST_F(ZoneTest, OneTwoAndThreeGiven) {
  for (int count = 1; count <= 3; ++count) {
    SCOPED_TRACE(count);
    GiveZones(count);
    Open();
    SetKeys();
    EXPECT_EQ(ZoneOf(16383), options_.zones[2 % count].name);
    Open();
    ExpectKeys();
    // The cluster knows where they are.
    options_.zones.clear();
    Open();
    ExpectKeys();
    EXPECT_FALSE(fs::exists(path_ + "/zone-a"));
    Close();
    ASSERT_THAT(Cluster::Destroy(path_), IsOk());
  }
}

TEST_F(ZoneTest, MoreThanThreeAndSomeWithoutShards) {
  GiveZones(5);
  Open();
  SetKeys();
  Open();
  ExpectKeys();
}

TEST_F(ZoneTest, AnUnknownNameIsRefused) {
  Open();
  Close();
  options_.zones = {{"zone-d", directory_.Path("d")}};
  EXPECT_THAT(TryOpen(), HasError(absl::StatusCode::kInvalidArgument, "\"zone-d\""));
  EXPECT_FALSE(fs::exists(directory_.Path("d")));
}

TEST_F(ZoneTest, CanBeFoundAtANewPath) {
  GiveZones(3);
  Open();
  SetKeys();
  Close();
  fs::rename(directory_.Path("d1"), directory_.Path("moved"));
  // Only the one that moved needs a name.
  options_.zones = {{"disk-1", directory_.Path("moved")}};
  Open();
  ExpectKeys();
  options_.zones.clear();
  Open();
  ExpectKeys();
  EXPECT_FALSE(fs::exists(directory_.Path("d1")));
}

TEST_F(ZoneTest, AWrongNewPathIsNotRemembered) {
  Open();
  SetKeys();
  Close();
  options_.zones = {{"zone-b", directory_.Path("nothing-here")}};
  absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(options_, path_);
  ASSERT_THAT(cluster, IsOk());
  EXPECT_THAT((*cluster)->Get(keys_[1]),
              HasError(absl::StatusCode::kUnavailable, directory_.Path("nothing-here")));
  EXPECT_THAT((*cluster)->Close(), IsOk());
  EXPECT_FALSE(fs::exists(directory_.Path("nothing-here")));
  options_.zones.clear();
  Open();
  ExpectKeys();
}

TEST_F(ZoneTest, SwappedPathsAreNoticed) {
  GiveZones(3);
  Open();
  SetKeys();
  Close();
  std::swap(options_.zones[0].path, options_.zones[1].path);
  EXPECT_THAT(TryOpen(), HasError(absl::StatusCode::kUnavailable, "should be zone disk-0"));
  GiveZones(3);
  Open();
  ExpectKeys();
}

// The empty mount point of a disk that is not there.
TEST_F(ZoneTest, AnEmptyRootIsDownAndStaysEmpty) {
  Open();
  SetKeys();
  Close();
  const std::string root = path_ + "/zone-b", away = directory_.Path("away");
  fs::rename(root, away);
  for (const bool mount_point : {true, false}) {
    SCOPED_TRACE(mount_point);
    if (mount_point) fs::create_directory(root);
    absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(options_, path_);
    ASSERT_THAT(cluster, IsOk());
    const auto unavailable = HasError(absl::StatusCode::kUnavailable, "zone-b");
    EXPECT_THAT((*cluster)->Get(keys_[1]), unavailable);
    EXPECT_THAT((*cluster)->Set(keys_[1], "new"), unavailable);
    EXPECT_THAT((*cluster)->Exists(keys_[1]), unavailable);
    EXPECT_THAT((*cluster)->CountKeysInSlot(5462), unavailable);
    EXPECT_THAT((*cluster)->Verify(), unavailable);
    for (const size_t other : {0, 2}) {
      EXPECT_THAT((*cluster)->Get(keys_[other]), HoldsValue(keys_[other]));
      EXPECT_THAT((*cluster)->Set(keys_[other], keys_[other]), IsOk());
    }
    int down = 0;
    for (const ShardInfo& shard : (*cluster)->GetTopology().shards()) {
      for (const NodeInfo& node : shard.nodes) {
        EXPECT_EQ(node.up, node.zone != "zone-b");
        down += node.up ? 0 : 1;
      }
    }
    EXPECT_EQ(down, 1);
    EXPECT_THAT((*cluster)->Close(), IsOk());
    if (mount_point) {
      EXPECT_TRUE(fs::is_empty(root));
      fs::remove(root);
    } else {
      EXPECT_FALSE(fs::exists(root));
    }
  }
  fs::rename(away, root);
  Open();
  ExpectKeys();
}

TEST_F(ZoneTest, WithoutAMajorityNothingOpens) {
  for (int count = 1; count <= 3; ++count) {
    SCOPED_TRACE(count);
    GiveZones(count);
    Open();
    SetKeys();
    Close();
    // The cluster's own directory has a copy of the topology too if there are one or two zones.
    for (int lost = 0; lost < std::min(count, 2); ++lost) {
      fs::rename(options_.zones[lost].path, options_.zones[lost].path + ".away");
      fs::create_directory(options_.zones[lost].path);
    }
    EXPECT_THAT(TryOpen(), HasError(absl::StatusCode::kUnavailable, "disk-0"));
    for (int lost = 0; lost < std::min(count, 2); ++lost) {
      EXPECT_TRUE(fs::is_empty(options_.zones[lost].path));
      fs::remove(options_.zones[lost].path);
      fs::rename(options_.zones[lost].path + ".away", options_.zones[lost].path);
    }
    Open();
    ExpectKeys();
    Close();
    ASSERT_THAT(Cluster::Destroy(path_), IsOk());
  }
}

TEST_F(ZoneTest, OneDeviceIsNotDistinct) {
  GiveZones(2);
  options_.require_distinct_devices = true;
  const auto refused =
      HasError(absl::StatusCode::kFailedPrecondition, "Options.require_distinct_devices");
  EXPECT_THAT(TryOpen(), refused);
  options_.require_distinct_devices = false;
  Open();
  SetKeys();
  Close();
  options_.require_distinct_devices = true;
  EXPECT_THAT(TryOpen(), refused);
  options_.require_distinct_devices = false;
  Open();
  ExpectKeys();
  Close();
  ASSERT_THAT(Cluster::Destroy(path_), IsOk());
  GiveZones(1);
  options_.require_distinct_devices = true;
  EXPECT_THAT(TryOpen(), IsOk());
}

TEST_F(ZoneTest, AnotherClustersZoneIsRefused) {
  GiveZones(3);
  Open();
  SetKeys();
  Close();
  const std::string other = directory_.Path("other");
  const absl::Status status = Cluster::Open(options_, other).status();
  EXPECT_THAT(status, HasError(absl::StatusCode::kAlreadyExists, "disk-0"));
  // The failed creation can be destroyed, and takes nothing of the first cluster with it.
  Cluster::Destroy(other).IgnoreError();
  Open();
  ExpectKeys();
}

TEST_F(ZoneTest, TwoZonesInOneDirectoryAreRefused) {
  fs::create_directory(directory_.Path("d0"));
  fs::create_directory_symlink(directory_.Path("d0"), directory_.Path("link"));
  for (const std::string& alias : {directory_.Path("d0/"), directory_.Path("link")}) {
    options_.zones = {{"disk-0", directory_.Path("d0")}, {"disk-1", alias}};
    const absl::Status status = TryOpen();
    EXPECT_FALSE(status.ok());
    EXPECT_TRUE(absl::StrContains(status.message(), "disk-0")) << status;
    EXPECT_THAT(Cluster::Destroy(path_), IsOk());
  }
}

// A creation that was refused half-way says so until it is completed or destroyed.
TEST_F(ZoneTest, ACreationWithOtherZonesIsRefusedUntilDestroyed) {
  GiveZones(2);
  options_.require_distinct_devices = true;
  ASSERT_FALSE(TryOpen().ok());
  options_.require_distinct_devices = false;
  GiveZones(3);
  EXPECT_THAT(TryOpen(), HasError(absl::StatusCode::kFailedPrecondition, "destroy it"));
  EXPECT_THAT(Cluster::Destroy(path_), IsOk());
  Open();
  SetKeys();
  ExpectKeys();
}

}  // namespace
}  // namespace slotkv
