#include "shard/cluster_id.h"

#include <algorithm>

#include "absl/random/random.h"
#include "absl/strings/escaping.h"
#include "engine/check.h"
#include "engine/coding.h"
#include "engine/text.h"

namespace slotkv {
namespace {

// 0 means "none" in both kinds of id.
uint64_t RandomNonZero() {
  absl::BitGen random;
  uint64_t value = 0;
  while (value == 0) value = absl::Uniform<uint64_t>(random);
  return value;
}

}  // namespace

ClusterId ClusterId::Random() {
  std::string bytes;
  PutFixed(&bytes, RandomNonZero());
  PutFixed(&bytes, RandomNonZero());
  return FromBytes(bytes);
}

ClusterId ClusterId::FromBytes(std::string_view bytes) {
  SLOTKV_CHECK(bytes.size() == kBytes);
  ClusterId id;
  std::copy(bytes.begin(), bytes.end(), id.bytes_.begin());
  return id;
}

std::string ClusterId::ToString() const { return absl::BytesToHexString(ToAbsl(view())); }

ZoneId RandomZoneId() { return ZoneId(RandomNonZero()); }

}  // namespace slotkv
