// The log's record: what one write, or one step of the shard's life, looks like in the log.
//
// Layout, little-endian; each record starts at a multiple of 8 and is padded to one with zeros:
//
//   offset  size  field
//        0     4  length     of everything from `checksum` to the end of the payload, in bytes
//        4     8  checksum   XXH3-64 of length and everything after checksum, seeded by segment
//       12     8  shard epoch
//       20     8  index
//       28     8  commit index
//       36     8  synced index
//       44     8  clock      ms since 1970, the expiry clock when the record was made
//       52     1  kind
//       53     n  payload
//
// The seed differs for every segment, so that neither a value that looks like a record nor a
// record of another segment is ever taken for one.
#ifndef SLOTKV_ENGINE_RECORD_H_
#define SLOTKV_ENGINE_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/ids.h"

namespace slotkv {

// Numbers are on disk: never reused.
enum class RecordKind : uint8_t {
  kEpochStart = 1,  // a new shard epoch begins; no payload
  kWrite = 2,       // effects (engine/effects.h), applied as a whole
};

// A record's name: unique in its shard's history.
struct LogPosition {
  ShardEpoch epoch;
  LogIndex index;

  friend bool operator==(LogPosition a, LogPosition b) {
    return a.epoch == b.epoch && a.index == b.index;
  }
  friend bool operator<(LogPosition a, LogPosition b) {
    return a.epoch != b.epoch ? a.epoch < b.epoch : a.index < b.index;
  }
};

// What the group gives to every copy of the log. The payload belongs to the caller.
struct Record {
  LogPosition position;
  LogIndex commit;        // the last record that every in-sync copy had when this was made
  uint64_t clock_ms = 0;  // the expiry clock when this was made
  RecordKind kind = RecordKind::kWrite;
  std::string_view payload;
};

inline constexpr size_t kRecordHeaderBytes = 53;
inline constexpr size_t kRecordAlignment = 8;
// Payloads above this are damage, or a caller's mistake: a value of 512 MiB and its key fit.
inline constexpr size_t kMaxPayloadBytes = (size_t{1} << 30) - 4096;

// Bytes that a record takes in the log, padding included.
size_t EncodedRecordSize(size_t payload_bytes);

// Appends the record, padded. `synced` is the copy's own last durable index.
void EncodeRecord(const Record& record, LogIndex synced, uint64_t seed, std::string* out);

// What the index of a record at the front of `bytes` would be; at least kRecordHeaderBytes.
uint64_t PeekRecordIndex(std::string_view bytes);

struct DecodedRecord {
  Record record;  // the payload points into the bytes that were decoded
  LogIndex synced;
  size_t size = 0;  // in the log, padding included
};

// The record at the front of `bytes`, or nullopt if none that is whole and sound stands there.
std::optional<DecodedRecord> DecodeRecord(std::string_view bytes, uint64_t seed);

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_RECORD_H_
