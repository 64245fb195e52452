// Shards with a replica: what writes cost on several threads, how long they stand still when a copy
// fails or hands over, how fast one is built anew, and how far it lags behind.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "benchmarks/metric.h"
#include "benchmarks/replicated_shard.h"
#include "benchmarks/subjects.h"
#include "benchmarks/workload.h"
#include "replication/applier.h"
#include "replication/group.h"
#include "slotkv/cluster.h"
#include "tests/child_process.h"
#include "tests/threads.h"

namespace slotkv {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(1);

// The least of them that 99 of 100 do not exceed.
double Percentile99(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[(values.size() * 99 + 99) / 100 - 1];
}

// ---- Writes of several threads ----

// Each run writes into an empty store.
template <typename MakeSubject>
Side WriteKeysOnThreads(int threads, size_t writes, MakeSubject make_subject) {
  const auto keys = std::make_shared<std::vector<std::string>>(SessionKeys(writes));
  return [threads, keys, make_subject] {
    const auto subject = make_subject();
    const std::string value = SessionValue(1);
    const Stopwatch watch;
    OnThreads(threads, [&](int thread) {
      for (size_t i = static_cast<size_t>(thread); i < keys->size();
           i += static_cast<size_t>(threads)) {
        subject->Set((*keys)[i], value);
      }
    });
    return watch.Seconds() * 1e6 / static_cast<double>(keys->size());
  };
}

Metric SetOnThreads(const std::string& name, int threads, size_t writes, Fsync fsync, Bar bar,
                    int repetitions) {
  Metric metric;
  metric.name = name;
  metric.unit = "us/set";
  metric.repetitions = repetitions;
  metric.bar = bar;
  metric.slotkv = [=] {
    return WriteKeysOnThreads(threads, writes, [fsync] {
      return std::make_unique<SlotkvSubject>(LogIo::kAuto, /*replicas=*/1, fsync);
    });
  };
  metric.peer = [=] {
    return WriteKeysOnThreads(threads, writes, [fsync] {
      return std::make_unique<RocksDbSubject>(/*sync=*/fsync == Fsync::kAlways);
    });
  };
  return metric;
}

// ---- Failures and promotions ----

constexpr size_t kKeys = 100000;
constexpr int kPromotions = 100;
constexpr int kWriters = 2;

struct FilledShard {
  explicit FilledShard(const Options& options = {}) : shard(options), keys(SessionKeys(kKeys)) {
    for (size_t i = 0; i < keys.size(); ++i) shard.Set(keys[i], SessionValue(i));
    shard.Flush();
  }

  ReplicatedShard shard;
  const std::vector<std::string> keys;
};

// Fails the primary's log and waits for the next write; then the copy is let back, and the other
// one's turn comes. While it comes back the threads write less, so that it soon has.
double FailoverMs() {
  constexpr absl::Duration kFullSpeed = absl::Milliseconds(20);
  constexpr absl::Duration kSlowPause = absl::Microseconds(500);
  // A copy that comes back applies what its store has not kept.
  constexpr int kRoundsAFlush = 10;
  FilledShard filled;
  ReplicatedShard& shard = filled.shard;
  Writers writers(&shard, &filled.keys, kWriters);
  std::vector<double> took_ms;
  for (int i = 0; i < kPromotions; ++i) {
    if (i % kRoundsAFlush == 0) shard.Flush();
    writers.SetPause(absl::ZeroDuration());
    absl::SleepFor(kFullSpeed);
    const std::string log = absl::StrCat(shard.NodePath(shard.Find(Role::kPrimary)), "/log/");
    const absl::Time begin = absl::Now();
    shard.hook()->Fail(FileOp::kWrite, absl::UnavailableError("input/output error"), log);
    took_ms.push_back(absl::ToDoubleMilliseconds(writers.AwaitNextSet() - begin));
    writers.SetPause(kSlowPause);
    shard.hook()->Heal();
    shard.AwaitInSync();
  }
  return Percentile99(std::move(took_ms));
}

// Hangs every sync in the primary's zone, as a disk does, and times one write.
double FailoverStuckMs() {
  constexpr int kHangs = 10;
  Options options;
  options.fsync = Fsync::kAlways;
  options.node_timeout = absl::Milliseconds(500);
  ReplicatedShard shard(options);
  const std::vector<std::string> keys = SessionKeys(1000);
  for (const std::string& key : keys) shard.Set(key, SessionValue(1));
  double worst_ms = 0;
  for (int i = 0; i < kHangs; ++i) {
    const std::string zone = absl::StrCat(shard.ZonePath(shard.Find(Role::kPrimary)), "/");
    const auto heal = std::make_shared<absl::Notification>();
    shard.hook()->SetBefore([zone, heal](FileOp op, const std::string& path) {
      if (op == FileOp::kSync && absl::StartsWith(path, zone)) heal->WaitForNotification();
      return absl::OkStatus();
    });
    const Stopwatch watch;
    shard.Set(keys[0], SessionValue(2));
    worst_ms = std::max(worst_ms,
                        watch.Seconds() * 1e3 - absl::ToDoubleMilliseconds(options.node_timeout));
    shard.hook()->Heal();
    heal->Notify();
    shard.AwaitInSync();
  }
  return worst_ms;
}

// The longest that any set took around each promotion; or, if there is none, in as much time.
double LongestSetUs(bool promote) {
  // Between two promotions, so that each finds writers at full speed.
  constexpr absl::Duration kInterval = absl::Milliseconds(20);
  constexpr absl::Duration kWindow = absl::Milliseconds(2);
  FilledShard filled;
  Writers writers(&filled.shard, &filled.keys, kWriters);
  std::vector<double> took_us;
  for (int i = 0; i < kPromotions; ++i) {
    absl::SleepFor(kInterval);
    writers.BeginLongest();
    if (promote) {
      Require(filled.shard.cluster()->Promote(filled.shard.id()));
    } else {
      absl::SleepFor(kWindow);
    }
    took_us.push_back(absl::ToDoubleMicroseconds(writers.EndLongest()));
  }
  return Percentile99(std::move(took_us));
}

// The peer is the same shard with no promotion: what the machine makes a writer wait anyway.
Metric PromotePlanned() {
  Metric metric;
  metric.name = "promote_planned_us_p99";
  metric.unit = "us";
  metric.repetitions = 3;
  metric.bar = {Bar::kValueAtMost, 2000};
  metric.slotkv = [] { return [] { return LongestSetUs(/*promote=*/true); }; };
  metric.peer = [] { return [] { return LongestSetUs(/*promote=*/false); }; };
  return metric;
}

Metric ValueAtMost(const std::string& name, const std::string& unit, double bar, double (*run)()) {
  Metric metric;
  metric.name = name;
  metric.unit = unit;
  metric.repetitions = 1;
  metric.bar = {Bar::kValueAtMost, bar};
  metric.slotkv = [run] { return run; };
  return metric;
}

// ---- A replica built from nothing ----

// A shard with its data in tables.
class Rebuild {
 public:
  Rebuild() {
    constexpr int kValues = 100000;
    std::mt19937_64 random(1);
    std::string value(4096, '\0');
    for (int i = 0; i < kValues; ++i) {
      for (char& c : value) c = static_cast<char>(random());
      char key[16];
      std::snprintf(key, sizeof(key), "{1}%08d", i);
      shard_.Set(key, value);
    }
    shard_.Flush();
    // What the flushes have left is compacted meanwhile.
    for (std::vector<std::string> before; before != Tables();) {
      before = Tables();
      absl::SleepFor(absl::Seconds(1));
    }
  }

  // Both in bytes of the primary's tables a second.
  double BuildReplica() {
    const NodeInfo replica = shard_.Find(Role::kReplica);
    const std::string path = shard_.NodePath(replica);
    Require(shard_.cluster()->StopNode(replica.id));
    // Its files may be open for a moment yet.
    std::error_code ignored;
    do {
      absl::SleepFor(absl::Milliseconds(200));
      std::filesystem::remove_all(path, ignored);
    } while (std::filesystem::exists(path));
    const double bytes = TableBytes();
    sync();  // what earlier runs have left is not to be waited for in this one
    const Stopwatch watch;
    Require(shard_.cluster()->StartNode(replica.id));
    shard_.AwaitInSync();
    return bytes / watch.Seconds();
  }

  double CopyFiles() {
    const std::string to = absl::StrCat(shard_.ZonePath(shard_.Find(Role::kReplica)), "/copy");
    std::filesystem::create_directory(to);
    const double bytes = TableBytes();
    sync();
    const Stopwatch watch;
    for (const std::string& table : Tables()) {
      CopyFile(table, absl::StrCat(to, "/", std::filesystem::path(table).filename().string()));
    }
    const double seconds = watch.Seconds();
    std::filesystem::remove_all(to);
    return bytes / seconds;
  }

 private:
  std::vector<std::string> Tables() const {
    std::vector<std::string> tables;
    const std::string store = absl::StrCat(shard_.NodePath(shard_.Find(Role::kPrimary)), "/store");
    for (const auto& entry : std::filesystem::directory_iterator(store)) {
      if (entry.path().extension() == ".sst") tables.push_back(entry.path());
    }
    std::sort(tables.begin(), tables.end());
    return tables;
  }

  double TableBytes() const {
    uintmax_t bytes = 0;
    for (const std::string& table : Tables()) bytes += std::filesystem::file_size(table);
    return static_cast<double>(bytes);
  }

  static void CopyFile(const std::string& from, const std::string& to) {
    std::vector<char> buffer(size_t{1} << 20);
    const int in = open(from.c_str(), O_RDONLY | O_CLOEXEC);
    const int out = open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = in >= 0 && out >= 0;
    ssize_t got = 0;
    while (good && (got = read(in, buffer.data(), buffer.size())) > 0) {
      good = write(out, buffer.data(), static_cast<size_t>(got)) == got;
    }
    good = good && got == 0 && fsync(out) == 0;
    close(in);
    close(out);
    if (good) return;
    std::cerr << "benchmark: " << from << " cannot be copied" << std::endl;
    std::exit(1);
  }

  ReplicatedShard shard_;
};

// Both sides work on the same files.
Metric ReplicaRebuild() {
  const auto shared = std::make_shared<std::weak_ptr<Rebuild>>();
  const auto get = [shared] {
    std::shared_ptr<Rebuild> rebuild = shared->lock();
    if (rebuild == nullptr) *shared = rebuild = std::make_shared<Rebuild>();
    return rebuild;
  };
  Metric metric;
  metric.name = "replica_rebuild";
  metric.unit = "B/s";
  metric.repetitions = 3;
  metric.bar = {Bar::kRatioAtLeast, 0.7};
  metric.slotkv = [get] { return [rebuild = get()] { return rebuild->BuildReplica(); }; };
  metric.peer = [get] { return [rebuild = get()] { return rebuild->CopyFiles(); }; };
  return metric;
}

// ---- Lag ----

// The most that a look at the statistics finds while one thread sets keys and another writes
// batches of a quarter of what a write group holds.
double ReplicaLagBytes() {
  constexpr absl::Duration kFor = absl::Seconds(5);
  constexpr size_t kTogether = Group::kMaxGroupBytes / 4 / kValueBytes;
  ReplicatedShard shard;
  const std::vector<std::string> keys = SessionKeys(kKeys);
  std::atomic<bool> stop{false};
  std::thread batches([&] {
    const std::string value = SessionValue(1);
    for (size_t next = 0; !stop;) {
      WriteBatch batch;
      for (size_t i = 0; i < kTogether; ++i) {
        batch.Set(absl::StrCat("{1}", keys[next++ % keys.size()]), value);
      }
      Require(shard.cluster()->Write(batch));
    }
  });
  size_t most = 0;
  {
    const Writers writers(&shard, &keys, 1);
    for (const absl::Time end = absl::Now() + kFor; absl::Now() < end; absl::SleepFor(kPause)) {
      for (const NodeStats& node : shard.cluster()->GetStats().shards.front().nodes) {
        most = std::max(most, node.lag_bytes);
      }
    }
  }
  stop = true;
  batches.join();
  return static_cast<double>(most);
}

// ---- A process that is killed ----

std::unique_ptr<ChildProcess> StartSelf(const char* argument, const std::string& directory) {
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  auto child = ChildProcess::Start({self, argument, directory});
  Require(child.status());
  return *std::move(child);
}

// Until it has written a line.
void AwaitLine(ChildProcess* child) {
  while (!absl::StrContains(child->OutSoFar(), "\n")) {
    if (!child->IsRunning()) {
      std::cerr << "benchmark: a child process has failed: " << child->Wait().err << std::endl;
      std::exit(1);
    }
    absl::SleepFor(kPause);
  }
}

double KillToFirstWriteMs() {
  const ScratchDirectory directory;
  const std::unique_ptr<ChildProcess> filler = StartSelf(kFillArgument, directory.path());
  AwaitLine(filler.get());
  const Stopwatch watch;
  filler->Signal(SIGKILL);
  const std::unique_ptr<ChildProcess> heir = StartSelf(kFirstWriteArgument, directory.path());
  AwaitLine(heir.get());
  return watch.Seconds() * 1e3;
}

std::unique_ptr<Cluster> OpenForKill(const std::string& directory) {
  Options options;
  options.shards = 3;
  options.replicas_per_shard = 1;
  auto cluster = Cluster::Open(options, directory + "/cluster");
  // The one that was killed may hold its locks for a moment yet.
  while (absl::IsUnavailable(cluster.status())) {
    absl::SleepFor(kPause);
    cluster = Cluster::Open(options, directory + "/cluster");
  }
  Require(cluster.status());
  return *std::move(cluster);
}

}  // namespace

int FillUntilKilled(const std::string& directory) {
  constexpr size_t kFilled = 1000000;
  const std::unique_ptr<Cluster> cluster = OpenForKill(directory);
  const std::vector<std::string> keys = SessionKeys(kFilled);
  const std::string value = SessionValue(1);
  for (const std::string& key : keys) Require(cluster->Set(key, value));
  std::printf("filled\n");
  std::fflush(stdout);
  for (size_t i = 0;; ++i) Require(cluster->Set(keys[i % keys.size()], value));
}

int WriteOnce(const std::string& directory) {
  const std::unique_ptr<Cluster> cluster = OpenForKill(directory);
  Require(cluster->Set("session:1", SessionValue(1)));
  std::printf("written\n");
  std::fflush(stdout);
  return 0;
}

std::vector<Metric> ReplicationMetrics() {
  return {
      SetOnThreads("set_replicated_4threads", 4, 200000, Fsync::kNever, {}, 5),
      SetOnThreads("set_fsync_16threads", 16, 8000, Fsync::kAlways, {Bar::kRatioAtMost, 1.5}, 9),
      // From the first write that the primary's log refuses to the first that succeeds. The new
      // primary has Applier::kMaxLagBytes and one write group to apply at most.
      ValueAtMost("failover_ms_p99", "ms", 10, FailoverMs),
      // Above Options::node_timeout; the worst.
      ValueAtMost("failover_stuck_ms", "ms", 10, FailoverStuckMs),
      PromotePlanned(),
      ReplicaRebuild(),
      ValueAtMost("replica_lag", "B", Applier::kMaxLagBytes + Group::kMaxGroupBytes,
                  ReplicaLagBytes),
      {"kill9_to_first_write_ms", "ms", 1, {}, [] { return KillToFirstWriteMs; }, nullptr},
  };
}

}  // namespace slotkv
