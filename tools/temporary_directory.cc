#include "tools/temporary_directory.h"

#include <stdlib.h>

#include <cerrno>
#include <cstdlib>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace slotkv::tools {

absl::StatusOr<std::string> MakeTemporaryDirectory(const std::string& name) {
  const char* const root = std::getenv("TMPDIR");
  std::string path =
      absl::StrCat(root != nullptr && *root != '\0' ? root : "/tmp", "/slotkv-", name, "-XXXXXX");
  if (mkdtemp(path.data()) == nullptr) return absl::ErrnoToStatus(errno, path);
  return path;
}

}  // namespace slotkv::tools
