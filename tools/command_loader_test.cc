#include "tools/command_loader.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/test_cluster.h"
#include "tools/test_input.h"

namespace slotkv::tools {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

class CommandLoaderTest : public LoadingClusterTest {
 protected:
  LoadReport Load(std::string stream) {
    BufferedInput input(StringSource(std::move(stream), 100));
    return LoadStream(&target_, &input);
  }

  int64_t NowMs() { return absl::ToUnixMillis(now()); }

  LoadTarget target_{cluster_.get(), now(), /*threads=*/3};
};

TEST_F(CommandLoaderTest, LoadsStrings) {
  const LoadReport report = Load(
      "SET a 1\r\n"
      "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$4\r\n\r\n\r\n\r\n"
      "INCRBY a 41\n"
      "APPEND b !\n"
      "MSET c 1 d 2 e 3\n"
      "DEL c e missing\n"
      "SETEX f 100 v\n"
      "PING\n");
  EXPECT_TRUE(report.IsComplete()) << report.status;
  EXPECT_EQ(report.commands, 8);
  EXPECT_EQ(report.applied, 7);
  EXPECT_EQ(report.without_effect, 1);
  EXPECT_EQ(Get("a"), "42");
  EXPECT_EQ(Get("b"), "\r\n\r\n!");
  EXPECT_EQ(Get("c"), "(missing)");
  EXPECT_EQ(Get("d"), "2");
  EXPECT_EQ(Get("e"), "(missing)");
  EXPECT_GT(Pttl("f"), 99'000);
}

TEST_F(CommandLoaderTest, KeepsAbsoluteTimesToTheMillisecond) {
  const LoadReport report =
      Load(absl::StrCat("SET a v PXAT ", NowMs() + 12'345, "\nSET b v\nPEXPIREAT b ",
                        NowMs() + 54'321, "\nSET c v PXAT 1000\n"));
  EXPECT_TRUE(report.IsComplete());
  EXPECT_EQ(Pttl("a"), 12'345);
  EXPECT_EQ(Pttl("b"), 54'321);
  EXPECT_EQ(Get("c"), "(missing)");
}

// As the base and the increments of an append-only file do.
TEST_F(CommandLoaderTest, GoesOnWhereTheStreamBeforeEnded) {
  EXPECT_TRUE(Load("SET visits 7 PXAT 1000\nSET session alice PXAT 1000\n").IsComplete());
  EXPECT_TRUE(
      Load(absl::StrCat("INCR visits\nPEXPIREAT session ", NowMs() + 1000, "\n")).IsComplete());
  EXPECT_EQ(Get("visits"), "(missing)");
  EXPECT_EQ(Get("session"), "alice");
  // But neither with its database nor with its transaction.
  Load("SELECT 1\nMULTI\n");
  EXPECT_TRUE(Load("SET a 1\n").IsComplete());
  EXPECT_EQ(Get("a"), "1");
}

TEST_F(CommandLoaderTest, CountsKeysGivenUpForEachStream) {
  LoadTarget small(cluster_.get(), now(), /*threads=*/2, /*expired_bytes_max=*/0);
  for (const int keys : {3, 0, 2}) {
    std::string stream;
    for (int i = 0; i < keys; ++i) absl::StrAppend(&stream, "SET k", i, " v PXAT 1000\n");
    BufferedInput input(StringSource(stream));
    const LoadReport report = LoadStream(&small, &input);
    EXPECT_EQ(report.expired_given_up, keys);
    EXPECT_EQ(report.IsComplete(), keys == 0);
  }
}

TEST_F(CommandLoaderTest, CountsWhatItDoesNotKnow) {
  const LoadReport report = Load("LPUSH l 1\nlpush l 2\nZADD z 1 v\nSET k v\n");
  EXPECT_FALSE(report.IsComplete());
  EXPECT_EQ(report.unknown, 3);
  EXPECT_EQ(report.applied, 1);
  EXPECT_THAT(report.unknown_by_name, ElementsAre(Pair("LPUSH", 2), Pair("ZADD", 1)));
}

TEST_F(CommandLoaderTest, BoundsTheNamesItDoesNotKnow) {
  std::string stream = "X" + std::string(60'000, 'y') + "\n";
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&stream, "CMD", i, "\n");
  const LoadReport report = Load(stream);
  EXPECT_EQ(report.unknown, 1001);
  EXPECT_EQ(report.unknown_by_name.size(), LoadReport::kNamesKept + 1);
  EXPECT_EQ(report.unknown_by_name.at("(other names)"), 1001 - LoadReport::kNamesKept);
  for (const auto& [name, count] : report.unknown_by_name) EXPECT_LE(name.size(), 32);
}

TEST_F(CommandLoaderTest, CountsFailuresWithTheirOffsets) {
  const LoadReport report = Load("SET t text\nINCRBY t 1\nSET t\nSET t v EX 0\nINCR n\n");
  EXPECT_TRUE(report.status.ok());
  EXPECT_FALSE(report.IsComplete());
  EXPECT_EQ(report.failed, 3);
  EXPECT_EQ(report.applied, 2);
  ASSERT_EQ(report.failures.size(), 3);
  EXPECT_EQ(report.failures[0].offset, 11);
  EXPECT_EQ(report.failures[0].command, "INCRBY");
  EXPECT_EQ(report.failures[1].offset, 22);
  EXPECT_EQ(report.failures[2].offset, 28);
  EXPECT_EQ(Get("t"), "text");
  EXPECT_EQ(Get("n"), "1");
}

TEST_F(CommandLoaderTest, SkipsOtherDatabases) {
  const LoadReport report =
      Load("SET a 0\nSELECT 1\nSET a 1\nLPUSH l 1\nSELECT 0\nSET b 0\nSELECT x\nSELECT -1\n");
  EXPECT_EQ(report.other_database, 2);
  EXPECT_EQ(report.unknown, 0);
  EXPECT_EQ(report.failed, 2);
  EXPECT_EQ(report.applied, 2);
  EXPECT_EQ(Get("a"), "0");
  EXPECT_EQ(Get("b"), "0");
}

TEST_F(CommandLoaderTest, ExecutesTransactionsAtExec) {
  const LoadReport report = Load(
      "MULTI\nSET a 1\nSELECT 1\nSET a 2\nSELECT 0\nINCR b\nEXEC\n"
      "MULTI\nSET a 3\nDISCARD\n");
  EXPECT_TRUE(report.status.ok());
  EXPECT_FALSE(report.unfinished_transaction);
  EXPECT_EQ(report.discarded, 1);
  EXPECT_EQ(report.other_database, 1);
  EXPECT_EQ(report.applied, 2);
  EXPECT_EQ(Get("a"), "1");
  EXPECT_EQ(Get("b"), "1");
}

TEST_F(CommandLoaderTest, RefusesTransactionsAsRedisDoes) {
  const LoadReport report = Load(
      "EXEC\nDISCARD\n"
      "MULTI\nMULTI\nSET a 1\nEXEC\n"
      "MULTI\nSET b 1\nSET b\nEXEC\n"
      "MULTI\nSET c 1\nINCR c 1 1\nEXEC\n"
      "MULTI\nSET d x\nINCR d\nSET e 1\nEXEC\n");
  EXPECT_EQ(Get("a"), "1");
  EXPECT_EQ(Get("b"), "(missing)");
  EXPECT_EQ(Get("c"), "(missing)");
  // An error while it is executed does not undo the rest.
  EXPECT_EQ(Get("d"), "x");
  EXPECT_EQ(Get("e"), "1");
  // EXEC, DISCARD, the inner MULTI, two wrong arities with their EXECs, INCR of text.
  EXPECT_EQ(report.failed, 8);
  EXPECT_EQ(report.discarded, 2);
}

TEST_F(CommandLoaderTest, DiscardsATransactionThatDoesNotEnd) {
  const LoadReport report = Load("SET a 1\nMULTI\nSET a 2\nSET b 2\n");
  EXPECT_TRUE(report.status.ok());
  EXPECT_TRUE(report.unfinished_transaction);
  EXPECT_FALSE(report.IsComplete());
  EXPECT_EQ(report.discarded, 2);
  EXPECT_EQ(report.offset, 8);
  EXPECT_EQ(Get("a"), "1");
  EXPECT_EQ(Get("b"), "(missing)");
}

TEST_F(CommandLoaderTest, LoadsHashes) {
  const LoadReport report = Load(
      "HSET h a 1 b 2\nHMSET h c 3\nHSETNX h a 9\nHDEL h b\nHINCRBY h c 4\nHGETALL h\n"
      "SETRANGE s 1 x\nHSET s f v\nINCR h\nGETSET h v\nGETEX h\nHSET h a\n");
  EXPECT_EQ(report.applied, 6);
  EXPECT_EQ(report.without_effect, 1);
  EXPECT_EQ(report.failed, 5);
  EXPECT_THAT(*cluster_->HashGetAll("h"), ElementsAre(HashField{"a", "1"}, HashField{"c", "7"}));
  EXPECT_EQ(Get("s"), std::string("\0x", 2));
}

TEST_F(CommandLoaderTest, LoadsAHashFieldByField) {
  std::string stream;
  for (int i = 0; i < 3000; ++i) absl::StrAppend(&stream, "HSET h f", i % 1000, " ", i, "\n");
  const LoadReport report = Load(stream + "HSET h\nAPPEND h x\n");
  EXPECT_EQ(report.applied, 3000);
  EXPECT_EQ(report.failed, 2);
  const std::vector<HashField> fields = *cluster_->HashGetAll("h");
  ASSERT_EQ(fields.size(), 1000);
  for (const HashField& field : fields) {
    EXPECT_EQ("f" + std::to_string(std::stoi(field.value) - 2000), field.name);
  }
}

TEST_F(CommandLoaderTest, Flushes) {
  std::string many;
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&many, "SET k", i, " v\nHSET h", i, " f v\n");
  LoadReport report = Load(absl::StrCat(many, "SET old v PXAT 1000\nFLUSHALL\nPERSIST old\n"));
  EXPECT_TRUE(report.IsComplete());
  EXPECT_EQ(report.applied, 2003);
  EXPECT_TRUE(cluster_->Scan()->entries.empty());

  report = Load("SET a 1\nSELECT 1\nFLUSHDB\nSELECT 0\nFLUSHALL now\nSET b 1\n");
  EXPECT_EQ(report.other_database, 1);
  EXPECT_EQ(report.failed, 1);
  EXPECT_EQ(Get("a"), "1");
  EXPECT_EQ(Get("b"), "1");
  EXPECT_TRUE(Load("FLUSHDB ASYNC\nSET c 1\n").IsComplete());
  EXPECT_EQ(Get("a"), "(missing)");
  EXPECT_EQ(Get("c"), "1");
  // All databases, whichever is selected.
  EXPECT_TRUE(Load("SELECT 1\nMULTI\nFLUSHALL\nSELECT 0\nSET d 1\nEXEC\n").IsComplete());
  EXPECT_EQ(Get("c"), "(missing)");
  EXPECT_EQ(Get("d"), "1");
  EXPECT_TRUE(Load("MULTI\nFLUSHALL\nDISCARD\n").status.ok());
  EXPECT_EQ(Get("d"), "1");
}

TEST_F(CommandLoaderTest, StopsWhereAFlushFails) {
  ASSERT_TRUE(cluster_->Close().ok());
  const LoadReport report = Load("PING\nFLUSHALL\nPING\n");
  EXPECT_TRUE(absl::IsCancelled(report.status)) << report.status;
  EXPECT_EQ(report.offset, 5);
  EXPECT_EQ(report.unapplied, 1);
}

TEST_F(CommandLoaderTest, MsetnxSetsAllOrNothing) {
  const LoadReport report =
      Load("SET a 1\nMSETNX a 2 b 2\nMSETNX c 3 d 3\nSET old v PXAT 1000\nMSETNX old 4 e 4\n");
  EXPECT_TRUE(report.IsComplete());
  EXPECT_EQ(Get("a"), "1");
  EXPECT_EQ(Get("b"), "(missing)");
  EXPECT_EQ(Get("c"), "3");
  EXPECT_EQ(Get("d"), "3");
  EXPECT_EQ(Get("e"), "(missing)");
}

TEST_F(CommandLoaderTest, LoadsWhatStandsBeforeAMalformedCommand) {
  const LoadReport report = Load("SET a 1\n*1\r\n$x\r\nSET a 2\n");
  EXPECT_TRUE(absl::IsInvalidArgument(report.status)) << report.status;
  EXPECT_THAT(std::string(report.status.message()), HasSubstr("at byte 8"));
  EXPECT_EQ(report.offset, 8);
  EXPECT_EQ(report.commands, 1);
  EXPECT_EQ(Get("a"), "1");
}

TEST_F(CommandLoaderTest, LoadsWhatStandsBeforeATruncation) {
  const LoadReport report = Load("SET a 1\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n");
  EXPECT_TRUE(absl::IsDataLoss(report.status)) << report.status;
  EXPECT_EQ(report.offset, 8);
  EXPECT_EQ(Get("a"), "1");
}

TEST_F(CommandLoaderTest, NamesASnapshot) {
  const LoadReport report = Load("REDIS0010\xfe\x01\x01k");
  EXPECT_TRUE(absl::IsFailedPrecondition(report.status));
  EXPECT_THAT(std::string(report.status.message()), HasSubstr("RDB"));
  EXPECT_EQ(report.offset, 0);
}

TEST_F(CommandLoaderTest, StopsWhenTheClusterDoes) {
  ASSERT_TRUE(cluster_->Set("a", "0").ok());
  ASSERT_TRUE(cluster_->Close().ok());
  const LoadReport report = Load("SET a 1\nSET b 1\nSET c 1\n");
  EXPECT_TRUE(absl::IsCancelled(report.status)) << report.status;
  EXPECT_EQ(report.offset, 0);
  EXPECT_EQ(report.applied, 0);
  EXPECT_EQ(report.unapplied, report.commands);
}

TEST_F(CommandLoaderTest, KeepsTheOrderOfCommandsOnAKey) {
  std::string stream;
  for (int i = 0; i < 5000; ++i) {
    absl::StrAppend(&stream, "APPEND key", i % 50, " ", i, ",\n");
    if (i % 7 == 0) absl::StrAppend(&stream, "MSET key", i % 50, " x{", i % 3, "} other v\n");
  }
  std::map<std::string, std::string> model;
  for (int i = 0; i < 5000; ++i) {
    const std::string key = absl::StrCat("key", i % 50);
    absl::StrAppend(&model[key], i, ",");
    if (i % 7 == 0) model[key] = absl::StrCat("x{", i % 3, "}");
  }
  const LoadReport report = Load(stream);
  EXPECT_TRUE(report.IsComplete()) << report.status;
  for (const auto& [key, value] : model) EXPECT_EQ(Get(key), value) << key;
}

}  // namespace
}  // namespace slotkv::tools
