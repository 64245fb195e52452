// Endpoints that answer as a test says, and a resolver for them.
#ifndef SLOTKV_SHARD_SCRIPTED_ENDPOINT_H_
#define SLOTKV_SHARD_SCRIPTED_ENDPOINT_H_

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "slotkv/endpoint.h"
#include "slotkv/redirect.h"

namespace slotkv {

using Answer = absl::AnyInvocable<void(Response)>;
using MapAnswer = absl::AnyInvocable<void(absl::StatusOr<SlotMap>)>;

inline Response WithStatus(absl::Status status) {
  Response response;
  response.status = std::move(status);
  return response;
}

inline Response WithValue(std::string value) {
  Response response;
  response.value = std::move(value);
  return response;
}

inline Response WithRedirect(Redirect::Kind kind, Slot slot, uint32_t shard) {
  return WithStatus(RedirectStatus({kind, slot, ShardId(shard)}));
}

// All slots are one shard's.
inline SlotMap AllOwnedBy(uint32_t shard, uint64_t epoch = 1) {
  return {Epoch(epoch), {{{0, kSlotCount - 1}, ShardId(shard)}}};
}

// Counts what it is asked, and answers by its two functions, without which it does not. They may be
// set as long as nothing is asked.
class ScriptedEndpoint final : public Endpoint {
 public:
  void Execute(const Request& request, Answer done) override {
    ++requests;
    if (request.asking) ++asking;
    if (on_execute) {
      on_execute(request, std::move(done));
    } else {
      absl::MutexLock lock(&mu_);
      unanswered_.push_back(std::move(done));
    }
  }

  void FetchSlots(MapAnswer done) override {
    ++fetches;
    if (on_fetch) {
      on_fetch(std::move(done));
    } else {
      absl::MutexLock lock(&mu_);
      unanswered_fetches_.push_back(std::move(done));
    }
  }

  // Every request is answered at once.
  void AnswerWith(std::function<Response(const Request&)> answer) {
    on_execute = [answer = std::move(answer)](const Request& request, Answer done) {
      done(answer(request));
    };
  }
  // Every fetch is.
  void GiveMap(absl::StatusOr<SlotMap> map) {
    on_fetch = [map = std::move(map)](MapAnswer done) { done(map); };
  }

  // Takes what has not been answered, as soon as there are so many.
  std::vector<Answer> AwaitUnanswered(size_t count) {
    const auto there = [this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return unanswered_.size() >= count;
    };
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&there));
    return std::exchange(unanswered_, {});
  }
  std::vector<MapAnswer> AwaitUnansweredFetches(size_t count) {
    const auto there = [this, count]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return unanswered_fetches_.size() >= count;
    };
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(&there));
    return std::exchange(unanswered_fetches_, {});
  }

  std::function<void(const Request&, Answer)> on_execute;
  std::function<void(MapAnswer)> on_fetch;
  std::atomic<int> requests{0}, asking{0}, fetches{0};

 private:
  absl::Mutex mu_;
  std::vector<Answer> unanswered_ ABSL_GUARDED_BY(mu_);
  std::vector<MapAnswer> unanswered_fetches_ ABSL_GUARDED_BY(mu_);
};

// Gives the endpoints that it was made with; for others the error, NotFound at first.
class MapResolver final : public EndpointResolver {
 public:
  using Endpoints = std::map<ShardId, std::shared_ptr<Endpoint>>;

  explicit MapResolver(Endpoints endpoints, absl::Status error = absl::NotFoundError("no such"))
      : endpoints_(std::move(endpoints)), error_(std::move(error)) {}

  absl::StatusOr<std::shared_ptr<Endpoint>> Resolve(ShardId shard) override {
    const auto found = endpoints_.find(shard);
    if (found == endpoints_.end()) return error_;
    return found->second;
  }

  std::vector<ShardId> Seeds() override {
    std::vector<ShardId> seeds;
    for (const auto& [shard, endpoint] : endpoints_) seeds.push_back(shard);
    return seeds;
  }

 private:
  const Endpoints endpoints_;
  const absl::Status error_;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_SCRIPTED_ENDPOINT_H_
