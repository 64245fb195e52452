// Random calls against a map, in processes that are killed: what comes back is the map as it was,
// or with the call that was under way, as a whole or, if it is not atomic, in part.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <iostream>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/fake_clock.h"
#include "tests/keyspace_model.h"
#include "tests/model_operation.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

// The i-th step of the one history that all processes of this test live: time passes, and a call.
struct Step {
  int64_t advance_ms = 0;
  Operation operation;
};

const ModelKeys& Keys() {
  static const ModelKeys* const keys = [] {
    std::set<Slot> taken;
    auto* const made = new ModelKeys(MakeModelKeys("k", 4, &taken));
    made->alone = true;
    return made;
  }();
  return *keys;
}

Step StepOf(uint64_t seed, uint64_t i) {
  std::mt19937_64 random(seed * 1'000'003 + i);
  Step step;
  step.advance_ms = static_cast<int64_t>(random() % 8);
  step.operation = RandomOperation(Keys(), &random);
  return step;
}

constexpr int kKills = 14;

// In memory that all processes see.
struct Progress {
  std::atomic<uint64_t> acknowledged;  // steps
  std::atomic<bool> failed;
  // Steps that a kill has left half done: in their place everything was deleted.
  std::array<std::atomic<uint64_t>, kKills + 1> resets;
  std::atomic<size_t> reset_count;

  bool WasReset(uint64_t step) const {
    return std::find(resets.begin(), resets.begin() + static_cast<ptrdiff_t>(reset_count), step) !=
           resets.begin() + static_cast<ptrdiff_t>(reset_count);
  }
};

Operation Everything() {
  Operation operation;
  operation.kind = Operation::kDeleteAll;
  return operation;
}

class Life {
 public:
  Life(uint64_t seed, std::string path, Progress* progress)
      : seed_(seed), path_(std::move(path)), progress_(progress) {
    options_.replicas_per_shard = 0;
    options_.memory_bytes = size_t{16} << 20;
    options_.clock = clock_;
    options_.fsync = Fsync::kNever;
  }

  // Checks what is there, then goes on with the history: for ever, or not at all.
  bool Live(bool for_ever) {
    uint64_t i = 0;
    for (PassTimeTo(i); i < progress_->acknowledged; PassTimeTo(++i)) {
      model_.Answer(progress_->WasReset(i) ? Everything() : StepOf(seed_, i).operation);
    }
    absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(options_, path_);
    if (!cluster.ok()) return Fail(cluster.status().ToString());
    if (!Settle(cluster->get(), &i)) return false;
    while (for_ever) {
      const Operation operation = StepOf(seed_, i).operation;
      const std::string expected = model_.Answer(operation);
      const std::string got = Answer(cluster->get(), operation);
      if (got != expected) {
        return Fail(absl::StrCat(i, ": ", operation.ToString(), ": ", got, ", not ", expected));
      }
      Acknowledge(&i);
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

  void Acknowledge(uint64_t* i) {
    progress_->acknowledged = *i + 1;
    PassTimeTo(++*i);
  }

  // Finds out what became of step `*i`, which was perhaps under way when the last process was
  // killed.
  bool Settle(Cluster* cluster, uint64_t* i) {
    const Operation operation = StepOf(seed_, *i).operation;
    if (!progress_->WasReset(*i)) {
      const std::string before = Difference(cluster, &model_);
      if (before.empty()) return true;
      std::vector<KeyspaceModel> stages = model_.Stages(operation);
      const std::string after = Difference(cluster, &stages.back());
      if (after.empty()) {
        model_.Answer(operation);
        Acknowledge(i);
        return true;
      }
      if (operation.IsAtomic()) return Fail(absl::StrCat("either ", before, " or ", after));
      for (const std::string& key : Keys().All()) {
        const std::string got = KeyspaceModel::Describe(cluster, key);
        const bool possible = std::any_of(stages.begin(), stages.end(), [&](KeyspaceModel& stage) {
          return stage.Describe(key) == got;
        });
        if (!possible) return Fail(absl::StrCat(operation.ToString(), ": ", key, ": ", got));
      }
      progress_->resets[progress_->reset_count] = *i;
      ++progress_->reset_count;
    }
    // Done in part: the next process is not to have to know in which.
    if (Answer(cluster, Everything()) != model_.Answer(Everything())) return Fail("DeleteAll");
    Acknowledge(i);
    return true;
  }

  static std::string Difference(Cluster* cluster, KeyspaceModel* model) {
    for (const std::string& key : Keys().All()) {
      const std::string got = KeyspaceModel::Describe(cluster, key);
      const std::string expected = model->Describe(key);
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
  for (int kills = 0; kills < kKills; ++kills) {
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
