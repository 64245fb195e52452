// Sessions: values that expire, that live on while they are used, and that are loaded when missing.
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "slotkv/cluster.h"

#define CHECK(condition) \
  if (!(condition)) std::cerr << __FILE__ << ":" << __LINE__ << ": " #condition "\n", std::exit(1)

// Time that the program turns by hand. A service leaves Options::clock null.
class HandClock final : public slotkv::Clock {
 public:
  absl::Time Wall() override { return absl::FromUnixSeconds(1700000000) + Monotonic(); }
  absl::Duration Monotonic() override { return absl::Milliseconds(passed_ms_.load()); }
  void Advance(absl::Duration by) { passed_ms_ += absl::ToInt64Milliseconds(by); }

 private:
  std::atomic<int64_t> passed_ms_{0};
};

int main() {
  const char* const directory = std::getenv("TEST_TMPDIR");
  const std::string path = std::string(directory == nullptr ? "/tmp" : directory) + "/sessions";
  CHECK(slotkv::Cluster::Destroy(path).ok());  // what an earlier run has left
  const auto clock = std::make_shared<HandClock>();
  slotkv::Options options;
  options.clock = clock;
  auto opened = slotkv::Cluster::Open(options, path);
  CHECK(opened.ok());
  slotkv::Cluster& cluster = **opened;

  // A session ends 30 minutes after its last use.
  slotkv::SetOptions half_an_hour;
  half_an_hour.ttl = absl::Minutes(30);
  CHECK(cluster.Set("session:1", "alice", half_an_hour).ok());
  clock->Advance(absl::Minutes(20));
  CHECK(*cluster.TimeToLive("session:1") == absl::Minutes(10));
  CHECK(*cluster.GetAndTouch("session:1", absl::Minutes(30)) == "alice");
  clock->Advance(absl::Minutes(20));
  CHECK(*cluster.Get("session:1") == "alice");
  clock->Advance(absl::Minutes(10));
  CHECK(absl::IsNotFound(cluster.Get("session:1").status()));
  CHECK(absl::IsNotFound(cluster.GetAndTouch("session:1", absl::Minutes(30)).status()));

  // A profile comes from the database once, and from here for five minutes.
  int queries = 0;
  const auto database = [&](std::string_view key) -> absl::StatusOr<std::string> {
    ++queries;
    if (key != "profile:7") return absl::NotFoundError("no such row");
    return "bob";
  };
  slotkv::LoadOptions five_minutes;
  five_minutes.ttl = absl::Minutes(5);
  for (int i = 0; i < 3; ++i)
    CHECK(*cluster.GetOrLoad("profile:7", database, five_minutes) == "bob");
  CHECK(queries == 1);
  clock->Advance(absl::Minutes(5));
  CHECK(*cluster.GetOrLoad("profile:7", database, five_minutes) == "bob");
  CHECK(queries == 2);
  CHECK(cluster.GetOrLoad("profile:8", database).status().message() == "no such row");
  CHECK(!*cluster.Exists("profile:8"));

  // Whoever writes while the database answers has the newer value: it stays.
  const auto slow_database = [&](std::string_view key) -> absl::StatusOr<std::string> {
    CHECK(cluster.Set(key, "new").ok());
    return "old";
  };
  CHECK(*cluster.GetOrLoad("profile:9", slow_database) == "new");
  CHECK(cluster.GetStats().loads == 4);
  CHECK(cluster.Close().ok());
}
