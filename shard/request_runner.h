// How a ClusterClient gets its requests answered: to the slot's owner, after redirects, again after
// pauses, until there is an answer, no attempt or no time left. cluster_client.h has the rules.
//
//   sent ──ok or final error──────────────────────────► settled
//    │ ├──MOVED, ASK (the first two)──► sent there ──► …
//    │ ├──later redirects, TRYAGAIN, Unavailable ──► pause ──► sent to the owner ──► …
//    │ └──no answer in time──► settled: outcome unknown
//    └──attempts or time used up──► settled: certainly not applied
#ifndef SLOTKV_SHARD_REQUEST_RUNNER_H_
#define SLOTKV_SHARD_REQUEST_RUNNER_H_

#include <atomic>
#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "shard/exchange.h"
#include "shard/slot_map_cache.h"
#include "slotkv/cluster_client.h"
#include "slotkv/endpoint.h"

namespace slotkv {

// Thread-safe.
class RequestRunner {
 public:
  // A request, and how far it has come.
  struct Task {
    Request request;
    // Once it has run.
    Response response;

    // The runner's own.
    bool settled = false;
    bool next_is_ask = false;
    SlotMapCache::Peer* next = nullptr;  // where a redirect has sent it; null: to the slot's owner
    SlotMapCache::Peer* sent_to = nullptr;
    std::shared_ptr<Exchange> exchange;  // null: it could not be sent
    int attempts = 0;
    int redirects = 0;
  };

  // Both must outlive it.
  RequestRunner(const ClusterClientOptions* options, SlotMapCache* slots)
      : options_(*options), slots_(*slots) {}
  RequestRunner(const RequestRunner&) = delete;
  RequestRunner& operator=(const RequestRunner&) = delete;

  // Settles all tasks. Each attempt's requests are all sent before any is waited for.
  void Run(absl::Span<Task> tasks);

  // Adds what was counted.
  void AddTo(ClusterClientStats* stats) const;

 private:
  // Begins when it is first asked for, so that a call that is answered at once reads no clock.
  class Deadline;
  // When a task that is not settled is to be sent again.
  enum class Again { kNow, kAfterPause };

  void Send(Task* task);
  void Receive(Task* task, Deadline* deadline);
  Again Judge(Task* task);
  Again Follow(Task* task);
  void GiveUp(Task* task, absl::string_view why);
  absl::Duration Pause(int pauses) const;

  const ClusterClientOptions& options_;
  SlotMapCache& slots_;
  std::atomic<uint64_t> moved_{0}, asked_{0}, try_again_{0}, retries_{0};
  std::atomic<uint64_t> timeouts_{0}, gave_up_{0};
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_REQUEST_RUNNER_H_
