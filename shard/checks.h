// What every data call checks before it goes anywhere.
#ifndef SLOTKV_SHARD_CHECKS_H_
#define SLOTKV_SHARD_CHECKS_H_

#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "slotkv/options.h"

namespace slotkv {

// InvalidArgument naming size and limit (limits.h).
absl::Status CheckKey(std::string_view key);
absl::Status CheckValue(std::string_view value);
// InvalidArgument naming the field.
absl::Status CheckSetOptions(const SetOptions& options);
// InvalidArgument if `ttl`, called `name`, is not positive.
absl::Status CheckTtl(std::string_view name, absl::Duration ttl);

// FailedPrecondition if a key that exists, or does not, fails `condition`.
absl::Status CheckCondition(SetCondition condition, bool exists);

// Redis's answer to keys of several slots where one slot is asked for.
absl::Status CrossSlot();

}  // namespace slotkv

#endif  // SLOTKV_SHARD_CHECKS_H_
