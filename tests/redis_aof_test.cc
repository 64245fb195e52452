// What a real Redis holds and what slotkv holds after loading Redis's files are the same: every
// key, every value, every expiry.
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "slotkv/cluster.h"
#include "tests/child_process.h"
#include "tests/random_commands.h"
#include "tests/redis_process.h"
#include "tests/test_support.h"
#include "tools/aof_manifest.h"
#include "tools/buffered_input.h"
#include "tools/command_loader.h"
#include "tools/loading_keyspace.h"
#include "tools/text.h"

namespace slotkv {
namespace {

using ::testing::ContainsRegex;

constexpr int kCommands = 100'000;
constexpr size_t kPipeline = 1000;
// Longer than any short time to live that the commands have, and than clocks differ.
constexpr absl::Duration kShortTtlsOver = absl::Seconds(1);
constexpr absl::Duration kClockTolerance = absl::Milliseconds(300);

// The slotkv program. Bazel gives a path below the directory that the test starts in.
std::string Tool() { return std::getenv("SLOTKV_TOOL"); }

// What Redis says about a key.
struct RedisKey {
  bool is_hash = false;
  std::string value;
  std::map<std::string, std::string> fields;
  // Milliseconds since 1970; -1 without expiry.
  int64_t expires_ms = 0;
};

class RedisAofTest : public testing::Test {
 protected:
  void SetUp() override {
    absl::StatusOr<std::unique_ptr<RedisServer>> redis =
        RedisServer::Start(redis_directory_.path());
    ASSERT_THAT(redis, IsOk());
    redis_ = *std::move(redis);
  }

  // Sends commands, one in twenty with others in a transaction, and returns how many were refused.
  // `sent`, if there is one, gets their bytes.
  int SendCommands(RandomCommands* commands, int count, std::string* sent = nullptr) {
    int refused = 0;
    std::vector<RedisArguments> pipeline;
    for (int i = 0; i < count; ++i) {
      const bool transaction = i % 20 == 0 && i + 3 < count;
      if (transaction) pipeline.push_back({"MULTI"});
      pipeline.push_back(commands->Next());
      if (transaction) {
        pipeline.push_back(commands->Next());
        pipeline.push_back(commands->Next());
        pipeline.push_back({"EXEC"});
      }
      if (pipeline.size() < kPipeline && i + 1 < count) continue;
      absl::StatusOr<std::vector<RedisReply>> replies = redis_->client()->Pipeline(pipeline);
      EXPECT_THAT(replies, IsOk());
      if (!replies.ok()) return -1;
      for (const RedisReply& reply : *replies) refused += Errors(reply);
      if (sent != nullptr) {
        for (const RedisArguments& command : pipeline) *sent += EncodeCommand(command);
      }
      pipeline.clear();
    }
    return refused;
  }

  static int Errors(const RedisReply& reply) {
    int errors = reply.IsError() ? 1 : 0;
    for (const RedisReply& element : reply.elements) errors += Errors(element);
    return errors;
  }

  std::vector<RedisReply> Ask(const std::vector<RedisArguments>& questions) {
    absl::StatusOr<std::vector<RedisReply>> answers = redis_->client()->Pipeline(questions);
    EXPECT_THAT(answers, IsOk());
    return answers.ok() ? *std::move(answers) : std::vector<RedisReply>(questions.size());
  }

  // All keys whose time has not passed.
  std::map<std::string, RedisKey> RedisKeys() {
    const std::vector<RedisReply> names = Ask({{"KEYS", "*"}})[0].elements;
    std::vector<RedisArguments> questions;
    for (const RedisReply& name : names) questions.push_back({"TYPE", name.text});
    const std::vector<RedisReply> types = Ask(questions);
    questions.clear();
    for (size_t i = 0; i < names.size(); ++i) {
      questions.push_back({types[i].text == "hash" ? "HGETALL" : "GET", names[i].text});
      questions.push_back({"PEXPIRETIME", names[i].text});
    }
    const std::vector<RedisReply> answers = Ask(questions);
    std::map<std::string, RedisKey> keys;
    for (size_t i = 0; i < names.size(); ++i) {
      RedisKey& key = keys[names[i].text];
      const RedisReply& value = answers[2 * i];
      EXPECT_FALSE(value.nil || value.IsError()) << "a key expired meanwhile";
      key.is_hash = types[i].text == "hash";
      key.value = value.text;
      for (size_t at = 0; at + 1 < value.elements.size(); at += 2) {
        key.fields[value.elements[at].text] = value.elements[at + 1].text;
      }
      key.expires_ms = answers[2 * i + 1].integer;
    }
    return keys;
  }

  // Compares the cluster at `path` with Redis, both ways.
  void ExpectEqual(const std::string& path, absl::Duration tolerance = kClockTolerance) {
    Options options;
    options.create_if_missing = false;
    absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(options, path);
    ASSERT_THAT(cluster, IsOk());
    EXPECT_EQ((*cluster)->GetTopology().shards().size(), 3);
    const std::map<std::string, RedisKey> keys = RedisKeys();
    EXPECT_GT(keys.size(), 1000);
    int hashes = 0;
    int differences = 0;
    for (const auto& [key, expected] : keys) {
      hashes += expected.is_hash ? 1 : 0;
      const std::string difference = Difference(cluster->get(), key, expected, tolerance);
      if (difference.empty()) continue;
      if (++differences <= 10) ADD_FAILURE() << absl::CHexEscape(key) << ": " << difference;
    }
    EXPECT_EQ(differences, 0);
    EXPECT_GT(hashes, 400);
    ExpectNoOthers(cluster->get(), keys);
    EXPECT_THAT((*cluster)->Verify(), IsOk());
    EXPECT_THAT((*cluster)->Close(), IsOk());
  }

  static std::string StringDifference(Cluster* cluster, const std::string& key,
                                      const std::string& expected) {
    absl::StatusOr<std::string> value = cluster->Get(key);
    if (!value.ok()) return value.status().ToString();
    if (*value == expected) return "";
    return absl::StrCat("Redis has ", expected.size(),
                        " bytes: ", absl::CHexEscape(expected.substr(0, 100)), ", slotkv ",
                        value->size(), ": ", absl::CHexEscape(value->substr(0, 100)));
  }

  static std::string FieldsDifference(Cluster* cluster, const std::string& key,
                                      const std::map<std::string, std::string>& expected) {
    absl::StatusOr<std::vector<HashField>> fields = cluster->HashGetAll(key);
    if (!fields.ok()) return fields.status().ToString();
    std::map<std::string, std::string> found;
    for (HashField& field : *fields) found[field.name] = std::move(field.value);
    if (found == expected) return "";
    for (const auto& [name, value] : expected) {
      const auto at = found.find(name);
      if (at != found.end() && at->second == value) continue;
      return absl::StrCat("field ", absl::CHexEscape(name), ": Redis has ", absl::CHexEscape(value),
                          ", slotkv ", at == found.end() ? "none" : absl::CHexEscape(at->second));
    }
    return absl::StrCat("Redis has ", expected.size(), " fields, slotkv ", found.size());
  }

  static std::string Difference(Cluster* cluster, const std::string& key, const RedisKey& expected,
                                absl::Duration tolerance) {
    const std::string values = expected.is_hash ? FieldsDifference(cluster, key, expected.fields)
                                                : StringDifference(cluster, key, expected.value);
    if (!values.empty()) return values;
    const absl::Time before = absl::Now();
    absl::StatusOr<absl::Duration> left = cluster->TimeToLive(key);
    const absl::Time after = absl::Now();
    if (!left.ok()) return left.status().ToString();
    if (expected.expires_ms < 0 || *left == absl::InfiniteDuration()) {
      const bool same = expected.expires_ms < 0 && *left == absl::InfiniteDuration();
      return same ? ""
                  : absl::StrCat("Redis: ", expected.expires_ms,
                                 ", slotkv: ", absl::FormatDuration(*left));
    }
    const absl::Time expires = absl::FromUnixMillis(expected.expires_ms);
    if (expires >= before + *left - tolerance && expires <= after + *left + tolerance) return "";
    return absl::StrCat("expires at ", absl::FormatTime(expires), ", in slotkv at ",
                        absl::FormatTime(after + *left));
  }

  static void ExpectNoOthers(Cluster* cluster, const std::map<std::string, RedisKey>& expected) {
    size_t count = 0;
    for (int slot = 0; slot < kSlotCount; ++slot) {
      absl::StatusOr<std::vector<std::string>> keys =
          cluster->KeysInSlot(static_cast<Slot>(slot), std::numeric_limits<size_t>::max());
      ASSERT_THAT(keys, IsOk());
      count += keys->size();
      for (const std::string& key : *keys) {
        EXPECT_EQ(expected.count(key), 1) << "only in slotkv: " << absl::CHexEscape(key);
      }
    }
    EXPECT_EQ(count, expected.size());
  }

  // With a base that was rewritten and increments after it; `flushed`: all that is in the base is
  // deleted in an increment.
  void FillRedis(bool flushed) {
    RandomCommands commands(TestSeed(), /*short_ttls=*/true);
    EXPECT_GT(SendCommands(&commands, kCommands / 2), 0);
    ASSERT_THAT(redis_->RewriteAppendOnlyFile(), IsOk());
    EXPECT_GT(SendCommands(&commands, kCommands / 4), 0);
    if (flushed) Ask({{"FLUSHALL"}});
    EXPECT_GT(SendCommands(&commands, kCommands / 4), 0);
    absl::SleepFor(kShortTtlsOver);
    // On a slow disk Redis puts off writing for a while.
    for (int i = 0; i < 1000; ++i) {
      const std::string info = Ask({{"INFO", "persistence"}})[0].text;
      if (info.find("aof_buffer_length:0\r\n") != std::string::npos) break;
      absl::SleepFor(absl::Milliseconds(10));
    }
  }

  TemporaryDirectory redis_directory_;
  TemporaryDirectory directory_;
  std::unique_ptr<RedisServer> redis_;
};

TEST_F(RedisAofTest, LoadsTheAppendOnlyFile) {
  FillRedis(/*flushed=*/false);
  const std::string path = directory_.Path("cluster");
  absl::StatusOr<ChildProcess::Outcome> load = ChildProcess::Run(
      {Tool(), "load", redis_->AppendOnlyDirectory(), "--dir", path, "--shards", "3"});
  ASSERT_THAT(load, IsOk());
  EXPECT_EQ(load->exit_code, 0) << load->out << load->err;
  EXPECT_EQ(load->err, "");
  std::cout << load->out;
  ExpectEqual(path);
}

// What `slotkv load` wrote and did not get to close.
TEST_F(RedisAofTest, SurvivesKillAfterLoading) {
  FillRedis(/*flushed=*/true);
  const std::string path = directory_.Path("cluster");
  // It does not end by itself.
  absl::StatusOr<std::unique_ptr<ChildProcess>> load =
      ChildProcess::Start({"/proc/self/exe", "--load", redis_->AppendOnlyDirectory(), path});
  ASSERT_THAT(load, IsOk());
  while ((*load)->IsRunning() && (*load)->OutSoFar().empty()) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  (*load)->Signal(SIGKILL);
  const ChildProcess::Outcome outcome = (*load)->Wait();
  ASSERT_EQ(outcome.signal, SIGKILL) << outcome.err;
  ASSERT_EQ(outcome.out, "loaded\n");
  ExpectEqual(path);
}

// The same commands, as Redis got them: relative times, conditions, commands that are refused.
TEST_F(RedisAofTest, LoadsAMassInsertionFile) {
  RandomCommands commands(TestSeed() + 1, /*short_ttls=*/false);
  std::string sent;
  const absl::Time start = absl::Now();
  int refused = SendCommands(&commands, kCommands / 4, &sent);
  Ask({{"FLUSHDB", "ASYNC"}});
  sent += EncodeCommand({"FLUSHDB", "ASYNC"});
  refused += SendCommands(&commands, 3 * kCommands / 4, &sent);
  const std::string file = directory_.Path("commands.resp");
  std::ofstream(file, std::ios::binary) << sent;
  const std::string path = directory_.Path("cluster");
  absl::StatusOr<ChildProcess::Outcome> load =
      ChildProcess::Run({Tool(), "load", file, "--dir", path});
  ASSERT_THAT(load, IsOk());
  // Something was refused, so not all is in the cluster.
  EXPECT_EQ(load->exit_code, 1) << load->out << load->err;
  EXPECT_EQ(load->err, "");
  EXPECT_GT(refused, 100);
  EXPECT_THAT(load->out, ContainsRegex("failed +" + tools::WithCommas(refused) + " "));
  std::cout << "refused by Redis: " << refused << "\n" << load->out;
  // A relative time counts from when the command is read.
  ExpectEqual(path, absl::Now() - start + kClockTolerance);
}

// What the child of SurvivesKillAfterLoading does. Returns only if something went wrong.
int LoadAndWait(const std::string& append_only_directory, const std::string& path) {
  const auto clock = std::make_shared<tools::StillClock>();
  Options cluster_options;
  cluster_options.clock = clock;
  absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(cluster_options, path);
  absl::StatusOr<std::vector<std::string>> files = tools::AofFiles(append_only_directory);
  if (!cluster.ok() || !files.ok()) {
    std::cerr << cluster.status() << files.status();
    return 1;
  }
  tools::LoadTarget target(cluster->get(), clock->Wall(), /*threads=*/4);
  for (const std::string& file : *files) {
    const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
    tools::BufferedInput input(tools::FdSource(fd));
    const tools::LoadReport report = tools::LoadStream(&target, &input);
    close(fd);
    if (report.IsComplete()) continue;
    std::cerr << file << ": " << report.status;
    return 1;
  }
  std::cout << "loaded" << std::endl;
  for (;;) pause();
}

}  // namespace
}  // namespace slotkv

int main(int argc, char** argv) {
  if (argc == 4 && std::string(argv[1]) == "--load") return slotkv::LoadAndWait(argv[2], argv[3]);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
