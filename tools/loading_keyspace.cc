#include "tools/loading_keyspace.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tools/resp_reader.h"

namespace slotkv::tools {
namespace {

// What an expired key costs besides its bytes: list node, table entry, allocations.
constexpr size_t kExpiredKeyOverheadBytes = 160;

// Errors that only say that there was nothing to do.
absl::Status Unless(absl::StatusCode expected, absl::Status status) {
  return status.code() == expected ? absl::OkStatus() : status;
}

bool Holds(const ExpireConditions& conditions, absl::Time current, absl::Time next) {
  const bool none = current == absl::InfiniteFuture();
  return !(conditions.if_none && !none) && !(conditions.if_some && none) &&
         !(conditions.if_later && next <= current) && !(conditions.if_earlier && next >= current);
}

}  // namespace

StillClock::StillClock() : now_(absl::FromUnixMillis(absl::ToUnixMillis(absl::Now()))) {}

LoadingKeyspace::LoadingKeyspace(Cluster* cluster, absl::Time now, size_t expired_bytes_max)
    : cluster_(cluster), now_(now), expired_bytes_max_(expired_bytes_max) {}

absl::Status LoadingKeyspace::Apply(const Operation& operation) {
  switch (operation.kind) {
    case Operation::Kind::kSet:
      return Set(operation);
    case Operation::Kind::kDelete:
      return Delete(operation);
    case Operation::Kind::kExpire:
      return Expire(operation);
    case Operation::Kind::kPersist:
      return Persist(operation);
    case Operation::Kind::kIncrement:
      return Increment(operation);
    case Operation::Kind::kAppend:
      return Append(operation);
    case Operation::Kind::kRequireAbsent:
      return RequireAbsent(operation);
  }
  return absl::InternalError("an operation of no kind");
}

absl::Status LoadingKeyspace::Set(const Operation& operation) {
  ExpiredKey* const expired = FindExpired(operation.key);
  if (expired != nullptr && operation.condition == SetCondition::kIfAbsent) return absl::OkStatus();
  if (expired != nullptr && operation.keep_ttl) {
    SetExpiredValue(expired, operation.value);
    return absl::OkStatus();
  }
  if (operation.deadline <= now_) return SetExpired(operation);

  SetOptions options;
  options.ttl = operation.deadline - now_;
  options.keep_ttl = operation.keep_ttl;
  // To the cluster the expired key is missing, but to the stream it is there.
  options.condition = expired != nullptr ? SetCondition::kAlways : operation.condition;
  absl::Status set = cluster_->Set(operation.key, operation.value, options);
  if (set.ok() && expired != nullptr) EraseExpired(operation.key);
  if (operation.condition == SetCondition::kAlways) return set;
  return Unless(absl::StatusCode::kFailedPrecondition, std::move(set));
}

absl::Status LoadingKeyspace::SetExpired(const Operation& operation) {
  if (FindExpired(operation.key) == nullptr) {
    // A key that stays as it is, or that goes from the cluster into memory.
    if (operation.condition == SetCondition::kIfAbsent) {
      absl::StatusOr<bool> exists = cluster_->Exists(operation.key);
      if (!exists.ok() || *exists) return exists.status();
    } else {
      absl::StatusOr<bool> deleted = cluster_->Delete(operation.key);
      if (!deleted.ok()) return deleted.status();
      if (!*deleted && operation.condition == SetCondition::kIfPresent) return absl::OkStatus();
    }
  }
  PutExpired(operation.key, operation.value, operation.deadline);
  return absl::OkStatus();
}

absl::Status LoadingKeyspace::Delete(const Operation& operation) {
  EraseExpired(operation.key);
  return cluster_->Delete(operation.key).status();
}

absl::Status LoadingKeyspace::Expire(const Operation& operation) {
  absl::StatusOr<absl::Time> current = CurrentDeadline(operation.key);
  if (!current.ok()) return Unless(absl::StatusCode::kNotFound, current.status());
  if (!Holds(operation.expire_conditions, *current, operation.deadline)) return absl::OkStatus();
  if (operation.deadline == absl::InfinitePast()) return Delete(operation);

  ExpiredKey* const expired = FindExpired(operation.key);
  if (operation.deadline > now_) {
    if (expired != nullptr) return Revive(*expired, operation.deadline);
    return cluster_->Expire(operation.key, operation.deadline - now_).status();
  }
  if (expired != nullptr) {
    expired->deadline = operation.deadline;
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> value = cluster_->Get(operation.key);
  if (!value.ok()) return value.status();
  absl::StatusOr<bool> deleted = cluster_->Delete(operation.key);
  if (deleted.ok()) PutExpired(operation.key, *value, operation.deadline);
  return deleted.status();
}

absl::Status LoadingKeyspace::Persist(const Operation& operation) {
  ExpiredKey* const expired = FindExpired(operation.key);
  if (expired != nullptr) return Revive(*expired, absl::InfiniteFuture());
  return cluster_->Persist(operation.key).status();
}

absl::Status LoadingKeyspace::Increment(const Operation& operation) {
  ExpiredKey* const expired = FindExpired(operation.key);
  if (expired == nullptr) return cluster_->Increment(operation.key, operation.delta).status();
  int64_t number = 0;
  if (!ParseRedisInteger(expired->value, &number)) {
    return absl::FailedPreconditionError("ERR value is not an integer or out of range");
  }
  if (__builtin_add_overflow(number, operation.delta, &number)) {
    return absl::OutOfRangeError("ERR increment or decrement would overflow");
  }
  SetExpiredValue(expired, absl::StrCat(number));
  return absl::OkStatus();
}

absl::Status LoadingKeyspace::Append(const Operation& operation) {
  ExpiredKey* const expired = FindExpired(operation.key);
  if (expired == nullptr) return cluster_->Append(operation.key, operation.value).status();
  if (expired->value.size() + operation.value.size() > kMaxValueBytes) {
    return absl::InvalidArgumentError("ERR string exceeds maximum allowed size");
  }
  SetExpiredValue(expired, expired->value + operation.value);
  return absl::OkStatus();
}

absl::Status LoadingKeyspace::RequireAbsent(const Operation& operation) {
  if (FindExpired(operation.key) != nullptr) return absl::FailedPreconditionError("");
  absl::StatusOr<bool> exists = cluster_->Exists(operation.key);
  if (exists.ok() && *exists) return absl::FailedPreconditionError("");
  return exists.status();
}

LoadingKeyspace::ExpiredKey* LoadingKeyspace::FindExpired(std::string_view key) {
  if (expired_.empty()) return nullptr;
  const auto found = expired_by_key_.find(key);
  if (found == expired_by_key_.end()) return nullptr;
  expired_.splice(expired_.begin(), expired_, found->second);
  return &expired_.front();
}

void LoadingKeyspace::PutExpired(std::string_view key, std::string_view value,
                                 absl::Time deadline) {
  EraseExpired(key);
  expired_.push_front({std::string(key), std::string(value), deadline});
  expired_by_key_.emplace(expired_.front().key, expired_.begin());
  expired_bytes_ += key.size() + value.size() + kExpiredKeyOverheadBytes;
  while (expired_bytes_ > expired_bytes_max_ && !expired_.empty()) {
    // A copy: EraseExpired frees the key itself.
    EraseExpired(std::string(expired_.back().key));
    ++expired_given_up_;
  }
}

void LoadingKeyspace::SetExpiredValue(ExpiredKey* expired, std::string value) {
  const ExpiredKey copy{expired->key, std::move(value), expired->deadline};
  PutExpired(copy.key, copy.value, copy.deadline);
}

void LoadingKeyspace::EraseExpired(std::string_view key) {
  if (expired_.empty()) return;
  const auto found = expired_by_key_.find(key);
  if (found == expired_by_key_.end()) return;
  const ExpiredKeys::iterator erased = found->second;
  expired_bytes_ -= erased->key.size() + erased->value.size() + kExpiredKeyOverheadBytes;
  expired_by_key_.erase(found);
  expired_.erase(erased);
}

absl::Status LoadingKeyspace::Revive(const ExpiredKey& expired, absl::Time deadline) {
  SetOptions options;
  options.ttl = deadline - now_;
  absl::Status set = cluster_->Set(expired.key, expired.value, options);
  // A copy, as above.
  if (set.ok()) EraseExpired(std::string(expired.key));
  return set;
}

absl::StatusOr<absl::Time> LoadingKeyspace::CurrentDeadline(std::string_view key) {
  const ExpiredKey* const expired = FindExpired(key);
  if (expired != nullptr) return expired->deadline;
  absl::StatusOr<absl::Duration> left = cluster_->TimeToLive(key);
  if (!left.ok()) return left.status();
  return now_ + *left;
}

}  // namespace slotkv::tools
