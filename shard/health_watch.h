// Notices when a shard stops or resumes taking writes, and says so.
#ifndef SLOTKV_SHARD_HEALTH_WATCH_H_
#define SLOTKV_SHARD_HEALTH_WATCH_H_

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "shard/event_queue.h"
#include "shard/shard_host.h"
#include "slotkv/logger.h"

namespace slotkv {

// For one thread.
class HealthWatch {
 public:
  // The hosts and `events` must outlive it; `logger` may be null.
  HealthWatch(std::vector<ShardHost*> hosts, EventQueue* events, std::shared_ptr<Logger> logger);

  // Compares each shard with what it was at the last look.
  void Look();

 private:
  struct Member {
    ShardHost* host = nullptr;
    absl::Status last;
  };

  std::vector<Member> members_;
  EventQueue* const events_;
  const std::shared_ptr<Logger> logger_;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_HEALTH_WATCH_H_
