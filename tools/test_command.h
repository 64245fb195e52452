// Commands as slotkv runs them, for one test: arguments, outputs, exit codes.
#ifndef SLOTKV_TOOLS_TEST_COMMAND_H_
#define SLOTKV_TOOLS_TEST_COMMAND_H_

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/test_support.h"
#include "tools/command_line.h"

namespace slotkv::tools {

class CommandTest : public testing::Test {
 protected:
  struct Outcome {
    int exit_code = 0;
    std::string out;
    std::string err;
  };

  // `add_commands`: AddSlotsCommand, say.
  explicit CommandTest(void (*add_commands)(CLI::App*, tools::Run*))
      : add_commands_(add_commands) {}

  Outcome Run(const std::vector<std::string>& arguments) {
    std::vector<char*> argv = {const_cast<char*>("slotkv")};
    for (const std::string& argument : arguments) {
      argv.push_back(const_cast<char*>(argument.data()));
    }
    CLI::App app;
    app.require_subcommand(1);
    tools::Run run;
    add_commands_(&app, &run);
    try {
      app.parse(ParserArguments(static_cast<int>(argv.size()), argv.data()));
    } catch (const CLI::ParseError& error) {
      return {kExitUsage, "", error.what()};
    }
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    Outcome outcome;
    outcome.exit_code = run();
    outcome.out = testing::internal::GetCapturedStdout();
    outcome.err = testing::internal::GetCapturedStderr();
    return outcome;
  }

  void ExpectFailure(const std::vector<std::string>& arguments, int exit_code,
                     const std::string& err) {
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.exit_code, exit_code);
    EXPECT_EQ(outcome.out, "");
    EXPECT_THAT(outcome.err, testing::HasSubstr(err));
  }

  // Where a test may have its cluster.
  std::string cluster() const { return directory_.Path("cluster"); }

  TemporaryDirectory directory_;

 private:
  void (*const add_commands_)(CLI::App*, tools::Run*);
};

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_TEST_COMMAND_H_
