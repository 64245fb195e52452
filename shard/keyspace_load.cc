// GetOrLoad.
#include <utility>

#include "absl/time/clock.h"
#include "shard/checks.h"
#include "shard/keyspace_calls.h"
#include "shard/load_table.h"
#include "slotkv/keyspace.h"

namespace slotkv {

absl::StatusOr<std::string> Keyspace::GetOrLoad(
    std::string_view key, absl::FunctionRef<absl::StatusOr<std::string>(std::string_view)> loader,
    const LoadOptions& options) {
  if (absl::Status status = CheckTtl("LoadOptions.ttl", options.ttl); !status.ok()) return status;
  if (options.wait_timeout < absl::ZeroDuration()) {
    return absl::InvalidArgumentError("LoadOptions.wait_timeout is negative");
  }
  const CallGate::Pass pass(impl_->gate());
  if (!pass.open()) return Closed();
  const absl::Duration ttl =
      options.ttl == absl::InfiniteDuration() ? impl_->options().default_ttl : options.ttl;
  const Slot slot = SlotForKey(key);
  const absl::Time deadline = absl::Now() + options.wait_timeout;
  std::string value;
  while (true) {
    absl::Status status = Get(key, &value);
    if (status.ok()) return value;
    if (!absl::IsNotFound(status)) return status;
    LoadTable::Lead lead;
    switch (impl_->loads()->Begin(slot, key, deadline, &lead)) {
      case LoadTable::Outcome::kTimedOut:
        return absl::DeadlineExceededError(
            "another load of the key did not end within LoadOptions.wait_timeout");
      case LoadTable::Outcome::kWaited:
        continue;
      case LoadTable::Outcome::kLeads:
        break;
    }
    // Somebody may have stored it just before the load began.
    status = Get(key, &value);
    if (status.ok()) return value;
    if (!absl::IsNotFound(status)) return status;
    impl_->loads()->CountLoad();
    absl::StatusOr<std::string> loaded = loader(key);
    if (!loaded.ok()) return loaded;
    if (status = CheckValue(*loaded); status.ok()) {
      LoadMutation mutation({slot, key, /*loads=*/nullptr}, &lead, *loaded, ttl);
      status = impl_->router().Write(only_, slot, &mutation);
      if (absl::IsFailedPrecondition(status)) return status;  // the key holds a hash by now
      if (status.ok() && mutation.present().has_value()) return *std::move(mutation.present());
    }
    if (!status.ok()) impl_->loads()->CountNotStored();
    return loaded;
  }
}

}  // namespace slotkv
