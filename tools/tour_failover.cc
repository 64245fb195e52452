#include "tools/tour_failover.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tools/parallel.h"
#include "tools/tour_session.h"

namespace slotkv::tools {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr absl::Duration kSessionTtl = absl::Hours(1);
constexpr absl::Duration kPause = absl::Milliseconds(1);
// Whatever is waited for longer than this is stuck.
constexpr absl::Duration kWaitTimeout = absl::Minutes(2);

// How far the loss of the zone has come.
enum class Stage {
  kBefore,
  kLosing,  // from StopZone until other copies are the primaries
  kLost,
};

// One thread that writes sessions, one after the other, until it is stopped or meets an error that
// a failover does not explain.
class Writer {
 public:
  // `watched`: the shards that lose their primary.
  Writer(Cluster* cluster, size_t number, std::vector<ShardId> watched,
         const std::atomic<Stage>& stage)
      : cluster_(cluster),
        number_(number),
        topology_(cluster->GetTopology()),
        stage_(stage),
        watched_(std::move(watched)),
        last_(watched_.size()),
        thread_([this] { Run(); }) {}
  ~Writer() { Stop(); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Successful writes at watched shards. Thread-safe, as `ended`.
  uint64_t watched_writes() const { return watched_writes_; }
  bool ended() const { return ended_; }

  // Returns when the thread has ended. What follows is for then.
  void Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  const absl::Status& status() const { return status_; }
  const std::vector<bool>& outcomes() const { return outcomes_; }
  uint64_t failed() const { return failed_; }
  absl::Duration longest_gap() const { return longest_gap_; }

 private:
  struct Success {
    SteadyClock::time_point time;
    Stage stage;
  };

  void Run() {
    while (!stop_ && status_.ok()) Write();
    ended_ = true;
  }

  void Write() {
    const std::string key = FailoverSessionKey(number_, outcomes_.size());
    SetOptions options;
    options.ttl = kSessionTtl;
    const absl::Status set = cluster_->Set(key, SessionValue(key), options);
    outcomes_.push_back(set.ok());
    if (set.ok()) {
      NoteSuccess(topology_.OwnerOf(SlotForKey(key)));
    } else if (absl::IsUnavailable(set) || absl::IsDeadlineExceeded(set)) {
      ++failed_;
      absl::SleepFor(kPause);
    } else {
      status_ = set;
    }
  }

  void NoteSuccess(ShardId shard) {
    const auto at = std::find(watched_.begin(), watched_.end(), shard);
    if (at == watched_.end()) return;
    std::optional<Success>& last = last_[static_cast<size_t>(at - watched_.begin())];
    const Success now = {SteadyClock::now(), stage_};
    const bool around_the_loss =
        last.has_value() && last->stage != Stage::kLost && now.stage != Stage::kBefore;
    if (around_the_loss) {
      longest_gap_ = std::max(longest_gap_, absl::FromChrono(now.time - last->time));
    }
    last = now;
    ++watched_writes_;
  }

  Cluster* const cluster_;
  const size_t number_;
  const Topology topology_;  // slots do not move meanwhile
  const std::atomic<Stage>& stage_;
  const std::vector<ShardId> watched_;
  std::vector<std::optional<Success>> last_;  // of each watched shard
  std::vector<bool> outcomes_;
  uint64_t failed_ = 0;
  absl::Duration longest_gap_;
  absl::Status status_;
  std::atomic<uint64_t> watched_writes_{0};
  std::atomic<bool> stop_{false};
  std::atomic<bool> ended_{false};
  std::thread thread_;  // the last member: it uses the others
};

absl::Status WaitUntil(absl::FunctionRef<bool()> condition, const std::string& what,
                       const Interrupt& interrupt) {
  const SteadyClock::time_point give_up =
      SteadyClock::now() + absl::ToChronoMilliseconds(kWaitTimeout);
  while (!condition()) {
    if (interrupt.raised()) return absl::CancelledError("interrupted");
    if (SteadyClock::now() > give_up) {
      return absl::DeadlineExceededError(
          absl::StrCat(what, ": not within ", absl::FormatDuration(kWaitTimeout)));
    }
    absl::SleepFor(kPause);
  }
  return absl::OkStatus();
}

absl::Status WaitUntilInSync(Cluster* cluster, const Interrupt& interrupt) {
  const auto in_sync = [cluster] {
    for (const ShardInfo& shard : cluster->GetTopology().shards()) {
      for (const NodeInfo& node : shard.nodes) {
        if (!node.up || !node.in_sync) return false;
      }
    }
    return true;
  };
  return WaitUntil(in_sync, "all copies in sync", interrupt);
}

class Writers {
 public:
  Writers(Cluster* cluster, int threads, const std::vector<ShardId>& watched,
          const std::atomic<Stage>& stage) {
    for (int i = 0; i < threads; ++i) {
      writers_.push_back(std::make_unique<Writer>(cluster, static_cast<size_t>(i), watched, stage));
    }
  }

  // Returns when each has succeeded so many times more at watched shards, or one has ended.
  absl::Status WaitForWrites(uint64_t count, const Interrupt& interrupt) const {
    std::vector<uint64_t> goals;
    for (const auto& writer : writers_) goals.push_back(writer->watched_writes() + count);
    const auto written = [&] {
      bool all = true;
      for (size_t i = 0; i < writers_.size(); ++i) {
        if (writers_[i]->ended()) return true;
        all = all && writers_[i]->watched_writes() >= goals[i];
      }
      return all;
    };
    return WaitUntil(written, "writes", interrupt);
  }

  absl::Status Stop(Failover* failover) {
    absl::Status status;
    for (const auto& writer : writers_) {
      writer->Stop();
      status.Update(writer->status());
      failover->failover_time = std::max(failover->failover_time, writer->longest_gap());
      failover->failed += writer->failed();
      failover->outcomes.push_back(writer->outcomes());
    }
    return status;
  }

 private:
  std::vector<std::unique_ptr<Writer>> writers_;
};

// The shards that have their primary in the zone; `primary` is that one yet.
std::vector<Takeover> PrimariesIn(const std::string& zone, const Topology& topology) {
  std::vector<Takeover> takeovers;
  for (const ShardInfo& shard : topology.shards()) {
    const NodeInfo& primary = shard.primary();
    if (primary.zone == zone) takeovers.push_back({shard.id, primary, primary});
  }
  return takeovers;
}

// True once each shard has another primary.
bool TakenOver(const Topology& topology, std::vector<Takeover>* takeovers) {
  return std::all_of(takeovers->begin(), takeovers->end(), [&topology](Takeover& takeover) {
    takeover.primary = topology.FindShard(takeover.shard)->primary();
    return takeover.primary.id != takeover.lost.id;
  });
}

absl::Status LoseAndReturn(Cluster* cluster, const std::string& zone, const Writers& writers,
                           uint64_t writes_min, std::atomic<Stage>* stage, Failover* failover,
                           const Interrupt& interrupt) {
  absl::Status written = writers.WaitForWrites(writes_min, interrupt);
  if (!written.ok()) return written;

  *stage = Stage::kLosing;
  absl::Status stopped = cluster->StopZone(zone);
  if (!stopped.ok()) return stopped;
  const auto taken_over = [&] { return TakenOver(cluster->GetTopology(), &failover->takeovers); };
  absl::Status took_over = WaitUntil(taken_over, "other primaries", interrupt);
  if (!took_over.ok()) return took_over;
  *stage = Stage::kLost;
  written = writers.WaitForWrites(writes_min, interrupt);
  if (!written.ok()) return written;

  const SteadyClock::time_point start = SteadyClock::now();
  absl::Status started = cluster->StartZone(zone);
  if (!started.ok()) return started;
  absl::Status in_sync = WaitUntilInSync(cluster, interrupt);
  if (!in_sync.ok()) return in_sync;
  failover->return_time = absl::FromChrono(SteadyClock::now() - start);
  return writers.WaitForWrites(writes_min, interrupt);
}

}  // namespace

std::string FailoverSessionKey(size_t writer, size_t write) {
  return absl::StrCat("failover:", writer, ":session:", write);
}

absl::StatusOr<std::string> ZoneToLose(const Topology& topology) {
  const std::string zone = topology.shards().front().primary().zone;
  for (const ShardInfo& shard : topology.shards()) {
    const bool elsewhere = std::any_of(shard.nodes.begin(), shard.nodes.end(),
                                       [&zone](const NodeInfo& node) { return node.zone != zone; });
    if (elsewhere) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(shard.id.ToString(), " has no copy outside ", zone));
  }
  return zone;
}

absl::StatusOr<Failover> LoseZone(Cluster* cluster, const std::string& zone, int threads,
                                  uint64_t writes_min, const Interrupt& interrupt) {
  absl::Status in_sync = WaitUntilInSync(cluster, interrupt);
  if (!in_sync.ok()) return in_sync;
  Failover failover;
  failover.takeovers = PrimariesIn(zone, cluster->GetTopology());
  std::vector<ShardId> watched;
  for (const Takeover& takeover : failover.takeovers) watched.push_back(takeover.shard);

  std::atomic<Stage> stage{Stage::kBefore};
  Writers writers(cluster, threads, watched, stage);
  absl::Status done =
      LoseAndReturn(cluster, zone, writers, writes_min, &stage, &failover, interrupt);
  // What ended a writer is why it was waited for in vain.
  absl::Status written = writers.Stop(&failover);
  if (!written.ok()) return written;
  if (!done.ok()) return done;
  return failover;
}

absl::StatusOr<FailoverCheck> CheckOutcomes(Cluster* cluster, const WriteOutcomes& outcomes,
                                            const Interrupt& interrupt) {
  std::vector<FailoverCheck> checks(outcomes.size());
  absl::Status checked = InParallel(
      static_cast<int>(outcomes.size()), outcomes.size(), interrupt, [&](uint64_t writer) {
        for (size_t write = 0; write < outcomes[writer].size(); ++write) {
          if (!outcomes[writer][write]) continue;
          const std::string key = FailoverSessionKey(writer, write);
          absl::StatusOr<std::string> value = cluster->Get(key);
          if (!value.ok() && !absl::IsNotFound(value.status())) return value.status();
          ++checks[writer].acknowledged;
          if (!value.ok() || *value != SessionValue(key)) ++checks[writer].lost;
        }
        return absl::OkStatus();
      });
  if (!checked.ok()) return checked;
  FailoverCheck sum;
  for (const FailoverCheck& check : checks) {
    sum.acknowledged += check.acknowledged;
    sum.lost += check.lost;
  }
  return sum;
}

}  // namespace slotkv::tools
