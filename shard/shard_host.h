// One shard's nodes in this process: opened and made equal, served, replaced when they fail, and
// brought back when they can be.
//
//            OpenLogs ─▶ Recover ─▶ (topology) ─▶ Serve ──▶ [ group ]
//                                                             │ a copy fails, or is stopped
//   in sync again ◀── JoinCopy ◀── catch up, or build anew ◀──┘ dropped ─▶ closed when no call that
//                                                                          may read it is left
//
// If the last copy is stopped the shard is not served; when one that is in sync may be used again
// it goes through these stages anew. Or a copy that is not in sync does, alone, by force: from then
// on what the others have more is no part of the shard, and they are built anew from it.
//
// Whoever begins a group, reviving or promoting what is not served, has the Turn: one at a time.
// What joins a group that serves needs none, so that a disk that hangs under one copy keeps nobody
// else from coming back: it cannot change a shard that has another group by then (the old one's
// changes of the topology are refused, by its epoch), and whose files it uses nobody else opens
// (NodeClaims).
//
// Thread safety: the functions of the opening belong to one thread, before anything else is called;
// Reclaim to one at a time; all others to any.
#ifndef SLOTKV_SHARD_SHARD_HOST_H_
#define SLOTKV_SHARD_SHARD_HOST_H_

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/expiry_clock.h"
#include "engine/store_resources.h"
#include "replication/group.h"
#include "replication/recovery.h"
#include "shard/call_gate.h"
#include "shard/cluster_membership.h"
#include "shard/event_queue.h"
#include "shard/node_claims.h"
#include "shard/open_zones.h"
#include "shard/router.h"
#include "shard/topology_keeper.h"
#include "slotkv/logger.h"
#include "slotkv/options.h"
#include "slotkv/stats.h"

namespace slotkv {

// What the shards of a cluster share. All of it outlives them.
struct HostContext {
  const Options* options = nullptr;
  OpenZones* zones = nullptr;
  StoreResources* resources = nullptr;
  TopologyKeeper* keeper = nullptr;
  ExpiryClock* clock = nullptr;
  CallGate* gate = nullptr;
  absl::Mutex* gate_mu = nullptr;  // held by the one who waits for running calls
  Router* router = nullptr;
  // Called on any thread.
  std::function<void(LogLevel, std::string_view)> log;
  std::function<void(EventQueue::Event)> tell;
  // Delivers OnTopologyChange.
  std::function<void()> tell_topology;

  // A valid topology names no others.
  std::shared_ptr<OpenZone> FindZone(std::string_view name) const { return zones->Find(name); }
  NodeOptions MakeNodeOptions(const ClusterState& state, const ShardState& shard,
                              const NodeState& node, OpenZone* zone) const;
};

class ShardHost {
 public:
  ShardHost(ShardId id, const HostContext* context);
  ~ShardHost();
  ShardHost(const ShardHost&) = delete;
  ShardHost& operator=(const ShardHost&) = delete;

  // ---- Opening, in this order ----

  void OpenLogs(const ClusterState& state, const ShardState& shard);
  // The highest time in the logs.
  uint64_t highest_clock_ms() const;
  // Makes the copies equal. An error: there is none that can be used. `*can_force`: but one that
  // Promote could make the primary by force; status() says what would be lost.
  absl::Status Recover(bool* can_force);
  // Writes the next epoch, and who is in sync, into the topology to come.
  void ApplyTo(ShardState* shard) const ABSL_LOCKS_EXCLUDED(mu_);
  // `shard` is durable. Begins its epoch.
  absl::Status Serve(const ShardState& shard);

  // ---- Open ----

  ShardId id() const { return id_; }
  // Null if no copy can be used; status() says why.
  std::shared_ptr<Group> group() const ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status status() const ABSL_LOCKS_EXCLUDED(mu_);
  // The nodes that are kept in sync here.
  std::vector<NodeId> Up() const;
  uint64_t replayed() const { return replayed_; }
  // What is known of a node that is not in sync.
  void AddTo(NodeStats* node) const ABSL_LOCKS_EXCLUDED(mu_);
  // Copies that were damaged, were built anew and are in sync again.
  uint64_t repairs() const { return repairs_; }

  // Whether Reclaim has something to do.
  bool WantsReclaim() ABSL_LOCKS_EXCLUDED(mu_);
  // Closes copies that were dropped, when the calls that may read them have ended, and deletes
  // those of nodes that were removed.
  void Reclaim() ABSL_LOCKS_EXCLUDED(mu_);

  // Those that may be brought back now.
  std::vector<NodeState> ToRejoin() const ABSL_LOCKS_EXCLUDED(mu_);
  // Brings one back. Takes as long as its data does to be copied; `go_on` is asked now and then,
  // and its error ends it. Nothing if somebody else is at it, or it is not wanted any more.
  void Rejoin(const NodeState& node, absl::FunctionRef<absl::Status()> go_on)
      ABSL_LOCKS_EXCLUDED(mu_);

  // See Cluster::Promote. Aborted: a copy is still being closed, which waits for all calls that run
  // now, this one included.
  absl::Status Promote(std::optional<NodeId> node, bool force) ABSL_LOCKS_EXCLUDED(mu_);

  // As if the process of that node were killed. Ok: it serves nothing any more.
  absl::Status StopNode(NodeId node) ABSL_LOCKS_EXCLUDED(mu_);
  // It is brought back in the background.
  void StartNode(NodeId node) ABSL_LOCKS_EXCLUDED(mu_);
  // The topology does not name the node any more: deletes what it has in the zone when its files
  // are closed.
  void DeleteWhenClosed(NodeId node, std::shared_ptr<const OpenZone> zone) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  // Held by the one who begins a group while the cluster is open.
  class Turn;

  // Where a node's files are, or are to be, open.
  struct Place {
    std::shared_ptr<OpenZone> zone;
    std::shared_ptr<NodeClaims::Claim> claim;  // null: they are not
  };
  using Opener = absl::FunctionRef<absl::StatusOr<std::unique_ptr<Node>>(const NodeOptions&,
                                                                         bool in_sync, Place*)>;

  struct Doomed {
    NodeId node;
    std::shared_ptr<const OpenZone> zone;
  };

  // A copy whose files are not to be used, and that is therefore built anew.
  struct Rebuild {
    absl::Status why;  // ok: it is not
    bool damaged = false;
    uint32_t incarnation = 0;  // the last one that is not to be used
  };

  struct Attempts {
    absl::Time next = absl::InfinitePast();
    absl::Duration delay;
  };

  // Of a node that is not in sync.
  struct Absence {
    absl::Status why;
    uint64_t copied_bytes = 0;
    uint64_t bytes_to_copy = 0;
  };

  void TellOfDrop(NodeId node, const absl::Status& why) ABSL_LOCKS_EXCLUDED(mu_);
  void TellOfReturn(NodeId node, const Rebuild& rebuild) ABSL_LOCKS_EXCLUDED(mu_);
  void TellOfChange(const ShardState& before, const ShardState& now) const;
  void ForgetRecovering();
  void PassOverDamaged() ABSL_LOCKS_EXCLUDED(mu_);
  Membership NextMembership(const ShardState& shard) const ABSL_LOCKS_EXCLUDED(mu_);
  std::unique_ptr<Group> MakeGroup(const ShardState& shard);
  std::shared_ptr<LocalReplica> Wrap(const Place& place, std::unique_ptr<Node> node);
  // As OpenLogs, with the Turn held, of a shard that was open before.
  void ReopenLogs(const ClusterState& state, const ShardState& shard) ABSL_LOCKS_EXCLUDED(mu_);
  void OpenLogsWith(const ClusterState& state, const ShardState& shard, Opener open)
      ABSL_LOCKS_EXCLUDED(mu_);
  absl::StatusOr<std::unique_ptr<Node>> OpenAside(const NodeOptions& options, absl::Time deadline,
                                                  Place* place);
  absl::Status Claim(const NodeState& node, Place* place) ABSL_LOCKS_EXCLUDED(mu_);
  void RaiseClock(const Node& node) const;
  // In the zone as it is now.
  bool IsClosed(const NodeState& node) const;
  bool WantsBack(const NodeState& node) const ABSL_SHARED_LOCKS_REQUIRED(mu_);
  std::optional<std::shared_ptr<Group>> GroupToJoin(const NodeState& node) const
      ABSL_LOCKS_EXCLUDED(mu_);
  void DeleteDoomed() ABSL_LOCKS_EXCLUDED(mu_);
  absl::Status Revive();
  absl::Status ServeRecovered(const ShardState& before);
  absl::Status RejoinNode(Group* group, const NodeState& node, const Place& place,
                          absl::FunctionRef<absl::Status()> go_on);
  absl::StatusOr<std::unique_ptr<Node>> OpenToCatchUp(const NodeOptions& options,
                                                      const Copies& copies, const Log& log) const;
  static Rebuild WhyAnew(const absl::Status& opened, const NodeState& node, const OpenZone& zone);
  Rebuild KnownRebuild(NodeId node) const ABSL_LOCKS_EXCLUDED(mu_);
  void NoteRebuild(NodeId node, const Rebuild& rebuild) ABSL_LOCKS_EXCLUDED(mu_);
  void NoteDamageOf(const Group& group) ABSL_LOCKS_EXCLUDED(mu_);
  bool IsStopped(NodeId node) const ABSL_LOCKS_EXCLUDED(mu_);
  std::optional<LogIndex> acknowledged() const ABSL_LOCKS_EXCLUDED(mu_);
  void RetireLocked(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void NoteAttempt(NodeId node, const absl::Status& status) ABSL_LOCKS_EXCLUDED(mu_);

  // Of Promote; shard_host_promote.cc.
  absl::Status PromoteAny(std::optional<NodeId> node, bool force);
  absl::Status PromoteServed(Group* group, std::optional<NodeId> node);
  absl::Status PromoteUnserved(std::optional<NodeId> node, bool force);
  absl::Status AwaitsClosing(const ShardState& shard, std::optional<NodeId> node)
      ABSL_LOCKS_EXCLUDED(mu_);
  void NoteFailuresOf(const Group& group);
  absl::StatusOr<RecoveringCopy*> Choose(const ShardState& shard, std::optional<NodeId> node);
  absl::Status Force(const ShardState& before, RecoveringCopy* chosen);
  absl::Status EndLastGroup() ABSL_LOCKS_EXCLUDED(mu_);

  const ShardId id_;
  const HostContext* const context_;
  ClusterMembership membership_;

  // The opening's, and later of whoever holds a Turn. As the topology's nodes.
  std::vector<RecoveringCopy> recovering_;
  std::vector<Place> places_;  // of each
  // Reclaim's: readers may still be there.
  std::vector<Copy> dropped_;
  std::vector<std::shared_ptr<Group>> retired_;
  NodeClaims claims_;
  std::atomic<uint64_t> replayed_{0};
  std::atomic<uint64_t> repairs_{0};

  mutable absl::Mutex mu_;
  std::shared_ptr<Group> group_ ABSL_GUARDED_BY(mu_);
  absl::Status status_ ABSL_GUARDED_BY(mu_);
  bool turn_taken_ ABSL_GUARDED_BY(mu_) = false;
  // The last one that StopNode or Promote has taken from group_, while it is there, and up to where
  // its writers may have been told of records.
  std::weak_ptr<Group> last_group_ ABSL_GUARDED_BY(mu_);
  std::optional<LogIndex> acknowledged_ ABSL_GUARDED_BY(mu_);
  std::set<NodeId> stopped_ ABSL_GUARDED_BY(mu_);
  std::map<NodeId, Attempts> attempts_ ABSL_GUARDED_BY(mu_);
  std::map<NodeId, Absence> absent_ ABSL_GUARDED_BY(mu_);
  // Until they are in sync again, or served for want of a better one. After a restart the
  // topology's incarnation says as much.
  std::map<NodeId, Rebuild> rebuilds_ ABSL_GUARDED_BY(mu_);
  std::vector<Doomed> doomed_ ABSL_GUARDED_BY(mu_);
  bool reclaiming_ ABSL_GUARDED_BY(mu_) = false;  // dropped_ or retired_ is not empty
  // Taken from group_; for Reclaim to close.
  std::vector<std::shared_ptr<Group>> to_retire_ ABSL_GUARDED_BY(mu_);
};

class ShardHost::Turn {
 public:
  // Waits that long for whoever holds it.
  Turn(ShardHost* host, absl::Duration patience);
  ~Turn();
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  bool taken() const { return taken_; }

 private:
  ShardHost* const host_;
  bool taken_ = false;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_SHARD_HOST_H_
