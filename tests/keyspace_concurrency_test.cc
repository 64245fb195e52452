// Batches, scans, hashes and deletes of many keys, beside threads that write.
// (load_concurrency_test has GetOrLoad.)
#include <algorithm>
#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/test_support.h"
#include "tests/threads.h"

namespace slotkv {
namespace {

class KeyspaceConcurrencyTest : public ClusterFixture {
 protected:
  void SetUp() override { Open(); }

  // A generator for the thread; of its own, and the same for the same seed.
  static std::mt19937_64 RandomOf(int thread) {
    return std::mt19937_64(TestSeed() * 1'000'003 + static_cast<uint64_t>(thread));
  }

  // All pages, with random limits.
  std::vector<std::string> ScanAll(std::mt19937_64* random) {
    std::vector<std::string> keys;
    ScanOptions options;
    do {
      options.limit = 1 + (*random)() % 300;
      const absl::StatusOr<ScanPage> page = cluster_->Scan(options);
      EXPECT_THAT(page, IsOk());
      if (!page.ok()) break;
      for (const ScanEntry& entry : page->entries) keys.push_back(entry.key);
      options.cursor = page->cursor;
    } while (!options.cursor.empty());
    return keys;
  }
};

// ---- Batches ----

// The keys of one tag hold the same value, or are all missing, to every reader.
class BatchConcurrencyTest : public KeyspaceConcurrencyTest {
 protected:
  static constexpr int kKeys = 12;

  static std::string Key(int tag, int i) { return absl::StrCat("{", tag, "}", i); }

  // Reads the keys of a tag in some order; the value, or nothing.
  std::optional<std::string> ReadAll(int tag, std::mt19937_64* random) {
    std::vector<std::string> keys;
    for (int i = 0; i < kKeys; ++i) keys.push_back(Key(tag, i));
    std::shuffle(keys.begin(), keys.end(), *random);
    // Others' keys in between, or the store would be asked for one slot alone.
    keys.push_back(Key(tag + 1, 0));
    std::swap(keys[3], keys.back());
    std::vector<std::string> values(keys.size());
    std::vector<absl::Status> statuses(keys.size());
    cluster_->MultiGet(std::vector<std::string_view>(keys.begin(), keys.end()),
                       absl::MakeSpan(values), absl::MakeSpan(statuses));
    int missing = 0;
    std::set<std::string> different;
    for (int i = 0; i <= kKeys; ++i) {
      if (i == 3) continue;
      EXPECT_TRUE(statuses[i].ok() || absl::IsNotFound(statuses[i])) << statuses[i];
      if (statuses[i].ok()) {
        different.insert(values[i]);
      } else {
        ++missing;
      }
    }
    EXPECT_TRUE(missing == 0 || missing == kKeys) << missing << " of " << kKeys << " are missing";
    EXPECT_LE(different.size(), 1u) << "of several batches";
    return missing == 0 ? std::make_optional(*different.begin()) : std::nullopt;
  }
};

TEST_F(BatchConcurrencyTest, ReadersSeeBatchesWhole) {
  constexpr int kTags = 3, kWriters = 3, kReaders = 4;
  std::atomic<int> writing{kWriters};
  std::atomic<int> seen{0};
  OnThreads(kWriters + kReaders + 1, [&](int t) {
    std::mt19937_64 random = RandomOf(t);
    if (t == kWriters + kReaders) {
      while (writing > 0 && !HasFailure()) ASSERT_THAT(FlushStores(cluster_.get()), IsOk());
    } else if (t >= kWriters) {
      while (writing > 0 && !HasFailure()) {
        if (ReadAll(static_cast<int>(random() % kTags), &random).has_value()) ++seen;
      }
    } else {
      for (int i = 0; i < 1500; ++i) {
        const int tag = static_cast<int>(random() % kTags);
        const bool deletes = random() % 4 == 0;
        WriteBatch batch;
        for (int k = 0; k < kKeys; ++k) {
          if (deletes) {
            batch.Delete(Key(tag, k));
          } else {
            batch.Set(Key(tag, k), absl::StrCat(t, " ", i, std::string(random() % 3 * 200, 'x')));
          }
        }
        // One value for all: the last write of each key counts.
        for (int k = 0; k < kKeys && !deletes; ++k) batch.Set(Key(tag, k), absl::StrCat(t, " ", i));
        ASSERT_THAT(cluster_->Write(batch), IsOk());
      }
      --writing;
    }
  });
  EXPECT_GT(seen, 0);
}

// The keys of a batch that expire together are missing together, and from then on.
TEST_F(BatchConcurrencyTest, ReadersSeeBatchesExpireWhole) {
  std::atomic<bool> done{false};
  OnThreads(5, [&](int t) {
    std::mt19937_64 random = RandomOf(t);
    if (t == 0) {
      for (int i = 0; i < 2000; ++i) {
        WriteBatch batch;
        SetOptions options;
        options.ttl = absl::Milliseconds(static_cast<int64_t>(1 + random() % 3));
        for (int k = 0; k < kKeys; ++k) batch.Set(Key(0, k), absl::StrCat(i), options);
        ASSERT_THAT(cluster_->Write(batch), IsOk());
      }
      done = true;
    } else if (t == 1) {
      while (!done && !HasFailure()) clock_->Advance(absl::Milliseconds(1));
    } else {
      int last = -1;
      while (!done && !HasFailure()) {
        const std::optional<std::string> value = ReadAll(0, &random);
        int number = last;
        if (value.has_value()) {
          ASSERT_TRUE(absl::SimpleAtoi(*value, &number));
        }
        ASSERT_GE(number, last) << "an older batch came back";
        last = number;
      }
    }
  });
}

// A batch's conditions and its writes are one step: of those who want the same, one wins.
TEST_F(BatchConcurrencyTest, ConditionsHoldForTheWholeBatch) {
  constexpr int kThreads = 6, kRounds = 200;
  std::vector<std::atomic<int>> winners(kRounds);
  OnThreads(kThreads, [&](int t) {
    SetOptions if_absent;
    if_absent.condition = SetCondition::kIfAbsent;
    for (int round = 0; round < kRounds; ++round) {
      WriteBatch batch;
      batch.Set(absl::StrCat("{t}counter of ", t), absl::StrCat(round));
      batch.Set(absl::StrCat("{t}", round), absl::StrCat(t), if_absent);
      batch.Set(absl::StrCat("{t}winner of ", round), absl::StrCat(t));
      const absl::Status status = cluster_->Write(batch);
      if (status.ok()) {
        ++winners[round];
      } else {
        ASSERT_THAT(status, HasCode(absl::StatusCode::kFailedPrecondition));
      }
    }
  });
  std::vector<int> last(kThreads, -1);
  for (int round = 0; round < kRounds; ++round) {
    EXPECT_EQ(winners[round], 1);
    const auto owner = cluster_->Get(absl::StrCat("{t}", round));
    ASSERT_THAT(owner, IsOk());
    EXPECT_THAT(cluster_->Get(absl::StrCat("{t}winner of ", round)), HoldsValue(*owner));
    last.at(std::stoi(*owner)) = round;
  }
  // Nothing of a batch that failed was done.
  for (int t = 0; t < kThreads; ++t) {
    const auto counter = cluster_->Get(absl::StrCat("{t}counter of ", t));
    if (last[t] < 0) {
      EXPECT_THAT(counter, IsMissing());
    } else {
      EXPECT_THAT(counter, HoldsValue(absl::StrCat(last[t])));
    }
  }
}

// ---- Scans ----

TEST_F(KeyspaceConcurrencyTest, AScanSeesWhatIsThereThroughout) {
  std::set<std::string> resident;
  for (int i = 0; i < 1500; ++i) {
    resident.insert(i % 3 == 0 ? absl::StrCat("{", i % 7, "}stays", i) : absl::StrCat("stays", i));
  }
  const std::vector<std::string> stays(resident.begin(), resident.end());
  for (const std::string& key : stays) ASSERT_THAT(cluster_->Set(key, "v"), IsOk());
  constexpr int kWriters = 3, kScanners = 2;
  std::atomic<int> scanning{kScanners};
  OnThreads(kWriters + kScanners + 1, [&](int t) {
    std::mt19937_64 random = RandomOf(t);
    if (t == kWriters + kScanners) {
      while (scanning > 0 && !HasFailure()) ASSERT_THAT(FlushStores(cluster_.get()), IsOk());
      return;
    }
    if (t < kWriters) {
      while (scanning > 0 && !HasFailure()) {
        // Comes and goes, between those that stay.
        const std::string brief =
            absl::StrCat("{", random() % 7, "}", random() % 2 == 0 ? "a" : "z", random() % 300);
        if (random() % 2 == 0) {
          ASSERT_THAT(cluster_->Set(brief, "v"), IsOk());
        } else {
          ASSERT_THAT(cluster_->Delete(brief), IsOk());
        }
        // Written anew, but never away.
        const std::string& key = stays[random() % stays.size()];
        WriteBatch batch;
        batch.Delete(key);
        batch.Set(key, "w");
        ASSERT_THAT(random() % 2 == 0 ? cluster_->Set(key, "x") : cluster_->Write(batch), IsOk());
      }
      return;
    }
    for (int scan = 0; scan < 6 && !HasFailure(); ++scan) {
      const std::vector<std::string> seen = ScanAll(&random);
      const std::set<std::string> once(seen.begin(), seen.end());
      EXPECT_EQ(once.size(), seen.size()) << "a key twice";
      for (const std::string& key : stays) ASSERT_EQ(once.count(key), 1u) << key;
      EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end(), [](const auto& a, const auto& b) {
        return std::make_pair(SlotForKey(a), a) < std::make_pair(SlotForKey(b), b);
      }));
    }
    --scanning;
  });
}

// ---- Hashes ----

TEST_F(KeyspaceConcurrencyTest, FieldsOfManyThreadsAreAllThere) {
  constexpr int kThreads = 8, kEach = 150;
  std::atomic<uint64_t> added{0}, removed{0};
  OnThreads(kThreads, [&](int t) {
    for (int i = 0; i < kEach; ++i) {
      // A counter, a field that stays, and one that the next round takes away.
      const std::string counter = absl::StrCat("counter", t), number = absl::StrCat(i),
                        stays = absl::StrCat("stays", t, ".", i % 40),
                        goes = absl::StrCat("goes", t, ".", i),
                        went = absl::StrCat("goes", t, ".", i - 1);
      const auto set = cluster_->HashSet("h", {{counter, number}, {stays, number}, {goes, ""}});
      ASSERT_THAT(set, IsOk());
      added += *set;
      const auto mine = cluster_->HashGet("h", counter);
      ASSERT_THAT(mine, HoldsValue(number)) << "another thread's write undid this one's";
      if (i == 0) continue;
      const auto deleted = cluster_->HashDelete("h", {went});
      ASSERT_THAT(deleted, HoldsValue(1u));
      removed += *deleted;
    }
  });
  for (int round = 0; round < 2; ++round) {
    const auto fields = cluster_->HashGetAll("h");
    ASSERT_THAT(fields, IsOk());
    EXPECT_EQ(fields->size(), kThreads * (1u + 40 + 1));
    EXPECT_EQ(fields->size(), added - removed);
    std::map<std::string, std::string> by_name;
    for (const HashField& field : *fields) by_name[field.name] = field.value;
    for (int t = 0; t < kThreads; ++t) {
      EXPECT_EQ(by_name[absl::StrCat("counter", t)], absl::StrCat(kEach - 1));
      for (int i = kEach - 40; i < kEach; ++i) {
        EXPECT_EQ(by_name[absl::StrCat("stays", t, ".", i % 40)], absl::StrCat(i));
      }
      EXPECT_EQ(by_name.count(absl::StrCat("goes", t, ".", kEach - 1)), 1u);
    }
    Open();
  }
}

// A hash and its expiry change together: a reader never finds new fields with an old expiry.
TEST_F(KeyspaceConcurrencyTest, AHashExpiresAsAWhole) {
  std::atomic<bool> done{false};
  OnThreads(4, [&](int t) {
    if (t == 0) {
      for (int i = 0; i < 1500; ++i) {
        const std::string number = absl::StrCat(i);
        HashSetOptions options;
        options.ttl = absl::Milliseconds(2);
        ASSERT_THAT(cluster_->HashSet("h", {{"a", number}, {"b", number}, {"c", number}}, options),
                    IsOk());
        clock_->Advance(absl::Milliseconds(1));
      }
      done = true;
      return;
    }
    while (!done && !HasFailure()) {
      const auto fields = cluster_->HashGetAll("h");
      if (absl::IsNotFound(fields.status())) continue;
      ASSERT_THAT(fields, IsOk());
      ASSERT_EQ(fields->size(), 3u);
      ASSERT_EQ((*fields)[0].value, (*fields)[2].value);
    }
  });
}

// ---- Deletes of many keys ----

// Writers raise the numbers at their keys. Whoever deletes all finds afterwards, at each key,
// nothing or a number that was not yet acknowledged when it began.
class DeleteConcurrencyTest : public KeyspaceConcurrencyTest {
 protected:
  static constexpr int kWriters = 4, kKeys = 60;

  struct Counter {
    std::string key;
    std::atomic<int> acknowledged{-1};
  };

  // `deletes()` is what deletes the counters' keys.
  void Run(const std::function<absl::Status()>& deletes, int rounds) {
    for (int i = 0; i < kKeys; ++i) {
      counters_[i].key = absl::StrCat(i % 2 == 0 ? "{t}" : "{", "drop", i);
      ASSERT_THAT(cluster_->Set(absl::StrCat("keep", i), "0"), IsOk());
    }
    std::atomic<bool> done{false};
    OnThreads(kWriters + 1, [&](int t) {
      if (t == kWriters) {
        for (int round = 0; round < rounds && !HasFailure(); ++round) DeleteAndCheck(deletes);
        done = true;
        return;
      }
      std::mt19937_64 random = RandomOf(t);
      while (!done && !HasFailure()) {
        // Each key has one writer, so that its numbers rise.
        const int i = static_cast<int>(random() % (kKeys / kWriters)) * kWriters + t;
        Counter& counter = counters_[i];
        const int next = counter.acknowledged + 1;
        if (random() % 2 == 0) {
          ASSERT_THAT(cluster_->Set(counter.key, absl::StrCat(next)), IsOk());
        } else {
          WriteBatch batch;
          batch.Set(counter.key, absl::StrCat(next));
          ASSERT_THAT(cluster_->Write(batch), IsOk());
        }
        counter.acknowledged = next;
      }
    });
  }

  void DeleteAndCheck(const std::function<absl::Status()>& deletes) {
    std::vector<int> before;
    for (const Counter& counter : counters_) before.push_back(counter.acknowledged);
    ASSERT_THAT(deletes(), IsOk());
    for (int i = 0; i < kKeys; ++i) {
      const absl::StatusOr<std::string> value = cluster_->Get(counters_[i].key);
      if (absl::IsNotFound(value.status())) continue;
      ASSERT_THAT(value, IsOk());
      int number = -1;
      ASSERT_TRUE(absl::SimpleAtoi(*value, &number));
      ASSERT_GT(number, before[i]) << counters_[i].key << " was there before, and is still";
    }
  }

  std::array<Counter, kKeys> counters_;
};

TEST_F(DeleteConcurrencyTest, DeleteAllLeavesNothingThatWasThere) {
  Run([&] { return cluster_->DeleteAll(); }, 60);
}

TEST_F(DeleteConcurrencyTest, DeletePrefixLeavesNothingThatWasThere) {
  Run(
      [&] {
        absl::Status status = cluster_->DeletePrefix("{t}");  // one slot
        status.Update(cluster_->DeletePrefix("{d"));          // any
        return status;
      },
      40);
  // And takes nothing else.
  for (int i = 0; i < kKeys; ++i) {
    EXPECT_THAT(cluster_->Get(absl::StrCat("keep", i)), HoldsValue("0"));
  }
}

TEST_F(DeleteConcurrencyTest, ShardsThatDeleteAllAtOnce) {
  const Topology topology = cluster_->GetTopology();
  Run(
      [&] {
        std::vector<absl::Status> statuses(topology.shards().size());
        OnThreads(static_cast<int>(statuses.size()), [&](int t) {
          statuses[t] = cluster_->shard(topology.shards()[t].id)->DeleteAll();
        });
        for (const absl::Status& status : statuses) EXPECT_THAT(status, IsOk());
        return absl::OkStatus();
      },
      30);
}

// ---- Closing ----

TEST_F(KeyspaceConcurrencyTest, CloseWaitsForCallsOfEveryKind) {
  for (int round = 0; round < 4; ++round) {
    Open();
    for (int i = 0; i < 300; ++i) ASSERT_THAT(cluster_->Set(absl::StrCat("key", i), "v"), IsOk());
    Shard shard = *cluster_->shard(ShardId(1));
    std::atomic<int> acknowledged{-1}, started{0};
    const auto may = [](const absl::Status& status) {
      return status.ok() || absl::IsCancelled(status) || absl::IsNotFound(status) ||
             absl::IsAborted(status);
    };
    // Each until it is told that the cluster is closed.
    const std::vector<std::function<absl::Status()>> calls = {
        [&] {
          WriteBatch batch;
          const int next = acknowledged + 1;
          for (int i = 0; i < 5; ++i) batch.Set(absl::StrCat("{t}", i), absl::StrCat(next));
          const absl::Status status = cluster_->Write(batch);
          if (status.ok()) acknowledged = next;
          return status;
        },
        [&] {
          ScanOptions options;
          options.limit = 100000;
          return cluster_->Scan(options).status();
        },
        [&] {
          return cluster_->MultiGet({"key1", "key2", "key3"})[2].status();
        },
        [&] {
          return cluster_->MultiSet({{"a", "1"}, {"b", "2"}, {"c", "3"}})[2];
        },
        [&] { return cluster_->DeletePrefix("key1"); },
        [&] {
          return cluster_->HashSet("h", {{"f", "v"}}).status();
        },
        [&] {
          return cluster_
              ->GetOrLoad("k", [](std::string_view) -> absl::StatusOr<std::string> { return "v"; })
              .status();
        },
        [&] { return shard.Scan().status(); },
        [&] {
          StatsOptions options;
          options.slot_bytes = true;
          const ClusterStats stats = cluster_->GetStats(options);
          return stats.shards.empty() ? absl::CancelledError("") : absl::OkStatus();
        },
    };
    std::vector<std::thread> threads;
    for (const auto& call : calls) {
      threads.emplace_back([&] {
        ++started;
        for (absl::Status status; !absl::IsCancelled(status);) {
          status = call();
          ASSERT_TRUE(may(status)) << status;
        }
      });
    }
    while (started < static_cast<int>(calls.size()) || acknowledged < 50) {
      std::this_thread::yield();
    }
    EXPECT_THAT(cluster_->Close(), IsOk());
    for (std::thread& thread : threads) thread.join();
    Open();
    for (int i = 0; i < 5; ++i) {
      EXPECT_THAT(cluster_->Get(absl::StrCat("{t}", i)),
                  HoldsValue(absl::StrCat(acknowledged.load())));
    }
    EXPECT_THAT(cluster_->Verify(), IsOk());
  }
}

}  // namespace
}  // namespace slotkv
