#include "tools/aof_manifest.h"

#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/test_support.h"

namespace slotkv::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ParseAofManifestTest, ListsBaseAndIncrementsInOrder) {
  EXPECT_THAT(
      *ParseAofManifest("file appendonly.aof.2.base.rdb seq 2 type b\n"
                        "file appendonly.aof.1.incr.aof seq 1 type h\n"
                        "file appendonly.aof.3.incr.aof seq 3 type i\n"
                        "# a comment\n"
                        "file \"with space.aof\" seq 4 type i"),
      ElementsAre("appendonly.aof.2.base.rdb", "appendonly.aof.3.incr.aof", "with space.aof"));
}

TEST(ParseAofManifestTest, RefusesWhatRedisWouldNotWrite) {
  for (const char* const text : {
           "",
           "file a seq 1 type h\n",
           "file a seq 1\n",
           "file a seq x type b\n",
           "file a seq 1 type z\n",
           "file ../a seq 1 type b\n",
           "file .. seq 1 type b\n",
           "file a seq 1 type i\nfile b seq 1 type b\n",
           "file a seq 1 type b\nfile b seq 2 type b\n",
           "file a seq 2 type i\nfile b seq 1 type i\n",
           "file \"a seq 1 type b\n",
           "\x89PNG\n",
       }) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseAofManifest(text).status())) << text;
  }
  EXPECT_THAT(std::string(ParseAofManifest("file a seq 1 type b\nfile b\n").status().message()),
              HasSubstr("line 2"));
}

class AofFilesTest : public testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(directory_.Path(name), std::ios::binary) << text;
  }

  TemporaryDirectory directory_;
};

TEST_F(AofFilesTest, FindsTheManifestOfADirectory) {
  Write("appendonly.aof.manifest", "file a.base.aof seq 1 type b\nfile a.incr.aof seq 1 type i\n");
  const auto expected = ElementsAre(directory_.Path("a.base.aof"), directory_.Path("a.incr.aof"));
  EXPECT_THAT(*AofFiles(directory_.path()), expected);
  EXPECT_THAT(*AofFiles(directory_.Path("appendonly.aof.manifest")), expected);
}

TEST_F(AofFilesTest, TakesOtherFilesAsTheyAre) {
  EXPECT_THAT(*AofFiles("/nowhere/appendonly.aof"), ElementsAre("/nowhere/appendonly.aof"));
  EXPECT_THAT(*AofFiles("-"), ElementsAre("-"));
}

TEST_F(AofFilesTest, RefusesDirectoriesWithoutOneManifest) {
  EXPECT_TRUE(absl::IsNotFound(AofFiles(directory_.path()).status()));
  Write("a.manifest", "file a seq 1 type b\n");
  Write("b.manifest", "file b seq 1 type b\n");
  EXPECT_TRUE(absl::IsInvalidArgument(AofFiles(directory_.path()).status()));
  EXPECT_FALSE(AofFiles(directory_.Path("c.manifest")).ok());
}

}  // namespace
}  // namespace slotkv::tools
