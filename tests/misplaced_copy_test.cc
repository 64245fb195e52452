// Directories that are not what the topology takes them for: from a backup, swapped, gone.
#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "slotkv/cluster.h"
#include "tests/directory_tree.h"
#include "tests/replicated_cluster.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

namespace fs = std::filesystem;

void Swap(const std::string& a, const std::string& b) {
  fs::rename(a, a + ".swapped");
  fs::rename(b, a);
  fs::rename(a + ".swapped", b);
}

class MisplacedCopyTest : public ReplicatedCluster {
 protected:
  void OpenAndFill(const std::string& value) {
    Open();
    Fill(300, value);
  }
  // Each copy in turn is the one that is read.
  void ExpectFilledOnEveryCopy(const std::string& value) {
    ASSERT_TRUE(Eventually([&] { return EverythingInSync(); }));
    ExpectFilled(300, value);
    for (const NodeInfo& node : Nodes()) {
      PromoteOptions options;
      options.node = node.id;
      ASSERT_THAT(cluster_->Promote(node.shard, options), IsOk());
      for (int i = 0; i < 300; ++i) {
        ASSERT_THAT(cluster_->Get(absl::StrCat(i)), HoldsValue(value)) << node.id;
      }
    }
  }
  std::vector<NodeInfo> NodesIn(const std::string& zone) {
    std::vector<NodeInfo> nodes = Nodes();
    nodes.erase(std::remove_if(nodes.begin(), nodes.end(),
                               [&](const NodeInfo& node) { return node.zone != zone; }),
                nodes.end());
    return nodes;
  }
  // The zone as it was before the last writes, TOPOLOGY and all; the cluster is closed.
  void RestoreAnOlderBackup(const std::string& zone) {
    const std::string backup = directory_.Path("backup");
    OpenAndFill("old");
    Close();
    CopyTree(ZonePath(zone), backup);
    OpenAndFill("new");
    Close();
    CopyTree(backup, ZonePath(zone));
  }
  // A directory stands elsewhere for as long as `body` runs.
  template <typename Body>
  void Without(const std::vector<std::string>& paths, const Body& body) {
    for (const std::string& path : paths) fs::rename(path, path + ".away");
    body();
    for (const std::string& path : paths) {
      EXPECT_FALSE(fs::exists(path)) << path;
      fs::rename(path + ".away", path);
    }
  }
};

TEST_F(MisplacedCopyTest, AnOlderBackupOfAZoneIsBroughtUpToDate) {
  for (const std::string zone : {"zone-a", "zone-b", "zone-c"}) {
    RestoreAnOlderBackup(zone);
    Open();
    ExpectFilledOnEveryCopy("new");
  }
}

// The backup says of itself that it is in sync.
TEST_F(MisplacedCopyTest, AnOlderBackupAloneIsNotServed) {
  options_.replicas_per_shard = 2;
  RestoreAnOlderBackup("zone-b");
  const std::map<std::string, std::string> before = ContentsBelow(ZonePath("zone-b"));
  Without({ZonePath("zone-a"), ZonePath("zone-c")}, [&] {
    EXPECT_THAT(TryOpen(), HasError(absl::StatusCode::kUnavailable, "1 of 3 copies are good"));
    EXPECT_THAT(TryOpen(), HasError(absl::StatusCode::kUnavailable, "zone-a"));
    EXPECT_THAT(TryOpen(), HasError(absl::StatusCode::kUnavailable, "zone-c"));
  });
  EXPECT_EQ(ContentsBelow(ZonePath("zone-b")), before);
  Open();
  ExpectFilledOnEveryCopy("new");
}

// It was built anew since: what the topology names is not there.
TEST_F(MisplacedCopyTest, AnOlderBackupOfAnEarlierIncarnationIsNotUsed) {
  options_.shards = 1;
  OpenAndFill("old");
  const NodeInfo replica = NodeOf("7", Role::kReplica);
  Close();
  const std::string backup = directory_.Path("backup");
  CopyTree(ZonePath(replica.zone), backup);
  fs::remove_all(NodePath(replica));
  OpenAndFill("new");
  ASSERT_TRUE(Eventually([&] { return EverythingInSync(); }));
  Close();
  CopyTree(backup, ZonePath(replica.zone));
  Open();
  ExpectFilledOnEveryCopy("new");
  EXPECT_FALSE(fs::exists(NodePath(replica)));
}

TEST_F(MisplacedCopyTest, SwappedCopiesInAZoneAreBuiltAnew) {
  OpenAndFill("value");
  const std::vector<NodeInfo> nodes = NodesIn("zone-a");
  ASSERT_EQ(nodes.size(), 2u);
  ASSERT_NE(nodes[0].shard, nodes[1].shard);
  Close();
  Swap(NodePath(nodes[0]), NodePath(nodes[1]));
  Open();
  for (int i = 0; i < 300; ++i) ASSERT_THAT(cluster_->Get(absl::StrCat(i)), HoldsValue("value"));
  ExpectFilledOnEveryCopy("value");
  for (const NodeInfo& node : nodes) {
    EXPECT_TRUE(fs::exists(absl::StrCat(ZonePath("zone-a"), "/node-", node.id.value(), ".2")));
  }
}

// They hold the same data; that it is each other's is refused all the same, and nothing is lost.
TEST_F(MisplacedCopyTest, SwappedCopiesOfOneShardAreRefused) {
  OpenAndFill("value");
  const std::vector<NodeInfo> nodes = ShardOf("7").nodes;
  ASSERT_EQ(nodes.size(), 2u);
  Close();
  Swap(NodePath(nodes[0]), NodePath(nodes[1]));
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(TryOpen(), HasError(absl::StatusCode::kDataLoss,
                                    absl::StrCat("not of ", nodes[0].shard.ToString())));
  }
  Swap(NodePath(nodes[0]), NodePath(nodes[1]));
  Open();
  ExpectFilledOnEveryCopy("value");
}

TEST_F(MisplacedCopyTest, SwappedCopiesWithoutReplicasAreRefused) {
  options_.replicas_per_shard = 0;
  options_.shards = 4;
  OpenAndFill("value");
  const std::vector<NodeInfo> nodes = NodesIn("zone-a");
  ASSERT_EQ(nodes.size(), 2u);
  Close();
  Swap(NodePath(nodes[0]), NodePath(nodes[1]));
  EXPECT_THAT(TryOpen(), HasError(absl::StatusCode::kDataLoss, "the log of shard-"));
  Swap(NodePath(nodes[0]), NodePath(nodes[1]));
  Open();
  ExpectFilled(300, "value");
}

TEST_F(MisplacedCopyTest, SwappedZonesAreDown) {
  OpenAndFill("value");
  Close();
  Swap(ZonePath("zone-a"), ZonePath("zone-b"));
  EXPECT_THAT(TryOpen(), HasError(absl::StatusCode::kUnavailable, "should be zone zone-a"));
  EXPECT_THAT(TryOpen(), HasError(absl::StatusCode::kUnavailable, "should be zone zone-b"));
  Swap(ZonePath("zone-a"), ZonePath("zone-b"));
  Open();
  ExpectFilledOnEveryCopy("value");
}

// Of five zones three suffice.
TEST_F(MisplacedCopyTest, SwappedZonesAreDownWhileOthersServe) {
  for (const char* const name : {"a", "b", "c", "d", "e"}) {
    options_.zones.push_back({name, directory_.Path(name)});
  }
  options_.shards = 5;
  options_.replicas_per_shard = 2;
  OpenAndFill("before");
  Close();
  const std::string a = directory_.Path("a"), b = directory_.Path("b");
  Swap(a, b);
  const std::map<std::string, std::string> files_a = ContentsBelow(a), files_b = ContentsBelow(b);
  OpenAndFill("after");
  for (const NodeInfo& node : Nodes()) {
    const bool is_swapped = node.zone == "a" || node.zone == "b";
    EXPECT_EQ(node.up, !is_swapped) << node.id;
    EXPECT_EQ(node.in_sync, !is_swapped) << node.id;
  }
  ExpectFilled(300, "after");
  Close();
  EXPECT_EQ(ContentsBelow(a), files_a);
  EXPECT_EQ(ContentsBelow(b), files_b);
  Swap(a, b);
  Open();
  ExpectFilledOnEveryCopy("after");
}

TEST_F(MisplacedCopyTest, AllCopiesOfAShardMayBeGoneForAWhile) {
  OpenAndFill("value");
  const std::vector<NodeInfo> nodes = ShardOf("7").nodes;
  std::vector<std::string> paths;
  for (const NodeInfo& node : nodes) paths.push_back(NodePath(node));
  Close();
  Without(paths, [&] {
    for (int i = 0; i < 2; ++i) {
      EXPECT_THAT(TryOpen(), HasError(absl::StatusCode::kDataLoss, paths[0] + "/log"));
    }
  });
  Open();
  EXPECT_TRUE(EverythingInSync());
  ExpectFilledOnEveryCopy("value");
}

}  // namespace
}  // namespace slotkv
