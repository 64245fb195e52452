#include "benchmarks/replicated_shard.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "benchmarks/subjects.h"
#include "shard/cluster_testing.h"

namespace slotkv {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(1);
constexpr absl::Duration kPatience = absl::Minutes(1);

[[noreturn]] void GiveUp(const std::string& why) {
  std::cerr << "benchmark: " << why << std::endl;
  std::exit(1);
}

}  // namespace

// ---- ReplicatedShard ----

ReplicatedShard::ReplicatedShard(Options options) {
  options.shards = 1;
  options.replicas_per_shard = 1;
  options.memory_bytes = kBenchmarkMemoryBytes;
  absl::StatusOr<std::unique_ptr<Cluster>> cluster =
      OpenClusterWithHook(options, directory_.path(), hook_);
  Require(cluster.status());
  cluster_ = *std::move(cluster);
}

NodeInfo ReplicatedShard::Find(Role role) const {
  const Topology topology = cluster_->GetTopology();
  for (const NodeInfo& node : topology.FindShard(id())->nodes) {
    if (node.role == role) return node;
  }
  GiveUp("the shard has no such node");
}

std::string ReplicatedShard::ZonePath(const NodeInfo& node) const {
  return absl::StrCat(directory_.path(), "/", node.zone);
}

std::string ReplicatedShard::NodePath(const NodeInfo& node) const {
  const std::string prefix = absl::StrCat("node-", node.id.value(), ".");
  for (const auto& entry : std::filesystem::directory_iterator(ZonePath(node))) {
    if (absl::StartsWith(entry.path().filename().string(), prefix)) return entry.path();
  }
  GiveUp(absl::StrCat(node.id.ToString(), " has no directory"));
}

void ReplicatedShard::Set(const std::string& key, const std::string& value) {
  Require(cluster_->Set(key, value));
}

void ReplicatedShard::Flush() { Require(FlushStores(cluster_.get())); }

void ReplicatedShard::AwaitInSync() const {
  const absl::Time deadline = absl::Now() + kPatience;
  while (true) {
    const Topology topology = cluster_->GetTopology();
    const std::vector<NodeInfo>& nodes = topology.FindShard(id())->nodes;
    if (std::all_of(nodes.begin(), nodes.end(),
                    [](const NodeInfo& node) { return node.in_sync && node.up; })) {
      return;
    }
    if (absl::Now() > deadline) GiveUp("a copy does not come back");
    absl::SleepFor(kPause);
  }
}

// ---- Writers ----

Writers::Writers(ReplicatedShard* shard, const std::vector<std::string>* keys, int threads)
    : shard_(shard), keys_(keys) {
  for (int i = 0; i < threads; ++i) writers_.push_back(std::make_unique<Writer>());
  for (size_t i = 0; i < writers_.size(); ++i) {
    writers_[i]->thread = std::thread([this, i] { Run(i); });
  }
}

Writers::~Writers() {
  stop_ = true;
  for (const std::unique_ptr<Writer>& writer : writers_) writer->thread.join();
}

void Writers::Run(size_t number) {
  Writer* const writer = writers_[number].get();
  const std::string value = SessionValue(number);
  std::mt19937_64 random(number);
  while (!stop_) {
    if (const int64_t pause_us = pause_us_; pause_us > 0) {
      absl::SleepFor(absl::Microseconds(pause_us));
    }
    const std::string& key = (*keys_)[random() % keys_->size()];
    const int asked = asked_.load();
    const absl::Time begin = absl::Now();
    shard_->Set(key, value);
    const absl::Time end = absl::Now();
    const int64_t took_ns = absl::ToInt64Nanoseconds(end - begin);
    if (took_ns > writer->longest_ns.load()) writer->longest_ns = took_ns;
    ++writer->sets;
    if (asked % 2 == 0) continue;
    absl::MutexLock lock(&mu_);
    if (answered_ >= asked) continue;
    answered_ = asked;
    next_set_ = end;
  }
}

absl::Time Writers::AwaitNextSet() {
  const int asked = ++asked_;
  absl::MutexLock lock(&mu_);
  const auto answered = [&]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return answered_ == asked; };
  if (!mu_.AwaitWithTimeout(absl::Condition(&answered), kPatience)) GiveUp("no write succeeds");
  ++asked_;
  return next_set_;
}

void Writers::BeginLongest() {
  for (const std::unique_ptr<Writer>& writer : writers_) writer->longest_ns = 0;
}

absl::Duration Writers::EndLongest() {
  int64_t longest_ns = 0;
  for (const std::unique_ptr<Writer>& writer : writers_) {
    // The one that is under way counts, too.
    const uint64_t sets = writer->sets;
    while (writer->sets == sets) absl::SleepFor(absl::Microseconds(50));
    longest_ns = std::max(longest_ns, writer->longest_ns.load());
  }
  return absl::Nanoseconds(longest_ns);
}

}  // namespace slotkv
