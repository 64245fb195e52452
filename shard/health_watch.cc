#include "shard/health_watch.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace slotkv {

HealthWatch::HealthWatch(std::vector<ShardHost*> hosts, EventQueue* events,
                         std::shared_ptr<Logger> logger)
    : events_(events), logger_(std::move(logger)) {
  for (ShardHost* const host : hosts) members_.push_back({host, absl::OkStatus()});
}

void HealthWatch::Look() {
  for (Member& member : members_) {
    const ShardId shard = member.host->id();
    const std::shared_ptr<Group> group = member.host->group();
    const absl::Status now = group == nullptr ? member.host->status() : group->WriteError();
    if (now == member.last) continue;
    member.last = now;
    if (now.ok()) {
      events_->Add([shard](EventListener* listener) { listener->OnWritesResumed(shard); });
    } else {
      events_->Add(
          [shard, now](EventListener* listener) { listener->OnWritesRefused(shard, now); });
    }
    if (logger_ == nullptr) continue;
    const LogLevel level = now.ok()                         ? LogLevel::kInfo
                           : absl::IsResourceExhausted(now) ? LogLevel::kWarning
                                                            : LogLevel::kError;
    logger_->Log(level, now.ok()
                            ? absl::StrCat(shard.ToString(), " takes writes again")
                            : absl::StrCat(shard.ToString(), " takes no writes: ", now.message()));
  }
}

}  // namespace slotkv
