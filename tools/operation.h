// What a Redis command does to one key.
#ifndef SLOTKV_TOOLS_OPERATION_H_
#define SLOTKV_TOOLS_OPERATION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "slotkv/cluster.h"

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
    kSet,            // key, value, deadline, keep_ttl, condition, needs_string
    kDelete,         // key, needs_string
    kExpire,         // key, deadline, expire_conditions, needs_string
    kPersist,        // key, needs_string
    kIncrement,      // key, delta
    kAppend,         // key, value
    kSetRange,       // key, value, position
    kHashSet,        // key, fields; with SetCondition::kIfAbsent the one field, if it is not there
    kHashDelete,     // key, names of fields
    kHashIncrement,  // key, one field's name, delta
    kRead,           // key, needs_string; changes nothing
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
  uint64_t position = 0;
  std::vector<HashField> fields;
  // Redis looks at the value, too: FailedPrecondition, and nothing else, if the key holds a hash.
  bool needs_string = false;

  // Where the command comes from, for messages: its name, which lives as long as the program, and
  // the byte of the stream at which it begins.
  const char* command = "";
  uint64_t offset = 0;
};

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_OPERATION_H_
