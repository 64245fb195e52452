// Random schedules: nodes and zones are stopped and started, disks fail and recover, primaries are
// promoted, replicas added and removed, the cluster is closed and opened; and at any moment what
// was acknowledged is what is read. At least one sound copy of each shard is left at any time.
//
// SLOTKV_TEST_ALL=1 goes on for longer.
#include <algorithm>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "slotkv/cluster.h"
#include "tests/outcome_model.h"
#include "tests/replicated_cluster.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

std::vector<std::string> Keys(const std::string& prefix, int count) {
  std::vector<std::string> keys;
  for (int i = 0; i < count; ++i) keys.push_back(absl::StrCat(prefix, i));
  return keys;
}

// The parameter: replicas of each shard at first.
class FailoverScheduleTest : public ReplicatedCluster, public testing::WithParamInterface<int> {
 protected:
  struct Step {
    const char* name;
    std::function<void()> run;
    // Open and closed again: nobody may write meanwhile.
    bool restarts = false;
  };

  FailoverScheduleTest() { options_.replicas_per_shard = GetParam(); }

  size_t Below(size_t bound) { return random_() % bound; }
  template <typename T>
  T OneOf(const std::vector<T>& choices) {
    return choices[Below(choices.size())];
  }

  // Whether every shard has a copy that may be relied on, if those that `lost` names are not.
  bool CanLose(const std::function<bool(const NodeInfo&)>& lost) {
    for (const ShardInfo& shard : cluster_->GetTopology().shards()) {
      const bool remains =
          std::any_of(shard.nodes.begin(), shard.nodes.end(), [&](const NodeInfo& node) {
            return node.in_sync && node.up && !IsBroken(node) && !lost(node);
          });
      if (!remains) return false;
    }
    return true;
  }
  static std::string PathPart(const NodeInfo& node) {
    return absl::StrCat("/", node.zone, "/node-", node.id.value(), ".");
  }
  bool IsBroken(const NodeInfo& node) const {
    return !broken_.empty() && absl::StartsWith(PathPart(node), broken_);
  }

  void StopNode() {
    const NodeInfo node = OneOf(Nodes());
    if (CanLose([&](const NodeInfo& other) { return other.id == node.id; })) {
      EXPECT_THAT(cluster_->StopNode(node.id), IsOk());
    }
  }
  void StopZone() {
    const std::string zone = OneOf(zones_);
    if (OthersHaveTheTopology(zone) &&
        CanLose([&](const NodeInfo& node) { return node.zone == zone; })) {
      EXPECT_THAT(cluster_->StopZone(zone), IsOk());
      stopped_zone_ = zone;
    }
  }
  void StartAll() {
    for (const std::string& zone : zones_) {
      const absl::Status status = cluster_->StartZone(zone);
      if (broken_ == ZonePart(zone) && stopped_zone_ == zone) {
        EXPECT_THAT(status, HasError(absl::StatusCode::kUnavailable, "broken"));
        continue;
      }
      EXPECT_THAT(status, IsOk());
      if (stopped_zone_ == zone) stopped_zone_.clear();
    }
  }
  static std::string ZonePart(const std::string& zone) { return absl::StrCat("/", zone, "/"); }
  // Of its three copies two are needed.
  bool OthersHaveTheTopology(const std::string& zone) const {
    return std::all_of(zones_.begin(), zones_.end(), [&](const std::string& other) {
      return other == zone || (other != stopped_zone_ && ZonePart(other) != broken_);
    });
  }
  // From here on these operations fail on one node's files, or in the whole zone.
  void Break(const std::string& part, bool writes, bool syncs) {
    broken_ = part;
    hook_->SetBefore([=](FileOp op, const std::string& path) {
      const bool hit =
          (writes && op == FileOp::kWrite) || (syncs && op == FileOp::kSync) || (writes && syncs);
      return hit && absl::StrContains(path, part) ? absl::UnavailableError("broken")
                                                  : absl::OkStatus();
    });
  }
  void BreakNode() {
    const NodeInfo node = OneOf(Nodes());
    Heal();
    if (!CanLose([&](const NodeInfo& other) { return other.id == node.id; })) return;
    const bool writes = Below(2) == 0;
    Break(PathPart(node), writes, !writes);
  }
  void BreakZone() {
    const std::string zone = OneOf(zones_);
    Heal();
    if (!OthersHaveTheTopology(zone)) return;
    if (!CanLose([&](const NodeInfo& node) { return node.zone == zone; })) return;
    Break(ZonePart(zone), true, true);
  }
  void Heal() {
    hook_->Heal();
    broken_.clear();
  }
  // May be refused: there may be no replica in sync.
  void Promote() {
    const NodeInfo node = OneOf(Nodes());
    PromoteOptions options;
    if (Below(2) == 0) options.node = node.id;
    const absl::Status status = cluster_->Promote(node.shard, options);
    EXPECT_TRUE(status.ok() || absl::IsFailedPrecondition(status) || absl::IsUnavailable(status))
        << status;
  }
  void AddReplica() {
    const ShardId shard = OneOf(Nodes()).shard;
    const std::string zone = OneOf(zones_);
    const std::vector<NodeInfo> nodes = Nodes();
    const bool is_there = std::any_of(nodes.begin(), nodes.end(), [&](const NodeInfo& node) {
      return node.shard == shard && node.zone == zone;
    });
    EXPECT_THAT(cluster_->AddReplica(shard, zone),
                HasCode(is_there ? absl::StatusCode::kFailedPrecondition : absl::StatusCode::kOk));
  }
  void RemoveReplica() {
    const NodeInfo node = OneOf(Nodes());
    if (!CanLose([&](const NodeInfo& other) { return other.id == node.id; })) return;
    const absl::Status status = cluster_->RemoveReplica(node.id);
    // It was, or became, the primary.
    EXPECT_TRUE(status.ok() || absl::IsFailedPrecondition(status) || absl::IsUnavailable(status))
        << status;
  }
  void Restart() {
    // A copy that is broken cannot be closed in order.
    cluster_->Close().IgnoreError();
    cluster_.reset();
    options_.fsync = OneOf<Fsync>({Fsync::kAlways, Fsync::kEverySecond, Fsync::kNever});
    Heal();
    OpenHooked();
    stopped_zone_.clear();
  }

  void Run(const Step& step, OutcomeModel* model, OutcomeModel* concurrent) {
    SCOPED_TRACE(step.name);
    if (step.restarts) {
      step.run();
    } else {
      std::thread writer([&] {
        for (int i = 0; i < 15; ++i) {
          concurrent->Write(cluster_.get());
          concurrent->ReadOne(cluster_.get(), /*may_fail=*/true);
        }
      });
      step.run();
      writer.join();
    }
    if (HasFailure()) return;
    const Epoch epoch = cluster_->GetTopology().epoch();
    EXPECT_GE(epoch, epoch_);
    epoch_ = epoch;
    for (int i = 0; i < 15; ++i) {
      model->Write(cluster_.get());
      model->ReadOne(cluster_.get(), /*may_fail=*/true);
    }
    model->ReadAll(cluster_.get(), /*may_fail=*/true);
    concurrent->ReadAll(cluster_.get(), /*may_fail=*/true);
  }

  std::mt19937_64 random_{TestSeed()};
  const std::vector<std::string> zones_ = {"zone-a", "zone-b", "zone-c"};
  std::string broken_;  // the part of paths on which operations fail
  std::string stopped_zone_;
  Epoch epoch_;
};

TEST_P(FailoverScheduleTest, AgreesWithAModel) {
  const std::vector<Step> steps = {
      {"nothing", [] {}},
      {"stop a node", [this] { StopNode(); }},
      {"stop a zone", [this] { StopZone(); }},
      {"start all", [this] { StartAll(); }},
      {"start all again", [this] { StartAll(); }},
      {"promote", [this] { Promote(); }},
      {"break a node", [this] { BreakNode(); }},
      {"break a zone", [this] { BreakZone(); }},
      {"heal", [this] { Heal(); }},
      {"add a replica", [this] { AddReplica(); }},
      {"remove a replica", [this] { RemoveReplica(); }},
      {"everything is well",
       [this] {
         Heal();
         StartAll();
         EXPECT_TRUE(Eventually([&] { return EverythingInSync(); }));
       }},
      {"restart", [this] { Restart(); }, /*restarts=*/true},
  };
  std::mt19937_64 concurrent_random(random_());
  OutcomeModel model(Keys("key", 60), &random_);
  OutcomeModel concurrent(Keys("concurrent", 60), &concurrent_random);
  OpenHooked();
  const int count = std::getenv("SLOTKV_TEST_ALL") != nullptr ? 3000 : 150;
  for (int i = 0; i < count; ++i) {
    SCOPED_TRACE(i);
    Run(OneOf(steps), &model, &concurrent);
    if (HasFailure()) return;
  }
  Heal();
  StartAll();
  ASSERT_TRUE(Eventually([&] { return EverythingInSync(); }));
  for (const bool restarted : {false, true}) {
    if (restarted) Restart();
    model.Learn(cluster_.get());
    concurrent.Learn(cluster_.get());
    EXPECT_THAT(cluster_->Verify(), IsOk());
    for (int i = 0; i < 50; ++i) model.Write(cluster_.get());
  }
}

INSTANTIATE_TEST_SUITE_P(Replicas, FailoverScheduleTest, testing::Values(1, 2));

}  // namespace
}  // namespace slotkv
