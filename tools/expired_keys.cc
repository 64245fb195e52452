#include "tools/expired_keys.h"

#include <utility>

namespace slotkv::tools {
namespace {

// Of each field, as limits.h has it.
constexpr size_t kFieldOverheadBytes = 16;

// What memory they take besides their bytes: nodes, table entry, allocations.
constexpr size_t kKeyOverheadBytes = 192;
constexpr size_t kFieldMemoryBytes = 112;

size_t MemoryOf(const ExpiredKey& expired) {
  size_t bytes = expired.key.size() + kKeyOverheadBytes;
  if (const auto* const hash = std::get_if<HashValue>(&expired.value)) {
    bytes += hash->bytes() + hash->fields().size() * kFieldMemoryBytes;
  } else {
    bytes += std::get<std::string>(expired.value).size();
  }
  return bytes;
}

}  // namespace

size_t HashValue::FieldBytes(std::string_view name, std::string_view value) {
  return name.size() + value.size() + kFieldOverheadBytes;
}

void HashValue::Set(std::string_view name, std::string_view value) {
  const auto found = fields_.find(name);
  if (found == fields_.end()) {
    fields_.emplace(name, value);
    bytes_ += FieldBytes(name, value);
  } else {
    bytes_ = bytes_ - found->second.size() + value.size();
    found->second = value;
  }
}

void HashValue::Remove(std::string_view name) {
  const auto found = fields_.find(name);
  if (found == fields_.end()) return;
  bytes_ -= FieldBytes(name, found->second);
  fields_.erase(found);
}

const std::string* HashValue::Find(std::string_view name) const {
  const auto found = fields_.find(name);
  return found == fields_.end() ? nullptr : &found->second;
}

ExpiredKey* ExpiredKeys::Find(std::string_view key) {
  if (entries_.empty()) return nullptr;
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return &entries_.front().expired;
}

void ExpiredKeys::Put(ExpiredKey expired) {
  Erase(expired.key);
  entries_.push_front({std::move(expired), 0});
  by_key_.emplace(entries_.front().expired.key, entries_.begin());
  Measure(&entries_.front());
  Shrink();
}

void ExpiredKeys::Changed(ExpiredKey* expired) {
  Measure(&*by_key_.find(expired->key)->second);
  Shrink();
}

void ExpiredKeys::Erase(std::string_view key) {
  if (entries_.empty()) return;
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return;
  const Entries::iterator erased = found->second;
  bytes_ -= erased->bytes;
  by_key_.erase(found);
  entries_.erase(erased);
}

void ExpiredKeys::Clear() {
  by_key_.clear();
  entries_.clear();
  bytes_ = 0;
}

void ExpiredKeys::Measure(Entry* entry) {
  bytes_ -= entry->bytes;
  entry->bytes = MemoryOf(entry->expired);
  bytes_ += entry->bytes;
}

void ExpiredKeys::Shrink() {
  while (bytes_ > bytes_max_ && !entries_.empty()) {
    Erase(entries_.back().expired.key);
    ++given_up_;
  }
}

}  // namespace slotkv::tools
