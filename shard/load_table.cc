#include "shard/load_table.h"

#include "engine/text.h"

namespace slotkv {

LoadTable::Lead::~Lead() {
  if (table_ == nullptr) return;
  Stripe* const stripe = &table_->stripes_[slot_ % kStripes];
  absl::MutexLock lock(&stripe->mu);
  stripe->by_key.erase(key_);
  stripe->loads.store(stripe->by_key.size(), std::memory_order_seq_cst);
  load_->ended = true;
  load_->end.SignalAll();
}

LoadTable::Outcome LoadTable::Begin(Slot slot, std::string_view key, absl::Time deadline,
                                    Lead* lead) {
  Stripe* const stripe = &stripes_[slot % kStripes];
  absl::MutexLock lock(&stripe->mu);
  const auto [it, inserted] = stripe->by_key.try_emplace(ToAbsl(key), nullptr);
  if (!inserted) {
    waits_.fetch_add(1, std::memory_order_relaxed);
    const std::shared_ptr<Load> load = it->second;
    while (!load->ended) {
      if (load->end.WaitWithDeadline(&stripe->mu, deadline) && !load->ended) {
        return Outcome::kTimedOut;
      }
    }
    return Outcome::kWaited;
  }
  it->second = std::make_shared<Load>();
  stripe->loads.store(stripe->by_key.size(), std::memory_order_seq_cst);
  lead->table_ = this;
  lead->slot_ = slot;
  lead->key_ = std::string(key);
  lead->load_ = it->second;
  return Outcome::kLeads;
}

void LoadTable::Overtake(Stripe* stripe, std::string_view key) {
  absl::MutexLock lock(&stripe->mu);
  const auto it = stripe->by_key.find(ToAbsl(key));
  if (it != stripe->by_key.end()) it->second->overtaken.store(true, std::memory_order_release);
}

void LoadTable::NoteWrites(absl::FunctionRef<bool(std::string_view key)> written) {
  for (Stripe& stripe : stripes_) {
    if (stripe.loads.load(std::memory_order_seq_cst) == 0) continue;
    absl::MutexLock lock(&stripe.mu);
    for (const auto& [key, load] : stripe.by_key) {
      if (written(key)) load->overtaken.store(true, std::memory_order_release);
    }
  }
}

}  // namespace slotkv
