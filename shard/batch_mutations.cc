#include "shard/batch_mutations.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "engine/effects.h"
#include "engine/text.h"
#include "shard/checks.h"
#include "shard/mutations.h"
#include "slotkv/limits.h"

namespace slotkv {

absl::Status BatchMutation::Validate(const WriteBatch& batch) {
  if (batch.ByteSize() > kMaxBatchBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("a batch of ", batch.ByteSize(), " bytes exceeds ", kMaxBatchBytes));
  }
  Slot common = 0;
  for (size_t i = 0; i < batch.operations_.size(); ++i) {
    const WriteBatch::Operation& operation = batch.operations_[i];
    absl::Status status = CheckKey(batch.Key(operation));
    if (status.ok()) status = CheckValue(batch.Value(operation));
    if (status.ok()) status = CheckSetOptions(operation.options);
    if (!status.ok()) {
      return absl::Status(status.code(),
                          absl::StrCat("write ", i, " of the batch: ", status.message()));
    }
    const Slot slot = SlotForKey(batch.Key(operation));
    if (i == 0) common = slot;
    if (slot != common) return CrossSlot();
  }
  return absl::OkStatus();
}

BatchMutation::BatchMutation(const WriteBatch* batch, absl::Duration default_ttl, LoadTable* loads)
    : batch_(batch),
      default_ttl_(default_ttl),
      loads_(loads),
      slot_(SlotForKey(batch->Key(batch->operations_.front()))),
      tracks_states_(std::any_of(batch->operations_.begin(), batch->operations_.end(),
                                 [](const WriteBatch::Operation& operation) {
                                   return operation.options.keep_ttl ||
                                          operation.options.condition != SetCondition::kAlways;
                                 })) {}

absl::Status BatchMutation::Find(GroupView* view, std::string_view key, State* state) const {
  if (const auto it = states_.find(ToAbsl(key)); it != states_.end()) {
    *state = it->second;
    return absl::OkStatus();
  }
  ValueHeader header;
  std::string payload;
  const absl::Status status = view->Get(slot_, key, &header, &payload);
  if (!status.ok() && !absl::IsNotFound(status)) return status;
  *state = status.ok() ? State{true, header.expiry_ms} : State();
  return absl::OkStatus();
}

absl::Status BatchMutation::Evaluate(GroupView* view, std::string* effects) {
  states_.clear();
  effects->reserve(batch_->ByteSize());
  for (size_t i = 0; i < batch_->operations_.size(); ++i) {
    const WriteBatch::Operation& operation = batch_->operations_[i];
    const std::string_view key = batch_->Key(operation);
    loads_->NoteWrite(slot_, key);
    State next;
    if (operation.is_set) {
      const SetOptions& options = operation.options;
      const absl::Duration ttl =
          options.ttl == absl::InfiniteDuration() ? default_ttl_ : options.ttl;
      next = {true, options.keep_ttl ? 0 : ExpiryAfter(view->now_ms(), ttl)};
      if (options.keep_ttl || options.condition != SetCondition::kAlways) {
        State before;
        if (absl::Status status = Find(view, key, &before); !status.ok()) return status;
        if (absl::Status status = CheckCondition(options.condition, before.exists); !status.ok()) {
          return absl::Status(status.code(),
                              absl::StrCat("write ", i, " of the batch: ", status.message()));
        }
        if (options.keep_ttl) next.expiry_ms = before.expiry_ms;
      }
      AppendPut(slot_, key, {ValueType::kString, next.expiry_ms}, batch_->Value(operation),
                effects);
    } else {
      AppendDelete(slot_, key, effects);
    }
    if (tracks_states_) states_[ToAbsl(key)] = next;
  }
  return absl::OkStatus();
}

DeleteKeysMutation::DeleteKeysMutation(Slot slot, const std::vector<std::string>* keys)
    : slot_(slot), keys_(keys) {
  for (const std::string& key : *keys) bytes_ += key.size() + 16;
}

absl::Status DeleteKeysMutation::Evaluate(GroupView*, std::string* effects) {
  for (const std::string& key : *keys_) AppendDelete(slot_, key, effects);
  return absl::OkStatus();
}

absl::Status ClearSlotsMutation::Evaluate(GroupView*, std::string* effects) {
  const auto serves = [this](int slot) {
    const SlotWord word = slots_->Load(static_cast<Slot>(slot));
    return word.shard() == shard_ && word.state() == SlotState::kServing;
  };
  for (int slot = range_.first; slot <= range_.last; ++slot) {
    if (!serves(slot)) continue;
    // One effect for as many as are adjacent: RocksDB reads past a few large range tombstones
    // quickly, past thousands of small ones it does not.
    const int first = slot;
    while (slot < range_.last && serves(slot + 1)) ++slot;
    AppendClear(static_cast<Slot>(first), static_cast<Slot>(slot), effects);
  }
  return absl::OkStatus();
}

}  // namespace slotkv
