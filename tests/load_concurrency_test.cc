// GetOrLoad by many threads, beside every kind of write.
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/test_hook.h"
#include "tests/test_support.h"
#include "tests/threads.h"

namespace slotkv {
namespace {

using Loaded = absl::StatusOr<std::string>;
using Loader = std::function<Loaded(std::string_view)>;

constexpr int kThreads = 8;

class LoadConcurrencyTest : public ClusterFixture {
 protected:
  void SetUp() override { Open(); }

  Loaded Load(std::string_view key, const Loader& loader, const LoadOptions& options = {}) {
    return cluster_->GetOrLoad(key, loader, options);
  }
  // Until so many calls have waited for another's load, or still do.
  void AwaitWaits(uint64_t waits) {
    while (cluster_->GetStats().load_waits < waits) std::this_thread::yield();
  }
};

// ---- Those who wait ----

// On all threads: the one whose loader runs first lets the others come to wait for it.
class WaitingTest : public LoadConcurrencyTest {
 protected:
  // `loader(n)`: the n-th that runs. Returns what each thread got.
  std::vector<Loaded> LoadOnAllThreads(const std::function<Loaded(int)>& loader) {
    std::vector<Loaded> results(kThreads);
    std::atomic<int> running{0};
    OnThreads(kThreads, [&](int t) {
      results[t] = Load("k", [&](std::string_view) {
        EXPECT_EQ(++running, 1) << "two at a time";
        const int number = loads_++;
        if (number == 0) AwaitWaits(kThreads - 1);
        Loaded result = loader(number);
        --running;
        return result;
      });
    });
    return results;
  }

  std::atomic<int> loads_{0};
};

TEST_F(WaitingTest, GetWhatWasStored) {
  for (const Loaded& result : LoadOnAllThreads([](int) { return "loaded"; })) {
    EXPECT_THAT(result, HoldsValue("loaded"));
  }
  EXPECT_EQ(loads_, 1);
  const ClusterStats stats = cluster_->GetStats();
  EXPECT_EQ(stats.loads, 1u);
  EXPECT_EQ(stats.load_waits, uint64_t{kThreads - 1});
  EXPECT_EQ(stats.loads_not_stored, 0u);
}

TEST_F(WaitingTest, LoadForThemselvesIfALoaderFails) {
  const std::vector<Loaded> results = LoadOnAllThreads([](int number) -> Loaded {
    return absl::UnavailableError(absl::StrCat("failure ", number));
  });
  std::set<std::string> errors;
  for (const Loaded& result : results) {
    EXPECT_THAT(result, HasCode(absl::StatusCode::kUnavailable));
    errors.insert(std::string(result.status().message()));
  }
  EXPECT_EQ(errors.size(), static_cast<size_t>(kThreads)) << "each has an error of its own";
  EXPECT_EQ(loads_, kThreads);
  EXPECT_THAT(cluster_->Get("k"), IsMissing());
}

TEST_F(WaitingTest, TheFirstThatSucceedsEndsIt) {
  int failed = 0;
  for (const Loaded& result : LoadOnAllThreads([](int number) -> Loaded {
         if (number < 3) return absl::UnavailableError("failure");
         return absl::StrCat("loaded by ", number);
       })) {
    if (result.ok()) {
      EXPECT_THAT(result, HoldsValue("loaded by 3"));
    } else {
      ++failed;
    }
  }
  EXPECT_EQ(failed, 3);
  EXPECT_EQ(loads_, 4);
}

TEST_F(WaitingTest, AnExceptionFreesThem) {
  std::atomic<int> thrown{0}, loads{0};
  std::vector<Loaded> results(kThreads);
  OnThreads(kThreads, [&](int t) {
    try {
      results[t] = Load("k", [&](std::string_view) -> Loaded {
        const int number = loads++;
        if (number == 0) AwaitWaits(kThreads - 1);
        if (number < 2) throw std::runtime_error("thrown");
        return "loaded";
      });
    } catch (const std::runtime_error&) {
      ++thrown;
      results[t] = "thrown";
    }
  });
  EXPECT_EQ(thrown, 2);
  EXPECT_EQ(loads, 3);
  for (const Loaded& result : results) {
    EXPECT_TRUE(result.ok() && (*result == "loaded" || *result == "thrown")) << result.status();
  }
}

// The first one's value is older than a delete: nobody else is to get it.
TEST_F(WaitingTest, LoadForThemselvesIfALoadIsOvertaken) {
  const std::vector<Loaded> results = LoadOnAllThreads([&](int number) {
    if (number == 0) {
      EXPECT_THAT(cluster_->Delete("k"), HoldsValue(false));
    }
    return absl::StrCat("loaded by ", number);
  });
  int stale = 0;
  for (const Loaded& result : results) {
    ASSERT_THAT(result, IsOk());
    if (*result == "loaded by 0") {
      ++stale;
    } else {
      EXPECT_EQ(*result, "loaded by 1");
    }
  }
  EXPECT_EQ(stale, 1) << "the leader's own";
  EXPECT_EQ(loads_, 2);
  EXPECT_THAT(cluster_->Get("k"), HoldsValue("loaded by 1"));
}

TEST_F(WaitingTest, GetWhatAnotherHasWritten) {
  for (const Loaded& result : LoadOnAllThreads([&](int) {
         EXPECT_THAT(cluster_->Set("k", "written"), IsOk());
         return "loaded";
       })) {
    EXPECT_THAT(result, HoldsValue("written"));
  }
  EXPECT_EQ(loads_, 1);
}

TEST_F(LoadConcurrencyTest, AWaitMeetsItsTimeout) {
  absl::Notification loading, go_on;
  std::thread leader([&] {
    EXPECT_THAT(Load("k",
                     [&](std::string_view) {
                       loading.Notify();
                       go_on.WaitForNotification();
                       return "loaded";
                     }),
                HoldsValue("loaded"));
  });
  loading.WaitForNotification();
  LoadOptions brief;
  for (const absl::Duration timeout : {absl::ZeroDuration(), absl::Milliseconds(20)}) {
    brief.wait_timeout = timeout;
    const absl::Time start = absl::Now();
    EXPECT_THAT(Load(
                    "k", [](std::string_view) { return "another"; }, brief),
                HasError(absl::StatusCode::kDeadlineExceeded, "LoadOptions.wait_timeout"));
    EXPECT_GE(absl::Now() - start, timeout);
  }
  EXPECT_THAT(cluster_->Get("k"), IsMissing());
  // A hit needs no wait, nor does another key.
  EXPECT_THAT(Load(
                  "{k}2", [](std::string_view) { return "other"; }, brief),
              HoldsValue("other"));
  go_on.Notify();
  leader.join();
  EXPECT_THAT(Load(
                  "k", [](std::string_view) { return "another"; }, brief),
              HoldsValue("loaded"));
}

// No lock is held: loads of other keys, and all calls on this one, go on.
TEST_F(LoadConcurrencyTest, ALoaderHoldsUpNobody) {
  absl::Notification loading, go_on;
  std::thread leader([&] {
    EXPECT_THAT(Load("{t}k",
                     [&](std::string_view) {
                       loading.Notify();
                       go_on.WaitForNotification();
                       return "loaded";
                     }),
                HoldsValue("written"));
  });
  loading.WaitForNotification();
  EXPECT_THAT(Load("{t}other", [](std::string_view) { return "other"; }), HoldsValue("other"));
  EXPECT_THAT(cluster_->Get("{t}k"), IsMissing());
  EXPECT_THAT(cluster_->Set("{t}k", "writ"), IsOk());
  EXPECT_THAT(cluster_->Append("{t}k", "ten"), IsOk());
  // Not even who asks for it by GetOrLoad: it is there now.
  LoadOptions at_once;
  at_once.wait_timeout = absl::ZeroDuration();
  EXPECT_THAT(Load(
                  "{t}k", [](std::string_view) { return "again"; }, at_once),
              HoldsValue("written"));
  EXPECT_THAT(cluster_->Verify(), IsOk());
  go_on.Notify();
  leader.join();
}

// ---- Writes beside loads ----

// Each kind of write, by another thread, while a loader runs.
TEST_F(LoadConcurrencyTest, AWriteOfAnotherThreadWins) {
  struct Meanwhile {
    std::string name;
    std::function<absl::Status()> write;
    std::string holds;  // "": nothing
  };
  const auto batch = [this](bool deletes) {
    WriteBatch batch;
    batch.Set("{t}other", "1");
    if (deletes) {
      batch.Delete("{t}k");
    } else {
      batch.Set("{t}k", "batch");
    }
    return cluster_->Write(batch);
  };
  const std::vector<Meanwhile> kinds = {
      {"Set", [&] { return cluster_->Set("{t}k", "set"); }, "set"},
      {"Delete", [&] { return cluster_->Delete("{t}k").status(); }, ""},
      {"Increment", [&] { return cluster_->Increment("{t}k", 3).status(); }, "3"},
      {"Append", [&] { return cluster_->Append("{t}k", "x").status(); }, "x"},
      {"SetRange", [&] { return cluster_->SetRange("{t}k", 0, "y").status(); }, "y"},
      {"Expire", [&] { return cluster_->Expire("{t}k", absl::Seconds(1)).status(); }, ""},
      {"Persist", [&] { return cluster_->Persist("{t}k").status(); }, ""},
      {"GetAndTouch",
       [&] {
         EXPECT_THAT(cluster_->GetAndTouch("{t}k", absl::Seconds(1)), IsMissing());
         return absl::OkStatus();
       },
       ""},
      {"MultiSet",
       [&] {
         return cluster_->MultiSet({{"a", "1"}, {"{t}k", "2"}})[1];
       },
       "2"},
      {"batch that sets", [&] { return batch(false); }, "batch"},
      {"batch that deletes", [&] { return batch(true); }, ""},
      {"HashDelete", [&] { return cluster_->HashDelete("{t}k", {"f"}).status(); }, ""},
      {"DeletePrefix with a tag", [&] { return cluster_->DeletePrefix("{t}"); }, ""},
      {"DeletePrefix", [&] { return cluster_->DeletePrefix("{"); }, ""},
      {"DeleteAll", [&] { return cluster_->DeleteAll(); }, ""},
  };
  for (const Meanwhile& kind : kinds) {
    SCOPED_TRACE(kind.name);
    ASSERT_THAT(cluster_->DeleteAll(), IsOk());
    absl::Notification loading, go_on;
    Loaded result;
    std::thread loads([&] {
      result = Load("{t}k", [&](std::string_view) {
        loading.Notify();
        go_on.WaitForNotification();
        return "loaded";
      });
    });
    loading.WaitForNotification();
    EXPECT_THAT(kind.write(), IsOk());
    go_on.Notify();
    loads.join();
    EXPECT_THAT(result, HoldsValue(kind.holds.empty() ? "loaded" : kind.holds));
    if (kind.holds.empty()) {
      EXPECT_THAT(cluster_->Get("{t}k"), IsMissing()) << "what was loaded is older";
    } else {
      EXPECT_THAT(cluster_->Get("{t}k"), HoldsValue(kind.holds));
    }
  }
}

// Keys are copies of what an origin holds. Whoever changes the origin deletes the copy, in one of
// many ways, and from then on no reader is to get anything older.
class OriginTest : public LoadConcurrencyTest {
 protected:
  static constexpr int kKeys = 3;

  struct Origin {
    std::string key;
    std::atomic<int> version{0};
    std::atomic<int> invalidated{0};  // up to this version every older copy is gone
    std::atomic<int> loading{0};
  };

  OriginTest() {
    for (int i = 0; i < kKeys; ++i) origins_[i].key = absl::StrCat("{tag}", i);
  }

  // Takes away the copy of the key.
  absl::Status Invalidate(const std::string& key, std::mt19937_64* random) {
    WriteBatch batch;
    SetOptions brief;
    brief.ttl = absl::Milliseconds(1);
    switch ((*random)() % 8) {
      case 0:
        return cluster_->DeletePrefix("{tag}");
      case 1:
        return cluster_->DeletePrefix("{t");
      case 2:
        return cluster_->DeleteAll();
      case 3:
        batch.Set("{tag}of others", "x");
        batch.Delete(key);
        return cluster_->Write(batch);
      case 4:
        return cluster_->Expire(key, absl::ZeroDuration()).status();
      case 5:
        return cluster_->shard(cluster_->GetTopology().OwnerOf(SlotForKey(key)))->DeleteAll();
      default:
        return cluster_->Delete(key).status();
    }
  }

  void Read(Origin* origin) {
    const int floor = origin->invalidated;
    const Loaded value = Load(origin->key, [origin](std::string_view) -> Loaded {
      EXPECT_EQ(++origin->loading, 1) << "two loaders at a time";
      const int version = origin->version;
      // Now and then between the reading of the origin and the end many things happen.
      if (version % 3 == 0) std::this_thread::yield();
      --origin->loading;
      if (version % 11 == 5) return absl::UnavailableError("the origin is away");
      return absl::StrCat(version);
    });
    if (absl::IsUnavailable(value.status())) return;
    ASSERT_THAT(value, IsOk());
    int version = -1;
    ASSERT_TRUE(absl::SimpleAtoi(*value, &version));
    ASSERT_GE(version, floor) << "a copy that had been taken away";
  }

  std::array<Origin, kKeys> origins_;
};

TEST_F(OriginTest, NoCopySurvivesItsInvalidation) {
  std::atomic<bool> done{false};
  OnThreads(kThreads, [&](int t) {
    std::mt19937_64 random(TestSeed() * 1'000'003 + static_cast<uint64_t>(t));
    if (t >= kKeys) {
      while (!done && !HasFailure()) Read(&origins_[random() % kKeys]);
      return;
    }
    // The one who changes this origin.
    Origin& origin = origins_[t];
    for (int i = 0; i < 500 && !HasFailure(); ++i) {
      const int version = ++origin.version;
      ASSERT_THAT(Invalidate(origin.key, &random), IsOk());
      origin.invalidated = version;
    }
    if (t == 0) done = true;
  });
  done = true;
  for (Origin& origin : origins_) EXPECT_EQ(origin.loading, 0);
  EXPECT_GT(cluster_->GetStats().loads, 100u);
}

// A load that is about to be stored, and hangs in the log, when its key is taken away.
TEST_F(LoadConcurrencyTest, WhatIsBeingStoredIsTakenAwayToo) {
  for (const bool all : {false, true}) {
    Close();
    const auto hook = std::make_shared<TestHook>();
    absl::StatusOr<std::unique_ptr<Cluster>> cluster = OpenClusterWithHook(options_, path_, hook);
    ASSERT_THAT(cluster, IsOk());
    cluster_ = *std::move(cluster);
    absl::Notification storing, go_on, deleted;
    std::atomic<bool> first{true};
    hook->SetBefore([&](FileOp op, const std::string& path) {
      if (op == FileOp::kWrite && path.find("/log/") != std::string::npos &&
          first.exchange(false)) {
        storing.Notify();
        go_on.WaitForNotification();
      }
      return absl::OkStatus();
    });
    std::thread loads([&] {
      EXPECT_THAT(Load("{t}k", [](std::string_view) { return "old"; }), HoldsValue("old"));
    });
    storing.WaitForNotification();
    std::thread deletes([&] {
      EXPECT_THAT(all ? cluster_->DeleteAll() : cluster_->DeletePrefix("{t}"), IsOk());
      deleted.Notify();
    });
    // It cannot be done before the load is: this wait is to give it the chance.
    EXPECT_FALSE(deleted.WaitForNotificationWithTimeout(absl::Milliseconds(50)));
    go_on.Notify();
    loads.join();
    deletes.join();
    hook->Heal();
    EXPECT_THAT(cluster_->Get("{t}k"), IsMissing());
  }
}

TEST_F(LoadConcurrencyTest, EachKeyIsLoadedOnce) {
  constexpr int kKeys = 3000;
  std::vector<std::atomic<int>> loads(kKeys);
  OnThreads(kThreads, [&](int) {
    for (int i = 0; i < kKeys; ++i) {
      const auto load = [&](std::string_view) {
        ++loads[i];
        return absl::StrCat(i);
      };
      ASSERT_THAT(Load(absl::StrCat("k", i), load), HoldsValue(absl::StrCat(i)));
    }
  });
  for (int i = 0; i < kKeys; ++i) EXPECT_EQ(loads[i], 1) << i;
  EXPECT_EQ(cluster_->GetStats().loads, uint64_t{kKeys});
}

// A loader may load other keys, and those others.
TEST_F(LoadConcurrencyTest, LoadersMayLoadOtherKeys) {
  constexpr int kDepth = 6;
  std::array<std::atomic<int>, kDepth> loads = {};
  std::function<Loaded(std::string_view)> loader = [&](std::string_view key) -> Loaded {
    const int depth = key.back() - '0';
    ++loads[depth];
    if (depth == 0) return "bottom";
    Loaded below = Load(absl::StrCat("k", depth - 1), loader);
    return below.ok() ? Loaded(absl::StrCat(*below, " ", depth)) : below;
  };
  OnThreads(kThreads, [&](int t) {
    ASSERT_THAT(Load(absl::StrCat("k", kDepth - 1 - t % 3), loader), IsOk());
  });
  EXPECT_THAT(cluster_->Get("k5"), HoldsValue("bottom 1 2 3 4 5"));
  for (const std::atomic<int>& count : loads) EXPECT_EQ(count, 1);
}

// ---- Closing ----

TEST_F(LoadConcurrencyTest, CloseWaitsForALoaderAndEndsThoseWhoWait) {
  absl::Notification loading, go_on;
  Loaded leaders, waiters;
  std::thread leader([&] {
    leaders = Load("k", [&](std::string_view) {
      loading.Notify();
      go_on.WaitForNotification();
      return "loaded";
    });
  });
  loading.WaitForNotification();
  std::thread waiter(
      [&] { waiters = Load("k", [](std::string_view) { return "by the waiter"; }); });
  AwaitWaits(1);
  std::atomic<bool> closed{false};
  std::thread closer([&] {
    EXPECT_THAT(cluster_->Close(), IsOk());
    closed = true;
  });
  while (!absl::IsCancelled(cluster_->Get("x").status())) std::this_thread::yield();
  EXPECT_THAT(Load("other", [](std::string_view) { return "late"; }),
              HasCode(absl::StatusCode::kCancelled));
  EXPECT_FALSE(closed);
  go_on.Notify();
  leader.join();
  waiter.join();
  closer.join();
  // What the leader was told is so.
  ASSERT_THAT(leaders, HoldsValue("loaded"));
  EXPECT_TRUE(absl::IsCancelled(waiters.status()) || (waiters.ok() && *waiters == "loaded"))
      << waiters.status();
  Open();
  EXPECT_THAT(cluster_->Get("k"), HoldsValue("loaded"));
}

}  // namespace
}  // namespace slotkv
