// slotkv: Redis Cluster as a library.
//
// A Cluster is a key-value store with expiry that lives in one process and one directory. Its
// keyspace is split into 16384 hash slots (exactly Redis Cluster's), the slots are spread over
// shards, and each shard keeps its data in a write-ahead log and a RocksDB store.
//
//   absl::StatusOr<std::unique_ptr<slotkv::Cluster>> cluster =
//       slotkv::Cluster::Open(slotkv::Options(), "/var/lib/app/sessions");
//   if (!cluster.ok()) return cluster.status();
//   slotkv::SetOptions half_an_hour;
//   half_an_hour.ttl = absl::Minutes(30);
//   absl::Status status = (*cluster)->Set("session:42", "alice", half_an_hour);
//   absl::StatusOr<std::string> session = (*cluster)->Get("session:42");
//
// A write that returned ok survives the death of the process (kill -9 included) under every
// setting, and power failure as Options::fsync says.
//
// What can be done with keys is in keyspace.h, from which Cluster has those calls: strings, expiry,
// hashes, many keys, batches, scans. There are the limits, the errors and what threads may do.
//
// After fork(2) the child must not touch a Cluster. No signal handlers are installed.
#ifndef SLOTKV_SHARD_CLUSTER_H_
#define SLOTKV_SHARD_CLUSTER_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "slotkv/keyspace.h"
#include "slotkv/options.h"
#include "slotkv/redirect.h"
#include "slotkv/slot.h"
#include "slotkv/stats.h"
#include "slotkv/topology.h"

namespace slotkv {

class FileHook;

// A shard's own face: the calls of Keyspace, for the keys of this shard alone, as a server of Redis
// Cluster answers them. A key of another shard is Aborted with a redirect (redirect.h); keys of
// several slots in one call are InvalidArgument "CROSSSLOT ...", even if all of them are here;
// Scan, DeletePrefix and DeleteAll keep to the shard's slots.
//
// A handle, to be copied freely; it may outlive its Cluster, whose end it answers with Cancelled.
class Shard final : public Keyspace {
 public:
  ShardId id() const { return *only(); }

  // Of the whole cluster, as a node of Redis Cluster tells all slots (CLUSTER SLOTS). Epoch 0 and
  // no shards once the cluster is closed.
  Topology GetTopology() const;

 private:
  friend class Cluster;
  Shard(std::shared_ptr<ClusterImpl> impl, ShardId id) : Keyspace(std::move(impl), id) {}
};

// Which copy Promote makes the primary.
struct PromoteOptions {
  // Nullopt: an in-sync replica, if there is one.
  std::optional<NodeId> node;
  // When every copy that is in sync is lost for good (its disk, its directory), the shard answers
  // Unavailable, and a copy may be left that had fallen behind. Promote then says how far that one
  // is behind. With `force` it goes on with what that copy has (nullopt: the one that has most):
  // every write after its last record is lost, acknowledged ones included. The copies that have
  // more are built anew from it should they come back. It changes nothing where a copy in sync is
  // served: none that is not in sync is promoted there.
  bool force = false;
};

// The whole cluster: the calls of Keyspace for all keys, and what concerns the cluster itself.
class Cluster final : public Keyspace {
 public:
  // Opens the cluster at `path`, or creates it there. One process at a time: a second one gets
  // Unavailable, as does whoever finds no majority of the zones. Bad options or an empty path are
  // InvalidArgument; a damaged directory is DataLoss and is left as it was found, unless the shard
  // has another copy: one in sync is served, with one that is not the shard alone is Unavailable
  // (PromoteOptions::force); a format of another release is Unimplemented. NotFound and
  // AlreadyExists as Options::create_if_missing and error_if_exists say; FailedPrecondition for
  // zones on one device (require_distinct_devices), or a creation that was cut short and had other
  // zones.
  static absl::StatusOr<std::unique_ptr<Cluster>> Open(const Options& options,
                                                       const std::string& path);

  // Deletes the cluster at `path`, its zones included. Ok if there is none; Unavailable if it is
  // open. Files that are not the cluster's are left, and their directories with them.
  static absl::Status Destroy(const std::string& path);

  // Closes (see Close) and frees. No other call may be running.
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // Refuses new calls with Cancelled, waits for running ones (loaders and the listener included,
  // which must therefore not call it), syncs and closes all files. Returns the first error met; the
  // cluster is closed all the same. A second call returns ok when the first is done.
  absl::Status Close();

  // ---- Look ----

  // Epoch 0 and no shards once the cluster is closed.
  Topology GetTopology() const;
  // Empty once the cluster is closed. A part of what was asked for that cannot be read is left out.
  ClusterStats GetStats(const StatsOptions& options = {});
  // Reads everything: checksums of tables and logs, every record's form, every key in its slot,
  // each slot owned once, no keys of a slot that its shard does not own; and compares the copies of
  // each shard key by key. DataLoss names the first damage found, and all of it is looked for: a
  // copy with a bad checksum is replaced and built anew in the background, if another is sound; of
  // copies that differ nobody knows which is right, and both stay. Unavailable if a shard is not
  // served.
  absl::Status Verify();

  // ---- Fail over ----
  //
  // NotFound if there is no such shard, node or zone.

  // Makes an in-sync replica the primary (Redis: CLUSTER FAILOVER). Writers wait meanwhile, and
  // none fails. Also takes the place of a primary that has failed while Options::auto_failover is
  // off. FailedPrecondition if there is no such replica in sync, with what would be lost if another
  // copy can be promoted by force (PromoteOptions); or if by force, and it has no records.
  // DataLoss: that one is damaged, or missing. Unavailable: not done; DeadlineExceeded: it may come
  // to be.
  absl::Status Promote(ShardId shard, const PromoteOptions& options = {});

  // As if the process of that node were killed: its copy is dropped at once, with no flush and no
  // hand-over, and a replica takes over if it was the primary. Slots whose last copy is stopped
  // answer Unavailable. It is for as long as the cluster is open, or until StartNode; the node
  // keeps its files. DeadlineExceeded or Unavailable: the topology could not be told; it is tried
  // again in the background.
  absl::Status StopNode(NodeId node);
  // The node comes back in the background: it is given what it missed and then is in sync
  // (GetTopology, OnTopologyChange).
  absl::Status StartNode(NodeId node);
  // As if the disk of that zone were lost: its nodes are stopped, its copy of the topology is not
  // written any more, and its files are closed as soon as nothing is under way there. Unavailable,
  // and nothing is done, if the topology would lose its majority of copies; otherwise the first
  // error of its nodes, after all have been stopped.
  absl::Status StopZone(const std::string& name);
  // The zone is opened again, also one that was down at Open, and its nodes come back in the
  // background. Unavailable: its directory cannot be used yet, or something that was under way
  // there before still is; FailedPrecondition: the directory is another zone's.
  absl::Status StartZone(const std::string& name);
  // Gives the zone a new disk, at a path that is empty or not there: the copies in it are built
  // anew in the background (GetStats) and then in sync. The old disk, which may be lost, is used no
  // more and keeps what it has. From then on Options::zones, if it names the zone, must name the
  // new path. FailedPrecondition if the zone has the only copy of a shard that is in sync;
  // AlreadyExists if the path is a zone already. After any other error the zone may be down:
  // StartZone brings it up, or ReplaceZone with the same path goes on.
  absl::Status ReplaceZone(const std::string& name, const std::string& path);
  // Gives the shard a further replica, in a zone where it has none: it is built from a copy of the
  // primary's data in the background, and then in sync. FailedPrecondition: it has a node there.
  absl::Status AddReplica(ShardId shard, const std::string& zone);
  // Takes a replica away, and deletes its files. FailedPrecondition if it is the primary.
  absl::Status RemoveReplica(NodeId node);

  // ---- Serve ----

  // NotFound if there is no such shard.
  absl::StatusOr<Shard> shard(ShardId id);

 private:
  // For tests: shard/cluster_testing.h.
  friend absl::StatusOr<std::unique_ptr<Cluster>> OpenClusterWithHook(
      const Options& options, const std::string& path, std::shared_ptr<FileHook> hook);
  friend absl::Status FlushStores(Cluster* cluster);

  explicit Cluster(std::shared_ptr<ClusterImpl> impl) : Keyspace(std::move(impl)) {}
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_CLUSTER_H_
