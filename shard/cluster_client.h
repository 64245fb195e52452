// A client of several endpoints that behaves as one keyspace: for those who serve shards, or ask
// nodes elsewhere. (Whoever embeds a Cluster needs no client; Cluster finds the shard by itself.)
//
//   auto client = slotkv::ClusterClient::Create(slotkv::MakeClusterResolver(cluster.get()));
//   if (!client.ok()) return client.status();
//   absl::Status status = (*client)->Set("session:42", "alice");
//   absl::StatusOr<std::string> session = (*client)->Get("session:42");
//
// It keeps a map of slots to owners and sends each call to the owner of the key's slot. A wrong map
// is put right by the answers:
//
//   MOVED        the slot's owner is corrected, the call goes there, and the whole map is fetched
//                anew behind the callers' back: once, however many calls have met the change
//   ASK          the call goes there this once, marked `asking`; the map stays as it is
//   TRYAGAIN     the call is tried again in a moment
//   Unavailable  (an endpoint that cannot be reached, CLUSTERDOWN) likewise, and the map is fetched
//
// The first two redirects of a call are followed at once, further attempts after a pause that
// doubles; after ClusterClientOptions::max_attempts, or when operation_timeout is over, the call
// gives up with Unavailable: certainly not applied, the text says what came last. A write whose
// outcome is unknown (DeadlineExceeded) is never sent again; a read is.
#ifndef SLOTKV_SHARD_CLUSTER_CLIENT_H_
#define SLOTKV_SHARD_CLUSTER_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "slotkv/cluster.h"
#include "slotkv/endpoint.h"
#include "slotkv/ids.h"
#include "slotkv/keyspace.h"
#include "slotkv/options.h"
#include "slotkv/slot.h"
#include "slotkv/write_batch.h"

namespace slotkv {

// How a ClusterClient asks. `ClusterClient::Create` checks all of it and names the offending field.
struct ClusterClientOptions {
  // How long a call waits for answers and between attempts, all together: 1 ms to 1 h. What an
  // endpoint takes that answers before Execute returns is its own affair.
  absl::Duration operation_timeout = absl::Seconds(10);
  // How often one call is sent, redirects included: 1 to 1000.
  int max_attempts = 16;
  // The pause before an attempt: at first, and at most; it doubles in between, and is shortened by
  // up to a half at random. 1 us to 1 min each.
  absl::Duration first_pause = absl::Milliseconds(1);
  absl::Duration max_pause = absl::Milliseconds(200);
  // Between two fetches of the slot map that answers have given cause for; not negative.
  absl::Duration min_refresh_interval = absl::Milliseconds(100);
  // The map is fetched so often without a cause, by a thread of the client's own; positive.
  // Infinite: it is not, and there is no thread.
  absl::Duration refresh_period = absl::InfiniteDuration();
  // How a call pauses: for callers whose threads must not sleep, and for tests that wait for
  // nobody. Called on the caller's thread. Null: absl::SleepFor.
  std::function<void(absl::Duration)> sleep;
};

// What a client has met since it was made.
struct ClusterClientStats {
  // Redirects that were followed, by kind.
  uint64_t moved = 0;
  uint64_t asked = 0;
  uint64_t try_again = 0;
  // Attempts after Unavailable, or after DeadlineExceeded of a read.
  uint64_t retries = 0;
  // Calls that ended without an answer, and those that ran out of attempts or time.
  uint64_t timeouts = 0;
  uint64_t gave_up = 0;
  // Slot maps that were taken, and fetches that gave none or an old one.
  uint64_t refreshes = 0;
  uint64_t failed_refreshes = 0;
  // Of the slot map.
  Epoch epoch;
};

// Safe for any number of threads. The calls are those of Keyspace, with its results and errors;
// what concerns a client besides is at the top of this file. Linearizable as long as the endpoints
// are. Arguments need to live until the call returns.
class ClusterClient {
 public:
  // Fetches the first slot map. InvalidArgument for bad options; Unavailable if none of the seeds
  // gives a map within operation_timeout.
  static absl::StatusOr<std::unique_ptr<ClusterClient>> Create(
      std::unique_ptr<EndpointResolver> resolver, const ClusterClientOptions& options = {});

  // Waits for running calls, and drops the endpoints. Answers that come later go nowhere.
  ~ClusterClient();
  ClusterClient(const ClusterClient&) = delete;
  ClusterClient& operator=(const ClusterClient&) = delete;

  // ---- Strings ----

  // As in Keyspace.
  absl::Status Set(std::string_view key, std::string_view value, const SetOptions& options = {});
  absl::StatusOr<std::string> Get(std::string_view key);
  // Into `*value`, whose buffer is reused. A missing key leaves it as it was; after another error
  // it is unspecified.
  absl::Status Get(std::string_view key, std::string* value);
  absl::StatusOr<bool> Delete(std::string_view key);
  absl::StatusOr<bool> Exists(std::string_view key);
  absl::StatusOr<int64_t> Increment(std::string_view key, int64_t delta);
  absl::StatusOr<uint64_t> Append(std::string_view key, std::string_view suffix);
  absl::StatusOr<uint64_t> SetRange(std::string_view key, uint64_t offset, std::string_view bytes);
  absl::Status CompareAndSet(std::string_view key, std::string_view expected,
                             std::string_view desired);

  // ---- Many keys ----

  // Each key's own outcome, in the order of `keys`, of any slots. There is one request for each
  // slot, and all of them are sent before any is waited for; keys of different slots are read at
  // different moments.
  std::vector<absl::StatusOr<std::string>> MultiGet(absl::Span<const std::string_view> keys);
  // As above, into `values` and `statuses`, of the same size as `keys` (else the process is aborted
  // with a message). The value of a missing key stays as it was.
  void MultiGet(absl::Span<const std::string_view> keys, absl::Span<std::string> values,
                absl::Span<absl::Status> statuses);
  // All of it or nothing; keys of one slot.
  absl::Status Write(const WriteBatch& batch);

  // ---- Expiry ----

  // As in Keyspace.
  absl::StatusOr<bool> Expire(std::string_view key, absl::Duration ttl);
  absl::StatusOr<bool> Persist(std::string_view key);
  absl::StatusOr<absl::Duration> TimeToLive(std::string_view key);
  absl::StatusOr<std::string> GetAndTouch(std::string_view key, absl::Duration ttl);

  // ---- Hashes ----

  // As in Keyspace.
  absl::StatusOr<uint64_t> HashSet(std::string_view key, absl::Span<const Field> fields,
                                   const HashSetOptions& options = {});
  absl::StatusOr<std::string> HashGet(std::string_view key, std::string_view field);
  absl::StatusOr<std::vector<HashField>> HashGetAll(std::string_view key);
  absl::StatusOr<uint64_t> HashDelete(std::string_view key,
                                      absl::Span<const std::string_view> fields);

  // ---- The slot map ----

  // Fetches the map, from one endpoint after the other until one gives it, and waits for that.
  // Fetches that begin after the call count, whoever has begun them. Unavailable if no endpoint
  // gives a map within operation_timeout.
  absl::Status Refresh();

  // The shard that the client takes for the owner; nullopt: it knows of none. The slot is below
  // kSlotCount.
  std::optional<ShardId> OwnerOf(Slot slot) const;

  // What it has met so far.
  ClusterClientStats GetStats() const;

 private:
  class Impl;
  explicit ClusterClient(std::unique_ptr<Impl> impl);

  const std::unique_ptr<Impl> impl_;
};

// An endpoint for a shard of this process. It answers before Execute returns, on the caller's
// thread; once the cluster is closed, with Cancelled.
std::unique_ptr<Endpoint> MakeShardEndpoint(Shard shard);

// The endpoints of all shards of `cluster`, which must outlive the resolver and its client.
std::unique_ptr<EndpointResolver> MakeClusterResolver(Cluster* cluster);

}  // namespace slotkv

#endif  // SLOTKV_SHARD_CLUSTER_CLIENT_H_
