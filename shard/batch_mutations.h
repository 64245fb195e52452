// The writes on many keys of one slot.
#ifndef SLOTKV_SHARD_BATCH_MUTATIONS_H_
#define SLOTKV_SHARD_BATCH_MUTATIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "replication/mutation.h"
#include "shard/load_table.h"
#include "shard/slot_table.h"
#include "slotkv/slot.h"
#include "slotkv/write_batch.h"

namespace slotkv {

// A WriteBatch. What it points to must outlive it.
class BatchMutation final : public Mutation {
 public:
  // InvalidArgument, naming the offending write, unless `batch` is not empty, within the limits,
  // and of one slot.
  static absl::Status Validate(const WriteBatch& batch);

  // `batch` is valid.
  BatchMutation(const WriteBatch* batch, absl::Duration default_ttl, LoadTable* loads);

  Slot slot() const { return slot_; }
  absl::Status Evaluate(GroupView* view, std::string* effects) override;
  size_t EstimatedBytes() const override { return batch_->ByteSize(); }
  size_t KeyCount() const override { return batch_->size(); }

 private:
  // What a key is after the batch's writes so far.
  struct State {
    bool exists = false;
    uint64_t expiry_ms = 0;
  };

  absl::Status Find(GroupView* view, std::string_view key, State* state) const;

  const WriteBatch* const batch_;
  const absl::Duration default_ttl_;
  LoadTable* const loads_;
  const Slot slot_;
  // Kept only if some write asks what its key was before.
  const bool tracks_states_;
  absl::flat_hash_map<absl::string_view, State> states_;
};

// Deletes keys of one slot, whether they are there or not.
class DeleteKeysMutation final : public Mutation {
 public:
  // `keys` must outlive it.
  DeleteKeysMutation(Slot slot, const std::vector<std::string>* keys);

  absl::Status Evaluate(GroupView* view, std::string* effects) override;
  size_t EstimatedBytes() const override { return bytes_; }
  size_t KeyCount() const override { return keys_->size(); }

 private:
  const Slot slot_;
  const std::vector<std::string>* const keys_;
  size_t bytes_ = 0;
};

// Deletes whatever a run of slots holds, as far as one shard serves them when it is evaluated.
class ClearSlotsMutation final : public Mutation {
 public:
  // `slots` must outlive it.
  ClearSlotsMutation(const SlotTable* slots, ShardId shard, SlotRange range)
      : slots_(slots), shard_(shard), range_(range) {}

  absl::Status Evaluate(GroupView* view, std::string* effects) override;
  size_t EstimatedBytes() const override { return 16; }
  size_t KeyCount() const override { return 0; }

 private:
  const SlotTable* const slots_;
  const ShardId shard_;
  const SlotRange range_;
};

// Changes nothing: when it has come through its group, all writes evaluated before it are applied.
class BarrierMutation final : public Mutation {
 public:
  absl::Status Evaluate(GroupView*, std::string*) override { return absl::OkStatus(); }
  size_t EstimatedBytes() const override { return 0; }
  size_t KeyCount() const override { return 0; }
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_BATCH_MUTATIONS_H_
