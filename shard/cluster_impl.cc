#include "shard/cluster_impl.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace slotkv {

ClusterImpl::~ClusterImpl() { Close().IgnoreError(); }

absl::Status ClusterImpl::Close() {
  if (!gate_.Close()) return absl::OkStatus();
  maintenance_.reset();
  absl::Status status;
  for (OpenShard& shard : shards_) {
    if (shard.group == nullptr) continue;
    // What callers were told of expiry since housekeeping last noted it must hold at the next Open.
    status.Update(shard.group->node()->NoteExpiry());
    status.Update(shard.group->Sync());
  }
  shards_.clear();
  keeper_.reset();
  zones_.clear();
  lock_.reset();
  return status;
}

absl::StatusOr<Group*> ClusterImpl::GroupOf(Slot slot, SlotWord word) const {
  const OpenShard& shard = shards_[word.shard().value()];
  if (shard.group != nullptr) return shard.group.get();
  return absl::UnavailableError(absl::StrCat("slot ", slot, ": ", shard.id.ToString(),
                                             " is not served: ", shard.status.message()));
}

absl::Status ClusterImpl::Write(Slot slot, Mutation* mutation) {
  while (true) {
    const SlotWord word = slots_.Load(slot);
    absl::StatusOr<Group*> group = GroupOf(slot, word);
    if (!group.ok()) return group.status();
    absl::Status status = (*group)->Write(mutation, Guard{slots_.word(slot), word.bits()});
    // Aborted: the slot's word changed on the way; it says now where to go.
    if (!absl::IsAborted(status)) return status;
  }
}

absl::Status ClusterImpl::Read(Slot slot, std::string_view key, ValueHeader* header,
                               std::string* payload) {
  while (true) {
    const SlotWord word = slots_.Load(slot);
    absl::StatusOr<Group*> group = GroupOf(slot, word);
    if (!group.ok()) return group.status();
    // Before the store is read: what expires while it is being read was still there at first.
    const uint64_t now_ms = (*group)->ReadTimeMs();
    absl::Status status = (*group)->Get(slot, key, now_ms, header, payload);
    if (slots_.Load(slot) != word) continue;
    if (absl::IsNotFound(status) && header->expiry_ms != 0) clock_->NoteObserved(now_ms);
    return status;
  }
}

absl::Status ClusterImpl::VisitLiveKeys(Slot slot,
                                        absl::FunctionRef<bool(std::string_view)> visit) {
  const SlotWord word = slots_.Load(slot);
  absl::StatusOr<Group*> group = GroupOf(slot, word);
  if (!group.ok()) return group.status();
  const uint64_t now_ms = (*group)->ReadTimeMs();
  bool expired = false;
  const absl::Status status = (*group)->node()->store().VisitSlot(
      slot, [&](std::string_view key, const ValueHeader& header, std::string_view) {
        if (!header.ExpiredAt(now_ms)) return visit(key);
        expired = true;
        return true;
      });
  if (expired) clock_->NoteObserved(now_ms);
  return status;
}

Topology ClusterImpl::GetTopology() const {
  const std::shared_ptr<const ClusterState> state = keeper_->Current();
  return state->ToTopology([&](NodeId node) {
    for (const ShardState& shard : state->shards) {
      for (const NodeState& info : shard.nodes) {
        if (info.id == node) return shards_[shard.id.value()].group != nullptr;
      }
    }
    return false;
  });
}

absl::Status ClusterImpl::Verify() {
  const std::shared_ptr<const ClusterState> state = keeper_->Current();
  if (absl::Status status = Validate(*state); !status.ok()) {
    return absl::DataLossError(absl::StrCat("topology: ", status.message()));
  }
  for (const ShardState& shard : state->shards) {
    for (const SlotRange& range : shard.slots) {
      for (int slot = range.first; slot <= range.last; ++slot) {
        if (slots_.Load(static_cast<Slot>(slot)).shard() == shard.id) continue;
        return absl::DataLossError(absl::StrCat("slot ", slot, " is ", shard.id.ToString(),
                                                "'s by the topology, not by the slot table"));
      }
    }
    const OpenShard& open = shards_[shard.id.value()];
    if (open.group == nullptr) {
      return absl::UnavailableError(
          absl::StrCat(shard.id.ToString(), " is not served: ", open.status.message()));
    }
    const auto check = [&](uint16_t slot, std::string_view key) {
      if (SlotForKey(key) != slot) {
        return absl::DataLossError(
            absl::StrCat("a key of slot ", SlotForKey(key), " is kept in slot ", slot));
      }
      if (slots_.Load(slot).shard() == shard.id) return absl::OkStatus();
      return absl::DataLossError(absl::StrCat("holds a key of slot ", slot, ", which ",
                                              shard.id.ToString(), " does not own"));
    };
    if (absl::Status status = open.group->node()->Verify(check); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status ClusterImpl::Flush() {
  absl::Status status;
  for (const OpenShard& shard : shards_) {
    if (shard.group != nullptr) status.Update(shard.group->node()->Flush(/*wait=*/true));
  }
  return status;
}

}  // namespace slotkv
