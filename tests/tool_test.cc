// The slotkv program as its users have it: arguments, outputs, exit codes.
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/child_process.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

using Outcome = ChildProcess::Outcome;

class ToolTest : public testing::Test {
 protected:
  static std::vector<std::string> Command(std::vector<std::string> arguments) {
    // Bazel gives a path below the directory that the test starts in.
    arguments.insert(arguments.begin(), std::getenv("SLOTKV_TOOL"));
    return arguments;
  }

  Outcome Run(std::vector<std::string> arguments, const std::string& input = "") {
    absl::StatusOr<Outcome> outcome = ChildProcess::Run(Command(std::move(arguments)), input);
    EXPECT_THAT(outcome, IsOk());
    if (!outcome.ok()) return Outcome();
    EXPECT_EQ(outcome->signal, 0) << outcome->err;
    return *outcome;
  }

  // `command` on this test's cluster.
  Outcome RunOn(std::string command, std::vector<std::string> arguments,
                const std::string& input = "") {
    arguments.insert(arguments.begin(), {std::move(command), "--dir", cluster()});
    return Run(std::move(arguments), input);
  }

  std::string cluster() const { return directory_.Path("cluster"); }

  TemporaryDirectory directory_;
};

void ExpectOutput(const Outcome& outcome, const std::string& out) {
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, out);
  EXPECT_EQ(outcome.err, "");
}

void ExpectFailure(const Outcome& outcome, int exit_code, const std::string& err) {
  EXPECT_EQ(outcome.exit_code, exit_code);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, StartsWith("slotkv: "));
  EXPECT_THAT(outcome.err, HasSubstr(err));
}

TEST_F(ToolTest, SetsAndGets) {
  ExpectOutput(RunOn("set", {"session:42", "alice"}), "");
  ExpectOutput(RunOn("get", {"session:42"}), "alice\n");
  ExpectOutput(RunOn("get", {"--raw", "session:42"}), "alice");
  ExpectFailure(RunOn("get", {"session:43"}), 1, "no such key: \"session:43\"");
  ExpectOutput(RunOn("del", {"session:42", "session:43"}), "1\n");
  ExpectFailure(RunOn("get", {"session:42"}), 1, "no such key");
}

TEST_F(ToolTest, KeepsOddKeysAndValues) {
  const std::vector<std::string> texts = {"",      "get",  "[a,b]", "a b",       "a=b",
                                          "%x{1}", "{a}b", "[",     "\xff\x01\n"};
  for (const std::string& text : texts) {
    ExpectOutput(RunOn("set", {text, "value of " + text}), "");
    ExpectOutput(RunOn("get", {text}), "value of " + text + "\n");
    ExpectOutput(RunOn("set", {text, text}), "");
    ExpectOutput(RunOn("get", {text}), text + "\n");
  }
  ExpectOutput(RunOn("set", {"--", "-dash", "--value"}), "");
  ExpectOutput(RunOn("get", {"--", "-dash"}), "--value\n");
  ExpectOutput(RunOn("del", texts), absl::StrCat(texts.size(), "\n"));
}

TEST_F(ToolTest, ShowsTimesToLive) {
  ExpectOutput(RunOn("set", {"k", "v"}), "");
  ExpectOutput(RunOn("ttl", {"k"}), "no expiry\n");
  ExpectOutput(RunOn("set", {"k", "v", "--ttl", "30m"}), "");
  EXPECT_THAT(RunOn("ttl", {"k"}).out, MatchesRegex("(30m|29m5[0-9.]+s)\n"));
  ExpectOutput(RunOn("set", {"k", "w", "--keep-ttl"}), "");
  EXPECT_THAT(RunOn("ttl", {"k"}).out, MatchesRegex("2?9?3?0?m[0-9.s]*\n"));
  ExpectFailure(RunOn("ttl", {"missing"}), 1, "no such key");
}

TEST_F(ToolTest, SetsUnderConditions) {
  ExpectFailure(RunOn("set", {"--xx", "k", "v"}), 1, "the key is missing");
  ExpectOutput(RunOn("set", {"--nx", "k", "v"}), "");
  ExpectFailure(RunOn("set", {"--nx", "k", "w"}), 1, "the key exists");
  ExpectOutput(RunOn("set", {"--xx", "k", "x"}), "");
  ExpectOutput(RunOn("get", {"k"}), "x\n");
}

TEST_F(ToolTest, ShowsSlots) {
  ExpectOutput(Run({"keyslot", "foo", "{user1000}.following", "{user1000}.followers", ""}),
               "12182\n3443\n3443\n0\n");
}

TEST_F(ToolTest, ReadersCreateNoCluster) {
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"get", "k"}, {"del", "k"}, {"ttl", "k"}, {"verify"}}) {
    const Outcome outcome =
        RunOn(command[0], std::vector<std::string>(command.begin() + 1, command.end()));
    EXPECT_EQ(outcome.exit_code, 1) << command[0];
    EXPECT_THAT(outcome.err, StartsWith("slotkv: ")) << command[0];
  }
  EXPECT_FALSE(std::filesystem::exists(cluster()));
}

TEST_F(ToolTest, TeachesItsUse) {
  EXPECT_THAT(Run({"--help"}).out,
              AllOf(HasSubstr("slotkv tour"), HasSubstr("load"), Not(HasSubstr("tour-writer"))));
  for (const char* const command :
       {"get", "set", "del", "ttl", "keyslot", "verify", "load", "tour"}) {
    const Outcome help = Run({command, "--help"});
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_THAT(help.out, ContainsRegex(absl::StrCat("Examples?:\n  slotkv ", command)));
    EXPECT_EQ(help.err, "");
  }
  EXPECT_THAT(Run({"--version"}).out, MatchesRegex("slotkv [0-9.]+\n"));
}

TEST_F(ToolTest, RefusesWrongUsage) {
  ExpectFailure(Run({}), 2, "no command given");
  ExpectFailure(Run({"gte"}), 2, "no such command: gte");
  ExpectFailure(Run({"get", "k"}), 2, "--dir is required");
  ExpectFailure(RunOn("get", {}), 2, "KEY is required");
  ExpectFailure(RunOn("get", {"a", "b"}), 2, "b");
  ExpectFailure(RunOn("get", {"a", "--rwa"}), 2, "--rwa");
  ExpectFailure(RunOn("set", {"k", "v", "--ttl", "soon"}), 2, "--ttl");
  ExpectFailure(RunOn("set", {"k", "v", "--ttl", "-1s"}), 2, "--ttl");
  ExpectFailure(RunOn("set", {"k", "v", "--ttl", "1s", "--keep-ttl"}), 2, "--keep-ttl");
  ExpectFailure(RunOn("set", {"k", "v", "--nx", "--xx"}), 2, "--xx");
  ExpectFailure(RunOn("set", {"k", "v", "--shards", "0"}), 2, "--shards");
  ExpectFailure(RunOn("set", {"k", "v", "--fsync", "maybe"}), 2, "--fsync");
  EXPECT_FALSE(std::filesystem::exists(cluster()));
}

TEST_F(ToolTest, Verifies) {
  for (const char* const key : {"a", "b", "c", "d", "e"}) {
    ExpectOutput(RunOn("set", {key, "v", "--shards", "2"}), "");
  }
  const Outcome verified = RunOn("verify", {});
  EXPECT_EQ(verified.exit_code, 0) << verified.err;
  EXPECT_THAT(verified.out, HasSubstr("2 shards, 16384 slots, 5 keys\nverify: ok\n"));
}

TEST_F(ToolTest, LoadsFromTheStandardInput) {
  const Outcome load = RunOn("load", {"-"}, "SET a 1\r\nINCRBY a 41\r\nSET b 2 EX 1000\r\n");
  EXPECT_EQ(load.exit_code, 0) << load.err;
  EXPECT_THAT(load.out, HasSubstr("3 commands"));
  EXPECT_EQ(load.err, "");
  ExpectOutput(RunOn("get", {"a"}), "42\n");
}

TEST_F(ToolTest, LoadSaysWhatItLeftOut) {
  const Outcome load =
      RunOn("load", {"-"}, "SET a x\r\nLPUSH l 1\r\nINCR a\r\nSELECT 3\r\nSET c 1\r\n");
  EXPECT_EQ(load.exit_code, 1);
  EXPECT_THAT(load.out, ContainsRegex("unknown +1  LPUSH 1\n"));
  EXPECT_THAT(load.out, ContainsRegex("failed +1 "));
  EXPECT_THAT(load.out, HasSubstr("byte 20: INCR: "));
  EXPECT_THAT(load.out, ContainsRegex("other database +1 "));
  ExpectOutput(RunOn("get", {"a"}), "x\n");
}

TEST_F(ToolTest, LoadsWhatStandsBeforeBrokenInput) {
  struct Case {
    const char* rest;
    const char* err;
  };
  for (const Case& broken : {
           Case{"\x89PNG\r\n\x1a\n", "malformed command at byte 9: expected"},
           Case{"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nab", "truncated command at byte 9:"},
           Case{"*3\r\n$999999999999\r\n", "malformed command at byte 9:"},
           Case{"*2147483648\r\n", "malformed command at byte 9:"},
           Case{"MULTI\r\nSET a 2\r\n", "ends in a transaction"},
       }) {
    const Outcome load = RunOn("load", {"-"}, absl::StrCat("SET a 1\r\n", broken.rest));
    EXPECT_EQ(load.exit_code, 1);
    EXPECT_THAT(load.err, AllOf(HasSubstr(broken.err), HasSubstr("before byte 9 are loaded")));
    ExpectOutput(RunOn("get", {"a"}), "1\n");
  }
}

TEST_F(ToolTest, LoadsAnAppendOnlyDirectoryUntilAPartIsBroken) {
  const auto write = [this](const std::string& name, const std::string& text) {
    std::ofstream(directory_.Path(name), std::ios::binary) << text;
  };
  write(
      "appendonly.aof.manifest",
      "file 1.base.aof seq 1 type b\nfile 1.incr.aof seq 1 type i\nfile 2.incr.aof seq 2 type i\n");
  write("1.base.aof", "SELECT 0\r\nSET a 1\r\n");
  write("1.incr.aof", "SET b 1\r\nSET b");
  write("2.incr.aof", "SET c 1\r\n");
  const Outcome load = RunOn("load", {directory_.path()});
  EXPECT_EQ(load.exit_code, 1);
  EXPECT_THAT(load.err, AllOf(HasSubstr("1.incr.aof: truncated command at byte 9"),
                              HasSubstr("2.incr.aof: not loaded")));
  ExpectOutput(RunOn("get", {"a"}), "1\n");
  ExpectOutput(RunOn("get", {"b"}), "1\n");
  ExpectFailure(RunOn("get", {"c"}), 1, "no such key");
}

TEST_F(ToolTest, LoadOfNothingCreatesNothing) {
  ExpectFailure(RunOn("load", {directory_.Path("missing")}), 1, "missing");
  ExpectFailure(RunOn("load", {directory_.path()}), 1, "manifest");
  EXPECT_FALSE(std::filesystem::exists(cluster()));
}

TEST_F(ToolTest, LoadIsInterruptedBetweenCommands) {
  absl::StatusOr<std::unique_ptr<ChildProcess>> load =
      ChildProcess::Start(Command({"load", "-", "--dir", cluster()}));
  ASSERT_THAT(load, IsOk());
  // More than a pipe holds: when all is written, the load has begun.
  std::string commands;
  std::vector<size_t> ends;
  while (commands.size() < (size_t{1} << 20)) {
    absl::StrAppend(&commands, "SET key:", ends.size(), " ", std::string(1000, 'v'), "\r\n");
    ends.push_back(commands.size());
  }
  ASSERT_THAT((*load)->Write(commands), IsOk());
  (*load)->Signal(SIGINT);
  // The input stays open: it is the signal that ends it.
  while ((*load)->IsRunning()) absl::SleepFor(absl::Milliseconds(1));
  const Outcome outcome = (*load)->Wait();
  EXPECT_EQ(outcome.signal, 0);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("interrupted"));
  const size_t at = outcome.err.find("before byte ");
  ASSERT_NE(at, std::string::npos) << outcome.err;
  const size_t offset = std::strtoull(outcome.err.c_str() + at + 12, nullptr, 10);
  const size_t loaded = std::upper_bound(ends.begin(), ends.end(), offset) - ends.begin();
  ASSERT_GT(loaded, 0);
  EXPECT_EQ(RunOn("get", {absl::StrCat("key:", loaded - 1)}).exit_code, 0);
  EXPECT_EQ(RunOn("get", {absl::StrCat("key:", loaded)}).exit_code, 1);
}

TEST_F(ToolTest, TourShowsThatNothingIsLost) {
  const Outcome tour = Run({"tour", "--sessions", "5000", "--dir", cluster()});
  EXPECT_EQ(tour.exit_code, 0) << tour.err;
  EXPECT_EQ(tour.err, "");
  EXPECT_THAT(tour.out, AllOf(HasSubstr("1. "), HasSubstr("\nacknowledged writes lost: 0\n"),
                              HasSubstr("\nverify: ok\n")));
  EXPECT_EQ(RunOn("get", {"session:0"}).exit_code, 0);
  ExpectFailure(Run({"tour", "--sessions", "1", "--threads", "x"}), 2, "--threads");
  // It does not touch a cluster that is there.
  EXPECT_EQ(Run({"tour", "--dir", cluster()}).exit_code, 1);
  EXPECT_EQ(RunOn("get", {"session:0"}).exit_code, 0);
}

TEST_F(ToolTest, TourRemovesWhatItMade) {
  setenv("TMPDIR", directory_.path().c_str(), 1);
  EXPECT_EQ(Run({"tour", "--sessions", "100", "--threads", "2"}).exit_code, 0);
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
  EXPECT_EQ(Run({"tour", "--sessions", "100", "--keep"}).exit_code, 0);
  EXPECT_FALSE(std::filesystem::is_empty(directory_.path()));
  unsetenv("TMPDIR");
}

}  // namespace
}  // namespace slotkv
