// A cluster for one test, in a temporary directory, as `slotkv load` opens it.
#ifndef SLOTKV_TOOLS_TEST_CLUSTER_H_
#define SLOTKV_TOOLS_TEST_CLUSTER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "slotkv/cluster.h"
#include "tests/test_support.h"
#include "tools/loading_keyspace.h"

namespace slotkv::tools {

class LoadingClusterTest : public testing::Test {
 protected:
  LoadingClusterTest() {
    Options options;
    options.clock = clock_;
    absl::StatusOr<std::unique_ptr<Cluster>> cluster =
        Cluster::Open(options, directory_.Path("cluster"));
    if (cluster.ok()) cluster_ = *std::move(cluster);
    EXPECT_TRUE(cluster.ok()) << cluster.status();
  }

  // The value, or "(missing)".
  std::string Get(std::string_view key) {
    absl::StatusOr<std::string> value = cluster_->Get(key);
    return value.ok() ? *value : absl::IsNotFound(value.status()) ? "(missing)" : "(error)";
  }

  // Milliseconds to live: -1 without expiry, -2 for a missing key, as Redis has it.
  int64_t Pttl(std::string_view key) {
    absl::StatusOr<absl::Duration> left = cluster_->TimeToLive(key);
    if (!left.ok()) return -2;
    return *left == absl::InfiniteDuration() ? -1 : absl::ToInt64Milliseconds(*left);
  }

  absl::Time now() { return clock_->Wall(); }

  TemporaryDirectory directory_;
  std::shared_ptr<StillClock> clock_ = std::make_shared<StillClock>();
  std::unique_ptr<Cluster> cluster_;
};

}  // namespace slotkv::tools

#endif  // SLOTKV_TOOLS_TEST_CLUSTER_H_
