#include "engine/effects.h"

namespace slotkv {
namespace {

void AppendKey(uint16_t slot, std::string_view key, std::string* out) {
  PutVarint(out, kSlotBytes + key.size());
  AppendSlot(slot, out);
  out->append(key.data(), key.size());
}

}  // namespace

void AppendPut(uint16_t slot, std::string_view key, const ValueHeader& header,
               std::string_view payload, std::string* out) {
  out->push_back(Effect::kPut);
  AppendKey(slot, key, out);
  PutVarint(out, kValueHeaderBytes + payload.size());
  AppendValueHeader(header, out);
  out->append(payload.data(), payload.size());
}

void AppendDelete(uint16_t slot, std::string_view key, std::string* out) {
  out->push_back(Effect::kDelete);
  AppendKey(slot, key, out);
}

void AppendClear(uint16_t first, uint16_t last, std::string* out) {
  out->push_back(Effect::kClear);
  AppendSlot(first, out);
  AppendSlot(last, out);
}

bool EffectReader::Next(Effect* effect) {
  if (rest_.empty() || !ok_) return false;
  uint8_t kind = 0;
  ok_ = rest_.Fixed(&kind) && kind >= Effect::kPut && kind <= Effect::kClear;
  if (!ok_) return false;
  effect->kind = static_cast<Effect::Kind>(kind);
  effect->store_value = {};
  if (effect->kind == Effect::kClear) {
    // Only the user's slots are cleared: the store's notes of progress lie behind them.
    ok_ = rest_.Take(2 * kSlotBytes, &effect->store_key);
    if (!ok_) return false;
    const ClearedSlots slots(effect->store_key);
    ok_ = slots.first <= slots.last && slots.last < kFirstMetadataSlot;
    return ok_;
  }
  ok_ = rest_.Bytes(&effect->store_key) && effect->store_key.size() >= kSlotBytes &&
        (effect->kind == Effect::kDelete ||
         (rest_.Bytes(&effect->store_value) && DecodeValueHeader(effect->store_value).has_value()));
  return ok_;
}

}  // namespace slotkv
