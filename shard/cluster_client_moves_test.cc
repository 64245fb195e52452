// The client against shards in memory whose slots move all the time, at once or key by key as Redis
// moves them, that answer in any order, and that do not know the newest map; held to a model.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "shard/scripted_endpoint.h"
#include "slotkv/cluster_client.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

constexpr uint32_t kShards = 4;

// Of the slots that move, in which all keys are.
const std::vector<std::string> kTags = {"{a}", "{b}", "{c}", "{d}", "{e}", "{f}"};

class MovingShards {
 public:
  explicit MovingShards(uint64_t seed) : random_(seed) {
    absl::MutexLock lock(&mu_);
    for (const std::string& tag : kTags) owners_[SlotForKey(tag)] = 1;
    known_ = old_ = MapLocked();
    for (int i = 0; i < 2; ++i) answerers_.emplace_back([this] { AnswerQueued(); });
  }

  ~MovingShards() {
    {
      absl::MutexLock lock(&mu_);
      ended_ = true;
    }
    for (std::thread& answerer : answerers_) answerer.join();
  }

  MapResolver::Endpoints Endpoints() {
    MapResolver::Endpoints endpoints;
    for (uint32_t shard = 1; shard <= kShards; ++shard) {
      auto endpoint = std::make_shared<ScriptedEndpoint>();
      endpoint->on_execute = [this, shard](const Request& request, Answer done) {
        Respond(Execute(shard, request), std::move(done));
      };
      endpoint->on_fetch = [this](MapAnswer done) { done(SomeMap()); };
      endpoints[ShardId(shard)] = std::move(endpoint);
    }
    return endpoints;
  }

  // Moves one of the slots somewhere else.
  void MoveOne() {
    Slot slot = 0;
    uint32_t from = 0, to = 0;
    bool key_by_key = false;
    {
      absl::MutexLock lock(&mu_);
      slot = SlotForKey(kTags[random_() % kTags.size()]);
      // Whoever comes with an ASK of an earlier move would be taken for one of this move. Redis
      // relies on moves that are slower than that.
      if (asks_[slot] != 0) return;
      from = owners_[slot];
      to = 1 + (from + random_() % (kShards - 1)) % kShards;
      key_by_key = random_() % 2 == 0;
      if (key_by_key) moving_to_[slot] = to;
    }
    while (key_by_key) {
      std::this_thread::yield();
      absl::MutexLock lock(&mu_);
      auto& keys = data_[from];
      const auto key = std::find_if(keys.begin(), keys.end(), [&](const auto& entry) {
        return SlotForKey(entry.first) == slot;
      });
      if (key == keys.end()) break;
      ASSERT_TRUE(data_[to].emplace(*key).second) << key->first << " is there twice";
      keys.erase(key);
    }
    absl::MutexLock lock(&mu_);
    moving_to_.erase(slot);
    for (auto it = data_[from].begin(); it != data_[from].end();) {
      if (SlotForKey(it->first) != slot) {
        ++it;
        continue;
      }
      ASSERT_TRUE(data_[to].emplace(*it).second) << it->first << " is there twice";
      it = data_[from].erase(it);
    }
    owners_[slot] = to;
    ++epoch_;
    old_ = std::exchange(known_, MapLocked());
  }

  // What all shards hold together; no key twice, none where its slot is not.
  std::map<std::string, std::string> Everything() {
    absl::MutexLock lock(&mu_);
    std::map<std::string, std::string> all;
    for (const auto& [shard, keys] : data_) {
      for (const auto& [key, value] : keys) {
        EXPECT_EQ(owners_[SlotForKey(key)], shard);
        EXPECT_TRUE(all.emplace(key, value).second) << key;
      }
    }
    return all;
  }

 private:
  SlotMap MapLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    SlotMap map;
    map.epoch = Epoch(epoch_);
    int next = 0;
    for (const auto& [slot, owner] : owners_) {
      if (next < slot) {
        map.parts.push_back({{static_cast<Slot>(next), static_cast<Slot>(slot - 1)}, ShardId(1)});
      }
      map.parts.push_back({{slot, slot}, ShardId(owner)});
      next = slot + 1;
    }
    map.parts.push_back({{static_cast<Slot>(next), kSlotCount - 1}, ShardId(1)});
    return map;
  }

  SlotMap SomeMap() {
    absl::MutexLock lock(&mu_);
    return random_() % 3 == 0 ? old_ : known_;
  }

  // As a node of Redis Cluster does, in its order of checks.
  Response Execute(uint32_t shard, const Request& request) {
    absl::MutexLock lock(&mu_);
    if (request.asking) --asks_[request.slot];
    if (random_() % 50 == 0) return WithStatus(absl::UnavailableError("CLUSTERDOWN"));
    std::vector<std::string> keys(1, std::string(request.key));
    if (request.command == Command::kMultiGet) {
      keys.assign(request.names.begin(), request.names.end());
    }
    const Slot slot = SlotForKey(keys.front());
    EXPECT_EQ(slot, request.slot);
    auto& data = data_[shard];
    const std::set<std::string> distinct(keys.begin(), keys.end());
    const size_t missing = static_cast<size_t>(std::count_if(
        distinct.begin(), distinct.end(), [&](const auto& key) { return data.count(key) == 0; }));
    const auto moving = moving_to_.find(slot);
    const auto redirect = [&](Redirect::Kind kind, uint32_t to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      if (kind == Redirect::kAsk) ++asks_[slot];
      return WithRedirect(kind, slot, to);
    };
    if (owners_[slot] == shard) {
      if (moving != moving_to_.end() && missing != 0) {
        return missing == distinct.size() ? redirect(Redirect::kAsk, moving->second)
                                          : redirect(Redirect::kTryAgain, shard);
      }
    } else if (moving != moving_to_.end() && moving->second == shard && request.asking) {
      if (distinct.size() > 1 && missing != 0) return redirect(Redirect::kTryAgain, shard);
    } else {
      return redirect(Redirect::kMoved, owners_[slot]);
    }
    return Serve(request, keys, &data);
  }

  Response Serve(const Request& request, const std::vector<std::string>& keys,
                 std::map<std::string, std::string>* data) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    Response response;
    const std::string& key = keys.front();
    const auto found = data->find(key);
    switch (request.command) {
      case Command::kGet:
        if (random_() % 50 == 0) return WithStatus(absl::DeadlineExceededError("slow"));
        if (found == data->end()) return WithStatus(absl::NotFoundError(""));
        response.value = found->second;
        break;
      case Command::kMultiGet:
        for (const std::string& name : keys) {
          const auto it = data->find(name);
          if (it == data->end()) {
            response.values.emplace_back(absl::NotFoundError(""));
          } else {
            response.values.emplace_back(it->second);
          }
        }
        break;
      case Command::kSet:
        (*data)[key] = std::string(request.value);
        break;
      case Command::kDelete:
        response.count = data->erase(key);
        break;
      case Command::kIncrement:
        response.sum = (found == data->end() ? 0 : std::stoll(found->second)) + request.delta;
        (*data)[key] = absl::StrCat(response.sum);
        break;
      default:
        ADD_FAILURE();
    }
    return response;
  }

  // At once, or later and not in order.
  void Respond(Response response, Answer done) {
    {
      absl::MutexLock lock(&mu_);
      if (random_() % 3 != 0) {
        queue_.emplace_back(std::move(response), std::move(done));
        return;
      }
    }
    done(std::move(response));
  }

  void AnswerQueued() {
    const auto ready = [this]()
                           ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return ended_ || !queue_.empty(); };
    while (true) {
      std::pair<Response, Answer> next;
      {
        absl::MutexLock lock(&mu_);
        mu_.Await(absl::Condition(&ready));
        if (queue_.empty()) return;
        std::swap(queue_[random_() % queue_.size()], queue_.back());
        next = std::move(queue_.back());
        queue_.pop_back();
      }
      next.second(std::move(next.first));
    }
  }

  absl::Mutex mu_;
  std::mt19937_64 random_ ABSL_GUARDED_BY(mu_);
  std::map<Slot, uint32_t> owners_ ABSL_GUARDED_BY(mu_);  // of the slots that move
  std::map<Slot, uint32_t> moving_to_ ABSL_GUARDED_BY(mu_);
  std::map<Slot, int> asks_ ABSL_GUARDED_BY(mu_);  // that have not been followed yet
  std::map<uint32_t, std::map<std::string, std::string>> data_ ABSL_GUARDED_BY(mu_);
  uint64_t epoch_ ABSL_GUARDED_BY(mu_) = 1;
  SlotMap known_ ABSL_GUARDED_BY(mu_), old_ ABSL_GUARDED_BY(mu_);
  std::vector<std::pair<Response, Answer>> queue_ ABSL_GUARDED_BY(mu_);
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> answerers_;
};

using Model = std::map<std::string, std::string>;

// Writes and reads keys of its own, of which it knows what they hold.
class Caller {
 public:
  Caller(ClusterClient* client, int number, uint64_t seed)
      : client_(client), prefix_(absl::StrCat(number, ":")), random_(seed) {}

  void Step() {
    const std::string key = Key();
    const auto known = model_.find(key);
    switch (random_() % 6) {
      case 0: {
        const std::string value = absl::StrCat(random_() % 1000);
        ASSERT_THAT(client_->Set(key, value), IsOk());
        model_[key] = value;
        break;
      }
      case 1: {
        const auto existed = client_->Delete(key);
        ASSERT_THAT(existed, IsOk());
        EXPECT_EQ(*existed, model_.erase(key) != 0) << key;
        break;
      }
      case 2: {
        const auto sum = client_->Increment(key, 7);
        ASSERT_THAT(sum, IsOk());
        EXPECT_EQ(*sum, (known == model_.end() ? 0 : std::stoll(known->second)) + 7) << key;
        model_[key] = absl::StrCat(*sum);
        break;
      }
      case 3: {
        std::vector<std::string> keys;
        for (size_t i = random_() % 12; i > 0; --i) keys.push_back(Key());
        const auto values =
            client_->MultiGet(std::vector<std::string_view>(keys.begin(), keys.end()));
        for (size_t i = 0; i < keys.size(); ++i) Check(keys[i], values[i]);
        break;
      }
      default:
        Check(key, client_->Get(key));
    }
  }

  const Model& model() const { return model_; }

 private:
  std::string Key() {
    return absl::StrCat(kTags[random_() % kTags.size()], prefix_, random_() % 5);
  }

  void Check(const std::string& key, const absl::StatusOr<std::string>& value) {
    const auto known = model_.find(key);
    if (known == model_.end()) {
      EXPECT_THAT(value, HasCode(absl::StatusCode::kNotFound)) << key;
    } else {
      ASSERT_THAT(value, IsOk()) << key;
      EXPECT_EQ(*value, known->second) << key;
    }
  }

  ClusterClient* const client_;
  const std::string prefix_;
  std::mt19937_64 random_;
  Model model_;
};

TEST(ClusterClientMovesTest, NothingIsLostAndNothingIsStale) {
  constexpr int kCallers = 4;
  constexpr int kSteps = 4000;
  std::mt19937_64 random(TestSeed());
  MovingShards shards(random());
  ClusterClientOptions options;
  options.max_attempts = 1000;
  options.operation_timeout = absl::Minutes(10);
  options.min_refresh_interval = absl::Microseconds(50);
  options.refresh_period = absl::Milliseconds(1);
  options.sleep = [](absl::Duration) { absl::SleepFor(absl::Microseconds(20)); };
  auto client = ClusterClient::Create(std::make_unique<MapResolver>(shards.Endpoints()), options);
  ASSERT_THAT(client, IsOk());
  std::vector<Caller> callers;
  for (int i = 0; i < kCallers; ++i) callers.emplace_back(client->get(), i, random());
  std::atomic<int> running{kCallers};
  std::vector<std::thread> threads;
  for (Caller& caller : callers) {
    threads.emplace_back([&] {
      for (int step = 0; step < kSteps && !testing::Test::HasFailure(); ++step) caller.Step();
      --running;
    });
  }
  while (running > 0) {
    shards.MoveOne();
    std::this_thread::yield();
  }
  for (std::thread& thread : threads) thread.join();
  const ClusterClientStats stats = (*client)->GetStats();
  client->reset();
  Model expected;
  for (const Caller& caller : callers)
    expected.insert(caller.model().begin(), caller.model().end());
  EXPECT_EQ(shards.Everything(), expected);
  // All that it is to stand has happened.
  EXPECT_GT(stats.moved, 0u);
  EXPECT_GT(stats.asked, 0u);
  EXPECT_GT(stats.try_again, 0u);
  EXPECT_GT(stats.retries, 0u);
  EXPECT_GT(stats.refreshes, 1u);
  EXPECT_EQ(stats.timeouts, 0u);
  EXPECT_EQ(stats.gave_up, 0u);
}

}  // namespace
}  // namespace slotkv
