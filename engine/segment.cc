#include "engine/segment.h"

#define XXH_INLINE_ALL
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/coding.h"
#include "engine/text.h"
#include "xxhash.h"

namespace slotkv {
namespace {

constexpr std::string_view kMagic = "SLOTKVLG";
constexpr uint32_t kVersion = 1;
constexpr size_t kHeaderChecksumOffset = 72;
constexpr size_t kMarkBodyBytes = 16;
constexpr size_t kMarkBytes = 24;

bool AllZero(std::string_view bytes) {
  return bytes.empty() || (bytes.front() == '\0' &&
                           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

std::optional<LogMark> DecodeMark(std::string_view bytes, uint64_t seed) {
  if (LoadFixed<uint64_t>(bytes.data() + kMarkBodyBytes) !=
      XXH3_64bits_withSeed(bytes.data(), kMarkBodyBytes, seed)) {
    return std::nullopt;
  }
  LogMark mark;
  mark.synced = LogIndex(LoadFixed<uint64_t>(bytes.data()));
  mark.clock_ms = LoadFixed<uint64_t>(bytes.data() + 8);
  return mark;
}

absl::Status CheckIdentity(const SegmentHeader& header, const LogIdentity& identity,
                           uint64_t sequence, const std::string& path) {
  if (header.identity.cluster != identity.cluster) {
    return absl::DataLossError(absl::StrCat(path, ": offset 16: the log of another cluster"));
  }
  if (header.identity.shard != identity.shard || header.identity.node != identity.node) {
    return absl::DataLossError(
        absl::StrCat(path, ": offset 32: the log of ", header.identity.shard.ToString(), " ",
                     header.identity.node.ToString(), ", not of ", identity.shard.ToString(), " ",
                     identity.node.ToString()));
  }
  if (header.sequence != sequence) {
    return absl::DataLossError(
        absl::StrCat(path, ": offset 40: this is file ", header.sequence, " of the log"));
  }
  return absl::OkStatus();
}

// Nullopt: no header here. A file that was cut down by a crash before its header was whole holds
// no records either; one that holds records behind a damaged header is damaged.
absl::StatusOr<std::optional<SegmentHeader>> DecodeHeader(std::string_view bytes,
                                                          const std::string& path) {
  if (bytes.size() < kSegmentHeaderBytes) {
    if (AllZero(bytes)) return std::optional<SegmentHeader>();
    return absl::DataLossError(absl::StrCat(path, ": offset 0: ends within the segment header"));
  }
  const std::string_view head = bytes.substr(0, kSegmentHeaderBytes);
  if (AllZero(head)) return std::optional<SegmentHeader>();
  if (LoadFixed<uint64_t>(head.data() + kHeaderChecksumOffset) !=
      XXH3_64bits(head.data(), kHeaderChecksumOffset)) {
    if (AllZero(bytes.substr(kSegmentHeaderBytes))) return std::optional<SegmentHeader>();
    return absl::DataLossError(absl::StrCat(path, ": offset 0: bad checksum in segment header"));
  }
  if (head.substr(0, kMagic.size()) != kMagic) {
    return absl::DataLossError(absl::StrCat(path, ": offset 0: not a slotkv log segment"));
  }
  const uint32_t version = LoadFixed<uint32_t>(head.data() + 8);
  if (version != kVersion || LoadFixed<uint32_t>(head.data() + 12) != kSegmentHeaderBytes) {
    return absl::FailedPreconditionError(absl::StrCat(path, ": offset 8: log format version ",
                                                      version, ", this library reads ", kVersion));
  }
  SegmentHeader header;
  std::memcpy(header.identity.cluster.data(), head.data() + 16, 16);
  header.identity.shard = ShardId(LoadFixed<uint32_t>(head.data() + 32));
  header.identity.node = NodeId(LoadFixed<uint32_t>(head.data() + 36));
  header.sequence = LoadFixed<uint64_t>(head.data() + 40);
  header.first = LogIndex(LoadFixed<uint64_t>(head.data() + 48));
  header.previous_epoch = ShardEpoch(LoadFixed<uint64_t>(head.data() + 56));
  header.seed = LoadFixed<uint64_t>(head.data() + 64);
  return std::optional<SegmentHeader>(header);
}

void Note(const DecodedRecord& decoded, SegmentScan* scan) {
  scan->highest_synced = std::max(scan->highest_synced, decoded.synced);
  scan->highest_clock_ms = std::max(scan->highest_clock_ms, decoded.record.clock_ms);
}

// Sound records behind the first bad one are not part of the log, but what they say of syncs
// tells a torn tail from damage. A checksum is taken only of what could be a later record by its
// index, for there may be many bytes here that are none.
void ScanBehindEnd(std::string_view bytes, SegmentScan* scan) {
  const uint64_t last = scan->last.index.value();
  const uint64_t most = last + bytes.size() / kRecordHeaderBytes + 1;
  uint64_t offset = scan->end;
  while (offset + kRecordHeaderBytes <= bytes.size()) {
    const uint64_t index = PeekRecordIndex(bytes.substr(offset));
    const std::optional<DecodedRecord> decoded =
        index > last && index <= most ? DecodeRecord(bytes.substr(offset), scan->header->seed)
                                      : std::nullopt;
    if (decoded.has_value()) Note(*decoded, scan);
    offset += decoded.has_value() ? decoded->size : kRecordAlignment;
  }
}

}  // namespace

std::string EncodeSegmentHeader(const SegmentHeader& header) {
  std::string out(kMagic);
  PutFixed<uint32_t>(&out, kVersion);
  PutFixed<uint32_t>(&out, kSegmentHeaderBytes);
  out.append(reinterpret_cast<const char*>(header.identity.cluster.data()), 16);
  PutFixed<uint32_t>(&out, header.identity.shard.value());
  PutFixed<uint32_t>(&out, header.identity.node.value());
  PutFixed<uint64_t>(&out, header.sequence);
  PutFixed<uint64_t>(&out, header.first.value());
  PutFixed<uint64_t>(&out, header.previous_epoch.value());
  PutFixed<uint64_t>(&out, header.seed);
  PutFixed<uint64_t>(&out, XXH3_64bits(out.data(), kHeaderChecksumOffset));
  out.resize(kSegmentHeaderBytes);
  return out;
}

std::string EncodeMark(const LogMark& mark, uint64_t seed) {
  std::string out;
  PutFixed<uint64_t>(&out, mark.synced.value());
  PutFixed<uint64_t>(&out, mark.clock_ms);
  PutFixed<uint64_t>(&out, XXH3_64bits_withSeed(out.data(), kMarkBodyBytes, seed));
  return out;
}

std::string SegmentName(uint64_t sequence) { return absl::StrFormat("%010u.log", sequence); }

std::optional<uint64_t> ParseSegmentName(std::string_view name) {
  uint64_t sequence = 0;
  if (name.size() < 14 || name.substr(name.size() - 4) != ".log" ||
      !absl::SimpleAtoi(ToAbsl(name.substr(0, name.size() - 4)), &sequence) ||
      SegmentName(sequence) != name) {
    return std::nullopt;
  }
  return sequence;
}

absl::StatusOr<SegmentScan> ScanSegment(std::string_view bytes, const LogIdentity& identity,
                                        uint64_t sequence, const std::string& path) {
  SegmentScan scan;
  absl::StatusOr<std::optional<SegmentHeader>> header = DecodeHeader(bytes, path);
  if (!header.ok()) return header.status();
  scan.header = *header;
  if (!scan.header.has_value()) return scan;
  if (absl::Status status = CheckIdentity(*scan.header, identity, sequence, path); !status.ok()) {
    return status;
  }
  for (const size_t offset : kMarkOffsets) {
    const std::optional<LogMark> mark =
        DecodeMark(bytes.substr(offset, kMarkBytes), scan.header->seed);
    if (!mark.has_value()) continue;
    scan.mark.synced = std::max(scan.mark.synced, mark->synced);
    scan.mark.clock_ms = std::max(scan.mark.clock_ms, mark->clock_ms);
  }
  scan.highest_synced = scan.mark.synced;
  scan.highest_clock_ms = scan.mark.clock_ms;
  scan.last = {scan.header->previous_epoch, LogIndex(scan.header->first.value() - 1)};
  scan.end = kSegmentHeaderBytes;
  while (const std::optional<DecodedRecord> decoded =
             DecodeRecord(bytes.substr(scan.end), scan.header->seed)) {
    const LogPosition position = decoded->record.position;
    if (position.index != scan.last.index.Next() || position.epoch < scan.last.epoch) break;
    Note(*decoded, &scan);
    scan.last = position;
    scan.last_commit = decoded->record.commit;
    scan.end = std::min<uint64_t>(scan.end + decoded->size, bytes.size());
  }
  ScanBehindEnd(bytes, &scan);
  return scan;
}

}  // namespace slotkv
