// One file operation fails, or it and all that follow (a crash): while a cluster is created,
// opened, written and closed. What was acknowledged is there afterwards, the rest is old or new,
// and a creation that was cut short anywhere is completed by the next Open.
//
// SLOTKV_TEST_ALL=1 takes every operation in turn instead of some.
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/fake_clock.h"
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
    CheckValues(cluster, /*may_fail=*/true);
    Write(cluster, 12);
    FlushStores(cluster).IgnoreError();
    Write(cluster, 12);
    CheckValues(cluster, /*may_fail=*/true);
    cluster->Close().IgnoreError();
    return true;
  }

  void Write(Cluster* cluster, int writes) {
    for (int i = 0; i < writes; ++i) {
      const std::string key = absl::StrCat("key", random_() % 6);
      std::set<std::string>* const values =
          &values_.try_emplace(key, std::set<std::string>{""}).first->second;
      const std::string value =
          random_() % 5 == 0 ? "" : absl::StrCat(++version_, " ", std::string(100, 'x'));
      const absl::Status status =
          value.empty() ? cluster->Delete(key).status() : cluster->Set(key, value);
      absl::StrAppend(&history_[key], "; ", value.empty() ? "delete" : value.substr(0, 5), ": ",
                      status.ToString());
      // Only a deadline leaves the outcome open (cluster.h).
      if (status.ok()) values->clear();
      if (status.ok() || absl::IsDeadlineExceeded(status)) {
        values->insert(value);
      } else {
        EXPECT_TRUE(absl::IsUnavailable(status)) << status;
      }
      clock_->Advance(absl::Milliseconds(static_cast<int64_t>(random_() % 100)));
    }
  }

  void CheckValues(Cluster* cluster, bool may_fail) {
    for (const auto& [key, values] : values_) {
      const absl::StatusOr<std::string> value = cluster->Get(key);
      if (may_fail && !value.ok() && !absl::IsNotFound(value.status())) continue;
      ASSERT_TRUE(value.ok() || absl::IsNotFound(value.status())) << value.status();
      EXPECT_EQ(values.count(value.ok() ? *value : ""), 1u)
          << key << " holds " << (value.ok() ? *value : "nothing") << ", should hold one of "
          << testing::PrintToString(values) << history_[key];
    }
  }

  // Whatever has happened: it opens, is sound, and works.
  void CheckSound() {
    absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(options_, path_);
    ASSERT_THAT(cluster, IsOk());
    CheckValues(cluster->get(), /*may_fail=*/false);
    EXPECT_THAT((*cluster)->Verify(), IsOk());
    // What an unknown outcome turned out to be, it stays.
    for (auto& [key, values] : values_) {
      const absl::StatusOr<std::string> value = (*cluster)->Get(key);
      values = {value.ok() ? *value : ""};
      absl::StrAppend(&history_[key], "; opened");
    }
    EXPECT_THAT((*cluster)->Close(), IsOk());
  }

  void Start(uint64_t variant) {
    path_ = directory_.Path(absl::StrCat("cluster", ++clusters_));
    values_.clear();
    history_.clear();
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
  std::string path_;
  // What each key may hold; "" is nothing.
  std::map<std::string, std::set<std::string>> values_;
  std::map<std::string, std::string> history_;

 private:
  int clusters_ = 0;
  int version_ = 0;
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
