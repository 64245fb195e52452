// Work shared out to threads.
#ifndef SLOTKV_TOOLS_PARALLEL_H_
#define SLOTKV_TOOLS_PARALLEL_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "tools/interrupt.h"

namespace slotkv::tools {

// Calls `work` for 0 to `count` - 1, in contiguous parts on `threads` threads. All stop soon after
// the first error, which is returned, or after an interrupt (Cancelled).
absl::Status InParallel(int threads, uint64_t count, const Interrupt& interrupt,
                        absl::FunctionRef<absl::Status(uint64_t)> work);

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_PARALLEL_H_
