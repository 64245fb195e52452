#include "tools/loading_keyspace.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tools/resp_reader.h"

namespace slotkv::tools {
namespace {

// Errors that only say that there was nothing to do.
absl::Status Unless(absl::StatusCode expected, absl::Status status) {
  return status.code() == expected ? absl::OkStatus() : status;
}

absl::Status WrongType() {
  return absl::FailedPreconditionError(
      "WRONGTYPE Operation against a key holding the wrong kind of value");
}

absl::Status StringTooLong() {
  return absl::InvalidArgumentError("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
}

absl::Status HashTooLarge(size_t bytes) {
  return absl::InvalidArgumentError(absl::StrCat("the hash would have ", bytes,
                                                 " bytes (names and values, and 16 for each ",
                                                 "field), more than ", kMaxHashBytes));
}

bool Holds(const ExpireConditions& conditions, absl::Time current, absl::Time next) {
  const bool none = current == absl::InfiniteFuture();
  return !(conditions.if_none && !none) && !(conditions.if_some && none) &&
         !(conditions.if_later && next <= current) && !(conditions.if_earlier && next >= current);
}

// Adds `delta` to the number that `text` is, and writes the sum into `*sum`.
absl::Status Add(const std::string& text, int64_t delta, const char* not_a_number,
                 std::string* sum) {
  int64_t number = 0;
  if (!ParseRedisInteger(text, &number)) return absl::FailedPreconditionError(not_a_number);
  if (__builtin_add_overflow(number, delta, &number)) {
    return absl::OutOfRangeError("ERR increment or decrement would overflow");
  }
  *sum = absl::StrCat(number);
  return absl::OkStatus();
}

// InvalidArgument if the hash would be too large with `fields` in it.
absl::Status CheckSize(const HashValue& hash, const std::vector<HashField>& fields) {
  size_t bytes = hash.bytes();
  // A name that stands there twice has its last value.
  absl::flat_hash_map<std::string_view, std::string_view> last;
  for (const HashField& field : fields) last[field.name] = field.value;
  for (const auto& [name, value] : last) {
    const std::string* const present = hash.Find(name);
    if (present != nullptr) bytes -= HashValue::FieldBytes(name, *present);
    bytes += HashValue::FieldBytes(name, value);
  }
  return bytes <= kMaxHashBytes ? absl::OkStatus() : HashTooLarge(bytes);
}

// All of `fields`, or none if the hash would be too large.
absl::Status SetFields(const std::vector<HashField>& fields, HashValue* hash) {
  absl::Status size = CheckSize(*hash, fields);
  if (!size.ok()) return size;
  for (const HashField& field : fields) hash->Set(field.name, field.value);
  return absl::OkStatus();
}

// Changes no field of a hash, or goes through HashSetInCluster.
bool KeepsFullHash(Operation::Kind kind) {
  return kind == Operation::Kind::kHashSet || kind == Operation::Kind::kHashIncrement ||
         kind == Operation::Kind::kRead || kind == Operation::Kind::kRequireAbsent;
}

}  // namespace

StillClock::StillClock() : now_(absl::FromUnixMillis(absl::ToUnixMillis(absl::Now()))) {}

LoadingKeyspace::LoadingKeyspace(Cluster* cluster, absl::Time now, size_t expired_bytes_max)
    : cluster_(cluster), now_(now), expired_(expired_bytes_max) {}

void LoadingKeyspace::Clear() {
  expired_.Clear();
  full_hash_.reset();
}

absl::Status LoadingKeyspace::Apply(const Operation& operation) {
  if (full_hash_.has_value() && full_hash_->key == operation.key &&
      !KeepsFullHash(operation.kind)) {
    full_hash_.reset();
  }
  if (operation.needs_string) {
    absl::Status string = RequireString(operation.key);
    if (!string.ok()) return string;
  }
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
    case Operation::Kind::kSetRange:
      return SetRange(operation);
    case Operation::Kind::kHashSet:
      return HashSet(operation);
    case Operation::Kind::kHashDelete:
      return HashDelete(operation);
    case Operation::Kind::kHashIncrement:
      return HashIncrement(operation);
    case Operation::Kind::kRead:
      return absl::OkStatus();
    case Operation::Kind::kRequireAbsent:
      return RequireAbsent(operation);
  }
  return absl::InternalError("an operation of no kind");
}

// ---- Strings, and all keys ----

absl::Status LoadingKeyspace::Set(const Operation& operation) {
  ExpiredKey* const expired = expired_.Find(operation.key);
  if (expired != nullptr && operation.condition == SetCondition::kIfAbsent) return absl::OkStatus();
  if (expired != nullptr && operation.keep_ttl) {
    expired->value = operation.value;
    expired_.Changed(expired);
    return absl::OkStatus();
  }
  if (operation.deadline <= now_) return SetExpired(operation);

  SetOptions options;
  options.ttl = operation.deadline - now_;
  options.keep_ttl = operation.keep_ttl;
  // To the cluster the expired key is missing, but to the stream it is there.
  options.condition = expired != nullptr ? SetCondition::kAlways : operation.condition;
  absl::Status set = cluster_->Set(operation.key, operation.value, options);
  if (set.ok() && expired != nullptr) expired_.Erase(operation.key);
  if (operation.condition == SetCondition::kAlways) return set;
  return Unless(absl::StatusCode::kFailedPrecondition, std::move(set));
}

absl::Status LoadingKeyspace::SetExpired(const Operation& operation) {
  if (expired_.Find(operation.key) == nullptr) {
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
  expired_.Put({operation.key, operation.value, operation.deadline});
  return absl::OkStatus();
}

absl::Status LoadingKeyspace::Delete(const Operation& operation) {
  expired_.Erase(operation.key);
  return cluster_->Delete(operation.key).status();
}

absl::Status LoadingKeyspace::Expire(const Operation& operation) {
  absl::StatusOr<absl::Time> current = CurrentDeadline(operation.key);
  if (!current.ok()) return Unless(absl::StatusCode::kNotFound, current.status());
  if (!Holds(operation.expire_conditions, *current, operation.deadline)) return absl::OkStatus();
  if (operation.deadline == absl::InfinitePast()) return Delete(operation);

  ExpiredKey* const expired = expired_.Find(operation.key);
  if (operation.deadline > now_) {
    if (expired != nullptr) return Revive(expired, operation.deadline);
    return cluster_->Expire(operation.key, operation.deadline - now_).status();
  }
  if (expired != nullptr) {
    expired->deadline = operation.deadline;
    return absl::OkStatus();
  }
  absl::StatusOr<Value> value = ReadValue(operation.key);
  if (!value.ok()) return value.status();
  absl::StatusOr<bool> deleted = cluster_->Delete(operation.key);
  if (deleted.ok()) expired_.Put({operation.key, *std::move(value), operation.deadline});
  return deleted.status();
}

absl::Status LoadingKeyspace::Persist(const Operation& operation) {
  ExpiredKey* const expired = expired_.Find(operation.key);
  if (expired != nullptr) return Revive(expired, absl::InfiniteFuture());
  return cluster_->Persist(operation.key).status();
}

absl::Status LoadingKeyspace::Increment(const Operation& operation) {
  ExpiredKey* const expired = expired_.Find(operation.key);
  if (expired == nullptr) return cluster_->Increment(operation.key, operation.delta).status();
  std::string* const text = expired->string();
  if (text == nullptr) return WrongType();
  absl::Status added =
      Add(*text, operation.delta, "ERR value is not an integer or out of range", text);
  expired_.Changed(expired);
  return added;
}

absl::Status LoadingKeyspace::Append(const Operation& operation) {
  ExpiredKey* const expired = expired_.Find(operation.key);
  if (expired == nullptr) {
    absl::Status appended = cluster_->Append(operation.key, operation.value).status();
    if (!absl::IsResourceExhausted(appended)) return appended;
    // Of the value's size, or of the disk?
    std::string value;
    absl::Status read = cluster_->Get(operation.key, &value);
    const bool too_long = read.ok() && value.size() + operation.value.size() > kMaxValueBytes;
    return too_long ? StringTooLong() : appended;
  }
  std::string* const text = expired->string();
  if (text == nullptr) return WrongType();
  if (text->size() + operation.value.size() > kMaxValueBytes) return StringTooLong();
  *text += operation.value;
  expired_.Changed(expired);
  return absl::OkStatus();
}

absl::Status LoadingKeyspace::SetRange(const Operation& operation) {
  ExpiredKey* const expired = expired_.Find(operation.key);
  const std::string& bytes = operation.value;
  // Redis looks at the type first.
  const bool too_long =
      !bytes.empty() &&
      operation.position > kMaxValueBytes - std::min(kMaxValueBytes, bytes.size());
  if (expired == nullptr) {
    if (!too_long) return cluster_->SetRange(operation.key, operation.position, bytes).status();
    absl::Status string = RequireString(operation.key);
    return string.ok() ? StringTooLong() : string;
  }
  std::string* const text = expired->string();
  if (text == nullptr) return WrongType();
  if (too_long) return StringTooLong();
  if (bytes.empty()) return absl::OkStatus();
  text->resize(std::max(text->size(), operation.position + bytes.size()));
  text->replace(operation.position, bytes.size(), bytes);
  expired_.Changed(expired);
  return absl::OkStatus();
}

absl::Status LoadingKeyspace::RequireAbsent(const Operation& operation) {
  if (expired_.Find(operation.key) != nullptr) return absl::FailedPreconditionError("");
  absl::StatusOr<bool> exists = cluster_->Exists(operation.key);
  if (exists.ok() && *exists) return absl::FailedPreconditionError("");
  return exists.status();
}

absl::Status LoadingKeyspace::RequireString(std::string_view key) {
  if (ExpiredKey* const expired = expired_.Find(key); expired != nullptr) {
    return expired->string() != nullptr ? absl::OkStatus() : WrongType();
  }
  std::string value;
  absl::Status read = cluster_->Get(key, &value);
  if (absl::IsFailedPrecondition(read)) return WrongType();
  return Unless(absl::StatusCode::kNotFound, std::move(read));
}

// ---- Hashes ----

absl::Status LoadingKeyspace::HashSet(const Operation& operation) {
  const bool if_absent = operation.condition == SetCondition::kIfAbsent;
  ExpiredKey* const expired = expired_.Find(operation.key);
  if (expired == nullptr) {
    if (if_absent) {
      absl::Status there = cluster_->HashGet(operation.key, operation.fields[0].name).status();
      if (!absl::IsNotFound(there)) return there;
    }
    return HashSetInCluster(operation.key, operation.fields);
  }
  HashValue* const hash = expired->hash();
  if (hash == nullptr) return WrongType();
  if (if_absent && hash->Find(operation.fields[0].name) != nullptr) return absl::OkStatus();
  absl::Status set = SetFields(operation.fields, hash);
  expired_.Changed(expired);
  return set;
}

absl::Status LoadingKeyspace::HashSetInCluster(std::string_view key,
                                               const std::vector<HashField>& fields) {
  const bool full = full_hash_.has_value() && full_hash_->key == key;
  if (full) {
    absl::Status size = CheckSize(full_hash_->hash, fields);
    if (!size.ok()) return size;
  }
  std::vector<Field> views;
  views.reserve(fields.size());
  for (const HashField& field : fields) views.push_back({field.name, field.value});
  absl::Status set = cluster_->HashSet(key, views).status();
  if (set.ok() && full) return SetFields(fields, &full_hash_->hash);
  if (!absl::IsResourceExhausted(set)) return set;
  // Of the hash's size, or of the disk?
  absl::StatusOr<HashValue> hash = ReadHash(key);
  if (!hash.ok() && !absl::IsNotFound(hash.status())) return set;
  full_hash_ = FullHash{std::string(key), hash.ok() ? *std::move(hash) : HashValue()};
  absl::Status size = CheckSize(full_hash_->hash, fields);
  return size.ok() ? set : size;
}

absl::Status LoadingKeyspace::HashDelete(const Operation& operation) {
  ExpiredKey* const expired = expired_.Find(operation.key);
  if (expired == nullptr) {
    std::vector<std::string_view> names;
    names.reserve(operation.fields.size());
    for (const HashField& field : operation.fields) names.push_back(field.name);
    return cluster_->HashDelete(operation.key, names).status();
  }
  HashValue* const hash = expired->hash();
  if (hash == nullptr) return WrongType();
  for (const HashField& field : operation.fields) hash->Remove(field.name);
  if (hash->fields().empty()) {
    expired_.Erase(operation.key);
  } else {
    expired_.Changed(expired);
  }
  return absl::OkStatus();
}

absl::Status LoadingKeyspace::HashIncrement(const Operation& operation) {
  constexpr const char* kNotANumber = "ERR hash value is not an integer";
  const std::string& name = operation.fields[0].name;
  std::vector<HashField> changed = {{name, "0"}};
  std::string* const number = &changed[0].value;
  ExpiredKey* const expired = expired_.Find(operation.key);
  if (expired == nullptr) {
    absl::StatusOr<std::string> value = cluster_->HashGet(operation.key, name);
    if (!value.ok() && !absl::IsNotFound(value.status())) return value.status();
    absl::Status added = Add(value.ok() ? *value : *number, operation.delta, kNotANumber, number);
    return added.ok() ? HashSetInCluster(operation.key, changed) : added;
  }
  HashValue* const hash = expired->hash();
  if (hash == nullptr) return WrongType();
  const std::string* const value = hash->Find(name);
  absl::Status added =
      Add(value != nullptr ? *value : *number, operation.delta, kNotANumber, number);
  if (added.ok()) added = SetFields(changed, hash);
  expired_.Changed(expired);
  return added;
}

// ---- Between memory and the cluster ----

absl::Status LoadingKeyspace::Revive(ExpiredKey* expired, absl::Time deadline) {
  absl::Status set;
  if (const HashValue* const hash = expired->hash(); hash != nullptr) {
    std::vector<Field> fields;
    fields.reserve(hash->fields().size());
    for (const auto& [name, value] : hash->fields()) fields.push_back({name, value});
    HashSetOptions options;
    options.ttl = deadline - now_;
    set = cluster_->HashSet(expired->key, fields, options).status();
  } else {
    SetOptions options;
    options.ttl = deadline - now_;
    set = cluster_->Set(expired->key, *expired->string(), options);
  }
  if (set.ok()) expired_.Erase(expired->key);
  return set;
}

absl::StatusOr<Value> LoadingKeyspace::ReadValue(std::string_view key) {
  absl::StatusOr<std::string> text = cluster_->Get(key);
  if (text.ok()) return *std::move(text);
  if (!absl::IsFailedPrecondition(text.status())) return text.status();
  absl::StatusOr<HashValue> hash = ReadHash(key);
  if (!hash.ok()) return hash.status();
  return *std::move(hash);
}

absl::StatusOr<HashValue> LoadingKeyspace::ReadHash(std::string_view key) {
  absl::StatusOr<std::vector<HashField>> fields = cluster_->HashGetAll(key);
  if (!fields.ok()) return fields.status();
  HashValue hash;
  for (const HashField& field : *fields) hash.Set(field.name, field.value);
  return hash;
}

absl::StatusOr<absl::Time> LoadingKeyspace::CurrentDeadline(std::string_view key) {
  const ExpiredKey* const expired = expired_.Find(key);
  if (expired != nullptr) return expired->deadline;
  absl::StatusOr<absl::Duration> left = cluster_->TimeToLive(key);
  if (!left.ok()) return left.status();
  return now_ + *left;
}

}  // namespace slotkv::tools
