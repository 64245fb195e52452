#include "tools/tour_session.h"

#include "absl/strings/str_cat.h"
#include "tools/text.h"

namespace slotkv::tools {

std::string SessionKey(uint64_t number) { return absl::StrCat("session:", number); }

std::string SessionValue(std::string_view key) {
  std::string value = absl::StrCat("{\"key\":\"", ToAbsl(key), "\",\"token\":\"");
  // FNV-1a over the key starts a xorshift generator: the same on every machine.
  uint64_t state = 0xCBF29CE484222325;
  for (const char c : key) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001B3;
  state |= 1;
  while (value.size() < kSessionBytes - 2) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    value.push_back(static_cast<char>('a' + (state >> 32) % 26));
  }
  value.resize(kSessionBytes - 2);
  return value + "\"}";
}

}  // namespace slotkv::tools
