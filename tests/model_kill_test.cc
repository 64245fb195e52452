// Random calls against a map, in processes that are killed: what comes back is the map as it was,
// or with the call that was under way.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/fake_clock.h"
#include "tests/keyspace_model.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

// The i-th step of the one history that all processes of this test live: time passes, and a call.
struct Step {
  int64_t advance_ms = 0;
  Operation operation;
};

Step StepOf(uint64_t seed, uint64_t i) {
  std::mt19937_64 random(seed * 1'000'003 + i);
  Step step;
  step.advance_ms = static_cast<int64_t>(random() % 8);
  step.operation = RandomOperation("k", &random);
  return step;
}

// In memory that all processes see.
struct Progress {
  std::atomic<uint64_t> acknowledged;  // steps
  std::atomic<bool> failed;
};

class Life {
 public:
  Life(uint64_t seed, std::string path, Progress* progress)
      : seed_(seed), path_(std::move(path)), progress_(progress) {
    options_.memory_bytes = size_t{16} << 20;
    options_.clock = clock_;
    options_.fsync = Fsync::kNever;
  }

  // Checks what is there, then goes on with the history: for ever, or not at all.
  bool Live(bool for_ever) {
    uint64_t i = 0;
    for (PassTimeTo(i); i < progress_->acknowledged; PassTimeTo(++i)) {
      model_.Answer(StepOf(seed_, i).operation);
    }
    absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(options_, path_);
    if (!cluster.ok()) return Fail(cluster.status().ToString());
    const std::string before = Difference(cluster->get());
    if (!before.empty()) {
      // Then the call that was under way has come to be.
      model_.Answer(StepOf(seed_, i).operation);
      const std::string after = Difference(cluster->get());
      if (!after.empty()) return Fail(absl::StrCat("either ", before, " or ", after));
      PassTimeTo(++i);
      progress_->acknowledged = i;
    }
    while (for_ever) {
      const Operation operation = StepOf(seed_, i).operation;
      const std::string expected = model_.Answer(operation);
      const std::string got = Answer(cluster->get(), operation);
      if (got != expected) {
        return Fail(absl::StrCat(i, ": ", operation.ToString(), ": ", got, ", not ", expected));
      }
      progress_->acknowledged = i + 1;
      PassTimeTo(++i);
      if (i % 200 == 0 && !FlushStores(cluster->get()).ok()) return Fail("flush");
    }
    return (*cluster)->Verify().ok() && (*cluster)->Close().ok();
  }

 private:
  // From the time of the step before.
  void PassTimeTo(uint64_t step) {
    clock_->Advance(absl::Milliseconds(StepOf(seed_, step).advance_ms));
    model_.set_now_ms(static_cast<uint64_t>(absl::ToUnixMillis(clock_->Wall())));
  }

  std::string Difference(Cluster* cluster) {
    for (const std::string& key : ModelKeys("k")) {
      const std::string got = KeyspaceModel::Describe(cluster, key);
      const std::string expected = model_.Describe(key);
      if (got != expected) return absl::StrCat(key, ": ", got, ", not ", expected);
    }
    return "";
  }

  bool Fail(const std::string& why) {
    std::cerr << why << std::endl;
    progress_->failed = true;
    return false;
  }

  const uint64_t seed_;
  const std::string path_;
  Progress* const progress_;
  const std::shared_ptr<ManualClock> clock_ = std::make_shared<ManualClock>();
  Options options_;
  KeyspaceModel model_{0};
};

// This process opens no cluster: threads that it had would be missing in its children.
TEST(ModelKillTest, KilledAndOpenedAgain) {
  std::mt19937_64 random(TestSeed());
  const TemporaryDirectory directory;
  const std::string path = directory.Path("cluster");
  void* const memory =
      mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto* const progress = new (memory) Progress{};
  const auto start = [&](bool for_ever) {
    const pid_t child = fork();
    if (child == 0) _exit(Life(TestSeed(), path, progress).Live(for_ever) ? 0 : 1);
    return child;
  };
  int status = 0;
  for (int kills = 0; kills < 12; ++kills) {
    const uint64_t until = progress->acknowledged + random() % 300;
    const absl::Time give_up = absl::Now() + absl::Seconds(60);
    const pid_t child = start(/*for_ever=*/true);
    ASSERT_GT(child, 0);
    while (progress->acknowledged < until && !progress->failed && absl::Now() < give_up) {
      absl::SleepFor(absl::Microseconds(100));
    }
    ASSERT_EQ(kill(child, SIGKILL), 0);
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_FALSE(progress->failed);
  }
  ASSERT_EQ(waitpid(start(/*for_ever=*/false), &status, 0) > 0, true);
  EXPECT_EQ(status, 0);
  EXPECT_GT(progress->acknowledged, 0u);
  munmap(memory, sizeof(Progress));
}

}  // namespace
}  // namespace slotkv
