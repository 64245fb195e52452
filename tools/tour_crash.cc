#include "tools/tour_crash.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "tools/parallel.h"
#include "tools/tour_session.h"

namespace slotkv::tools {
namespace {

// One write(2) of so few bytes to a pipe is never mixed with another's.
struct Report {
  uint64_t thread;
  uint64_t sequence;
};

// Without a kill the writer ends here.
constexpr uint64_t kSequenceMax = 10'000'000;
// A writer that reports nothing for so long is stuck.
constexpr absl::Duration kReportTimeout = absl::Seconds(60);
constexpr absl::Duration kSessionTtl = absl::Hours(1);

std::string WriterSessionKey(uint64_t thread, uint64_t sequence) {
  return absl::StrCat("writer:", thread, ":session:", sequence);
}
std::string WriterCounterKey(uint64_t thread) { return absl::StrCat("writer:", thread, ":count"); }

// A child process that does not outlive this.
class Child {
 public:
  Child() = default;
  ~Child() { Kill(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Runs this program's own file with `arguments`; its standard output goes to `output_fd`.
  absl::Status Start(const std::vector<std::string>& arguments, int output_fd) {
    std::vector<char*> argv;
    for (const std::string& argument : arguments)
      argv.push_back(const_cast<char*>(argument.data()));
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, output_fd, STDOUT_FILENO);
    const int error = posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error == 0) return absl::OkStatus();
    pid_ = -1;
    return absl::ErrnoToStatus(error, "cannot start the writing process");
  }

  // The status of waitpid(2).
  int Kill() {
    if (pid_ < 0) return 0;
    kill(pid_, SIGKILL);
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status;
  }

 private:
  pid_t pid_ = -1;
};

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() { Close(); }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;

  int get() const { return fd_; }
  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

 private:
  int fd_;
};

// Reads reports from a pipe; they arrive in parts of any size.
class ReportReader {
 public:
  ReportReader(int fd, int threads, const Interrupt& interrupt)
      : fd_(fd), interrupt_(interrupt), acknowledged_(threads, 0) {}

  // Waits for more. False at the end of the pipe.
  absl::StatusOr<bool> Read() {
    pollfd polled[2] = {{fd_, POLLIN, 0}, {interrupt_.fd(), POLLIN, 0}};
    const int ready = poll(polled, 2, static_cast<int>(absl::ToInt64Milliseconds(kReportTimeout)));
    if (interrupt_.raised()) return absl::CancelledError("interrupted");
    if (ready == 0) return absl::DeadlineExceededError("the writing process reports nothing");
    if (ready < 0 && errno == EINTR) return true;
    const ssize_t got = read(fd_, buffer_ + size_, sizeof(buffer_) - size_);
    if (got < 0)
      return errno == EINTR ? absl::StatusOr<bool>(true) : absl::ErrnoToStatus(errno, "read");
    if (got == 0) return false;
    size_ += static_cast<size_t>(got);
    TakeReports();
    return true;
  }

  uint64_t reports() const { return reports_; }
  const Acknowledged& acknowledged() const { return acknowledged_; }

 private:
  void TakeReports() {
    size_t used = 0;
    for (; size_ - used >= sizeof(Report); used += sizeof(Report)) {
      Report report;
      std::memcpy(&report, buffer_ + used, sizeof(report));
      if (report.thread < acknowledged_.size()) acknowledged_[report.thread] = report.sequence;
      ++reports_;
    }
    std::memmove(buffer_, buffer_ + used, size_ - used);
    size_ -= used;
  }

  const int fd_;
  const Interrupt& interrupt_;
  Acknowledged acknowledged_;
  uint64_t reports_ = 0;
  char buffer_[64 * 1024];
  size_t size_ = 0;
};

absl::Status WriteOne(Cluster* cluster, uint64_t thread, uint64_t sequence) {
  const std::string key = WriterSessionKey(thread, sequence);
  SetOptions options;
  options.ttl = kSessionTtl;
  absl::Status set = cluster->Set(key, SessionValue(key), options);
  if (!set.ok()) return set;
  absl::StatusOr<int64_t> counted = cluster->Increment(WriterCounterKey(thread), 1);
  if (!counted.ok()) return counted.status();
  const Report report{thread, sequence};
  if (write(STDOUT_FILENO, &report, sizeof(report)) != sizeof(report)) {
    return absl::ErrnoToStatus(errno, "the pipe to the tour");
  }
  return absl::OkStatus();
}

// What became of one session.
absl::Status CheckSession(Cluster* cluster, uint64_t thread, uint64_t sequence, bool acknowledged,
                          CrashCheck* check) {
  const std::string key = WriterSessionKey(thread, sequence);
  absl::StatusOr<std::string> value = cluster->Get(key);
  if (!value.ok() && !absl::IsNotFound(value.status())) return value.status();
  const bool right = value.ok() && *value == SessionValue(key);
  if (acknowledged) {
    check->lost += right ? 0 : 1;
  } else if (right) {
    ++check->unacknowledged;
  } else if (value.ok()) {
    return absl::DataLossError(absl::StrCat(key, " was written in part"));
  }
  return absl::OkStatus();
}

absl::Status CheckCounter(Cluster* cluster, uint64_t thread, uint64_t acknowledged,
                          CrashCheck* check) {
  const std::string key = WriterCounterKey(thread);
  absl::StatusOr<std::string> value = cluster->Get(key);
  uint64_t counted = 0;
  if (value.ok() && !absl::SimpleAtoi(*value, &counted)) {
    return absl::DataLossError(absl::StrCat(key, " is no number"));
  }
  if (!value.ok() && !absl::IsNotFound(value.status())) return value.status();
  if (counted < acknowledged) {
    check->lost += acknowledged - counted;
  } else if (counted > acknowledged + 1) {
    return absl::DataLossError(absl::StrCat(key, " was incremented more often than asked"));
  } else {
    check->unacknowledged += counted - acknowledged;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Acknowledged> WriteUntilKilled(const std::string& dir, int threads,
                                              uint64_t reports_min, const Interrupt& interrupt) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "pipe");
  FileDescriptor read_end(ends[0]);
  FileDescriptor write_end(ends[1]);
  Child child;
  absl::Status started =
      child.Start({"slotkv", kTourWriterCommand, "--dir", dir, "--threads", absl::StrCat(threads)},
                  write_end.get());
  if (!started.ok()) return started;
  write_end.Close();

  const auto reader = std::make_unique<ReportReader>(read_end.get(), threads, interrupt);
  while (reader->reports() < reports_min) {
    absl::StatusOr<bool> more = reader->Read();
    if (!more.ok()) return more.status();
    if (!*more) return absl::InternalError("the writing process ended before it was killed");
  }
  const int status = child.Kill();
  if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
    return absl::InternalError("the writing process ended before it was killed");
  }
  // What it had reported before it died is in the pipe still, and counts.
  for (absl::StatusOr<bool> more = true; *more;) {
    more = reader->Read();
    if (!more.ok()) return more.status();
  }
  return reader->acknowledged();
}

absl::StatusOr<CrashCheck> CheckAcknowledged(Cluster* cluster, const Acknowledged& acknowledged,
                                             const Interrupt& interrupt) {
  std::vector<CrashCheck> checks(acknowledged.size());
  absl::Status checked = InParallel(
      static_cast<int>(acknowledged.size()), acknowledged.size(), interrupt, [&](uint64_t thread) {
        const uint64_t last = acknowledged[thread];
        CrashCheck* const check = &checks[thread];
        check->acknowledged = 2 * last;
        for (uint64_t sequence = 1; sequence <= last + 1; ++sequence) {
          absl::Status session = CheckSession(cluster, thread, sequence, sequence <= last, check);
          if (!session.ok()) return session;
        }
        return CheckCounter(cluster, thread, last, check);
      });
  if (!checked.ok()) return checked;
  CrashCheck sum;
  for (const CrashCheck& check : checks) {
    sum.acknowledged += check.acknowledged;
    sum.lost += check.lost;
    sum.unacknowledged += check.unacknowledged;
  }
  return sum;
}

absl::Status RunTourWriter(const std::string& dir, int threads) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  Options options;
  options.create_if_missing = false;
  absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(options, dir);
  if (!cluster.ok()) return cluster.status();
  const Interrupt interrupt;
  return InParallel(threads, static_cast<uint64_t>(threads), interrupt, [&](uint64_t thread) {
    for (uint64_t sequence = 1; sequence <= kSequenceMax; ++sequence) {
      absl::Status written = WriteOne(cluster->get(), thread, sequence);
      if (!written.ok()) return written;
      if (interrupt.raised()) return absl::CancelledError("interrupted");
    }
    return absl::OkStatus();
  });
}

}  // namespace slotkv::tools
