#include "tools/buffered_input.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/status/status.h"

namespace slotkv::tools {
namespace {

// Ok once `fd` has bytes or has ended.
absl::Status WaitReadable(int fd, int stop_fd) {
  pollfd polled[2] = {{fd, POLLIN, 0}, {stop_fd, POLLIN, 0}};
  while (poll(polled, 2, -1) < 0) {
    if (errno != EINTR) return absl::ErrnoToStatus(errno, "poll");
  }
  if (polled[1].revents != 0) return absl::CancelledError("interrupted");
  return absl::OkStatus();
}

}  // namespace

ByteSource FdSource(int fd, std::optional<int> stop_fd) {
  return [fd, stop_fd](char* buffer, size_t size) -> absl::StatusOr<size_t> {
    for (;;) {
      if (stop_fd.has_value()) {
        absl::Status readable = WaitReadable(fd, *stop_fd);
        if (!readable.ok()) return readable;
      }
      const ssize_t got = read(fd, buffer, size);
      if (got >= 0) return static_cast<size_t>(got);
      if (errno != EINTR) return absl::ErrnoToStatus(errno, "read");
    }
  };
}

BufferedInput::BufferedInput(ByteSource source)
    : source_(std::move(source)), buffer_(new char[kBufferBytes]) {}

absl::StatusOr<std::string_view> BufferedInput::Lookahead(size_t size) {
  while (end_ - begin_ < size && !at_end_) {
    if (begin_ == end_) {
      begin_ = end_ = 0;
    } else if (kBufferBytes - begin_ < size) {
      std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    absl::StatusOr<size_t> got = source_(buffer_.get() + end_, kBufferBytes - end_);
    if (!got.ok()) return got.status();
    end_ += *got;
    at_end_ = *got == 0;
  }
  return std::string_view(buffer_.get() + begin_, end_ - begin_);
}

}  // namespace slotkv::tools
