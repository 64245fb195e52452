#include "benchmarks/peers/table_crc16.h"

#include <array>
#include <cstddef>

namespace slotkv::peers {
namespace {

constexpr std::array<uint16_t, 256> MakeTable() {
  std::array<uint16_t, 256> table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte << 8;
    for (int bit = 0; bit < 8; ++bit) crc = crc << 1 ^ ((crc & 0x8000) != 0 ? 0x1021 : 0);
    table[byte] = static_cast<uint16_t>(crc);
  }
  return table;
}

constexpr std::array<uint16_t, 256> kTable = MakeTable();

}  // namespace

uint16_t TableCrc16(std::string_view data) {
  uint16_t crc = 0;
  for (const char c : data) {
    const auto byte = static_cast<unsigned char>(c);
    crc = static_cast<uint16_t>(crc << 8 ^ kTable[(crc >> 8 ^ byte) & 0xFF]);
  }
  return crc;
}

uint16_t TableSlotForKey(std::string_view key) {
  size_t open = 0;
  while (open < key.size() && key[open] != '{') ++open;
  if (open == key.size()) return TableCrc16(key) & 0x3FFF;

  size_t close = open + 1;
  while (close < key.size() && key[close] != '}') ++close;
  if (close == key.size() || close == open + 1) return TableCrc16(key) & 0x3FFF;

  return TableCrc16(key.substr(open + 1, close - open - 1)) & 0x3FFF;
}

}  // namespace slotkv::peers
