#include "tools/loading_keyspace.h"

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tools/test_cluster.h"

namespace slotkv::tools {
namespace {

using Kind = Operation::Kind;

class LoadingKeyspaceTest : public LoadingClusterTest {
 protected:
  Operation Make(Kind kind, std::string key, std::string value = "") {
    Operation operation;
    operation.kind = kind;
    operation.key = std::move(key);
    operation.value = std::move(value);
    return operation;
  }
  void Apply(const Operation& operation) {
    const absl::Status applied = keyspace_.Apply(operation);
    EXPECT_TRUE(applied.ok()) << applied;
  }

  // `from_now` negative: in the past.
  void Set(std::string key, std::string value, absl::Duration from_now = absl::InfiniteDuration(),
           SetCondition condition = SetCondition::kAlways, bool keep_ttl = false) {
    Operation set = Make(Kind::kSet, std::move(key), std::move(value));
    set.deadline = now() + from_now;
    set.condition = condition;
    set.keep_ttl = keep_ttl;
    Apply(set);
  }
  void Expire(std::string key, absl::Duration from_now, ExpireConditions conditions = {}) {
    Operation expire = Make(Kind::kExpire, std::move(key));
    expire.deadline = now() + from_now;
    expire.expire_conditions = conditions;
    Apply(expire);
  }
  absl::Status Increment(std::string key, int64_t delta) {
    Operation increment = Make(Kind::kIncrement, std::move(key));
    increment.delta = delta;
    return keyspace_.Apply(increment);
  }

  LoadingKeyspace keyspace_{cluster_.get(), now(), size_t{1} << 20};
};

TEST_F(LoadingKeyspaceTest, SetsAndDeletes) {
  Set("k", "v");
  EXPECT_EQ(Get("k"), "v");
  EXPECT_EQ(Pttl("k"), -1);
  Set("k", "w", absl::Seconds(10));
  EXPECT_EQ(Pttl("k"), 10'000);
  Set("k", "x", absl::InfiniteDuration(), SetCondition::kAlways, /*keep_ttl=*/true);
  EXPECT_EQ(Get("k"), "x");
  EXPECT_EQ(Pttl("k"), 10'000);
  Set("k", "y");
  EXPECT_EQ(Pttl("k"), -1);
  Set("k", "z", absl::InfiniteDuration(), SetCondition::kIfAbsent);
  EXPECT_EQ(Get("k"), "y");
  Set("other", "z", absl::InfiniteDuration(), SetCondition::kIfPresent);
  EXPECT_EQ(Get("other"), "(missing)");
  Apply(Make(Kind::kDelete, "k"));
  Apply(Make(Kind::kDelete, "k"));
  EXPECT_EQ(Get("k"), "(missing)");
}

TEST_F(LoadingKeyspaceTest, IncrementsAndAppends) {
  EXPECT_TRUE(Increment("n", 5).ok());
  EXPECT_TRUE(Increment("n", -7).ok());
  EXPECT_EQ(Get("n"), "-2");
  Apply(Make(Kind::kAppend, "n", "x"));
  EXPECT_EQ(Get("n"), "-2x");
  EXPECT_TRUE(absl::IsFailedPrecondition(Increment("n", 1)));
  Set("max", "9223372036854775807");
  EXPECT_TRUE(absl::IsOutOfRange(Increment("max", 1)));
  Apply(Make(Kind::kAppend, "empty", ""));
  EXPECT_EQ(Get("empty"), "");
}

TEST_F(LoadingKeyspaceTest, ExpireConditions) {
  const ExpireConditions nx{true, false, false, false};
  const ExpireConditions xx{false, true, false, false};
  const ExpireConditions gt{false, false, true, false};
  const ExpireConditions lt{false, false, false, true};
  Expire("missing", absl::Seconds(10));
  EXPECT_EQ(Pttl("missing"), -2);
  Set("k", "v");
  Expire("k", absl::Seconds(10), xx);
  EXPECT_EQ(Pttl("k"), -1);
  Expire("k", absl::Seconds(10), gt);
  EXPECT_EQ(Pttl("k"), -1);
  Expire("k", absl::Seconds(10), nx);
  EXPECT_EQ(Pttl("k"), 10'000);
  Expire("k", absl::Seconds(20), nx);
  EXPECT_EQ(Pttl("k"), 10'000);
  Expire("k", absl::Seconds(20), lt);
  EXPECT_EQ(Pttl("k"), 10'000);
  Expire("k", absl::Seconds(10), gt);
  Expire("k", absl::Seconds(20), gt);
  EXPECT_EQ(Pttl("k"), 20'000);
  Expire("k", absl::Seconds(5), lt);
  EXPECT_EQ(Pttl("k"), 5'000);
  Apply(Make(Kind::kPersist, "k"));
  EXPECT_EQ(Pttl("k"), -1);
  Expire("k", absl::Seconds(30), lt);
  EXPECT_EQ(Pttl("k"), 30'000);
}

TEST_F(LoadingKeyspaceTest, KeysWhoseTimeHasPassedAreNotInTheCluster) {
  Set("k", "old");
  Set("k", "v", -absl::Seconds(1));
  EXPECT_EQ(Get("k"), "(missing)");
  Set("now", "v", absl::ZeroDuration());
  EXPECT_EQ(Get("now"), "(missing)");
  Set("expired", "v");
  Expire("expired", -absl::Seconds(1));
  EXPECT_EQ(Get("expired"), "(missing)");
}

TEST_F(LoadingKeyspaceTest, ALaterExpiryRevivesAKey) {
  Set("session", "alice", -absl::Hours(1));
  Expire("session", absl::Hours(1));
  EXPECT_EQ(Get("session"), "alice");
  EXPECT_EQ(Pttl("session"), 3'600'000);

  Set("persisted", "v", -absl::Hours(1));
  Apply(Make(Kind::kPersist, "persisted"));
  EXPECT_EQ(Get("persisted"), "v");
  EXPECT_EQ(Pttl("persisted"), -1);

  Set("twice", "v");
  Expire("twice", -absl::Hours(2));
  Expire("twice", -absl::Hours(1));
  Apply(Make(Kind::kAppend, "twice", "w"));
  Expire("twice", absl::Hours(1));
  EXPECT_EQ(Get("twice"), "vw");
}

TEST_F(LoadingKeyspaceTest, ChangesDoNotReviveAKey) {
  Set("n", "7", -absl::Hours(1));
  EXPECT_TRUE(Increment("n", 5).ok());
  Apply(Make(Kind::kAppend, "n", "0"));
  Set("n", "8", absl::InfiniteDuration(), SetCondition::kAlways, /*keep_ttl=*/true);
  EXPECT_TRUE(Increment("n", 1).ok());
  EXPECT_EQ(Get("n"), "(missing)");
  Expire("n", absl::Seconds(1));
  EXPECT_EQ(Get("n"), "9");

  Set("text", "x", -absl::Hours(1));
  EXPECT_TRUE(absl::IsFailedPrecondition(Increment("text", 1)));
  Set("max", "9223372036854775807", -absl::Hours(1));
  EXPECT_TRUE(absl::IsOutOfRange(Increment("max", 1)));
}

TEST_F(LoadingKeyspaceTest, AKeyWhoseTimeHasPassedExistsForConditions) {
  Set("k", "v", -absl::Hours(1));
  Set("k", "w", absl::InfiniteDuration(), SetCondition::kIfAbsent);
  EXPECT_EQ(Get("k"), "(missing)");
  EXPECT_TRUE(absl::IsFailedPrecondition(keyspace_.Apply(Make(Kind::kRequireAbsent, "k"))));
  Set("k", "x", absl::InfiniteDuration(), SetCondition::kIfPresent);
  EXPECT_EQ(Get("k"), "x");

  Set("xx", "v", -absl::Hours(1), SetCondition::kIfPresent);
  Expire("xx", absl::Hours(1));
  EXPECT_EQ(Get("xx"), "(missing)");
  Set("xx", "v");
  Set("xx", "w", -absl::Hours(1), SetCondition::kIfPresent);
  EXPECT_EQ(Get("xx"), "(missing)");

  Set("nx", "v");
  Set("nx", "w", -absl::Hours(1), SetCondition::kIfAbsent);
  EXPECT_EQ(Get("nx"), "v");
  Expire("k", -absl::Hours(1));
  Apply(Make(Kind::kDelete, "k"));
  Set("k", "y", absl::InfiniteDuration(), SetCondition::kIfAbsent);
  EXPECT_EQ(Get("k"), "y");
  EXPECT_TRUE(absl::IsFailedPrecondition(keyspace_.Apply(Make(Kind::kRequireAbsent, "k"))));
  Apply(Make(Kind::kRequireAbsent, "absent"));
}

TEST_F(LoadingKeyspaceTest, ATtlThatIsNotPositiveDeletes) {
  Operation expire = Make(Kind::kExpire, "k");
  expire.deadline = absl::InfinitePast();
  Set("k", "v");
  Apply(expire);
  Apply(Make(Kind::kAppend, "k", "w"));
  EXPECT_EQ(Get("k"), "w");
  Set("k", "v", -absl::Hours(1));
  Apply(expire);
  Apply(Make(Kind::kAppend, "k", "w"));
  EXPECT_EQ(Get("k"), "w");
}

TEST_F(LoadingKeyspaceTest, KeepsTheLatestExpiryThereIs) {
  Operation set = Make(Kind::kSet, "k", "v");
  set.deadline = absl::FromUnixMillis(std::numeric_limits<int64_t>::max());
  Apply(set);
  EXPECT_EQ(Get("k"), "v");
  EXPECT_EQ(Pttl("k"), std::numeric_limits<int64_t>::max() - absl::ToUnixMillis(now()));
}

TEST_F(LoadingKeyspaceTest, GivesUpTheLongestUnusedForWantOfMemory) {
  LoadingKeyspace small(cluster_.get(), now(), 1000);
  Operation set = Make(Kind::kSet, "", std::string(100, 'v'));
  set.deadline = now() - absl::Hours(1);
  for (int i = 0; i < 4; ++i) {
    set.key = absl::StrCat("k", i);
    EXPECT_TRUE(small.Apply(set).ok());
    // k0 stays in use.
    EXPECT_TRUE(small.Apply(Make(Kind::kAppend, "k0", "")).ok());
  }
  EXPECT_EQ(small.expired_given_up(), 1);
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(small.Apply(Make(Kind::kPersist, absl::StrCat("k", i))).ok());
  }
  EXPECT_NE(Get("k0"), "(missing)");
  EXPECT_EQ(Get("k1"), "(missing)");
  EXPECT_NE(Get("k2"), "(missing)");
  set.value.assign(2000, 'v');
  EXPECT_TRUE(small.Apply(set).ok());
  EXPECT_EQ(small.expired_given_up(), 2);
}

}  // namespace
}  // namespace slotkv::tools
