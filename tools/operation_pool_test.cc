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
using ::testing::Pair;

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

Operation HashSet(std::string key, std::string name, uint64_t offset) {
  Operation operation;
  operation.kind = Operation::Kind::kHashSet;
  operation.key = std::move(key);
  operation.fields.push_back({std::move(name), absl::StrCat(offset)});
  operation.command = "HSET";
  operation.offset = offset;
  return operation;
}

TEST(OperationPoolTest, SetsFieldsOfOneHashTogether) {
  FailureLog failures;
  std::map<std::string, Store> hashes;
  std::vector<size_t> applied;
  OperationPool pool({[&](const Operation& operation) {
                       applied.push_back(operation.fields.size());
                       // As a whole or not at all, as the cluster does.
                       for (const HashField& field : operation.fields) {
                         if (field.name == "bad") return absl::FailedPreconditionError("");
                       }
                       for (const HashField& field : operation.fields) {
                         hashes[operation.key][field.name] = field.value;
                       }
                       return absl::OkStatus();
                     }},
                     &failures);
  // Fewer than are handed over at once.
  uint64_t offset = 0;
  for (const char* const name : {"a", "b", "a"}) pool.Submit(HashSet("h", name, offset++));
  pool.Submit(HashSet("g", "a", offset++));
  for (const char* const name : {"x", "bad", "y", "c"}) pool.Submit(HashSet("h", name, offset++));
  pool.Submit(Append("h", "", offset++));
  Operation if_absent = HashSet("h", "d", offset++);
  if_absent.condition = SetCondition::kIfAbsent;
  pool.Submit(if_absent);
  pool.Submit(HashSet("h", "e", offset++));
  pool.Drain();
  EXPECT_THAT(applied, ElementsAre(3, 1, 4, 2, 1, 1, 2, 0, 1, 1));
  EXPECT_THAT(hashes["h"],
              ElementsAre(Pair("a", "2"), Pair("b", "1"), Pair("c", "7"), Pair("d", "9"),
                          Pair("e", "10"), Pair("x", "4"), Pair("y", "6")));
  EXPECT_THAT(hashes["g"], ElementsAre(Pair("a", "3")));
  ASSERT_EQ(failures.count(), 1);
  EXPECT_EQ(failures.first()[0].offset, 5);
}

TEST(OperationPoolTest, StopsWhereAFieldSetTogetherWithOthersMeetsAnError) {
  FailureLog failures;
  OperationPool pool({[](const Operation& operation) {
                       return operation.fields.size() > 1 ? absl::UnavailableError("no room")
                                                          : absl::OkStatus();
                     }},
                     &failures);
  pool.Submit(HashSet("g", "a", 10));
  pool.Submit(HashSet("h", "a", 20));
  pool.Submit(HashSet("h", "b", 30));
  pool.Submit(HashSet("g", "b", 40));
  pool.Drain();
  EXPECT_TRUE(absl::IsUnavailable(pool.status()));
  EXPECT_EQ(pool.first_unapplied(), 20);
  EXPECT_EQ(pool.unapplied(), 3);
  EXPECT_EQ(failures.count(), 0);
}

TEST(OperationPoolTest, RunsAloneBetweenTheOthers) {
  FailureLog failures;
  std::vector<Store> stores(3);
  OperationPool pool(AppendTo(&stores), &failures);
  for (int key = 0; key < 30; ++key) pool.Submit(Append(absl::StrCat("key", key), "x", 0));
  pool.RunAlone(1, [&stores] {
    size_t keys = 0;
    for (Store& store : stores) {
      keys += store.size();
      store.clear();
    }
    EXPECT_EQ(keys, 30);
    return absl::OkStatus();
  });
  pool.Submit(Append("k", "y", 2));
  pool.RunAlone(3, [] { return absl::DataLossError("damage"); });
  EXPECT_TRUE(absl::IsDataLoss(pool.status()));
  EXPECT_EQ(pool.first_unapplied(), 3);
  pool.RunAlone(4, [] {
    ADD_FAILURE() << "the pool has stopped";
    return absl::OkStatus();
  });
  EXPECT_EQ(stores[0].size() + stores[1].size() + stores[2].size(), 1);
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
  EXPECT_EQ(pool.unapplied(), 19'000);
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
