// The peer of slot hashing: the way Redis does it, written from its description in the Redis
// Cluster specification. Byte loops find the hash tag, and a CRC-16/XMODEM with one table of 256
// entries takes the key a byte at a time.

#ifndef SLOTKV_BENCHMARKS_PEERS_TABLE_CRC16_H_
#define SLOTKV_BENCHMARKS_PEERS_TABLE_CRC16_H_

#include <cstdint>
#include <string_view>

namespace slotkv::peers {

uint16_t TableCrc16(std::string_view data);

uint16_t TableSlotForKey(std::string_view key);

}  // namespace slotkv::peers

#endif  // SLOTKV_BENCHMARKS_PEERS_TABLE_CRC16_H_
