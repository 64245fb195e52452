// Processes that are killed in the middle of writing batches: each batch is there as a whole or not
// at all, and those that were acknowledged are.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <iostream>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

constexpr int kThreads = 3;
constexpr int kKills = 10;

// In memory that outlives the child: for each thread, how many of its batches were acknowledged.
struct Acknowledged {
  std::array<std::atomic<int>, kThreads> batches;
  std::atomic<bool> failed;
};

// Of a thread, the keys of one tag. A batch makes them all say its number, takes away those that
// the batch before had beyond its own, and leaves a key of its own for good.
int SizeOf(int thread, int number) {
  std::mt19937_64 random(static_cast<uint64_t>(thread) << 32 | static_cast<uint32_t>(number));
  return 1 + static_cast<int>(random() % 40);
}
std::string Tag(int thread) { return absl::StrCat("{thread", thread, "}"); }
std::string Key(int thread, int i) { return absl::StrCat(Tag(thread), "key", i); }
std::string Trace(int thread, int number) {
  return absl::StrCat(Tag(thread), "trace", number % 200);
}
std::string Value(int thread, int number, int i) {
  // Now and then one that fills log segments, and makes a record that spans pages.
  const size_t large = number % 50 == 0 ? 200'000 : static_cast<size_t>(number + i) % 700;
  return absl::StrCat(number, " of ", thread, " ", std::string(large, 'v'));
}

WriteBatch BatchOf(int thread, int number) {
  WriteBatch batch;
  const int size = SizeOf(thread, number);
  SetOptions present;
  present.condition = SetCondition::kIfPresent;
  for (int i = 0; i < size; ++i) {
    batch.Set(Key(thread, i), "replaced by the next");
    batch.Set(Key(thread, i), Value(thread, number, i), present);
  }
  const int before = number == 0 ? 0 : SizeOf(thread, number - 1);
  for (int i = size; i < before; ++i) batch.Delete(Key(thread, i));
  batch.Set(Trace(thread, number), absl::StrCat(number));
  return batch;
}

[[noreturn]] void WriteUntilKilled(const Options& options, const std::string& path,
                                   Acknowledged* acknowledged) {
  const auto fail = [&](const absl::Status& status) {
    std::cerr << status << std::endl;
    acknowledged->failed = true;
    _exit(1);
  };
  absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(options, path);
  if (!cluster.ok()) fail(cluster.status());
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int number = acknowledged->batches[t]; true; ++number) {
        const absl::Status status = (*cluster)->Write(BatchOf(t, number));
        if (!status.ok()) fail(status);
        acknowledged->batches[t] = number + 1;
      }
    });
  }
  // The stores are filled in the middle of it all, too.
  while (FlushStores(cluster->get()).ok()) absl::SleepFor(absl::Milliseconds(50));
  fail(absl::UnknownError("a flush failed"));
  _exit(1);
}

// The thread's keys are as the last batch that was acknowledged left them, or the one under way;
// and so as a whole. `*number`: which it was; -1: none.
void FindWhole(Cluster* cluster, int thread, int acknowledged, int* number) {
  *number = -1;
  ScanOptions options;
  options.prefix = absl::StrCat(Tag(thread), "key");
  options.values = true;
  options.limit = 1000;
  const absl::StatusOr<ScanPage> page = cluster->Scan(options);
  ASSERT_THAT(page, IsOk());
  if (page->entries.empty()) {
    ASSERT_EQ(acknowledged, 0);
    return;
  }
  const std::string& value = page->entries.front().value;
  ASSERT_TRUE(absl::SimpleAtoi(value.substr(0, value.find(' ')), number)) << value;
  ASSERT_TRUE(*number == acknowledged || *number == acknowledged - 1)
      << *number << " after " << acknowledged << " were acknowledged";
  ASSERT_EQ(page->entries.size(), static_cast<size_t>(SizeOf(thread, *number))) << *number;
  for (int i = 0; i < SizeOf(thread, *number); ++i) {
    const absl::StatusOr<std::string> got = cluster->Get(Key(thread, i));
    ASSERT_THAT(got, IsOk()) << Key(thread, i);
    ASSERT_EQ(*got, Value(thread, *number, i));
  }
  // Of the batches before each has left its trace.
  for (int before = std::max(0, *number - 199); before <= *number; ++before) {
    const absl::StatusOr<std::string> trace = cluster->Get(Trace(thread, before));
    ASSERT_THAT(trace, IsOk()) << before;
    ASSERT_EQ(*trace, absl::StrCat(before));
  }
  const absl::StatusOr<std::string> next = cluster->Get(Trace(thread, *number + 1));
  ASSERT_TRUE(!next.ok() || *next != absl::StrCat(*number + 1)) << "half of a batch";
}

// In a process of its own: this one, which forks, must never have opened a cluster.
bool CheckInChild(const Options& options, const std::string& path, Acknowledged* acknowledged) {
  const pid_t child = fork();
  if (child == 0) {
    absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(options, path);
    EXPECT_THAT(cluster, IsOk());
    for (int t = 0; t < kThreads && cluster.ok(); ++t) {
      int number = -1;
      FindWhole(cluster->get(), t, acknowledged->batches[t], &number);
      // The next process goes on behind it.
      acknowledged->batches[t] = number + 1;
    }
    if (cluster.ok()) {
      EXPECT_THAT((*cluster)->Verify(), IsOk());
      EXPECT_THAT((*cluster)->Close(), IsOk());
    }
    std::fflush(nullptr);
    _exit(testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
         WEXITSTATUS(status) == 0;
}

class BatchKillTest : public testing::TestWithParam<std::tuple<Fsync, LogIo>> {};

TEST_P(BatchKillTest, EachBatchIsWholeOrAbsent) {
  std::mt19937_64 random(TestSeed());
  const TemporaryDirectory directory;
  const std::string path = directory.Path("cluster");
  Options options;
  options.replicas_per_shard = 0;
  std::tie(options.fsync, options.log_io) = GetParam();
  options.memory_bytes = size_t{16} << 20;
  void* const memory = mmap(nullptr, sizeof(Acknowledged), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto* const acknowledged = new (memory) Acknowledged{};
  const uint64_t most_batches = options.fsync == Fsync::kAlways ? 40 : 250;
  for (int kills = 0; kills < kKills; ++kills) {
    const int wanted = acknowledged->batches[0] + static_cast<int>(random() % most_batches);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) WriteUntilKilled(options, path, acknowledged);
    const absl::Time give_up = absl::Now() + absl::Seconds(60);
    while (acknowledged->batches[0] < wanted && !acknowledged->failed && absl::Now() < give_up) {
      absl::SleepFor(absl::Microseconds(200));
    }
    ASSERT_EQ(kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    ASSERT_FALSE(acknowledged->failed);
    ASSERT_TRUE(WIFSIGNALED(status));
    ASSERT_TRUE(CheckInChild(options, path, acknowledged)) << "after kill " << kills;
  }
  for (const std::atomic<int>& batches : acknowledged->batches) EXPECT_GT(batches, 0);
  munmap(memory, sizeof(Acknowledged));
}

INSTANTIATE_TEST_SUITE_P(Policies, BatchKillTest,
                         testing::Values(std::make_tuple(Fsync::kNever, LogIo::kMapped),
                                         std::make_tuple(Fsync::kEverySecond, LogIo::kWrite),
                                         std::make_tuple(Fsync::kAlways, LogIo::kAuto)));

}  // namespace
}  // namespace slotkv
