// Which files a Redis append-only log is made of.
//
// Since version 7, Redis keeps it in a directory (appendonlydir): a manifest, a base file and the
// increments written since. One line of the manifest is
//
//   file appendonly.aof.1.incr.aof seq 1 type i
//
// with type b for the base, i for an increment and h for a file that is no longer needed.
#ifndef SLOTKV_TOOLS_AOF_MANIFEST_H_
#define SLOTKV_TOOLS_AOF_MANIFEST_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace slotkv::tools {

// The names of a manifest's base and increments, in the order in which Redis loads them.
// InvalidArgument, naming the line, if Redis would not take it.
absl::StatusOr<std::vector<std::string>> ParseAofManifest(std::string_view text);

// The files to load for `path`: the manifest's for a directory with one *.manifest in it and for a
// file of that name, else `path` itself.
absl::StatusOr<std::vector<std::string>> AofFiles(const std::string& path);

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_AOF_MANIFEST_H_
