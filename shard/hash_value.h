// The payload of a hash: its fields, ascending by name, no name twice, at least one.
//
//   payload = field*
//   field   = length varint, name, length varint, value
#ifndef SLOTKV_SHARD_HASH_VALUE_H_
#define SLOTKV_SHARD_HASH_VALUE_H_

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace slotkv {

// What a field counts against kMaxHashBytes beside its name and its value.
inline constexpr size_t kHashFieldOverheadBytes = 16;

// Calls `visit(name, value)` for each field until it returns false. DataLoss if `payload` is no
// hash, as far as it was read.
absl::Status VisitHash(std::string_view payload,
                       absl::FunctionRef<bool(std::string_view, std::string_view)> visit);

// A hash that is being changed. Names and values are views into what it was made from.
class HashFields {
 public:
  // DataLoss if `payload` is no hash. An empty payload is a hash to be.
  absl::Status Decode(std::string_view payload);

  // True if the field is new.
  bool Set(std::string_view name, std::string_view value);
  // True if it was there.
  bool Remove(std::string_view name);

  bool empty() const { return fields_.empty(); }
  // What counts against kMaxHashBytes.
  size_t ByteSize() const { return bytes_; }
  std::string Encode() const;

 private:
  std::map<std::string_view, std::string_view> fields_;
  size_t bytes_ = 0;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_HASH_VALUE_H_
