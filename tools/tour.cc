// tour: what slotkv does, shown on a cluster that is made for it.
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "slotkv/slot.h"
#include "slotkv/topology.h"
#include "slotkv/version.h"
#include "tools/command_line.h"
#include "tools/interrupt.h"
#include "tools/parallel.h"
#include "tools/replicas_text.h"
#include "tools/temporary_directory.h"
#include "tools/text.h"
#include "tools/tour_crash.h"
#include "tools/tour_failover.h"
#include "tools/tour_session.h"

namespace slotkv::tools {
namespace {

constexpr absl::Duration kSessionTtl = absl::Minutes(30);
constexpr absl::Duration kShortTtl = absl::Milliseconds(500);
constexpr uint64_t kShortSessions = 1000;

struct TourFlags {
  std::string dir;
  uint64_t sessions = 100'000;
  int threads = 4;
  bool keep = false;
};

class Stopwatch {
 public:
  absl::Duration elapsed() const { return absl::Now() - start_; }
  // "0.31 s: 322,000 per second"
  std::string Rate(uint64_t times) const {
    const double seconds = std::max(absl::ToDoubleSeconds(elapsed()), 1e-6);
    return absl::StrFormat("%.2f s: %s per second", seconds,
                           WithCommas(static_cast<uint64_t>(static_cast<double>(times) / seconds)));
  }
  std::string Milliseconds() const {
    return absl::StrFormat("%.0f ms", absl::ToDoubleMilliseconds(elapsed()));
  }

 private:
  const absl::Time start_ = absl::Now();
};

// "primary node-1 in zone-a, replica node-2 in zone-b"
std::string PlacesText(const ShardInfo& shard) {
  return absl::StrJoin(shard.nodes, ", ", [](std::string* out, const NodeInfo& node) {
    absl::StrAppend(out, RoleName(node.role), " ", node.id.ToString(), " in ", node.zone);
  });
}

class Tour {
 public:
  Tour(TourFlags flags, std::string dir) : flags_(std::move(flags)), dir_(std::move(dir)) {}

  absl::Status Run() {
    using Step = absl::Status (Tour::*)();
    for (const Step step : {&Tour::Create, &Tour::Load, &Tour::Read, &Tour::Expire, &Tour::Crash,
                            &Tour::LoseAZone, &Tour::Verify}) {
      absl::Status done = (this->*step)();
      if (!done.ok()) return done;
      if (std::fflush(stdout) != 0) return absl::ErrnoToStatus(errno, "the standard output");
    }
    return cluster_->Close();
  }

 private:
  absl::Status Create();
  absl::Status Load();
  absl::Status Read();
  void ShowPlaces() const;
  absl::Status Expire();
  absl::Status ShowTimes();
  absl::Status Crash();
  absl::Status LoseAZone();
  absl::Status CheckLost(uint64_t lost);
  absl::Status Verify();

  absl::Status Open(const Options& options);
  // An error if `count` sessions, from number `first` on, are not what was set.
  absl::Status CheckSessions(uint64_t first, uint64_t count);

  const TourFlags flags_;
  const std::string dir_;
  const Interrupt interrupt_;
  std::unique_ptr<Cluster> cluster_;
};

absl::Status Tour::Open(const Options& options) {
  absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(options, dir_);
  if (cluster.ok()) cluster_ = *std::move(cluster);
  return cluster.status();
}

absl::Status Tour::CheckSessions(uint64_t first, uint64_t count) {
  return InParallel(flags_.threads, count, interrupt_, [this, first](uint64_t i) {
    const std::string key = SessionKey(first + i);
    absl::StatusOr<std::string> value = cluster_->Get(key);
    if (absl::IsNotFound(value.status())) return absl::DataLossError(key + " is missing");
    if (value.ok() && *value != SessionValue(key)) return absl::DataLossError(key + " is wrong");
    return value.status();
  });
}

absl::Status Tour::Create() {
  const Stopwatch watch;
  Options options;
  options.error_if_exists = true;
  options.replicas_per_shard = 1;
  absl::Status opened = Open(options);
  if (!opened.ok()) return opened;
  const Topology topology = cluster_->GetTopology();
  absl::PrintF("1. A cluster: %d hash slots, spread over %s, in this process. Created in %s.\n",
               kSlotCount, Count(topology.shards().size(), "shard"), watch.Milliseconds());
  for (const ShardInfo& shard : topology.shards()) {
    absl::PrintF("     %-9s %5d slots, from %d to %d; %s\n", shard.id.ToString(), shard.SlotCount(),
                 shard.slots.front().first, shard.slots.back().last, PlacesText(shard));
  }
  return absl::OkStatus();
}

absl::Status Tour::Load() {
  SetOptions options;
  options.ttl = kSessionTtl;
  const Stopwatch watch;
  absl::Status set =
      InParallel(flags_.threads, flags_.sessions, interrupt_, [this, &options](uint64_t i) {
        const std::string key = SessionKey(i);
        return cluster_->Set(key, SessionValue(key), options);
      });
  if (!set.ok()) return set;
  absl::PrintF("2. Writes: %s of %d bytes, each to live %s, set from %s.\n",
               Count(flags_.sessions, "session"), kSessionBytes, absl::FormatDuration(kSessionTtl),
               Count(flags_.threads, "thread"));
  absl::PrintF("     %s\n", watch.Rate(flags_.sessions));
  return absl::OkStatus();
}

absl::Status Tour::Read() {
  const Stopwatch watch;
  absl::Status read = CheckSessions(0, flags_.sessions);
  if (!read.ok()) return read;
  absl::PrintF("3. Reads: every session read back from %s, each equal to what was set.\n",
               Count(flags_.threads, "thread"));
  absl::PrintF("     %s\n", watch.Rate(flags_.sessions));
  ShowPlaces();
  return absl::OkStatus();
}

void Tour::ShowPlaces() const {
  const Topology topology = cluster_->GetTopology();
  absl::PrintF("   A key's text gives its slot, as in Redis Cluster, and the slot its shard:\n");
  for (const std::string& key : {SessionKey(0), SessionKey(1), std::string("{user:7}:cart"),
                                 std::string("{user:7}:profile")}) {
    const Slot slot = SlotForKey(key);
    absl::PrintF("     %-18s slot %5d  %s\n", key, slot, topology.OwnerOf(slot).ToString());
  }
}

absl::Status Tour::Expire() {
  const uint64_t first = flags_.sessions;
  SetOptions options;
  options.ttl = kShortTtl;
  for (uint64_t i = 0; i < kShortSessions; ++i) {
    const std::string key = SessionKey(first + i);
    absl::Status set = cluster_->Set(key, SessionValue(key), options);
    if (!set.ok()) return set;
  }
  // The last one lives longest.
  const Stopwatch watch;
  absl::SleepFor(kShortTtl + absl::Milliseconds(1));
  for (uint64_t i = 0; i < kShortSessions; ++i) {
    absl::StatusOr<bool> exists = cluster_->Exists(SessionKey(first + i));
    if (!exists.ok()) return exists.status();
    if (*exists) return absl::InternalError(SessionKey(first + i) + " outlived its time");
  }
  const std::string waited = watch.Milliseconds();
  absl::Status others = CheckSessions(0, flags_.sessions);
  if (!others.ok()) return others;
  absl::PrintF("4. Expiry: of %s set to live %s none was left after %s; the %s others were.\n",
               Count(kShortSessions, "session"), absl::FormatDuration(kShortTtl), waited,
               WithCommas(flags_.sessions));
  return ShowTimes();
}

absl::Status Tour::ShowTimes() {
  const std::string key = SessionKey(0);
  absl::StatusOr<absl::Duration> before = cluster_->TimeToLive(key);
  if (!before.ok()) return before.status();
  absl::StatusOr<std::string> touched = cluster_->GetAndTouch(key, absl::Hours(1));
  if (!touched.ok()) return touched.status();
  absl::StatusOr<absl::Duration> after = cluster_->TimeToLive(key);
  if (!after.ok()) return after.status();
  absl::PrintF("     %s has %s to live, and %s after a read that extends it (GetAndTouch).\n", key,
               absl::FormatDuration(*before), absl::FormatDuration(*after));
  return absl::OkStatus();
}

absl::Status Tour::Crash() {
  absl::Status closed = cluster_->Close();
  cluster_.reset();
  if (!closed.ok()) return closed;
  absl::PrintF("5. kill -9: another process opens the cluster and writes from %s.\n",
               Count(flags_.threads, "thread"));
  std::fflush(stdout);
  const uint64_t reports_min = std::max<uint64_t>(flags_.sessions / 8, 100);
  absl::StatusOr<Acknowledged> acknowledged =
      WriteUntilKilled(dir_, flags_.threads, reports_min, interrupt_);
  if (!acknowledged.ok()) return acknowledged.status();

  const Stopwatch watch;
  Options options;
  options.create_if_missing = false;
  absl::Status opened = Open(options);
  if (!opened.ok()) return opened;
  const std::string recovery = watch.Milliseconds();
  absl::StatusOr<CrashCheck> check = CheckAcknowledged(cluster_.get(), *acknowledged, interrupt_);
  if (!check.ok()) return check.status();
  absl::Status others = CheckSessions(0, flags_.sessions);
  if (!others.ok()) return others;
  absl::PrintF("     Killed in the middle of it, with %s acknowledged and %s under way and kept.\n",
               Count(check->acknowledged, "write"), WithCommas(check->unacknowledged));
  absl::PrintF("     Opened again in %s, and all of it read, with the %s from before.\n", recovery,
               Count(flags_.sessions, "session"));
  return CheckLost(check->lost);
}

absl::Status Tour::CheckLost(uint64_t lost) {
  absl::PrintF("acknowledged writes lost: %d\n", lost);
  if (lost != 0) return absl::DataLossError("acknowledged writes were lost");
  return absl::OkStatus();
}

absl::Status Tour::LoseAZone() {
  absl::StatusOr<std::string> zone = ZoneToLose(cluster_->GetTopology());
  if (!zone.ok()) return zone.status();
  absl::PrintF("6. A lost disk: %s goes away under writes from %s, and comes back.\n", *zone,
               Count(flags_.threads, "thread"));
  std::fflush(stdout);
  const uint64_t writes_min =
      std::max<uint64_t>(flags_.sessions / 64 / static_cast<uint64_t>(flags_.threads), 50);
  absl::StatusOr<Failover> failover =
      LoseZone(cluster_.get(), *zone, flags_.threads, writes_min, interrupt_);
  if (!failover.ok()) return failover.status();
  for (const Takeover& takeover : failover->takeovers) {
    absl::PrintF("     %-9s %s in %s took over from %s\n", takeover.shard.ToString(),
                 takeover.primary.id.ToString(), takeover.primary.zone,
                 takeover.lost.id.ToString());
  }
  absl::PrintF("     %s failed. All copies in sync again %.0f ms after %s came back.\n",
               Count(failover->failed, "write"), absl::ToDoubleMilliseconds(failover->return_time),
               *zone);
  absl::StatusOr<FailoverCheck> check =
      CheckOutcomes(cluster_.get(), failover->outcomes, interrupt_);
  if (!check.ok()) return check.status();
  absl::Status others = CheckSessions(0, flags_.sessions);
  if (!others.ok()) return others;
  absl::PrintF("     %s compared with what is read, and the %s from before.\n",
               Count(check->acknowledged, "acknowledged write"), Count(flags_.sessions, "session"));
  absl::PrintF("failover time: %.1f ms, the longest that a thread could not write to a shard\n",
               absl::ToDoubleMilliseconds(failover->failover_time));
  return CheckLost(check->lost);
}

absl::Status Tour::Verify() {
  absl::PrintF(
      "7. Verify: every checksum, record, slot and owner is checked, and copies are compared.\n");
  return VerifyAndPrint(cluster_.get(), "     ");
}

// ---- The commands ----

int RunTour(const TourFlags& flags) {
  // A reader that has seen enough is no reason to leave the directory behind.
  std::signal(SIGPIPE, SIG_IGN);
  std::string dir = flags.dir;
  const bool temporary = dir.empty();
  if (temporary) {
    absl::StatusOr<std::string> made = MakeTemporaryDirectory("tour");
    if (!made.ok()) return Fail(made.status());
    dir = *std::move(made);
  }
  const bool remove = temporary && !flags.keep;
  const absl::Cleanup cleanup = [remove, dir] {
    std::error_code ignored;
    if (remove) std::filesystem::remove_all(dir, ignored);
  };
  absl::PrintF("slotkv %s, a tour. It works in %s%s.\n\n", kVersion, dir,
               remove ? " and removes it in the end" : "");
  const absl::Status done = Tour(flags, dir).Run();
  if (!done.ok()) return Fail(done);
  if (!remove) absl::PrintF("\nThe cluster stays: slotkv get --dir %s session:0\n", dir);
  return std::fflush(stdout) == 0 ? kExitOk : Fail("cannot write to the standard output");
}

constexpr const char* kFooter =
    "Makes a cluster in a temporary directory, writes sessions from several threads, reads them\n"
    "back, lets some expire, kills a process with kill -9 while it writes, takes one of three "
    "zones\n"
    "away and brings it back while threads write, and looks for every write that had been\n"
    "acknowledged. It takes a few seconds, prints what happened, and removes what it made. Exit\n"
    "code 1 if anything is not as it should be.\n"
    "\n"
    "Examples:\n"
    "  slotkv tour\n"
    "  slotkv tour --sessions 1000000 --threads 8\n"
    "  slotkv tour --dir /mnt/disk/tour      (on another disk; the cluster stays)\n";

void AddTourWriter(CLI::App* app, Run* run) {
  auto flags = std::make_shared<TourFlags>();
  // A part of the tour, not a command for people: no group, so no help shows it.
  CLI::App* const command = app->add_subcommand(kTourWriterCommand, "")->group("");
  AddText(command, "--dir", &flags->dir, "");
  command->add_option("--threads", flags->threads, "")->required();
  command->callback([flags, run] {
    *run = [flags] {
      const absl::Status written = RunTourWriter(flags->dir, flags->threads);
      return written.ok() ? kExitOk : Fail(written);
    };
  });
}

}  // namespace

void AddTourCommands(CLI::App* app, Run* run) {
  auto flags = std::make_shared<TourFlags>();
  CLI::App* const command = app->add_subcommand(
      "tour", "Shows what slotkv does: writes, reads, expiry, a kill -9 and a lost disk survived");
  command->add_option("--sessions", flags->sessions, "Sessions to write")
      ->check(CLI::Range(uint64_t{1}, uint64_t{1'000'000'000}))
      ->capture_default_str()
      ->type_name("N");
  command->add_option("--threads", flags->threads, "Threads that write and read")
      ->check(CLI::Range(1, 64))
      ->capture_default_str()
      ->type_name("N");
  AddText(command, "--dir", &flags->dir, "Makes the cluster here, and leaves it")
      ->required(false)
      ->type_name("DIR");
  command->add_flag("--keep", flags->keep, "Leaves the temporary directory");
  command->footer(kFooter);
  command->callback([flags, run] { *run = [flags] { return RunTour(*flags); }; });
  AddTourWriter(app, run);
}

}  // namespace slotkv::tools
