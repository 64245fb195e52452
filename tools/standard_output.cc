#include "tools/standard_output.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace slotkv::tools {

StandardOutput::StandardOutput() { std::signal(SIGPIPE, SIG_IGN); }

bool StandardOutput::Write(std::string_view text) {
  while (open_ && !text.empty()) {
    const ssize_t written = write(STDOUT_FILENO, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno != EINTR) {
      open_ = false;
      if (errno != EPIPE) status_ = absl::ErrnoToStatus(errno, "the standard output");
    }
  }
  return open_;
}

absl::Status Print(std::string_view text) {
  StandardOutput out;
  out.Write(text);
  return out.status();
}

}  // namespace slotkv::tools
