// Serving: shard handles answer like the nodes of a Redis Cluster, and a client asks several of
// them, or endpoints of one's own, as one keyspace.
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "slotkv/cluster.h"
#include "slotkv/cluster_client.h"

#define CHECK(condition) \
  if (!(condition)) std::cerr << __FILE__ << ":" << __LINE__ << ": " #condition "\n", std::exit(1)

// An endpoint of one's own: here a shard of this process, whose map is wrong: it says that the
// first shard owns everything. One that talks to another machine would copy the request, send it,
// and call `done` when the answer is there.
class MisinformedEndpoint final : public slotkv::Endpoint {
 public:
  MisinformedEndpoint(slotkv::Shard shard, std::atomic<int>* requests)
      : shard_(slotkv::MakeShardEndpoint(std::move(shard))), requests_(requests) {}

  void Execute(const slotkv::Request& request,
               absl::AnyInvocable<void(slotkv::Response)> done) override {
    ++*requests_;
    shard_->Execute(request, std::move(done));
  }
  void FetchSlots(absl::AnyInvocable<void(absl::StatusOr<slotkv::SlotMap>)> done) override {
    slotkv::SlotMap map;
    map.parts = {{{0, slotkv::kSlotCount - 1}, slotkv::ShardId(1)}};
    done(std::move(map));
  }

 private:
  const std::unique_ptr<slotkv::Endpoint> shard_;
  std::atomic<int>* const requests_;
};

class MisinformedResolver final : public slotkv::EndpointResolver {
 public:
  MisinformedResolver(slotkv::Cluster* cluster, std::atomic<int>* requests)
      : cluster_(cluster), requests_(requests) {}

  absl::StatusOr<std::shared_ptr<slotkv::Endpoint>> Resolve(slotkv::ShardId id) override {
    absl::StatusOr<slotkv::Shard> shard = cluster_->shard(id);
    if (!shard.ok()) return shard.status();
    return std::make_shared<MisinformedEndpoint>(*std::move(shard), requests_);
  }
  std::vector<slotkv::ShardId> Seeds() override { return {slotkv::ShardId(1)}; }

 private:
  slotkv::Cluster* const cluster_;
  std::atomic<int>* const requests_;
};

int main() {
  const char* const directory = std::getenv("TEST_TMPDIR");
  const std::string path = std::string(directory == nullptr ? "/tmp" : directory) + "/serving";
  CHECK(slotkv::Cluster::Destroy(path).ok());  // what an earlier run has left
  auto opened = slotkv::Cluster::Open(slotkv::Options(), path);
  CHECK(opened.ok());
  slotkv::Cluster& cluster = **opened;

  // A shard answers for its own slots. A server sends a redirect on to its caller as "-MOVED ...".
  slotkv::Shard first = *cluster.shard(slotkv::ShardId(1));
  CHECK(absl::IsNotFound(cluster.shard(slotkv::ShardId(99)).status()));
  const slotkv::Slot slot = slotkv::SlotForKey("foo");
  const slotkv::ShardId owner = first.GetTopology().OwnerOf(slot);
  CHECK(owner != first.id());
  const std::optional<slotkv::Redirect> redirect = slotkv::GetRedirect(first.Set("foo", "bar"));
  CHECK(redirect == (slotkv::Redirect{slotkv::Redirect::kMoved, slot, owner}));
  CHECK(absl::IsInvalidArgument(first.MultiGet({"foo", "hello"})[0].status()));  // CROSSSLOT

  // A client finds the owners by itself.
  {
    auto client = slotkv::ClusterClient::Create(slotkv::MakeClusterResolver(&cluster));
    CHECK(client.ok());
    CHECK((*client)->Set("foo", "bar").ok());
    CHECK(*(*client)->Get("foo") == "bar");
    const auto values = (*client)->MultiGet({"foo", "hello"});
    CHECK(*values[0] == "bar" && absl::IsNotFound(values[1].status()));
    CHECK((*client)->GetStats().moved == 0);
  }

  // With a wrong map, too: the first round is redirected, the second one is not.
  std::atomic<int> requests{0};
  slotkv::ClusterClientOptions options;
  options.min_refresh_interval = absl::InfiniteDuration();
  auto client = slotkv::ClusterClient::Create(
      std::make_unique<MisinformedResolver>(&cluster, &requests), options);
  CHECK(client.ok());
  CHECK((*client)->Set("foo", "again").ok());
  CHECK((*client)->OwnerOf(slot) == owner);
  CHECK(requests == 2 && (*client)->GetStats().moved == 1);
  for (int i = 0; i < 100; ++i) CHECK((*client)->Set(absl::StrCat("key:", i), "v").ok());
  const uint64_t learned = (*client)->GetStats().moved;
  std::string value;
  for (int i = 0; i < 100; ++i) CHECK((*client)->Get(absl::StrCat("key:", i), &value).ok());
  CHECK((*client)->GetStats().moved == learned);

  // Handles and clients learn that the cluster is closed.
  CHECK(cluster.Close().ok());
  CHECK(absl::IsCancelled(first.Get("foo", &value)));
  CHECK(absl::IsCancelled((*client)->Get("foo", &value)));
}
