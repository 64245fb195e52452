#include "shard/hash_value.h"

#include "engine/coding.h"

namespace slotkv {
namespace {

absl::Status Damaged() { return absl::DataLossError("the fields of a hash cannot be read"); }

}  // namespace

absl::Status VisitHash(std::string_view payload,
                       absl::FunctionRef<bool(std::string_view, std::string_view)> visit) {
  Decoder decoder(payload);
  std::string_view name, value, previous;
  for (bool first = true; !decoder.empty(); first = false) {
    if (!decoder.Bytes(&name) || !decoder.Bytes(&value)) return Damaged();
    if (!first && name <= previous) return Damaged();
    previous = name;
    if (!visit(name, value)) break;
  }
  return absl::OkStatus();
}

absl::Status HashFields::Decode(std::string_view payload) {
  return VisitHash(payload, [this](std::string_view name, std::string_view value) {
    fields_.emplace_hint(fields_.end(), name, value);
    bytes_ += name.size() + value.size() + kHashFieldOverheadBytes;
    return true;
  });
}

bool HashFields::Set(std::string_view name, std::string_view value) {
  const auto [it, inserted] = fields_.try_emplace(name, value);
  bytes_ += value.size();
  if (inserted) {
    bytes_ += name.size() + kHashFieldOverheadBytes;
  } else {
    bytes_ -= it->second.size();
    it->second = value;
  }
  return inserted;
}

bool HashFields::Remove(std::string_view name) {
  const auto it = fields_.find(name);
  if (it == fields_.end()) return false;
  bytes_ -= it->first.size() + it->second.size() + kHashFieldOverheadBytes;
  fields_.erase(it);
  return true;
}

std::string HashFields::Encode() const {
  std::string payload;
  payload.reserve(bytes_);
  for (const auto& [name, value] : fields_) {
    PutBytes(&payload, name);
    PutBytes(&payload, value);
  }
  return payload;
}

}  // namespace slotkv
