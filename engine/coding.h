// Little-endian fixed-width integers and varints: the alphabet of every byte format on disk.
#ifndef SLOTKV_ENGINE_CODING_H_
#define SLOTKV_ENGINE_CODING_H_

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace slotkv {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the formats are written as in memory");

// Writes `value` at `to`, which has room for sizeof(T) bytes.
template <typename T>
inline void StoreFixed(char* to, T value) {
  std::memcpy(to, &value, sizeof(value));
}

// Reads a T at `from`, which has at least sizeof(T) bytes.
template <typename T>
inline T LoadFixed(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

template <typename T>
inline void PutFixed(std::string* out, T value) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// Appends `value` in 1 to 10 bytes, seven bits each, least significant first.
inline void PutVarint(std::string* out, uint64_t value) {
  while (value >= 0x80) {
    out->push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  out->push_back(static_cast<char>(value));
}

// Appends the length of `bytes` as a varint, then `bytes`.
inline void PutBytes(std::string* out, std::string_view bytes) {
  PutVarint(out, bytes.size());
  out->append(bytes.data(), bytes.size());
}

// Takes values off the front of a byte string. After the first failure every further call fails
// too, so that a caller may check once at the end.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : rest_(bytes) {}

  template <typename T>
  bool Fixed(T* value) {
    if (!Need(sizeof(T))) return false;
    *value = LoadFixed<T>(rest_.data());
    rest_.remove_prefix(sizeof(T));
    return true;
  }

  bool Varint(uint64_t* value) {
    uint64_t result = 0;
    for (int shift = 0; shift < 64 && Need(1); shift += 7) {
      const uint8_t byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      if (shift == 63 && byte > 1) break;
      result |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) {
        *value = result;
        return true;
      }
    }
    ok_ = false;
    return false;
  }

  bool Bytes(std::string_view* value) {
    uint64_t length = 0;
    return Varint(&length) && Take(length, value);
  }

  // `length` bytes that have no length of their own in front.
  bool Take(uint64_t length, std::string_view* value) {
    if (!Need(length)) return false;
    *value = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return true;
  }

  bool ok() const { return ok_; }
  bool empty() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }

 private:
  bool Need(uint64_t size) { return ok_ = ok_ && rest_.size() >= size; }

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_CODING_H_
