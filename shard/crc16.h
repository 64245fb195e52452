// CRC-16/XMODEM at the speed of the machine: internal to slot.h, which documents the function.
//
// There are two implementations: table lookups, for every machine, and carry-less multiplication,
// for x86-64 machines that have it. The faster one that works is chosen at the first call.

#ifndef SLOTKV_SHARD_CRC16_H_
#define SLOTKV_SHARD_CRC16_H_

#include <atomic>
#include <cstdint>
#include <string_view>

namespace slotkv::internal {

// The bytes of `key` that decide its slot: see slotkv::HashTag.
std::string_view HashTag(std::string_view key);

// Every machine.
uint16_t Crc16Portable(std::string_view data);
uint16_t KeyCrc16Portable(std::string_view key);

// Machines where HasCarrylessMultiply() only.
bool HasCarrylessMultiply();
uint16_t Crc16Clmul(std::string_view data);
uint16_t KeyCrc16Clmul(std::string_view key);

// Constant-initialised to functions that choose an implementation, store it here and call it: other
// static initialisers may hash keys, in any order. Threads that race here store the same value.
using Crc16Function = uint16_t (*)(std::string_view);
extern std::atomic<Crc16Function> crc16_implementation;
extern std::atomic<Crc16Function> key_crc16_implementation;

// The CRC of `data`.
inline uint16_t Crc16(std::string_view data) {
  return crc16_implementation.load(std::memory_order_relaxed)(data);
}

// The CRC of HashTag(key). Where it matters, the search for the tag and the CRC are one
// pass: a key without a tag is read once, and of a long key with one only what is up to its tag's
// end.
inline uint16_t KeyCrc16(std::string_view key) {
  return key_crc16_implementation.load(std::memory_order_relaxed)(key);
}

}  // namespace slotkv::internal

#endif  // SLOTKV_SHARD_CRC16_H_
