// Opening and creating: what is made, what is refused, and that one process at a time has it.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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

using testing::ElementsAre;

class OpenTest : public ClusterFixture {
 protected:
  absl::Status TryOpen(const std::string& path) { return Cluster::Open(options_, path).status(); }

  std::vector<int> SlotCounts() {
    std::vector<int> counts;
    for (const ShardInfo& shard : cluster_->GetTopology().shards()) {
      counts.push_back(0);
      for (const SlotRange& range : shard.slots) counts.back() += range.last - range.first + 1;
    }
    return counts;
  }
};

// The first of all: a child may start threads only while its parent has none.
TEST_F(OpenTest, OnceOnOneMachine) {
  // The lock is another process's, which has just this one cluster.
  int to_child[2], from_child[2];
  ASSERT_EQ(pipe(to_child), 0);
  ASSERT_EQ(pipe(from_child), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  char byte = 0;
  if (child == 0) {
    absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(options_, path_);
    if (!cluster.ok() || write(from_child[1], "o", 1) != 1 || read(to_child[0], &byte, 1) != 1 ||
        !(*cluster)->Set("k", "v").ok() || !(*cluster)->Close().ok()) {
      _exit(1);
    }
    _exit(0);
  }
  ASSERT_EQ(read(from_child[0], &byte, 1), 1);
  EXPECT_THAT(TryOpen(path_), HasError(absl::StatusCode::kUnavailable, "open elsewhere"));
  EXPECT_THAT(Cluster::Destroy(path_), HasError(absl::StatusCode::kUnavailable, "open"));
  ASSERT_EQ(write(to_child[1], "c", 1), 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  Open();
  EXPECT_THAT(cluster_->Get("k"), HoldsValue("v"));
  for (const int fd : {to_child[0], to_child[1], from_child[0], from_child[1]}) close(fd);
}

TEST_F(OpenTest, WrongOptionsCreateNothing) {
  options_.shards = 0;
  EXPECT_THAT(TryOpen(path_), HasError(absl::StatusCode::kInvalidArgument, "Options.shards"));
  options_.shards = 3;
  options_.replicas_per_shard = 64;
  EXPECT_THAT(TryOpen(path_),
              HasError(absl::StatusCode::kInvalidArgument, "Options.replicas_per_shard"));
  options_.replicas_per_shard = 3;
  EXPECT_THAT(TryOpen(path_),
              HasError(absl::StatusCode::kInvalidArgument, "is 3, but there are 3 zones"));
  options_.replicas_per_shard = 1;
  options_.zones = {{"a", directory_.Path("a")}};
  EXPECT_THAT(TryOpen(path_),
              HasError(absl::StatusCode::kInvalidArgument,
                       "Options.replicas_per_shard is 1, but there is 1 zone: name another in "
                       "Options.zones, or set it to 0"));
  options_.zones.clear();
  EXPECT_THAT(TryOpen(""), HasError(absl::StatusCode::kInvalidArgument, "path is empty"));
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_FALSE(std::filesystem::exists(directory_.Path("a")));
}

TEST_F(OpenTest, CreatesOnlyIfAsked) {
  options_.create_if_missing = false;
  EXPECT_THAT(TryOpen(path_), HasError(absl::StatusCode::kNotFound, path_));
  EXPECT_FALSE(std::filesystem::exists(path_));
  ASSERT_TRUE(std::filesystem::create_directory(path_));
  EXPECT_THAT(TryOpen(path_), HasError(absl::StatusCode::kNotFound, path_));
  EXPECT_TRUE(std::filesystem::is_empty(path_));
  options_.create_if_missing = true;
  EXPECT_THAT(TryOpen(path_), IsOk());
  options_.create_if_missing = false;
  EXPECT_THAT(TryOpen(path_), IsOk());
}

TEST_F(OpenTest, RefusesAnExistingClusterIfAsked) {
  options_.error_if_exists = true;
  EXPECT_THAT(TryOpen(path_), IsOk());
  EXPECT_THAT(TryOpen(path_), HasError(absl::StatusCode::kAlreadyExists, path_));
  options_.error_if_exists = false;
  EXPECT_THAT(TryOpen(path_), IsOk());
}

TEST_F(OpenTest, ShardsCountAtCreationOnly) {
  Open();
  EXPECT_THAT(SlotCounts(), ElementsAre(5461, 5462, 5461));
  const Epoch epoch = cluster_->GetTopology().epoch();
  options_.shards = 7;
  Open();
  EXPECT_THAT(SlotCounts(), ElementsAre(5461, 5462, 5461));
  EXPECT_GT(cluster_->GetTopology().epoch(), epoch);
}

TEST_F(OpenTest, TwoCopiesOfEachShardByDefault) {
  Open();
  for (const ShardInfo& shard : cluster_->GetTopology().shards()) {
    ASSERT_EQ(shard.nodes.size(), 2u);
    EXPECT_NE(shard.nodes[0].zone, shard.nodes[1].zone);
    for (const NodeInfo& node : shard.nodes) EXPECT_TRUE(node.in_sync && node.up);
  }
}

TEST_F(OpenTest, ReplicasCountAtCreationOnly) {
  options_.zones = {{"a", directory_.Path("a")}};
  for (const int replicas : {0, 1, 63}) {
    options_.replicas_per_shard = replicas;
    Open();
    for (const ShardInfo& shard : cluster_->GetTopology().shards()) {
      EXPECT_EQ(shard.nodes.size(), 1u);
    }
  }
}

TEST_F(OpenTest, OneShardAndManyShards) {
  for (const int shards : {1, 64}) {
    SCOPED_TRACE(shards);
    options_.shards = shards;
    const std::string path = absl::StrCat(path_, shards);
    for (int round = 0; round < 2; ++round) {
      absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(options_, path);
      ASSERT_THAT(cluster, IsOk());
      EXPECT_EQ((*cluster)->GetTopology().shards().size(), static_cast<size_t>(shards));
      for (int i = 0; i < 300; ++i) {
        const std::string key = absl::StrCat("key", i);
        if (round == 0) {
          ASSERT_THAT((*cluster)->Set(key, absl::StrCat(i)), IsOk());
        }
        ASSERT_THAT((*cluster)->Get(key), HoldsValue(absl::StrCat(i)));
      }
      for (const char* const boundary : {"{06S}", "{6ZJ}"}) {
        if (round == 0) {
          ASSERT_THAT((*cluster)->Set(boundary, "v"), IsOk());
        }
        EXPECT_THAT((*cluster)->Get(boundary), HoldsValue("v"));
      }
      EXPECT_THAT((*cluster)->Verify(), IsOk());
      EXPECT_THAT((*cluster)->Close(), IsOk());
    }
  }
}

TEST_F(OpenTest, MakesParentsAndKeepsEverythingPrivate) {
  const std::string path = directory_.Path("some/new/place/cluster");
  ASSERT_THAT(TryOpen(path), IsOk());
  EXPECT_THAT(TryOpen(path), IsOk());
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    struct stat info;
    ASSERT_EQ(stat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 077, 0u) << entry.path();
  }
}

TEST_F(OpenTest, RefusesAPathThatIsAFile) {
  SetFileBytes(path_, "not a directory");
  EXPECT_THAT(TryOpen(path_), HasError(absl::StatusCode::kFailedPrecondition, path_));
  EXPECT_FALSE(TryOpen(path_ + "/below").ok());
  EXPECT_EQ(BytesOf(path_), "not a directory");
}

TEST_F(OpenTest, OnceInOneProcess) {
  Open();
  ASSERT_THAT(cluster_->Set("k", "v"), IsOk());
  const std::string link = directory_.Path("link");
  std::filesystem::create_directory_symlink(path_, link);
  const std::string relative = std::filesystem::relative(path_).string();
  // Under each of its names.
  for (const std::string& path :
       {path_, path_ + "/", path_ + "/.", directory_.Path("./cluster"), link, relative}) {
    EXPECT_THAT(TryOpen(path), HasError(absl::StatusCode::kUnavailable, path)) << path;
    EXPECT_THAT(Cluster::Destroy(path), HasCode(absl::StatusCode::kUnavailable)) << path;
  }
  EXPECT_THAT(cluster_->Get("k"), HoldsValue("v"));
}

// Runs `run` in a child process; what it returns.
template <typename Run>
int InChild(const Run& run) {
  const pid_t child = fork();
  if (child == 0) _exit(run());
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

int CodeOfOpen(const Options& options, const std::string& path) {
  return static_cast<int>(Cluster::Open(options, path).status().code());
}

// A child that was forked and goes on without the cluster does not keep it from anybody.
TEST_F(OpenTest, AForkedChildDoesNotHoldTheLock) {
  Open();
  int to_child[2];
  ASSERT_EQ(pipe(to_child), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  char byte = 0;
  if (child == 0) _exit(read(to_child[0], &byte, 1) == 1 ? 0 : 1);
  Open();
  ASSERT_THAT(cluster_->Set("k", "v"), IsOk());
  ASSERT_EQ(write(to_child[1], "x", 1), 1);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  for (const int fd : to_child) close(fd);
}

// A failed Open must not drop the lock of the one that succeeded before.
TEST_F(OpenTest, ARefusedOpenLeavesTheLock) {
  Open();
  EXPECT_THAT(TryOpen(path_), HasCode(absl::StatusCode::kUnavailable));
  EXPECT_THAT(TryOpen(path_ + "/"), HasCode(absl::StatusCode::kUnavailable));
  const std::string moved = directory_.Path("other-name");
  std::filesystem::create_directory_symlink(path_, moved);
  EXPECT_EQ(InChild([&] { return CodeOfOpen(options_, moved); }),
            static_cast<int>(absl::StatusCode::kUnavailable));
}

TEST_F(OpenTest, AReadOnlyFileSystem) {
  const absl::Status read_only = absl::UnavailableError("Read-only file system");
  const auto hook = std::make_shared<TestHook>();
  const auto refuse = [&](FileOp op, const std::string&) {
    const bool reads = op == FileOp::kOpen || op == FileOp::kRead || op == FileOp::kList;
    return reads ? absl::OkStatus() : read_only;
  };
  hook->SetBefore(refuse);
  EXPECT_THAT(OpenClusterWithHook(options_, path_, hook),
              HasError(absl::StatusCode::kUnavailable, "Read-only file system"));
  EXPECT_FALSE(std::filesystem::exists(path_));
  Open();
  ASSERT_THAT(cluster_->Set("k", "v"), IsOk());
  Close();
  EXPECT_THAT(OpenClusterWithHook(options_, path_, hook),
              HasError(absl::StatusCode::kUnavailable, "Read-only file system"));
  // The lock file can be locked, but nothing can be written.
  hook->SetBefore([&](FileOp op, const std::string& path) {
    return op == FileOp::kLock ? absl::OkStatus() : refuse(op, path);
  });
  EXPECT_THAT(OpenClusterWithHook(options_, path_, hook),
              HasError(absl::StatusCode::kUnavailable, "Read-only file system"));
  hook->Heal();
  EXPECT_THAT(OpenClusterWithHook(options_, path_, hook), IsOk());
  Open();
  EXPECT_THAT(cluster_->Get("k"), HoldsValue("v"));
}

TEST_F(OpenTest, ADirectoryWithoutPermission) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write anywhere";
  const std::string parent = directory_.Path("parent");
  std::filesystem::create_directory(parent);
  ASSERT_EQ(chmod(parent.c_str(), 0500), 0);
  EXPECT_THAT(TryOpen(parent + "/cluster"), HasError(absl::StatusCode::kUnavailable, parent));
  ASSERT_EQ(chmod(parent.c_str(), 0700), 0);
  EXPECT_THAT(TryOpen(parent + "/cluster"), IsOk());
}

TEST_F(OpenTest, TheWholeDirectoryCanMove) {
  Open();
  for (int i = 0; i < 30; ++i) ASSERT_THAT(cluster_->Set(absl::StrCat(i), "v"), IsOk());
  Close();
  const std::string moved = directory_.Path("elsewhere/cluster");
  std::filesystem::create_directories(directory_.Path("elsewhere"));
  std::filesystem::rename(path_, moved);
  absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(options_, moved);
  ASSERT_THAT(cluster, IsOk());
  for (int i = 0; i < 30; ++i) EXPECT_THAT((*cluster)->Get(absl::StrCat(i)), HoldsValue("v"));
  EXPECT_THAT((*cluster)->Verify(), IsOk());
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(OpenTest, WithoutItsPointerNothingIsCreatedOverIt) {
  Open();
  ASSERT_THAT(cluster_->Set("k", "v"), IsOk());
  Close();
  const std::string pointer = BytesOf(path_ + "/CLUSTER");
  std::filesystem::remove(path_ + "/CLUSTER");
  EXPECT_THAT(TryOpen(path_), HasError(absl::StatusCode::kAlreadyExists, "zone-a"));
  SetFileBytes(path_ + "/CLUSTER", pointer);
  Open();
  EXPECT_THAT(cluster_->Get("k"), HoldsValue("v"));
}

TEST_F(OpenTest, ForeignFilesAreLeftAlone) {
  Open();
  ASSERT_THAT(cluster_->Set("k", "v"), IsOk());
  Close();
  const std::vector<std::string> foreign = {"notes.txt",
                                            "lost+found/x",
                                            "zone-a/notes.txt",
                                            "zone-a/lost+found/x",
                                            "zone-a/node-1.1/notes",
                                            "zone-a/node-1.1/log/notes.txt",
                                            "zone-a/node-1.1/log/12.log",
                                            "zone-a/node-1.1/log/0000000001.log.bak",
                                            "zone-a/node-1.1/store/notes.txt",
                                            "zone-a/node-99.1/log/x",
                                            "CLUSTER.new",
                                            "zone-a/ZONE.new",
                                            "zone-a/TOPOLOGY.new"};
  for (const std::string& file : foreign) {
    const std::filesystem::path full = std::filesystem::path(path_) / file;
    std::filesystem::create_directories(full.parent_path());
    SetFileBytes(full.string(), "garbage");
  }
  for (int round = 0; round < 2; ++round) {
    Open();
    EXPECT_THAT(cluster_->Get("k"), HoldsValue("v"));
    EXPECT_THAT(cluster_->Verify(), IsOk());
    Close();
  }
}

}  // namespace
}  // namespace slotkv
