// The border between std::string_view, which this project speaks, and absl::string_view, which is
// a type of its own in builds of Abseil that do not alias the two.
#ifndef SLOTKV_ENGINE_TEXT_H_
#define SLOTKV_ENGINE_TEXT_H_

#include <string_view>

#include "absl/strings/string_view.h"

namespace slotkv {

inline absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }
inline std::string_view ToStd(absl::string_view text) { return {text.data(), text.size()}; }

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_TEXT_H_
