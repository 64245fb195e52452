// Copies that a crash has left unequal.
#include "replication/recovery.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/node_test_support.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace slotkv {
namespace {

class RecoveryTest : public testing::Test {
 protected:
  RecoveryTest() {
    for (TestNode* const node : {&a_, &b_}) EXPECT_THAT(node->Create(), IsOk());
  }

  // Records of `epoch`, with keys from `from` on.
  void Put(TestNode* node, uint64_t epoch, int from, int count) {
    node->epoch = ShardEpoch(epoch);
    for (int i = from; i < from + count; ++i) {
      ASSERT_THAT(node->Put(1, absl::StrCat(i), absl::StrCat(epoch)), IsOk());
    }
  }
  // Closes both as a crash does.
  absl::Status Recover(bool a_in_sync = true, bool b_in_sync = true) {
    copies_.clear();
    for (TestNode* const node : {&a_, &b_}) {
      node->node.reset();
      RecoveringCopy& copy = copies_.emplace_back();
      copy.id = node->options.identity.node;
      copy.in_sync = node == &a_ ? a_in_sync : b_in_sync;
      auto opened = Node::Open(node->options);
      copy.status = opened.status();
      if (opened.ok()) copy.node = *std::move(opened);
    }
    return RecoverCopies(absl::MakeSpan(copies_), &clock_);
  }
  std::string Get(int copy, int key) {
    ValueHeader header;
    std::string payload;
    const absl::Status status =
        copies_[copy].node->store().Get(1, absl::StrCat(key), clock_.NowMs(), &header, &payload);
    return status.ok() ? payload : std::string(absl::StatusCodeToString(status.code()));
  }
  void ExpectEqualUpTo(uint64_t index) {
    for (const RecoveringCopy& copy : copies_) {
      EXPECT_THAT(copy.status, IsOk());
      EXPECT_EQ(copy.node->log().last().index.value(), index);
      EXPECT_EQ(copy.node->applied().value(), index);
    }
  }

  TestNode a_{1}, b_{2};
  ManualClock wall_;
  ExpiryClock clock_{&wall_, 0};
  std::vector<RecoveringCopy> copies_;
};

TEST_F(RecoveryTest, TheOthersGetWhatTheyMiss) {
  Put(&a_, 1, 0, 100);
  Put(&b_, 1, 0, 70);
  ASSERT_THAT(Recover(), IsOk());
  ExpectEqualUpTo(100);
  EXPECT_EQ(Get(1, 99), "1");
  // And the other way round, behind a new epoch.
  Put(&a_, 1, 0, 0);
  copies_.clear();
  ASSERT_THAT(a_.Open(), IsOk());
  ASSERT_THAT(b_.Open(), IsOk());
  Put(&b_, 2, 100, 5000);  // more than is shipped at a time
  ASSERT_THAT(Recover(), IsOk());
  ExpectEqualUpTo(5100);
  EXPECT_EQ(Get(0, 5099), "2");
}

TEST_F(RecoveryTest, ACopyWithoutAnyRecordIsFilled) {
  Put(&b_, 1, 0, 10);
  ASSERT_THAT(Recover(), IsOk());
  ExpectEqualUpTo(10);
}

TEST_F(RecoveryTest, ACopyThatHasPartedIsLeftOut) {
  Put(&a_, 1, 0, 10);
  Put(&b_, 1, 0, 12);  // two that nobody was told of
  Put(&a_, 2, 10, 1);
  ASSERT_THAT(Recover(), IsOk());
  EXPECT_THAT(copies_[0].status, IsOk());
  EXPECT_THAT(copies_[1].status, HasError(absl::StatusCode::kDataLoss, "record 12 of epoch 1"));
  EXPECT_EQ(Get(0, 10), "2");
}

TEST_F(RecoveryTest, ACopyThatIsNotInSyncNeverWins) {
  Put(&a_, 1, 0, 10);
  Put(&b_, 1, 0, 20);
  ASSERT_THAT(Recover(/*a_in_sync=*/true, /*b_in_sync=*/false), IsOk());
  EXPECT_EQ(copies_[0].node->log().last().index.value(), 10u);
  EXPECT_FALSE(copies_[1].status.ok());
  // But it comes back if what it has is the truth's beginning.
  copies_.clear();
  ASSERT_THAT(a_.Open(), IsOk());
  Put(&a_, 1, 10, 20);
  ASSERT_THAT(Recover(/*a_in_sync=*/true, /*b_in_sync=*/false), IsOk());
  ExpectEqualUpTo(30);
}

TEST_F(RecoveryTest, WithoutACopyInSyncThereIsNone) {
  Put(&a_, 1, 0, 10);
  EXPECT_THAT(Recover(false, false), HasCode(absl::StatusCode::kUnavailable));
}

TEST_F(RecoveryTest, DamageIsLeftOutWhileAnotherCopyIsSound) {
  Put(&a_, 1, 0, 10);
  Put(&b_, 1, 0, 10);
  a_.node.reset();
  ASSERT_THAT(Disk().DeleteTree(a_.log_directory()), IsOk());
  ASSERT_THAT(Recover(), IsOk());
  EXPECT_THAT(copies_[0].status, HasCode(absl::StatusCode::kDataLoss));
  EXPECT_EQ(Get(1, 9), "1");
  b_.node.reset();
  copies_.clear();
  ASSERT_THAT(Disk().DeleteTree(b_.log_directory()), IsOk());
  EXPECT_THAT(Recover(), HasCode(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace slotkv
