// A directory that a command makes for a cluster of its own.
#ifndef SLOTKV_TOOLS_TEMPORARY_DIRECTORY_H_
#define SLOTKV_TOOLS_TEMPORARY_DIRECTORY_H_

#include <string>

#include "absl/status/statusor.h"

namespace slotkv::tools {

// Makes slotkv-`name`-XXXXXX in $TMPDIR or /tmp.
absl::StatusOr<std::string> MakeTemporaryDirectory(const std::string& name);

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_TEMPORARY_DIRECTORY_H_
