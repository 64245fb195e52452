// One shard's nodes in three zones, with the topology, the router and the housekeeping in the
// test's hands.
#include "shard/shard_host.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "replication/group_test_support.h"
#include "shard/placement.h"
#include "tests/fake_clock.h"
#include "tests/test_hook.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr ShardId kShard(1);
constexpr char kZones[][7] = {"zone-a", "zone-b", "zone-c"};

absl::Status GoOn() { return absl::OkStatus(); }

// All that a host needs, as one process has it.
struct Process {
  explicit Process(std::shared_ptr<FileHook> hook) : hook(std::move(hook)) {}

  const std::shared_ptr<FileHook> hook;
  Options options;
  ManualClock wall;
  StoreResources resources{size_t{16} << 20};
  OpenZones zones;
  std::unique_ptr<TopologyKeeper> keeper;
  std::unique_ptr<ExpiryClock> clock;
  CallGate gate;
  absl::Mutex gate_mu;
  Router router;
  HostContext context;
  std::unique_ptr<ShardHost> host;
};

class ShardHostTest : public testing::Test, public EventListener {
 protected:
  ShardHostTest() {
    std::vector<ZoneState> zones;
    for (const char* const name : kZones) {
      zones.push_back({name, ZoneId(zones.size() + 1)});
    }
    initial_ = *InitialState(ClusterId::FromBytes("0123456789abcdef"), zones, /*shards=*/1,
                             /*replicas=*/2);
    StartProcess();
    std::vector<TopologyCopy> copies = TopologyCopies();
    EXPECT_THAT(TopologyKeeper::Create(initial_, copies).status(), IsOk());
    for (const NodeState& node : initial_.shards[0].nodes) {
      EXPECT_THAT(Node::Create(OptionsOf(node)), IsOk());
    }
  }

  // Everything but the host.
  void StartProcess() {
    if (p_ != nullptr) p_->host.reset();
    p_.reset();
    p_ = std::make_unique<Process>(hook_);
    p_->options.operation_timeout = p_->options.node_timeout = absl::Minutes(1);
    for (const ZoneState& state : initial_.zones) {
      auto zone = std::make_shared<OpenZone>(state, root_.Path(state.name), hook_);
      auto directory =
          ZoneDirectory::Create(zone->disk.get(), zone->path, {initial_.id, state.id, state.name});
      EXPECT_THAT(directory, IsOk());
      zone->directory = *std::move(directory);
      p_->zones.Add(std::move(zone));
    }
    HostContext& context = p_->context;
    context.options = &p_->options;
    context.zones = &p_->zones;
    context.resources = &p_->resources;
    context.gate = &p_->gate;
    context.gate_mu = &p_->gate_mu;
    context.router = &p_->router;
    context.log = [this](LogLevel, std::string_view text) {
      absl::MutexLock lock(&mu_);
      log_.emplace_back(text);
    };
    context.tell = [this](EventQueue::Event event) { event(this); };
    context.tell_topology = [] {};
  }
  std::vector<TopologyCopy> TopologyCopies() {
    std::vector<TopologyCopy> copies;
    for (const std::shared_ptr<OpenZone>& zone : p_->zones.All()) {
      copies.push_back({zone->state.name, zone->path, zone->disk.get(), zone->status, zone});
    }
    return copies;
  }
  NodeOptions OptionsOf(const NodeState& node) const {
    const std::shared_ptr<OpenZone> zone = p_->context.FindZone(node.zone);
    return p_->context.MakeNodeOptions(initial_, initial_.shards[0], node, zone.get());
  }

  // ---- The stages of opening ----

  absl::Status Recover() {
    auto keeper = TopologyKeeper::Open(initial_.id, TopologyCopies());
    if (!keeper.ok()) return keeper.status();
    p_->keeper = *std::move(keeper);
    p_->context.keeper = p_->keeper.get();
    p_->host = std::make_unique<ShardHost>(kShard, &p_->context);
    p_->host->OpenLogs(*p_->keeper->Current(), Shard());
    p_->clock = std::make_unique<ExpiryClock>(&p_->wall, p_->host->highest_clock_ms());
    p_->context.clock = p_->clock.get();
    bool can_force = false;
    return p_->host->Recover(&can_force);
  }
  absl::Status Serve() {
    ClusterState next = *p_->keeper->Current();
    next.epoch = next.epoch.Next();
    p_->host->ApplyTo(&next.shards[0]);
    absl::Status status = p_->keeper->ChangeTopology(p_->keeper->Current()->epoch, next);
    if (status.ok()) status = p_->host->Serve(next.shards[0]);
    if (!status.ok()) return status;
    p_->router.AddShard(kShard, p_->host->group().get(), p_->host->status());
    p_->router.slots().Publish({0, kSlotCount - 1}, SlotState::kServing, kShard);
    return status;
  }
  void Open() {
    ASSERT_THAT(Recover(), IsOk());
    ASSERT_THAT(Serve(), IsOk());
  }

  // ---- What is there ----

  ShardState Shard() { return *p_->keeper->Current()->FindShard(kShard); }
  NodeState Find(NodeId id) {
    for (const NodeState& node : Shard().nodes) {
      if (node.id == id) return node;
    }
    return {};
  }
  NodeState WithRole(Role role) {
    for (const NodeState& node : Shard().nodes) {
      if (node.role == role) return node;
    }
    return {};
  }
  int InSync() {
    int in_sync = 0;
    for (const NodeState& node : Shard().nodes) in_sync += node.in_sync ? 1 : 0;
    return in_sync;
  }
  std::string PathOf(const NodeState& node) const { return OptionsOf(node).directory; }

  absl::Status Put(std::string_view key, std::string_view value) {
    LambdaMutation mutation([&](GroupView*, std::string* effects) {
      *effects = PutEffect(1, key, value);
      return absl::OkStatus();
    });
    CallGate::Pass pass(&p_->gate);
    return p_->router.Write(std::nullopt, 1, &mutation);
  }
  absl::StatusOr<std::string> Get(std::string_view key) {
    ValueHeader header;
    std::string payload;
    uint64_t now_ms = 0;
    CallGate::Pass pass(&p_->gate);
    absl::Status status = p_->router.Read(std::nullopt, 1, key, &header, &payload, &now_ms);
    if (!status.ok()) return status;
    return payload;
  }
  void Fill(int count, const std::string& value) {
    for (int i = 0; i < count; ++i) ASSERT_THAT(Put(absl::StrCat(i), value), IsOk());
  }
  void ExpectFilled(int count, const std::string& value) {
    for (int i = 0; i < count; ++i) {
      const absl::StatusOr<std::string> found = Get(absl::StrCat(i));
      ASSERT_THAT(found, IsOk()) << i;
      ASSERT_EQ(*found, value) << i;
    }
  }

  // Behind the shard's back, while the node is closed.
  void AppendAlone(const NodeState& state, int records) {
    absl::StatusOr<std::unique_ptr<Node>> opened = Node::Open(OptionsOf(state));
    ASSERT_THAT(opened, IsOk());
    Node* const node = opened->get();
    ASSERT_THAT(node->Recover(p_->clock.get()), IsOk());
    for (int i = 0; i < records; ++i) {
      const LogPosition last = node->log().last();
      const std::string effects = PutEffect(1, "alone", "value");
      Record record;
      record.position = {last.epoch, last.index.Next()};
      record.commit = last.index;
      record.payload = effects;
      ASSERT_THAT(node->Reserve(EncodedRecordSize(effects.size()), absl::Seconds(60)), IsOk());
      ASSERT_THAT(node->Append({record}), IsOk());
    }
    ASSERT_THAT(node->Sync(), IsOk());
  }

  // ---- Zones ----

  // The zone is down, and by the topology it is another disk: as ReplaceZone leaves it before the
  // new one is there.
  void ReplaceDiskOf(const std::string& name) {
    const std::shared_ptr<OpenZone> zone = p_->context.FindZone(name);
    auto down = std::make_shared<OpenZone>(zone->state, zone->path, hook_);
    down->status = absl::UnavailableError("it is replaced");
    p_->zones.Replace(std::move(down));
    ClusterState next = *p_->keeper->Current();
    next.epoch = next.epoch.Next();
    for (ZoneState& state : next.zones) {
      if (state.name == name) state.id = ZoneId(77);
    }
    EXPECT_THAT(p_->keeper->ChangeTopology(p_->keeper->Current()->epoch, next), IsOk());
  }
  // Calls `f` once, when something of the node is synced for the first time from here on.
  void AtFirstSyncOf(const NodeState& node, std::function<void()> f) {
    hook_->SetBefore(
        [this, f = std::move(f), path = PathOf(node)](FileOp op, const std::string& file) {
          const bool is_sync = op == FileOp::kSync || op == FileOp::kSyncDirectory;
          if (is_sync && absl::StartsWith(file, path)) {
            hook_->Heal();
            f();
          }
          return absl::OkStatus();
        });
  }
  // No copy is served; behind_, which is not in sync, may be opened.
  void StopAllAndStartTheOneBehind() {
    Open();
    Fill(100, "value");
    const std::vector<NodeState> nodes = Shard().nodes;
    for (const NodeState& node : nodes) ASSERT_THAT(p_->host->StopNode(node.id), IsOk());
    last_ = nodes[2];
    behind_ = nodes[1];
    ASSERT_TRUE(Find(last_.id).in_sync);
    p_->host->StartNode(behind_.id);
    ASSERT_TRUE(Eventually([&] {
      if (p_->host->WantsReclaim()) p_->host->Reclaim();
      return !absl::IsAborted(p_->host->Promote(behind_.id, /*force=*/false));
    }));
  }
  // behind_ was on a disk that was replaced while it was to be served.
  void ExpectServedByOthers() {
    EXPECT_FALSE(p_->context.FindZone(behind_.zone)->status.ok()) << "nothing was synced there";
    EXPECT_FALSE(Find(behind_.id).in_sync);
    EXPECT_TRUE(Find(last_.id).in_sync);
    EXPECT_EQ(p_->host->group(), nullptr);
    for (const NodeState& node : Shard().nodes) p_->host->StartNode(node.id);
    EXPECT_TRUE(BringBack(/*copies=*/2));
    ExpectFilled(100, "value");
    EXPECT_FALSE(Find(behind_.id).in_sync);
  }

  // ---- Housekeeping ----

  static bool Eventually(const std::function<bool()>& condition) {
    const absl::Time give_up = absl::Now() + absl::Minutes(2);
    while (!condition()) {
      if (absl::Now() > give_up) return false;
      absl::SleepFor(absl::Milliseconds(1));
    }
    return true;
  }
  // Closes what was dropped, and brings copies back until nothing is left to do.
  bool BringBack(size_t copies = 3) {
    return Eventually([this, copies] {
      if (p_->host->WantsReclaim()) p_->host->Reclaim();
      if (const std::optional<NodeState> node = NextToRejoin()) {
        p_->host->Rejoin(*node, GoOn);
      }
      return p_->host->Up().size() == copies;
    });
  }

  // The first that may be brought back, if there is one.
  std::optional<NodeState> NextToRejoin() {
    const std::vector<NodeState> nodes = p_->host->ToRejoin();
    return nodes.empty() ? std::nullopt : std::optional<NodeState>(nodes.front());
  }
  NodeState AwaitNextToRejoin() {
    std::optional<NodeState> next;
    EXPECT_TRUE(Eventually([&] {
      if (p_->host->WantsReclaim()) p_->host->Reclaim();
      next = NextToRejoin();
      return next.has_value();
    }));
    return next.value_or(NodeState());
  }

  void OnPromotion(ShardId shard, NodeId node) override {
    Tell(absl::StrCat(shard.ToString(), " primary ", node.ToString()));
  }
  void OnNodeOutOfSync(NodeId node, const absl::Status& why) override {
    Tell(absl::StrCat(node.ToString(), " out: ", why.message()));
  }
  void OnNodeInSync(NodeId node, bool rebuilt) override {
    Tell(absl::StrCat(node.ToString(), rebuilt ? " in, rebuilt" : " in"));
  }
  void Tell(std::string event) {
    absl::MutexLock lock(&mu_);
    events_.push_back(std::move(event));
  }
  std::vector<std::string> events() {
    absl::MutexLock lock(&mu_);
    return events_;
  }
  std::vector<std::string> log() {
    absl::MutexLock lock(&mu_);
    return log_;
  }

  const TemporaryDirectory root_{/*in_memory=*/true};
  const std::shared_ptr<TestHook> hook_ = std::make_shared<TestHook>();
  ClusterState initial_;
  absl::Mutex mu_;
  std::vector<std::string> events_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> log_ ABSL_GUARDED_BY(mu_);
  std::unique_ptr<Process> p_;
  NodeState last_;
  NodeState behind_;
};

TEST_F(ShardHostTest, EveryOpenBeginsAnEpochAndKeepsThePrimary) {
  Open();
  const NodeId primary = WithRole(Role::kPrimary).id;
  for (uint64_t epoch = 1; epoch <= 3; ++epoch) {
    EXPECT_EQ(Shard().epoch, ShardEpoch(epoch));
    EXPECT_EQ(p_->host->group()->node()->log().last().epoch, ShardEpoch(epoch));
    EXPECT_EQ(WithRole(Role::kPrimary).id, primary);
    EXPECT_EQ(p_->host->Up().size(), 3u);
    EXPECT_THAT(p_->host->status(), IsOk());
    EXPECT_FALSE(p_->host->WantsReclaim());
    EXPECT_EQ(NextToRejoin(), std::nullopt);
    Fill(50, absl::StrCat(epoch));
    StartProcess();
    Open();
    ExpectFilled(50, absl::StrCat(epoch));
  }
  EXPECT_THAT(events(), IsEmpty());
}

TEST_F(ShardHostTest, ACopyThatIsGoneIsLeftOutAndBuiltAnew) {
  Open();
  Fill(200, "value");
  const NodeState primary = WithRole(Role::kPrimary);
  StartProcess();
  std::filesystem::remove_all(PathOf(primary));
  Open();
  EXPECT_EQ(InSync(), 2);
  EXPECT_NE(WithRole(Role::kPrimary).id, primary.id);
  EXPECT_THAT(log(), Contains(HasSubstr(absl::StrCat(primary.id.ToString(), " is not in sync"))));
  ExpectFilled(200, "value");
  const std::optional<NodeState> next = NextToRejoin();
  ASSERT_TRUE(next.has_value());
  EXPECT_EQ(next->id, primary.id);
  p_->host->Rejoin(*next, GoOn);
  EXPECT_EQ(Find(primary.id).incarnation, 2u);
  EXPECT_EQ(p_->host->Up().size(), 3u);
  EXPECT_THAT(events(), ElementsAre(absl::StrCat(primary.id.ToString(), " in, rebuilt")));
  ASSERT_THAT(p_->host->group()->Promote(primary.id), IsOk());
  ExpectFilled(200, "value");
}

TEST_F(ShardHostTest, WithoutAnyCopyThereIsNothingToServe) {
  Open();
  Fill(10, "value");
  StartProcess();
  for (const NodeState& node : initial_.shards[0].nodes) {
    std::filesystem::rename(PathOf(node), PathOf(node) + ".away");
  }
  EXPECT_THAT(Recover(), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_THAT(p_->host->status(), HasCode(absl::StatusCode::kDataLoss));
  EXPECT_EQ(p_->host->group(), nullptr);
  EXPECT_THAT(p_->host->Up(), IsEmpty());
  StartProcess();
  for (const NodeState& node : initial_.shards[0].nodes) {
    std::filesystem::rename(PathOf(node) + ".away", PathOf(node));
  }
  Open();
  ExpectFilled(10, "value");
}

// A topology that has forgotten an epoch that was given out.
TEST_F(ShardHostTest, AnEpochIsNotGivenOutTwice) {
  Open();
  Fill(10, "value");
  std::vector<std::string> topologies;
  StartProcess();
  for (const std::shared_ptr<OpenZone>& zone : p_->zones.All()) {
    topologies.push_back(BytesOf(zone->path + "/TOPOLOGY"));
  }
  Open();
  Fill(10, "later");
  StartProcess();
  for (size_t i = 0; i < topologies.size(); ++i) {
    SetFileBytes(p_->zones.All()[i]->path + "/TOPOLOGY", topologies[i]);
  }
  ASSERT_THAT(Recover(), IsOk());
  EXPECT_THAT(Serve(), HasError(absl::StatusCode::kDataLoss, "the topology has given out 2"));
}

TEST_F(ShardHostTest, AStoppedNodeIsClosedAndCatchesUp) {
  Open();
  Fill(100, "before");
  const NodeState primary = WithRole(Role::kPrimary);
  ASSERT_THAT(p_->host->StopNode(primary.id), IsOk());
  EXPECT_EQ(InSync(), 2);
  const NodeState next = WithRole(Role::kPrimary);
  EXPECT_NE(next.id, primary.id);
  EXPECT_TRUE(p_->host->WantsReclaim());
  p_->host->Reclaim();
  Fill(100, "without");
  EXPECT_EQ(NextToRejoin(), std::nullopt) << "it is stopped";
  p_->host->StartNode(primary.id);
  ASSERT_TRUE(BringBack());
  EXPECT_EQ(Find(primary.id).incarnation, 1u);
  EXPECT_THAT(events(), ElementsAre(absl::StrCat("shard-1 primary ", next.id.ToString()),
                                    absl::StrCat(primary.id.ToString(),
                                                 " out: ", primary.id.ToString(), " was stopped"),
                                    absl::StrCat(primary.id.ToString(), " in")));
  ASSERT_THAT(p_->host->group()->Promote(primary.id), IsOk());
  ExpectFilled(100, "without");
}

TEST_F(ShardHostTest, TheLastCopyThatIsStoppedIsTheFirstToServeAgain) {
  Open();
  Fill(100, "first");
  const std::vector<NodeState> nodes = Shard().nodes;
  ASSERT_THAT(p_->host->StopNode(nodes[0].id), IsOk());
  Fill(100, "second");
  ASSERT_THAT(p_->host->StopNode(nodes[1].id), IsOk());
  Fill(100, "third");
  const ShardEpoch epoch = Shard().epoch;
  ASSERT_THAT(p_->host->StopNode(nodes[2].id), IsOk());
  EXPECT_EQ(p_->host->group(), nullptr);
  EXPECT_THAT(p_->host->status(), HasError(absl::StatusCode::kUnavailable, "was stopped"));
  EXPECT_THAT(Get("1"), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT(Put("1", "x"), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_TRUE(Find(nodes[2].id).in_sync);
  EXPECT_EQ(InSync(), 1);
  p_->host->Reclaim();
  // Those that missed something do not serve alone.
  p_->host->StartNode(nodes[0].id);
  p_->host->StartNode(nodes[1].id);
  EXPECT_EQ(NextToRejoin(), std::nullopt);
  p_->host->StartNode(nodes[2].id);
  ASSERT_TRUE(BringBack());
  EXPECT_GT(Shard().epoch, epoch);
  ExpectFilled(100, "third");
  Fill(100, "fourth");
  ExpectFilled(100, "fourth");
}

// A call that began before may still read the copy.
TEST_F(ShardHostTest, ACopyStaysOpenForTheCallsThatMayReadIt) {
  Open();
  Fill(100, "value");
  const NodeState primary = WithRole(Role::kPrimary);
  std::thread reclaimer;
  {
    const CallGate::Pass pass(&p_->gate);
    const Group::ReadPoint point = p_->host->group()->BeginRead();
    ASSERT_THAT(p_->host->StopNode(primary.id), IsOk());
    p_->host->StartNode(primary.id);
    EXPECT_FALSE(p_->host->group()->StillServes(point));
    reclaimer = std::thread([this] { p_->host->Reclaim(); });
    // It has been taken out of the group, and waits.
    ASSERT_TRUE(Eventually([&] { return !p_->host->group()->copies()->HasDropped(); }));
    EXPECT_EQ(NextToRejoin(), std::nullopt);
    ValueHeader header;
    std::string payload;
    EXPECT_THAT(point.store().Get(1, "7", p_->clock->NowMs(), &header, &payload), IsOk());
    EXPECT_EQ(payload, "value");
  }
  reclaimer.join();
  ASSERT_TRUE(BringBack());
  ExpectFilled(100, "value");
}

TEST_F(ShardHostTest, ACopyThatCannotComeBackIsTriedAgain) {
  Open();
  Fill(100, "value");
  const NodeState replica = WithRole(Role::kReplica);
  ASSERT_THAT(p_->host->StopNode(replica.id), IsOk());
  p_->host->StartNode(replica.id);
  const NodeState next = AwaitNextToRejoin();
  // The disk fails; then the caller has no more time.
  hook_->Fail(FileOp::kSync, absl::UnavailableError("broken"), PathOf(replica));
  p_->host->Rejoin(next, GoOn);
  EXPECT_THAT(log(), Contains(AllOf(HasSubstr("could not be brought back"), HasSubstr("broken"))));
  hook_->Heal();
  EXPECT_EQ(InSync(), 2);
  AwaitNextToRejoin();
  p_->host->Rejoin(next, [] { return absl::CancelledError("closing"); });
  EXPECT_THAT(log(), Contains(HasSubstr("could not be brought back: closing")));
  EXPECT_EQ(InSync(), 2);
  Fill(100, "after");
  ASSERT_TRUE(BringBack());
  ASSERT_THAT(p_->host->group()->Promote(replica.id), IsOk());
  ExpectFilled(100, "after");
}

// A primary that logged records which no other copy has, as a crash may leave it: fewer or more
// than the shard has logged since then.
TEST_F(ShardHostTest, ACopyThatHasPartedIsBuiltAnew) {
  Open();
  for (const int records : {1, 50}) {
    SCOPED_TRACE(records);
    Fill(20, "before");
    const NodeState primary = WithRole(Role::kPrimary);
    ASSERT_THAT(p_->host->StopNode(primary.id), IsOk());
    p_->host->StartNode(primary.id);
    AwaitNextToRejoin();  // its files are closed
    AppendAlone(primary, records);
    Fill(20, "after");
    ASSERT_TRUE(BringBack());
    EXPECT_EQ(Find(primary.id).incarnation, primary.incarnation + 1);
    EXPECT_EQ(events().back(), absl::StrCat(primary.id.ToString(), " in, rebuilt"));
    ASSERT_THAT(p_->host->group()->Promote(primary.id), IsOk());
    ExpectFilled(20, "after");
    EXPECT_EQ(Get("alone").status().code(), absl::StatusCode::kNotFound);
  }
}

TEST_F(ShardHostTest, OneThatIsStoppedWhileItComesBackDoesNot) {
  Open();
  Fill(100, "value");
  const NodeState replica = WithRole(Role::kReplica);
  ASSERT_THAT(p_->host->StopNode(replica.id), IsOk());
  p_->host->StartNode(replica.id);
  const NodeState next = AwaitNextToRejoin();
  bool stopped = false;
  p_->host->Rejoin(next, [&] {
    if (!std::exchange(stopped, true)) {
      EXPECT_THAT(p_->host->StopNode(replica.id), IsOk());
    }
    return absl::OkStatus();
  });
  EXPECT_TRUE(stopped);
  EXPECT_EQ(InSync(), 2);
  EXPECT_EQ(NextToRejoin(), std::nullopt);
  p_->host->StartNode(replica.id);
  ASSERT_TRUE(BringBack());
}

// What has caught up, or was recovered, is not in sync with a disk that was replaced meanwhile.
TEST_F(ShardHostTest, ACopyDoesNotComeBackOnADiskThatWasReplaced) {
  Open();
  Fill(100, "value");
  const NodeState replica = WithRole(Role::kReplica);
  ASSERT_THAT(p_->host->StopNode(replica.id), IsOk());
  p_->host->StartNode(replica.id);
  const NodeState next = AwaitNextToRejoin();
  // In the last moment: its zone is looked at no more.
  int asked = 0;
  p_->host->Rejoin(next, [&] { return ++asked, absl::OkStatus(); });
  ASSERT_TRUE(Find(replica.id).in_sync);
  ASSERT_THAT(p_->host->StopNode(replica.id), IsOk());
  p_->host->StartNode(replica.id);
  int left = asked;
  p_->host->Rejoin(AwaitNextToRejoin(), [&] {
    if (--left == 0) ReplaceDiskOf(replica.zone);
    return absl::OkStatus();
  });
  EXPECT_EQ(left, 0);
  EXPECT_FALSE(Find(replica.id).in_sync);
  EXPECT_THAT(log(), Contains(HasSubstr("on a disk that zone")));
  Fill(100, "after");
  ExpectFilled(100, "after");
}

TEST_F(ShardHostTest, ARevivedShardDoesNotServeFromADiskThatWasReplaced) {
  StopAllAndStartTheOneBehind();
  p_->host->StartNode(last_.id);
  const NodeState next = AwaitNextToRejoin();
  AtFirstSyncOf(behind_, [&] { ReplaceDiskOf(behind_.zone); });
  p_->host->Rejoin(next, GoOn);
  EXPECT_THAT(log(), Contains(HasSubstr("on a disk that zone")));
  ExpectServedByOthers();
}

TEST_F(ShardHostTest, ACopyOnADiskThatWasReplacedIsNotForced) {
  StopAllAndStartTheOneBehind();
  AtFirstSyncOf(behind_, [&] { ReplaceDiskOf(behind_.zone); });
  EXPECT_THAT(p_->host->Promote(behind_.id, /*force=*/true),
              HasError(absl::StatusCode::kUnavailable, "on a disk that zone"));
  ExpectServedByOthers();
}

// Its logs could not be read at Open, and have seen a later time than the clock began at.
TEST_F(ShardHostTest, ACopyThatAppearsLaterRaisesTheClock) {
  Open();
  p_->wall.Advance(absl::Hours(1));
  Fill(10, "value");
  const uint64_t late_ms = p_->clock->NowMs();
  StartProcess();
  hook_->SetBefore([](FileOp, const std::string& path) {
    return absl::StrContains(path, "/node-") ? absl::UnavailableError("away") : absl::OkStatus();
  });
  EXPECT_THAT(Recover(), HasError(absl::StatusCode::kUnavailable, "away"));
  p_->router.AddShard(kShard, nullptr, p_->host->status());
  p_->router.slots().Publish({0, kSlotCount - 1}, SlotState::kServing, kShard);
  hook_->Heal();
  EXPECT_LT(p_->clock->NowMs(), late_ms);
  ASSERT_TRUE(BringBack());
  EXPECT_GE(p_->clock->NowMs(), late_ms);
  ExpectFilled(10, "value");
}

TEST_F(ShardHostTest, WhatANodeHadIsDeletedOnceItIsClosed) {
  Open();
  Fill(10, "value");
  const NodeState replica = WithRole(Role::kReplica);
  const std::string path = PathOf(replica);
  std::filesystem::create_directories(
      p_->context.FindZone(replica.zone)->directory->NodePath(replica.id, 2) + "/log");
  std::filesystem::create_directories(
      p_->context.FindZone(replica.zone)->directory->NodePath(NodeId(77), 1) + "/log");
  ASSERT_THAT(p_->host->StopNode(replica.id), IsOk());
  p_->host->DeleteWhenClosed(replica.id, p_->context.FindZone(replica.zone));
  ASSERT_TRUE(Eventually([&] {
    p_->host->Reclaim();
    return !std::filesystem::exists(path);
  }));
  EXPECT_FALSE(std::filesystem::exists(
      p_->context.FindZone(replica.zone)->directory->NodePath(replica.id, 2)));
  EXPECT_TRUE(std::filesystem::exists(
      p_->context.FindZone(replica.zone)->directory->NodePath(NodeId(77), 1)))
      << "another node's";
  ExpectFilled(10, "value");
}

}  // namespace
}  // namespace slotkv
