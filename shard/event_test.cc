// What a service is told: events, log lines.
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "shard/event_queue.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/test_hook.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

using testing::Contains;
using testing::HasSubstr;

// Keeps everything as text.
class Journal {
 public:
  void Add(std::string line) {
    absl::MutexLock lock(&mu_);
    lines_.push_back(std::move(line));
  }
  std::vector<std::string> lines() const {
    absl::MutexLock lock(&mu_);
    return lines_;
  }
  // False if no such line comes within a minute.
  bool Await(const std::string& part) const {
    const auto there = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      for (const std::string& line : lines_) {
        if (absl::StrContains(line, part)) return true;
      }
      return false;
    };
    absl::MutexLock lock(&mu_);
    return mu_.AwaitWithTimeout(absl::Condition(&there), absl::Minutes(1));
  }

 private:
  mutable absl::Mutex mu_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mu_);
};

class JournalListener final : public EventListener {
 public:
  void OnTopologyChange(const Topology& topology) override {
    journal.Add(absl::StrCat("topology of ", topology.shards().size(), " shards"));
  }
  void OnZoneDown(const std::string& zone, const absl::Status& why) override {
    journal.Add(absl::StrCat(zone, " down: ", absl::StatusCodeToString(why.code())));
  }
  void OnWritesRefused(ShardId shard, const absl::Status& why) override {
    journal.Add(absl::StrCat(shard.ToString(), " refuses: ", absl::StatusCodeToString(why.code())));
  }
  void OnWritesResumed(ShardId shard) override {
    journal.Add(absl::StrCat(shard.ToString(), " resumes"));
  }

  Journal journal;
};

class JournalLogger final : public Logger {
 public:
  void Log(LogLevel level, std::string_view text) override {
    journal.Add(absl::StrCat(static_cast<int>(level), " ", std::string(text)));
  }

  Journal journal;
};

class EventTest : public ClusterFixture {
 protected:
  EventTest() {
    options_.listener = listener_;
    options_.logger = logger_;
  }

  void OpenHooked() {
    absl::StatusOr<std::unique_ptr<Cluster>> cluster = OpenClusterWithHook(options_, path_, hook_);
    ASSERT_THAT(cluster, IsOk());
    cluster_ = *std::move(cluster);
  }

  const std::shared_ptr<TestHook> hook_ = std::make_shared<TestHook>();
  const std::shared_ptr<JournalListener> listener_ = std::make_shared<JournalListener>();
  const std::shared_ptr<JournalLogger> logger_ = std::make_shared<JournalLogger>();
};

TEST_F(EventTest, OpenAndClose) {
  Open();
  ASSERT_THAT(cluster_->Set("k", "v"), IsOk());
  Close();
  EXPECT_THAT(listener_->journal.lines(), testing::ElementsAre("topology of 3 shards"));
  EXPECT_THAT(logger_->journal.lines(),
              testing::ElementsAre(HasSubstr(": opened in "), HasSubstr(": closed")));
  Open();
  EXPECT_THAT(logger_->journal.lines(), Contains(HasSubstr("3 shards, ")));
}

TEST_F(EventTest, ZoneDown) {
  options_.replicas_per_shard = 0;
  Open();
  Close();
  std::filesystem::rename(path_ + "/zone-b", path_ + "/elsewhere");
  Open();
  EXPECT_TRUE(listener_->journal.Await("zone-b down: UNAVAILABLE"));
  EXPECT_TRUE(logger_->journal.Await("1 " + path_ + ": zone zone-b is down"));
  const ClusterStats stats = cluster_->GetStats();
  EXPECT_THAT(stats.shards[0].write_status, IsOk());
  EXPECT_THAT(stats.shards[1].write_status, HasCode(absl::StatusCode::kUnavailable));
}

TEST_F(EventTest, AnotherCopyTakesOver) {
  options_.shards = 1;
  OpenHooked();
  EXPECT_TRUE(listener_->journal.Await("topology of 1 shards"));
  hook_->Fail(FileOp::kWrite, absl::UnavailableError("broken"), "/zone-a/node-");
  ASSERT_THAT(cluster_->Set("k", "v"), IsOk());
  Close();
  EXPECT_THAT(listener_->journal.lines(),
              testing::ElementsAre("topology of 1 shards", "topology of 1 shards"));
}

TEST_F(EventTest, AFullDiskDropsNoCopy) {
  options_.shards = 1;
  options_.replicas_per_shard = 2;
  OpenHooked();
  hook_->Fail(FileOp::kReserve, absl::ResourceExhaustedError("full"), "/zone-b/node-");
  absl::Status status;
  while (status.ok()) status = cluster_->Set("k", std::string(100'000, 'v'));
  EXPECT_THAT(status, HasCode(absl::StatusCode::kResourceExhausted));
  hook_->Heal();
  EXPECT_THAT(cluster_->Set("k", "v"), IsOk());
  const Topology topology = cluster_->GetTopology();
  for (const NodeInfo& node : topology.shards()[0].nodes) EXPECT_TRUE(node.in_sync) << node.id;
}

TEST_F(EventTest, FullDiskAndRoomAgain) {
  options_.shards = 1;
  OpenHooked();
  hook_->Fail(FileOp::kReserve, absl::ResourceExhaustedError("full"), "/log/");
  absl::Status status;
  while (status.ok()) status = cluster_->Set("k", std::string(100'000, 'v'));
  EXPECT_THAT(status, HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_TRUE(listener_->journal.Await("shard-1 refuses: RESOURCE_EXHAUSTED"));
  EXPECT_TRUE(logger_->journal.Await("shard-1 takes no writes: "));
  hook_->Heal();
  EXPECT_THAT(cluster_->Set("k", "v"), IsOk());
  EXPECT_TRUE(listener_->journal.Await("shard-1 resumes"));
  EXPECT_TRUE(logger_->journal.Await("shard-1 takes writes again"));
}

TEST_F(EventTest, DeadLog) {
  options_.shards = 1;
  options_.fsync = Fsync::kAlways;
  OpenHooked();
  hook_->Fail(FileOp::kSync, absl::UnavailableError("broken"), "/log/");
  EXPECT_THAT(cluster_->Set("k", "v"), HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_TRUE(listener_->journal.Await("shard-1 refuses: UNAVAILABLE"));
  EXPECT_THAT(cluster_->GetStats().shards[0].write_status, HasCode(absl::StatusCode::kUnavailable));
  hook_->Heal();
  cluster_->Close().IgnoreError();
  cluster_.reset();
}

// It runs with no lock held: it may call the cluster.
TEST_F(EventTest, ListenerCallsTheCluster) {
  class Caller final : public EventListener {
   public:
    void OnTopologyChange(const Topology&) override {
      ready.WaitForNotification();
      status = cluster->Set("from", "listener");
      done.Notify();
    }
    absl::Notification ready, done;
    Cluster* cluster = nullptr;
    absl::Status status;
  };
  const auto caller = std::make_shared<Caller>();
  options_.listener = caller;
  Open();
  caller->cluster = cluster_.get();
  caller->ready.Notify();
  caller->done.WaitForNotification();
  EXPECT_THAT(caller->status, IsOk());
  EXPECT_THAT(cluster_->Get("from"), HoldsValue("listener"));
}

TEST(EventQueueTest, DropsWhatASlowListenerLeaves) {
  const auto listener = std::make_shared<JournalListener>();
  const auto logger = std::make_shared<JournalLogger>();
  absl::Notification begun, go_on;
  {
    EventQueue queue(listener, logger);
    queue.Add([&](EventListener*) {
      begun.Notify();
      go_on.WaitForNotification();
    });
    begun.WaitForNotification();
    for (size_t i = 0; i < EventQueue::kMaxEvents + 7; ++i) {
      queue.Add([](EventListener* to) { to->OnWritesResumed(ShardId(1)); });
    }
    go_on.Notify();
  }
  EXPECT_EQ(listener->journal.lines().size(), EventQueue::kMaxEvents);
  EXPECT_THAT(logger->journal.lines(), Contains(HasSubstr("7 events were dropped")));
}

}  // namespace
}  // namespace slotkv
