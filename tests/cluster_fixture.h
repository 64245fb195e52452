// A small cluster in a temporary directory, on a clock that stands still until the test turns it.
#ifndef SLOTKV_TESTS_CLUSTER_FIXTURE_H_
#define SLOTKV_TESTS_CLUSTER_FIXTURE_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "slotkv/cluster.h"
#include "tests/fake_clock.h"
#include "tests/test_support.h"

namespace slotkv {

class ClusterFixture : public testing::Test {
 protected:
  ClusterFixture() {
    options_.shards = 3;
    options_.memory_bytes = size_t{16} << 20;
    options_.clock = clock_;
  }

  // Opens `cluster_` with `options_`, after closing it if it is open.
  void Open() {
    Close();
    absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(options_, path_);
    ASSERT_THAT(cluster, IsOk());
    cluster_ = *std::move(cluster);
  }
  void Close() {
    if (cluster_ == nullptr) return;
    EXPECT_THAT(cluster_->Close(), IsOk());
    cluster_.reset();
  }

  const TemporaryDirectory directory_{/*in_memory=*/true};
  const std::string path_ = directory_.Path("cluster");
  const std::shared_ptr<ManualClock> clock_ = std::make_shared<ManualClock>();
  Options options_;
  std::unique_ptr<Cluster> cluster_;
};

// Missing, and without a text, which would be allocated.
MATCHER(IsMissing, "is NotFound without text") {
  *result_listener << StatusOf(arg);
  return absl::IsNotFound(StatusOf(arg)) && StatusOf(arg).message().empty();
}

MATCHER_P(HoldsValue, value, "") {
  *result_listener << StatusOf(arg);
  return arg.ok() && *arg == value;
}

}  // namespace slotkv

#endif  // SLOTKV_TESTS_CLUSTER_FIXTURE_H_
