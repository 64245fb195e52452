// The strong types that name shards, nodes, epochs and log positions.
//
// Each prints as its prefix and number ("shard-3", "node-12") or as a bare number, compares,
// and hashes. None converts to another or to an integer by itself.
#ifndef SLOTKV_ENGINE_IDS_H_
#define SLOTKV_ENGINE_IDS_H_

#include <cstdint>
#include <ostream>
#include <string>
#include <utility>

namespace slotkv {

// A number with a meaning of its own. `Tag::kPrefix` stands before it in text.
template <typename Tag, typename Rep>
class StrongId {
 public:
  using Value = Rep;

  // Zero, which names nothing, or `value`.
  constexpr StrongId() = default;
  explicit constexpr StrongId(Rep value) : value_(value) {}

  // The number; the id after this one; the prefix and the number.
  constexpr Rep value() const { return value_; }
  constexpr StrongId Next() const { return StrongId(value_ + 1); }
  std::string ToString() const { return Tag::kPrefix + std::to_string(value_); }

  friend constexpr bool operator==(StrongId a, StrongId b) { return a.value_ == b.value_; }
  friend constexpr bool operator!=(StrongId a, StrongId b) { return a.value_ != b.value_; }
  friend constexpr bool operator<(StrongId a, StrongId b) { return a.value_ < b.value_; }
  friend constexpr bool operator<=(StrongId a, StrongId b) { return a.value_ <= b.value_; }
  friend constexpr bool operator>(StrongId a, StrongId b) { return a.value_ > b.value_; }
  friend constexpr bool operator>=(StrongId a, StrongId b) { return a.value_ >= b.value_; }
  template <typename H>
  friend H AbslHashValue(H state, StrongId id) {
    return H::combine(std::move(state), id.value_);
  }
  friend std::ostream& operator<<(std::ostream& out, StrongId id) { return out << id.ToString(); }

 private:
  Rep value_ = 0;
};

// What tells the ids below apart, and what stands before their numbers in text.
struct ShardIdTag {
  static constexpr const char* kPrefix = "shard-";
};
struct NodeIdTag {
  static constexpr const char* kPrefix = "node-";
};
struct EpochTag {
  static constexpr const char* kPrefix = "";
};
struct ShardEpochTag {
  static constexpr const char* kPrefix = "";
};
struct LogIndexTag {
  static constexpr const char* kPrefix = "";
};

// A shard. Numbers start at 1 and are never used again within one cluster.
using ShardId = StrongId<ShardIdTag, uint32_t>;
// One copy of a shard's data. Numbers start at 1 and are never used again within one cluster.
using NodeId = StrongId<NodeIdTag, uint32_t>;
// The topology's version: one more for each change of anything in it; 0 before the first.
using Epoch = StrongId<EpochTag, uint64_t>;
// A shard's leadership term: given anew by every Open and every promotion; 0 before the first.
using ShardEpoch = StrongId<ShardEpochTag, uint64_t>;
// A record's position in its shard's log; the first record is 1, 0 stands before all records.
using LogIndex = StrongId<LogIndexTag, uint64_t>;

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_IDS_H_
