#include "tools/text.h"

#include <cstddef>
#include <iterator>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace slotkv::tools {

std::string Quoted(std::string_view bytes, size_t bytes_max) {
  const bool cut = bytes.size() > bytes_max;
  return absl::StrCat("\"", absl::CHexEscape(ToAbsl(bytes.substr(0, bytes_max))), "\"",
                      cut ? "..." : "");
}

std::string Escaped(std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size());
  for (const char byte : bytes) {
    if (byte >= ' ' && byte <= '~' && byte != '\\') {
      text.push_back(byte);
      continue;
    }
    text.push_back('\\');
    switch (byte) {
      case '\\':
        text.push_back('\\');
        break;
      case '\n':
        text.push_back('n');
        break;
      case '\r':
        text.push_back('r');
        break;
      case '\t':
        text.push_back('t');
        break;
      default:
        text.push_back('x');
        text.push_back(kDigits[static_cast<uint8_t>(byte) >> 4]);
        text.push_back(kDigits[static_cast<uint8_t>(byte) & 15]);
    }
  }
  return text;
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

std::string ByteSize(uint64_t bytes) {
  constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return Count(bytes, "byte");
  double size = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  // So that it never rounds to 1024.0.
  while (size >= 1023.95 && unit + 1 < std::size(kUnits)) {
    size /= 1024;
    ++unit;
  }
  return absl::StrFormat("%.1f %s", size, kUnits[unit]);
}

}  // namespace slotkv::tools
