// What the data calls of a Keyspace have in common.
#ifndef SLOTKV_SHARD_KEYSPACE_CALLS_H_
#define SLOTKV_SHARD_KEYSPACE_CALLS_H_

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "shard/cluster_impl.h"
#include "shard/mutations.h"
#include "slotkv/slot.h"

namespace slotkv {

// The answer of a cluster that is closed.
absl::Status Closed();

inline KeyTarget Target(ClusterImpl* impl, std::string_view key) {
  return {SlotForKey(key), key, impl->loads()};
}

// Checks the key, holds the gate and runs the mutation, which is of this key.
absl::Status RunWrite(ClusterImpl* impl, OnlyShard only, std::string_view key, Mutation* mutation);

// The header and, in `*payload` unless that is null, the value of a key of any type; `*now_ms`: by
// which time its expiry was judged.
absl::Status ReadAny(ClusterImpl* impl, OnlyShard only, std::string_view key, ValueHeader* header,
                     std::string* payload, uint64_t* now_ms);

// The payload of a key that holds a value of this type; else FailedPrecondition.
absl::Status ReadTyped(ClusterImpl* impl, OnlyShard only, std::string_view key, ValueType type,
                       std::string* payload);

}  // namespace slotkv

#endif  // SLOTKV_SHARD_KEYSPACE_CALLS_H_
