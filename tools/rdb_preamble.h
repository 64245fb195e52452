// The RDB snapshot that may stand at the beginning of a Redis append-only file.
//
// slotkv does not read snapshots (yet). Redis writes one all the same, with nothing in it, when an
// append-only file begins with no data; that one is told from others and passed over.
#ifndef SLOTKV_TOOLS_RDB_PREAMBLE_H_
#define SLOTKV_TOOLS_RDB_PREAMBLE_H_

#include "absl/status/status.h"
#include "tools/buffered_input.h"

namespace slotkv::tools {

// Consumes the snapshot if one begins here and it holds no keys; consumes nothing if none begins
// here. FailedPrecondition, saying what to do, if it holds anything; DataLoss if it is truncated
// or its checksum is wrong.
absl::Status SkipEmptyRdbPreamble(BufferedInput* input);

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_RDB_PREAMBLE_H_
