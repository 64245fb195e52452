// Somebody else's project, in a temporary directory: what it is made of, and commands run in it.
#ifndef SLOTKV_TESTS_EMBEDDING_CALLERS_FOLDER_H_
#define SLOTKV_TESTS_EMBEDDING_CALLERS_FOLDER_H_

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "tests/child_process.h"
#include "tests/test_support.h"

namespace slotkv {

// A program of the caller. Its argument is the directory of a cluster; it prints "alice".
inline constexpr char kCallersProgram[] = R"(
#include <iostream>
#include <memory>
#include <string>

#include "slotkv/cluster.h"

int main(int, char** argv) {
  absl::StatusOr<std::unique_ptr<slotkv::Cluster>> cluster =
      slotkv::Cluster::Open(slotkv::Options(), argv[1]);
  if (!cluster.ok()) return std::cerr << cluster.status() << "\n", 1;
  absl::Status status = (*cluster)->Set("session:42", "alice");
  if (!status.ok()) return std::cerr << status << "\n", 1;
  absl::StatusOr<std::string> session = (*cluster)->Get("session:42");
  if (!session.ok()) return std::cerr << session.status() << "\n", 1;
  std::cout << *session << "\n";
}
)";

// A WORKSPACE with slotkv as README.md has it, after the repositories of the caller.
inline std::string CallersWorkspace(const std::string& own_repositories) {
  // Bazel has put a link here; the checkout is where it leads to.
  const std::filesystem::path file = std::filesystem::canonical("third_party/repositories.bzl");
  return own_repositories + R"(
local_repository(name = "slotkv", path = ")" +
         file.parent_path().parent_path().string() + R"(")
load("@slotkv//third_party:repositories.bzl", "slotkv_dependencies")
slotkv_dependencies()
)";
}

class CallersFolder {
 public:
  const std::string& path() const { return directory_.path(); }
  std::string Path(const std::string& name) const { return directory_.Path(name); }

  void Write(const std::string& name, const std::string& text) const {
    const std::filesystem::path path = Path(name);
    std::filesystem::create_directories(path.parent_path());
    SetFileBytes(path, text);
  }

  // Runs a command here, with "NAME=value" in its environment. The test fails if the command does.
  ChildProcess::Outcome Run(std::vector<std::string> command,
                            std::vector<std::string> environment = {}) const {
    ChildProcess::Outcome outcome = TryToRun(command, std::move(environment));
    std::string text;
    for (const std::string& word : command) text += word + " ";
    EXPECT_EQ(outcome.exit_code, 0) << text << "\n" << outcome.out << outcome.err;
    return outcome;
  }

  // The same, of a command that may fail.
  ChildProcess::Outcome TryToRun(std::vector<std::string> command,
                                 std::vector<std::string> environment = {}) const {
    std::vector<std::string> argv = {"env", "--chdir=" + path()};
    argv.insert(argv.end(), environment.begin(), environment.end());
    argv.insert(argv.end(), command.begin(), command.end());
    absl::StatusOr<ChildProcess::Outcome> outcome = ChildProcess::Run(std::move(argv));
    EXPECT_THAT(outcome, IsOk());
    if (!outcome.ok()) return ChildProcess::Outcome();
    EXPECT_EQ(outcome->signal, 0);
    return *std::move(outcome);
  }

 private:
  TemporaryDirectory directory_;
};

}  // namespace slotkv

#endif  // SLOTKV_TESTS_EMBEDDING_CALLERS_FOLDER_H_
