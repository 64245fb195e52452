#include "tools/redis_command.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "slotkv/cluster.h"
#include "tools/resp_reader.h"
#include "tools/text.h"

namespace slotkv::tools {
namespace {

using Arguments = std::vector<std::string>;
using Operations = std::vector<Operation>;
using Kind = Operation::Kind;

absl::Status SyntaxError() { return absl::InvalidArgumentError("ERR syntax error"); }
absl::Status NotAnInteger() {
  return absl::InvalidArgumentError("ERR value is not an integer or out of range");
}
absl::Status WrongArity(const RedisCommand& command) {
  return absl::InvalidArgumentError(
      absl::StrCat("ERR wrong number of arguments for '",
                   absl::AsciiStrToLower(absl::string_view(command.name)), "' command"));
}

bool IsWord(const std::string& argument, const char* word) {
  return absl::EqualsIgnoreCase(argument, word);
}

Operation MakeOperation(const RedisCommand& command, Kind kind, std::string key) {
  Operation operation;
  operation.kind = kind;
  operation.key = std::move(key);
  operation.command = command.name;
  return operation;
}

Operations One(Operation operation) {
  Operations operations;
  operations.push_back(std::move(operation));
  return operations;
}

// ---- Times ----

struct TimeUnit {
  bool milliseconds = false;
  bool absolute = false;

  friend bool operator==(TimeUnit a, TimeUnit b) {
    return a.milliseconds == b.milliseconds && a.absolute == b.absolute;
  }
};

// The words EX, PX, EXAT and PXAT. False if `word` is none of them.
bool ParseTimeUnit(const std::string& word, TimeUnit* unit) {
  unit->milliseconds = IsWord(word, "PX") || IsWord(word, "PXAT");
  unit->absolute = IsWord(word, "EXAT") || IsWord(word, "PXAT");
  return unit->milliseconds || unit->absolute || IsWord(word, "EX");
}

// `positive`: Redis refuses 0 and less for SET, and takes it as the past for EXPIRE.
absl::StatusOr<absl::Time> ParseDeadline(const RedisCommand& command, const std::string& text,
                                         TimeUnit unit, bool positive, absl::Time now) {
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
  int64_t number = 0;
  if (!ParseRedisInteger(text, &number)) return NotAnInteger();
  const absl::Status invalid = absl::InvalidArgumentError(
      absl::StrCat("ERR invalid expire time in '",
                   absl::AsciiStrToLower(absl::string_view(command.name)), "' command"));
  if (positive && number <= 0) return invalid;
  if (!unit.milliseconds) {
    if (number > kMax / 1000 || number < kMin / 1000) return invalid;
    number *= 1000;
  }
  if (!unit.absolute) {
    const int64_t now_ms = absl::ToUnixMillis(now);
    if (number > kMax - now_ms) return invalid;
    number += now_ms;
  }
  return absl::FromUnixMillis(number);
}

// ---- Commands ----

// SET key value [NX | XX] [GET] [EX n | PX n | EXAT n | PXAT n | KEEPTTL]
absl::StatusOr<Operations> TranslateSet(const RedisCommand& command, Arguments arguments,
                                        absl::Time now) {
  Operation set = MakeOperation(command, Kind::kSet, std::move(arguments[1]));
  set.value = std::move(arguments[2]);
  const std::string* number = nullptr;
  TimeUnit unit;
  // Redis lets a word be repeated, but not contradicted.
  for (size_t i = 3; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    TimeUnit word_unit;
    if (IsWord(word, "GET")) {
      set.needs_string = true;
      continue;
    }
    if (IsWord(word, "NX") && set.condition != SetCondition::kIfPresent) {
      set.condition = SetCondition::kIfAbsent;
    } else if (IsWord(word, "XX") && set.condition != SetCondition::kIfAbsent) {
      set.condition = SetCondition::kIfPresent;
    } else if (IsWord(word, "KEEPTTL") && number == nullptr) {
      set.keep_ttl = true;
    } else if (ParseTimeUnit(word, &word_unit) && !set.keep_ttl && i + 1 < arguments.size() &&
               (number == nullptr || word_unit == unit)) {
      unit = word_unit;
      number = &arguments[++i];
    } else {
      return SyntaxError();
    }
  }
  if (number != nullptr) {
    absl::StatusOr<absl::Time> deadline =
        ParseDeadline(command, *number, unit, /*positive=*/true, now);
    if (!deadline.ok()) return deadline.status();
    set.deadline = *deadline;
  }
  return One(std::move(set));
}

// SETNX key value, GETSET key value
absl::StatusOr<Operations> TranslateSetPlain(const RedisCommand& command, Arguments arguments,
                                             absl::Time) {
  Operation set = MakeOperation(command, Kind::kSet, std::move(arguments[1]));
  set.value = std::move(arguments[2]);
  if (absl::string_view(command.name) == "SETNX") {
    set.condition = SetCondition::kIfAbsent;
  } else {
    set.needs_string = true;
  }
  return One(std::move(set));
}

// SETEX key seconds value, PSETEX key milliseconds value
absl::StatusOr<Operations> TranslateSetEx(const RedisCommand& command, Arguments arguments,
                                          absl::Time now) {
  TimeUnit unit;
  unit.milliseconds = absl::string_view(command.name) == "PSETEX";
  absl::StatusOr<absl::Time> deadline =
      ParseDeadline(command, arguments[2], unit, /*positive=*/true, now);
  if (!deadline.ok()) return deadline.status();
  Operation set = MakeOperation(command, Kind::kSet, std::move(arguments[1]));
  set.value = std::move(arguments[3]);
  set.deadline = *deadline;
  return One(std::move(set));
}

// MSET key value [key value ...], MSETNX
absl::StatusOr<Operations> TranslateMset(const RedisCommand& command, Arguments arguments,
                                         absl::Time) {
  if (arguments.size() % 2 == 0) return WrongArity(command);
  Operations operations;
  operations.reserve(arguments.size() / 2);
  for (size_t i = 1; i < arguments.size(); i += 2) {
    operations.push_back(MakeOperation(command, Kind::kSet, std::move(arguments[i])));
    operations.back().value = std::move(arguments[i + 1]);
  }
  return operations;
}

// DEL key [key ...], UNLINK, GETDEL
absl::StatusOr<Operations> TranslateDelete(const RedisCommand& command, Arguments arguments,
                                           absl::Time) {
  Operations operations;
  operations.reserve(arguments.size() - 1);
  for (size_t i = 1; i < arguments.size(); ++i) {
    operations.push_back(MakeOperation(command, Kind::kDelete, std::move(arguments[i])));
    operations.back().needs_string = absl::string_view(command.name) == "GETDEL";
  }
  return operations;
}

absl::StatusOr<ExpireConditions> ParseExpireConditions(const Arguments& arguments) {
  ExpireConditions conditions;
  for (size_t i = 3; i < arguments.size(); ++i) {
    if (IsWord(arguments[i], "NX")) {
      conditions.if_none = true;
    } else if (IsWord(arguments[i], "XX")) {
      conditions.if_some = true;
    } else if (IsWord(arguments[i], "GT")) {
      conditions.if_later = true;
    } else if (IsWord(arguments[i], "LT")) {
      conditions.if_earlier = true;
    } else {
      return absl::InvalidArgumentError(absl::StrCat("ERR Unsupported option ", arguments[i]));
    }
  }
  if (conditions.if_none && (conditions.if_some || conditions.if_later || conditions.if_earlier)) {
    return absl::InvalidArgumentError(
        "ERR NX and XX, GT or LT options at the same time are not compatible");
  }
  if (conditions.if_later && conditions.if_earlier) {
    return absl::InvalidArgumentError("ERR GT and LT options at the same time are not compatible");
  }
  return conditions;
}

// EXPIRE key time [NX | XX] [GT | LT], PEXPIRE, EXPIREAT, PEXPIREAT
absl::StatusOr<Operations> TranslateExpire(const RedisCommand& command, Arguments arguments,
                                           absl::Time now) {
  const absl::string_view name = command.name;
  TimeUnit unit;
  unit.milliseconds = absl::StartsWith(name, "P");
  unit.absolute = absl::EndsWith(name, "AT");
  absl::StatusOr<ExpireConditions> conditions = ParseExpireConditions(arguments);
  if (!conditions.ok()) return conditions.status();
  absl::StatusOr<absl::Time> deadline =
      ParseDeadline(command, arguments[2], unit, /*positive=*/false, now);
  if (!deadline.ok()) return deadline.status();
  Operation expire = MakeOperation(command, Kind::kExpire, std::move(arguments[1]));
  // A time that was over when the command was given deletes; a point in time may have been ahead
  // when it was written down.
  const bool deletes = !unit.absolute && *deadline <= now;
  expire.deadline = deletes ? absl::InfinitePast() : *deadline;
  expire.expire_conditions = *conditions;
  return One(std::move(expire));
}

// PERSIST key
absl::StatusOr<Operations> TranslatePersist(const RedisCommand& command, Arguments arguments,
                                            absl::Time) {
  return One(MakeOperation(command, Kind::kPersist, std::move(arguments[1])));
}

// GETEX key [EX n | PX n | EXAT n | PXAT n | PERSIST]
absl::StatusOr<Operations> TranslateGetEx(const RedisCommand& command, Arguments arguments,
                                          absl::Time now) {
  TimeUnit unit;
  if (arguments.size() == 2 || (arguments.size() == 3 && IsWord(arguments[2], "PERSIST"))) {
    const Kind kind = arguments.size() == 2 ? Kind::kRead : Kind::kPersist;
    Operation operation = MakeOperation(command, kind, std::move(arguments[1]));
    operation.needs_string = true;
    return One(std::move(operation));
  }
  if (arguments.size() != 4 || !ParseTimeUnit(arguments[2], &unit)) return SyntaxError();
  absl::StatusOr<absl::Time> deadline =
      ParseDeadline(command, arguments[3], unit, /*positive=*/true, now);
  if (!deadline.ok()) return deadline.status();
  Operation expire = MakeOperation(command, Kind::kExpire, std::move(arguments[1]));
  expire.deadline = *deadline;
  expire.needs_string = true;
  return One(std::move(expire));
}

// INCR key, DECR key, INCRBY key delta, DECRBY key delta
absl::StatusOr<Operations> TranslateIncrement(const RedisCommand& command, Arguments arguments,
                                              absl::Time) {
  int64_t delta = 1;
  if (arguments.size() > 2 && !ParseRedisInteger(arguments[2], &delta)) return NotAnInteger();
  if (absl::StartsWith(absl::string_view(command.name), "DECR")) {
    if (delta == std::numeric_limits<int64_t>::min()) {
      return absl::InvalidArgumentError("ERR decrement would overflow");
    }
    delta = -delta;
  }
  Operation increment = MakeOperation(command, Kind::kIncrement, std::move(arguments[1]));
  increment.delta = delta;
  return One(std::move(increment));
}

// APPEND key value
absl::StatusOr<Operations> TranslateAppend(const RedisCommand& command, Arguments arguments,
                                           absl::Time) {
  Operation append = MakeOperation(command, Kind::kAppend, std::move(arguments[1]));
  append.value = std::move(arguments[2]);
  return One(std::move(append));
}

// SETRANGE key offset value
absl::StatusOr<Operations> TranslateSetRange(const RedisCommand& command, Arguments arguments,
                                             absl::Time) {
  int64_t offset = 0;
  if (!ParseRedisInteger(arguments[2], &offset)) return NotAnInteger();
  if (offset < 0) return absl::InvalidArgumentError("ERR offset is out of range");
  Operation set = MakeOperation(command, Kind::kSetRange, std::move(arguments[1]));
  set.position = static_cast<uint64_t>(offset);
  set.value = std::move(arguments[3]);
  return One(std::move(set));
}

// HSET key field value [field value ...], HMSET, HSETNX key field value
absl::StatusOr<Operations> TranslateHashSet(const RedisCommand& command, Arguments arguments,
                                            absl::Time) {
  if (arguments.size() % 2 == 1) return WrongArity(command);
  Operation set = MakeOperation(command, Kind::kHashSet, std::move(arguments[1]));
  set.fields.reserve(arguments.size() / 2 - 1);
  for (size_t i = 2; i < arguments.size(); i += 2) {
    set.fields.push_back({std::move(arguments[i]), std::move(arguments[i + 1])});
  }
  if (absl::string_view(command.name) == "HSETNX") set.condition = SetCondition::kIfAbsent;
  return One(std::move(set));
}

// HDEL key field [field ...]
absl::StatusOr<Operations> TranslateHashDelete(const RedisCommand& command, Arguments arguments,
                                               absl::Time) {
  Operation remove = MakeOperation(command, Kind::kHashDelete, std::move(arguments[1]));
  remove.fields.reserve(arguments.size() - 2);
  for (size_t i = 2; i < arguments.size(); ++i) {
    remove.fields.push_back({std::move(arguments[i]), std::string()});
  }
  return One(std::move(remove));
}

// HINCRBY key field delta
absl::StatusOr<Operations> TranslateHashIncrement(const RedisCommand& command, Arguments arguments,
                                                  absl::Time) {
  int64_t delta = 0;
  if (!ParseRedisInteger(arguments[3], &delta)) return NotAnInteger();
  Operation increment = MakeOperation(command, Kind::kHashIncrement, std::move(arguments[1]));
  increment.fields.push_back({std::move(arguments[2]), std::string()});
  increment.delta = delta;
  return One(std::move(increment));
}

// FLUSHALL [ASYNC | SYNC], FLUSHDB
absl::StatusOr<Operations> TranslateFlush(const RedisCommand&, Arguments arguments, absl::Time) {
  const bool takes =
      arguments.size() == 1 ||
      (arguments.size() == 2 && (IsWord(arguments[1], "ASYNC") || IsWord(arguments[1], "SYNC")));
  if (!takes) return SyntaxError();
  return Operations();
}

using CommandKind = RedisCommand::Kind;

// Ascending by name.
constexpr RedisCommand kCommands[] = {
    {"APPEND", CommandKind::kData, 3, TranslateAppend},
    {"AUTH", CommandKind::kNoEffect, -2, nullptr},
    {"DECR", CommandKind::kData, 2, TranslateIncrement},
    {"DECRBY", CommandKind::kData, 3, TranslateIncrement},
    {"DEL", CommandKind::kData, -2, TranslateDelete},
    {"DISCARD", CommandKind::kDiscard, 1, nullptr},
    {"ECHO", CommandKind::kNoEffect, 2, nullptr},
    {"EXEC", CommandKind::kExec, 1, nullptr},
    {"EXISTS", CommandKind::kNoEffect, -2, nullptr},
    {"EXPIRE", CommandKind::kData, -3, TranslateExpire},
    {"EXPIREAT", CommandKind::kData, -3, TranslateExpire},
    {"FLUSHALL", CommandKind::kFlushAll, -1, TranslateFlush},
    {"FLUSHDB", CommandKind::kFlushDb, -1, TranslateFlush},
    {"GET", CommandKind::kNoEffect, 2, nullptr},
    {"GETDEL", CommandKind::kData, 2, TranslateDelete},
    {"GETEX", CommandKind::kData, -2, TranslateGetEx},
    {"GETRANGE", CommandKind::kNoEffect, 4, nullptr},
    {"GETSET", CommandKind::kData, 3, TranslateSetPlain},
    {"HDEL", CommandKind::kData, -3, TranslateHashDelete},
    {"HELLO", CommandKind::kNoEffect, -1, nullptr},
    {"HEXISTS", CommandKind::kNoEffect, 3, nullptr},
    {"HGET", CommandKind::kNoEffect, 3, nullptr},
    {"HGETALL", CommandKind::kNoEffect, 2, nullptr},
    {"HINCRBY", CommandKind::kData, 4, TranslateHashIncrement},
    {"HKEYS", CommandKind::kNoEffect, 2, nullptr},
    {"HLEN", CommandKind::kNoEffect, 2, nullptr},
    {"HMGET", CommandKind::kNoEffect, -3, nullptr},
    {"HMSET", CommandKind::kData, -4, TranslateHashSet},
    {"HSET", CommandKind::kData, -4, TranslateHashSet},
    {"HSETNX", CommandKind::kData, 4, TranslateHashSet},
    {"HSTRLEN", CommandKind::kNoEffect, 3, nullptr},
    {"HVALS", CommandKind::kNoEffect, 2, nullptr},
    {"INCR", CommandKind::kData, 2, TranslateIncrement},
    {"INCRBY", CommandKind::kData, 3, TranslateIncrement},
    {"MGET", CommandKind::kNoEffect, -2, nullptr},
    {"MSET", CommandKind::kData, -3, TranslateMset},
    {"MSETNX", CommandKind::kMsetnx, -3, TranslateMset},
    {"MULTI", CommandKind::kMulti, 1, nullptr},
    {"PERSIST", CommandKind::kData, 2, TranslatePersist},
    {"PEXPIRE", CommandKind::kData, -3, TranslateExpire},
    {"PEXPIREAT", CommandKind::kData, -3, TranslateExpire},
    {"PING", CommandKind::kNoEffect, -1, nullptr},
    {"PSETEX", CommandKind::kData, 4, TranslateSetEx},
    {"PTTL", CommandKind::kNoEffect, 2, nullptr},
    {"QUIT", CommandKind::kNoEffect, -1, nullptr},
    {"SELECT", CommandKind::kSelect, 2, nullptr},
    {"SET", CommandKind::kData, -3, TranslateSet},
    {"SETEX", CommandKind::kData, 4, TranslateSetEx},
    {"SETNX", CommandKind::kData, 3, TranslateSetPlain},
    {"SETRANGE", CommandKind::kData, 4, TranslateSetRange},
    {"STRLEN", CommandKind::kNoEffect, 2, nullptr},
    {"TTL", CommandKind::kNoEffect, 2, nullptr},
    {"UNLINK", CommandKind::kData, -2, TranslateDelete},
    {"UNWATCH", CommandKind::kNoEffect, 1, nullptr},
    {"WATCH", CommandKind::kNoEffect, -2, nullptr},
};

constexpr size_t kNameBytesMax = 16;  // longer than any name above

absl::Status CheckSizes(const Operations& operations) {
  for (const Operation& operation : operations) {
    if (operation.key.size() > kMaxKeyBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("the key has ", operation.key.size(), " bytes, more than ", kMaxKeyBytes));
    }
    if (operation.value.size() > kMaxValueBytes) {
      return absl::InvalidArgumentError(absl::StrCat("the value has ", operation.value.size(),
                                                     " bytes, more than ", kMaxValueBytes));
    }
  }
  return absl::OkStatus();
}

}  // namespace

const RedisCommand* FindRedisCommand(std::string_view name) {
  if (name.size() > kNameBytesMax) return nullptr;
  const std::string upper = absl::AsciiStrToUpper(ToAbsl(name));
  const RedisCommand* const found = std::lower_bound(
      std::begin(kCommands), std::end(kCommands), upper,
      [](const RedisCommand& command, const std::string& sought) { return command.name < sought; });
  return found != std::end(kCommands) && found->name == upper ? found : nullptr;
}

absl::Status CheckArity(const RedisCommand& command, size_t arguments) {
  const bool right = command.arity >= 0 ? arguments == static_cast<size_t>(command.arity)
                                        : arguments >= static_cast<size_t>(-command.arity);
  return right ? absl::OkStatus() : WrongArity(command);
}

absl::StatusOr<std::vector<Operation>> Translate(const RedisCommand& command,
                                                 std::vector<std::string> arguments,
                                                 absl::Time now) {
  absl::StatusOr<Operations> operations = command.translator(command, std::move(arguments), now);
  if (!operations.ok()) return operations;
  absl::Status sizes = CheckSizes(*operations);
  if (!sizes.ok()) return sizes;
  return operations;
}

}  // namespace slotkv::tools
