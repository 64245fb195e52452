#include "shard/open_zones.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"
#include "engine/check.h"

namespace slotkv {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(1);

// Nobody else has it, and nobody can come to have it: what was left is not handed out.
bool IsUnused(const std::shared_ptr<OpenZone>& zone) { return zone.use_count() == 1; }

}  // namespace

std::vector<std::shared_ptr<OpenZone>> OpenZones::All() const {
  absl::MutexLock lock(&mu_);
  return zones_;
}

std::shared_ptr<OpenZone> OpenZones::Find(std::string_view name) const {
  absl::MutexLock lock(&mu_);
  const auto it = std::find_if(zones_.begin(), zones_.end(),
                               [name](const auto& zone) { return zone->state.name == name; });
  SLOTKV_CHECK(it != zones_.end());
  return *it;
}

void OpenZones::Add(std::shared_ptr<OpenZone> zone) {
  absl::MutexLock lock(&mu_);
  zones_.push_back(std::move(zone));
}

void OpenZones::Replace(std::shared_ptr<OpenZone> zone) {
  absl::MutexLock lock(&mu_);
  const auto it = std::find_if(zones_.begin(), zones_.end(), [&](const auto& candidate) {
    return candidate->state.name == zone->state.name;
  });
  SLOTKV_CHECK(it != zones_.end());
  it->swap(zone);
  left_.push_back(std::move(zone));
}

void OpenZones::Leave(std::shared_ptr<OpenZone> zone) {
  absl::MutexLock lock(&mu_);
  left_.push_back(std::move(zone));
}

bool OpenZones::HasUnused() const {
  absl::MutexLock lock(&mu_);
  return std::any_of(left_.begin(), left_.end(), IsUnused);
}

void OpenZones::DestroyUnused() {
  Zones unused;
  {
    absl::MutexLock lock(&mu_);
    const auto first = std::stable_partition(left_.begin(), left_.end(),
                                             [](const auto& zone) { return !IsUnused(zone); });
    unused.assign(std::make_move_iterator(first), std::make_move_iterator(left_.end()));
    left_.erase(first, left_.end());
    for (const std::shared_ptr<OpenZone>& zone : unused) closing_.insert(zone->path);
  }
  for (std::shared_ptr<OpenZone>& zone : unused) {
    const std::string path = zone->path;
    zone.reset();
    absl::MutexLock lock(&mu_);
    closing_.erase(closing_.find(path));
  }
}

bool OpenZones::AwaitClosed(std::string_view path, absl::Time deadline) const {
  const auto closed = [this, path]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return closing_.find(path) == closing_.end() &&
           std::none_of(left_.begin(), left_.end(),
                        [path](const auto& zone) { return zone->path == path; });
  };
  absl::MutexLock lock(&mu_);
  return mu_.AwaitWithDeadline(absl::Condition(&closed), deadline);
}

void OpenZones::Clear() {
  Zones zones;
  {
    absl::MutexLock lock(&mu_);
    zones.swap(zones_);
    for (std::shared_ptr<OpenZone>& zone : left_) zones.push_back(std::move(zone));
    left_.clear();
  }
  // A job of the zone's own threads may not be the last to let go of it.
  for (const std::shared_ptr<OpenZone>& zone : zones) {
    while (!IsUnused(zone)) absl::SleepFor(kPause);
  }
}

}  // namespace slotkv
