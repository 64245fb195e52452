// The commands as slotkv runs them: arguments, outputs, exit codes.
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "slotkv/cluster.h"
#include "tests/test_support.h"
#include "tools/command_line.h"
#include "tools/test_command.h"

namespace slotkv::tools {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

class ReplicaCommandsTest : public CommandTest {
 protected:
  ReplicaCommandsTest() : CommandTest(AddReplicaCommands) {
    Options options;
    options.replicas_per_shard = 1;
    EXPECT_THAT(Cluster::Open(options, cluster()), IsOk());
  }
};

TEST_F(ReplicaCommandsTest, ShowsReplicas) {
  const Outcome text = Run({"replicas", cluster()});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("3 shards, 6 nodes, 6 in sync\n"));
  EXPECT_THAT(text.out, ContainsRegex("\nshard-3 +node-[0-9] primary zone-[abc] in sync, lag 0 "
                                      "bytes +node-[0-9] replica zone-[abc] in sync, lag "));
  EXPECT_THAT(Run({"replicas", "--dir", cluster()}).out, HasSubstr("\nshard-3 "));

  const Outcome machine = Run({"replicas", cluster(), "--json"});
  EXPECT_EQ(machine.exit_code, 0) << machine.err;
  const auto json = nlohmann::json::parse(machine.out, nullptr, /*allow_exceptions=*/false);
  ASSERT_TRUE(json.is_object());
  ASSERT_EQ(json["shards"].size(), 3);
  for (const auto& shard : json["shards"]) {
    ASSERT_EQ(shard["nodes"].size(), 2);
    EXPECT_EQ(shard["nodes"][0]["in_sync"], true);
  }
}

TEST_F(ReplicaCommandsTest, ShowsAZoneThatIsGone) {
  std::filesystem::rename(cluster() + "/zone-b", directory_.Path("away"));
  const Outcome text = Run({"replicas", cluster()});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("6 nodes, 4 in sync\n"));
  EXPECT_THAT(text.out, ContainsRegex("node-[0-9] replica zone-b down"));
}

TEST_F(ReplicaCommandsTest, Promotes) {
  const Outcome promoted = Run({"promote", cluster(), "shard-2"});
  EXPECT_EQ(promoted.exit_code, 0) << promoted.err;
  EXPECT_EQ(promoted.err, "");
  EXPECT_THAT(promoted.out,
              MatchesRegex("before: shard-2 +node-3 primary [^\n]+ node-4 replica [^\n]+\n"
                           "after:  shard-2 +node-3 replica [^\n]+ node-4 primary [^\n]+\n"));
  // It stays so, and goes back.
  EXPECT_THAT(Run({"replicas", cluster()}).out, ContainsRegex("shard-2 +node-3 replica"));
  const Outcome back = Run({"promote", "--dir", cluster(), "2", "node-3"});
  EXPECT_EQ(back.exit_code, 0) << back.err;
  EXPECT_THAT(back.out, ContainsRegex("\nafter:  shard-2 +node-3 primary"));
}

TEST_F(ReplicaCommandsTest, RefusesToPromoteWhatIsNotThere) {
  ExpectFailure({"promote", cluster(), "shard-9"}, 1, "slotkv: no such shard: shard-9; ");
  ExpectFailure({"promote", cluster(), "1", "node-9"}, 1, "slotkv: no such node: node-9; ");
  ExpectFailure({"promote", cluster(), "first"}, 2, "expected shard-2 or 2, not \"first\"");
  ExpectFailure({"promote", cluster(), "1", "shard-1"}, 2, "expected node-4 or 4");
  ExpectFailure({"promote", cluster()}, 2, "SHARD is required");
  ExpectFailure({"replicas"}, 2, "--dir is required");
}

TEST_F(ReplicaCommandsTest, RefusesToPromoteWithoutAReplicaInSync) {
  std::filesystem::rename(cluster() + "/zone-c", directory_.Path("away"));
  ExpectFailure({"promote", cluster(), "shard-2"}, 1, "slotkv: shard-2: no replica is in sync");
}

TEST_F(ReplicaCommandsTest, PromotesByForceWhatHadFallenBehind) {
  // node-3 in zone-b is shard-2's primary, node-4 in zone-c has missed a write.
  const std::string away = directory_.Path("away");
  std::filesystem::rename(cluster() + "/zone-c", away);
  { EXPECT_THAT(Cluster::Open(Options(), cluster()), IsOk()); }
  std::filesystem::rename(away, cluster() + "/zone-c");
  std::filesystem::rename(cluster() + "/zone-b", away);
  EXPECT_THAT(Run({"replicas", cluster()}).out,
              HasSubstr("shard-2 takes no writes: node-4 is not"));
  for (const std::vector<std::string>& node : {std::vector<std::string>{}, {"node-4"}}) {
    std::vector<std::string> arguments = {"promote", cluster(), "shard-2"};
    arguments.insert(arguments.end(), node.begin(), node.end());
    ExpectFailure(arguments, 1,
                  "slotkv: node-4 is not in sync: it has the records of shard-2 up to");
    ExpectFailure(arguments, 1,
                  "writes would be lost is unknown; --force promotes it all the same");
  }
  const Outcome forced = Run({"promote", cluster(), "shard-2", "--force"});
  EXPECT_EQ(forced.exit_code, 0) << forced.err;
  EXPECT_THAT(forced.out, ContainsRegex("\nafter:  shard-2 +node-3 replica[^\n]+node-4 primary"));
}

TEST_F(ReplicaCommandsTest, CreatesNoCluster) {
  const std::string missing = directory_.Path("missing");
  ExpectFailure({"replicas", missing}, 1, "missing");
  ExpectFailure({"promote", missing, "1"}, 1, "missing");
  EXPECT_FALSE(std::filesystem::exists(missing));
}

}  // namespace
}  // namespace slotkv::tools
