// The client against the shards of a real cluster.
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shard/scripted_endpoint.h"
#include "slotkv/cluster_client.h"
#include "tests/cluster_fixture.h"
#include "tests/test_support.h"
#include "tests/threads.h"

namespace slotkv {
namespace {

using testing::ElementsAre;

class ShardEndpointTest : public ClusterFixture {
 protected:
  ShardEndpointTest() { Open(); }

  void CreateClient() {
    auto client = ClusterClient::Create(MakeClusterResolver(cluster_.get()));
    ASSERT_THAT(client, IsOk());
    client_ = *std::move(client);
  }

  std::unique_ptr<ClusterClient> client_;
};

// A cluster's answers, for comparing: the code, and what else there is.
std::string Text(const absl::Status& status) { return status.ToString(); }
std::string ValueText(absl::Duration value) { return absl::FormatDuration(value); }
std::string ValueText(const std::string& value) { return value; }
std::string ValueText(const std::vector<HashField>& fields) {
  std::string text;
  for (const HashField& field : fields) absl::StrAppend(&text, field.name, "=", field.value, ";");
  return text;
}
template <typename T>
std::string ValueText(T value) {
  return absl::StrCat(value);
}
template <typename T>
std::string Text(const absl::StatusOr<T>& result) {
  return result.ok() ? "ok: " + ValueText(*result) : Text(result.status());
}

// Each call, of a cluster or a client, on one key.
template <typename Store>
std::vector<std::function<std::string(Store*, std::string_view)>> EveryCall() {
  using S = Store*;
  using K = std::string_view;
  SetOptions if_absent, with_ttl;
  if_absent.condition = SetCondition::kIfAbsent;
  with_ttl.ttl = absl::Seconds(30);
  SetOptions bad;
  bad.ttl = -absl::Seconds(1);
  HashSetOptions hash_ttl;
  hash_ttl.ttl = absl::Seconds(40);
  return {
      [](S s, K k) { return Text(s->Get(k)); },
      [](S s, K k) { return Text(s->Set(k, "5")); },
      [=](S s, K k) { return Text(s->Set(k, "6", if_absent)); },
      [=](S s, K k) { return Text(s->Set(k, "6", bad)); },
      [](S s, K k) { return Text(s->Get(k)); },
      [](S s, K k) { return Text(s->Exists(k)); },
      [](S s, K k) { return Text(s->Increment(k, -7)); },
      [](S s, K k) { return Text(s->Append(k, "0")); },
      [](S s, K k) { return Text(s->SetRange(k, 4, std::string_view("\0x", 2))); },
      [](S s, K k) { return Text(s->Get(k)); },
      [](S s, K k) { return Text(s->Increment(k, 1)); },
      [](S s, K k) { return Text(s->CompareAndSet(k, "other", "b")); },
      [](S s, K k) { return Text(s->CompareAndSet(k, std::string_view("-20\0\0x", 6), "b")); },
      [](S s, K k) { return Text(s->TimeToLive(k)); },
      [](S s, K k) { return Text(s->Expire(k, absl::Seconds(20))); },
      [](S s, K k) { return Text(s->TimeToLive(k)); },
      [](S s, K k) { return Text(s->GetAndTouch(k, absl::Seconds(10))); },
      [](S s, K k) { return Text(s->TimeToLive(k)); },
      [](S s, K k) { return Text(s->Persist(k)); },
      [](S s, K k) { return Text(s->Persist(k)); },
      [](S s, K k) { return Text(s->HashGet(k, "f")); },
      [](S s, K k) { return Text(s->Delete(k)); },
      [](S s, K k) { return Text(s->Delete(k)); },
      [](S s, K k) { return Text(s->Exists(k)); },
      [](S s, K k) { return Text(s->TimeToLive(k)); },
      [=](S s, K k) {
        return Text(s->HashSet(k, {{"f", "1"}, {"g", ""}}, hash_ttl));
      },
      [](S s, K k) {
        return Text(s->HashSet(k, {{"f", "2"}, {"h", "3"}}));
      },
      [](S s, K k) { return Text(s->TimeToLive(k)); },
      [](S s, K k) { return Text(s->HashGet(k, "f")); },
      [](S s, K k) { return Text(s->HashGet(k, "none")); },
      [](S s, K k) { return Text(s->HashGetAll(k)); },
      [](S s, K k) {
        return Text(s->HashDelete(k, {"f", "none"}));
      },
      [](S s, K k) { return Text(s->HashSet(k, {})); },
      [](S s, K k) { return Text(s->HashGetAll(k)); },
      [](S s, K k) { return Text(s->Get(k)); },
      [=](S s, K k) {
        WriteBatch batch;
        batch.Set(k, "of a batch", with_ttl);
        batch.Set(absl::StrCat(std::string(k), "2"), "2");
        return Text(s->Write(batch));
      },
      [](S s, K k) { return Text(s->TimeToLive(k)); },
      [](S s, K k) {
        WriteBatch batch;
        batch.Set(k, "refused");
        batch.Delete("{of another slot}");
        return Text(s->Write(batch));
      },
      [](S s, K k) {
        const std::string second = absl::StrCat(std::string(k), "2");
        const std::string none = absl::StrCat(std::string(k), "3");
        std::string text;
        for (const auto& value : s->MultiGet({second, k, "elsewhere", none, k})) {
          absl::StrAppend(&text, Text(value), "\n");
        }
        return text;
      },
      [](S s, K) { return Text(s->Get(std::string(kMaxKeyBytes + 1, 'k'))); },
  };
}

TEST_F(ShardEndpointTest, EveryCallAnswersAsTheClusterDoes) {
  CreateClient();
  ASSERT_THAT(cluster_->Set("elsewhere", "e"), IsOk());
  const auto of_cluster = EveryCall<Cluster>();
  const auto of_client = EveryCall<ClusterClient>();
  for (const std::string_view tag : {"{06S}", "{450}", "{6ZJ}"}) {
    for (size_t i = 0; i < of_cluster.size(); ++i) {
      SCOPED_TRACE(i);
      const std::string expected =
          of_cluster[i](cluster_.get(), absl::StrCat(std::string(tag), "a"));
      EXPECT_EQ(of_client[i](client_.get(), absl::StrCat(std::string(tag), "b")), expected);
    }
  }
  const ClusterClientStats stats = client_->GetStats();
  EXPECT_EQ(stats.moved, 0u);
  EXPECT_EQ(stats.epoch, cluster_->GetTopology().epoch());
}

TEST_F(ShardEndpointTest, BuffersAreReused) {
  CreateClient();
  const std::string long_value(200, 'v');
  ASSERT_THAT(client_->Set("{a}1", long_value), IsOk());
  std::string value(1000, 'x');
  const char* const buffer = value.data();
  EXPECT_THAT(client_->Get("{a}1", &value), IsOk());
  EXPECT_EQ(value, long_value);
  EXPECT_EQ(value.data(), buffer);
  EXPECT_THAT(client_->Get("none", &value), IsMissing());
  EXPECT_EQ(value, long_value);
  EXPECT_EQ(value.data(), buffer);
}

// Fetches give an older map, of which each slot's owner is wrong.
class Misinformed final : public Endpoint {
 public:
  Misinformed(std::shared_ptr<Endpoint> endpoint, int shards)
      : endpoint_(std::move(endpoint)), shards_(static_cast<uint32_t>(shards)) {}

  void Execute(const Request& request, Answer done) override {
    endpoint_->Execute(request, std::move(done));
  }
  void FetchSlots(MapAnswer done) override {
    endpoint_->FetchSlots([this, done = std::move(done)](absl::StatusOr<SlotMap> map) mutable {
      ASSERT_THAT(map, IsOk());
      for (SlotMap::Part& part : map->parts) {
        part.shard = ShardId(part.shard.value() % shards_ + 1);
      }
      done(std::move(map));
    });
  }

 private:
  const std::shared_ptr<Endpoint> endpoint_;
  const uint32_t shards_;
};

TEST_F(ShardEndpointTest, AWrongMapIsPutRightByRedirects) {
  MapResolver::Endpoints endpoints;
  const Topology topology = cluster_->GetTopology();
  for (const ShardInfo& shard : topology.shards()) {
    endpoints[shard.id] =
        std::make_shared<Misinformed>(MakeShardEndpoint(*cluster_->shard(shard.id)), 3);
  }
  ClusterClientOptions options;
  options.min_refresh_interval = absl::InfiniteDuration();
  auto client = ClusterClient::Create(std::make_unique<MapResolver>(endpoints), options);
  ASSERT_THAT(client, IsOk());
  constexpr int kKeys = 300;
  OnThreads(4, [&](int thread) {
    for (int i = 0; i < kKeys; ++i) {
      EXPECT_THAT((*client)->Set(absl::StrCat(thread, ":", i), absl::StrCat(i)), IsOk());
    }
  });
  const uint64_t moved = (*client)->GetStats().moved;
  EXPECT_GE(moved, uint64_t{4 * kKeys} / 2);
  for (int thread = 0; thread < 4; ++thread) {
    for (int i = 0; i < kKeys; ++i) {
      const std::string key = absl::StrCat(thread, ":", i);
      EXPECT_THAT((*client)->Get(key), HoldsValue(absl::StrCat(i)));
      EXPECT_EQ((*client)->OwnerOf(SlotForKey(key)), topology.OwnerOf(SlotForKey(key)));
    }
  }
  EXPECT_EQ((*client)->GetStats().moved, moved) << "what was learned is known";
  EXPECT_EQ((*client)->GetStats().gave_up, 0u);
}

TEST_F(ShardEndpointTest, AClosedClusterIsCancelled) {
  CreateClient();
  ASSERT_THAT(cluster_->Close(), IsOk());
  EXPECT_THAT(client_->Get("foo"), HasError(absl::StatusCode::kCancelled, "closed"));
  EXPECT_THAT(client_->Set("foo", "v"), HasCode(absl::StatusCode::kCancelled));
  EXPECT_THAT(client_->MultiGet({"foo", "bar", "{foo}"}),
              testing::Each(HasCode(absl::StatusCode::kCancelled)));
  EXPECT_THAT(client_->Refresh(), HasError(absl::StatusCode::kUnavailable, "closed"));
  EXPECT_THAT(ClusterClient::Create(MakeClusterResolver(cluster_.get())),
              HasCode(absl::StatusCode::kUnavailable));
}

TEST_F(ShardEndpointTest, AnEndpointAnswersForItsShardAlone) {
  const std::shared_ptr<Endpoint> first = MakeShardEndpoint(*cluster_->shard(ShardId(1)));
  const auto ask = [&](const Request& request) {
    Response answer;
    bool answered = false;
    first->Execute(request, [&](Response response) {
      answer = std::move(response);
      answered = true;
    });
    EXPECT_TRUE(answered);
    return answer;
  };
  Request get;
  get.key = "{6ZJ}";
  get.slot = 16383;
  std::string spare = "as it was";
  get.spare = &spare;
  EXPECT_EQ(GetRedirect(ask(get).status), (Redirect{Redirect::kMoved, 16383, ShardId(3)}));
  EXPECT_EQ(spare, "as it was");
  // What concerns a whole request is its status.
  Request multi_get;
  multi_get.command = Command::kMultiGet;
  const std::vector<std::string_view> foreign = {"{6ZJ}", "{6ZJ}2"}, mixed = {"{06S}", "{6ZJ}"};
  multi_get.names = foreign;
  EXPECT_EQ(GetRedirect(ask(multi_get).status), (Redirect{Redirect::kMoved, 16383, ShardId(3)}));
  multi_get.names = mixed;
  EXPECT_THAT(ask(multi_get).values,
              testing::Each(HasError(absl::StatusCode::kInvalidArgument, "CROSSSLOT")));
  Request hash_get;
  hash_get.command = Command::kHashGet;
  hash_get.key = "{06S}";
  hash_get.names = mixed;
  EXPECT_THAT(ask(hash_get).status, HasError(absl::StatusCode::kInvalidArgument, "one field"));
}

}  // namespace
}  // namespace slotkv
