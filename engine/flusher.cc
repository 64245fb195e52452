#include "engine/flusher.h"

namespace slotkv {

Node* PickNodeToFlush(absl::Span<Node* const> nodes, size_t memtable_budget_bytes) {
  Node* largest = nullptr;
  Node* longest = nullptr;
  size_t total = 0, largest_bytes = 0;
  uint64_t longest_bytes = 0;
  for (Node* const node : nodes) {
    const size_t bytes = node->store().memtable_bytes();
    total += bytes;
    if (bytes > largest_bytes) {
      largest = node;
      largest_bytes = bytes;
    }
    const uint64_t log_bytes = node->log().sealed_bytes();
    if (log_bytes > longest_bytes) {
      longest = node;
      longest_bytes = log_bytes;
    }
  }
  if (total >= memtable_budget_bytes / 4 * 3) return largest;
  return longest_bytes > kMaxLogBytes ? longest : nullptr;
}

}  // namespace slotkv
