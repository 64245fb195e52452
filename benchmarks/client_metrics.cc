// What ClusterClient costs over the cluster that it asks, which is one for both sides.
#include <cstddef>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "benchmarks/metric.h"
#include "benchmarks/subjects.h"
#include "benchmarks/workload.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster_client.h"

namespace slotkv {
namespace {

constexpr size_t kKeys = 200000;

// Three shards with keys in tables, the block cache warm, and a client that knows its owners.
struct ServedCluster {
  ServedCluster() {
    Options options;
    options.fsync = Fsync::kNever;
    options.memory_bytes = kBenchmarkMemoryBytes;
    auto opened = Cluster::Open(options, directory.path());
    Require(opened.status());
    cluster = *std::move(opened);
    for (size_t i = 0; i < keys.size(); ++i) Require(cluster->Set(keys[i], SessionValue(i)));
    Require(FlushStores(cluster.get()));
    std::string value;
    for (const std::string& key : keys) Require(cluster->Get(key, &value));
    auto created = ClusterClient::Create(MakeClusterResolver(cluster.get()));
    Require(created.status());
    client = *std::move(created);
  }

  const ScratchDirectory directory;
  const std::vector<std::string> keys = SessionKeys(kKeys);
  std::unique_ptr<Cluster> cluster;
  std::unique_ptr<ClusterClient> client;
};

// `get(cluster, key, value)` reads by one side or the other.
template <typename Get>
Side ReadKeys(std::shared_ptr<ServedCluster> served, Get get) {
  const auto random = std::make_shared<std::mt19937_64>(1);
  return [served = std::move(served), random, get] {
    constexpr int kReads = 200000;
    std::string value;
    const Stopwatch watch;
    for (int i = 0; i < kReads; ++i) {
      Require(get(served.get(), served->keys[(*random)() % kKeys], &value));
    }
    return watch.Seconds() * 1e6 / kReads;
  };
}

}  // namespace

std::vector<Metric> ClientMetrics() {
  // As long as one of the sides is there.
  const auto shared = std::make_shared<std::weak_ptr<ServedCluster>>();
  const auto served = [shared] {
    std::shared_ptr<ServedCluster> cluster = shared->lock();
    if (cluster == nullptr) cluster = std::make_shared<ServedCluster>();
    *shared = cluster;
    return cluster;
  };
  return {
      {"client_get",
       "us/get",
       21,
       {Bar::kRatioAtMost, 1.3},
       [served] {
         return ReadKeys(served(), [](ServedCluster* to, const std::string& key, std::string* v) {
           return to->client->Get(key, v);
         });
       },
       [served] {
         return ReadKeys(served(), [](ServedCluster* to, const std::string& key, std::string* v) {
           return to->cluster->Get(key, v);
         });
       }},
  };
}

}  // namespace slotkv
