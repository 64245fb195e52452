#include "engine/effects.h"

namespace slotkv {
namespace {

constexpr char kPut = 1;
constexpr char kDelete = 2;

void AppendKey(uint16_t slot, std::string_view key, std::string* out) {
  PutVarint(out, kSlotBytes + key.size());
  AppendSlot(slot, out);
  out->append(key.data(), key.size());
}

}  // namespace

void AppendPut(uint16_t slot, std::string_view key, const ValueHeader& header,
               std::string_view payload, std::string* out) {
  out->push_back(kPut);
  AppendKey(slot, key, out);
  PutVarint(out, kValueHeaderBytes + payload.size());
  AppendValueHeader(header, out);
  out->append(payload.data(), payload.size());
}

void AppendDelete(uint16_t slot, std::string_view key, std::string* out) {
  out->push_back(kDelete);
  AppendKey(slot, key, out);
}

bool EffectReader::Next(Effect* effect) {
  if (rest_.empty() || !ok_) return false;
  uint8_t op = 0;
  ok_ = rest_.Fixed(&op) && (op == kPut || op == kDelete) && rest_.Bytes(&effect->store_key) &&
        effect->store_key.size() >= kSlotBytes &&
        (op == kDelete ||
         (rest_.Bytes(&effect->store_value) && DecodeValueHeader(effect->store_value).has_value()));
  effect->is_put = op == kPut;
  if (ok_ && op == kDelete) effect->store_value = {};
  return ok_;
}

}  // namespace slotkv
