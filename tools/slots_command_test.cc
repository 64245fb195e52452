// The command as slotkv runs it: arguments, outputs, exit codes.
#include <filesystem>
#include <string>

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

class SlotsCommandTest : public CommandTest {
 protected:
  SlotsCommandTest() : CommandTest(AddSlotsCommand) {}
};

TEST_F(SlotsCommandTest, ShowsTheMap) {
  ASSERT_THAT(Cluster::Open(Options(), cluster()), IsOk());
  const Outcome picture = Run({"slots", cluster()});
  EXPECT_EQ(picture.exit_code, 0) << picture.err;
  EXPECT_EQ(picture.err, "");
  EXPECT_THAT(picture.out, HasSubstr("\n    0  " + std::string(64, '1') + "\n"));
  EXPECT_THAT(picture.out, HasSubstr("\n15872  " + std::string(64, '3') + "\n"));
  EXPECT_THAT(picture.out, ContainsRegex("\n2  shard-2 +5462 slots +33.3%  node-[0-9]+ zone-b  "
                                         "5461-10922\n"));
  EXPECT_EQ(Run({"slots", "--dir", cluster()}).exit_code, 0);

  const Outcome machine = Run({"slots", "--json", cluster()});
  EXPECT_EQ(machine.exit_code, 0) << machine.err;
  const auto json = nlohmann::json::parse(machine.out, nullptr, /*allow_exceptions=*/false);
  ASSERT_TRUE(json.is_object());
  ASSERT_EQ(json["shards"].size(), 3u);
  EXPECT_EQ(json["shards"][1]["slot_ranges"], nlohmann::json::parse("[[5461, 10922]]"));
  EXPECT_EQ(json["shards"][1]["primary"]["zone"], "zone-b");
}

TEST_F(SlotsCommandTest, RefusesWrongUsageAndCreatesNoCluster) {
  EXPECT_EQ(Run({"slots"}).exit_code, kExitUsage);
  ExpectFailure({"slots", cluster()}, kExitFailed, "slotkv: ");
  EXPECT_FALSE(std::filesystem::exists(cluster()));
}

}  // namespace
}  // namespace slotkv::tools
