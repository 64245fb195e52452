#include "shard/slot_map_cache.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "slotkv/clock.h"

namespace slotkv {
namespace {

absl::Duration Now() { return Clock::System()->Monotonic(); }

absl::Status CheckParts(const SlotMap& map) {
  std::vector<bool> seen(kSlotCount);
  for (const SlotMap::Part& part : map.parts) {
    if (part.slots.first > part.slots.last || part.slots.last >= kSlotCount) {
      return absl::InvalidArgumentError(absl::StrCat("slot map ", map.epoch.value(),
                                                     " has a range ", part.slots.first, " to ",
                                                     part.slots.last));
    }
    for (int slot = part.slots.first; slot <= part.slots.last; ++slot) {
      if (seen[slot]) {
        return absl::InvalidArgumentError(
            absl::StrCat("slot map ", map.epoch.value(), " has slot ", slot, " twice"));
      }
      seen[slot] = true;
    }
  }
  return absl::OkStatus();
}

}  // namespace

SlotMapCache::SlotMapCache(std::unique_ptr<EndpointResolver> resolver, absl::Duration fetch_timeout,
                           absl::Duration min_interval)
    : resolver_(std::move(resolver)),
      seeds_(resolver_->Seeds()),
      fetch_timeout_(fetch_timeout),
      min_interval_(min_interval) {
  absl::MutexLock lock(&link_->mu);
  link_->cache = this;
  for (const ShardId seed : seeds_) {
    if (const auto peer = FindPeerLocked(seed); peer.ok()) asked_.push_back(*peer);
  }
}

SlotMapCache::~SlotMapCache() {
  absl::MutexLock lock(&link_->mu);
  link_->cache = nullptr;
}

// ---- Peers ----

absl::StatusOr<SlotMapCache::Peer*> SlotMapCache::FindPeer(ShardId shard) {
  absl::MutexLock lock(&link_->mu);
  return FindPeerLocked(shard);
}

absl::StatusOr<SlotMapCache::Peer*> SlotMapCache::FindPeerLocked(ShardId shard) {
  if (const auto found = peers_.find(shard); found != peers_.end()) return found->second.get();
  if (peers_.size() == kMaxPeers) {
    return absl::ResourceExhaustedError(absl::StrCat(shard.ToString(), " is one more than the ",
                                                     kMaxPeers, " that a client knows"));
  }
  return peers_.emplace(shard, std::make_unique<Peer>(shard)).first->second.get();
}

absl::StatusOr<Endpoint*> SlotMapCache::Resolve(Peer* peer) {
  absl::StatusOr<std::shared_ptr<Endpoint>> resolved = resolver_->Resolve(peer->id);
  if (!resolved.ok()) {
    const absl::Status& status = resolved.status();
    if (absl::IsCancelled(status)) return status;
    return absl::UnavailableError(absl::StrCat(peer->id.ToString(), ": ", status.message()));
  }
  SLOTKV_CHECK(*resolved != nullptr);
  absl::MutexLock lock(&link_->mu);
  // The first one stays, if another thread has resolved it meanwhile.
  if (peer->owned == nullptr) {
    peer->owned = *std::move(resolved);
    peer->endpoint.store(peer->owned.get(), std::memory_order_release);
  }
  return peer->owned.get();
}

void SlotMapCache::Correct(Slot slot, Peer* peer) {
  {
    absl::MutexLock lock(&link_->mu);
    owners_[slot].store(peer, std::memory_order_release);
    corrected_[slot] = begun_;
  }
  RefreshSoon();
}

void SlotMapCache::Doubt(Slot slot, const Peer* owner) {
  {
    absl::MutexLock lock(&link_->mu);
    if (Owner(slot) == owner) corrected_.erase(slot);
  }
  RefreshSoon();
}

// ---- Fetching ----

bool SlotMapCache::IsFetching(absl::Duration now) const {
  return under_way_ != 0 && now < turn_ends_;
}

SlotMapCache::Fetch SlotMapCache::Begin(absl::Duration now) {
  under_way_ = ++begun_;
  turn_ends_ = now + fetch_timeout_;
  return {under_way_, asked_[next_++ % asked_.size()]};
}

void SlotMapCache::Send(Fetch fetch) {
  const auto end = [link = link_, number = fetch.number](const absl::StatusOr<SlotMap>& map) {
    absl::MutexLock lock(&link->mu);
    if (link->cache == nullptr) return;
    // The cache's own lock, by another name.
    link->cache->link_->mu.AssertHeld();
    link->cache->EndFetch(number, map);
  };
  const absl::StatusOr<Endpoint*> endpoint = EndpointOf(fetch.peer);
  if (endpoint.ok()) {
    (*endpoint)->FetchSlots(end);
  } else {
    end(endpoint.status());
  }
}

void SlotMapCache::EndFetch(uint64_t number, const absl::StatusOr<SlotMap>& map) {
  const absl::Status status = map.ok() ? Take(number, *map) : map.status();
  if (status.ok()) {
    ++counts_.refreshes;
  } else {
    ++counts_.failed_refreshes;
    last_error_ = status;
  }
  // Otherwise its turn was over, and the next one has it.
  if (number == under_way_) under_way_ = 0;
}

absl::Status SlotMapCache::Take(uint64_t number, const SlotMap& map) {
  if (number < taken_ || map.epoch < counts_.epoch) {
    return absl::FailedPreconditionError(
        absl::StrCat("slot map ", map.epoch.value(), " is older than ", counts_.epoch.value()));
  }
  if (absl::Status status = CheckParts(map); !status.ok()) return status;
  std::vector<Peer*> owners(kSlotCount), asked;
  const auto add = [&](Peer* peer) {
    if (std::find(asked.begin(), asked.end(), peer) == asked.end()) asked.push_back(peer);
  };
  for (const SlotMap::Part& part : map.parts) {
    const absl::StatusOr<Peer*> peer = FindPeerLocked(part.shard);
    if (!peer.ok()) return peer.status();
    std::fill(owners.begin() + part.slots.first, owners.begin() + part.slots.last + 1, *peer);
    add(*peer);
  }
  for (const ShardId seed : seeds_) {
    if (const auto peer = FindPeerLocked(seed); peer.ok()) add(*peer);
  }
  asked_ = std::move(asked);
  // A newer map knows better than corrections that are older than its fetch.
  if (map.epoch > counts_.epoch) {
    absl::erase_if(corrected_, [&](const auto& corrected) { return corrected.second < number; });
  }
  for (const auto& [slot, begun] : corrected_) owners[slot] = Owner(slot);
  for (int slot = 0; slot < kSlotCount; ++slot) {
    owners_[slot].store(owners[slot], std::memory_order_release);
  }
  counts_.epoch = map.epoch;
  taken_ = number;
  return absl::OkStatus();
}

void SlotMapCache::RefreshSoon() {
  Fetch fetch;
  {
    absl::MutexLock lock(&link_->mu);
    const absl::Duration now = Now();
    if (stopped_ || IsFetching(now) || now < soon_from_ || asked_.empty()) return;
    soon_from_ = now + min_interval_;
    fetch = Begin(now);
  }
  Send(fetch);
}

absl::Status SlotMapCache::Refresh(absl::Duration timeout) {
  const absl::Duration deadline = Now() + timeout;
  uint64_t first = 0;  // the first fetch that counts
  while (true) {
    Fetch fetch;
    {
      absl::MutexLock lock(&link_->mu);
      if (first == 0) first = begun_ + 1;
      absl::Duration now = Now();
      if (IsFetching(now)) {
        const auto over = [this, number = under_way_]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(link_->mu) {
          return under_way_ != number || stopped_;
        };
        link_->mu.AwaitWithTimeout(absl::Condition(&over), std::min(deadline, turn_ends_) - now);
        now = Now();
      }
      if (taken_ >= first) return absl::OkStatus();
      if (stopped_) return absl::CancelledError("the client is closed");
      const bool all_asked = begun_ + 1 - first >= asked_.size() && !IsFetching(now);
      if (all_asked || now >= deadline) {
        return absl::UnavailableError(
            absl::StrCat("no endpoint has given a slot map; the last error: ",
                         last_error_.ok() ? "no answer in time" : last_error_.ToString()));
      }
      if (IsFetching(now)) continue;
      fetch = Begin(now);
    }
    Send(fetch);
  }
}

void SlotMapCache::Stop() {
  absl::MutexLock lock(&link_->mu);
  stopped_ = true;
}

SlotMapCache::Counts SlotMapCache::GetCounts() const {
  absl::MutexLock lock(&link_->mu);
  return counts_;
}

}  // namespace slotkv
