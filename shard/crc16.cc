// In this file a byte string is a polynomial over GF(2), first byte and highest bit first, and its
// CRC is
//
//   CRC(M) = M * x^16 mod P,    P = x^16 + x^12 + x^5 + 1
//
// The initial value is 0, so zero bytes put in front of M do not change its CRC. Both
// implementations use that: they take the odd bytes first, as if they were the end of a block that
// starts with zeros, and whole blocks of 16 bytes after them. So there is no tail to treat.

#include "shard/crc16.h"

#include <array>
#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/base/attributes.h"

#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#define SLOTKV_CRC16_HAVE_CLMUL 1
#include <immintrin.h>
#endif

namespace slotkv::internal {
namespace {

constexpr size_t kBlockBytes = 16;
constexpr uint32_t kPolynomial = 0x11021;

// a * x mod P, for a of degree below 16.
constexpr uint32_t TimesX(uint32_t a) {
  a <<= 1;
  return (a & 0x10000) != 0 ? a ^ kPolynomial : a;
}

// ---- Tables: slicing by 16 ----

// tables[n][b] is the CRC of the byte b followed by n zero bytes.
using Tables = std::array<std::array<uint16_t, 256>, kBlockBytes>;

constexpr Tables MakeTables() {
  Tables tables{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte << 8;
    for (size_t zeros = 0; zeros < kBlockBytes; ++zeros) {
      for (int bit = 0; bit < 8; ++bit) crc = TimesX(crc);
      tables[zeros][byte] = static_cast<uint16_t>(crc);
    }
  }
  return tables;
}

constexpr Tables kTables = MakeTables();

// The CRC of 16 bytes after data whose CRC is `crc`. Written out by the compiler rather than as a
// loop, which it may leave rolled up: the lookups do not depend on each other.
template <size_t... kIndex>
uint32_t AddBlock(uint32_t crc, const unsigned char* p, std::index_sequence<kIndex...>) {
  // What came before counts like two bytes added to the first two.
  return kTables[15][p[0] ^ (crc >> 8)] ^ kTables[14][p[1] ^ (crc & 0xFF)] ^
         (kTables[13 - kIndex][p[2 + kIndex]] ^ ...);
}

}  // namespace

std::string_view HashTag(std::string_view key) {
  const size_t open = key.find('{');
  if (open == std::string_view::npos) return key;
  const size_t close = key.find('}', open + 1);
  if (close == std::string_view::npos || close == open + 1) return key;
  return key.substr(open + 1, close - open - 1);
}

uint16_t Crc16Portable(std::string_view data) {
  const auto* p = reinterpret_cast<const unsigned char*>(data.data());
  uint32_t crc = 0;
  for (size_t n = data.size() % kBlockBytes; n > 0; --n) crc ^= kTables[n - 1][*p++];
  for (size_t n = data.size() / kBlockBytes; n > 0; --n, p += kBlockBytes) {
    crc = AddBlock(crc, p, std::make_index_sequence<14>());
  }
  return static_cast<uint16_t>(crc);
}

uint16_t KeyCrc16Portable(std::string_view key) { return Crc16Portable(HashTag(key)); }

#ifdef SLOTKV_CRC16_HAVE_CLMUL

// ---- Carry-less multiplication ----
//
// A block is a 128-bit register with the coefficient of x^i in bit i: bytes are reversed on load.

// AVX is there for its three-operand instructions: a fifth faster on keys of 16 bytes.
#define SLOTKV_TARGET_CLMUL __attribute__((target("pclmul,avx")))

namespace {

// x^n mod P.
constexpr uint32_t PowerOfX(int n) {
  uint32_t a = 1;
  for (int i = 0; i < n; ++i) a = TimesX(a);
  return a;
}

// x^16 / P is an infinite series m0 + m1 x^-1 + m2 x^-2 + ...
// Returns 64 of its coefficients: m[first] in bit 63 to m[first + 63] in bit 0.
constexpr uint64_t QuotientSeries(int first) {
  uint64_t series = 0;
  uint32_t remainder = 1u << 15;  // Of x^15, whose coefficient in the quotient is 0.
  for (int i = 0; i < first + 64; ++i) {
    series = series << 1 | remainder >> 15;
    remainder = TimesX(remainder);
  }
  return series;
}

// The 16 entries from 16 - n on, used as a shuffle, take the first n bytes of a register in reverse
// into its low end and put zeros into the rest.
alignas(32) constexpr int8_t kReverseShuffles[2 * kBlockBytes] = {
    15, 14, 13, 12, 11, 10, 9,  8,  7,  6,  5,  4,  3,  2,  1,  0,
    -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1};

SLOTKV_TARGET_CLMUL inline __m128i Load(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}

inline uint64_t LoadBigEndian64(const char* p) {
  uint64_t value;
  std::memcpy(&value, p, sizeof(value));
  return __builtin_bswap64(value);
}

inline uint64_t LoadBigEndian32(const char* p) {
  uint32_t value;
  std::memcpy(&value, p, sizeof(value));
  return __builtin_bswap32(value);
}

// The block of zeros followed by the `size` bytes at p, which are 1 to 15. The loads overlap, so
// as not to touch a byte outside of [p, p + size).
SLOTKV_TARGET_CLMUL inline __m128i LoadShort(const char* p, size_t size) {
  if (size > 8) {
    const uint64_t high = LoadBigEndian64(p) >> (8 * (16 - size));
    const uint64_t low = LoadBigEndian64(p + size - 8);
    return _mm_set_epi64x(static_cast<long long>(high), static_cast<long long>(low));
  }
  uint64_t low = 0;
  if (size >= 4) {
    low = LoadBigEndian32(p) << (8 * (size - 4)) | LoadBigEndian32(p + size - 4);
  } else {
    for (size_t i = 0; i < size; ++i) low = low << 8 | static_cast<unsigned char>(p[i]);
  }
  return _mm_cvtsi64_si128(static_cast<long long>(low));
}

// Bit i is set if byte i of the block is c.
SLOTKV_TARGET_CLMUL inline uint32_t Find(char c, __m128i block) {
  return static_cast<uint32_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(block, _mm_set1_epi8(c))));
}

// The number of the lowest and of the highest bit that is set; there is one.
inline size_t FirstBit(uint32_t bits) { return static_cast<size_t>(__builtin_ctz(bits)); }
inline size_t LastBit(uint32_t bits) { return static_cast<size_t>(31 - __builtin_clz(bits)); }

// The first `size` bytes of `bytes`, 1 to 16 of them, as the end of a block that starts with zeros.
SLOTKV_TARGET_CLMUL inline __m128i BlockOfFirst(size_t size, __m128i bytes) {
  return _mm_shuffle_epi8(bytes, Load(kReverseShuffles + kBlockBytes - size));
}

// Something of degree below 128 that is a * x^128 mod P.
SLOTKV_TARGET_CLMUL inline __m128i Fold(__m128i a) {
  constexpr long long kForHigh = PowerOfX(128 + 64);
  constexpr long long kForLow = PowerOfX(128);
  const __m128i powers = _mm_set_epi64x(kForHigh, kForLow);
  return _mm_xor_si128(_mm_clmulepi64_si128(a, powers, 0x00),
                       _mm_clmulepi64_si128(a, powers, 0x11));
}

// a * x^16 mod P, by Barrett's method. With q the quotient of a * x^16 by P, the remainder is
// a * x^16 - q * P; it has 16 bits, and a * x^16 has none there: so it is the low 16 bits of q * P,
// to which only the low 16 bits of q contribute. Coefficient i of q is
//
//   sum over j of a[j] * m[j - i]
//
// (m: see QuotientSeries). Split a = high * x^64 + low. Then for i < 16 that is the sum of
//   - coefficient 64 + i of low * {m1 .. m64}, and a[i] * m0, where m0 is 1;
//   - coefficient 64 + i of high * {m65 .. m128};
//   - coefficient i of high * {m1 .. m64}, of which m1 to m48 do not reach that low.
SLOTKV_TARGET_CLMUL inline uint16_t Reduce(__m128i a) {
  constexpr auto kForHigh = static_cast<long long>(QuotientSeries(65));
  constexpr auto kForLow = static_cast<long long>(QuotientSeries(1));
  const __m128i series = _mm_set_epi64x(kForHigh, kForLow);
  const __m128i up =
      _mm_xor_si128(_mm_clmulepi64_si128(a, series, 0x00), _mm_clmulepi64_si128(a, series, 0x11));
  const __m128i in_place = _mm_xor_si128(a, _mm_clmulepi64_si128(a, series, 0x01));
  const auto q =
      static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_xor_si128(_mm_unpackhi_epi64(up, up), in_place)));
  static_assert(kPolynomial == (1 << 16 | 1 << 12 | 1 << 5 | 1));
  return static_cast<uint16_t>(q ^ q << 5 ^ q << 12);
}

// The CRC of a key whose first '{' is key[open].
SLOTKV_TARGET_CLMUL ABSL_ATTRIBUTE_NOINLINE uint16_t CrcOfBracedKey(std::string_view key,
                                                                    size_t open) {
  const std::string_view rest = key.substr(open + 1);
  if (rest.size() >= kBlockBytes) {
    // Most tags are short: their end is in the next 16 bytes.
    const __m128i bytes = Load(rest.data());
    const uint32_t closes = Find('}', bytes);
    if (closes != 0) {
      const size_t size = FirstBit(closes);
      return size != 0 ? Reduce(BlockOfFirst(size, bytes)) : Crc16Clmul(key);
    }
  }
  const size_t size = rest.find('}');
  return Crc16Clmul(size != 0 && size != std::string_view::npos ? rest.substr(0, size) : key);
}

// With kIsKey, the CRC of the hash tag if `data` has one.
template <bool kIsKey>
SLOTKV_TARGET_CLMUL inline uint16_t Clmul(std::string_view data) {
  const char* p = data.data();
  if (data.size() < kBlockBytes) {
    if (data.empty()) return 0;
    const __m128i block = LoadShort(p, data.size());
    if (kIsKey) {
      const uint32_t opens = Find('{', block);
      if (opens != 0) return CrcOfBracedKey(data, data.size() - 1 - LastBit(opens));
    }
    return Reduce(block);
  }

  const char* const end = p + data.size();
  const size_t head = kBlockBytes - (0 - data.size()) % kBlockBytes;  // 1 to 16.
  __m128i bytes = Load(p);
  if (kIsKey) {
    const uint32_t opens = Find('{', bytes);
    if (opens != 0) return CrcOfBracedKey(data, FirstBit(opens));
  }
  __m128i sum = BlockOfFirst(head, bytes);
  for (p += head; p != end; p += kBlockBytes) {
    bytes = Load(p);
    if (kIsKey) {
      const uint32_t opens = Find('{', bytes);
      if (opens != 0) {
        return CrcOfBracedKey(data, static_cast<size_t>(p - data.data()) + FirstBit(opens));
      }
    }
    sum = _mm_xor_si128(Fold(sum), BlockOfFirst(kBlockBytes, bytes));
  }
  return Reduce(sum);
}

}  // namespace

bool HasCarrylessMultiply() {
  // In case a static initialiser calls this before the compiler runtime's own has run.
  __builtin_cpu_init();
  return __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("avx");
}

SLOTKV_TARGET_CLMUL uint16_t Crc16Clmul(std::string_view data) { return Clmul<false>(data); }
SLOTKV_TARGET_CLMUL uint16_t KeyCrc16Clmul(std::string_view key) { return Clmul<true>(key); }

#else  // SLOTKV_CRC16_HAVE_CLMUL

bool HasCarrylessMultiply() { return false; }
uint16_t Crc16Clmul(std::string_view data) { return Crc16Portable(data); }
uint16_t KeyCrc16Clmul(std::string_view key) { return KeyCrc16Portable(key); }

#endif  // SLOTKV_CRC16_HAVE_CLMUL

// ---- The choice ----

namespace {

uint16_t ResolveCrc16(std::string_view data) {
  const Crc16Function chosen = HasCarrylessMultiply() ? &Crc16Clmul : &Crc16Portable;
  crc16_implementation.store(chosen, std::memory_order_relaxed);
  return chosen(data);
}

uint16_t ResolveKeyCrc16(std::string_view key) {
  const Crc16Function chosen = HasCarrylessMultiply() ? &KeyCrc16Clmul : &KeyCrc16Portable;
  key_crc16_implementation.store(chosen, std::memory_order_relaxed);
  return chosen(key);
}

}  // namespace

ABSL_CONST_INIT std::atomic<Crc16Function> crc16_implementation{&ResolveCrc16};
ABSL_CONST_INIT std::atomic<Crc16Function> key_crc16_implementation{&ResolveKeyCrc16};

}  // namespace slotkv::internal
