#include "shard/checks.h"

#include "absl/strings/str_cat.h"
#include "engine/text.h"
#include "slotkv/limits.h"

namespace slotkv {

absl::Status CheckKey(std::string_view key) {
  if (key.size() <= kMaxKeyBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a key of ", key.size(), " bytes exceeds ", kMaxKeyBytes));
}

absl::Status CheckValue(std::string_view value) {
  if (value.size() <= kMaxValueBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("a value of ", value.size(), " bytes exceeds ", kMaxValueBytes));
}

absl::Status CheckTtl(std::string_view name, absl::Duration ttl) {
  if (ttl > absl::ZeroDuration()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(ToAbsl(name), " is ", absl::FormatDuration(ttl), ", must be positive"));
}

absl::Status CheckSetOptions(const SetOptions& options) {
  if (absl::Status status = CheckTtl("SetOptions.ttl", options.ttl); !status.ok()) return status;
  if (options.keep_ttl && options.ttl != absl::InfiniteDuration()) {
    return absl::InvalidArgumentError("SetOptions.keep_ttl excludes SetOptions.ttl");
  }
  return absl::OkStatus();
}

absl::Status CheckCondition(SetCondition condition, bool exists) {
  if (exists && condition == SetCondition::kIfAbsent) {
    return absl::FailedPreconditionError("the key exists");
  }
  if (!exists && condition == SetCondition::kIfPresent) {
    return absl::FailedPreconditionError("the key does not exist");
  }
  return absl::OkStatus();
}

absl::Status CrossSlot() {
  return absl::InvalidArgumentError("CROSSSLOT Keys in request don't hash to the same slot");
}

}  // namespace slotkv
