// Copies that a crash has left unequal.
#include "replication/recovery.h"

#include <algorithm>
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
    for (TestNode* const node : {&a_, &b_, &c_}) EXPECT_THAT(node->Create(), IsOk());
  }

  // Records of `epoch`, with keys from `from` on.
  void Put(TestNode* node, uint64_t epoch, int from, int count) {
    node->epoch = ShardEpoch(epoch);
    for (int i = from; i < from + count; ++i) {
      ASSERT_THAT(node->Put(1, absl::StrCat(i), absl::StrCat(epoch)), IsOk());
    }
  }
  // Closes them as a crash does, and finds the ends of their logs.
  void OpenLogs(const std::vector<TestNode*>& nodes) {
    copies_.clear();
    for (TestNode* const node : nodes) {
      node->node.reset();
      RecoveringCopy& copy = copies_.emplace_back();
      copy.id = node->options.identity.node;
      auto opened = Node::Open(node->options);
      copy.status = opened.status();
      if (opened.ok()) copy.node = *std::move(opened);
    }
  }
  // Of two copies.
  absl::Status Recover(bool a_in_sync = true, bool b_in_sync = true) {
    OpenLogs({&a_, &b_});
    copies_[0].in_sync = a_in_sync;
    copies_[1].in_sync = b_in_sync;
    return RecoverCopies(absl::MakeSpan(copies_), &clock_);
  }
  // Behind its first records; many later ones stand in other files. Returns the file.
  std::string DamageLogOfA() {
    const std::string path = a_.LogFiles()[1];  // the first one is empty
    std::string bytes = BytesOf(path);
    std::fill(bytes.begin() + 1000, bytes.end(), 'x');
    SetFileBytes(path, bytes);
    return path;
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

  TestNode a_{1}, b_{2}, c_{3};
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

// What only it has was not acknowledged: every in-sync copy has all that was.
TEST_F(RecoveryTest, TheNextOneWinsIfTheFirstCannotBeRead) {
  Put(&a_, 1, 0, 100);
  Put(&b_, 1, 0, 70);
  Put(&c_, 1, 0, 50);
  OpenLogs({&a_, &b_, &c_});
  a_.hook->Fail(FileOp::kRead, absl::UnavailableError("broken"), "/log/");
  ASSERT_THAT(RecoverCopies(absl::MakeSpan(copies_), &clock_), IsOk());
  EXPECT_THAT(copies_[0].status, HasError(absl::StatusCode::kUnavailable, "broken"));
  copies_.erase(copies_.begin());
  ExpectEqualUpTo(70);
  EXPECT_EQ(Get(1, 69), "1");
  EXPECT_EQ(Get(1, 70), "NOT_FOUND");
}

TEST_F(RecoveryTest, TheNextOneWinsIfTheFirstIsDamagedWhereTheOthersEnd) {
  Put(&a_, 1, 0, 3000);
  Put(&b_, 1, 0, 20);
  Put(&c_, 1, 0, 10);
  OpenLogs({&a_, &b_, &c_});
  const std::string damaged = DamageLogOfA();
  ASSERT_THAT(RecoverCopies(absl::MakeSpan(copies_), &clock_), IsOk());
  EXPECT_THAT(copies_[0].status, HasError(absl::StatusCode::kDataLoss, damaged));
  copies_.erase(copies_.begin());
  ExpectEqualUpTo(20);
}

TEST_F(RecoveryTest, ACopyThatCannotBeWrittenIsLeftOut) {
  Put(&a_, 1, 0, 100);
  Put(&b_, 1, 0, 70);
  Put(&c_, 1, 0, 50);
  OpenLogs({&a_, &b_, &c_});
  b_.hook->Fail(FileOp::kSync, absl::UnavailableError("broken"), "/log/");
  ASSERT_THAT(RecoverCopies(absl::MakeSpan(copies_), &clock_), IsOk());
  EXPECT_THAT(copies_[1].status, HasError(absl::StatusCode::kUnavailable, "broken"));
  copies_.erase(copies_.begin() + 1);
  ExpectEqualUpTo(100);
}

// What such a copy misses cannot be read; the one in sync needs none of it.
TEST_F(RecoveryTest, ACopyThatIsNotInSyncDoesNotDecideWhoWins) {
  Put(&a_, 1, 0, 3000);
  ASSERT_THAT(a_.node->Flush(/*wait=*/true), IsOk());
  Put(&b_, 1, 0, 20);
  OpenLogs({&a_, &b_});
  copies_[1].in_sync = false;
  const std::string damaged = DamageLogOfA();
  ASSERT_THAT(RecoverCopies(absl::MakeSpan(copies_), &clock_), IsOk());
  EXPECT_THAT(copies_[0].status, IsOk());
  EXPECT_THAT(copies_[1].status, HasError(absl::StatusCode::kDataLoss, damaged));
  EXPECT_EQ(Get(0, 2999), "1");
}

}  // namespace
}  // namespace slotkv
