#include "engine/replay_buffer.h"

#include <algorithm>
#include <cstring>

#include "engine/effects.h"

namespace slotkv {
namespace {

// The first eight bytes as a number that orders as the bytes do; a shorter key is padded with
// zeros.
uint64_t Prefix(std::string_view key) {
  uint64_t bytes = 0;
  std::memcpy(&bytes, key.data(), std::min(key.size(), sizeof(bytes)));
  return __builtin_bswap64(bytes);
}

}  // namespace

absl::Status ReplayBuffer::Add(std::string_view payload) {
  const size_t start = payloads_.size();
  payloads_.append(payload.data(), payload.size());
  EffectReader reader(payload);
  Effect effect;
  while (reader.Next(&effect)) {
    Entry entry;
    entry.prefix = Prefix(effect.store_key);
    entry.is_put = effect.is_put;
    entry.key_offset = start + static_cast<size_t>(effect.store_key.data() - payload.data());
    entry.key_size = static_cast<uint32_t>(effect.store_key.size());
    entry.value_size = effect.store_value.size();
    entry.value_offset =
        effect.is_put ? start + static_cast<size_t>(effect.store_value.data() - payload.data()) : 0;
    entries_.push_back(entry);
  }
  if (reader.ok()) return absl::OkStatus();
  return absl::DataLossError("a log record's effects cannot be read");
}

absl::Status ReplayBuffer::DrainInto(Store::Batch* batch) {
  std::sort(entries_.begin(), entries_.end(), [this](const Entry& a, const Entry& b) {
    if (a.prefix != b.prefix) return a.prefix < b.prefix;
    const int order = Key(a).compare(Key(b));
    return order != 0 ? order < 0 : a.key_offset < b.key_offset;  // later effects last
  });
  absl::Status status;
  for (size_t i = 0; i < entries_.size() && status.ok(); ++i) {
    const Entry& entry = entries_[i];
    if (i + 1 < entries_.size() && Key(entries_[i + 1]) == Key(entry)) continue;
    status = entry.is_put
                 ? batch->Put(Key(entry), {payloads_.data() + entry.value_offset, entry.value_size})
                 : batch->Delete(Key(entry));
  }
  entries_.clear();
  payloads_.clear();
  return status;
}

}  // namespace slotkv
