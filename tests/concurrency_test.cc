// Many threads on the same keys: every call is as if alone.
#include <algorithm>
#include <atomic>
#include <functional>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

constexpr int kThreads = 8;

class ConcurrencyTest : public ClusterFixture {
 protected:
  void SetUp() override { Open(); }

  // Runs `body(thread)` on each thread, all of which start together.
  static void OnThreads(const std::function<void(int)>& body) {
    std::atomic<int> waiting{kThreads};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t] {
        --waiting;
        while (waiting > 0) std::this_thread::yield();
        body(t);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  int64_t Number(const std::string& key) {
    const absl::StatusOr<std::string> text = cluster_->Get(key);
    EXPECT_THAT(text, IsOk());
    int64_t number = -1;
    EXPECT_TRUE(text.ok() && absl::SimpleAtoi(*text, &number));
    return number;
  }
};

TEST_F(ConcurrencyTest, EveryIncrementCountsOnce) {
  constexpr int kEach = 1000;
  std::vector<std::vector<int64_t>> sums(kThreads);
  OnThreads([&](int t) {
    for (int i = 0; i < kEach; ++i) {
      const absl::StatusOr<int64_t> sum = cluster_->Increment("shared", 1);
      ASSERT_THAT(sum, IsOk());
      sums[t].push_back(*sum);
      ASSERT_THAT(cluster_->Increment(absl::StrCat("of ", (t + i) % 3), t), IsOk());
    }
  });
  std::vector<int64_t> all;
  for (const std::vector<int64_t>& some : sums) {
    EXPECT_TRUE(std::is_sorted(some.begin(), some.end()));
    all.insert(all.end(), some.begin(), some.end());
  }
  std::sort(all.begin(), all.end());
  std::vector<int64_t> expected(kThreads * kEach);
  std::iota(expected.begin(), expected.end(), 1);
  EXPECT_EQ(all, expected);
  for (int round = 0; round < 2; ++round) {
    EXPECT_EQ(Number("shared"), kThreads * kEach);
    EXPECT_EQ(Number("of 0") + Number("of 1") + Number("of 2"),
              kEach * kThreads * (kThreads - 1) / 2);
    Open();
  }
}

TEST_F(ConcurrencyTest, OneWinnerForEachNewKey) {
  constexpr int kKeys = 300;
  std::vector<std::atomic<int>> winner(kKeys), winners(kKeys);
  OnThreads([&](int t) {
    SetOptions options;
    options.condition = SetCondition::kIfAbsent;
    for (int i = 0; i < kKeys; ++i) {
      const absl::Status status = cluster_->Set(absl::StrCat(i), absl::StrCat(t), options);
      if (status.ok()) {
        winner[i] = t;
        ++winners[i];
      } else {
        ASSERT_THAT(status, HasCode(absl::StatusCode::kFailedPrecondition));
      }
    }
  });
  for (int i = 0; i < kKeys; ++i) {
    EXPECT_EQ(winners[i], 1);
    EXPECT_THAT(cluster_->Get(absl::StrCat(i)), HoldsValue(absl::StrCat(winner[i].load())));
  }
}

TEST_F(ConcurrencyTest, OneDeleterForEachKey) {
  constexpr int kKeys = 300;
  for (int i = 0; i < kKeys; ++i) ASSERT_THAT(cluster_->Set(absl::StrCat(i), "v"), IsOk());
  std::vector<std::atomic<int>> deleted(kKeys);
  OnThreads([&](int) {
    for (int i = 0; i < kKeys; ++i) {
      const absl::StatusOr<bool> existed = cluster_->Delete(absl::StrCat(i));
      ASSERT_THAT(existed, IsOk());
      deleted[i] += *existed ? 1 : 0;
    }
  });
  for (const std::atomic<int>& count : deleted) EXPECT_EQ(count, 1);
}

TEST_F(ConcurrencyTest, CompareAndSetLosesNothing) {
  constexpr int kEach = 100;
  ASSERT_THAT(cluster_->Set("n", "0"), IsOk());
  OnThreads([&](int) {
    for (int done = 0; done < kEach;) {
      const absl::StatusOr<std::string> seen = cluster_->Get("n");
      ASSERT_THAT(seen, IsOk());
      int64_t number = 0;
      ASSERT_TRUE(absl::SimpleAtoi(*seen, &number));
      const absl::Status status = cluster_->CompareAndSet("n", *seen, absl::StrCat(number + 1));
      if (status.ok()) {
        ++done;
      } else {
        ASSERT_THAT(status, HasCode(absl::StatusCode::kFailedPrecondition));
      }
    }
  });
  EXPECT_EQ(Number("n"), kThreads * kEach);
}

TEST_F(ConcurrencyTest, AppendsDoNotMix) {
  constexpr int kEach = 100;
  OnThreads([&](int t) {
    for (int i = 0; i < kEach; ++i) {
      ASSERT_THAT(cluster_->Append("a", absl::StrCat("<", t, ">")), IsOk());
    }
  });
  const absl::StatusOr<std::string> value = cluster_->Get("a");
  ASSERT_THAT(value, IsOk());
  ASSERT_EQ(value->size(), 3u * kThreads * kEach);
  std::vector<int> counts(kThreads);
  for (size_t i = 0; i < value->size(); i += 3) {
    ASSERT_EQ((*value)[i], '<');
    ASSERT_EQ((*value)[i + 2], '>');
    ++counts.at(static_cast<size_t>((*value)[i + 1] - '0'));
  }
  EXPECT_EQ(counts, std::vector<int>(kThreads, kEach));
}

// A reader sees what was acknowledged before it asked, and never goes back.
TEST_F(ConcurrencyTest, ReadersSeeTimeGoForward) {
  constexpr int kWrites = 5000;
  ASSERT_THAT(cluster_->Set("n", "0"), IsOk());
  std::atomic<int64_t> acknowledged{0};
  OnThreads([&](int t) {
    if (t == 0) {
      for (int i = 1; i <= kWrites; ++i) {
        ASSERT_THAT(cluster_->Set("n", absl::StrCat(i)), IsOk());
        acknowledged = i;
      }
      return;
    }
    for (int64_t last = 0; last < kWrites;) {
      const int64_t floor = std::max(last, acknowledged.load());
      last = Number("n");
      ASSERT_GE(last, floor);
    }
  });
}

// A key that is deleted and made again is never seen half-way.
TEST_F(ConcurrencyTest, ReadersSeeWholeValues) {
  const std::string large(5000, 'x'), small = "y";
  std::atomic<bool> done{false};
  OnThreads([&](int t) {
    if (t == 0) {
      for (int i = 0; i < 1500; ++i) {
        ASSERT_THAT(cluster_->Set("k", i % 2 == 0 ? large : small), IsOk());
        if (i % 7 == 0) {
          ASSERT_THAT(cluster_->Delete("k"), HoldsValue(true));
        }
      }
      done = true;
      return;
    }
    std::string value;
    while (!done) {
      const absl::Status status = cluster_->Get("k", &value);
      ASSERT_TRUE(absl::IsNotFound(status) || (status.ok() && (value == large || value == small)))
          << status;
    }
  });
}

}  // namespace
}  // namespace slotkv
