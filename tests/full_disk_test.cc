// A disk that is full: writes are refused with ResourceExhausted, reads go on, nothing is lost, and
// when there is room again writes succeed without a reopen.
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/match.h"
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
namespace {

class FullDiskTest : public ClusterFixture {
 protected:
  FullDiskTest() {
    options_.replicas_per_shard = 0;
    hook_->SetBefore([this](FileOp op, const std::string& path) {
      const bool takes_space = op == FileOp::kReserve || op == FileOp::kCreate ||
                               op == FileOp::kWrite || op == FileOp::kMakeDirectory;
      if (!full_ || !takes_space) return absl::OkStatus();
      // A log's records go where space was reserved for them before.
      if (op == FileOp::kWrite && !log_writes_fail_ && absl::StrContains(path, "/log/")) {
        return absl::OkStatus();
      }
      return absl::ResourceExhaustedError(absl::StrCat(path, ": No space left on device"));
    });
  }

  absl::Status TryOpen() {
    absl::StatusOr<std::unique_ptr<Cluster>> cluster = OpenClusterWithHook(options_, path_, hook_);
    if (!cluster.ok()) return cluster.status();
    cluster_ = *std::move(cluster);
    return absl::OkStatus();
  }

  absl::Status Set(int i) {
    const std::string key = absl::StrCat(i % 50), value = absl::StrCat(i, std::string(30'000, 'v'));
    const absl::Status status = cluster_->Set(key, value);
    if (status.ok()) values_[key] = value;
    return status;
  }
  // Sets until one is refused.
  absl::Status Fill() {
    for (int i = 0; i < 10'000; ++i) {
      if (absl::Status status = Set(i); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  void ExpectValues() {
    for (const auto& [key, value] : values_) {
      const absl::StatusOr<std::string> got = cluster_->Get(key);
      ASSERT_THAT(got, IsOk());
      ASSERT_TRUE(*got == value) << key;
    }
  }

  // Housekeeping looks once a second whether there is room again, for each shard.
  static absl::Status Eventually(const std::function<absl::Status()>& call) {
    const absl::Time give_up = absl::Now() + absl::Seconds(60);
    while (true) {
      const absl::Status status = call();
      if (!absl::IsResourceExhausted(status) || absl::Now() > give_up) return status;
      absl::SleepFor(absl::Milliseconds(10));
    }
  }

  const std::shared_ptr<TestHook> hook_ = std::make_shared<TestHook>();
  std::atomic<bool> full_{false};
  std::atomic<bool> log_writes_fail_{false};
  std::map<std::string, std::string> values_;
};

TEST_F(FullDiskTest, NoRoomForTheLog) {
  options_.memory_bytes = size_t{2} << 30;  // tables can wait for longer than the log lasts
  ASSERT_THAT(TryOpen(), IsOk());
  for (int i = 0; i < 50; ++i) ASSERT_THAT(Set(i), IsOk());
  for (int round = 0; round < 2; ++round) {
    full_ = true;
    EXPECT_THAT(Fill(), HasError(absl::StatusCode::kResourceExhausted, "No space left"));
    ExpectValues();
    full_ = false;
    for (int i = 0; i < 50; ++i) EXPECT_THAT(Set(i), IsOk());
  }
  EXPECT_THAT(cluster_->Verify(), IsOk());
  Close();
  ASSERT_THAT(TryOpen(), IsOk());
  ExpectValues();
}

TEST_F(FullDiskTest, NoRoomForTables) {
  ASSERT_THAT(TryOpen(), IsOk());
  for (int i = 0; i < 50; ++i) ASSERT_THAT(Set(i), IsOk());
  full_ = true;
  EXPECT_THAT(FlushStores(cluster_.get()), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(Fill(), HasError(absl::StatusCode::kResourceExhausted, "full"));
  ExpectValues();
  full_ = false;
  for (int i = 0; i < 50; ++i) {
    ASSERT_THAT(Eventually([&] { return Set(i); }), IsOk());
  }
  EXPECT_THAT(Eventually([&] { return FlushStores(cluster_.get()); }), IsOk());
  ExpectValues();
  EXPECT_THAT(cluster_->Verify(), IsOk());
  Close();
  ASSERT_THAT(TryOpen(), IsOk());
  ExpectValues();
}

TEST_F(FullDiskTest, ClosedWhileFull) {
  ASSERT_THAT(TryOpen(), IsOk());
  for (int i = 0; i < 50; ++i) ASSERT_THAT(Set(i), IsOk());
  full_ = true;
  FlushStores(cluster_.get()).IgnoreError();
  Fill().IgnoreError();
  cluster_->Close().IgnoreError();
  cluster_.reset();
  const absl::Status status = TryOpen();
  EXPECT_TRUE(absl::IsResourceExhausted(status) || absl::IsUnavailable(status)) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "No space left")) << status;
  full_ = false;
  ASSERT_THAT(TryOpen(), IsOk());
  ExpectValues();
  EXPECT_THAT(cluster_->Verify(), IsOk());
}

TEST_F(FullDiskTest, CreationIsCompletedWhenThereIsRoom) {
  full_ = true;
  EXPECT_THAT(TryOpen(), HasError(absl::StatusCode::kResourceExhausted, "No space left"));
  full_ = false;
  ASSERT_THAT(TryOpen(), IsOk());
  EXPECT_THAT(Set(1), IsOk());
}

// Where even a reserved place can run out of room (copy-on-write file systems), the shard stops
// taking writes: what stands in its log is unknown until the next Open.
TEST_F(FullDiskTest, ALogThatCannotBeWrittenFails) {
  options_.shards = 1;
  options_.log_io = LogIo::kWrite;
  ASSERT_THAT(TryOpen(), IsOk());
  ASSERT_THAT(Set(1), IsOk());
  log_writes_fail_ = full_ = true;
  EXPECT_THAT(Set(2), HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(Set(3), HasCode(absl::StatusCode::kUnavailable));
  ExpectValues();
  full_ = false;
  EXPECT_THAT(Set(3), HasError(absl::StatusCode::kUnavailable, "takes no writes since"));
  cluster_->Close().IgnoreError();
  cluster_.reset();
  ASSERT_THAT(TryOpen(), IsOk());
  ExpectValues();
  EXPECT_THAT(cluster_->Get("3"), IsMissing());
  EXPECT_THAT(Set(4), IsOk());
}

}  // namespace
}  // namespace slotkv
