#include "tools/progress.h"

#include <string>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace slotkv::tools {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(ProgressLineTest, ShowsThePartOfAFile) {
  EXPECT_EQ(ProgressLine("loading", 1000, 500, 2000, absl::Seconds(2)),
            "loading  [###############...............]  50%  2,000 commands, 1,000/s, 2 s left");
  EXPECT_THAT(ProgressLine("loading", 1000, 0, 0, absl::ZeroDuration()),
              AllOf(HasSubstr("[..............................]   0%"), HasSubstr("0 commands")));
  // A file that has grown since it was opened.
  EXPECT_THAT(ProgressLine("loading", 1000, 2000, 1, absl::Seconds(1)),
              AllOf(HasSubstr("[##############################] 100%"), HasSubstr("0 s left")));
}

TEST(ProgressLineTest, ShowsBytesIfThereIsNoEndInSight) {
  EXPECT_EQ(ProgressLine("loading", std::nullopt, 1234567, 10, absl::Seconds(1)),
            "loading  1,234,567 bytes, 10 commands, 10/s");
  EXPECT_EQ(ProgressLine("loading", 0, 0, 0, absl::Seconds(1)),
            "loading  0 bytes, 0 commands, 0/s");
}

TEST(ProgressTest, IsSilentWithoutATerminal) {
  testing::internal::CaptureStderr();
  {
    Progress progress("loading", 100);
    progress.Update(50, 1);
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace slotkv::tools
