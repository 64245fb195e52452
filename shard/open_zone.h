// A zone as this process has it open.
#ifndef SLOTKV_SHARD_OPEN_ZONE_H_
#define SLOTKV_SHARD_OPEN_ZONE_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "engine/disk.h"
#include "engine/worker_pool.h"
#include "shard/cluster_state.h"
#include "shard/zone_directory.h"

namespace slotkv {

// Not changed any more once it is one of the OpenZones.
struct OpenZone {
  OpenZone(ZoneState zone_state, std::string zone_path, std::shared_ptr<FileHook> hook)
      : state(std::move(zone_state)),
        path(std::move(zone_path)),
        disk(std::make_unique<Disk>(std::move(hook))) {}

  ZoneState state;
  const std::string path;
  const std::unique_ptr<Disk> disk;
  std::unique_ptr<ZoneDirectory> directory;
  absl::Status status;  // not ok: why the zone is down

  // A disk that hangs holds up the threads of its own zone only. A reservation, a flush and an
  // application may be under way at once; whoever asks for a sync waits for syncs alone; copies
  // come back, and are closed, aside: the one takes as long as their data does to be copied, the
  // other waits for all they had under way.
  WorkerPool workers{3};
  WorkerPool syncers{4};
  WorkerPool rebuilders{1};
  WorkerPool closers{1};
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_OPEN_ZONE_H_
