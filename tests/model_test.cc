// Random calls against a map: every answer, every value and every expiry, over reopens and clocks
// that step.
#include <algorithm>
#include <random>
#include <set>
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
#include "tests/model_operation.h"
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

  // The cluster's content is the model's.
  void ExpectSame(const ModelKeys& keys, KeyspaceModel* model) {
    for (const std::string& key : keys.All()) {
      EXPECT_EQ(KeyspaceModel::Describe(cluster_.get(), key), model->Describe(key)) << key;
    }
  }

  std::mt19937_64 random_{TestSeed()};
  std::set<Slot> taken_;
  std::vector<KeyspaceModel> models_;

 private:
  bool anchored_ = false;
  uint64_t anchor_ms_ = 0;
};

TEST_F(ModelTest, OneThreadTimeAndReopens) {
  Open();
  const ModelKeys keys = MakeModelKeys("k", 3, &taken_);
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
    const Operation operation = RandomOperation(keys, &random_);
    ASSERT_EQ(Answer(cluster_.get(), operation), model->Answer(operation))
        << i << ": " << operation.ToString();
    if (HasFailure()) return;
  }
  Reopen(-1000);
  ExpectSame(keys, model);
  EXPECT_THAT(cluster_->Verify(), IsOk());
}

// Without any other key, so that calls are about all there are, too.
TEST_F(ModelTest, OneThreadWithEverythingItsOwn) {
  Open();
  ModelKeys keys = MakeModelKeys("k", 5, &taken_);
  keys.alone = true;
  models_.emplace_back(WallMs());
  KeyspaceModel* const model = &models_.front();
  for (int i = 0; i < 3000; ++i) {
    const uint64_t dice = random_() % 300;
    if (dice < 50) Advance(static_cast<int64_t>(random_() % 50));
    if (dice == 200) {
      ASSERT_THAT(FlushStores(cluster_.get()), IsOk());
    }
    if (dice == 201) Open();
    const Operation operation = RandomOperation(keys, &random_);
    ASSERT_EQ(Answer(cluster_.get(), operation), model->Answer(operation))
        << i << ": " << operation.ToString();
  }
  Open();
  ExpectSame(keys, model);
  Operation scan;
  scan.kind = Operation::kScan;
  scan.number = 5;
  EXPECT_EQ(Answer(cluster_.get(), scan), model->Answer(scan)) << "there are other keys";
  EXPECT_THAT(cluster_->Verify(), IsOk());
}

// Each shard's handle for the keys that are its own.
TEST_F(ModelTest, OneThreadByShardHandles) {
  Open();
  const ModelKeys keys = MakeModelKeys("k", 6, &taken_);
  models_.emplace_back(WallMs());
  KeyspaceModel* const model = &models_.front();
  for (int i = 0; i < 2000; ++i) {
    if (random_() % 5 == 0) Advance(static_cast<int64_t>(random_() % 50));
    if (random_() % 500 == 0) Open();
    // Of one slot, for that is what a handle takes; and nothing else to be done meanwhile.
    ModelKeys some = keys;
    some.tags = {keys.tags[random_() % keys.tags.size()]};
    some.prefix = some.tags.front();
    const Operation operation = RandomOperation(some, &random_);
    const ShardId id = cluster_->GetTopology().OwnerOf(SlotForKey(some.prefix));
    absl::StatusOr<Shard> shard = cluster_->shard(id);
    ASSERT_THAT(shard, IsOk());
    ASSERT_EQ(Answer(&*shard, operation), model->Answer(operation))
        << i << ": " << operation.ToString();
  }
  ExpectSame(keys, model);
}

TEST_F(ModelTest, ThreadsOnKeysOfTheirOwn) {
  constexpr int kThreads = 4;
  Open();
  std::vector<std::mt19937_64> randoms;
  std::vector<ModelKeys> keys;
  for (int t = 0; t < kThreads; ++t) {
    models_.emplace_back(WallMs());
    randoms.emplace_back(random_());
    keys.push_back(MakeModelKeys(absl::StrCat("thread", t), 3, &taken_));
  }
  for (int phase = 0; phase < 25; ++phase) {
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 60; ++i) {
          const Operation operation = RandomOperation(keys[t], &randoms[t]);
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
  for (int t = 0; t < kThreads; ++t) ExpectSame(keys[t], &models_[t]);
  EXPECT_THAT(cluster_->Verify(), IsOk());
}

}  // namespace
}  // namespace slotkv
