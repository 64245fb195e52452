// A byte stream read through one buffer of fixed size, with its offset kept for error messages.
#ifndef SLOTKV_TOOLS_BUFFERED_INPUT_H_
#define SLOTKV_TOOLS_BUFFERED_INPUT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"

namespace slotkv::tools {

// Puts at least one and up to `size` bytes into `buffer` and returns how many; 0 at the end.
using ByteSource = std::function<absl::StatusOr<size_t>(char* buffer, size_t size)>;

// Reads `fd`, which stays the caller's. Once `stop_fd` is readable, every read, a waiting one
// included, returns Cancelled.
ByteSource FdSource(int fd, std::optional<int> stop_fd = std::nullopt);

// Not thread-safe.
class BufferedInput {
 public:
  // The most that Lookahead can be asked for.
  static constexpr size_t kBufferBytes = size_t{256} << 10;

  explicit BufferedInput(ByteSource source);

  // The bytes that come next: at least `size` of them, or all there are if the stream ends before.
  // Empty for size > 0 means the end. The view holds until the next call of Lookahead; Consume
  // leaves it alone. The source's errors are returned as they are.
  absl::StatusOr<std::string_view> Lookahead(size_t size);

  // Moves over the first `size` bytes that Lookahead returned.
  void Consume(size_t size) {
    begin_ += size;
    offset_ += size;
  }

  // Bytes consumed so far.
  uint64_t offset() const { return offset_; }

 private:
  const ByteSource source_;
  const std::unique_ptr<char[]> buffer_;
  // What is read and not consumed is [begin_, end_) of the buffer.
  size_t begin_ = 0;
  size_t end_ = 0;
  uint64_t offset_ = 0;
  bool at_end_ = false;
};

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_BUFFERED_INPUT_H_
