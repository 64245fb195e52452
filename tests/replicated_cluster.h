// A cluster whose shards have several copies, on disks that a test can break.
#ifndef SLOTKV_TESTS_REPLICATED_CLUSTER_H_
#define SLOTKV_TESTS_REPLICATED_CLUSTER_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/test_hook.h"
#include "tests/test_support.h"

namespace slotkv {

class ReplicatedCluster : public ClusterFixture {
 protected:
  ReplicatedCluster() {
    options_.replicas_per_shard = 1;
    // Nothing fails here because the machine is slow.
    options_.node_timeout = options_.operation_timeout = absl::Minutes(1);
  }

  // Opens `cluster_` on sound disks that hook_ can break.
  void OpenHooked() {
    Close();
    hook_->Heal();
    absl::StatusOr<std::unique_ptr<Cluster>> cluster = OpenClusterWithHook(options_, path_, hook_);
    ASSERT_THAT(cluster, IsOk());
    cluster_ = *std::move(cluster);
  }
  // Of an open that is to fail.
  absl::Status TryOpen() { return Cluster::Open(options_, path_).status(); }

  static bool Eventually(const std::function<bool()>& condition) {
    const absl::Time give_up = absl::Now() + absl::Minutes(2);
    while (!condition()) {
      if (absl::Now() > give_up) return false;
      absl::SleepFor(absl::Milliseconds(5));
    }
    return true;
  }

  std::vector<NodeInfo> Nodes() {
    std::vector<NodeInfo> nodes;
    for (const ShardInfo& shard : cluster_->GetTopology().shards()) {
      nodes.insert(nodes.end(), shard.nodes.begin(), shard.nodes.end());
    }
    return nodes;
  }
  bool EverythingInSync() {
    for (const NodeInfo& node : Nodes()) {
      if (!node.in_sync || !node.up) return false;
    }
    return true;
  }
  // Of the shard of the key.
  ShardInfo ShardOf(std::string_view key) {
    const Topology topology = cluster_->GetTopology();
    return *topology.FindShard(topology.OwnerOf(SlotForKey(key)));
  }
  NodeInfo NodeOf(std::string_view key, Role role) {
    for (const NodeInfo& node : ShardOf(key).nodes) {
      if (node.role == role) return node;
    }
    ADD_FAILURE() << "no such node";
    return {};
  }
  NodeInfo Find(NodeId id) {
    for (const NodeInfo& node : Nodes()) {
      if (node.id == id) return node;
    }
    ADD_FAILURE() << "no such node";
    return {};
  }
  std::string ZonePath(const std::string& zone) const { return absl::StrCat(path_, "/", zone); }
  // As long as it was not built anew.
  std::string NodePath(const NodeInfo& node) const {
    return absl::StrCat(ZonePath(node.zone), "/node-", node.id.value(), ".1");
  }

  void Fill(int count, const std::string& value) {
    for (int i = 0; i < count; ++i) ASSERT_THAT(cluster_->Set(absl::StrCat(i), value), IsOk());
  }
  void ExpectFilled(int count, const std::string& value) {
    for (int i = 0; i < count; ++i) {
      ASSERT_THAT(cluster_->Get(absl::StrCat(i)), HoldsValue(value)) << i;
    }
    EXPECT_THAT(cluster_->Verify(), IsOk());
  }

  const std::shared_ptr<TestHook> hook_ = std::make_shared<TestHook>();
};

}  // namespace slotkv

#endif  // SLOTKV_TESTS_REPLICATED_CLUSTER_H_
