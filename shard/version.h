// The library's version. Formats on disk of every 0.x are opened by later ones, or refused by
// name; there is no stable ABI.
#ifndef SLOTKV_SHARD_VERSION_H_
#define SLOTKV_SHARD_VERSION_H_

namespace slotkv {

// Major and minor version, and MAJOR.MINOR.PATCH.
inline constexpr int kVersionMajor = 0;
inline constexpr int kVersionMinor = 1;
inline constexpr const char* kVersion = "0.1.0";

}  // namespace slotkv

#endif  // SLOTKV_SHARD_VERSION_H_
