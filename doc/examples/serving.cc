// Serving: shard handles answer like the nodes of a Redis Cluster, and a client that keeps a map of
// slots to owners and corrects it by their redirects.
#include <array>
#include <cstdlib>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "slotkv/cluster.h"

#define CHECK(condition) \
  if (!(condition)) std::cerr << __FILE__ << ":" << __LINE__ << ": " #condition "\n", std::exit(1)

class Client {
 public:
  // As a new client, it believes that the first shard owns everything.
  explicit Client(std::map<slotkv::ShardId, slotkv::Shard> shards) : shards_(std::move(shards)) {
    owners_.fill(shards_.begin()->first);
  }
  absl::Status Get(std::string_view key, std::string* value) {
    return Ask(key, [&](slotkv::Shard& shard) { return shard.Get(key, value); });
  }
  absl::Status Set(std::string_view key, std::string_view value) {
    return Ask(key, [&](slotkv::Shard& shard) { return shard.Set(key, value); });
  }
  int redirects = 0;

 private:
  absl::Status Ask(std::string_view key, absl::FunctionRef<absl::Status(slotkv::Shard&)> call) {
    const slotkv::Slot slot = slotkv::SlotForKey(key);
    while (true) {
      absl::Status status = call(shards_.at(owners_[slot]));
      const std::optional<slotkv::Redirect> redirect = slotkv::GetRedirect(status);
      if (!redirect.has_value()) return status;
      CHECK(redirect->kind == slotkv::Redirect::kMoved && redirect->slot == slot);
      owners_[slot] = redirect->shard;
      ++redirects;
    }
  }

  std::map<slotkv::ShardId, slotkv::Shard> shards_;
  std::array<slotkv::ShardId, slotkv::kSlotCount> owners_;
};

int main() {
  const char* const directory = std::getenv("TEST_TMPDIR");
  const std::string path = std::string(directory == nullptr ? "/tmp" : directory) + "/serving";
  CHECK(slotkv::Cluster::Destroy(path).ok());  // what an earlier run has left
  auto opened = slotkv::Cluster::Open(slotkv::Options(), path);
  CHECK(opened.ok());
  slotkv::Cluster& cluster = **opened;
  std::map<slotkv::ShardId, slotkv::Shard> shards;
  for (const slotkv::ShardInfo& shard : cluster.GetTopology().shards()) {
    shards.emplace(shard.id, *cluster.shard(shard.id));
  }
  CHECK(absl::IsNotFound(cluster.shard(slotkv::ShardId(99)).status()));

  // The first round is redirected for most keys, the second one for none.
  Client client(shards);
  for (int i = 0; i < 100; ++i) CHECK(client.Set(absl::StrCat("key:", i), "v").ok());
  CHECK(client.redirects > 0);
  const int learned = client.redirects;
  std::string value;
  for (int i = 0; i < 100; ++i) CHECK(client.Get(absl::StrCat("key:", i), &value).ok());
  CHECK(client.redirects == learned);

  // A handle answers keys of several slots as a server does, and outlives its cluster.
  CHECK(absl::IsInvalidArgument(shards.begin()->second.MultiGet({"key:1", "key:2"})[0].status()));
  CHECK(cluster.Close().ok());
  opened->reset();
  CHECK(absl::IsCancelled(client.Get("key:1", &value)));
}
