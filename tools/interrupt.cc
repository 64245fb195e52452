#include "tools/interrupt.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdint>

namespace slotkv::tools {
namespace {

// What a signal handler may touch.
std::atomic<bool> g_raised{false};
std::atomic<int> g_fd{-1};

void Note(int) {
  const int saved_errno = errno;
  g_raised = true;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(g_fd, &one, sizeof(one));
  errno = saved_errno;
}

}  // namespace

Interrupt::Interrupt() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  g_fd = fd_;
  struct sigaction action = {};
  action.sa_handler = Note;
  // The second signal finds the default action again.
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

Interrupt::~Interrupt() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  g_fd = -1;
  close(fd_);
}

bool Interrupt::raised() const { return g_raised; }

}  // namespace slotkv::tools
