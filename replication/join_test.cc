// A copy that joins those that are in sync, while writes go on or not, and what keeps it from it.
#include "replication/join.h"

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "replication/catch_up.h"
#include "replication/fake_keeper.h"
#include "replication/group_test_support.h"

namespace slotkv {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// More than are left to the tap, so that some are read from the log with nobody waiting.
constexpr int kManyRecords = 12'000;

// Nodes 1 and 2 are in sync, node 3 is to join.
class JoinTest : public testing::Test {
 protected:
  JoinTest() {
    for (TestNode* const node : {&a_, &b_, &joining_}) EXPECT_THAT(node->Create(), IsOk());
    std::vector<Copy> copies(2);
    TestNode* const nodes[] = {&a_, &b_};
    for (size_t i = 0; i < 2; ++i) {
      copies[i].id = NodeId(static_cast<uint32_t>(i + 1));
      copies[i].zone = absl::StrCat("zone-", i);
      copies[i].local = std::make_shared<LocalReplica>(std::move(nodes[i]->node),
                                                       &nodes[i]->workers, &nodes[i]->workers);
      copies[i].link = copies[i].local;
    }
    CopiesOptions copies_options;
    copies_options.node_timeout = absl::Minutes(1);
    GroupOptions options;
    options.sync = SyncPolicy::kNever;
    group_ =
        std::make_unique<Group>(std::make_unique<Copies>(std::move(copies), &keeper_,
                                                         a_.expiry_clock.get(), copies_options),
                                a_.expiry_clock.get(), options);
    EXPECT_THAT(group_->StartEpoch(ShardEpoch(1)), IsOk());
  }

  absl::Status Put(std::string_view key, std::string_view value) {
    LambdaMutation mutation([&](GroupView*, std::string* effects) {
      *effects = PutEffect(1, key, value);
      return absl::OkStatus();
    });
    return group_->Write(&mutation, {&word_, 0});
  }
  void PutMany(int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_THAT(Put(absl::StrCat(i), std::string(100, 'v')), IsOk());
    }
  }
  // The beginning of the shard's log.
  void GiveFirst(uint64_t records) {
    ASSERT_THAT(CatchUp(group_->node()->log(), LogIndex(records), joining_.node.get(),
                        /*apply=*/true, [] { return absl::OkStatus(); }),
                IsOk());
  }
  absl::Status Join(const std::function<absl::Status()>& go_on = [] { return absl::OkStatus(); }) {
    JoiningCopy joining;
    joining.id = NodeId(3);
    joining.incarnation = 7;
    joining.zone = "zone-2";
    joining.node = std::move(joining_.node);
    return JoinCopy(
        group_.get(), std::move(joining),
        [this](std::unique_ptr<Node> node) {
          replica_ =
              std::make_shared<LocalReplica>(std::move(node), &joining_.workers, &joining_.workers);
          return replica_;
        },
        go_on);
  }
  // After an attempt that failed.
  void ExpectNotInSync() {
    EXPECT_EQ(group_->copies()->InSync().size(), 2u);
    const LogIndex before = replica_ == nullptr ? LogIndex() : Last(*replica_);
    EXPECT_THAT(Put("afterwards", "value"), IsOk());
    if (replica_ != nullptr) {
      EXPECT_EQ(Last(*replica_), before) << "it is still given records";
    }
  }
  void ExpectInSync() {
    const std::vector<Copies::CopyInfo> copies = group_->copies()->InSync();
    ASSERT_EQ(copies.size(), 3u);
    EXPECT_EQ(copies.back().id, NodeId(3));
    EXPECT_EQ(copies.back().incarnation, 7u);
    EXPECT_EQ(copies.back().zone, "zone-2");
    EXPECT_THAT(Put("afterwards", "value"), IsOk());
    EXPECT_EQ(Last(*replica_), group_->node()->log().last().index);
    ASSERT_THAT(replica_->applier()->Drain(absl::Seconds(60)), IsOk());
    EXPECT_EQ(replica_->node()->applied(), Last(*replica_));
  }
  static LogIndex Last(const LocalReplica& replica) { return replica.node()->log().last().index; }
  std::string Get(const Node& node, std::string_view key) {
    ValueHeader header;
    std::string payload;
    const absl::Status status =
        node.store().Get(1, key, a_.expiry_clock->NowMs(), &header, &payload);
    return status.ok() ? payload : std::string(absl::StatusCodeToString(status.code()));
  }

  TestNode a_{1}, b_{2}, joining_{3};
  std::atomic<uint64_t> word_{0};
  FakeKeeper keeper_;
  std::shared_ptr<LocalReplica> replica_;
  std::unique_ptr<Group> group_;
};

TEST_F(JoinTest, ACopyIsGivenWhatItMisses) {
  PutMany(100);
  GiveFirst(40);
  ASSERT_THAT(Join(), IsOk());
  ASSERT_EQ(keeper_.changes.size(), 1u);
  EXPECT_EQ(keeper_.changes[0].epoch, ShardEpoch(1));
  EXPECT_EQ(keeper_.changes[0].primary, NodeId(1));
  EXPECT_THAT(keeper_.changes[0].in_sync,
              ElementsAre(InSyncCopy{NodeId(1)}, InSyncCopy{NodeId(2)}, InSyncCopy{NodeId(3), 7}));
  EXPECT_EQ(replica_->Progress().synced, Last(*replica_));
  ExpectInSync();
  EXPECT_EQ(Get(*replica_->node(), "99"), std::string(100, 'v'));
}

TEST_F(JoinTest, ACopyWithoutAnyRecord) {
  PutMany(kManyRecords);
  int asked = 0;
  ASSERT_THAT(Join([&] {
                ++asked;
                return absl::OkStatus();
              }),
              IsOk());
  EXPECT_GT(asked, 2);
  ExpectInSync();
  EXPECT_EQ(Get(*replica_->node(), absl::StrCat(kManyRecords - 1)), std::string(100, 'v'));
}

TEST_F(JoinTest, ACopyThatMissesNothing) {
  PutMany(10);
  GiveFirst(11);  // the beginning of the epoch among them
  ASSERT_THAT(Join(), IsOk());
  ExpectInSync();
}

// It is in sync, durably, before it counts; and not a record of those that go on meanwhile is
// missing.
TEST_F(JoinTest, WritesGoOn) {
  PutMany(1000);
  std::atomic<bool> stop{false};
  std::vector<std::thread> writers;
  for (int t = 0; t < 2; ++t) {
    writers.emplace_back([&, t] {
      for (int i = 0; !stop; ++i) {
        ASSERT_THAT(Put(absl::StrCat(t, ".", i % 50), absl::StrCat(i)), IsOk());
      }
    });
  }
  LogIndex synced_at_change, last_at_change;
  keeper_.before_change = [&] {
    synced_at_change = replica_->Progress().synced;
    last_at_change = group_->copies()->last().index;
  };
  EXPECT_THAT(Join(), IsOk());
  EXPECT_EQ(synced_at_change, last_at_change);
  PutMany(100);
  stop = true;
  for (std::thread& writer : writers) writer.join();
  ExpectInSync();
  for (int t = 0; t < 2; ++t) {
    for (int i = 0; i < 50; ++i) {
      const std::string key = absl::StrCat(t, ".", i);
      EXPECT_EQ(Get(*replica_->node(), key), Get(*group_->node(), key));
    }
  }
}

TEST_F(JoinTest, AnErrorOfTheCallerEndsIt) {
  PutMany(kManyRecords);
  for (int healthy = 0;; ++healthy) {
    SCOPED_TRACE(healthy);
    int asked = 0;
    const absl::Status status = Join(
        [&] { return asked++ < healthy ? absl::OkStatus() : absl::CancelledError("no more"); });
    if (status.ok()) {
      EXPECT_GT(healthy, 2);
      break;
    }
    EXPECT_THAT(status, HasError(absl::StatusCode::kCancelled, "no more"));
    EXPECT_THAT(keeper_.changes, IsEmpty());
    ExpectNotInSync();
    // It goes on from where it came.
    replica_.reset();
    ASSERT_THAT(joining_.Open(), IsOk());
  }
  ExpectInSync();
}

TEST_F(JoinTest, ATopologyThatRefusesLeavesItOut) {
  PutMany(100);
  keeper_.status = absl::UnavailableError("no majority");
  EXPECT_THAT(Join(), HasError(absl::StatusCode::kUnavailable, "no majority"));
  keeper_.status = absl::OkStatus();
  ExpectNotInSync();
  replica_.reset();
  ASSERT_THAT(joining_.Open(), IsOk());
  EXPECT_THAT(Join(), IsOk());
  ExpectInSync();
}

// It may have been told: nothing is written before that is settled.
TEST_F(JoinTest, AnUnknownOutcomeIsSettledByTheNextWrite) {
  PutMany(100);
  keeper_.status = absl::DeadlineExceededError("no answer");
  EXPECT_THAT(Join(), HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(Put("key", "value"), HasCode(absl::StatusCode::kUnavailable));
  keeper_.status = absl::OkStatus();
  EXPECT_THAT(Put("key", "value"), IsOk());
  ExpectInSync();
}

TEST_F(JoinTest, ADiskThatFailsLeavesItOut) {
  PutMany(100);
  for (const FileOp op : {FileOp::kWrite, FileOp::kReserve, FileOp::kSync}) {
    SCOPED_TRACE(static_cast<int>(op));
    joining_.options.log.io = LogIo::kWrite;
    joining_.node.reset();
    replica_.reset();
    ASSERT_THAT(joining_.Open(), IsOk());
    PutMany(1000);  // more than there is room for
    joining_.hook->Fail(op, absl::UnavailableError("broken"), "/log/");
    EXPECT_THAT(Join(), HasError(absl::StatusCode::kUnavailable, "broken"));
    EXPECT_THAT(keeper_.changes, IsEmpty());
    joining_.hook->Heal();
    ExpectNotInSync();
  }
  replica_.reset();
  ASSERT_THAT(joining_.Open(), IsOk());
  EXPECT_THAT(Join(), IsOk());
  ExpectInSync();
}

TEST_F(JoinTest, APromotionMeanwhileEndsIt) {
  PutMany(kManyRecords);
  EXPECT_THAT(Join([&] { return group_->Promote(NodeId(2)); }),
              HasError(absl::StatusCode::kUnavailable, "the primary has changed"));
  ExpectNotInSync();
  replica_.reset();
  ASSERT_THAT(joining_.Open(), IsOk());
  EXPECT_THAT(Join(), IsOk());
  ExpectInSync();
}

// While it is given the last records: what it has by then is what every primary has.
TEST_F(JoinTest, APromotionBeforeItIsInSync) {
  PutMany(10);
  bool promoted = false;
  const absl::Status status = Join([&] {
    if (replica_ == nullptr || std::exchange(promoted, true)) return absl::OkStatus();
    std::thread([this] { EXPECT_THAT(group_->Promote(NodeId(2)), IsOk()); }).join();
    return absl::OkStatus();
  });
  EXPECT_THAT(status, IsOk());
  EXPECT_TRUE(promoted);
  EXPECT_EQ(keeper_.changes.back().primary, NodeId(2));
  ExpectInSync();
  EXPECT_EQ(Get(*replica_->node(), "9"), std::string(100, 'v'));
}

}  // namespace
}  // namespace slotkv
