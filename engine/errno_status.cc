#include "engine/errno_status.h"

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/text.h"

namespace slotkv {

absl::Status ErrnoStatus(int error, std::string_view path, std::string_view what) {
  const std::string text =
      absl::StrCat(ToAbsl(path), ": ", ToAbsl(what), ": ", std::strerror(error));
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      return absl::ResourceExhaustedError(text);
    case ENOENT:
      return absl::NotFoundError(text);
    default:
      return absl::UnavailableError(text);
  }
}

}  // namespace slotkv
