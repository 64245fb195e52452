#include "tests/random_commands.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace slotkv {
namespace {

constexpr uint64_t kKeys = 3000;
constexpr int64_t kLongTtlMin = 20 * 60;  // seconds
constexpr int64_t kLongTtls = 1'000'000;
constexpr int64_t kShortTtlMs = 200;

constexpr const char* kExpireConditions[] = {"NX", "XX", "GT", "lt"};

// What the key of a number holds: by the number modulo 3.
constexpr uint64_t kString = 0;
constexpr uint64_t kEither = 1;
constexpr uint64_t kHash = 2;

using Command = std::vector<std::string>;

std::string KeyOf(uint64_t number) {
  switch (number % 4) {
    case 0:
      return absl::StrCat("{user:", number % 64, "}:", number);
    case 1: {
      // Its own bytes, the same each time.
      std::string key = absl::StrCat(number, "\r\n$");
      key.push_back('\0');
      key.push_back(static_cast<char>(number));
      key.push_back('\xff');
      return key;
    }
    default:
      return absl::StrCat("session:", number);
  }
}

}  // namespace

RandomCommands::RandomCommands(uint64_t seed, bool short_ttls)
    : generator_(seed), short_ttls_(short_ttls) {}

std::string RandomCommands::Bytes(size_t size) {
  std::string bytes;
  for (size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(Below(256)));
  return bytes;
}

std::string RandomCommands::Key() { return KeyOf(Below(kKeys)); }

std::string RandomCommands::StringKey() {
  return KeyOf(3 * Below(kKeys / 3) + (OneIn(2) ? kString : kEither));
}

std::string RandomCommands::HashKey() {
  return KeyOf(3 * Below(kKeys / 3) + (OneIn(2) ? kHash : kEither));
}

std::string RandomCommands::FieldName() {
  if (OneIn(20)) return "";
  if (OneIn(10)) return Bytes(1);
  return absl::StrCat("field:", Below(20));
}

std::string RandomCommands::Value() {
  if (OneIn(3)) return absl::StrCat(static_cast<int64_t>(generator_()) >> Below(64));
  if (OneIn(2000)) return Bytes(100'000 + Below(100'000));
  if (OneIn(20)) return "";
  return Bytes(1 + Below(120));
}

std::string RandomCommands::Integer() {
  if (OneIn(50)) return "9223372036854775807";
  return absl::StrCat(static_cast<int64_t>(Below(2001)) - 1000);
}

std::string RandomCommands::Time(bool milliseconds, bool absolute) {
  int64_t ms = 0;
  if (short_ttls_ && milliseconds && OneIn(4)) {
    ms = 1 + static_cast<int64_t>(Below(kShortTtlMs));
  } else if (short_ttls_ && absolute && OneIn(8)) {
    ms = -1000 - static_cast<int64_t>(Below(1'000'000));
  } else {
    ms = 1000 * (kLongTtlMin + static_cast<int64_t>(Below(kLongTtls)));
  }
  if (absolute) ms += absl::ToUnixMillis(absl::Now());
  return absl::StrCat(milliseconds ? ms : ms / 1000);
}

Command RandomCommands::Set() {
  Command set = {"SET", StringKey(), Value()};
  if (OneIn(4)) set.push_back(OneIn(2) ? "NX" : "xx");
  if (OneIn(8)) set.push_back("GET");
  const bool milliseconds = OneIn(2);
  const bool absolute = OneIn(2);
  switch (Below(5)) {
    case 0:
    case 1:
      set.push_back(milliseconds ? (absolute ? "PXAT" : "px") : (absolute ? "exat" : "EX"));
      set.push_back(Time(milliseconds, absolute));
      break;
    case 2:
      set.push_back("KEEPTTL");
      break;
    default:
      break;
  }
  // Refused.
  if (OneIn(100)) set.push_back(OneIn(2) ? "EX" : "what");
  return set;
}

Command RandomCommands::SetWithTtl() {
  const bool milliseconds = OneIn(2);
  return {milliseconds ? "PSETEX" : "SETEX", StringKey(), Time(milliseconds, false), Value()};
}

Command RandomCommands::Expire() {
  const bool milliseconds = OneIn(2);
  const bool absolute = OneIn(2);
  Command expire = {absl::StrCat(milliseconds ? "P" : "", "EXPIRE", absolute ? "AT" : ""), Key(),
                    OneIn(30) && !absolute ? "-1" : Time(milliseconds, absolute)};
  if (OneIn(3)) expire.push_back(kExpireConditions[Below(4)]);
  return expire;
}

Command RandomCommands::GetEx() {
  switch (Below(3)) {
    case 0:
      return {"GETEX", StringKey()};
    case 1:
      return {"GETEX", StringKey(), "PERSIST"};
    default:
      return {"GETEX", StringKey(), "PX", Time(true, false)};
  }
}

Command RandomCommands::Increment() {
  switch (Below(4)) {
    case 0:
      return {"INCR", StringKey()};
    case 1:
      return {"DECR", StringKey()};
    case 2:
      return {"DECRBY", StringKey(), Integer()};
    default:
      return {"INCRBY", StringKey(), Integer()};
  }
}

Command RandomCommands::SetRange() {
  int64_t position = static_cast<int64_t>(Below(200));
  // Refused.
  if (OneIn(50)) position = OneIn(2) ? -1 - position : (int64_t{512} << 20) + position;
  return {"SETRANGE", StringKey(), absl::StrCat(position), OneIn(8) ? "" : Bytes(1 + Below(40))};
}

Command RandomCommands::SetMany() {
  Command command = {OneIn(2) ? "MSET" : "MSETNX"};
  for (uint64_t keys = 1 + Below(5); keys > 0; --keys) {
    command.push_back(StringKey());
    command.push_back(Value());
  }
  return command;
}

Command RandomCommands::Delete() {
  Command command = {OneIn(2) ? "DEL" : "unlink"};
  for (uint64_t keys = 1 + Below(5); keys > 0; --keys) command.push_back(Key());
  return command;
}

Command RandomCommands::OneKey() {
  switch (Below(4)) {
    case 0:
      return {"PERSIST", Key()};
    case 1:
      return {"SETNX", StringKey(), Value()};
    case 2:
      return {"GETSET", StringKey(), Value()};
    default:
      return {"GETDEL", StringKey()};
  }
}

Command RandomCommands::HashSet() {
  if (OneIn(4)) return {"HSETNX", HashKey(), FieldName(), Value()};
  if (OneIn(3)) return {"hincrby", HashKey(), FieldName(), Integer()};
  Command command = {OneIn(2) ? "HSET" : "HMSET", HashKey()};
  for (uint64_t fields = 1 + Below(OneIn(50) ? 500 : 5); fields > 0; --fields) {
    command.push_back(FieldName());
    command.push_back(OneIn(3) ? Integer() : Value());
  }
  // Refused.
  if (OneIn(100)) command.pop_back();
  return command;
}

Command RandomCommands::HashDelete() {
  Command command = {"HDEL", HashKey()};
  for (uint64_t fields = 1 + Below(8); fields > 0; --fields) command.push_back(FieldName());
  return command;
}

Command RandomCommands::Read() {
  const uint64_t number = 3 * Below(kKeys / 3);
  switch (Below(4)) {
    case 0:
      return {"GET", KeyOf(number + kString)};
    case 1:
      return {"TTL", KeyOf(number + kEither)};
    case 2:
      return {"hget", KeyOf(number + kHash), FieldName()};
    default:
      return {"HGETALL", KeyOf(number + kHash)};
  }
}

Command RandomCommands::Next() {
  const uint64_t choice = Below(100);
  if (choice < 20) return Set();
  if (choice < 26) return SetWithTtl();
  if (choice < 40) return Expire();
  if (choice < 43) return GetEx();
  if (choice < 51) return Increment();
  if (choice < 56) return {"APPEND", StringKey(), OneIn(4) ? Integer() : Value()};
  if (choice < 60) return SetRange();
  if (choice < 63) return SetMany();
  if (choice < 66) return Delete();
  if (choice < 72) return OneKey();
  if (choice < 90) return HashSet();
  if (choice < 97) return HashDelete();
  return Read();
}

}  // namespace slotkv
