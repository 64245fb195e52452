// The endpoints of shards of this process.
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "slotkv/cluster.h"
#include "slotkv/cluster_client.h"
#include "slotkv/endpoint.h"

namespace slotkv {
namespace {

template <typename Result, typename Value>
absl::Status Put(absl::StatusOr<Result> result, Value* value) {
  if (result.ok()) *value = *std::move(result);
  return std::move(result).status();
}

class ShardEndpoint final : public Endpoint {
 public:
  explicit ShardEndpoint(Shard shard) : shard_(std::move(shard)) {}

  void Execute(const Request& request, absl::AnyInvocable<void(Response)> done) override {
    Response response;
    response.status = request.command == Command::kGet ? Get(request, &response)
                      : IsRead(request.command)        ? Read(request, &response)
                                                       : Write(request, &response);
    done(std::move(response));
  }

  void FetchSlots(absl::AnyInvocable<void(absl::StatusOr<SlotMap>)> done) override {
    const Topology topology = shard_.GetTopology();
    if (topology.epoch() == Epoch(0)) {
      done(absl::CancelledError("the cluster is closed"));
      return;
    }
    SlotMap map;
    map.epoch = topology.epoch();
    for (const ShardInfo& shard : topology.shards()) {
      for (const SlotRange& range : shard.slots) map.parts.push_back({range, shard.id});
    }
    done(std::move(map));
  }

 private:
  absl::Status Get(const Request& request, Response* response) {
    if (request.spare == nullptr) return shard_.Get(request.key, &response->value);
    response->value.swap(*request.spare);
    absl::Status status = shard_.Get(request.key, &response->value);
    if (!status.ok()) response->value.swap(*request.spare);
    return status;
  }

  absl::Status Read(const Request& request, Response* response) {
    switch (request.command) {
      case Command::kExists:
        return Put(shard_.Exists(request.key), &response->count);
      case Command::kMultiGet:
        return MultiGet(request, response);
      case Command::kTimeToLive:
        return Put(shard_.TimeToLive(request.key), &response->ttl);
      case Command::kHashGet:
        if (request.names.size() != 1) return NamesOneField();
        return Put(shard_.HashGet(request.key, request.names.front()), &response->value);
      case Command::kHashGetAll:
        return Put(shard_.HashGetAll(request.key), &response->fields);
      default:
        SLOTKV_CHECK(false);
    }
  }

  absl::Status Write(const Request& request, Response* response) {
    switch (request.command) {
      case Command::kSet:
        return shard_.Set(request.key, request.value, request.set_options);
      case Command::kDelete:
        return Put(shard_.Delete(request.key), &response->count);
      case Command::kIncrement:
        return Put(shard_.Increment(request.key, request.delta), &response->sum);
      case Command::kAppend:
        return Put(shard_.Append(request.key, request.value), &response->count);
      case Command::kSetRange:
        return Put(shard_.SetRange(request.key, request.offset, request.value), &response->count);
      case Command::kCompareAndSet:
        return shard_.CompareAndSet(request.key, request.expected, request.value);
      case Command::kWrite:
        return shard_.Write(*request.batch);
      case Command::kExpire:
        return Put(shard_.Expire(request.key, request.ttl), &response->count);
      case Command::kPersist:
        return Put(shard_.Persist(request.key), &response->count);
      case Command::kGetAndTouch:
        return Put(shard_.GetAndTouch(request.key, request.ttl), &response->value);
      case Command::kHashSet: {
        HashSetOptions options;
        options.ttl = request.ttl;
        return Put(shard_.HashSet(request.key, request.fields, options), &response->count);
      }
      case Command::kHashDelete:
        return Put(shard_.HashDelete(request.key, request.names), &response->count);
      default:
        SLOTKV_CHECK(false);
    }
  }

  // Keys of one slot are read together: what keeps one of them from being read keeps all.
  absl::Status MultiGet(const Request& request, Response* response) {
    response->values = shard_.MultiGet(request.names);
    for (const absl::StatusOr<std::string>& value : response->values) {
      if (absl::IsAborted(value.status()) || absl::IsUnavailable(value.status())) {
        return value.status();
      }
    }
    return absl::OkStatus();
  }

  static absl::Status NamesOneField() {
    return absl::InvalidArgumentError("HashGet is for one field");
  }

  Shard shard_;  // thread-safe
};

class ClusterResolver final : public EndpointResolver {
 public:
  explicit ClusterResolver(Cluster* cluster) : cluster_(cluster) {}

  absl::StatusOr<std::shared_ptr<Endpoint>> Resolve(ShardId id) override {
    absl::StatusOr<Shard> shard = cluster_->shard(id);
    if (!shard.ok()) return shard.status();
    return MakeShardEndpoint(*std::move(shard));
  }

  std::vector<ShardId> Seeds() override {
    std::vector<ShardId> seeds;
    for (const ShardInfo& shard : cluster_->GetTopology().shards()) seeds.push_back(shard.id);
    return seeds;
  }

 private:
  Cluster* const cluster_;
};

}  // namespace

std::unique_ptr<Endpoint> MakeShardEndpoint(Shard shard) {
  return std::make_unique<ShardEndpoint>(std::move(shard));
}

std::unique_ptr<EndpointResolver> MakeClusterResolver(Cluster* cluster) {
  return std::make_unique<ClusterResolver>(cluster);
}

}  // namespace slotkv
