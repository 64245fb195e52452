// The writes on hashes.
#ifndef SLOTKV_SHARD_HASH_MUTATIONS_H_
#define SLOTKV_SHARD_HASH_MUTATIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "shard/mutations.h"
#include "slotkv/keyspace.h"

namespace slotkv {

class HashSetMutation final : public KeyMutation {
 public:
  // A hash that is there keeps its expiry if `ttl` is infinite; a new one lives `new_ttl`.
  HashSetMutation(const KeyTarget& target, absl::Span<const Field> fields, absl::Duration ttl,
                  absl::Duration new_ttl);
  // ResourceExhausted if the fields alone exceed what a hash may have.
  absl::Status CheckSize() const;
  size_t EstimatedBytes() const override { return bytes_; }
  // Fields that were not there.
  uint64_t added() const { return added_; }

 private:
  absl::Status Decide(GroupView* view, std::string* effects) override;

  const absl::Span<const Field> fields_;
  const absl::Duration ttl_;
  const absl::Duration new_ttl_;
  size_t bytes_ = 0;
  uint64_t added_ = 0;
};

class HashDeleteMutation final : public KeyMutation {
 public:
  HashDeleteMutation(const KeyTarget& target, absl::Span<const std::string_view> fields)
      : KeyMutation(target), fields_(fields) {}
  // Fields that were there.
  uint64_t removed() const { return removed_; }

 private:
  absl::Status Decide(GroupView* view, std::string* effects) override;

  const absl::Span<const std::string_view> fields_;
  uint64_t removed_ = 0;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_HASH_MUTATIONS_H_
