// What a Redis command does to one key.
#ifndef SLOTKV_TOOLS_OPERATION_H_
#define SLOTKV_TOOLS_OPERATION_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "slotkv/options.h"

namespace slotkv::tools {

// The options of EXPIRE: all that are set must hold.
struct ExpireConditions {
  bool if_none = false;     // NX: the key has no expiry
  bool if_some = false;     // XX: the key has one
  bool if_later = false;    // GT: the new one is later; no expiry is later than any
  bool if_earlier = false;  // LT: the new one is earlier
};

struct Operation {
  enum class Kind {
    kSet,            // key, value, deadline, keep_ttl, condition
    kDelete,         // key
    kExpire,         // key, deadline, expire_conditions
    kPersist,        // key
    kIncrement,      // key, delta
    kAppend,         // key, value
    kRequireAbsent,  // key; changes nothing, FailedPrecondition if it exists
  };

  Kind kind = Kind::kSet;
  std::string key;
  std::string value;
  // When the key expires; it may have passed. InfiniteFuture: never. InfinitePast, for kExpire
  // alone: the key is deleted.
  absl::Time deadline = absl::InfiniteFuture();
  bool keep_ttl = false;
  SetCondition condition = SetCondition::kAlways;
  ExpireConditions expire_conditions;
  int64_t delta = 0;

  // Where the command comes from, for messages: its name, which lives as long as the program, and
  // the byte of the stream at which it begins.
  const char* command = "";
  uint64_t offset = 0;
};

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_OPERATION_H_
