#include "shard/hash_mutations.h"

#include "absl/strings/str_cat.h"
#include "shard/hash_value.h"
#include "slotkv/limits.h"

namespace slotkv {
namespace {

absl::Status CheckHashSize(size_t bytes) {
  if (bytes <= kMaxHashBytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("a hash of ", bytes, " bytes would exceed ", kMaxHashBytes));
}

}  // namespace

HashSetMutation::HashSetMutation(const KeyTarget& target, absl::Span<const Field> fields,
                                 absl::Duration ttl, absl::Duration new_ttl)
    : KeyMutation(target), fields_(fields), ttl_(ttl), new_ttl_(new_ttl) {
  for (const Field& field : fields) {
    bytes_ += field.name.size() + field.value.size() + kHashFieldOverheadBytes;
  }
}

// A name that stands there twice counts once.
absl::Status HashSetMutation::CheckSize() const {
  if (bytes_ <= kMaxHashBytes) return absl::OkStatus();
  HashFields hash;
  for (const Field& field : fields_) hash.Set(field.name, field.value);
  return CheckHashSize(hash.ByteSize());
}

absl::Status HashSetMutation::Decide(GroupView* view, std::string* effects) {
  ValueHeader header;
  std::string payload;
  absl::Status status = Read(view, ValueType::kHash, &header, &payload);
  if (absl::IsNotFound(status)) {
    header = {ValueType::kHash, ExpiryAfter(view->now_ms(), new_ttl_)};
    payload.clear();
  } else if (!status.ok()) {
    return status;
  } else if (ttl_ != absl::InfiniteDuration()) {
    header.expiry_ms = ExpiryAfter(view->now_ms(), ttl_);
  }
  HashFields hash;
  if (status = hash.Decode(payload); !status.ok()) return status;
  added_ = 0;
  for (const Field& field : fields_) added_ += hash.Set(field.name, field.value) ? 1 : 0;
  if (status = CheckHashSize(hash.ByteSize()); !status.ok()) return status;
  Put(header, hash.Encode(), effects);
  return absl::OkStatus();
}

absl::Status HashDeleteMutation::Decide(GroupView* view, std::string* effects) {
  removed_ = 0;
  ValueHeader header;
  std::string payload;
  absl::Status status = Read(view, ValueType::kHash, &header, &payload);
  if (absl::IsNotFound(status)) return absl::OkStatus();
  if (!status.ok()) return status;
  HashFields hash;
  if (status = hash.Decode(payload); !status.ok()) return status;
  for (const std::string_view field : fields_) removed_ += hash.Remove(field) ? 1 : 0;
  if (removed_ == 0) return absl::OkStatus();
  if (hash.empty()) {
    Delete(effects);
  } else {
    Put(header, hash.Encode(), effects);
  }
  return absl::OkStatus();
}

}  // namespace slotkv
