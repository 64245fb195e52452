// A topology in memory.
#ifndef SLOTKV_REPLICATION_FAKE_KEEPER_H_
#define SLOTKV_REPLICATION_FAKE_KEEPER_H_

#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "replication/membership.h"

namespace slotkv {

// Remembers what it was asked to make durable. For one thread at a time.
class FakeKeeper final : public MembershipKeeper {
 public:
  absl::Status Change(const Membership& next, absl::Duration) override {
    if (before_change) before_change();
    if (!status.ok()) return status;
    changes.push_back(next);
    return absl::OkStatus();
  }

  std::vector<Membership> changes;
  absl::Status status;
  std::function<void()> before_change;
};

}  // namespace slotkv

#endif  // SLOTKV_REPLICATION_FAKE_KEEPER_H_
