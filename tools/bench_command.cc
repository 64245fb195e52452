// bench: a quick look at what slotkv does on this machine.
#include <sys/stat.h>
#include <sys/statfs.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "rocksdb/version.h"
#include "slotkv/cluster.h"
#include "slotkv/version.h"
#include "tools/bench_workload.h"
#include "tools/command_line.h"
#include "tools/interrupt.h"
#include "tools/temporary_directory.h"
#include "tools/text.h"

namespace slotkv::tools {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr const char* kBadBuild = "built with a sanitizer";
#elif !defined(NDEBUG) || !defined(__OPTIMIZE__)
constexpr const char* kBadBuild = "a debug build";
#else
constexpr const char* kBadBuild = nullptr;
#endif

struct BenchFlags {
  ClusterFlags cluster;
  BenchOptions options;
  double seconds = 4;
  bool keep = false;
};

// "850 ns", "12.3 us", "1.25 ms", "2.10 s"
std::string LatencyText(absl::Duration latency) {
  const double us = absl::ToDoubleMicroseconds(latency);
  if (us < 1) return absl::StrFormat("%.0f ns", us * 1000);
  if (us < 1000) return absl::StrFormat("%.1f us", us);
  if (us < 1e6) return absl::StrFormat("%.2f ms", us / 1000);
  return absl::StrFormat("%.2f s", us / 1e6);
}

void PrintCalls(const char* what, const CallFigures& calls, absl::Duration elapsed) {
  if (calls.keys == 0) return;
  const double per_second = static_cast<double>(calls.keys) / absl::ToDoubleSeconds(elapsed);
  // A percentile is the end of a bucket, which may lie beyond all latencies.
  const auto percentile = [&calls](double percent) {
    return LatencyText(std::min(calls.latency.Percentile(percent), calls.max));
  };
  absl::PrintF("%-13s %12s %12s %10s %10s %10s %10s\n", what, WithCommas(calls.keys),
               WithCommas(static_cast<uint64_t>(per_second)), percentile(50), percentile(99),
               percentile(99.9), LatencyText(calls.max));
}

// What the files take on their disk.
uint64_t DiskBytes(const std::string& dir) {
  uint64_t bytes = 0;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator file(dir, error), end; file != end;
       file.increment(error)) {
    struct stat status;
    if (lstat(file->path().c_str(), &status) == 0) {
      bytes += static_cast<uint64_t>(status.st_blocks) * 512;
    }
  }
  return bytes;
}

// Of the cluster: in its directory, and in zones elsewhere.
uint64_t DiskBytes(const ClusterFlags& flags, const std::string& dir) {
  uint64_t bytes = DiskBytes(dir);
  for (const Zone& zone : flags.zones) {
    if (absl::StartsWith(zone.path, "/") && !absl::StartsWith(zone.path, absl::StrCat(dir, "/"))) {
      bytes += DiskBytes(zone.path);
    }
  }
  return bytes;
}

void PrintHeader(const BenchFlags& flags, const std::string& dir) {
  constexpr long kTmpfs = 0x01021994;
  struct statfs file_system;
  const bool memory = statfs(dir.c_str(), &file_system) == 0 && file_system.f_type == kTmpfs;
  const BenchOptions& options = flags.options;
  absl::PrintF("slotkv %s with RocksDB %d.%d.%d, %s. A quick look; //benchmarks measures.\n",
               kVersion, ROCKSDB_MAJOR, ROCKSDB_MINOR, ROCKSDB_PATCH,
               kBadBuild == nullptr ? "an optimised build" : kBadBuild);
  if (kBadBuild != nullptr) {
    absl::PrintF("THESE FIGURES MEAN NOTHING: this is %s. Use ./bazelw run -c opt.\n", kBadBuild);
  }
  absl::PrintF("%s of %s, %s on %s, %s with %s each, fsync %s, in %s%s\n",
               Count(options.keys, "value"), ByteSize(options.value_bytes),
               Count(static_cast<uint64_t>(options.threads), "thread"),
               Count(std::thread::hardware_concurrency(), "processor"),
               Count(static_cast<uint64_t>(flags.cluster.shards), "shard"),
               Count(static_cast<uint64_t>(flags.cluster.replicas), "replica"),
               FsyncName(flags.cluster.fsync), dir,
               memory ? ", which is memory and no disk (see --dir)" : "");
  if (options.batch > 1) {
    absl::PrintF("MultiSet and MultiGet of %s; latencies are of these calls\n",
                 Count(options.batch, "key"));
  }
  absl::PrintF("\n%-13s %12s %12s %10s %10s %10s %10s\n", "", "keys", "per second", "p50", "p99",
               "p99.9", "max");
  std::fflush(stdout);
}

absl::Status RunPhases(Cluster* cluster, const BenchOptions& options, const Interrupt& interrupt) {
  const PhaseFigures load = RunLoadPhase(cluster, options, interrupt);
  PrintCalls("load", load.writes, load.elapsed);
  std::fflush(stdout);
  if (!load.status.ok()) return load.status;
  const PhaseFigures mixed = RunMixedPhase(cluster, options, interrupt);
  PrintCalls("mixed: reads", mixed.reads, mixed.elapsed);
  PrintCalls("mixed: writes", mixed.writes, mixed.elapsed);
  if (mixed.reads.keys > 0) {
    absl::PrintF("\nfound: %.1f%% of the keys read\n", 100 * static_cast<double>(mixed.reads.hits) /
                                                           static_cast<double>(mixed.reads.keys));
  }
  return mixed.status;
}

int RunBench(const BenchFlags& flags) {
  // No reason to leave the directory behind: a Ctrl-C, or a reader that has seen enough.
  const Interrupt interrupt;
  std::signal(SIGPIPE, SIG_IGN);
  ClusterFlags cluster_flags = flags.cluster;
  const bool temporary = cluster_flags.dir.empty();
  if (temporary) {
    absl::StatusOr<std::string> made = MakeTemporaryDirectory("bench");
    if (!made.ok()) return Fail(made.status());
    cluster_flags.dir = *std::move(made);
  }
  const std::string& dir = cluster_flags.dir;
  auto cluster = OpenCluster(cluster_flags, IfMissing::kCreate,
                             [](Options* options) { options->error_if_exists = true; });
  if (!cluster.ok()) {
    std::error_code ignored;
    if (temporary) std::filesystem::remove_all(dir, ignored);
    return Fail(cluster.status());
  }
  PrintHeader(flags, dir);
  const absl::Status done = RunPhases(cluster->get(), flags.options, interrupt);
  absl::PrintF("on disk: %s\n", ByteSize(DiskBytes(flags.cluster, dir)));
  int exit_code = CloseAndExit(cluster->get(), done);
  if (flags.keep) {
    absl::PrintF("the cluster stays in %s\n", dir);
    return exit_code;
  }
  const absl::Status destroyed = Cluster::Destroy(dir);
  if (!destroyed.ok()) exit_code = Fail(destroyed);
  return exit_code;
}

constexpr const char* kFooter =
    "Makes a cluster, writes --keys values, then reads and writes them at random for --seconds,\n"
    "and removes what it made. Prints keys a second and the latencies of calls (percentiles up to\n"
    "a quarter too high). Ctrl-C ends it with what there is by then.\n"
    "\n"
    "This is a quick look at one machine, not a benchmark: it warms nothing up, repeats nothing\n"
    "and compares with nothing. For that there is //benchmarks:\n"
    "  ./bazelw run -c opt //benchmarks:scorecard\n"
    "\n"
    "Examples:\n"
    "  slotkv bench\n"
    "  slotkv bench --replicas 0\n"
    "  slotkv bench --dir /mnt/disk/bench --fsync always\n"
    "  slotkv bench --threads 1 --value-bytes 1000 --read-percent 50\n"
    "  slotkv bench --batch 100 --keys 1000000\n";

}  // namespace

void AddBenchCommand(CLI::App* app, Run* run) {
  auto flags = std::make_shared<BenchFlags>();
  CLI::App* const command =
      app->add_subcommand("bench", "A quick look at the speed of writes and reads here");
  AddDirFlag(command, &flags->cluster)
      ->required(false)
      ->description("Where to make the cluster; without it, in a temporary directory");
  AddCreationFlags(command, &flags->cluster);
  const auto add = [command](const char* name, auto* value, auto min, auto max, const char* text) {
    command->add_option(name, *value, text)
        ->check(CLI::Range(min, max))
        ->capture_default_str()
        ->type_name("N");
  };
  BenchOptions* const options = &flags->options;
  add("--keys", &options->keys, uint64_t{1}, uint64_t{1'000'000'000}, "Keys to write");
  add("--seconds", &flags->seconds, 0.1, 3600.0, "How long to read and write");
  add("--threads", &options->threads, 1, 64, "Threads that call");
  add("--value-bytes", &options->value_bytes, size_t{0}, size_t{16} << 20, "Size of a value");
  add("--read-percent", &options->read_percent, 0, 100, "Of calls while it reads and writes");
  add("--batch", &options->batch, size_t{1}, size_t{10'000}, "Keys in a call");
  command->add_flag("--keep", flags->keep, "Leaves the cluster");
  command->footer(kFooter);
  command->callback([flags, run] {
    CheckCreationFlags(flags->cluster);
    flags->options.duration = absl::Seconds(flags->seconds);
    *run = [flags] { return RunBench(*flags); };
  });
}

}  // namespace slotkv::tools
