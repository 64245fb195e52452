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
#include "tests/redis_process.h"
#include "tests/string_commands.h"
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
  std::string value;
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
  int SendCommands(StringCommands* commands, int count, std::string* sent = nullptr) {
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

  // All keys whose time has not passed.
  std::map<std::string, RedisKey> RedisKeys() {
    std::map<std::string, RedisKey> keys;
    absl::StatusOr<RedisReply> names = redis_->client()->Call({"KEYS", "*"});
    EXPECT_THAT(names, IsOk());
    if (!names.ok()) return keys;
    std::vector<RedisArguments> questions;
    for (size_t i = 0; i < names->elements.size(); ++i) {
      questions.push_back({"GET", names->elements[i].text});
      questions.push_back({"PEXPIRETIME", names->elements[i].text});
    }
    absl::StatusOr<std::vector<RedisReply>> answers = redis_->client()->Pipeline(questions);
    EXPECT_THAT(answers, IsOk());
    if (!answers.ok()) return keys;
    for (size_t i = 0; i < names->elements.size(); ++i) {
      EXPECT_FALSE((*answers)[2 * i].nil) << "a key expired meanwhile";
      keys[names->elements[i].text] = {(*answers)[2 * i].text, (*answers)[2 * i + 1].integer};
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
    int differences = 0;
    for (const auto& [key, expected] : keys) {
      const std::string difference = Difference(cluster->get(), key, expected, tolerance);
      if (difference.empty()) continue;
      if (++differences <= 10) ADD_FAILURE() << absl::CHexEscape(key) << ": " << difference;
    }
    EXPECT_EQ(differences, 0);
    ExpectNoOthers(cluster->get(), keys);
    EXPECT_THAT((*cluster)->Verify(), IsOk());
    EXPECT_THAT((*cluster)->Close(), IsOk());
  }

  static std::string Difference(Cluster* cluster, const std::string& key, const RedisKey& expected,
                                absl::Duration tolerance) {
    absl::StatusOr<std::string> value = cluster->Get(key);
    if (!value.ok()) return value.status().ToString();
    if (*value != expected.value) {
      return absl::StrCat("Redis has ", expected.value.size(),
                          " bytes: ", absl::CHexEscape(expected.value.substr(0, 100)), ", slotkv ",
                          value->size(), ": ", absl::CHexEscape(value->substr(0, 100)));
    }
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

  // With a base that was rewritten and increments after it.
  void FillRedis() {
    StringCommands commands(TestSeed(), /*short_ttls=*/true);
    EXPECT_GT(SendCommands(&commands, kCommands / 2), 0);
    ASSERT_THAT(redis_->RewriteAppendOnlyFile(), IsOk());
    EXPECT_GT(SendCommands(&commands, kCommands / 2), 0);
    absl::SleepFor(kShortTtlsOver);
  }

  TemporaryDirectory redis_directory_;
  TemporaryDirectory directory_;
  std::unique_ptr<RedisServer> redis_;
};

TEST_F(RedisAofTest, LoadsTheAppendOnlyFile) {
  FillRedis();
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
  FillRedis();
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
  StringCommands commands(TestSeed() + 1, /*short_ttls=*/false);
  std::string sent;
  const absl::Time start = absl::Now();
  const int refused = SendCommands(&commands, kCommands, &sent);
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
