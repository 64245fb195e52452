// Strings, expiry and hashes: the calls on one key. (keyspace_many.cc has those on many,
// keyspace_load.cc has GetOrLoad.)
#include "slotkv/keyspace.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "shard/checks.h"
#include "shard/hash_mutations.h"
#include "shard/hash_value.h"
#include "shard/keyspace_calls.h"

namespace slotkv {

absl::Status Closed() { return absl::CancelledError("the cluster is closed"); }

absl::Status RunWrite(ClusterImpl* impl, OnlyShard only, std::string_view key, Mutation* mutation) {
  if (absl::Status status = CheckKey(key); !status.ok()) return status;
  const CallGate::Pass pass(impl->gate());
  return pass.open() ? impl->router().Write(only, SlotForKey(key), mutation) : Closed();
}

absl::Status ReadAny(ClusterImpl* impl, OnlyShard only, std::string_view key, ValueHeader* header,
                     std::string* payload, uint64_t* now_ms) {
  if (absl::Status status = CheckKey(key); !status.ok()) return status;
  const CallGate::Pass pass(impl->gate());
  if (!pass.open()) return Closed();
  return impl->router().Read(only, SlotForKey(key), key, header, payload, now_ms);
}

absl::Status ReadTyped(ClusterImpl* impl, OnlyShard only, std::string_view key, ValueType type,
                       std::string* payload) {
  ValueHeader header;
  uint64_t now_ms = 0;
  absl::Status status = ReadAny(impl, only, key, &header, payload, &now_ms);
  if (!status.ok() || header.type == type) return status;
  payload->clear();
  return WrongType();
}

Keyspace::Keyspace(std::shared_ptr<ClusterImpl> impl, std::optional<ShardId> only)
    : impl_(std::move(impl)), only_(only) {}

Keyspace::~Keyspace() = default;
Keyspace::Keyspace(const Keyspace&) = default;
Keyspace& Keyspace::operator=(const Keyspace&) = default;

absl::Status Keyspace::Set(std::string_view key, std::string_view value,
                           const SetOptions& options) {
  if (absl::Status status = CheckSetOptions(options); !status.ok()) return status;
  if (absl::Status status = CheckValue(value); !status.ok()) return status;
  SetOptions applied = options;
  if (applied.ttl == absl::InfiniteDuration()) applied.ttl = impl_->options().default_ttl;
  SetMutation mutation(Target(impl_.get(), key), value, applied);
  return RunWrite(impl_.get(), only_, key, &mutation);
}

absl::StatusOr<std::string> Keyspace::Get(std::string_view key) {
  std::string value;
  if (absl::Status status = Get(key, &value); !status.ok()) return status;
  return value;
}

absl::Status Keyspace::Get(std::string_view key, std::string* value) {
  return ReadTyped(impl_.get(), only_, key, ValueType::kString, value);
}

absl::StatusOr<bool> Keyspace::Delete(std::string_view key) {
  DeleteMutation mutation(Target(impl_.get(), key));
  if (absl::Status status = RunWrite(impl_.get(), only_, key, &mutation); !status.ok())
    return status;
  return mutation.existed();
}

absl::StatusOr<bool> Keyspace::Exists(std::string_view key) {
  ValueHeader header;
  uint64_t now_ms = 0;
  const absl::Status status = ReadAny(impl_.get(), only_, key, &header, nullptr, &now_ms);
  if (status.ok()) return true;
  if (absl::IsNotFound(status)) return false;
  return status;
}

absl::StatusOr<int64_t> Keyspace::Increment(std::string_view key, int64_t delta) {
  IncrementMutation mutation(Target(impl_.get(), key), delta, impl_->options().default_ttl);
  if (absl::Status status = RunWrite(impl_.get(), only_, key, &mutation); !status.ok())
    return status;
  return mutation.sum();
}

absl::StatusOr<uint64_t> Keyspace::Append(std::string_view key, std::string_view suffix) {
  if (absl::Status status = CheckValue(suffix); !status.ok()) return status;
  AppendMutation mutation(Target(impl_.get(), key), suffix, impl_->options().default_ttl);
  if (absl::Status status = RunWrite(impl_.get(), only_, key, &mutation); !status.ok())
    return status;
  return mutation.length();
}

absl::StatusOr<uint64_t> Keyspace::SetRange(std::string_view key, uint64_t offset,
                                            std::string_view bytes) {
  if (absl::Status status = CheckValue(bytes); !status.ok()) return status;
  if (!bytes.empty() && offset > kMaxValueBytes - bytes.size()) {
    return absl::ResourceExhaustedError(absl::StrCat("a value with ", bytes.size(), " bytes from ",
                                                     offset, " on would exceed ", kMaxValueBytes));
  }
  SetRangeMutation mutation(Target(impl_.get(), key), offset, bytes, impl_->options().default_ttl);
  if (absl::Status status = RunWrite(impl_.get(), only_, key, &mutation); !status.ok()) {
    return status;
  }
  return mutation.length();
}

absl::Status Keyspace::CompareAndSet(std::string_view key, std::string_view expected,
                                     std::string_view desired) {
  if (absl::Status status = CheckValue(desired); !status.ok()) return status;
  CompareAndSetMutation mutation(Target(impl_.get(), key), expected, desired);
  return RunWrite(impl_.get(), only_, key, &mutation);
}

absl::StatusOr<bool> Keyspace::Expire(std::string_view key, absl::Duration ttl) {
  TouchMutation mutation(Target(impl_.get(), key), ttl, /*must_be_string=*/false);
  const absl::Status status = RunWrite(impl_.get(), only_, key, &mutation);
  if (status.ok()) return true;
  if (absl::IsNotFound(status)) return false;
  return status;
}

absl::StatusOr<bool> Keyspace::Persist(std::string_view key) {
  TouchMutation mutation(Target(impl_.get(), key), absl::InfiniteDuration(),
                         /*must_be_string=*/false);
  const absl::Status status = RunWrite(impl_.get(), only_, key, &mutation);
  if (status.ok()) return mutation.had_expiry();
  if (absl::IsNotFound(status)) return false;
  return status;
}

absl::StatusOr<absl::Duration> Keyspace::TimeToLive(std::string_view key) {
  ValueHeader header;
  uint64_t now_ms = 0;
  absl::Status status = ReadAny(impl_.get(), only_, key, &header, nullptr, &now_ms);
  if (!status.ok()) return status;
  if (header.expiry_ms == 0) return absl::InfiniteDuration();
  // By the time of the read, at which the key was alive.
  return absl::Milliseconds(static_cast<int64_t>(header.expiry_ms - now_ms));
}

absl::StatusOr<std::string> Keyspace::GetAndTouch(std::string_view key, absl::Duration ttl) {
  if (absl::Status status = CheckTtl("ttl", ttl); !status.ok()) return status;
  TouchMutation mutation(Target(impl_.get(), key), ttl, /*must_be_string=*/true);
  if (absl::Status status = RunWrite(impl_.get(), only_, key, &mutation); !status.ok())
    return status;
  return std::move(mutation.value());
}

absl::StatusOr<uint64_t> Keyspace::HashSet(std::string_view key, absl::Span<const Field> fields,
                                           const HashSetOptions& options) {
  if (absl::Status status = CheckTtl("HashSetOptions.ttl", options.ttl); !status.ok()) {
    return status;
  }
  if (fields.empty()) return absl::InvalidArgumentError("HashSet needs at least one field");
  const absl::Duration new_ttl =
      options.ttl == absl::InfiniteDuration() ? impl_->options().default_ttl : options.ttl;
  HashSetMutation mutation(Target(impl_.get(), key), fields, options.ttl, new_ttl);
  // Before it takes part in a group: such a one can never succeed.
  if (absl::Status status = mutation.CheckSize(); !status.ok()) return status;
  if (absl::Status status = RunWrite(impl_.get(), only_, key, &mutation); !status.ok()) {
    return status;
  }
  return mutation.added();
}

absl::StatusOr<std::string> Keyspace::HashGet(std::string_view key, std::string_view field) {
  std::string payload;
  if (absl::Status status = ReadTyped(impl_.get(), only_, key, ValueType::kHash, &payload);
      !status.ok()) {
    return status;
  }
  std::optional<std::string> found;
  const absl::Status status =
      VisitHash(payload, [&](std::string_view name, std::string_view value) {
        if (name == field) found.emplace(value);
        return name < field;
      });
  if (!status.ok()) return status;
  if (!found.has_value()) return absl::Status(absl::StatusCode::kNotFound, "");
  return *std::move(found);
}

absl::StatusOr<std::vector<HashField>> Keyspace::HashGetAll(std::string_view key) {
  std::string payload;
  if (absl::Status status = ReadTyped(impl_.get(), only_, key, ValueType::kHash, &payload);
      !status.ok()) {
    return status;
  }
  std::vector<HashField> fields;
  const absl::Status status =
      VisitHash(payload, [&](std::string_view name, std::string_view value) {
        fields.push_back({std::string(name), std::string(value)});
        return true;
      });
  if (!status.ok()) return status;
  return fields;
}

absl::StatusOr<uint64_t> Keyspace::HashDelete(std::string_view key,
                                              absl::Span<const std::string_view> fields) {
  HashDeleteMutation mutation(Target(impl_.get(), key), fields);
  if (absl::Status status = RunWrite(impl_.get(), only_, key, &mutation); !status.ok()) {
    return status;
  }
  return mutation.removed();
}

}  // namespace slotkv
