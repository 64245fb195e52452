// Operating a cluster: events, log lines, scans, statistics, the check of everything.
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "slotkv/cluster.h"

#define CHECK(condition) \
  if (!(condition)) std::cerr << __FILE__ << ":" << __LINE__ << ": " #condition "\n", std::exit(1)

class Listener final : public slotkv::EventListener {
 public:
  void OnTopologyChange(const slotkv::Topology& topology) override {
    std::cout << topology << "\n";
    if (!told.HasBeenNotified()) told.Notify();
  }
  absl::Notification told;
};

// Quick and thread-safe; it never calls the cluster.
class CerrLogger final : public slotkv::Logger {
 public:
  void Log(slotkv::LogLevel level, std::string_view text) override {
    if (level != slotkv::LogLevel::kInfo) ++warnings;
    std::cerr << absl::StrCat(std::string(text), "\n");
  }
  std::atomic<int> warnings{0};
};

int main() {
  const char* const directory = std::getenv("TEST_TMPDIR");
  const std::string path = std::string(directory == nullptr ? "/tmp" : directory) + "/operations";
  CHECK(slotkv::Cluster::Destroy(path).ok());  // what an earlier run has left
  const auto listener = std::make_shared<Listener>();
  const auto logger = std::make_shared<CerrLogger>();
  slotkv::Options options;
  options.listener = listener;
  options.logger = logger;
  auto opened = slotkv::Cluster::Open(options, path);
  CHECK(opened.ok());
  slotkv::Cluster& cluster = **opened;
  listener->told.WaitForNotification();
  for (int i = 0; i < 250; ++i) CHECK(cluster.Set(absl::StrCat("user:", i), "x").ok());
  slotkv::ScanOptions scan;
  scan.prefix = "user:";
  scan.limit = 100;
  std::set<std::string> seen;
  do {
    const auto page = cluster.Scan(scan);
    CHECK(page.ok() && page->entries.size() <= 100);
    for (const slotkv::ScanEntry& entry : page->entries) CHECK(seen.insert(entry.key).second);
    scan.cursor = page->cursor;
  } while (!scan.cursor.empty());
  CHECK(seen.size() == 250);  // How even are the shards, and which slot is the busiest?
  for (int i = 0; i < 1000; ++i) CHECK(cluster.Get("user:7").ok());
  const slotkv::ClusterStats stats = cluster.GetStats({/*count_keys=*/true, /*slot_bytes=*/false});
  size_t keys = 0;
  for (const slotkv::SlotStats& slot : stats.slots) keys += slot.keys.value_or(0);
  CHECK(keys == seen.size());
  for (const slotkv::ShardStats& shard : stats.shards) {
    std::cout << shard.id << ": " << shard.slots << " slots, " << shard.writes << " writes, 99% in "
              << shard.write_latency.Percentile(99) << "\n";
    CHECK(shard.write_status.ok() && shard.writes > 50);
  }
  const auto fewer_reads = [](const auto& a, const auto& b) { return a.reads < b.reads; };
  const auto busiest = std::max_element(stats.slots.begin(), stats.slots.end(), fewer_reads);
  CHECK(busiest - stats.slots.begin() == slotkv::SlotForKey("user:7"));
  CHECK(cluster.Verify().ok());
  CHECK(cluster.Close().ok() && logger->warnings == 0);
}
