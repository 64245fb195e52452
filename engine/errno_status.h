// What a failed system call means.
#ifndef SLOTKV_ENGINE_ERRNO_STATUS_H_
#define SLOTKV_ENGINE_ERRNO_STATUS_H_

#include <string_view>

#include "absl/status/status.h"

namespace slotkv {

// "PATH: what: No space left on device", as ResourceExhausted; a missing file is NotFound, all
// else Unavailable.
absl::Status ErrnoStatus(int error, std::string_view path, std::string_view what);

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_ERRNO_STATUS_H_
