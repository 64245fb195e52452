#include "tools/loading_keyspace.h"

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/test_cluster.h"

namespace slotkv::tools {
namespace {

using ::testing::HasSubstr;
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
  absl::Status HashSet(std::string key, std::vector<HashField> fields, bool if_absent = false) {
    Operation set = Make(Kind::kHashSet, std::move(key));
    set.fields = std::move(fields);
    if (if_absent) set.condition = SetCondition::kIfAbsent;
    return keyspace_.Apply(set);
  }
  absl::Status HashDelete(std::string key, std::vector<HashField> names) {
    Operation remove = Make(Kind::kHashDelete, std::move(key));
    remove.fields = std::move(names);
    return keyspace_.Apply(remove);
  }
  absl::Status HashIncrement(std::string key, std::string name, int64_t delta) {
    Operation increment = Make(Kind::kHashIncrement, std::move(key));
    increment.fields = {{std::move(name), ""}};
    increment.delta = delta;
    return keyspace_.Apply(increment);
  }
  absl::Status SetRange(std::string key, uint64_t position, std::string bytes) {
    Operation set = Make(Kind::kSetRange, std::move(key), std::move(bytes));
    set.position = position;
    return keyspace_.Apply(set);
  }
  absl::Status NeedString(Kind kind, std::string key, std::string value = "") {
    Operation operation = Make(kind, std::move(key), std::move(value));
    operation.needs_string = true;
    return keyspace_.Apply(operation);
  }
  // "a=1 b=2", "(missing)" or "(error)".
  std::string Hash(std::string_view key) {
    absl::StatusOr<std::vector<HashField>> fields = cluster_->HashGetAll(key);
    if (!fields.ok()) return absl::IsNotFound(fields.status()) ? "(missing)" : "(error)";
    return absl::StrJoin(*fields, " ", [](std::string* out, const HashField& field) {
      absl::StrAppend(out, field.name, "=", field.value);
    });
  }

  absl::Status Increment(std::string key, int64_t delta) {
    Operation increment = Make(Kind::kIncrement, std::move(key));
    increment.delta = delta;
    return keyspace_.Apply(increment);
  }

  LoadingKeyspace keyspace_{cluster_.get(), now(), size_t{1} << 30};
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

TEST_F(LoadingKeyspaceTest, SetsRanges) {
  EXPECT_TRUE(SetRange("k", 2, "ab").ok());
  EXPECT_EQ(Get("k"), std::string("\0\0ab", 4));
  Set("k", "12345", absl::Seconds(10));
  EXPECT_TRUE(SetRange("k", 1, "xy").ok());
  EXPECT_EQ(Get("k"), "1xy45");
  EXPECT_EQ(Pttl("k"), 10'000);
  EXPECT_TRUE(SetRange("k", std::numeric_limits<int64_t>::max(), "").ok());
  EXPECT_EQ(Get("k"), "1xy45");
  EXPECT_TRUE(SetRange("missing", 3, "").ok());
  EXPECT_EQ(Get("missing"), "(missing)");
  for (const uint64_t position : {kMaxValueBytes, size_t{std::numeric_limits<int64_t>::max()}}) {
    EXPECT_TRUE(absl::IsInvalidArgument(SetRange("k", position, "x")));
    EXPECT_TRUE(absl::IsInvalidArgument(SetRange("missing", position, "x")));
  }
  EXPECT_EQ(Get("missing"), "(missing)");
}

TEST_F(LoadingKeyspaceTest, SetsRangesOfKeysWhoseTimeHasPassed) {
  Set("k", "12345", -absl::Hours(1));
  EXPECT_TRUE(SetRange("k", 1, "xy").ok());
  EXPECT_TRUE(SetRange("k", 6, "z").ok());
  EXPECT_TRUE(SetRange("k", 100, "").ok());
  EXPECT_TRUE(absl::IsInvalidArgument(SetRange("k", kMaxValueBytes, "x")));
  EXPECT_EQ(Get("k"), "(missing)");
  Expire("k", absl::Hours(1));
  EXPECT_EQ(Get("k"), std::string("1xy45\0z", 7));
}

TEST_F(LoadingKeyspaceTest, SetsFields) {
  EXPECT_TRUE(HashSet("h", {{"b", "2"}, {"a", "1"}, {"b", "3"}}).ok());
  EXPECT_EQ(Hash("h"), "a=1 b=3");
  EXPECT_EQ(Pttl("h"), -1);
  Expire("h", absl::Seconds(10));
  EXPECT_TRUE(HashSet("h", {{"a", ""}}).ok());
  EXPECT_TRUE(HashSet("h", {{"a", "not"}}, /*if_absent=*/true).ok());
  EXPECT_TRUE(HashSet("h", {{"c", "new"}}, /*if_absent=*/true).ok());
  EXPECT_EQ(Hash("h"), "a= b=3 c=new");
  EXPECT_EQ(Pttl("h"), 10'000);
  EXPECT_TRUE(HashDelete("h", {{"a", ""}, {"c", ""}, {"missing", ""}}).ok());
  EXPECT_EQ(Hash("h"), "b=3");
  EXPECT_TRUE(HashDelete("h", {{"b", ""}}).ok());
  EXPECT_TRUE(HashDelete("h", {{"b", ""}}).ok());
  EXPECT_EQ(Pttl("h"), -2);
  // The expiry went with the hash.
  EXPECT_TRUE(HashSet("h", {{"a", "1"}}, /*if_absent=*/true).ok());
  EXPECT_EQ(Pttl("h"), -1);
}

TEST_F(LoadingKeyspaceTest, IncrementsFields) {
  EXPECT_TRUE(HashIncrement("h", "n", 5).ok());
  EXPECT_TRUE(HashIncrement("h", "n", -7).ok());
  EXPECT_EQ(Hash("h"), "n=-2");
  EXPECT_TRUE(HashSet("h", {{"max", "9223372036854775807"}, {"text", "x"}, {"zero", "00"}}).ok());
  EXPECT_TRUE(absl::IsOutOfRange(HashIncrement("h", "max", 1)));
  EXPECT_EQ(HashIncrement("h", "text", 1).message(), "ERR hash value is not an integer");
  EXPECT_TRUE(absl::IsFailedPrecondition(HashIncrement("h", "zero", 1)));
  EXPECT_EQ(Hash("h"), "max=9223372036854775807 n=-2 text=x zero=00");
}

TEST_F(LoadingKeyspaceTest, FieldsOfKeysWhoseTimeHasPassed) {
  EXPECT_TRUE(HashSet("h", {{"a", "1"}, {"b", "2"}}).ok());
  Expire("h", -absl::Hours(1));
  EXPECT_EQ(Hash("h"), "(missing)");
  EXPECT_TRUE(HashSet("h", {{"a", "5"}, {"c", "3"}}).ok());
  EXPECT_TRUE(HashSet("h", {{"a", "not"}}, /*if_absent=*/true).ok());
  EXPECT_TRUE(HashSet("h", {{"d", "x"}}, /*if_absent=*/true).ok());
  EXPECT_TRUE(HashDelete("h", {{"b", ""}}).ok());
  EXPECT_TRUE(HashIncrement("h", "a", 2).ok());
  EXPECT_TRUE(HashIncrement("h", "n", -1).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(HashIncrement("h", "d", 1)));
  EXPECT_EQ(Hash("h"), "(missing)");
  Expire("h", absl::Hours(1));
  EXPECT_EQ(Hash("h"), "a=7 c=3 d=x n=-1");
  EXPECT_EQ(Pttl("h"), 3'600'000);

  // Without its last field the hash is gone, and its expiry with it.
  Expire("h", -absl::Hours(1));
  EXPECT_TRUE(HashDelete("h", {{"a", ""}, {"c", ""}, {"d", ""}, {"n", ""}}).ok());
  EXPECT_TRUE(HashSet("h", {{"new", "1"}}).ok());
  EXPECT_EQ(Hash("h"), "new=1");
  Expire("h", -absl::Hours(1));
  Apply(Make(Kind::kPersist, "h"));
  EXPECT_EQ(Hash("h"), "new=1");
  EXPECT_EQ(Pttl("h"), -1);
}

TEST_F(LoadingKeyspaceTest, RefusesValuesOfAnotherType) {
  for (const bool passed : {false, true}) {
    const std::string hash = absl::StrCat("hash", passed);
    const std::string string = absl::StrCat("string", passed);
    EXPECT_TRUE(HashSet(hash, {{"f", "1"}}).ok());
    Set(string, "1");
    if (passed) {
      Expire(hash, -absl::Hours(1));
      Expire(string, -absl::Hours(1));
    }
    EXPECT_TRUE(absl::IsFailedPrecondition(Increment(hash, 1)));
    EXPECT_TRUE(absl::IsFailedPrecondition(keyspace_.Apply(Make(Kind::kAppend, hash, "x"))));
    for (const uint64_t position : {size_t{0}, kMaxValueBytes}) {
      for (const char* const bytes : {"", "x"}) {
        EXPECT_TRUE(absl::IsFailedPrecondition(SetRange(hash, position, bytes)));
      }
    }
    for (const Kind kind : {Kind::kSet, Kind::kDelete, Kind::kPersist, Kind::kRead}) {
      EXPECT_TRUE(absl::IsFailedPrecondition(NeedString(kind, hash)));
    }
    EXPECT_TRUE(NeedString(Kind::kRead, string).ok());
    EXPECT_TRUE(NeedString(Kind::kRead, "missing").ok());
    EXPECT_TRUE(absl::IsFailedPrecondition(HashSet(string, {{"f", "2"}})));
    EXPECT_TRUE(absl::IsFailedPrecondition(HashSet(string, {{"f", "2"}}, /*if_absent=*/true)));
    EXPECT_TRUE(absl::IsFailedPrecondition(HashDelete(string, {{"f", ""}})));
    EXPECT_TRUE(absl::IsFailedPrecondition(HashIncrement(string, "f", 1)));
    Apply(Make(Kind::kPersist, hash));
    Apply(Make(Kind::kPersist, string));
    EXPECT_EQ(Hash(hash), "f=1");
    EXPECT_EQ(Get(string), "1");

    // What takes both.
    if (passed) Expire(hash, -absl::Hours(1));
    Set(hash, "x", absl::InfiniteDuration(), SetCondition::kIfAbsent);
    Set(hash, "y", absl::InfiniteDuration(), SetCondition::kIfPresent);
    EXPECT_EQ(Get(hash), "y");
    EXPECT_TRUE(HashSet("h", {{"f", "1"}}).ok());
    Expire("h", passed ? -absl::Hours(1) : absl::Hours(1));
    Set("h", "z", absl::InfiniteDuration(), SetCondition::kAlways, /*keep_ttl=*/true);
    EXPECT_EQ(Get("h"), passed ? "(missing)" : "z");
    Apply(Make(Kind::kDelete, "h"));
  }
}

TEST_F(LoadingKeyspaceTest, RefusesHashesThatAreTooLarge) {
  const std::string half(kMaxHashBytes / 2 - 100, 'x');
  for (const bool passed : {false, true}) {
    const std::string key = absl::StrCat("h", passed);
    EXPECT_TRUE(HashSet(key, {{"a", half}}).ok());
    if (passed) Expire(key, -absl::Hours(1));
    EXPECT_TRUE(HashSet(key, {{"b", half}}).ok());
    const absl::Status refused =
        HashSet(key, {{"b", "2"}, {"c", half}, {"d", std::string(300, 'x')}});
    EXPECT_TRUE(absl::IsInvalidArgument(refused)) << refused;
    EXPECT_THAT(std::string(refused.message()), HasSubstr("more than 16777216"));
    EXPECT_TRUE(absl::IsInvalidArgument(HashSet(key, {{"c", half}}, /*if_absent=*/true)));
    // The last value of a name counts.
    EXPECT_TRUE(HashSet(key, {{"b", half}, {"c", half}, {"c", "3"}, {"b", "2"}}).ok());
    Apply(Make(Kind::kPersist, key));
    EXPECT_EQ(*cluster_->HashGet(key, "a"), half);
    EXPECT_EQ(*cluster_->HashGet(key, "b"), "2");
    EXPECT_EQ(*cluster_->HashGet(key, "c"), "3");
  }
  EXPECT_TRUE(absl::IsInvalidArgument(HashSet("new", {{"a", half}, {"b", half}, {"c", half}})));
  EXPECT_EQ(Hash("new"), "(missing)");
}

// The second of each is refused by what is kept of the first.
TEST_F(LoadingKeyspaceTest, KnowsWhatAFullHashHolds) {
  const std::string half(kMaxHashBytes / 2 - 100, 'x');
  const std::vector<HashField> two = {{"b", half}, {"c", half}};
  EXPECT_TRUE(HashSet("h", {{"a", half}}).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(HashSet("h", two)));
  EXPECT_TRUE(absl::IsInvalidArgument(HashSet("h", two)));
  EXPECT_TRUE(HashSet("h", {{"b", half}, {"n", "1"}}).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(HashSet("h", {{"c", std::string(200, 'x')}})));
  EXPECT_TRUE(HashIncrement("h", "n", 99).ok());
  EXPECT_TRUE(HashDelete("h", {{"a", ""}}).ok());
  EXPECT_TRUE(HashSet("h", {{"c", half}}).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(HashSet("h", {{"d", half}})));
  Apply(Make(Kind::kDelete, "h"));
  EXPECT_TRUE(HashSet("h", two).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(HashSet("h", {{"d", half}})));
  EXPECT_TRUE(cluster_->DeleteAll().ok());
  keyspace_.Clear();
  EXPECT_TRUE(HashSet("h", {{"d", half}, {"e", "1"}}).ok());
  EXPECT_EQ(cluster_->HashGetAll("h")->size(), 2);
}

TEST_F(LoadingKeyspaceTest, ForgetsKeysWhoseTimeHasPassed) {
  Set("k", "v", -absl::Hours(1));
  keyspace_.Clear();
  Expire("k", absl::Hours(1));
  EXPECT_EQ(Get("k"), "(missing)");
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
