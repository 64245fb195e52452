#include "slotkv/slot.h"

#include <cstddef>
#include <cstdio>
#include <cstdlib>

#include "absl/base/optimization.h"
#include "shard/crc16.h"

namespace slotkv {
namespace {

static_assert((kSlotCount & (kSlotCount - 1)) == 0, "a mask needs a power of two");
constexpr uint32_t kSlotMask = kSlotCount - 1;

}  // namespace

Slot SlotForKey(std::string_view key) { return internal::KeyCrc16(key) & kSlotMask; }

void SlotsForKeys(absl::Span<const std::string_view> keys, absl::Span<Slot> slots) {
  if (ABSL_PREDICT_FALSE(keys.size() != slots.size())) {
    std::fprintf(stderr, "slotkv::SlotsForKeys: %zu keys but room for %zu slots\n", keys.size(),
                 slots.size());
    std::abort();
  }
  // Not interleaved by hand: the calls do not depend on each other, so the processor overlaps them.
  for (size_t i = 0; i < keys.size(); ++i) slots[i] = SlotForKey(keys[i]);
}

std::string_view HashTag(std::string_view key) { return internal::HashTag(key); }

uint16_t Crc16(std::string_view data) { return internal::Crc16(data); }

}  // namespace slotkv
