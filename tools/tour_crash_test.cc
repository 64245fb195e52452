#include "tools/tour_crash.h"

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "slotkv/cluster.h"
#include "tests/test_support.h"
#include "tools/tour_session.h"

namespace slotkv::tools {
namespace {

// A cluster with what the writer's two threads leave behind: the first had three reports read and
// was then between Set and Increment; the second had one.
class CheckAcknowledgedTest : public testing::Test {
 protected:
  CheckAcknowledgedTest() {
    absl::StatusOr<std::unique_ptr<Cluster>> cluster =
        Cluster::Open(Options(), directory_.Path("cluster"));
    EXPECT_THAT(cluster, IsOk());
    cluster_ = *std::move(cluster);
    for (int sequence = 1; sequence <= 4; ++sequence) Write(Key(0, sequence));
    Write(Key(1, 1));
    EXPECT_THAT(cluster_->Set("writer:0:count", "3"), IsOk());
    EXPECT_THAT(cluster_->Set("writer:1:count", "1"), IsOk());
  }

  static std::string Key(int thread, int sequence) {
    return absl::StrCat("writer:", thread, ":session:", sequence);
  }
  void Write(const std::string& key) { EXPECT_THAT(cluster_->Set(key, SessionValue(key)), IsOk()); }
  absl::StatusOr<CrashCheck> Check() {
    return CheckAcknowledged(cluster_.get(), {3, 1}, interrupt_);
  }

  TemporaryDirectory directory_;
  std::unique_ptr<Cluster> cluster_;
  Interrupt interrupt_;
};

TEST_F(CheckAcknowledgedTest, FindsEverything) {
  const absl::StatusOr<CrashCheck> check = Check();
  ASSERT_THAT(check, IsOk());
  EXPECT_EQ(check->acknowledged, 8);
  EXPECT_EQ(check->lost, 0);
  EXPECT_EQ(check->unacknowledged, 1);
}

TEST_F(CheckAcknowledgedTest, MissesWhatIsLost) {
  EXPECT_THAT(cluster_->Delete(Key(0, 2)), IsOk());
  EXPECT_EQ(Check()->lost, 1);
  EXPECT_THAT(cluster_->Set(Key(1, 1), "another value"), IsOk());
  EXPECT_EQ(Check()->lost, 2);
  EXPECT_THAT(cluster_->Set("writer:0:count", "1"), IsOk());
  EXPECT_EQ(Check()->lost, 4);
  EXPECT_THAT(cluster_->Delete("writer:1:count"), IsOk());
  EXPECT_EQ(Check()->lost, 5);
}

TEST_F(CheckAcknowledgedTest, RefusesHalfAWrite) {
  EXPECT_THAT(cluster_->Set(Key(0, 4), SessionValue(Key(0, 4)).substr(0, 100)), IsOk());
  EXPECT_THAT(Check(), HasError(absl::StatusCode::kDataLoss, "in part"));
}

TEST_F(CheckAcknowledgedTest, RefusesAWriteThatIsThereTwice) {
  EXPECT_THAT(cluster_->Set("writer:1:count", "3"), IsOk());
  EXPECT_THAT(Check(), HasError(absl::StatusCode::kDataLoss, "more often"));
}

TEST(SessionTest, ValuesDiffer) {
  EXPECT_EQ(SessionValue("a").size(), kSessionBytes);
  EXPECT_EQ(SessionValue("a"), SessionValue("a"));
  EXPECT_NE(SessionValue("session:1"), SessionValue("session:2"));
}

}  // namespace
}  // namespace slotkv::tools
