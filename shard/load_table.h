// The loads that GetOrLoad has under way: one for a key at a time, and what was written meanwhile.
//
// Invariants:
//   1. A load is overtaken by every write to its key that is evaluated after the load began and
//      before what it loaded is. Writes of one key are evaluated one at a time (its group sees to
//      that), so the load's own write, evaluated last, knows of them all.
//   2. A write that was evaluated before the load began, but not yet applied when the loader's
//   caller
//      looked for the key, needs no notice: if it put a value, the load's own write finds it; if it
//      deleted, what is loaded afterwards is newer than the delete.
#ifndef SLOTKV_SHARD_LOAD_TABLE_H_
#define SLOTKV_SHARD_LOAD_TABLE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "slotkv/slot.h"

namespace slotkv {

// Thread-safe. Must outlive its Leads.
class LoadTable {
 private:
  struct Load {
    std::atomic<bool> overtaken{false};
    bool ended = false;  // guarded by the stripe's mutex
    absl::CondVar end;
  };

 public:
  // Held by the one who loads; the load ends with it.
  class Lead {
   public:
    Lead() = default;
    ~Lead();
    Lead(const Lead&) = delete;
    Lead& operator=(const Lead&) = delete;

    // Somebody has written to the key since the load began.
    bool overtaken() const { return load_->overtaken.load(std::memory_order_acquire); }

   private:
    friend class LoadTable;
    LoadTable* table_ = nullptr;
    Slot slot_ = 0;
    std::string key_;
    std::shared_ptr<Load> load_;
  };

  enum class Outcome {
    kLeads,     // the caller is to load
    kWaited,    // another's load was under way and has ended
    kTimedOut,  // it has not ended by the deadline
  };
  // `lead` is new.
  Outcome Begin(Slot slot, std::string_view key, absl::Time deadline, Lead* lead);

  // A write of this key is being evaluated.
  void NoteWrite(Slot slot, std::string_view key) {
    Stripe* const stripe = &stripes_[slot % kStripes];
    if (stripe->loads.load(std::memory_order_seq_cst) != 0) Overtake(stripe, key);
  }
  // So is one of every key for which this is true.
  void NoteWrites(absl::FunctionRef<bool(std::string_view key)> written);

  // For statistics: loaders that ran, callers that waited for another's, values that were loaded
  // but not stored.
  void CountLoad() { loads_.fetch_add(1, std::memory_order_relaxed); }
  uint64_t loads() const { return loads_.load(std::memory_order_relaxed); }
  uint64_t waits() const { return waits_.load(std::memory_order_relaxed); }
  uint64_t not_stored() const { return not_stored_.load(std::memory_order_relaxed); }
  void CountNotStored() { not_stored_.fetch_add(1, std::memory_order_relaxed); }

 private:
  static constexpr size_t kStripes = 64;

  struct alignas(64) Stripe {
    std::atomic<size_t> loads{0};  // in by_key
    absl::Mutex mu;
    absl::flat_hash_map<std::string, std::shared_ptr<Load>> by_key ABSL_GUARDED_BY(mu);
  };

  static void Overtake(Stripe* stripe, std::string_view key);

  std::array<Stripe, kStripes> stripes_;
  std::atomic<uint64_t> loads_{0}, waits_{0}, not_stored_{0};
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_LOAD_TABLE_H_
