#include "tools/operation_pool.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace slotkv::tools {
namespace {

using ::testing::ElementsAre;

Operation Append(std::string key, std::string value, uint64_t offset) {
  Operation operation;
  operation.kind = Operation::Kind::kAppend;
  operation.key = std::move(key);
  operation.value = std::move(value);
  operation.command = "APPEND";
  operation.offset = offset;
  return operation;
}

// Each worker's own map; a key is always with the same worker.
using Store = std::map<std::string, std::string>;

std::vector<OperationPool::Apply> AppendTo(std::vector<Store>* stores) {
  std::vector<OperationPool::Apply> workers;
  for (Store& store : *stores) {
    workers.push_back([&store](const Operation& operation) {
      store[operation.key] += operation.value;
      return absl::OkStatus();
    });
  }
  return workers;
}

TEST(OperationPoolTest, KeepsTheOrderOfEachKey) {
  constexpr int kKeys = 100;
  constexpr int kRounds = 300;
  std::vector<Store> stores(4);
  FailureLog failures;
  {
    OperationPool pool(AppendTo(&stores), &failures);
    for (int round = 0; round < kRounds; ++round) {
      for (int key = 0; key < kKeys; ++key) {
        pool.Submit(Append(absl::StrCat("key", key), absl::StrCat(round, ","), 0));
      }
    }
  }
  std::string expected;
  for (int round = 0; round < kRounds; ++round) absl::StrAppend(&expected, round, ",");
  size_t keys = 0;
  for (const Store& store : stores) {
    EXPECT_FALSE(store.empty());
    for (const auto& [key, value] : store) EXPECT_EQ(value, expected) << key;
    keys += store.size();
  }
  EXPECT_EQ(keys, kKeys);
}

TEST(OperationPoolTest, DrainWaitsForEverything) {
  std::vector<Store> stores(3);
  FailureLog failures;
  OperationPool pool(AppendTo(&stores), &failures);
  for (int round = 1; round <= 50; ++round) {
    for (int key = 0; key < 30; ++key) pool.Submit(Append(absl::StrCat("key", key), "x", 0));
    pool.Drain();
    size_t bytes = 0;
    for (const Store& store : stores) {
      for (const auto& [key, value] : store) bytes += value.size();
    }
    ASSERT_EQ(bytes, 30 * round);
  }
}

TEST(OperationPoolTest, TakesValuesLargerThanAQueue) {
  std::vector<Store> stores(2);
  FailureLog failures;
  const std::string large(size_t{20} << 20, 'x');
  {
    OperationPool pool(AppendTo(&stores), &failures);
    for (int i = 0; i < 4; ++i) pool.Submit(Append("large", large, i));
  }
  EXPECT_EQ(stores[0]["large"].size() + stores[1]["large"].size(), 4 * large.size());
}

TEST(OperationPoolTest, CollectsFailuresAndGoesOn) {
  FailureLog failures;
  {
    OperationPool pool({[](const Operation& operation) {
                         return operation.offset % 2 == 0 ? absl::OkStatus()
                                                          : absl::OutOfRangeError("overflow");
                       }},
                       &failures);
    for (int i = 0; i < 100; ++i) pool.Submit(Append("k", "", i));
    pool.Drain();
    EXPECT_TRUE(pool.status().ok());
  }
  EXPECT_EQ(failures.count(), 50);
  ASSERT_EQ(failures.first().size(), FailureLog::kKept);
  EXPECT_EQ(failures.first()[0].offset, 1);
  EXPECT_EQ(failures.first()[9].offset, 19);
  EXPECT_EQ(failures.first()[0].message, "overflow");
  EXPECT_EQ(failures.first()[0].command, "APPEND");
}

TEST(OperationPoolTest, StopsAtOtherErrors) {
  FailureLog failures;
  int applied = 0;
  OperationPool pool({[&applied](const Operation& operation) {
                       if (operation.offset == 1000)
                         return absl::ResourceExhaustedError("disk full");
                       ++applied;
                       return absl::OkStatus();
                     }},
                     &failures);
  for (int i = 0; i < 20'000; ++i) pool.Submit(Append("k", "", i));
  pool.Drain();
  EXPECT_TRUE(absl::IsResourceExhausted(pool.status()));
  EXPECT_EQ(pool.first_unapplied(), 1000);
  EXPECT_EQ(applied, 1000);
  EXPECT_EQ(failures.count(), 0);
}

TEST(FailureLogTest, KeepsTheFirstByOffset) {
  FailureLog failures;
  for (int offset = 100; offset > 0; --offset) {
    failures.Add({static_cast<uint64_t>(offset), "SET", "text"});
  }
  std::vector<uint64_t> offsets;
  for (const CommandFailure& failure : failures.first()) offsets.push_back(failure.offset);
  EXPECT_THAT(offsets, ElementsAre(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  EXPECT_EQ(failures.count(), 100);
}

}  // namespace
}  // namespace slotkv::tools
