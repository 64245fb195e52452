// One file operation fails, or it and all that follow (a crash): while a cluster is created,
// opened, written and closed. What was acknowledged is there afterwards, the rest is old or new,
// and a creation that was cut short anywhere is completed by the next Open.
//
// SLOTKV_TEST_ALL=1 takes every operation in turn instead of some.
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/fake_clock.h"
#include "tests/outcome_model.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

// Lets `healthy` operations pass, then refuses one, or all.
class FailingHook final : public FileHook {
 public:
  FailingHook(int healthy, bool for_ever) : healthy_(healthy), for_ever_(for_ever) {}

  absl::Status Before(FileOp, const std::string& path) override {
    const int n = begun_++;
    if (n < healthy_ || (n > healthy_ && !for_ever_)) return absl::OkStatus();
    return absl::UnavailableError(absl::StrCat(path, ": this disk has failed"));
  }

  int begun() const { return begun_; }

 private:
  const int healthy_;
  const bool for_ever_;
  std::atomic<int> begun_{0};
};

class FaultTest : public testing::Test {
 protected:
  FaultTest() {
    options_.shards = 2;
    options_.replicas_per_shard = 0;
    options_.memory_bytes = size_t{16} << 20;
    options_.clock = clock_;
    options_.operation_timeout = absl::Seconds(5);
  }

  // Opens, works and closes, as far as the disk lets it. True if the cluster was opened.
  bool LiveOnce(const std::shared_ptr<FileHook>& hook) {
    absl::StatusOr<std::unique_ptr<Cluster>> opened = OpenClusterWithHook(options_, path_, hook);
    if (!opened.ok()) {
      EXPECT_FALSE(opened.status().message().empty());
      EXPECT_FALSE(absl::IsDataLoss(opened.status())) << opened.status();
      return false;
    }
    Cluster* const cluster = opened->get();
    model_->ReadAll(cluster, /*may_fail=*/true);
    Write(cluster, 12);
    FlushStores(cluster).IgnoreError();
    Write(cluster, 12);
    model_->ReadAll(cluster, /*may_fail=*/true);
    cluster->Close().IgnoreError();
    return true;
  }

  void Write(Cluster* cluster, int writes) {
    for (int i = 0; i < writes; ++i) {
      model_->Write(cluster);
      clock_->Advance(absl::Milliseconds(static_cast<int64_t>(random_() % 100)));
    }
  }

  // Whatever has happened: it opens, is sound, and works.
  void CheckSound() {
    absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(options_, path_);
    ASSERT_THAT(cluster, IsOk());
    // What an unknown outcome turned out to be, it stays.
    model_->Learn(cluster->get());
    EXPECT_THAT((*cluster)->Verify(), IsOk());
    EXPECT_THAT((*cluster)->Close(), IsOk());
  }

  void Start(uint64_t variant) {
    path_ = directory_.Path(absl::StrCat("cluster", ++clusters_));
    model_.emplace(keys_, &random_);
    options_.fsync = variant % 2 == 0 ? Fsync::kAlways : Fsync::kEverySecond;
    options_.log_io = variant / 2 % 2 == 0 ? LogIo::kAuto : LogIo::kWrite;
  }

  // `prepared`: the cluster has data and the operations of an Open are those that fail first.
  void Run(bool for_ever, bool prepared) {
    const bool all = std::getenv("SLOTKV_TEST_ALL") != nullptr;
    const int step = all ? 1 : 37;
    for (int healthy = all ? 0 : static_cast<int>(random_() % step);; healthy += step) {
      const uint64_t variant = random_();
      SCOPED_TRACE(absl::StrCat("after ", healthy, " operations, variant ", variant % 4));
      Start(variant);
      if (prepared) {
        ASSERT_TRUE(LiveOnce(nullptr));
      }
      const auto hook = std::make_shared<FailingHook>(healthy, for_ever);
      LiveOnce(hook);
      if (HasFailure()) return;
      CheckSound();
      LiveOnce(nullptr);
      CheckSound();
      if (HasFailure()) return;
      std::filesystem::remove_all(path_);
      if (hook->begun() <= healthy) return;
    }
  }

  std::mt19937_64 random_{TestSeed()};
  const TemporaryDirectory directory_{/*in_memory=*/true};
  const std::shared_ptr<ManualClock> clock_ = std::make_shared<ManualClock>();
  Options options_;
  const std::vector<std::string> keys_ = {"key0", "key1", "key2", "key3", "key4", "key5"};
  std::string path_;
  std::optional<OutcomeModel> model_;

 private:
  int clusters_ = 0;
};

TEST_F(FaultTest, OneOperationFailsFromCreationOn) { Run(false, false); }
TEST_F(FaultTest, OneOperationFailsFromOpenOn) { Run(false, true); }
TEST_F(FaultTest, TheDiskFailsFromCreationOn) { Run(true, false); }
TEST_F(FaultTest, TheDiskFailsFromOpenOn) { Run(true, true); }

// One crash after the other, so that what one leaves behind meets the next.
TEST_F(FaultTest, CrashAfterCrash) {
  Start(random_());
  for (int round = 0; round < 10; ++round) {
    SCOPED_TRACE(round);
    LiveOnce(std::make_shared<FailingHook>(static_cast<int>(random_() % 200), true));
    if (HasFailure()) return;
    if (random_() % 3 == 0) CheckSound();
  }
  CheckSound();
}

}  // namespace
}  // namespace slotkv
