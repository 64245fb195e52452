// What a ClusterClient believes of the cluster: which endpoint owns which slot. Looking it up is
// one atomic load; corrections and whole maps are stored slot by slot.
//
// Invariants:
//   1. One fetch of the whole map is under way at a time; one that takes longer than its share is
//      passed over by the next.
//   2. A map never replaces a newer one, nor what a redirect has said of a slot after its fetch
//      began; nor, if it is no newer than the last one, what redirects have said since, unless the
//      owner that they name cannot be reached.
//   3. Endpoints are called with no lock held. What they answer when the cache is gone touches
//      nothing of it.
#ifndef SLOTKV_SHARD_SLOT_MAP_CACHE_H_
#define SLOTKV_SHARD_SLOT_MAP_CACHE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "slotkv/endpoint.h"
#include "slotkv/ids.h"
#include "slotkv/slot.h"

namespace slotkv {

// Thread-safe.
class SlotMapCache {
 public:
  // An endpoint that a redirect, a map or the resolver has named. Kept until the cache's end.
  struct Peer {
    explicit Peer(ShardId shard) : id(shard) {}

    const ShardId id;
    // Null until it is resolved; then what `owned` holds.
    std::atomic<Endpoint*> endpoint{nullptr};
    std::shared_ptr<Endpoint> owned;  // guarded by the cache's lock
  };

  // Peers beyond this are refused.
  static constexpr size_t kMaxPeers = 65536;

  struct Counts {
    uint64_t refreshes = 0;
    uint64_t failed_refreshes = 0;
    Epoch epoch;
  };

  // Knows of no owner yet. One fetch may take `fetch_timeout`; Correct and Doubt begin one at most
  // once in `min_interval`.
  SlotMapCache(std::unique_ptr<EndpointResolver> resolver, absl::Duration fetch_timeout,
               absl::Duration min_interval);
  // Afterwards no fetch touches it.
  ~SlotMapCache();
  SlotMapCache(const SlotMapCache&) = delete;
  SlotMapCache& operator=(const SlotMapCache&) = delete;

  // Null: nobody is known to own the slot, which is below kSlotCount.
  Peer* Owner(Slot slot) const { return owners_[slot].load(std::memory_order_acquire); }

  // ResourceExhausted if it would be one too many.
  absl::StatusOr<Peer*> FindPeer(ShardId shard);

  // Valid until the cache's end. Unavailable or Cancelled: the resolver has none.
  absl::StatusOr<Endpoint*> EndpointOf(Peer* peer) {
    Endpoint* const endpoint = peer->endpoint.load(std::memory_order_acquire);
    if (endpoint != nullptr) return endpoint;
    return Resolve(peer);
  }

  // A redirect says that `peer` owns the slot. Here and below a fetch of the map is begun, unless
  // one is on its way or was begun so a moment ago.
  void Correct(Slot slot, Peer* peer);
  // `owner` cannot be reached, or does not serve the slot: if it is there by a redirect, any map
  // may replace it.
  void Doubt(Slot slot, const Peer* owner);

  // Fetches the map, from one peer after the other until one gives it. Unavailable if none does
  // within `timeout`; Cancelled by Stop.
  absl::Status Refresh(absl::Duration timeout);

  // Ends what Refresh waits for, now and later.
  void Stop();

  Counts GetCounts() const;

 private:
  // What the answers to fetches hold on to.
  struct Link {
    absl::Mutex mu;
    SlotMapCache* cache ABSL_GUARDED_BY(mu) = nullptr;  // null: it is gone
  };

  // A fetch that is to be sent.
  struct Fetch {
    uint64_t number = 0;
    Peer* peer = nullptr;
  };

  absl::StatusOr<Endpoint*> Resolve(Peer* peer);
  void RefreshSoon() ABSL_LOCKS_EXCLUDED(link_->mu);
  bool IsFetching(absl::Duration now) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(link_->mu);
  Fetch Begin(absl::Duration now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(link_->mu);
  void Send(Fetch fetch) ABSL_LOCKS_EXCLUDED(link_->mu);
  void EndFetch(uint64_t number, const absl::StatusOr<SlotMap>& map)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(link_->mu);
  absl::Status Take(uint64_t number, const SlotMap& map) ABSL_EXCLUSIVE_LOCKS_REQUIRED(link_->mu);
  absl::StatusOr<Peer*> FindPeerLocked(ShardId shard) ABSL_EXCLUSIVE_LOCKS_REQUIRED(link_->mu);

  const std::unique_ptr<EndpointResolver> resolver_;
  const std::vector<ShardId> seeds_;
  const absl::Duration fetch_timeout_;
  const absl::Duration min_interval_;

  std::array<std::atomic<Peer*>, kSlotCount> owners_ = {};  // written under link_->mu

  const std::shared_ptr<Link> link_ = std::make_shared<Link>();
  absl::flat_hash_map<ShardId, std::unique_ptr<Peer>> peers_ ABSL_GUARDED_BY(link_->mu);
  // Who is asked for maps: the owners by the newest one, and the seeds. And who of them is next.
  std::vector<Peer*> asked_ ABSL_GUARDED_BY(link_->mu);
  size_t next_ ABSL_GUARDED_BY(link_->mu) = 0;
  bool stopped_ ABSL_GUARDED_BY(link_->mu) = false;

  // Fetches are numbered from 1, in the order in which they begin.
  uint64_t begun_ ABSL_GUARDED_BY(link_->mu) = 0;
  uint64_t under_way_ ABSL_GUARDED_BY(link_->mu) = 0;  // 0: none
  uint64_t taken_ ABSL_GUARDED_BY(link_->mu) = 0;      // the latest whose map was taken
  absl::Status last_error_ ABSL_GUARDED_BY(link_->mu);
  // By the monotonic clock: until when the one under way has its turn; from when on Correct and
  // Doubt may begin another.
  absl::Duration turn_ends_ ABSL_GUARDED_BY(link_->mu);
  absl::Duration soon_from_ ABSL_GUARDED_BY(link_->mu) = -absl::InfiniteDuration();
  // Slots that redirects have corrected, as no map has done since: how many fetches had begun by
  // then.
  absl::flat_hash_map<Slot, uint64_t> corrected_ ABSL_GUARDED_BY(link_->mu);
  Counts counts_ ABSL_GUARDED_BY(link_->mu);
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_SLOT_MAP_CACHE_H_
