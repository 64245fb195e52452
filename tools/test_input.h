// Input for tests: bytes in memory, handed out in parts of a chosen size.
#ifndef SLOTKV_TOOLS_TEST_INPUT_H_
#define SLOTKV_TOOLS_TEST_INPUT_H_

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "tools/buffered_input.h"

namespace slotkv::tools {

inline ByteSource StringSource(std::string bytes,
                               size_t part_bytes_max = std::numeric_limits<size_t>::max()) {
  return [bytes = std::move(bytes), at = size_t{0}, part_bytes_max](
             char* buffer, size_t size) mutable -> absl::StatusOr<size_t> {
    const size_t part = std::min({size, bytes.size() - at, part_bytes_max});
    std::memcpy(buffer, bytes.data() + at, part);
    at += part;
    return part;
  };
}

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_TEST_INPUT_H_
