#include "slotkv/cluster.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "shard/cluster_impl.h"
#include "shard/mutations.h"

namespace slotkv {
namespace {

absl::Status Closed() { return absl::CancelledError("the cluster is closed"); }

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

absl::Status CheckSetOptions(const SetOptions& options) {
  if (options.ttl <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "SetOptions.ttl is ", absl::FormatDuration(options.ttl), ", must be positive"));
  }
  if (options.keep_ttl && options.ttl != absl::InfiniteDuration()) {
    return absl::InvalidArgumentError("SetOptions.keep_ttl excludes SetOptions.ttl");
  }
  return absl::OkStatus();
}

// Checks the key, holds the gate and runs the mutation.
absl::Status Run(ClusterImpl* impl, std::string_view key, Slot slot, Mutation* mutation) {
  if (absl::Status status = CheckKey(key); !status.ok()) return status;
  const CallGate::Pass pass(impl->gate());
  return pass.open() ? impl->Write(slot, mutation) : Closed();
}

// The header and, in `*payload` unless that is null, the value of a key of any type.
absl::Status ReadAny(ClusterImpl* impl, std::string_view key, ValueHeader* header,
                     std::string* payload) {
  if (absl::Status status = CheckKey(key); !status.ok()) return status;
  const CallGate::Pass pass(impl->gate());
  return pass.open() ? impl->Read(SlotForKey(key), key, header, payload) : Closed();
}

}  // namespace

Cluster::Cluster(std::unique_ptr<ClusterImpl> impl) : impl_(std::move(impl)) {}

Cluster::~Cluster() = default;

absl::StatusOr<std::unique_ptr<Cluster>> Cluster::Open(const Options& options,
                                                       const std::string& path) {
  absl::StatusOr<std::unique_ptr<ClusterImpl>> impl = ClusterImpl::Open(options, path, nullptr);
  if (!impl.ok()) return impl.status();
  return std::unique_ptr<Cluster>(new Cluster(*std::move(impl)));
}

absl::Status Cluster::Destroy(const std::string& path) { return ClusterImpl::Destroy(path); }

absl::Status Cluster::Close() { return impl_->Close(); }

absl::Status Cluster::Set(std::string_view key, std::string_view value, const SetOptions& options) {
  if (absl::Status status = CheckSetOptions(options); !status.ok()) return status;
  if (absl::Status status = CheckValue(value); !status.ok()) return status;
  SetOptions applied = options;
  if (applied.ttl == absl::InfiniteDuration()) applied.ttl = impl_->options().default_ttl;
  const Slot slot = SlotForKey(key);
  SetMutation mutation(slot, key, value, applied);
  return Run(impl_.get(), key, slot, &mutation);
}

absl::StatusOr<std::string> Cluster::Get(std::string_view key) {
  std::string value;
  if (absl::Status status = Get(key, &value); !status.ok()) return status;
  return value;
}

absl::Status Cluster::Get(std::string_view key, std::string* value) {
  ValueHeader header;
  if (absl::Status status = ReadAny(impl_.get(), key, &header, value); !status.ok()) return status;
  if (header.type == ValueType::kString) return absl::OkStatus();
  return absl::FailedPreconditionError("the key holds a value of another type");
}

absl::StatusOr<bool> Cluster::Delete(std::string_view key) {
  const Slot slot = SlotForKey(key);
  DeleteMutation mutation(slot, key);
  if (absl::Status status = Run(impl_.get(), key, slot, &mutation); !status.ok()) return status;
  return mutation.existed();
}

absl::StatusOr<bool> Cluster::Exists(std::string_view key) {
  ValueHeader header;
  const absl::Status status = ReadAny(impl_.get(), key, &header, nullptr);
  if (status.ok()) return true;
  if (absl::IsNotFound(status)) return false;
  return status;
}

absl::StatusOr<int64_t> Cluster::Increment(std::string_view key, int64_t delta) {
  const Slot slot = SlotForKey(key);
  IncrementMutation mutation(slot, key, delta, impl_->options().default_ttl);
  if (absl::Status status = Run(impl_.get(), key, slot, &mutation); !status.ok()) return status;
  return mutation.sum();
}

absl::StatusOr<uint64_t> Cluster::Append(std::string_view key, std::string_view suffix) {
  if (absl::Status status = CheckValue(suffix); !status.ok()) return status;
  const Slot slot = SlotForKey(key);
  AppendMutation mutation(slot, key, suffix, impl_->options().default_ttl);
  if (absl::Status status = Run(impl_.get(), key, slot, &mutation); !status.ok()) return status;
  return mutation.length();
}

absl::Status Cluster::CompareAndSet(std::string_view key, std::string_view expected,
                                    std::string_view desired) {
  if (absl::Status status = CheckValue(desired); !status.ok()) return status;
  const Slot slot = SlotForKey(key);
  CompareAndSetMutation mutation(slot, key, expected, desired);
  return Run(impl_.get(), key, slot, &mutation);
}

absl::StatusOr<bool> Cluster::Expire(std::string_view key, absl::Duration ttl) {
  const Slot slot = SlotForKey(key);
  TouchMutation mutation(slot, key, ttl);
  const absl::Status status = Run(impl_.get(), key, slot, &mutation);
  if (status.ok()) return true;
  if (absl::IsNotFound(status)) return false;
  return status;
}

absl::StatusOr<bool> Cluster::Persist(std::string_view key) {
  const Slot slot = SlotForKey(key);
  TouchMutation mutation(slot, key, absl::InfiniteDuration());
  const absl::Status status = Run(impl_.get(), key, slot, &mutation);
  if (status.ok()) return mutation.had_expiry();
  if (absl::IsNotFound(status)) return false;
  return status;
}

absl::StatusOr<absl::Duration> Cluster::TimeToLive(std::string_view key) {
  ValueHeader header;
  if (absl::Status status = ReadAny(impl_.get(), key, &header, nullptr); !status.ok()) {
    return status;
  }
  if (header.expiry_ms == 0) return absl::InfiniteDuration();
  const uint64_t now_ms = impl_->clock().NowMs();
  // It may have passed since the key was read.
  if (header.expiry_ms <= now_ms) {
    impl_->clock().NoteObserved(now_ms);
    return absl::Status(absl::StatusCode::kNotFound, "");
  }
  return absl::Milliseconds(static_cast<int64_t>(header.expiry_ms - now_ms));
}

absl::StatusOr<std::string> Cluster::GetAndTouch(std::string_view key, absl::Duration ttl) {
  if (ttl <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("ttl is ", absl::FormatDuration(ttl), ", must be positive"));
  }
  const Slot slot = SlotForKey(key);
  TouchMutation mutation(slot, key, ttl);
  if (absl::Status status = Run(impl_.get(), key, slot, &mutation); !status.ok()) return status;
  return std::move(mutation.value());
}

Topology Cluster::GetTopology() const {
  const CallGate::Pass pass(impl_->gate());
  return pass.open() ? impl_->GetTopology() : Topology();
}

absl::StatusOr<uint64_t> Cluster::CountKeysInSlot(Slot slot) {
  uint64_t count = 0;
  absl::Status status = VisitSlot(slot, [&](std::string_view) {
    ++count;
    return true;
  });
  if (!status.ok()) return status;
  return count;
}

absl::StatusOr<std::vector<std::string>> Cluster::KeysInSlot(Slot slot, size_t limit) {
  std::vector<std::string> keys;
  absl::Status status = VisitSlot(slot, [&](std::string_view key) {
    if (keys.size() < limit) keys.emplace_back(key);
    return keys.size() < limit;
  });
  if (!status.ok()) return status;
  return keys;
}

absl::Status Cluster::VisitSlot(Slot slot, absl::FunctionRef<bool(std::string_view)> visit) {
  if (slot >= kSlotCount) {
    return absl::InvalidArgumentError(absl::StrCat("slot ", slot, " is not below ", kSlotCount));
  }
  const CallGate::Pass pass(impl_->gate());
  return pass.open() ? impl_->VisitLiveKeys(slot, visit) : Closed();
}

absl::Status Cluster::Verify() {
  const CallGate::Pass pass(impl_->gate());
  return pass.open() ? impl_->Verify() : Closed();
}

}  // namespace slotkv
