// Power failures of a whole cluster: at any file operation of its creation, opening, writing,
// flushing and closing. It opens again; nothing is lost that was promised to survive, and of the
// rest a beginning is there, never a hole.
//
// SLOTKV_TEST_ALL=1 goes on for longer.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <tuple>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/fake_clock.h"
#include "tests/test_support.h"
#include "tests/volatile_disk.h"

namespace slotkv {
namespace {

constexpr int kKeys = 7;

// The writes to one shard: the n-th goes to key n mod kKeys, so that the shard's keys tell how far
// it came.
struct Stream {
  std::string tag;
  int64_t tried = 0;
  int64_t acknowledged = 0;
  int64_t durable = 0;

  std::string Key(int64_t n) const { return absl::StrCat(tag, n % kKeys); }
};

class PowerFailureTest : public testing::TestWithParam<std::tuple<Fsync, LogIo>> {
 protected:
  PowerFailureTest() {
    options_.shards = 2;
    options_.replicas_per_shard = 0;
    options_.memory_bytes = size_t{16} << 20;
    options_.clock = clock_;
    std::tie(options_.fsync, options_.log_io) = GetParam();
    std::filesystem::create_directory(root_);
  }

  int Below(int bound) { return static_cast<int>(random_() % static_cast<uint64_t>(bound)); }

  // The keys of each shard are as they were after one of its writes, late enough a one. No answer
  // counts that came when the power was out.
  void Check(Cluster* cluster, const VolatileDisk* disk) {
    for (Stream& stream : streams_) {
      std::array<int64_t, kKeys> found{};
      int64_t last = 0;
      for (int key = 0; key < kKeys; ++key) {
        const absl::StatusOr<std::string> value = cluster->Get(stream.Key(key));
        if (disk != nullptr && disk->dead()) return;
        if (absl::IsNotFound(value.status())) continue;
        ASSERT_THAT(value, IsOk());
        ASSERT_TRUE(absl::SimpleAtoi(value->substr(0, value->find(' ')), &found[key]));
        last = std::max(last, found[key]);
      }
      for (int64_t n = std::max<int64_t>(1, last - kKeys + 1); n <= last; ++n) {
        ASSERT_EQ(found[n % kKeys], n) << "a hole in " << stream.tag << " below " << last;
      }
      ASSERT_LE(last, stream.tried);
      ASSERT_GE(last, stream.durable) << stream.tag << " has lost what was durable";
      stream.tried = stream.acknowledged = stream.durable = last;
    }
  }

  void Write(Cluster* cluster, const VolatileDisk& disk) {
    Stream& stream = streams_[Below(2)];
    const int64_t n = ++stream.tried;
    const size_t bytes = Below(20) == 0 ? 200'000 : static_cast<size_t>(Below(2000));
    const absl::Status status =
        cluster->Set(stream.Key(n), absl::StrCat(n, " ", std::string(bytes, 'x')));
    if (disk.dead()) return;
    ASSERT_THAT(status, IsOk());
    stream.acknowledged = n;
    if (options_.fsync == Fsync::kAlways) stream.durable = n;
  }

  void Synced(const VolatileDisk& disk) {
    if (disk.dead()) return;
    for (Stream& stream : streams_) stream.durable = stream.acknowledged;
  }

  // One life of the cluster, which ends without power.
  void LiveAndFail() {
    const auto disk = std::make_shared<VolatileDisk>(root_);
    // In half of all lives the failure may hit anything; in the others it comes when work is done.
    if (Below(2) == 0) disk->CutPowerAfter(Below(300));
    const int opens = 1 + Below(3);
    for (int i = 0; i < opens && !disk->dead(); ++i) {
      absl::StatusOr<std::unique_ptr<Cluster>> cluster = OpenClusterWithHook(options_, path_, disk);
      if (disk->dead()) break;
      ASSERT_THAT(cluster, IsOk());
      Check(cluster->get(), disk.get());
      for (int step = Below(60); step > 0 && !disk->dead() && !HasFailure(); --step) {
        if (Below(25) != 0) {
          Write(cluster->get(), *disk);
        } else if (FlushStores(cluster->get()).ok()) {
          Synced(*disk);
        }
        clock_->Advance(absl::Milliseconds(Below(100)));
      }
      if (HasFailure()) return;
      if (i + 1 == opens && Below(2) == 0) disk->CutPower();
      if ((*cluster)->Close().ok()) Synced(*disk);
    }
    disk->Settle(&random_);
  }

  std::mt19937_64 random_{TestSeed()};
  const TemporaryDirectory directory_{/*in_memory=*/true};
  const std::string root_ = directory_.Path("disk");
  const std::string path_ = root_ + "/cluster";
  const std::shared_ptr<ManualClock> clock_ = std::make_shared<ManualClock>();
  Options options_;
  std::array<Stream, 2> streams_ = {{{"{06S}"}, {"{6ZJ}"}}};
};

TEST_P(PowerFailureTest, NothingPromisedIsLostAndNothingHasAHole) {
  const int lives = std::getenv("SLOTKV_TEST_ALL") != nullptr ? 100 : 10;
  for (int life = 0; life < lives; ++life) {
    SCOPED_TRACE(absl::StrCat("life ", life));
    LiveAndFail();
    if (HasFailure()) return;
    if (Below(3) != 0) continue;
    absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(options_, path_);
    ASSERT_THAT(cluster, IsOk());
    Check(cluster->get(), nullptr);
    ASSERT_THAT((*cluster)->Verify(), IsOk());
    ASSERT_THAT((*cluster)->Close(), IsOk());
    if (HasFailure()) return;
  }
}

INSTANTIATE_TEST_SUITE_P(Policies, PowerFailureTest,
                         testing::Values(std::make_tuple(Fsync::kAlways, LogIo::kAuto),
                                         std::make_tuple(Fsync::kEverySecond, LogIo::kAuto),
                                         std::make_tuple(Fsync::kNever, LogIo::kWrite)));

}  // namespace
}  // namespace slotkv
