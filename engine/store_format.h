// Keys and values as they lie in a node's store.
//
//   key     slot, 2 bytes big-endian | the user's key
//   value   type 1 | flags 1 (zero) | expiry 8, ms since 1970, 0: none | payload
//
// A slot is one contiguous range of keys. Slots from 16384 on hold metadata, whose values have no
// such header.
#ifndef SLOTKV_ENGINE_STORE_FORMAT_H_
#define SLOTKV_ENGINE_STORE_FORMAT_H_

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "engine/coding.h"

namespace slotkv {

inline constexpr uint16_t kFirstMetadataSlot = 16384;
inline constexpr size_t kSlotBytes = 2;
inline constexpr size_t kValueHeaderBytes = 10;

// Types 128 to 255 are the user's. Numbers are on disk: never reused.
enum class ValueType : uint8_t {
  kString = 1,
  kHash = 2,  // shard/hash_value.h
};

struct ValueHeader {
  ValueType type = ValueType::kString;
  uint64_t expiry_ms = 0;  // 0: none

  bool ExpiredAt(uint64_t now_ms) const { return expiry_ms != 0 && expiry_ms <= now_ms; }
};

// Writes the slot at `to`, which has room for kSlotBytes.
inline void StoreSlot(char* to, uint16_t slot) {
  to[0] = static_cast<char>(slot >> 8);
  to[1] = static_cast<char>(slot & 0xff);
}
inline void AppendSlot(uint16_t slot, std::string* out) {
  char bytes[kSlotBytes];
  StoreSlot(bytes, slot);
  out->append(bytes, kSlotBytes);
}

// A key as the store knows it; short ones need no allocation.
class StoreKey {
 public:
  StoreKey(uint16_t slot, std::string_view key) : size_(kSlotBytes + key.size()) {
    char* to = inline_;
    if (size_ > sizeof(inline_)) {
      large_.resize(size_);
      to = large_.data();
    }
    StoreSlot(to, slot);
    if (!key.empty()) std::memcpy(to + kSlotBytes, key.data(), key.size());
  }
  StoreKey(const StoreKey&) = delete;
  StoreKey& operator=(const StoreKey&) = delete;

  std::string_view view() const { return {large_.empty() ? inline_ : large_.data(), size_}; }

 private:
  const size_t size_;
  char inline_[126];
  std::string large_;
};

// `store_key` has at least kSlotBytes.
inline uint16_t SlotOf(std::string_view store_key) {
  return static_cast<uint16_t>((static_cast<uint8_t>(store_key[0]) << 8) |
                               static_cast<uint8_t>(store_key[1]));
}
inline std::string_view UserKeyOf(std::string_view store_key) {
  return store_key.substr(kSlotBytes);
}

inline void AppendValueHeader(const ValueHeader& header, std::string* out) {
  out->push_back(static_cast<char>(header.type));
  out->push_back('\0');
  PutFixed<uint64_t>(out, header.expiry_ms);
}

// Nullopt: not a value of ours.
inline std::optional<ValueHeader> DecodeValueHeader(std::string_view value) {
  if (value.size() < kValueHeaderBytes || value[1] != '\0') return std::nullopt;
  return ValueHeader{static_cast<ValueType>(value[0]), LoadFixed<uint64_t>(value.data() + 2)};
}
inline std::string_view PayloadOf(std::string_view value) {
  return value.substr(kValueHeaderBytes);
}

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_STORE_FORMAT_H_
