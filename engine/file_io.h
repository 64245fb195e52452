// System calls on files, and what their failures mean.
#ifndef SLOTKV_ENGINE_FILE_IO_H_
#define SLOTKV_ENGINE_FILE_IO_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace slotkv {

// "PATH: what: No space left on device", as ResourceExhausted; a missing file is NotFound, all
// else Unavailable.
absl::Status ErrnoStatus(int error, std::string_view path, std::string_view what);

// Writes all of `bytes` at `offset` of the file `fd`, which errors call `path`.
absl::Status WriteFully(int fd, const std::string& path, uint64_t offset, std::string_view bytes);

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_FILE_IO_H_
