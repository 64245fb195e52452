// The zones of a cluster as this process has them open. A zone that is opened anew, or is replaced
// by another disk, takes the place of what was there; that is closed when nothing uses it any more,
// which may be never if its disk hangs.
//
// Thread-safe. No I/O but in DestroyUnused and Clear.
#ifndef SLOTKV_SHARD_OPEN_ZONES_H_
#define SLOTKV_SHARD_OPEN_ZONES_H_

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "shard/open_zone.h"

namespace slotkv {

class OpenZones {
 public:
  OpenZones() = default;
  ~OpenZones() { Clear(); }
  OpenZones(const OpenZones&) = delete;
  OpenZones& operator=(const OpenZones&) = delete;

  // In the order in which they were added.
  std::vector<std::shared_ptr<OpenZone>> All() const ABSL_LOCKS_EXCLUDED(mu_);
  // There is one of that name.
  std::shared_ptr<OpenZone> Find(std::string_view name) const ABSL_LOCKS_EXCLUDED(mu_);

  void Add(std::shared_ptr<OpenZone> zone) ABSL_LOCKS_EXCLUDED(mu_);
  // Takes the place of the zone of its name.
  void Replace(std::shared_ptr<OpenZone> zone) ABSL_LOCKS_EXCLUDED(mu_);

  // It will not be one of them, but something may be under way in it.
  void Leave(std::shared_ptr<OpenZone> zone) ABSL_LOCKS_EXCLUDED(mu_);

  // Whether DestroyUnused has something to do.
  bool HasUnused() const ABSL_LOCKS_EXCLUDED(mu_);
  // Closes what was replaced or left, and is not used any more.
  void DestroyUnused() ABSL_LOCKS_EXCLUDED(mu_);
  // Waits until everything that was replaced or left at that path is closed; others must call
  // DestroyUnused meanwhile. False: not by the deadline.
  bool AwaitClosed(std::string_view path, absl::Time deadline) const ABSL_LOCKS_EXCLUDED(mu_);

  // Closes all of them, when what is being closed in them is closed. Nothing else uses them.
  void Clear() ABSL_LOCKS_EXCLUDED(mu_);

 private:
  using Zones = std::vector<std::shared_ptr<OpenZone>>;

  mutable absl::Mutex mu_;
  Zones zones_ ABSL_GUARDED_BY(mu_);
  Zones left_ ABSL_GUARDED_BY(mu_);
  // Paths of those that are being destroyed.
  std::multiset<std::string, std::less<>> closing_ ABSL_GUARDED_BY(mu_);
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_OPEN_ZONES_H_
