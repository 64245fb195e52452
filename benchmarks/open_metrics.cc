// A cluster of 64 empty shards: how long it takes to create and to open, and what it holds then.
//
// Each figure comes from a process of its own, so that neither what other metrics have left in
// memory nor their threads count.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "benchmarks/metric.h"
#include "benchmarks/workload.h"
#include "slotkv/cluster.h"

namespace slotkv {
namespace {

constexpr double kMegabyte = 1e6;

struct Figures {
  double create_ms = 0;
  double open_ms = 0;
  double memory_mb = 0;
  double disk_mb = 0;
  double threads = 0;
};

// A number of /proc/self/status, by the name before it.
double SelfStatus(const std::string& name) {
  std::ifstream status("/proc/self/status");
  std::string word;
  double number = 0;
  while (status >> word) {
    if (word == name && status >> number) return number;
  }
  return 0;
}

// What the files below `path` take of the disk, reserved space included.
double DiskMb(const std::string& path) {
  double bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    struct stat info;
    if (lstat(entry.path().c_str(), &info) == 0)
      bytes += 512.0 * static_cast<double>(info.st_blocks);
  }
  return bytes / kMegabyte;
}

Figures RunChild() {
  const ScratchDirectory scratch;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe");
  const std::string command = "'" + self + "' " + kOpenArgument + " '" + scratch.path() + "'";
  FILE* const output = popen(command.c_str(), "r");
  Figures figures;
  const int read =
      output == nullptr
          ? 0
          : std::fscanf(output, "%lf %lf %lf %lf %lf", &figures.create_ms, &figures.open_ms,
                        &figures.memory_mb, &figures.disk_mb, &figures.threads);
  if (output == nullptr || pclose(output) != 0 || read != 5) {
    std::cerr << "benchmark: the process for open_64_shards has failed" << std::endl;
    std::exit(1);
  }
  return figures;
}

Metric Open(const std::string& suffix, const std::string& unit, double Figures::*figure,
            double bar) {
  Metric metric;
  metric.name = "open_64_shards" + suffix;
  metric.unit = unit;
  metric.repetitions = 3;
  metric.bar = {Bar::kValueAtMost, bar};
  metric.slotkv = [figure] { return [figure] { return RunChild().*figure; }; };
  return metric;
}

}  // namespace

int OpenInThisProcess(const std::string& directory) {
  Options options;
  options.shards = 64;
  options.replicas_per_shard = 0;
  Figures figures;
  std::unique_ptr<Cluster> cluster;
  const double memory_before = SelfStatus("VmRSS:"), threads_before = SelfStatus("Threads:");
  for (double* const ms : {&figures.create_ms, &figures.open_ms}) {
    cluster.reset();
    const Stopwatch watch;
    auto opened = Cluster::Open(options, directory + "/cluster");
    *ms = watch.Seconds() * 1e3;
    if (!opened.ok()) {
      std::cerr << opened.status() << std::endl;
      return 1;
    }
    cluster = *std::move(opened);
  }
  figures.memory_mb = (SelfStatus("VmRSS:") - memory_before) * 1024 / kMegabyte;
  figures.threads = SelfStatus("Threads:") - threads_before;
  figures.disk_mb = DiskMb(directory);
  std::printf("%.1f %.1f %.1f %.1f %.0f\n", figures.create_ms, figures.open_ms, figures.memory_mb,
              figures.disk_mb, figures.threads);
  return 0;
}

std::vector<Metric> OpenMetrics() {
  // The bars are for one copy of each shard.
  return {
      Open("_create", "ms", &Figures::create_ms, 2000),
      Open("", "ms", &Figures::open_ms, 2000),
      Open("_memory", "MB", &Figures::memory_mb, 300),
      Open("_disk", "MB", &Figures::disk_mb, 300),
      // As many as a cluster of three shards has: none for a shard.
      Open("_threads", "threads", &Figures::threads, 32),
  };
}

}  // namespace slotkv
