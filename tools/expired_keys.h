// The keys of a load whose time had passed before it began: in memory, within a bound.
#ifndef SLOTKV_TOOLS_EXPIRED_KEYS_H_
#define SLOTKV_TOOLS_EXPIRED_KEYS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <variant>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"

namespace slotkv::tools {

// The fields of a hash.
class HashValue {
 public:
  void Set(std::string_view name, std::string_view value);
  void Remove(std::string_view name);
  // Null if there is no such field.
  const std::string* Find(std::string_view name) const;

  // By name.
  using Fields = std::map<std::string, std::string, std::less<>>;
  const Fields& fields() const { return fields_; }
  // What counts against kMaxHashBytes.
  size_t bytes() const { return bytes_; }

  // What a field of that size adds.
  static size_t FieldBytes(std::string_view name, std::string_view value);

 private:
  Fields fields_;
  size_t bytes_ = 0;
};

// What a key holds: a string or a hash.
using Value = std::variant<std::string, HashValue>;

struct ExpiredKey {
  std::string key;
  Value value;
  absl::Time deadline;

  // Null if it holds the other.
  std::string* string() { return std::get_if<std::string>(&value); }
  HashValue* hash() { return std::get_if<HashValue>(&value); }
};

// Not thread-safe.
class ExpiredKeys {
 public:
  explicit ExpiredKeys(size_t bytes_max) : bytes_max_(bytes_max) {}

  // Null if there is none. What it points to may be changed, which Changed must then be told; it
  // is gone with the next Put, Changed, Erase or Clear.
  ExpiredKey* Find(std::string_view key);
  // Replaces the key if it is there.
  void Put(ExpiredKey expired);
  void Changed(ExpiredKey* expired);
  // `key` may be the one that is erased.
  void Erase(std::string_view key);
  void Clear();

  // Keys that were given up for want of memory, the longest unused first.
  uint64_t given_up() const { return given_up_; }

 private:
  struct Entry {
    ExpiredKey expired;
    size_t bytes = 0;  // as counted in bytes_
  };
  // The latest used is first.
  using Entries = std::list<Entry>;

  void Measure(Entry* entry);
  void Shrink();

  const size_t bytes_max_;
  Entries entries_;
  // The keys are those of the entries.
  absl::flat_hash_map<std::string_view, Entries::iterator> by_key_;
  size_t bytes_ = 0;
  uint64_t given_up_ = 0;
};

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_EXPIRED_KEYS_H_
