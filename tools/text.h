// The border between std::string_view, which this project speaks, and absl::string_view, which is
// a type of its own in builds of Abseil that do not alias the two; and how bytes are shown.
#ifndef SLOTKV_TOOLS_TEXT_H_
#define SLOTKV_TOOLS_TEXT_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/strings/string_view.h"

namespace slotkv::tools {

inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view ToStd(absl::string_view text) { return {text.data(), text.size()}; }

// In double quotes, bytes that do not print as \x and two digits, cut after `bytes_max` bytes.
std::string Quoted(std::string_view bytes, size_t bytes_max = 40);

// On one line: a backslash as \\, bytes that do not print as \n, \r, \t, or \x and two digits.
std::string Escaped(std::string_view bytes);

// 1234567 as "1,234,567".
std::string WithCommas(uint64_t number);

// "1 session", "2 sessions", "1,000 sessions".
std::string Count(uint64_t number, std::string_view noun);

// "512 bytes", "3.1 MiB".
std::string ByteSize(uint64_t bytes);

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_TEXT_H_
