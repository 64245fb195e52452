// Which store to flush next, for all stores of a cluster together.
//
// RocksDB's own bound on the sum of memtables flushes whichever store happens to be writing, be it
// the smallest; this picks the one that frees the most.
#ifndef SLOTKV_ENGINE_FLUSHER_H_
#define SLOTKV_ENGINE_FLUSHER_H_

#include <cstdint>

#include "absl/types/span.h"
#include "engine/node.h"
#include "engine/store_resources.h"

namespace slotkv {

// A log longer than this is worth a flush even if memory is plentiful: it bounds recovery.
inline constexpr uint64_t kMaxLogBytes = uint64_t{256} << 20;

// Null: none needs it. The largest memtable once all of them fill three quarters of their share
// of memory; otherwise the node with the longest log, if it is longer than kMaxLogBytes.
Node* PickNodeToFlush(absl::Span<Node* const> nodes, size_t memtable_budget_bytes);

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_FLUSHER_H_
