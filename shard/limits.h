// The sizes that slotkv takes, in bytes. Anything larger is refused with an error that names the
// size and the limit, and changes nothing.
#ifndef SLOTKV_SHARD_LIMITS_H_
#define SLOTKV_SHARD_LIMITS_H_

#include <cstddef>

namespace slotkv {

// InvalidArgument beyond.
inline constexpr size_t kMaxKeyBytes = 65536;
// InvalidArgument beyond; ResourceExhausted if a value would grow beyond (Append, SetRange).
inline constexpr size_t kMaxValueBytes = size_t{512} << 20;
// All names and values of a hash, and 16 bytes for each field. ResourceExhausted beyond.
inline constexpr size_t kMaxHashBytes = size_t{16} << 20;
// All keys and values of a WriteBatch, and 32 bytes for each of its writes. InvalidArgument beyond.
inline constexpr size_t kMaxBatchBytes = kMaxValueBytes + (size_t{1} << 20);
// ScanOptions::limit. InvalidArgument beyond.
inline constexpr size_t kMaxScanLimit = 100000;

}  // namespace slotkv

#endif  // SLOTKV_SHARD_LIMITS_H_
