// The way of every data call: from the key's slot, by the slot table, to the group that serves it,
// and back again if the slot has changed hands on the way.
//
// A read is right if the slot's word is after it what it was before; a write carries its word along
// as a guard, which the group checks. A caller that is bound to one shard gets a redirect for a
// slot of another.
//
// The router also counts what ClusterStats tells of shards and slots.
#ifndef SLOTKV_SHARD_ROUTER_H_
#define SLOTKV_SHARD_ROUTER_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "engine/store.h"
#include "replication/group.h"
#include "shard/shard_counters.h"
#include "shard/slot_table.h"

namespace slotkv {

// The shard that a caller is bound to; nullopt: any.
using OnlyShard = std::optional<ShardId>;

// Thread-safe once every shard is known. Calls run within a pass of the cluster's gate: a group,
// and a copy that it reads, is given up only when all that ran have ended.
class Router {
 public:
  // A key to be read.
  struct KeyRead {
    Slot slot = 0;
    std::string_view key;
    // What was found, as by Read.
    absl::Status status;
    ValueHeader header;
    std::string* payload = nullptr;  // may be null
  };
  // A mutation of keys in `slot`, and its outcome.
  struct SlotWrite {
    Slot slot = 0;
    Mutation* mutation = nullptr;
    absl::Status status;
    SlotWord word;  // the router's own: by which the write is routed
  };

  Router() = default;
  Router(const Router&) = delete;
  Router& operator=(const Router&) = delete;

  // Before anything is read or written, for each shard: its group, or why it has none.
  void AddShard(ShardId shard, Group* group, const absl::Status& why_not);
  // Afterwards. Calls that have begun may still use the group before.
  void SetGroup(ShardId shard, Group* group, const absl::Status& why_not);
  SlotTable& slots() { return slots_; }
  const SlotTable& slots() const { return slots_; }

  // Takes the mutation to the shard that owns the slot.
  absl::Status Write(OnlyShard only, Slot slot, Mutation* mutation);
  // The same for many, those of one shard together and in their order.
  void WriteMany(OnlyShard only, absl::Span<SlotWrite> writes);

  // The live value of `key`; `payload` may be null. NotFound without text if it is missing.
  // `*now_ms`: by which time its expiry was judged.
  absl::Status Read(OnlyShard only, Slot slot, std::string_view key, ValueHeader* header,
                    std::string* payload, uint64_t* now_ms);
  // The same for many: each shard's store is read once, as of one moment.
  void ReadMany(OnlyShard only, absl::Span<KeyRead> reads);

  // What a visitor of keys wants next.
  enum class Visit { kNextKey, kEnd };
  using KeyVisitor =
      absl::FunctionRef<Visit(Slot, std::string_view key, const ValueHeader&, std::string_view)>;
  // Visits the live keys of the slots from `first` to `last` that begin with `prefix` and do not
  // come before `from` (which counts for `first` alone), in the order of slots and keys. Each slot
  // is read as of one moment; if it changes hands meanwhile, `undo(slot)` says that what was seen
  // of it since `from` does not count, and it is visited again. A bound caller's foreign slots are
  // passed over.
  absl::Status VisitKeys(OnlyShard only, Slot first, std::string_view from, Slot last,
                         std::string_view prefix, KeyVisitor visit,
                         absl::FunctionRef<void(Slot)> undo);

  // Deletes whatever the slots hold that the caller is not barred from. Returns the first error;
  // what could be deleted is.
  absl::Status ClearSlots(OnlyShard only);

  // Waits until everything that the groups of these slots have evaluated so far is applied.
  absl::Status Barrier(OnlyShard only, SlotRange range);

  // Ok, or the redirect, or why nobody serves the slot.
  absl::Status CheckServed(OnlyShard only, Slot slot) const;

  // Null: there is no such shard, or it is not served.
  Group* group(ShardId shard) const;
  // Adds what was counted.
  void AddTo(ShardStats* stats) const;
  void AddTo(Slot slot, SlotStats* stats) const;

 private:
  // A shard as this process serves it.
  struct Served {
    ShardId id;
    std::atomic<Group*> group{nullptr};
    absl::Mutex mu;
    absl::Status why_not ABSL_GUARDED_BY(mu);
    ShardCounters counters;
  };

  struct SlotCounters {
    std::atomic<uint64_t> reads{0}, writes{0};
  };

  static absl::Status NotServed(Served* shard, Slot slot);
  absl::StatusOr<Served*> Find(OnlyShard only, Slot slot, SlotWord word) const;
  void CountWrite(Served* shard, Slot slot, const GroupWrite& write, uint64_t latency_ns);
  template <typename Item>
  void LoadWords(absl::Span<Item> items) const;
  void WriteToShard(Served* shard, absl::Span<SlotWrite* const> writes,
                    std::vector<SlotWrite*>* again);
  bool ReadFromShard(Served* shard, absl::Span<KeyRead* const> reads);
  absl::Status VisitRun(Served* shard, absl::Span<const SlotWord> words, Slot first,
                        std::string_view from, std::string_view prefix, KeyVisitor visit,
                        absl::FunctionRef<void(Slot)> undo, Slot* next, bool* ended);

  SlotTable slots_;
  // By shard number; null where there is no shard. Not changed once the slots are published.
  std::vector<std::unique_ptr<Served>> shards_;
  std::array<SlotCounters, kSlotCount> slot_counters_;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_ROUTER_H_
