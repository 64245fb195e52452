#include "tools/redis_command.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "slotkv/cluster.h"
#include "tools/resp_reader.h"

namespace slotkv::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Kind = Operation::Kind;

const absl::Time kNow = absl::FromUnixMillis(1'700'000'000'000);

absl::StatusOr<std::vector<Operation>> TranslateLine(const std::string& line) {
  std::vector<std::string> arguments = *SplitArguments(line);
  const RedisCommand* const command = FindRedisCommand(arguments[0]);
  if (command == nullptr) return absl::NotFoundError(line);
  absl::Status arity = CheckArity(*command, arguments.size());
  if (!arity.ok()) return arity;
  return Translate(*command, std::move(arguments), kNow);
}

// The one operation of a command that has one.
Operation TranslateOne(const std::string& line) {
  absl::StatusOr<std::vector<Operation>> operations = TranslateLine(line);
  EXPECT_TRUE(operations.ok()) << line << ": " << operations.status();
  if (!operations.ok() || operations->size() != 1) {
    ADD_FAILURE() << line;
    return Operation();
  }
  return operations->front();
}

std::string ErrorOf(const std::string& line) {
  return std::string(TranslateLine(line).status().message());
}

TEST(FindRedisCommandTest, KnowsNamesInAnyCase) {
  EXPECT_STREQ(FindRedisCommand("SeT")->name, "SET");
  EXPECT_STREQ(FindRedisCommand("watch")->name, "WATCH");
  EXPECT_STREQ(FindRedisCommand("append")->name, "APPEND");
  for (const char* const name : {"", "SE", "SETT", "LPUSH", "A", "ZADD"}) {
    EXPECT_EQ(FindRedisCommand(name), nullptr) << name;
  }
  EXPECT_EQ(FindRedisCommand(std::string(100'000, 'x')), nullptr);
}

TEST(TranslateTest, Set) {
  Operation set = TranslateOne("set k v");
  EXPECT_EQ(set.kind, Kind::kSet);
  EXPECT_EQ(set.key, "k");
  EXPECT_EQ(set.value, "v");
  EXPECT_EQ(set.deadline, absl::InfiniteFuture());
  EXPECT_EQ(set.condition, SetCondition::kAlways);
  EXPECT_STREQ(set.command, "SET");
  EXPECT_FALSE(set.keep_ttl);
  EXPECT_EQ(TranslateOne("SET k v nx").condition, SetCondition::kIfAbsent);
  EXPECT_EQ(TranslateOne("SET k v GET XX").condition, SetCondition::kIfPresent);
  EXPECT_TRUE(TranslateOne("SET k v KEEPTTL").keep_ttl);
  EXPECT_EQ(TranslateOne("SET k v ex 10").deadline, kNow + absl::Seconds(10));
  EXPECT_EQ(TranslateOne("SET k v PX 10").deadline, kNow + absl::Milliseconds(10));
  EXPECT_EQ(TranslateOne("SET k v EXAT 10").deadline, absl::FromUnixSeconds(10));
  EXPECT_EQ(TranslateOne("SET k v PXAT 10").deadline, absl::FromUnixMillis(10));
  set = TranslateOne("SET k v XX PXAT 1800000000000 GET");
  EXPECT_EQ(set.deadline, absl::FromUnixMillis(1'800'000'000'000));
  EXPECT_EQ(set.condition, SetCondition::kIfPresent);
}

TEST(TranslateTest, SetTakesRepeatedWords) {
  EXPECT_EQ(TranslateOne("SET k v NX NX").condition, SetCondition::kIfAbsent);
  EXPECT_TRUE(TranslateOne("SET k v KEEPTTL KEEPTTL").keep_ttl);
  EXPECT_EQ(TranslateOne("SET k v EX 1 EX 2").deadline, kNow + absl::Seconds(2));
}

TEST(TranslateTest, SetRefusesWhatRedisRefuses) {
  for (const char* const line :
       {"SET k v NX XX", "SET k v XX NX", "SET k v EX", "SET k v EX 1 PX 1", "SET k v EX 1 KEEPTTL",
        "SET k v KEEPTTL EX 1", "SET k v FOO", "SET k v w", "SET k v EX 1 EXAT 1"}) {
    EXPECT_EQ(ErrorOf(line), "ERR syntax error") << line;
  }
  for (const char* const line : {"SET k v EX x", "SET k v EX 1.5", "SET k v PX 01"}) {
    EXPECT_EQ(ErrorOf(line), "ERR value is not an integer or out of range") << line;
  }
  for (const char* const line :
       {"SET k v EX 0", "SET k v PX -1", "SET k v EXAT 0", "SET k v EX 9223372036854775807",
        "SET k v PX 9223372036854775807"}) {
    EXPECT_EQ(ErrorOf(line), "ERR invalid expire time in 'set' command") << line;
  }
  EXPECT_EQ(ErrorOf("SET k"), "ERR wrong number of arguments for 'set' command");
}

TEST(TranslateTest, RelativesOfSet) {
  EXPECT_EQ(TranslateOne("SETNX k v").condition, SetCondition::kIfAbsent);
  EXPECT_EQ(TranslateOne("GETSET k v").condition, SetCondition::kAlways);
  const Operation setex = TranslateOne("SETEX k 10 v");
  EXPECT_EQ(setex.value, "v");
  EXPECT_EQ(setex.deadline, kNow + absl::Seconds(10));
  EXPECT_EQ(TranslateOne("psetex k 10 v").deadline, kNow + absl::Milliseconds(10));
  EXPECT_EQ(ErrorOf("SETEX k 0 v"), "ERR invalid expire time in 'setex' command");
  EXPECT_EQ(ErrorOf("PSETEX k v"), "ERR wrong number of arguments for 'psetex' command");
}

TEST(TranslateTest, ManyKeys) {
  const std::vector<Operation> sets = *TranslateLine("MSET a 1 b 2 a 3");
  ASSERT_EQ(sets.size(), 3);
  EXPECT_EQ(sets[1].key, "b");
  EXPECT_EQ(sets[2].value, "3");
  EXPECT_EQ(ErrorOf("MSET a 1 b"), "ERR wrong number of arguments for 'mset' command");
  EXPECT_EQ(ErrorOf("MSETNX a 1 b"), "ERR wrong number of arguments for 'msetnx' command");
  const std::vector<Operation> deletes = *TranslateLine("DEL a b");
  ASSERT_EQ(deletes.size(), 2);
  EXPECT_EQ(deletes[1].kind, Kind::kDelete);
  EXPECT_EQ(deletes[1].key, "b");
  EXPECT_EQ(TranslateOne("UNLINK a").kind, Kind::kDelete);
  EXPECT_EQ(TranslateOne("GETDEL a").kind, Kind::kDelete);
}

TEST(TranslateTest, Expire) {
  EXPECT_EQ(TranslateOne("EXPIRE k 10").kind, Kind::kExpire);
  EXPECT_EQ(TranslateOne("EXPIRE k 10").deadline, kNow + absl::Seconds(10));
  EXPECT_EQ(TranslateOne("PEXPIRE k 10").deadline, kNow + absl::Milliseconds(10));
  EXPECT_EQ(TranslateOne("EXPIREAT k 10").deadline, absl::FromUnixSeconds(10));
  EXPECT_EQ(TranslateOne("PEXPIREAT k -10").deadline, absl::FromUnixMillis(-10));
  EXPECT_EQ(TranslateOne("EXPIRE k 0").deadline, absl::InfinitePast());
  EXPECT_EQ(TranslateOne("PEXPIRE k -9223372036854775808").deadline, absl::InfinitePast());
  EXPECT_TRUE(TranslateOne("EXPIRE k 1 nx").expire_conditions.if_none);
  const ExpireConditions both = TranslateOne("EXPIRE k 1 XX GT").expire_conditions;
  EXPECT_TRUE(both.if_some && both.if_later && !both.if_none && !both.if_earlier);
  EXPECT_TRUE(TranslateOne("EXPIRE k 1 LT").expire_conditions.if_earlier);
  EXPECT_EQ(ErrorOf("EXPIRE k 1 NX GT"),
            "ERR NX and XX, GT or LT options at the same time are not compatible");
  EXPECT_EQ(ErrorOf("EXPIRE k 1 GT LT"),
            "ERR GT and LT options at the same time are not compatible");
  EXPECT_EQ(ErrorOf("EXPIRE k 1 FOO"), "ERR Unsupported option FOO");
  EXPECT_EQ(ErrorOf("EXPIRE k 9223372036854775807"), "ERR invalid expire time in 'expire' command");
  EXPECT_EQ(TranslateOne("PERSIST k").kind, Kind::kPersist);
}

TEST(TranslateTest, GetEx) {
  EXPECT_EQ(TranslateOne("GETEX k").kind, Kind::kRead);
  EXPECT_EQ(TranslateOne("GETEX k PERSIST").kind, Kind::kPersist);
  EXPECT_EQ(TranslateOne("GETEX k PXAT 10").deadline, absl::FromUnixMillis(10));
  EXPECT_EQ(ErrorOf("GETEX k EX 0"), "ERR invalid expire time in 'getex' command");
  EXPECT_EQ(ErrorOf("GETEX k EX"), "ERR syntax error");
  EXPECT_EQ(ErrorOf("GETEX k EX 1 PERSIST"), "ERR syntax error");
}

TEST(TranslateTest, IncrementAndAppend) {
  EXPECT_EQ(TranslateOne("INCR k").delta, 1);
  EXPECT_EQ(TranslateOne("DECR k").delta, -1);
  EXPECT_EQ(TranslateOne("INCRBY k -7").delta, -7);
  EXPECT_EQ(TranslateOne("DECRBY k -7").delta, 7);
  EXPECT_EQ(TranslateOne("INCRBY k -9223372036854775808").delta,
            std::numeric_limits<int64_t>::min());
  EXPECT_EQ(ErrorOf("DECRBY k -9223372036854775808"), "ERR decrement would overflow");
  EXPECT_EQ(ErrorOf("INCRBY k 1.5"), "ERR value is not an integer or out of range");
  EXPECT_EQ(TranslateOne("APPEND k v").kind, Kind::kAppend);
  EXPECT_EQ(TranslateOne("APPEND k v").value, "v");
}

TEST(TranslateTest, SetRange) {
  const Operation set = TranslateOne("SETRANGE k 7 v");
  EXPECT_EQ(set.kind, Kind::kSetRange);
  EXPECT_EQ(set.position, 7);
  EXPECT_EQ(set.value, "v");
  EXPECT_EQ(TranslateOne("setrange k 0 \"\"").value, "");
  EXPECT_EQ(ErrorOf("SETRANGE k -1 v"), "ERR offset is out of range");
  EXPECT_EQ(ErrorOf("SETRANGE k x v"), "ERR value is not an integer or out of range");
  EXPECT_EQ(ErrorOf("SETRANGE k 9223372036854775808 v"),
            "ERR value is not an integer or out of range");
  EXPECT_EQ(ErrorOf("SETRANGE k 1"), "ERR wrong number of arguments for 'setrange' command");
}

TEST(TranslateTest, Hashes) {
  const Operation set = TranslateOne("HSET k f v g w");
  EXPECT_EQ(set.kind, Kind::kHashSet);
  EXPECT_EQ(set.key, "k");
  EXPECT_THAT(set.fields, ElementsAre(HashField{"f", "v"}, HashField{"g", "w"}));
  EXPECT_EQ(set.condition, SetCondition::kAlways);
  EXPECT_EQ(TranslateOne("hmset k f v").kind, Kind::kHashSet);
  EXPECT_EQ(TranslateOne("HSETNX k f v").condition, SetCondition::kIfAbsent);
  const Operation remove = TranslateOne("HDEL k f g");
  EXPECT_EQ(remove.kind, Kind::kHashDelete);
  EXPECT_THAT(remove.fields, ElementsAre(HashField{"f", ""}, HashField{"g", ""}));
  const Operation increment = TranslateOne("HINCRBY k f -9223372036854775808");
  EXPECT_EQ(increment.kind, Kind::kHashIncrement);
  EXPECT_EQ(increment.fields[0].name, "f");
  EXPECT_EQ(increment.delta, std::numeric_limits<int64_t>::min());
  EXPECT_EQ(ErrorOf("HSET k f"), "ERR wrong number of arguments for 'hset' command");
  EXPECT_EQ(ErrorOf("HSET k f v g"), "ERR wrong number of arguments for 'hset' command");
  EXPECT_EQ(ErrorOf("HMSET k f v g"), "ERR wrong number of arguments for 'hmset' command");
  EXPECT_EQ(ErrorOf("HSETNX k f v g w"), "ERR wrong number of arguments for 'hsetnx' command");
  EXPECT_EQ(ErrorOf("HDEL k"), "ERR wrong number of arguments for 'hdel' command");
  EXPECT_EQ(ErrorOf("HINCRBY k f 1.5"), "ERR value is not an integer or out of range");
}

TEST(TranslateTest, CommandsThatLookAtAStringNeedOne) {
  for (const char* const line :
       {"GETSET k v", "GETDEL k", "GETEX k", "GETEX k PERSIST", "GETEX k EX 1", "SET k v NX GET"}) {
    EXPECT_TRUE(TranslateOne(line).needs_string) << line;
  }
  for (const char* const line : {"SET k v", "SETNX k v", "DEL k", "PERSIST k", "EXPIRE k 1"}) {
    EXPECT_FALSE(TranslateOne(line).needs_string) << line;
  }
}

TEST(TranslateTest, Flush) {
  for (const char* const line : {"FLUSHALL", "flushdb", "FLUSHALL async", "FLUSHDB SYNC"}) {
    EXPECT_TRUE(TranslateLine(line).ok()) << line;
  }
  for (const char* const line : {"FLUSHALL now", "FLUSHDB 0", "FLUSHALL ASYNC SYNC"}) {
    EXPECT_EQ(ErrorOf(line), "ERR syntax error") << line;
  }
}

TEST(TranslateTest, RefusesWhatSlotkvCannotHold) {
  const std::string longest(kMaxKeyBytes, 'k');
  EXPECT_TRUE(TranslateLine("DEL " + longest).ok());
  EXPECT_THAT(ErrorOf("DEL a " + longest + "k"), HasSubstr("65537 bytes"));
  EXPECT_THAT(ErrorOf("MSET a 1 " + longest + "k 2"), HasSubstr("65537 bytes"));
}

}  // namespace
}  // namespace slotkv::tools
