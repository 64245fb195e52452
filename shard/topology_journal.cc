// Invariants
//   1. Each append is synced before the next, and none follows a failed one or a restart (the file
//      is replaced instead): so at most the last frame is unfinished, and only if nobody was told
//      it is there.
//   2. A bad frame before a sound one is therefore damage, never a torn write.
//   3. Terms never fall from one frame to the next; each record's predecessor is the record before
//      it; a file without a record does not exist (files appear whole, with one).
//   4. Another cluster's file, or a later release's, is never written to.
//
// What cannot be told apart: a last frame that was synced and then rotted looks like one that was
// torn, and the copy then seems to end one frame earlier. The other copies outvote it.
//
// Format 1, little-endian:
//   file    := header, frame*
//   header  := magic 8 bytes "SLOTKVTP", version u32 = 1, zero u32, cluster 16 bytes,
//              XXH3-64 of the 32 bytes before it u64
//   frame   := magic u32 "TFRM", payload length u32, checksum u64, payload
//   payload := kind u8 = 1 (promise), term u64
//            | kind u8 = 2 (record), term u64, epoch u64, predecessor's term u64,
//              predecessor's epoch u64, content (an encoded cluster state)
// A frame's checksum is the XXH3-64 of length and payload, seeded with the first 8 bytes of the
// cluster id plus the frame's offset: a frame at another place, or of another cluster, is not
// sound.
#include "shard/topology_journal.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/coding.h"
#include "engine/text.h"

#define XXH_INLINE_ALL
#include "xxhash.h"

namespace slotkv {
namespace {

constexpr std::string_view kMagic = "SLOTKVTP";
constexpr uint32_t kFormatVersion = 1;
constexpr size_t kHeaderBytes = 40;
constexpr std::string_view kFrameMagic = "TFRM";
constexpr size_t kFrameHeaderBytes = 16;
// Far above the largest cluster state; a length beyond it is taken for damage.
constexpr size_t kPayloadBytesMax = size_t{16} << 20;

enum FrameKind : uint8_t { kPromiseFrame = 1, kRecordFrame = 2 };

std::string EncodeHeader(const ClusterId& cluster) {
  std::string out(kMagic);
  PutFixed(&out, kFormatVersion);
  PutFixed(&out, uint32_t{0});
  out.append(cluster.view());
  PutFixed(&out, static_cast<uint64_t>(XXH3_64bits(out.data(), out.size())));
  return out;
}

uint64_t FrameChecksum(std::string_view payload, size_t offset, const ClusterId& cluster) {
  std::string bytes;
  bytes.reserve(sizeof(uint32_t) + payload.size());
  PutFixed(&bytes, static_cast<uint32_t>(payload.size()));
  bytes.append(payload);
  const uint64_t seed = LoadFixed<uint64_t>(cluster.view().data()) + offset;
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

std::string EncodeFrame(std::string_view payload, size_t offset, const ClusterId& cluster) {
  std::string out(kFrameMagic);
  PutFixed(&out, static_cast<uint32_t>(payload.size()));
  PutFixed(&out, FrameChecksum(payload, offset, cluster));
  out.append(payload);
  return out;
}

std::string PromisePayload(Term term) {
  std::string out;
  PutFixed(&out, static_cast<uint8_t>(kPromiseFrame));
  PutFixed(&out, term.value());
  return out;
}

std::string RecordPayload(const TopologyRecord& record) {
  std::string out;
  PutFixed(&out, static_cast<uint8_t>(kRecordFrame));
  PutFixed(&out, record.name.term.value());
  PutFixed(&out, record.name.epoch.value());
  PutFixed(&out, record.predecessor.term.value());
  PutFixed(&out, record.predecessor.epoch.value());
  out.append(record.content);
  return out;
}

// The payload of the sound frame at `offset`; nullopt if there is none.
std::optional<std::string_view> FrameAt(std::string_view bytes, size_t offset,
                                        const ClusterId& cluster) {
  const std::string_view rest = bytes.substr(offset);
  if (rest.size() < kFrameHeaderBytes || rest.substr(0, kFrameMagic.size()) != kFrameMagic) {
    return std::nullopt;
  }
  const uint32_t length = LoadFixed<uint32_t>(rest.data() + 4);
  if (length > kPayloadBytesMax || length > rest.size() - kFrameHeaderBytes) return std::nullopt;
  const std::string_view payload = rest.substr(kFrameHeaderBytes, length);
  if (LoadFixed<uint64_t>(rest.data() + 8) != FrameChecksum(payload, offset, cluster)) {
    return std::nullopt;
  }
  return payload;
}

std::optional<size_t> NextSoundFrame(std::string_view bytes, size_t from,
                                     const ClusterId& cluster) {
  for (size_t at = bytes.find(kFrameMagic, from); at != std::string_view::npos;
       at = bytes.find(kFrameMagic, at + 1)) {
    if (FrameAt(bytes, at, cluster).has_value()) return at;
  }
  return std::nullopt;
}

absl::Status DamagedAt(size_t offset, std::string_view what) {
  return absl::DataLossError(absl::StrCat("offset ", offset, ": ", ToAbsl(what)));
}

absl::Status ReadHeader(std::string_view bytes, const ClusterId& cluster) {
  if (bytes.size() < kHeaderBytes) return DamagedAt(0, "the header is cut short");
  if (bytes.substr(0, kMagic.size()) != kMagic) return DamagedAt(0, "not a topology journal");
  const size_t covered = kHeaderBytes - sizeof(uint64_t);
  if (LoadFixed<uint64_t>(bytes.data() + covered) != XXH3_64bits(bytes.data(), covered)) {
    return DamagedAt(0, "the header's checksum does not match");
  }
  const uint32_t version = LoadFixed<uint32_t>(bytes.data() + 8);
  if (version != kFormatVersion) {
    return absl::UnimplementedError(absl::StrCat("topology journal format version ", version,
                                                 " is unknown; this release reads version ",
                                                 kFormatVersion));
  }
  const ClusterId found = ClusterId::FromBytes(bytes.substr(16, ClusterId::kBytes));
  if (found != cluster) {
    return absl::FailedPreconditionError(
        absl::StrCat("belongs to cluster ", found.ToString(), ", not to ", cluster.ToString()));
  }
  return absl::OkStatus();
}

// What was read so far.
struct Reading {
  Term promised;
  std::optional<TopologyRecord> last;
};

absl::Status ReadFrame(std::string_view payload, size_t offset, Reading* reading) {
  Decoder decoder(payload);
  uint8_t kind = 0;
  uint64_t term = 0;
  if (!decoder.Fixed(&kind)) return DamagedAt(offset, "an empty frame");
  if (kind != kPromiseFrame && kind != kRecordFrame) {
    return absl::UnimplementedError(
        absl::StrCat("offset ", offset, ": topology frame kind ", kind, " is unknown"));
  }
  if (!decoder.Fixed(&term)) return DamagedAt(offset, "a frame without a term");
  if (Term(term) < reading->promised || term == 0) {
    return DamagedAt(
        offset, absl::StrCat("term ", term, " after a promise of ", reading->promised.value()));
  }
  reading->promised = Term(term);
  if (kind == kPromiseFrame) {
    return decoder.empty() ? absl::OkStatus() : DamagedAt(offset, "a promise that is too long");
  }
  uint64_t epoch = 0;
  uint64_t previous_term = 0;
  uint64_t previous_epoch = 0;
  decoder.Fixed(&epoch);
  decoder.Fixed(&previous_term);
  decoder.Fixed(&previous_epoch);
  if (!decoder.ok()) return DamagedAt(offset, "a record that is cut short");
  TopologyRecord record = {{Term(term), Epoch(epoch)},
                           {Term(previous_term), Epoch(previous_epoch)},
                           std::string(decoder.rest())};
  if (!(record.predecessor < record.name)) {
    return DamagedAt(offset, "a record that does not follow its predecessor");
  }
  if (reading->last.has_value() && record.predecessor != reading->last->name) {
    return DamagedAt(
        offset, absl::StrCat(record.name.ToString(), " follows ", record.predecessor.ToString(),
                             ", but ", reading->last->name.ToString(), " stands before it"));
  }
  reading->last = std::move(record);
  return absl::OkStatus();
}

}  // namespace

std::string RecordName::ToString() const {
  return absl::StrCat("term ", term.value(), " epoch ", epoch.value());
}

absl::StatusOr<JournalContents> ReadJournal(std::string_view bytes, const ClusterId& cluster) {
  if (absl::Status status = ReadHeader(bytes, cluster); !status.ok()) return status;
  Reading reading;
  size_t offset = kHeaderBytes;
  while (offset < bytes.size()) {
    const std::optional<std::string_view> payload = FrameAt(bytes, offset, cluster);
    if (!payload.has_value()) break;
    if (absl::Status status = ReadFrame(*payload, offset, &reading); !status.ok()) return status;
    offset += kFrameHeaderBytes + payload->size();
  }
  const bool torn = offset < bytes.size();
  if (torn) {
    if (const auto sound = NextSoundFrame(bytes, offset + 1, cluster); sound.has_value()) {
      return DamagedAt(offset, absl::StrCat("a bad frame, but a sound one at offset ", *sound));
    }
  }
  if (!reading.last.has_value()) return DamagedAt(offset, "no record in the file");
  return JournalContents{{reading.promised, *std::move(reading.last)}, torn};
}

std::string EncodeJournal(const JournalHead& head, const ClusterId& cluster) {
  std::string out = EncodeHeader(cluster);
  out += EncodeFrame(RecordPayload(head.last), out.size(), cluster);
  if (head.last.name.term < head.promised) {
    out += EncodeFrame(PromisePayload(head.promised), out.size(), cluster);
  }
  return out;
}

// ---- TopologyJournal ----

TopologyJournal::TopologyJournal(const Disk* disk, const std::string& directory, ClusterId cluster)
    : disk_(disk), path_(JoinPath(directory, kName)), cluster_(cluster) {}

absl::StatusOr<JournalHead> TopologyJournal::Load() {
  head_.reset();
  appendable_bytes_.reset();
  file_.reset();
  const absl::StatusOr<std::string> bytes = disk_->Read(path_);
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<JournalContents> contents = ReadJournal(*bytes, cluster_);
  if (!contents.ok()) {
    const absl::Status& status = contents.status();
    foreign_ = absl::IsFailedPrecondition(status) || absl::IsUnimplemented(status);
    return absl::Status(status.code(), absl::StrCat(path_, ": ", status.message()));
  }
  // Not to be appended to: what was read may stand in the page cache alone, left behind by a sync
  // that failed, and a later sync would not say so.
  head_ = std::move(contents->head);
  return *head_;
}

absl::StatusOr<JournalHead> TopologyJournal::Promise(Term term) {
  if (!head_.has_value()) {
    return absl::FailedPreconditionError(absl::StrCat(path_, ": not sound; cannot promise"));
  }
  SLOTKV_CHECK(head_->promised < term);
  const JournalHead next = {term, head_->last};
  if (absl::Status status = Append(next, PromisePayload(term)); !status.ok()) return status;
  return next;
}

absl::Status TopologyJournal::Write(const TopologyRecord& record) {
  if (foreign_) {
    return absl::FailedPreconditionError(
        absl::StrCat(path_, ": another cluster's or a later release's; not written to"));
  }
  JournalHead next = {record.name.term, record};
  const bool extends = head_.has_value() && head_->promised == record.name.term &&
                       head_->last.name == record.predecessor;
  if (!extends) return Replace(std::move(next));
  return Append(std::move(next), RecordPayload(record));
}

absl::Status TopologyJournal::Append(JournalHead next, const std::string& payload) {
  const size_t frame_bytes = kFrameHeaderBytes + payload.size();
  if (!appendable_bytes_.has_value() || *appendable_bytes_ + frame_bytes > kBytesMax) {
    return Replace(std::move(next));
  }
  const size_t offset = *appendable_bytes_;
  // Unknown until the frame is durable.
  head_.reset();
  appendable_bytes_.reset();
  if (absl::Status status = AppendFrame(EncodeFrame(payload, offset, cluster_)); !status.ok()) {
    file_.reset();
    return status;
  }
  head_ = std::move(next);
  appendable_bytes_ = offset + frame_bytes;
  return absl::OkStatus();
}

absl::Status TopologyJournal::AppendFrame(const std::string& frame) {
  if (file_ == nullptr) {
    absl::StatusOr<std::unique_ptr<AppendFile>> file = disk_->OpenForAppend(path_);
    if (!file.ok()) return file.status();
    file_ = *std::move(file);
  }
  if (absl::Status status = file_->Append(frame); !status.ok()) return status;
  return file_->Sync();
}

absl::Status TopologyJournal::Replace(JournalHead next) {
  head_.reset();
  appendable_bytes_.reset();
  file_.reset();
  const std::string bytes = EncodeJournal(next, cluster_);
  if (absl::Status status = disk_->Replace(path_, bytes); !status.ok()) return status;
  head_ = std::move(next);
  appendable_bytes_ = bytes.size();
  return absl::OkStatus();
}

}  // namespace slotkv
