#include "tests/string_commands.h"

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
// The first two take values.
constexpr const char* kManyKeyCommands[] = {"MSET", "MSETNX", "DEL", "unlink"};

using Command = std::vector<std::string>;

}  // namespace

StringCommands::StringCommands(uint64_t seed, bool short_ttls)
    : generator_(seed), short_ttls_(short_ttls) {}

std::string StringCommands::Bytes(size_t size) {
  std::string bytes;
  for (size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(Below(256)));
  return bytes;
}

std::string StringCommands::Key() {
  const uint64_t number = Below(kKeys);
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

std::string StringCommands::Value() {
  if (OneIn(3)) return absl::StrCat(static_cast<int64_t>(generator_()) >> Below(64));
  if (OneIn(2000)) return Bytes(100'000 + Below(100'000));
  if (OneIn(20)) return "";
  return Bytes(1 + Below(120));
}

std::string StringCommands::Integer() {
  if (OneIn(50)) return "9223372036854775807";
  return absl::StrCat(static_cast<int64_t>(Below(2001)) - 1000);
}

std::string StringCommands::Time(bool milliseconds, bool absolute) {
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

Command StringCommands::Set() {
  Command set = {"SET", Key(), Value()};
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

Command StringCommands::SetWithTtl() {
  const bool milliseconds = OneIn(2);
  return {milliseconds ? "PSETEX" : "SETEX", Key(), Time(milliseconds, false), Value()};
}

Command StringCommands::Expire() {
  const bool milliseconds = OneIn(2);
  const bool absolute = OneIn(2);
  Command expire = {absl::StrCat(milliseconds ? "P" : "", "EXPIRE", absolute ? "AT" : ""), Key(),
                    OneIn(30) && !absolute ? "-1" : Time(milliseconds, absolute)};
  if (OneIn(3)) expire.push_back(kExpireConditions[Below(4)]);
  return expire;
}

Command StringCommands::GetEx() {
  switch (Below(3)) {
    case 0:
      return {"GETEX", Key()};
    case 1:
      return {"GETEX", Key(), "PERSIST"};
    default:
      return {"GETEX", Key(), "PX", Time(true, false)};
  }
}

Command StringCommands::Increment() {
  switch (Below(4)) {
    case 0:
      return {"INCR", Key()};
    case 1:
      return {"DECR", Key()};
    case 2:
      return {"DECRBY", Key(), Integer()};
    default:
      return {"INCRBY", Key(), Integer()};
  }
}

Command StringCommands::ManyKeys() {
  const uint64_t kind = Below(4);
  Command command = {kManyKeyCommands[kind]};
  for (uint64_t keys = 1 + Below(5); keys > 0; --keys) {
    command.push_back(Key());
    if (kind < 2) command.push_back(Value());
  }
  return command;
}

Command StringCommands::OneKey() {
  switch (Below(5)) {
    case 0:
      return {"PERSIST", Key()};
    case 1:
      return {"SETNX", Key(), Value()};
    case 2:
      return {"GETSET", Key(), Value()};
    case 3:
      return {"GETDEL", Key()};
    default:
      return {"GET", Key()};
  }
}

Command StringCommands::Next() {
  const uint64_t choice = Below(100);
  if (choice < 30) return Set();
  if (choice < 38) return SetWithTtl();
  if (choice < 56) return Expire();
  if (choice < 60) return GetEx();
  if (choice < 74) return Increment();
  if (choice < 82) return {"APPEND", Key(), OneIn(4) ? Integer() : Value()};
  if (choice < 90) return ManyKeys();
  return OneKey();
}

}  // namespace slotkv
