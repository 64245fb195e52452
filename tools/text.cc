#include "tools/text.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace slotkv::tools {

std::string Quoted(std::string_view bytes, size_t bytes_max) {
  const bool cut = bytes.size() > bytes_max;
  return absl::StrCat("\"", absl::CHexEscape(ToAbsl(bytes.substr(0, bytes_max))), "\"",
                      cut ? "..." : "");
}

std::string WithCommas(uint64_t number) {
  std::string digits = std::to_string(number);
  for (size_t position = digits.size(); position > 3;) {
    position -= 3;
    digits.insert(position, 1, ',');
  }
  return digits;
}

std::string Count(uint64_t number, std::string_view noun) {
  return absl::StrCat(WithCommas(number), " ", ToAbsl(noun), number == 1 ? "" : "s");
}

}  // namespace slotkv::tools
