// A cluster that is open: its zones, shards and their groups, and the router that every data call
// goes through. Cluster and Shard (cluster.h) are the public faces of it.
//
// Opening, in stages (cluster_open.cc):
//   lock → zones → topology → logs → expiry clock → stores and replay → new shard epochs, durable
//   → first record of each → slot words published → housekeeping
//
// Invariants:
//   1. A shard's epoch is durable in the topology before the shard logs anything under it.
//   2. The slot table says what the topology says; it is published after the topology is durable.
//   3. Members are destroyed in an order in which nothing outlives what it uses.
#ifndef SLOTKV_SHARD_CLUSTER_IMPL_H_
#define SLOTKV_SHARD_CLUSTER_IMPL_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/disk.h"
#include "engine/expiry_clock.h"
#include "engine/store_resources.h"
#include "engine/worker_pool.h"
#include "shard/call_gate.h"
#include "shard/cluster_files.h"
#include "shard/event_queue.h"
#include "shard/health_watch.h"
#include "shard/load_table.h"
#include "shard/maintenance.h"
#include "shard/open_zones.h"
#include "shard/router.h"
#include "shard/shard_host.h"
#include "shard/topology_keeper.h"
#include "slotkv/options.h"
#include "slotkv/stats.h"
#include "slotkv/topology.h"

namespace slotkv {

class ClusterImpl {
 public:
  // `hook` sees every file operation of the cluster; null but in tests.
  static absl::StatusOr<std::unique_ptr<ClusterImpl>> Open(const Options& options,
                                                           const std::string& path,
                                                           std::shared_ptr<FileHook> hook);
  static absl::Status Destroy(const std::string& path);
  ~ClusterImpl();
  ClusterImpl(const ClusterImpl&) = delete;
  ClusterImpl& operator=(const ClusterImpl&) = delete;

  absl::Status Close();

  const Options& options() const { return options_; }
  ExpiryClock& clock() { return *clock_; }
  // Every call goes through one of them.
  CallGate* gate() { return &gate_; }
  // Those that wait until copies are closed, which waits for the calls that go through the other.
  // They read no copy.
  CallGate* zone_gate() { return &zone_gate_; }

  Router& router() { return router_; }
  LoadTable* loads() { return &loads_; }

  Topology GetTopology() const;
  // Without SlotStats::keys.
  ClusterStats GetStats(const StatsOptions& options);
  absl::Status Verify();
  // Flushes all stores and waits for it.
  absl::Status Flush();

  // See ShardHost.
  absl::Status Promote(ShardId shard, std::optional<NodeId> node, bool force);
  // See Cluster.
  absl::Status StopNode(NodeId node);
  absl::Status StartNode(NodeId node);
  absl::Status StopZone(const std::string& name);
  absl::Status StartZone(const std::string& name);
  absl::Status ReplaceZone(const std::string& name, const std::string& path);
  absl::Status AddReplica(ShardId shard, const std::string& zone);
  absl::Status RemoveReplica(NodeId node);

 private:
  ClusterImpl(const Options& options, std::string path, std::shared_ptr<FileHook> hook);

  absl::Status OpenOrCreate();
  absl::Status Create();
  absl::Status CreateContents(const ClusterPointer& pointer);
  absl::Status CreateNodes(const ClusterState& state);
  absl::Status OpenEachZone(const ClusterPointer& pointer);
  // `next`: takes the place of the zone of its name; null: none does.
  absl::Status CheckDevices(const OpenZone* next) const;
  absl::Status OpenTopology(const ClusterId& cluster);
  std::vector<TopologyCopy> TopologyCopies() const;
  absl::Status OpenShards();
  absl::Status StartEpochs();
  absl::Status ChangeTopology(absl::FunctionRef<absl::Status(ClusterState*)> change);
  ShardHost* FindHost(ShardId shard) const;
  absl::StatusOr<ShardHost*> HostOf(NodeId node) const;

  // The zones (cluster_zones.cc).
  class ZoneTurn;
  absl::StatusOr<std::shared_ptr<OpenZone>> FindZone(const std::string& name) const;
  std::vector<NodeId> NodesIn(const std::string& zone) const;
  void StartNodesIn(const std::string& zone);
  // With the turn held.
  absl::Status TakeDown(const std::string& name, const absl::Status& why);
  absl::Status NameInTopology(const ZoneState& zone);
  absl::Status BringUp(const std::shared_ptr<OpenZone>& zone);
  absl::Status OpenAgain(const OpenZone& down, absl::Time deadline);
  absl::Status CheckReplaceable(const std::string& name) const;
  absl::Status SetPointer(const OpenZone& zone) const;
  absl::Status RunIn(const std::shared_ptr<OpenZone>& zone, absl::Time deadline,
                     std::function<absl::Status()> job);

  absl::Status VerifyShard(const ShardState& shard);
  void DeleteDebris() const;
  void PublishSlots();
  void StartHousekeeping();
  void TellOfOpen(absl::Duration took);
  // A line for the operator.
  void Log(LogLevel level, std::string_view text) const;

  const Options options_;
  const std::string path_;
  const std::shared_ptr<FileHook> hook_;

  absl::Mutex close_mu_;  // held by the one who closes
  CallGate gate_;
  CallGate zone_gate_;
  absl::Mutex gate_mu_;
  std::unique_ptr<Disk> disk_;  // the cluster's own directory
  std::unique_ptr<DirectoryLock> lock_;
  std::unique_ptr<StoreResources> resources_;
  std::unique_ptr<ExpiryClock> clock_;
  // Closes what is left of copies when it goes.
  OpenZones zones_;
  absl::Mutex zone_turn_mu_;
  // Somebody stops, starts or replaces a zone.
  bool zone_turn_taken_ ABSL_GUARDED_BY(zone_turn_mu_) = false;
  std::unique_ptr<TopologyKeeper> keeper_;
  HostContext context_;
  // As the topology's shards. Not changed while open.
  std::vector<std::unique_ptr<ShardHost>> hosts_;
  Router router_;
  LoadTable loads_;
  std::unique_ptr<EventQueue> events_;
  std::unique_ptr<HealthWatch> health_;  // used by maintenance_'s thread
  std::unique_ptr<Maintenance> maintenance_;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_CLUSTER_IMPL_H_
