// What happens to a cluster, told to the service that embeds it.
#ifndef SLOTKV_SHARD_EVENT_LISTENER_H_
#define SLOTKV_SHARD_EVENT_LISTENER_H_

#include <string>

#include "absl/status/status.h"
#include "slotkv/ids.h"
#include "slotkv/topology.h"

namespace slotkv {

// Called on one thread of slotkv's, one event after the other and with no lock held, up to a tenth
// of a second after the fact. A listener may call the cluster, but not close it: Close waits for
// the listener. One that is slow holds up later events only; beyond 1024 that wait, further ones
// are dropped, and Logger is told how many.
class EventListener {
 public:
  virtual ~EventListener() = default;

  // Once the cluster is open, and after each change.
  virtual void OnTopologyChange(const Topology&) {}

  // A zone was not found at Open, is not the cluster's, or was stopped; its copies are not used.
  virtual void OnZoneDown(const std::string& /*zone*/, const absl::Status& /*why*/) {}
  // It was down or replaced, and is in use now, at this path; its copies come back by themselves.
  virtual void OnZoneUp(const std::string& /*zone*/, const std::string& /*path*/) {}

  // Another node has become the shard's primary.
  virtual void OnPromotion(ShardId, NodeId /*primary*/) {}
  // A copy is no longer in sync: it has failed, was too slow, or was stopped.
  virtual void OnNodeOutOfSync(NodeId, const absl::Status& /*why*/) {}
  // A copy is in sync again; `rebuilt`: from a copy of the primary's data.
  virtual void OnNodeInSync(NodeId, bool /*rebuilt*/) {}
  // After that, of a copy that was damaged: built anew from a sound one. `damage` names the file.
  virtual void OnNodeRepaired(NodeId, const absl::Status& /*damage*/) {}

  // The shard takes no writes: ResourceExhausted while its disk is full, Unavailable if too few
  // copies are in sync, or none can be used. In the last case reads may go on all the same.
  virtual void OnWritesRefused(ShardId, const absl::Status& /*why*/) {}
  // It takes writes again.
  virtual void OnWritesResumed(ShardId) {}
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_EVENT_LISTENER_H_
