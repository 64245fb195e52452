// The sessions that the tour stores.
#ifndef SLOTKV_TOOLS_TOUR_SESSION_H_
#define SLOTKV_TOOLS_TOUR_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace slotkv::tools {

inline constexpr size_t kSessionBytes = 200;

// "session:42"
std::string SessionKey(uint64_t number);

// Of kSessionBytes bytes, printable; another one for each key.
std::string SessionValue(std::string_view key);

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_TOUR_SESSION_H_
