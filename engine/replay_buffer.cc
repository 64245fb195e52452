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
    entry.kind = effect.kind;
    entry.key_offset = start + static_cast<size_t>(effect.store_key.data() - payload.data());
    entry.key_size = static_cast<uint32_t>(effect.store_key.size());
    entry.value_size = effect.store_value.size();
    entry.value_offset =
        effect.kind == Effect::kPut
            ? start + static_cast<size_t>(effect.store_value.data() - payload.data())
            : 0;
    entries_.push_back(entry);
  }
  if (reader.ok()) return absl::OkStatus();
  return absl::DataLossError("a log record's effects cannot be read");
}

absl::Status ReplayBuffer::DrainInto(Store::Batch* batch) {
  absl::Status status;
  auto first = entries_.begin();
  // What comes before a clear and what comes after must not change places.
  for (auto it = entries_.begin(); it != entries_.end(); ++it) {
    if (it->kind != Effect::kClear) continue;
    SortAndPut(first, it, batch, &status);
    const ClearedSlots slots(Key(*it));
    status.Update(batch->Clear(slots.first, slots.last));
    first = it + 1;
  }
  SortAndPut(first, entries_.end(), batch, &status);
  entries_.clear();
  payloads_.clear();
  return status;
}

void ReplayBuffer::SortAndPut(std::vector<Entry>::iterator first, std::vector<Entry>::iterator last,
                              Store::Batch* batch, absl::Status* status) {
  std::sort(first, last, [this](const Entry& a, const Entry& b) {
    if (a.prefix != b.prefix) return a.prefix < b.prefix;
    const int order = Key(a).compare(Key(b));
    return order != 0 ? order < 0 : a.key_offset < b.key_offset;  // later effects last
  });
  for (auto it = first; it != last && status->ok(); ++it) {
    if (it + 1 != last && Key(it[1]) == Key(*it)) continue;
    *status = it->kind == Effect::kPut
                  ? batch->Put(Key(*it), {payloads_.data() + it->value_offset, it->value_size})
                  : batch->Delete(Key(*it));
  }
}

}  // namespace slotkv
