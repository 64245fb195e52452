// The slotkv program as its users have it: arguments, outputs, exit codes.
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
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

  // Sets key:100000 and so on.
  void Load(int keys) {
    std::string commands;
    for (int i = 0; i < keys; ++i)
      absl::StrAppend(&commands, "SET key:", 100'000 + i, " value\r\n");
    const Outcome load = RunOn("load", {"-"}, commands);
    EXPECT_EQ(load.exit_code, 0) << load.err;
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
  for (const std::vector<std::string>& command : {std::vector<std::string>{"get", "k"},
                                                  {"del", "k"},
                                                  {"ttl", "k"},
                                                  {"hget", "k"},
                                                  {"scan"},
                                                  {"stats"},
                                                  {"verify"}}) {
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
       {"get", "set", "del", "ttl", "keyslot", "verify", "load", "tour", "hget", "scan", "stats",
        "bench", "replicas", "promote", "slots"}) {
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
  ExpectFailure(RunOn("set", {"k", "v", "--replicas", "64"}), 2, "--replicas");
  ExpectFailure(RunOn("set", {"k", "v", "--replicas", "3"}), 2, "3, but there are 3 zones");
  ExpectFailure(
      RunOn("load", {"-", "--zone", "a=x"}), 2,
      "--replicas is 1, but there is 1 zone: name more with --zone, or give --replicas 0");
  ExpectFailure(RunOn("set", {"k", "v", "--zone", "a"}), 2, "--zone: expected NAME=PATH");
  ExpectFailure(RunOn("set", {"k", "v", "--zone", "a="}), 2, "--zone: zone a has no path");
  ExpectFailure(RunOn("set", {"k", "v", "--zone", "a b=x"}), 2, "--zone: the name \"a b\"");
  ExpectFailure(RunOn("bench", {"--zone", "a=x", "--zone", "a=y"}), 2, "--zone: a stands twice");
  ExpectFailure(RunOn("scan", {"--limit", "0"}), 2, "--limit");
  ExpectFailure(RunOn("scan", {"--cursor", "!"}), 1, "--cursor: not one that scan has printed");
  ExpectFailure(RunOn("stats", {"--map", "slots"}), 2, "--map");
  ExpectFailure(RunOn("stats", {"--map", "keys", "--json"}), 2, "--json");
  ExpectFailure(RunOn("bench", {"--threads", "0"}), 2, "--threads");
  ExpectFailure(RunOn("bench", {"--read-percent", "101"}), 2, "--read-percent");
  EXPECT_FALSE(std::filesystem::exists(cluster()));
}

TEST_F(ToolTest, CreatesTwoCopiesUnlessAskedForOthers) {
  ExpectOutput(RunOn("set", {"k", "v"}), "");
  EXPECT_THAT(RunOn("replicas", {}).out,
              AllOf(HasSubstr("3 shards, 6 nodes, 6 in sync\n"),
                    HasSubstr("node-6 replica zone-a in sync, lag 0 bytes\n")));
  const std::string other = directory_.Path("other");
  EXPECT_EQ(Run({"load", "-", "--dir", other, "--shards", "2", "--replicas", "0"}).exit_code, 0);
  EXPECT_THAT(Run({"replicas", other}).out, HasSubstr("2 shards, 2 nodes, 2 in sync\n"));
}

TEST_F(ToolTest, CreatesInZones) {
  const std::string disk = directory_.Path("disk");
  ExpectOutput(RunOn("set", {"--zone", "east=" + disk, "k", "v", "--zone", "west=below"}), "");
  const std::string replicas = RunOn("replicas", {}).out;
  EXPECT_THAT(replicas, AllOf(HasSubstr("node-1 primary east in sync"),
                              HasSubstr("node-2 replica west in sync")));
  EXPECT_TRUE(std::filesystem::exists(disk + "/ZONE"));
  EXPECT_TRUE(std::filesystem::exists(cluster() + "/below/ZONE"));
  // To a cluster that is there they do not matter.
  ExpectOutput(RunOn("set", {"k", "w", "--zone", "east=x", "--zone", "south=y"}), "");
  ExpectOutput(RunOn("set", {"k", "w", "--replicas", "0", "--shards", "9"}), "");
  EXPECT_THAT(RunOn("replicas", {}).out, HasSubstr("3 shards, 6 nodes, 6 in sync\n"));
  ExpectOutput(RunOn("get", {"k"}), "w\n");

  const Outcome bench =
      Run({"bench", "--dir", directory_.Path("bench"), "--keys", "10", "--seconds", "0.1",
           "--replicas", "0", "--zone", "z=" + directory_.Path("z")});
  EXPECT_EQ(bench.exit_code, 0) << bench.err;
  EXPECT_THAT(bench.out, HasSubstr("3 shards with 0 replicas each"));
  EXPECT_FALSE(std::filesystem::exists(directory_.Path("bench")));
  EXPECT_FALSE(std::filesystem::exists(directory_.Path("z")));
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

TEST_F(ToolTest, ShowsHashes) {
  const Outcome load =
      RunOn("load", {"-"}, "HSET cart:1 b 2 a \"x\\ty\\xff\" \"\" empty\r\nSET s v\r\n");
  EXPECT_EQ(load.exit_code, 0) << load.err;
  ExpectOutput(RunOn("hget", {"cart:1"}), "\tempty\na\tx\\ty\\xff\nb\t2\n");
  ExpectOutput(RunOn("hget", {"--raw", "cart:1"}), "\tempty\na\tx\ty\xff\nb\t2\n");
  ExpectOutput(RunOn("hget", {"cart:1", "b"}), "2\n");
  ExpectOutput(RunOn("hget", {"cart:1", ""}), "empty\n");
  ExpectOutput(RunOn("hget", {"--raw", "cart:1", "a"}), "x\ty\xff");
  ExpectFailure(RunOn("hget", {"cart:1", "c"}), 1, "no such field: \"c\" in \"cart:1\"");
  ExpectFailure(RunOn("hget", {"cart:2", "c"}), 1, "no such key: \"cart:2\"");
  ExpectFailure(RunOn("hget", {"cart:2"}), 1, "no such key: \"cart:2\"");
  ExpectFailure(RunOn("hget", {"s"}), 1, "\"s\" holds a string: slotkv get prints it");
  ExpectFailure(RunOn("get", {"cart:1"}), 1, "\"cart:1\" holds a hash: slotkv hget prints it");
  ExpectOutput(RunOn("ttl", {"cart:1"}), "no expiry\n");
}

TEST_F(ToolTest, ScansPageByPage) {
  Load(2500);
  const Outcome all = RunOn("scan", {});
  EXPECT_EQ(all.exit_code, 0) << all.err;
  EXPECT_EQ(all.err, "");
  const std::vector<std::string> keys = absl::StrSplit(all.out, '\n', absl::SkipEmpty());
  EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(), 2500);
  EXPECT_EQ(keys.size(), 2500);

  // Pages of a limit come to the same.
  std::string paged, cursor;
  int pages = 0;
  do {
    const Outcome page = RunOn("scan", {"--limit", "1250", "--cursor", cursor});
    EXPECT_EQ(page.exit_code, 0) << page.err;
    paged += page.out;
    const size_t at = page.err.find("--cursor ");
    cursor = at == std::string::npos ? "" : page.err.substr(at + 9);
    if (!cursor.empty()) cursor.pop_back();
    ++pages;
  } while (!cursor.empty() && pages < 10);
  EXPECT_EQ(paged, all.out);
  EXPECT_EQ(pages, 2);
  const std::string ten = RunOn("scan", {"--prefix", "key:10077"}).out;
  EXPECT_EQ(ten.size(), 10 * (keys[0].size() + 1));
  // Nothing is left, and nothing said.
  ExpectOutput(RunOn("scan", {"--prefix", "key:10077", "--limit", "10"}), ten);
}

TEST_F(ToolTest, ScansKeysAndValuesOfAnyBytes) {
  const Outcome load = RunOn("load", {"-"},
                             "SET {t}a\\ \"\\x00\\n\"\r\nSET \"{t}b\\t\" (hash)\r\n"
                             "HSET {t}c f v\r\nSET {u}d v\r\n");
  EXPECT_EQ(load.exit_code, 0) << load.err;
  ExpectOutput(RunOn("scan", {"--prefix", "{t}"}), "{t}a\\\\\n{t}b\\t\n{t}c\n");
  ExpectOutput(RunOn("scan", {"--prefix", "{t}", "--values"}),
               "{t}a\\\\\t\\x00\\n\n{t}b\\t\t\\x28hash)\n{t}c\t(hash)\n");
  ExpectOutput(RunOn("scan", {"--prefix", "{t}", "--values", "--raw"}),
               std::string("{t}a\\\t\0\n\n{t}b\t\t(hash)\n{t}c\t(hash)\n", 34));
  ExpectOutput(RunOn("scan", {"--prefix", "none"}), "");
}

// A reader that has seen enough, as head.
TEST_F(ToolTest, EndsQuietlyWithItsReader) {
  Load(20'000);
  for (const std::string command : {"scan", "stats", "stats --json"}) {
    // More than a pipe holds, so that it does meet the end.
    const std::string line = absl::StrCat("{ \"$0\" ", command, " --dir \"$1\"; echo $? >&2; } | ",
                                          command == "scan" ? "head -n 1" : "true");
    absl::StatusOr<Outcome> outcome =
        ChildProcess::Run({"/bin/sh", "-c", line, std::getenv("SLOTKV_TOOL"), cluster()});
    ASSERT_THAT(outcome, IsOk());
    EXPECT_EQ(outcome->err, "0\n") << command;
  }
}

TEST_F(ToolTest, ShowsStatistics) {
  Load(3000);
  std::string hot;  // all in slot 7000
  for (int i = 0; i < 500; ++i) absl::StrAppend(&hot, "SET {tag22273}:", i, " v\r\n");
  EXPECT_EQ(RunOn("load", {"-"}, hot).exit_code, 0);
  const Outcome text = RunOn("stats", {});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("3 shards, 16384 slots, 3,500 keys"), HasSubstr("shard-3"),
                              HasSubstr("node-3"), HasSubstr("16128-16383"),
                              ContainsRegex("\n7000 .* \"\\{tag22273\\}:0\"\n")));
  EXPECT_TRUE(std::all_of(text.out.begin(), text.out.end(), [](char byte) {
    return byte == '\n' || (byte >= ' ' && byte <= '~');
  })) << text.out;
  EXPECT_EQ(RunOn("stats", {"--map", "bytes"}).exit_code, 0);

  const Outcome machine = RunOn("stats", {"--json"});
  EXPECT_EQ(machine.exit_code, 0) << machine.err;
  const auto json = nlohmann::json::parse(machine.out, nullptr, /*allow_exceptions=*/false);
  ASSERT_TRUE(json.is_object());
  EXPECT_EQ(json["keys"], 3500);
  uint64_t keys_by_shard = 0, keys_by_slot = 0, slots = 0;
  for (const auto& shard : json["shards"]) {
    keys_by_shard += shard["keys"].get<uint64_t>();
    slots += shard["slots"].get<uint64_t>();
  }
  for (const auto& keys : json["slots"]["keys"]) keys_by_slot += keys.get<uint64_t>();
  EXPECT_EQ(keys_by_shard, 3500);
  EXPECT_EQ(keys_by_slot, 3500);
  EXPECT_EQ(slots, 16384);
  EXPECT_GE(json["slots"]["keys"][7000].get<uint64_t>(), 500);
}

TEST_F(ToolTest, ShowsStatisticsOfNothing) {
  ExpectOutput(RunOn("set", {"k", "v", "--shards", "1"}), "");
  ExpectOutput(RunOn("del", {"k"}), "1\n");
  const Outcome text = RunOn("stats", {});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_THAT(text.out, AllOf(HasSubstr("1 shard, 16384 slots, 0 keys"),
                              HasSubstr("16,384 slots of 16384 empty")));
}

TEST_F(ToolTest, BenchRemovesWhatItMade) {
  setenv("TMPDIR", directory_.path().c_str(), 1);
  const Outcome bench = Run({"bench", "--seconds", "0.3", "--keys", "1000"});
  EXPECT_EQ(bench.exit_code, 0) << bench.err;
  EXPECT_EQ(bench.err, "");
  EXPECT_THAT(bench.out, AllOf(ContainsRegex("\nload +1,000 "), HasSubstr("\nmixed: reads "),
                               HasSubstr("\nmixed: writes "), HasSubstr("found: 100.0%"),
                               HasSubstr("on disk: ")));
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
  unsetenv("TMPDIR");

  ExpectOutput(RunOn("set", {"k", "v"}), "");
  const Outcome refused = RunOn("bench", {"--seconds", "0.1"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_EQ(refused.out, "");
  ExpectOutput(RunOn("get", {"k"}), "v\n");

  const std::vector<std::string> kept = {"--seconds", "0.1", "--keys", "10", "--batch", "4"};
  const std::string other = directory_.Path("other");
  std::vector<std::string> command = {"bench", "--dir", other, "--keep"};
  command.insert(command.end(), kept.begin(), kept.end());
  EXPECT_EQ(Run(command).exit_code, 0);
  EXPECT_EQ(Run({"scan", "--dir", other, "--prefix", "bench:"}).out.size(), 10 * 8);
}

TEST_F(ToolTest, BenchIsInterrupted) {
  absl::StatusOr<std::unique_ptr<ChildProcess>> bench = ChildProcess::Start(
      Command({"bench", "--dir", cluster(), "--keys", "100", "--seconds", "3600"}));
  ASSERT_THAT(bench, IsOk());
  while ((*bench)->IsRunning() && (*bench)->OutSoFar().find("\nload ") == std::string::npos) {
    absl::SleepFor(absl::Milliseconds(1));
  }
  absl::SleepFor(absl::Milliseconds(200));
  (*bench)->Signal(SIGINT);
  const Outcome outcome = (*bench)->Wait();
  EXPECT_EQ(outcome.signal, 0);
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("interrupted"));
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("\nmixed: reads "), HasSubstr("on disk: ")));
  EXPECT_FALSE(std::filesystem::exists(cluster()));
}

// What was loaded before it is there, and loading all of it again mends the rest.
TEST_F(ToolTest, LoadSurvivesKill) {
  std::string commands;
  for (int i = 0; i < 20'000; ++i) {
    absl::StrAppend(&commands, "HSET h:", i % 500, " f", i / 500, " ", i, "\r\nSET k:", i,
                    " v\r\n");
  }
  absl::StatusOr<std::unique_ptr<ChildProcess>> load =
      ChildProcess::Start(Command({"load", "-", "--dir", cluster()}));
  ASSERT_THAT(load, IsOk());
  ASSERT_THAT((*load)->Write(commands.substr(0, commands.size() / 2)), IsOk());
  (*load)->Signal(SIGKILL);
  EXPECT_EQ((*load)->Wait().signal, SIGKILL);
  EXPECT_EQ(RunOn("verify", {}).exit_code, 0);
  EXPECT_EQ(RunOn("load", {"-"}, commands).exit_code, 0);
  EXPECT_THAT(RunOn("verify", {}).out, HasSubstr("20,500 keys\nverify: ok\n"));
  ExpectOutput(RunOn("hget", {"h:499", "f39"}), "19999\n");
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
                              HasSubstr("\nfailover time: "), HasSubstr("\nverify: ok\n")));
  EXPECT_EQ(RunOn("get", {"session:0"}).exit_code, 0);
  ExpectFailure(Run({"tour", "--sessions", "1", "--threads", "x"}), 2, "--threads");
  // It does not touch a cluster that is there.
  EXPECT_EQ(Run({"tour", "--dir", cluster()}).exit_code, 1);
  EXPECT_EQ(RunOn("get", {"session:0"}).exit_code, 0);
}

// A cluster with replicas loses a zone, and then the one that had taken over.
TEST_F(ToolTest, ShowsAndPromotesReplicas) {
  ASSERT_EQ(Run({"tour", "--sessions", "1", "--dir", cluster()}).exit_code, 0);
  ASSERT_EQ(RunOn("promote", {"shard-1", "node-1"}).exit_code, 0);
  const Outcome replicas = RunOn("replicas", {});
  EXPECT_EQ(replicas.exit_code, 0) << replicas.err;
  EXPECT_THAT(replicas.out, ContainsRegex("shard-1 +node-1 primary zone-a in sync, lag 0 bytes"));
  const Outcome promoted = RunOn("promote", {"shard-1"});
  EXPECT_EQ(promoted.exit_code, 0) << promoted.err;
  EXPECT_THAT(promoted.out, MatchesRegex("before: shard-1 +node-1 primary [^\n]+\n"
                                         "after:  shard-1 +node-1 replica [^\n]+\n"));
  EXPECT_THAT(RunOn("replicas", {}).out, ContainsRegex("shard-1 +node-1 replica zone-a in sync"));
  ExpectOutput(RunOn("set", {"{06S}", "old"}), "");

  // What is written without zone-a is not in node-1.
  const std::string away = directory_.Path("away");
  std::filesystem::rename(cluster() + "/zone-a", away);
  ExpectFailure(RunOn("promote", {"shard-1"}), 1, "shard-1: no replica is in sync");
  ExpectOutput(RunOn("set", {"{06S}", "new"}), "");
  std::filesystem::rename(away, cluster() + "/zone-a");
  std::filesystem::rename(cluster() + "/zone-b", away);
  ExpectFailure(RunOn("get", {"{06S}"}), 1, "node-1 is not in sync");
  ExpectFailure(RunOn("promote", {"shard-1", "node-1"}), 1, "--force promotes it all the same");
  const Outcome forced = RunOn("promote", {"shard-1", "node-1", "--force"});
  EXPECT_EQ(forced.exit_code, 0) << forced.err;
  EXPECT_THAT(forced.out, ContainsRegex("\nafter:  shard-1 +node-1 primary zone-a in sync"));
  ExpectOutput(RunOn("get", {"{06S}"}), "old\n");
  ExpectOutput(RunOn("set", {"{06S}", "after"}), "");
  std::filesystem::rename(away, cluster() + "/zone-b");
  ExpectOutput(RunOn("get", {"{06S}"}), "after\n");
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
