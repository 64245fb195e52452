// The names that tell one cluster, and one zone, from every other in the world.
#ifndef SLOTKV_SHARD_CLUSTER_ID_H_
#define SLOTKV_SHARD_CLUSTER_ID_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>

#include "slotkv/ids.h"

namespace slotkv {

// 128 random bits, drawn when a cluster is created and written into each of its files, so that no
// file is taken for another cluster's. All zero: none. Prints as 32 hexadecimal digits, in the
// order in which the bytes stand in files.
class ClusterId {
 public:
  static constexpr size_t kBytes = 16;

  constexpr ClusterId() = default;
  static ClusterId Random();
  // `bytes` has kBytes bytes; otherwise the process is aborted.
  static ClusterId FromBytes(std::string_view bytes);

  const std::array<uint8_t, kBytes>& bytes() const { return bytes_; }
  std::string_view view() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }
  std::string ToString() const;

  friend bool operator==(const ClusterId& a, const ClusterId& b) { return a.bytes_ == b.bytes_; }
  friend bool operator!=(const ClusterId& a, const ClusterId& b) { return a.bytes_ != b.bytes_; }
  friend std::ostream& operator<<(std::ostream& out, const ClusterId& id) {
    return out << id.ToString();
  }

 private:
  std::array<uint8_t, kBytes> bytes_ = {};
};

struct ZoneIdTag {
  static constexpr const char* kPrefix = "zone id ";
};
// 64 random bits, drawn when a zone is created and again when it is replaced by an empty disk:
// the old disk of that name is then another zone. 0: none.
using ZoneId = StrongId<ZoneIdTag, uint64_t>;

ZoneId RandomZoneId();

}  // namespace slotkv

#endif  // SLOTKV_SHARD_CLUSTER_ID_H_
