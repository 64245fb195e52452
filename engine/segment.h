// One file of the log: a header, then records.
//
//   offset  size  field
//        0     8  magic "SLOTKVLG"
//        8     4  version, 1
//       12     4  offset of the first record, 512
//       16    16  cluster
//       32     4  shard
//       36     4  node
//       40     8  sequence       the file's number
//       48     8  first index    of the first record here
//       56     8  previous epoch of the record before it (0: none)
//       64     8  checksum seed  of this file's records
//       72     8  checksum       XXH3-64 of bytes 0..71
//      128    24  mark A         {synced index 8, clock ms 8, XXH3-64 of both, seeded 8}
//      192    24  mark B
//      512        records (engine/record.h), then zeros
//
// A mark says what is known to be durable, and up to when callers were told of expiry. Both are
// written with the header; later marks in place after each sync, to A and B in turn, so that one
// torn mark costs nothing. The header is written when the file is taken into use: a file prepared
// in advance is all zeros.
#ifndef SLOTKV_ENGINE_SEGMENT_H_
#define SLOTKV_ENGINE_SEGMENT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/ids.h"
#include "engine/record.h"

namespace slotkv {

inline constexpr size_t kSegmentHeaderBytes = 512;
inline constexpr std::array<size_t, 2> kMarkOffsets = {128, 192};

// Whose log it is. A file that says otherwise is refused.
struct LogIdentity {
  std::array<uint8_t, 16> cluster{};
  ShardId shard;
  NodeId node;
};

struct SegmentHeader {
  LogIdentity identity;
  uint64_t sequence = 0;
  LogIndex first;
  ShardEpoch previous_epoch;
  uint64_t seed = 0;
};

struct LogMark {
  LogIndex synced;
  uint64_t clock_ms = 0;
};

// kSegmentHeaderBytes, the marks still zero.
std::string EncodeSegmentHeader(const SegmentHeader& header);
std::string EncodeMark(const LogMark& mark, uint64_t seed);

// "0000000042.log"
std::string SegmentName(uint64_t sequence);
// Nullopt for a name that is not a segment's.
std::optional<uint64_t> ParseSegmentName(std::string_view name);

// What one segment's bytes hold, read front to back.
struct SegmentScan {
  // Nullopt: never taken into use, or its header was never made durable; it holds nothing.
  std::optional<SegmentHeader> header;
  LogMark mark;                   // the higher of A and B in each field; zeros if neither is sound
  uint64_t highest_clock_ms = 0;  // in marks and sound records
  LogIndex highest_synced;        // in marks and all sound records, those after a bad one included
  // The run of sound, consecutive records from the front.
  LogPosition last;  // {previous epoch, first - 1} if there is none
  uint64_t end = 0;  // offset behind the run
  LogIndex last_commit;
};

// DataLoss (with `path` and the offset) if the header is damaged, or of a later version, or of
// another log; records are judged by the caller, who knows what must be there.
absl::StatusOr<SegmentScan> ScanSegment(std::string_view bytes, const LogIdentity& identity,
                                        uint64_t sequence, const std::string& path);

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_SEGMENT_H_
