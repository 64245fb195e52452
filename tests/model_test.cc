// Random calls against a map: every answer, every value and every expiry, over reopens and clocks
// that step.
#include <algorithm>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/keyspace_model.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

class ModelTest : public ClusterFixture {
 protected:
  uint64_t WallMs() const { return static_cast<uint64_t>(absl::ToUnixMillis(clock_->Wall())); }

  void Advance(int64_t ms) {
    clock_->Advance(absl::Milliseconds(ms));
    for (KeyspaceModel& model : models_) {
      model.set_now_ms(model.now_ms() + static_cast<uint64_t>(ms));
    }
  }

  // Opens again with the wall clock stepped by `step_ms`, and sets the models' clocks to what the
  // cluster's now is.
  void Reopen(int64_t step_ms) {
    const uint64_t before_ms = models_.front().now_ms();
    uint64_t witnessed_ms = before_ms;
    // A key whose end is known tells the time.
    const absl::Duration far = absl::Hours(1000);
    if (anchored_) {
      witnessed_ms = anchor_ms_;
      for (const KeyspaceModel& model : models_) {
        witnessed_ms = std::max(witnessed_ms, model.witnessed_ms());
      }
    } else {
      SetOptions options;
      options.ttl = far;
      ASSERT_THAT(cluster_->Set("anchor", "", options), IsOk());
      anchor_ms_ = before_ms;
      anchored_ = true;
    }
    Close();
    clock_->SetWallMs(WallMs() + static_cast<uint64_t>(step_ms));
    Open();
    const absl::StatusOr<absl::Duration> left = cluster_->TimeToLive("anchor");
    ASSERT_THAT(left, IsOk());
    const uint64_t now_ms =
        anchor_ms_ + static_cast<uint64_t>(absl::ToInt64Milliseconds(far - *left));
    EXPECT_GE(now_ms, witnessed_ms);
    EXPECT_GE(now_ms, WallMs());
    EXPECT_LE(now_ms, std::max(WallMs(), before_ms));
    for (KeyspaceModel& model : models_) model.set_now_ms(now_ms);
  }

  // Both directions; now and then none.
  int64_t RandomStepMs() {
    return random_() % 3 == 0 ? 0 : static_cast<int64_t>(random_() % 3000) - 1500;
  }

  std::mt19937_64 random_{TestSeed()};
  std::vector<KeyspaceModel> models_;

 private:
  bool anchored_ = false;
  uint64_t anchor_ms_ = 0;
};

TEST_F(ModelTest, OneThreadTimeAndReopens) {
  Open();
  models_.emplace_back(WallMs());
  KeyspaceModel* const model = &models_.front();
  for (int i = 0; i < 4000; ++i) {
    const uint64_t dice = random_() % 400;
    if (dice < 120) Advance(static_cast<int64_t>(random_() % 50));
    if (dice == 200) clock_->SetWallMs(WallMs() + static_cast<uint64_t>(RandomStepMs()));
    if (dice == 201) {
      ASSERT_THAT(FlushStores(cluster_.get()), IsOk());
    }
    if (dice == 202) Reopen(RandomStepMs());
    const Operation operation = RandomOperation("k", &random_);
    ASSERT_EQ(Answer(cluster_.get(), operation), model->Answer(operation))
        << i << ": " << operation.ToString();
    if (HasFailure()) return;
  }
  Reopen(-1000);
  for (const std::string& key : ModelKeys("k")) {
    EXPECT_EQ(KeyspaceModel::Describe(cluster_.get(), key), model->Describe(key)) << key;
  }
  EXPECT_THAT(cluster_->Verify(), IsOk());
}

TEST_F(ModelTest, ThreadsOnKeysOfTheirOwn) {
  constexpr int kThreads = 4;
  Open();
  std::vector<std::mt19937_64> randoms;
  for (int t = 0; t < kThreads; ++t) {
    models_.emplace_back(WallMs());
    randoms.emplace_back(random_());
  }
  for (int phase = 0; phase < 25; ++phase) {
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        const std::string prefix = absl::StrCat("thread", t);
        for (int i = 0; i < 60; ++i) {
          const Operation operation = RandomOperation(prefix, &randoms[t]);
          ASSERT_EQ(Answer(cluster_.get(), operation), models_[t].Answer(operation))
              << operation.ToString();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    if (HasFailure()) return;
    // Time stands still while they run, or no model could tell what they saw.
    Advance(static_cast<int64_t>(random_() % 200));
    if (random_() % 5 == 0) Reopen(RandomStepMs());
  }
  Reopen(-1000);
  for (int t = 0; t < kThreads; ++t) {
    for (const std::string& key : ModelKeys(absl::StrCat("thread", t))) {
      EXPECT_EQ(KeyspaceModel::Describe(cluster_.get(), key), models_[t].Describe(key)) << key;
    }
  }
  EXPECT_THAT(cluster_->Verify(), IsOk());
}

}  // namespace
}  // namespace slotkv
