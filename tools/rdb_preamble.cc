// What an empty snapshot is made of (Redis's rdb.h, versions 1 to 12):
//
//   "REDIS" and four digits, the version
//   0xFA  a name and a value, two strings      any number
//   0xFE  the number of a database, a length   any number
//   0xFB  how many keys, two lengths           any number
//   0xFF  and, since version 5, the CRC-64 of all bytes before it, little-endian; 0 is none
//
// A length is 00xxxxxx, 01xxxxxx and one byte, 0x80 and four bytes, or 0x81 and eight bytes, the
// highest byte first. A string is a length and as many bytes, or 0xC0, 0xC1 or 0xC2 and an integer
// of one, two or four bytes.
#include "tools/rdb_preamble.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "tools/text.h"

namespace slotkv::tools {
namespace {

constexpr std::string_view kMagic = "REDIS";
constexpr size_t kVersionDigits = 4;
constexpr int kFirstVersionWithChecksum = 5;

constexpr uint8_t kAuxiliary = 0xFA;
constexpr uint8_t kResizeDatabase = 0xFB;
constexpr uint8_t kSelectDatabase = 0xFE;
constexpr uint8_t kEnd = 0xFF;

// CRC-64 "Jones" as Redis uses it: reflected, initially 0, no final xor.
uint64_t Crc64(uint64_t crc, std::string_view bytes) {
  constexpr uint64_t kReflectedPolynomial = 0x95AC9329AC4BC9B5;
  for (const char byte : bytes) {
    crc ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit)
      crc = (crc >> 1) ^ ((crc & 1) != 0 ? kReflectedPolynomial : 0);
  }
  return crc;
}

// Reads the parts of a snapshot and keeps its checksum.
class RdbReader {
 public:
  explicit RdbReader(BufferedInput* input) : input_(input) {}

  uint64_t crc() const { return crc_; }

  absl::Status Skip(uint64_t size) {
    while (size > 0) {
      absl::StatusOr<std::string_view> ahead = input_->Lookahead(1);
      if (!ahead.ok()) return ahead.status();
      if (ahead->empty()) return Truncated();
      const std::string_view part =
          ahead->substr(0, static_cast<size_t>(std::min<uint64_t>(size, ahead->size())));
      crc_ = Crc64(crc_, part);
      input_->Consume(part.size());
      size -= part.size();
    }
    return absl::OkStatus();
  }

  // An integer of `size` bytes, the highest first.
  absl::StatusOr<uint64_t> ReadInteger(size_t size) {
    absl::StatusOr<std::string_view> ahead = input_->Lookahead(size);
    if (!ahead.ok()) return ahead.status();
    if (ahead->size() < size) return Truncated();
    uint64_t number = 0;
    for (const char byte : ahead->substr(0, size))
      number = number << 8 | static_cast<uint8_t>(byte);
    absl::Status skipped = Skip(size);
    if (!skipped.ok()) return skipped;
    return number;
  }

  absl::Status SkipLength() { return SkipLengthAnd(/*string=*/false); }
  absl::Status SkipString() { return SkipLengthAnd(/*string=*/true); }

 private:
  absl::Status SkipLengthAnd(bool string) {
    absl::StatusOr<uint64_t> first = ReadInteger(1);
    if (!first.ok()) return first.status();
    absl::StatusOr<uint64_t> length = *first & 0x3F;
    if (*first >= 0xC0) {
      if (!string || *first > 0xC2) return Malformed(*first);
      return Skip(uint64_t{1} << (*first - 0xC0));
    }
    if (*first == 0x80) {
      length = ReadInteger(4);
    } else if (*first == 0x81) {
      length = ReadInteger(8);
    } else if (*first > 0x81) {
      return Malformed(*first);
    } else if (*first >= 0x40) {
      absl::StatusOr<uint64_t> low = ReadInteger(1);
      if (!low.ok()) return low.status();
      *length = *length << 8 | *low;
    }
    if (!length.ok()) return length.status();
    return string ? Skip(*length) : absl::OkStatus();
  }

  absl::Status Truncated() const {
    return absl::DataLossError(
        absl::StrCat("truncated RDB snapshot: the input ends at byte ", input_->offset()));
  }
  absl::Status Malformed(uint64_t byte) const {
    return absl::InvalidArgumentError(
        absl::StrCat("malformed RDB snapshot: expected a length before byte ", input_->offset(),
                     ", found ", absl::Hex(byte)));
  }

  BufferedInput* const input_;
  uint64_t crc_ = 0;
};

absl::Status HoldsData(std::string_view version) {
  return absl::FailedPreconditionError(absl::StrCat(
      "the file begins with an RDB snapshot (version ", ToAbsl(version),
      ") that holds data, which slotkv does not read. Let Redis write it as commands: CONFIG SET "
      "aof-use-rdb-preamble no, then BGREWRITEAOF, and load the new file"));
}

absl::Status SkipEnd(RdbReader* reader, int version) {
  if (version < kFirstVersionWithChecksum) return absl::OkStatus();
  const uint64_t crc = reader->crc();
  absl::StatusOr<uint64_t> stored = reader->ReadInteger(sizeof(uint64_t));
  if (!stored.ok()) return stored.status();
  if (*stored != 0 && __builtin_bswap64(*stored) != crc) {
    return absl::DataLossError("the RDB snapshot's checksum is wrong");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SkipEmptyRdbPreamble(BufferedInput* input) {
  constexpr size_t kHeaderBytes = kMagic.size() + kVersionDigits;
  absl::StatusOr<std::string_view> ahead = input->Lookahead(kHeaderBytes);
  if (!ahead.ok()) return ahead.status();
  if (ahead->substr(0, kMagic.size()) != kMagic) return absl::OkStatus();
  const std::string version(ahead->substr(0, kHeaderBytes).substr(kMagic.size()));
  int version_number = 0;
  for (const char digit : version) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(digit))) return absl::OkStatus();
    version_number = version_number * 10 + (digit - '0');
  }

  RdbReader reader(input);
  absl::Status status = reader.Skip(kHeaderBytes);
  while (status.ok()) {
    absl::StatusOr<uint64_t> opcode = reader.ReadInteger(1);
    if (!opcode.ok()) return opcode.status();
    switch (*opcode) {
      case kAuxiliary:
        status = reader.SkipString();
        if (status.ok()) status = reader.SkipString();
        break;
      case kSelectDatabase:
        status = reader.SkipLength();
        break;
      case kResizeDatabase:
        status = reader.SkipLength();
        if (status.ok()) status = reader.SkipLength();
        break;
      case kEnd:
        return SkipEnd(&reader, version_number);
      default:
        return HoldsData(version);
    }
  }
  return status;
}

}  // namespace slotkv::tools
