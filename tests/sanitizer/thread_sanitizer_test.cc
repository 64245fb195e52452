// A clean run of the tsan configuration means something only if it reports a race, and nothing but
// races: a lock in a library that was compiled without it would be no lock to it.
#include <cstdlib>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/child_process.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

using ::testing::HasSubstr;

// `variable` of the environment holds the program.
ChildProcess::Outcome RunProgram(const char* variable) {
  const auto outcome = ChildProcess::Run({std::getenv(variable)});
  EXPECT_THAT(outcome, IsOk());
  return outcome.ok() ? *outcome : ChildProcess::Outcome();
}

TEST(ThreadSanitizerTest, ReportsAPlantedRace) {
  const ChildProcess::Outcome outcome = RunProgram("SLOTKV_PLANTED_RACE");
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("ThreadSanitizer: data race"));
}

TEST(ThreadSanitizerTest, IsSilentAboutACorrectProgram) {
  const ChildProcess::Outcome outcome = RunProgram("SLOTKV_CORRECT_PROGRAM");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.signal, 0);
  EXPECT_EQ(outcome.out, "4000\n");
  EXPECT_EQ(outcome.err, "");
}

}  // namespace
}  // namespace slotkv
