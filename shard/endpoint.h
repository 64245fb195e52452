// Whom a ClusterClient asks: one node of a cluster, wherever that is. A shard of this process is
// one kind (MakeShardEndpoint in cluster_client.h); a node that is reached over a network is
// another.
//
// An endpoint answers for the keys of its own slots, and otherwise with a redirect (redirect.h), in
// Redis Cluster's order: nobody serves the first key's slot (Unavailable "CLUSTERDOWN ..."); the
// keys are of several slots (InvalidArgument "CROSSSLOT ..."); kMoved; kAsk and kTryAgain of a slot
// that is being moved key by key.
#ifndef SLOTKV_SHARD_ENDPOINT_H_
#define SLOTKV_SHARD_ENDPOINT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "slotkv/ids.h"
#include "slotkv/keyspace.h"
#include "slotkv/options.h"
#include "slotkv/slot.h"
#include "slotkv/write_batch.h"

namespace slotkv {

// What a Request asks for: the call of Keyspace (keyspace.h) with this name.
enum class Command {
  kGet,
  kSet,
  kDelete,
  kExists,
  kIncrement,
  kAppend,
  kSetRange,
  kCompareAndSet,
  kMultiGet,
  kWrite,
  kExpire,
  kPersist,
  kTimeToLive,
  kGetAndTouch,
  kHashSet,
  kHashGet,
  kHashGetAll,
  kHashDelete,
};

// True if the command changes nothing, so that it may be asked again whatever became of it.
bool IsRead(Command command);

// One call on keys of one slot. What it points to lives until Execute returns: an endpoint that
// answers later copies what it still needs. Fields that a command does not name are of no meaning.
struct Request {
  // What is asked for, and the slot of the first key.
  Command command = Command::kGet;
  Slot slot = 0;
  // The asker was sent here by a kAsk redirect: the endpoint takes this one request for a slot that
  // it is about to own. (Redis: ASKING.)
  bool asking = false;

  // Of all commands but kMultiGet and kWrite.
  std::string_view key;
  // kSet: the value; kAppend: the suffix; kSetRange: the bytes; kCompareAndSet: `desired`.
  std::string_view value;
  // kCompareAndSet.
  std::string_view expected;
  // kIncrement: the delta.
  int64_t delta = 0;
  // kSetRange: in bytes.
  uint64_t offset = 0;
  // kExpire, kGetAndTouch; kHashSet: HashSetOptions::ttl.
  absl::Duration ttl;
  // kSet.
  SetOptions set_options;
  // kHashSet.
  absl::Span<const Field> fields;
  // kMultiGet: the keys, of one slot; kHashGet: the one field; kHashDelete: the fields.
  absl::Span<const std::string_view> names;
  // kWrite: not empty.
  const WriteBatch* batch = nullptr;

  // kGet: if not null, a buffer that an endpoint which answers within Execute may swap into
  // Response::value, to spare an allocation. Unless it answers ok it leaves the content as it was.
  std::string* spare = nullptr;
};

// What became of a Request. Fields that its command does not name are of no meaning, and none is
// unless the status is ok.
struct Response {
  // As of the call of Keyspace, by the same codes: Unavailable means certainly not applied,
  // DeadlineExceeded that the outcome is unknown, Aborted with a payload a redirect.
  absl::Status status;
  // kGet, kGetAndTouch, kHashGet.
  std::string value;
  // kIncrement: the sum.
  int64_t sum = 0;
  // kAppend, kSetRange: the new length in bytes; kHashSet, kHashDelete: how many fields; kDelete,
  // kExists, kExpire, kPersist: 1 for true, 0 for false.
  uint64_t count = 0;
  // kTimeToLive.
  absl::Duration ttl;
  // kMultiGet: each key's outcome, in the order of `names`; none of them is a redirect.
  std::vector<absl::StatusOr<std::string>> values;
  // kHashGetAll.
  std::vector<HashField> fields;
};

// Which shard owns which slot, as an endpoint knows it.
struct SlotMap {
  // Slots of one owner.
  struct Part {
    // All of them; their owner.
    SlotRange slots;
    ShardId shard;
  };
  // Higher for every map that is newer; of a Cluster, Topology::epoch.
  Epoch epoch;
  // Disjoint, in any order. Slots that are in none have no owner.
  std::vector<Part> parts;
};

// One node of a cluster. Thread-safe: any number of requests may be under way.
class Endpoint {
 public:
  // By then every request has been answered, or its callback destroyed.
  virtual ~Endpoint() = default;

  // Has the request answered by `done(response)`: once, before Execute returns or later, on any
  // thread, with no lock held that another call of the endpoint needs. An endpoint that can say
  // nothing in time calls it late, or destroys it uncalled; the asker has a timeout of its own.
  virtual void Execute(const Request& request, absl::AnyInvocable<void(Response)> done) = 0;

  // Has the slot map of the whole cluster, as far as this endpoint knows it, given to `done` in the
  // same way.
  virtual void FetchSlots(absl::AnyInvocable<void(absl::StatusOr<SlotMap>)> done) = 0;
};

// How a ClusterClient comes by its endpoints. Thread-safe.
//
// An endpoint is named by a ShardId, as redirects and slot maps name it. Endpoints that go by
// addresses number these as they meet them: one resolver and its endpoints share that table.
class EndpointResolver {
 public:
  virtual ~EndpointResolver() = default;

  // The endpoint that answers for the shard, never null. Asked once for each shard, unless it
  // fails or two threads meet the shard at the same time. Cancelled ends the call that needs it;
  // after any other error that call tries again.
  virtual absl::StatusOr<std::shared_ptr<Endpoint>> Resolve(ShardId shard) = 0;

  // Whom to ask for the first slot map; more than one, in case some do not answer.
  virtual std::vector<ShardId> Seeds() = 0;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_ENDPOINT_H_
