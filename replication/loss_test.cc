#include "replication/loss.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/node_test_support.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace slotkv {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class LossTest : public testing::Test {
 protected:
  LossTest() {
    for (TestNode* const node : {&a_, &b_, &c_}) EXPECT_THAT(node->Create(), IsOk());
  }

  void Put(TestNode* node, uint64_t epoch, int count) {
    node->epoch = ShardEpoch(epoch);
    for (int i = 0; i < count; ++i) ASSERT_THAT(node->PutMany(1), IsOk());
  }
  // The copy as a stage of the opening has found it. Closes the node.
  void Add(TestNode* node, bool in_sync, const absl::Status& status = absl::OkStatus()) {
    node->node.reset();
    RecoveringCopy& copy = copies_.emplace_back();
    copy.id = node->options.identity.node;
    copy.in_sync = in_sync;
    copy.status = status;
    auto opened = Node::Open(node->options);
    ASSERT_THAT(opened, IsOk());
    copy.node = *std::move(opened);
  }
  void AddUnreachable(uint32_t id) {
    RecoveringCopy& copy = copies_.emplace_back();
    copy.id = NodeId(id);
    copy.status = absl::UnavailableError("its disk is gone");
  }
  std::string Describe(size_t copy, std::optional<LogIndex> acknowledged = std::nullopt) {
    return DescribeLoss(ShardId(7), copies_[copy], copies_, acknowledged);
  }

  const absl::Status stopped_ = absl::UnavailableError("it is stopped");
  TestNode a_{1}, b_{2}, c_{3};
  std::vector<RecoveringCopy> copies_;
};

TEST_F(LossTest, TheCopyWithTheLastRecord) {
  Put(&a_, 1, 30);
  Put(&b_, 2, 10);
  Put(&c_, 2, 20);
  Add(&a_, /*in_sync=*/false);
  EXPECT_EQ(LastOutOfSync(absl::MakeSpan(copies_))->id, NodeId(1));
  Add(&b_, /*in_sync=*/false);
  EXPECT_EQ(LastOutOfSync(absl::MakeSpan(copies_))->id, NodeId(2)) << "of a later epoch";
  Add(&c_, /*in_sync=*/true);
  AddUnreachable(4);
  EXPECT_EQ(LastOutOfSync(absl::MakeSpan(copies_))->id, NodeId(2));
  copies_[1].status = stopped_;
  EXPECT_EQ(LastOutOfSync(absl::MakeSpan(copies_))->id, NodeId(1));
}

TEST_F(LossTest, ACopyWithoutRecordsIsNone) {
  Add(&a_, /*in_sync=*/false);
  EXPECT_FALSE(HasRecords(copies_[0]));
  AddUnreachable(2);
  EXPECT_FALSE(HasRecords(copies_[1]));
  EXPECT_EQ(LastOutOfSync(absl::MakeSpan(copies_)), nullptr);
  Put(&b_, 1, 1);
  Add(&b_, /*in_sync=*/false);
  EXPECT_TRUE(HasRecords(copies_[2]));
}

TEST_F(LossTest, CountsInALogThatCanBeRead) {
  Put(&a_, 1, 30);
  ASSERT_THAT(a_.Write("", RecordKind::kEpochStart), IsOk());
  Put(&a_, 2, 4);
  Put(&b_, 1, 12);
  Add(&a_, /*in_sync=*/true, stopped_);
  Add(&b_, /*in_sync=*/false);
  EXPECT_EQ(Describe(1),
            "node-2 is not in sync: it has the records of shard-7 up to 12 (epoch 1); the copies "
            "in sync are not served (node-1: it is stopped); the last record that may be "
            "acknowledged is 35 (epoch 2), in the log of node-1: up to 22 acknowledged writes "
            "would be lost; PromoteOptions.force promotes it all the same");
}

TEST_F(LossTest, NothingIsLostWithTheSameRecords) {
  Put(&a_, 1, 5);
  ASSERT_THAT(a_.Write("", RecordKind::kEpochStart), IsOk());
  Put(&b_, 1, 5);
  Add(&a_, /*in_sync=*/true, stopped_);
  Add(&b_, /*in_sync=*/false);
  EXPECT_THAT(Describe(1), HasSubstr(": no acknowledged write would be lost"));
}

TEST_F(LossTest, ALogThatHasPartedCannotBeCompared) {
  Put(&a_, 1, 5);
  Put(&a_, 2, 5);
  Put(&b_, 1, 7);
  Add(&a_, /*in_sync=*/true, stopped_);
  Add(&b_, /*in_sync=*/false);
  EXPECT_THAT(Describe(1), AllOf(HasSubstr("10 (epoch 2)"), HasSubstr("cannot be counted")));
}

TEST_F(LossTest, GoesByWhatIsKnownElse) {
  Put(&b_, 1, 7);
  AddUnreachable(1);
  Add(&b_, /*in_sync=*/false);
  EXPECT_THAT(Describe(1), AllOf(HasSubstr("(node-1: its disk is gone)"),
                                 HasSubstr("acknowledged writes would be lost is unknown")));
  EXPECT_THAT(Describe(1, LogIndex(8)),
              HasSubstr("is 8: up to 1 acknowledged write would be lost"));
  EXPECT_THAT(Describe(1, LogIndex(107)), HasSubstr("up to 100 acknowledged writes would be lost"));
  EXPECT_THAT(Describe(1, LogIndex(7)),
              AllOf(HasSubstr("no acknowledged write would be lost"), Not(HasSubstr("unknown"))));
}

}  // namespace
}  // namespace slotkv
