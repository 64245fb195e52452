#include "slotkv/redirect.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "engine/coding.h"

namespace slotkv {
namespace {

constexpr const char* kPayloadUrl = "slotkv/redirect";

}  // namespace

std::optional<Redirect> GetRedirect(const absl::Status& status) {
  const auto payload = status.GetPayload(kPayloadUrl);
  if (!payload.has_value()) return std::nullopt;
  const std::string bytes(*payload);
  Decoder decoder(bytes);
  uint8_t kind = 0;
  Redirect redirect;
  uint32_t shard = 0;
  if (!decoder.Fixed(&kind) || kind > Redirect::kTryAgain || !decoder.Fixed(&redirect.slot) ||
      redirect.slot >= kSlotCount || !decoder.Fixed(&shard) || !decoder.empty()) {
    return std::nullopt;
  }
  redirect.kind = static_cast<Redirect::Kind>(kind);
  redirect.shard = ShardId(shard);
  return redirect;
}

absl::Status RedirectStatus(const Redirect& redirect) {
  static constexpr const char* kNames[] = {"MOVED", "ASK", "TRYAGAIN"};
  absl::Status status =
      absl::AbortedError(redirect.kind == Redirect::kTryAgain
                             ? "TRYAGAIN Multiple keys request during rehashing of slot"
                             : absl::StrCat(kNames[redirect.kind], " ", redirect.slot, " ",
                                            redirect.shard.ToString()));
  std::string payload;
  PutFixed<uint8_t>(&payload, static_cast<uint8_t>(redirect.kind));
  PutFixed<uint16_t>(&payload, redirect.slot);
  PutFixed<uint32_t>(&payload, redirect.shard.value());
  status.SetPayload(kPayloadUrl, absl::Cord(payload));
  return status;
}

}  // namespace slotkv
