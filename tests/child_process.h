// A program run by a test, with its input and its two outputs.
#ifndef SLOTKV_TESTS_CHILD_PROCESS_H_
#define SLOTKV_TESTS_CHILD_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace slotkv {

// Not thread-safe.
class ChildProcess {
 public:
  struct Outcome {
    // 0 to 255; of no meaning if a signal ended the process.
    int exit_code = 0;
    // 0 if no signal ended it.
    int signal = 0;
    std::string out;
    std::string err;
  };

  // argv[0] is the program: a path, or a name to be looked for in PATH. It is killed should this
  // process die.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(std::vector<std::string> argv);

  // Kills the process if it was not waited for.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Writes all of `bytes` to the standard input; waits while its pipe is full.
  absl::Status Write(const std::string& bytes);
  void CloseInput();

  void Signal(int signal);
  // True until the process has ended.
  bool IsRunning();
  // Closes the input and waits for the end.
  Outcome Wait();
  // What it has written so far.
  std::string OutSoFar() const;

  // Start, input, Wait.
  static absl::StatusOr<Outcome> Run(std::vector<std::string> argv, const std::string& input = "");

 private:
  ChildProcess() = default;
  void Reap(int options);

  pid_t pid_ = -1;
  bool ended_ = false;
  int status_ = 0;
  int in_ = -1;
  int out_ = -1;
  int err_ = -1;
};

}  // namespace slotkv

#endif  // SLOTKV_TESTS_CHILD_PROCESS_H_
