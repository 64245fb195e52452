// Processes that are killed in the middle of their writes: nothing they were told is lost.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "slotkv/cluster.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

constexpr int kThreads = 3;
constexpr int kKills = 20;

// In memory that outlives the child: for each thread, how many of its writes were acknowledged.
struct Acknowledged {
  std::array<std::atomic<int>, kThreads> writes;
  std::atomic<bool> failed;
};

std::string Key(int thread, int i) { return absl::StrCat("user:", thread, ":", i); }
// Every write of a thread goes over its keys in turn, so that later ones replace earlier ones.
constexpr int kKeys = 500;
std::string Value(int thread, int write) {
  return absl::StrCat("value ", thread, " ", write, " ", std::string(write % 300, 'x'));
}

[[noreturn]] void WriteUntilKilled(const Options& options, const std::string& path,
                                   Acknowledged* acknowledged) {
  absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(options, path);
  if (!cluster.ok()) {
    std::cerr << cluster.status() << std::endl;
    acknowledged->failed = true;
    _exit(1);
  }
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int write = acknowledged->writes[t]; true; ++write) {
        const absl::Status status = (*cluster)->Set(Key(t, write % kKeys), Value(t, write));
        if (!status.ok()) {
          std::cerr << status << std::endl;
          acknowledged->failed = true;
          _exit(1);
        }
        acknowledged->writes[t] = write + 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  _exit(0);
}

// Each key holds its last acknowledged write, or the one that was under way.
void CheckAll(Cluster* cluster, const Acknowledged& acknowledged) {
  for (int t = 0; t < kThreads; ++t) {
    const int writes = acknowledged.writes[t];
    for (int key = 0; key < kKeys; ++key) {
      const int last = writes - 1 - ((writes - 1 - key) % kKeys + kKeys) % kKeys;
      const absl::StatusOr<std::string> value = cluster->Get(Key(t, key));
      const bool maybe_next = writes % kKeys == key;
      if (last < 0 && absl::IsNotFound(value.status())) continue;
      ASSERT_THAT(value, IsOk()) << Key(t, key) << " after " << writes << " writes";
      if (maybe_next && *value == Value(t, writes)) continue;
      ASSERT_GE(last, 0) << Key(t, key);
      ASSERT_EQ(*value, Value(t, last)) << Key(t, key) << " after " << writes << " writes";
    }
  }
}

void OpenAndCheck(const Options& options, const std::string& path,
                  const Acknowledged& acknowledged) {
  absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(options, path);
  ASSERT_THAT(cluster, IsOk());
  CheckAll(cluster->get(), acknowledged);
  ASSERT_THAT((*cluster)->Verify(), IsOk());
  ASSERT_THAT((*cluster)->Close(), IsOk());
}

// In a process of its own: this one, which forks, must never have opened a cluster, for the
// children would inherit RocksDB's idea of threads without the threads.
bool CheckInChild(const Options& options, const std::string& path,
                  const Acknowledged& acknowledged) {
  const pid_t child = fork();
  if (child == 0) {
    OpenAndCheck(options, path, acknowledged);
    std::fflush(nullptr);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
         WEXITSTATUS(status) == 0;
}

class KillTest : public testing::TestWithParam<std::tuple<Fsync, LogIo>> {};

TEST_P(KillTest, NothingAcknowledgedIsLost) {
  std::mt19937_64 random(TestSeed());
  const TemporaryDirectory directory;
  const std::string path = directory.Path("cluster");
  Options options;
  options.replicas_per_shard = 0;
  std::tie(options.fsync, options.log_io) = GetParam();
  options.memory_bytes = size_t{16} << 20;  // so that stores flush now and then
  void* const memory = mmap(nullptr, sizeof(Acknowledged), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto* const acknowledged = new (memory) Acknowledged{};
  // A write that waits for the disk is a thousand times slower than one that does not.
  const uint64_t most_writes = options.fsync == Fsync::kAlways ? 200 : 3000;
  for (int kill_number = 0; kill_number < kKills; ++kill_number) {
    const int before = acknowledged->writes[0];
    const int wanted = static_cast<int>(random() % most_writes);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) WriteUntilKilled(options, path, acknowledged);
    // The first kills may hit the creation itself; the later ones wait for writes.
    const absl::Time give_up = absl::Now() + absl::Seconds(60);
    while (kill_number >= 3 && acknowledged->writes[0] < before + wanted && !acknowledged->failed &&
           absl::Now() < give_up) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    if (kill_number < 3) absl::SleepFor(absl::Milliseconds(static_cast<int64_t>(random() % 60)));
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_FALSE(acknowledged->failed);
    ASSERT_TRUE(WIFSIGNALED(status));

    ASSERT_TRUE(CheckInChild(options, path, *acknowledged));
  }
  EXPECT_GT(acknowledged->writes[0], 0);
  munmap(memory, sizeof(Acknowledged));
}

INSTANTIATE_TEST_SUITE_P(Policies, KillTest,
                         testing::Values(std::make_tuple(Fsync::kNever, LogIo::kAuto),
                                         std::make_tuple(Fsync::kEverySecond, LogIo::kWrite),
                                         std::make_tuple(Fsync::kAlways, LogIo::kMapped)));

}  // namespace
}  // namespace slotkv
