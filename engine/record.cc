#include "engine/record.h"

#define XXH_INLINE_ALL
#include "engine/check.h"
#include "engine/coding.h"
#include "xxhash.h"

namespace slotkv {
namespace {

constexpr size_t kChecksumOffset = 4;
constexpr size_t kBodyOffset = 12;

// The length goes in through the seed, so that the body is hashed where it lies.
uint64_t Checksum(const char* body, size_t size, uint32_t length, uint64_t seed) {
  return XXH3_64bits_withSeed(body, size, seed + length);
}

size_t Padded(size_t size) { return (size + kRecordAlignment - 1) & ~(kRecordAlignment - 1); }

}  // namespace

size_t EncodedRecordSize(size_t payload_bytes) {
  return Padded(kRecordHeaderBytes + payload_bytes);
}

void EncodeRecord(const Record& record, LogIndex synced, uint64_t seed, std::string* out) {
  SLOTKV_CHECK(record.payload.size() <= kMaxPayloadBytes);
  const size_t start = out->size();
  const size_t end = kRecordHeaderBytes + record.payload.size();
  const uint32_t length = static_cast<uint32_t>(end - kChecksumOffset);
  char header[kRecordHeaderBytes];
  StoreFixed<uint32_t>(header, length);
  StoreFixed<uint64_t>(header + 12, record.position.epoch.value());
  StoreFixed<uint64_t>(header + 20, record.position.index.value());
  StoreFixed<uint64_t>(header + 28, record.commit.value());
  StoreFixed<uint64_t>(header + 36, synced.value());
  StoreFixed<uint64_t>(header + 44, record.clock_ms);
  header[52] = static_cast<char>(record.kind);
  out->append(header, sizeof(header));
  out->append(record.payload.data(), record.payload.size());
  out->resize(start + Padded(end));
  char* const begin = out->data() + start;
  StoreFixed<uint64_t>(begin + kChecksumOffset,
                       Checksum(begin + kBodyOffset, end - kBodyOffset, length, seed));
}

uint64_t PeekRecordIndex(std::string_view bytes) { return LoadFixed<uint64_t>(bytes.data() + 20); }

std::optional<DecodedRecord> DecodeRecord(std::string_view bytes, uint64_t seed) {
  if (bytes.size() < kRecordHeaderBytes) return std::nullopt;
  const char* const begin = bytes.data();
  const uint32_t length = LoadFixed<uint32_t>(begin);
  if (length < kRecordHeaderBytes - kChecksumOffset) return std::nullopt;
  const uint64_t end = uint64_t{length} + kChecksumOffset;
  if (end > bytes.size() || end > kMaxPayloadBytes + kRecordHeaderBytes) return std::nullopt;
  if (LoadFixed<uint64_t>(begin + kChecksumOffset) !=
      Checksum(begin + kBodyOffset, end - kBodyOffset, length, seed)) {
    return std::nullopt;
  }
  DecodedRecord decoded;
  decoded.record.position.epoch = ShardEpoch(LoadFixed<uint64_t>(begin + 12));
  decoded.record.position.index = LogIndex(LoadFixed<uint64_t>(begin + 20));
  decoded.record.commit = LogIndex(LoadFixed<uint64_t>(begin + 28));
  decoded.synced = LogIndex(LoadFixed<uint64_t>(begin + 36));
  decoded.record.clock_ms = LoadFixed<uint64_t>(begin + 44);
  decoded.record.kind = static_cast<RecordKind>(begin[52]);
  decoded.record.payload = bytes.substr(kRecordHeaderBytes, end - kRecordHeaderBytes);
  decoded.size = Padded(end);
  return decoded;
}

}  // namespace slotkv
