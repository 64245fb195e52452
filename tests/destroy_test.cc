// Destroy: all that is the cluster's, and nothing else.
#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/directory_tree.h"
#include "tests/test_hook.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAreArray;

class DestroyTest : public ClusterFixture {
 protected:
  void Create() {
    Open();
    for (int i = 0; i < 30; ++i) ASSERT_THAT(cluster_->Set(absl::StrCat(i), "v"), IsOk());
    ASSERT_THAT(FlushStores(cluster_.get()), IsOk());
    Close();
  }
};

TEST_F(DestroyTest, NothingIsNoError) {
  EXPECT_THAT(Cluster::Destroy(path_), IsOk());
  fs::create_directory(path_);
  SetFileBytes(path_ + "/mine", "x");
  EXPECT_THAT(Cluster::Destroy(path_), IsOk());
  EXPECT_EQ(BytesOf(path_ + "/mine"), "x");
}

TEST_F(DestroyTest, LeavesNothing) {
  Create();
  EXPECT_THAT(Cluster::Destroy(path_), IsOk());
  EXPECT_FALSE(fs::exists(path_));
  EXPECT_THAT(Cluster::Destroy(path_), IsOk());
  Open();
  EXPECT_THAT(cluster_->Get("1"), IsMissing());
}

TEST_F(DestroyTest, ZonesElsewhereGoToo) {
  options_.zones = {{"a", directory_.Path("a")}, {"b", directory_.Path("deep/b")}};
  Create();
  EXPECT_THAT(Cluster::Destroy(path_), IsOk());
  EXPECT_FALSE(fs::exists(path_));
  EXPECT_FALSE(fs::exists(directory_.Path("a")));
  EXPECT_FALSE(fs::exists(directory_.Path("deep/b")));
}

TEST_F(DestroyTest, RefusedWhileOpen) {
  Open();
  ASSERT_THAT(cluster_->Set("k", "v"), IsOk());
  EXPECT_THAT(Cluster::Destroy(path_), HasError(absl::StatusCode::kUnavailable, "is open"));
  EXPECT_THAT(cluster_->Get("k"), HoldsValue("v"));
  EXPECT_THAT(cluster_->Verify(), IsOk());
}

TEST_F(DestroyTest, ForeignFilesStay) {
  Create();
  const std::vector<std::string> foreign = {"notes.txt", "zone-a/node-notes/x", "zone-a/node-old",
                                            "zone-a/notes.txt", "zone-b/sub/x"};
  for (const std::string& file : foreign) {
    const fs::path full = fs::path(path_) / file;
    fs::create_directories(full.parent_path());
    SetFileBytes(full.string(), "mine");
  }
  EXPECT_THAT(Cluster::Destroy(path_), IsOk());
  EXPECT_THAT(FilesBelow(path_), ElementsAreArray(foreign));
  // A cluster can be made here again.
  EXPECT_THAT(Cluster::Open(options_, path_),
              HasError(absl::StatusCode::kFailedPrecondition, "zone-a"));
}

TEST_F(DestroyTest, AMissingZoneIsNoError) {
  Create();
  fs::remove_all(path_ + "/zone-b");
  EXPECT_THAT(Cluster::Destroy(path_), IsOk());
  EXPECT_FALSE(fs::exists(path_));
}

TEST_F(DestroyTest, AnotherClustersZoneStays) {
  options_.replicas_per_shard = 0;
  options_.zones = {{"a", directory_.Path("a")}};
  Create();
  const std::string path = directory_.Path("second");
  // The second cluster's zone is where the first one has put its own.
  Options options = options_;
  options.zones = {{"a", directory_.Path("b")}};
  ASSERT_THAT(Cluster::Open(options, path), IsOk());
  fs::remove_all(directory_.Path("b"));
  fs::rename(directory_.Path("a"), directory_.Path("b"));
  EXPECT_THAT(Cluster::Destroy(path),
              HasError(absl::StatusCode::kFailedPrecondition, directory_.Path("b")));
  fs::rename(directory_.Path("b"), directory_.Path("a"));
  Open();
  EXPECT_THAT(cluster_->Get("1"), HoldsValue("v"));
}

// However far the creation came, and whatever half-written file it left, all of it goes.
TEST_F(DestroyTest, ACreationThatWasCutShort) {
  options_.shards = 1;
  options_.replicas_per_shard = 0;
  options_.zones = {{"a", directory_.Path("a")}};
  for (int operations = 1;; operations += 3) {
    SCOPED_TRACE(operations);
    const auto hook = std::make_shared<TestHook>();
    std::atomic<int> left{operations};
    hook->SetBefore([&](FileOp, const std::string&) {
      return left-- > 0 ? absl::OkStatus() : absl::UnavailableError("the power is out");
    });
    const bool created = OpenClusterWithHook(options_, path_, hook).ok();
    EXPECT_THAT(Cluster::Destroy(path_), IsOk());
    // An empty directory may be anybody's.
    EXPECT_TRUE(!fs::exists(path_) || fs::is_empty(path_));
    EXPECT_FALSE(fs::exists(directory_.Path("a")));
    if (created) break;
  }
}

}  // namespace
}  // namespace slotkv
