// Every kind of call from eight threads for as long as one likes, against a model: with time that
// passes in minutes and hours, keys that expire, stores that flush and merge, and a cluster that is
// closed and opened again.
//
// A few seconds, unless told otherwise:
//   bazel test -c opt //tests:mixed_load_test --test_arg=--minutes=10 --test_timeout=900
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <iostream>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
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

absl::Duration load_time = absl::Seconds(4);

constexpr int kThreads = 8;

class MixedLoadTest : public ClusterFixture {
 protected:
  // A thread and what it knows.
  struct Worker {
    // Few keys, which are written again and again; and many, so that tables fill and merge.
    ModelKeys few, many;
    KeyspaceModel model{0};
    std::mt19937_64 random;
    std::array<uint64_t, Operation::kKinds> operations = {};
  };

  MixedLoadTest() {
    std::set<Slot> taken;
    for (int t = 0; t < kThreads; ++t) {
      Worker& worker = workers_[t];
      worker.few = MakeModelKeys(absl::StrCat("few", t), 4, &taken);
      worker.many = MakeModelKeys(absl::StrCat("many", t), 1200, &taken);
      worker.many.keys_per_tag = 8;
      // Those look at every slot of the cluster, one after the other.
      worker.few.whole_prefix_one_in = 200;
      worker.many.whole_prefix_one_in = 5000;
      for (ModelKeys* const keys : {&worker.few, &worker.many}) {
        // In whole minutes, as the time that passes, so that calls often meet the very end.
        keys->ttl_step = absl::Minutes(1);
        keys->max_ttl = absl::Hours(3);
      }
      worker.model.set_now_ms(static_cast<uint64_t>(absl::ToUnixMillis(clock_->Wall())));
      worker.random.seed(random_());
    }
  }

  bool Stopped() const { return stop_ || failed_; }

  // The same call on both. False: they differ.
  bool Do(Worker* worker, const Operation& operation) ABSL_SHARED_LOCKS_REQUIRED(world_) {
    const std::string got = Answer(cluster_.get(), operation);
    const std::string expected = worker->model.Answer(operation);
    ++worker->operations[operation.kind];
    ++operations_;
    if (got == expected) return true;
    failed_ = true;
    ADD_FAILURE() << operation.ToString() << "\n  got:      " << got
                  << "\n  expected: " << expected;
    return false;
  }

  // What a thread does until it is told to stop: first it fills its many keys.
  void Work(Worker* worker) ABSL_LOCKS_EXCLUDED(world_) {
    for (const std::string& tag : worker->many.tags) {
      Operation fill;
      fill.kind = Operation::kMultiSet;
      for (int i = 0; i < worker->many.keys_per_tag; ++i) {
        fill.writes.push_back({true, absl::StrCat(tag, i), std::string(150, 'f'), {}});
      }
      absl::ReaderMutexLock lock(&world_);
      if (Stopped() || !Do(worker, fill)) break;
    }
    ++filled_;
    while (!Stopped()) {
      absl::ReaderMutexLock lock(&world_);
      for (uint64_t i = 1 + worker->random() % 20; i > 0; --i) {
        const ModelKeys& keys = worker->random() % 2 == 0 ? worker->few : worker->many;
        if (!Do(worker, RandomOperation(keys, &worker->random))) return;
      }
    }
  }

  // ---- What goes on beside them ----

  void PassTime() ABSL_LOCKS_EXCLUDED(world_) {
    const absl::Duration step = [&] {
      switch (random_() % 8) {
        case 0:
          return absl::Milliseconds(static_cast<int64_t>(random_() % 60'000));
        case 1:
          return absl::Minutes(static_cast<int64_t>(30 + random_() % 120));
        default:
          return absl::Minutes(static_cast<int64_t>(1 + random_() % 5));
      }
    }();
    absl::MutexLock lock(&world_);
    clock_->Advance(step);
    passed_ += step;
    for (Worker& worker : workers_) {
      worker.model.set_now_ms(worker.model.now_ms() +
                              static_cast<uint64_t>(absl::ToInt64Milliseconds(step)));
    }
  }

  void Reopen() ABSL_LOCKS_EXCLUDED(world_) {
    PassTime();
    absl::MutexLock lock(&world_);
    static constexpr Fsync kFsyncs[] = {Fsync::kAlways, Fsync::kEverySecond, Fsync::kNever};
    static constexpr LogIo kLogIos[] = {LogIo::kAuto, LogIo::kMapped, LogIo::kWrite};
    options_.fsync = kFsyncs[random_() % 3];
    options_.log_io = kLogIos[random_() % 3];
    options_.memory_bytes = size_t{16} << (20 + random_() % 2);
    Open();
    ++reopens_;
  }

  // While nobody writes, everything is what the models say.
  void CheckAll() ABSL_LOCKS_EXCLUDED(world_) {
    absl::MutexLock lock(&world_);
    std::set<std::string> expected, found;
    for (Worker& worker : workers_) {
      for (std::string& key : worker.model.Keys()) expected.insert(std::move(key));
      for (const std::string& key : worker.few.All()) {
        EXPECT_EQ(KeyspaceModel::Describe(cluster_.get(), key), worker.model.Describe(key)) << key;
      }
      for (int i = 0; i < 300; ++i) {
        const std::string key =
            absl::StrCat(worker.many.tags[random_() % worker.many.tags.size()], random_() % 8);
        EXPECT_EQ(KeyspaceModel::Describe(cluster_.get(), key), worker.model.Describe(key)) << key;
      }
    }
    ScanOptions options;
    do {
      options.limit = 1 + random_() % 5000;
      const absl::StatusOr<ScanPage> page = cluster_->Scan(options);
      ASSERT_THAT(page, IsOk());
      for (const ScanEntry& entry : page->entries) {
        EXPECT_TRUE(found.insert(entry.key).second) << entry.key << " twice";
      }
      options.cursor = page->cursor;
    } while (!options.cursor.empty());
    EXPECT_EQ(found.size(), expected.size());
    EXPECT_TRUE(found == expected) << "other keys";
    least_keys_ = std::min(least_keys_, found.size());
    most_keys_ = std::max(most_keys_, found.size());
    ++checks_;
  }

  // Until so many more calls have been made: what comes next comes at any moment of theirs.
  void AwaitOperations(uint64_t count) {
    const uint64_t until = operations_ + count;
    while (operations_ < until && !failed_ && absl::Now() < end_) {
      absl::SleepFor(absl::Microseconds(200));
    }
  }

  void Direct() ABSL_LOCKS_EXCLUDED(world_) {
    absl::Time next_report = absl::Now() + absl::Minutes(1);
    while (absl::Now() < end_ && !failed_) {
      AwaitOperations(random_() % 300);
      const uint64_t dice = random_() % 300;
      if (dice < 4) {
        // Beside everything else: nobody waits for it.
        EXPECT_THAT(FlushStores(cluster_.get()), IsOk());
        ++flushes_;
      } else if (dice < 6) {
        Reopen();
      } else if (dice < 7) {
        CheckAll();
      } else if (dice < 8) {
        EXPECT_THAT(cluster_->Verify(), IsOk());
        ++verifies_;
      } else if (dice < 10) {
        StatsOptions options;
        options.count_keys = options.slot_bytes = true;
        EXPECT_EQ(cluster_->GetStats(options).shards.size(), 3u);
      } else {
        PassTime();
      }
      if (HasFailure()) failed_ = true;
      if (absl::Now() < next_report) continue;
      Report();
      next_report += absl::Minutes(1);
    }
  }

  void Report() ABSL_LOCKS_EXCLUDED(world_) {
    uint64_t table_bytes = 0, estimated_keys = 0;
    for (const ShardStats& shard : cluster_->GetStats().shards) {
      table_bytes += shard.nodes.front().table_bytes;
      estimated_keys += shard.estimated_keys;
    }
    std::cout << operations_ << " calls, " << reopens_ << " reopens, " << checks_ << " checks, "
              << verifies_ << " verifications, " << flushes_ << " flushes, " << passed_
              << " passed; " << least_keys_ << " to " << most_keys_ << " keys, now about "
              << estimated_keys << " in tables of " << table_bytes << " bytes" << std::endl;
  }

  std::mt19937_64 random_{TestSeed()};  // the director's
  std::array<Worker, kThreads> workers_;
  absl::Time end_;

  // Held shared by whoever calls the cluster, exclusively by whoever turns the clock or reopens.
  absl::Mutex world_;
  std::atomic<bool> stop_{false}, failed_{false};
  std::atomic<int> filled_{0};  // workers
  std::atomic<uint64_t> operations_{0};
  absl::Duration passed_;
  int reopens_ = 0, checks_ = 0, verifies_ = 0, flushes_ = 0;
  size_t least_keys_ = SIZE_MAX, most_keys_ = 0;
};

TEST_F(MixedLoadTest, NoWrongAnswer) {
  Open();
  std::vector<std::thread> threads;
  for (Worker& worker : workers_) {
    threads.emplace_back([this, &worker] { Work(&worker); });
  }
  while (filled_ < kThreads) absl::SleepFor(absl::Milliseconds(1));
  end_ = absl::Now() + load_time;
  Direct();
  stop_ = true;
  for (std::thread& thread : threads) thread.join();
  if (!failed_) {
    CheckAll();
    Reopen();
    CheckAll();
    EXPECT_THAT(cluster_->Verify(), IsOk());
  }
  Report();
  std::array<uint64_t, Operation::kKinds> operations = {};
  for (const Worker& worker : workers_) {
    for (size_t kind = 0; kind < operations.size(); ++kind) {
      operations[kind] += worker.operations[kind];
    }
  }
  std::cout << "calls by kind:";
  for (size_t kind = 0; kind < operations.size(); ++kind) {
    std::cout << " " << operations[kind];
    EXPECT_TRUE(operations[kind] > 0 || kind == Operation::kDeleteAll) << kind;
  }
  std::cout << std::endl;
}

}  // namespace
}  // namespace slotkv

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const std::string_view kMinutes = "--minutes=";
  for (int i = 1; i < argc; ++i) {
    double minutes = 0;
    if (std::string_view(argv[i]).substr(0, kMinutes.size()) != kMinutes ||
        !absl::SimpleAtod(argv[i] + kMinutes.size(), &minutes) || minutes <= 0) {
      std::cerr << argv[i] << " is not --minutes=NUMBER" << std::endl;
      return 2;
    }
    slotkv::load_time = absl::Minutes(minutes);
  }
  return RUN_ALL_TESTS();
}
