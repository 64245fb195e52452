// Effects: the payload of a kWrite record. What a write does to the store, with nothing left to
// decide: puts of whole values with their absolute expiry, deletes of keys and of slots.
//
//   payload = effect*
//   effect  = 0x01 key value        put
//           | 0x02 key              delete
//           | 0x03 slot slot        clear: deletes every key of the slots from the first to the
//           last
//   key     = length varint, store key    (slot and user key, engine/store_format.h)
//   value   = length varint, store value  (header and payload)
//   slot    = 2 bytes big-endian
//
// Applying a payload again changes nothing: replay is idempotent.
#ifndef SLOTKV_ENGINE_EFFECTS_H_
#define SLOTKV_ENGINE_EFFECTS_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "engine/store_format.h"

namespace slotkv {

void AppendPut(uint16_t slot, std::string_view key, const ValueHeader& header,
               std::string_view payload, std::string* out);
void AppendDelete(uint16_t slot, std::string_view key, std::string* out);
void AppendClear(uint16_t first, uint16_t last, std::string* out);

struct Effect {
  enum Kind : uint8_t { kPut = 1, kDelete = 2, kClear = 3 };
  Kind kind = kDelete;
  std::string_view store_key;    // of a clear: ClearedSlots
  std::string_view store_value;  // of a put
};

// The first and the last slot of a clear, as they stand in the payload.
struct ClearedSlots {
  explicit ClearedSlots(std::string_view bytes)
      : first(SlotOf(bytes)), last(SlotOf(bytes.substr(kSlotBytes))) {}

  uint16_t first;
  uint16_t last;
};

// Walks over the effects of one payload.
class EffectReader {
 public:
  explicit EffectReader(std::string_view payload) : rest_(payload) {}

  // False at the end, and at the first byte that is no effect; ok() tells which.
  bool Next(Effect* effect);
  bool ok() const { return ok_; }

 private:
  Decoder rest_;
  bool ok_ = true;
};

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_EFFECTS_H_
