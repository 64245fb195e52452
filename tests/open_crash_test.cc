// Crashes inside Open, one after the other, each time with another zone out of reach. What was
// acknowledged is there when all are back, and no epoch is given out twice.
//
// SLOTKV_TEST_ALL=1 takes every file operation of Open in turn instead of some, with every order of
// zones.
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/directory_tree.h"
#include "tests/outcome_model.h"
#include "tests/replicated_cluster.h"
#include "tests/test_support.h"
#include "tests/volatile_disk.h"

namespace slotkv {
namespace {

namespace fs = std::filesystem;

constexpr int kWholeLife = 1'000'000;

class OpenCrashTest : public ReplicatedCluster, public testing::WithParamInterface<int> {
 protected:
  OpenCrashTest() {
    options_.shards = 2;
    options_.replicas_per_shard = GetParam();
    options_.fsync = Fsync::kAlways;
    for (int i = 0; i < 8; ++i) keys_.push_back(absl::StrCat("key", i));
  }

  int Below(int bound) { return static_cast<int>(random_() % static_cast<uint64_t>(bound)); }

  // A cluster that was cut off in the middle of its work: the next Open has records to apply.
  void MakeImage() {
    first_.emplace(keys_, &random_);
    Open();
    for (int i = 0; i < 30; ++i) first_->Write(cluster_.get());
    ASSERT_THAT(FlushStores(cluster_.get()), IsOk());
    for (int i = 0; i < 30; ++i) first_->Write(cluster_.get());
    first_->Learn(cluster_.get());
    epoch_ = cluster_->GetTopology().epoch();
    CopyTree(path_, image_);
    Close();
  }
  // Those of Open and some of the writes that follow.
  int CountOperations() {
    CopyTree(image_, path_);
    OpenHooked();
    int operations = 0;
    for (int op = 0; op <= static_cast<int>(FileOp::kLock); ++op) {
      operations += hook_->begun(static_cast<FileOp>(op));
    }
    Close();
    return operations + 60;
  }

  // A life with one zone out of reach that ends after so many operations: the process dies, or, if
  // `power`, the machine does.
  void LiveAndCrash(const std::string& away, int operations, bool power, OutcomeModel* model) {
    SCOPED_TRACE(absl::StrCat("without ", away, ", ", operations, " operations, power ", power));
    fs::rename(ZonePath(away), away_);
    {
      Options options = options_;
      // The dead wait for nothing.
      options.operation_timeout = absl::Milliseconds(500);
      const auto disk = std::make_shared<VolatileDisk>(path_);
      disk->CutPowerAfter(operations);
      absl::StatusOr<std::unique_ptr<Cluster>> cluster = OpenClusterWithHook(options, path_, disk);
      if (cluster.ok()) {
        const Epoch epoch = (*cluster)->GetTopology().epoch();
        EXPECT_GT(epoch, epoch_);
        epoch_ = epoch;
        model->ReadAll(cluster->get(), /*may_fail=*/true);
        for (int i = 0; i < 8 && !disk->dead(); ++i) model->Write(cluster->get());
        (*cluster)->Close().IgnoreError();
      } else {
        EXPECT_FALSE(absl::IsDataLoss(cluster.status())) << cluster.status();
      }
      cluster = absl::UnknownError("closed");
      if (power) disk->Settle(&random_);
    }
    fs::rename(away_, ZonePath(away));
  }

  void CrashTwice(const std::string& first, int first_operations, const std::string& second,
                  int second_operations) {
    CopyTree(image_, path_);
    OutcomeModel model = *first_;
    const Epoch before = epoch_;
    LiveAndCrash(first, first_operations, Below(2) == 0, &model);
    LiveAndCrash(second, second_operations, Below(2) == 0, &model);
    Open();
    if (HasFatalFailure()) return;
    EXPECT_GT(cluster_->GetTopology().epoch(), epoch_);
    model.Learn(cluster_.get());
    ASSERT_TRUE(Eventually([&] { return EverythingInSync(); }));
    EXPECT_THAT(cluster_->Verify(), IsOk());
    for (int i = 0; i < 8; ++i) model.Write(cluster_.get());
    // And from the copies that were away.
    for (const ShardInfo& shard : cluster_->GetTopology().shards()) {
      ASSERT_THAT(cluster_->Promote(shard.id), IsOk());
    }
    model.ReadAll(cluster_.get(), /*may_fail=*/false);
    EXPECT_THAT(cluster_->Verify(), IsOk());
    Close();
    epoch_ = before;
  }

  const std::string image_ = directory_.Path("image");
  const std::string away_ = directory_.Path("away");
  std::mt19937_64 random_{TestSeed()};
  std::vector<std::string> keys_;
  std::optional<OutcomeModel> first_;
  Epoch epoch_;  // the last that was given out for certain
};

TEST_P(OpenCrashTest, TwoInSuccession) {
  const std::vector<std::string> zones = {"zone-a", "zone-b", "zone-c"};
  MakeImage();
  const int operations = CountOperations();
  const bool all = std::getenv("SLOTKV_TEST_ALL") != nullptr;
  const int step = all ? 1 : operations / 20;
  for (int n = Below(step); n < operations; n += step) {
    for (int order = all ? 0 : Below(6), end = all ? 6 : order + 1; order < end; ++order) {
      const int first = order % 3, second = (first + 1 + order / 3) % 3;
      SCOPED_TRACE(absl::StrCat(n, " of ", operations, " operations"));
      // The other life ends anywhere, too, or comes as far as its Close.
      const int other = Below(2) == 0 ? Below(operations) : kWholeLife;
      if (Below(2) == 0) {
        CrashTwice(zones[first], n, zones[second], other);
      } else {
        CrashTwice(zones[first], other, zones[second], n);
      }
      if (HasFailure()) return;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Replicas, OpenCrashTest, testing::Values(1, 2));

}  // namespace
}  // namespace slotkv
