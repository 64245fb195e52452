#include "tests/child_process.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace slotkv {
namespace {

constexpr int kExitNotStarted = 127;

std::string ReadFromStart(int fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t got;
       (got = pread(fd, buffer, sizeof(buffer), static_cast<off_t>(text.size()))) > 0;) {
    text.append(buffer, static_cast<size_t>(got));
  }
  return text;
}

// In the child, after fork(2): calls nothing that takes a lock.
[[noreturn]] void Exec(char* const* argv, pid_t parent, int in, int out, int err) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The parent may have died before that call.
  if (getppid() != parent) _exit(kExitNotStarted);
  dup2(in, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  execvp(argv[0], argv);
  _exit(kExitNotStarted);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(std::vector<std::string> argv) {
  // A child that ends without reading its input is no reason for this process to end.
  std::signal(SIGPIPE, SIG_IGN);
  std::unique_ptr<ChildProcess> child(new ChildProcess);
  int input[2];
  if (pipe2(input, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "pipe");
  child->in_ = input[1];
  child->out_ = memfd_create("out", MFD_CLOEXEC);
  child->err_ = memfd_create("err", MFD_CLOEXEC);
  std::vector<char*> pointers;
  for (std::string& argument : argv) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  const pid_t parent = getpid();
  child->pid_ = fork();
  if (child->pid_ == 0) {
    std::signal(SIGPIPE, SIG_DFL);
    Exec(pointers.data(), parent, input[0], child->out_, child->err_);
  }
  const int fork_errno = errno;
  close(input[0]);
  if (child->pid_ < 0) return absl::ErrnoToStatus(fork_errno, "fork");
  return child;
}

ChildProcess::~ChildProcess() {
  CloseInput();
  if (pid_ > 0 && !ended_) {
    kill(pid_, SIGKILL);
    Reap(0);
  }
  close(out_);
  close(err_);
}

absl::Status ChildProcess::Write(const std::string& bytes) {
  for (size_t written = 0; written < bytes.size();) {
    const ssize_t part = write(in_, bytes.data() + written, bytes.size() - written);
    if (part < 0 && errno == EINTR) continue;
    if (part < 0) return absl::ErrnoToStatus(errno, "the child's input");
    written += static_cast<size_t>(part);
  }
  return absl::OkStatus();
}

void ChildProcess::CloseInput() {
  if (in_ >= 0) close(in_);
  in_ = -1;
}

void ChildProcess::Signal(int signal) {
  if (!ended_) kill(pid_, signal);
}

void ChildProcess::Reap(int options) {
  if (ended_) return;
  pid_t reaped;
  while ((reaped = waitpid(pid_, &status_, options)) < 0 && errno == EINTR) {
  }
  ended_ = reaped != 0;
}

bool ChildProcess::IsRunning() {
  Reap(WNOHANG);
  return !ended_;
}

ChildProcess::Outcome ChildProcess::Wait() {
  CloseInput();
  Reap(0);
  Outcome outcome;
  outcome.exit_code = WIFEXITED(status_) ? WEXITSTATUS(status_) : 0;
  outcome.signal = WIFSIGNALED(status_) ? WTERMSIG(status_) : 0;
  outcome.out = ReadFromStart(out_);
  outcome.err = ReadFromStart(err_);
  return outcome;
}

std::string ChildProcess::OutSoFar() const { return ReadFromStart(out_); }

absl::StatusOr<ChildProcess::Outcome> ChildProcess::Run(std::vector<std::string> argv,
                                                        const std::string& input) {
  absl::StatusOr<std::unique_ptr<ChildProcess>> child = Start(std::move(argv));
  if (!child.ok()) return child.status();
  // A child may end without reading all of its input.
  absl::Status written = (*child)->Write(input);
  if (!written.ok() && (*child)->IsRunning()) return written;
  return (*child)->Wait();
}

}  // namespace slotkv
