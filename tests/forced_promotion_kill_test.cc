// Processes that are killed while they promote a copy by force: the shard is as it was, or goes on
// with that copy.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <memory>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/directory_tree.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

namespace fs = std::filesystem;

constexpr ShardId kShard(1);
constexpr int kKeys = 300;
constexpr int kKills = 15;

Options SmallOptions() {
  Options options;
  options.shards = 1;
  options.replicas_per_shard = 1;
  options.memory_bytes = size_t{16} << 20;
  // Nothing fails here because the machine is slow.
  options.node_timeout = options.operation_timeout = absl::Minutes(1);
  return options;
}

PromoteOptions Force() {
  PromoteOptions options;
  options.force = true;
  return options;
}

bool AwaitInSync(const Cluster& cluster) {
  const absl::Time give_up = absl::Now() + absl::Minutes(2);
  while (absl::Now() < give_up) {
    size_t in_sync = 0;
    const Topology topology = cluster.GetTopology();
    for (const NodeInfo& node : topology.FindShard(kShard)->nodes) {
      in_sync += node.in_sync && node.up ? 1 : 0;
    }
    if (in_sync == 2) return true;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return false;
}

// In memory that outlives a child.
struct Progress {
  std::atomic<bool> asked{false}, done{false}, failed{false};
};

// This process, which forks, never opens a cluster: a child has none of its parent's threads.
int InChild(const std::function<void()>& run) {
  const pid_t child = fork();
  if (child == 0) {
    run();
    std::fflush(nullptr);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status)
                                                                               : -1;
}

void ExpectKeys(Cluster* cluster, const std::string& value) {
  for (int i = 0; i < kKeys; ++i) {
    ASSERT_THAT(cluster->Get(absl::StrCat(i)), HoldsValue(value)) << i;
  }
}

// node-1 in zone-a has all keys "new", node-2 in zone-b the same "old".
void Prepare(const std::string& path) {
  absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(SmallOptions(), path);
  ASSERT_THAT(cluster, IsOk());
  for (int i = 0; i < kKeys; ++i) ASSERT_THAT((*cluster)->Set(absl::StrCat(i), "old"), IsOk());
  ASSERT_THAT((*cluster)->StopNode(NodeId(2)), IsOk());
  for (int i = 0; i < kKeys; ++i) ASSERT_THAT((*cluster)->Set(absl::StrCat(i), "new"), IsOk());
  ASSERT_EQ((*cluster)->GetTopology().FindShard(kShard)->primary().zone, "zone-a");
  ASSERT_THAT((*cluster)->Close(), IsOk());
}

// A process was killed while it promoted node-2; zone-a is away.
void CheckAfterKill(const std::string& path, const std::string& away, const Progress& progress) {
  absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(SmallOptions(), path);
  ASSERT_THAT(cluster, IsOk());
  const absl::StatusOr<std::string> value = (*cluster)->Get("0");
  if (!value.ok()) {
    EXPECT_FALSE(progress.done);
    EXPECT_THAT(value, HasError(absl::StatusCode::kUnavailable, "PromoteOptions.force"));
    if (!progress.asked) {
      // As it was before: nothing is lost yet.
      ASSERT_THAT((*cluster)->Close(), IsOk());
      fs::rename(away, path + "/zone-a");
      cluster = Cluster::Open(SmallOptions(), path);
      ASSERT_THAT(cluster, IsOk());
      ExpectKeys(cluster->get(), "new");
      ASSERT_THAT((*cluster)->Verify(), IsOk());
      return;
    }
    ASSERT_THAT((*cluster)->Promote(kShard, Force()), IsOk());
  }
  ExpectKeys(cluster->get(), "old");
  ASSERT_THAT((*cluster)->Set("after", "the promotion"), IsOk());
  ASSERT_THAT((*cluster)->Close(), IsOk());
  fs::rename(away, path + "/zone-a");
  cluster = Cluster::Open(SmallOptions(), path);
  ASSERT_THAT(cluster, IsOk());
  ASSERT_TRUE(AwaitInSync(**cluster));
  ExpectKeys(cluster->get(), "old");
  EXPECT_THAT((*cluster)->Get("after"), HoldsValue("the promotion"));
  ASSERT_THAT((*cluster)->Verify(), IsOk());
  ASSERT_THAT((*cluster)->Close(), IsOk());
}

TEST(ForcedPromotionKillTest, TheProcessIsKilledInTheMidst) {
  std::mt19937_64 random(TestSeed());
  const TemporaryDirectory directory;
  const std::string prepared = directory.Path("prepared"), path = directory.Path("cluster");
  void* const memory =
      mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  ASSERT_EQ(InChild([&] { Prepare(prepared); }), 0);
  for (int round = 0; round < kKills; ++round) {
    SCOPED_TRACE(round);
    auto* const progress = new (memory) Progress();
    CopyTree(prepared, path);
    const std::string away = directory.Path(absl::StrCat("away", round));
    fs::rename(path + "/zone-a", away);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(SmallOptions(), path);
      progress->failed = !cluster.ok();
      progress->asked = true;
      if (cluster.ok()) progress->failed = !(*cluster)->Promote(kShard, Force()).ok();
      progress->done = true;
      while (true) pause();
    }
    // From when it is asked for until it is done; the rounds between, anywhere.
    while (!progress->asked) absl::SleepFor(absl::Microseconds(100));
    if (round == 1) {
      while (!progress->done) absl::SleepFor(absl::Microseconds(100));
    } else if (round > 1) {
      absl::SleepFor(absl::Microseconds(static_cast<int64_t>(random() % 15000)));
    }
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_FALSE(progress->failed);
    ASSERT_EQ(InChild([&] { CheckAfterKill(path, away, *progress); }), 0);
  }
  munmap(memory, sizeof(Progress));
}

}  // namespace
}  // namespace slotkv
