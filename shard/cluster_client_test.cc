// The client against endpoints that answer by a script.
#include "slotkv/cluster_client.h"

#include <atomic>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shard/scripted_endpoint.h"
#include "slotkv/redirect.h"
#include "tests/test_support.h"
#include "tests/threads.h"

namespace slotkv {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::Ge;
using testing::Le;

// Three shards; the first owns all slots, and has the map. No pause takes any time.
class ClusterClientTest : public testing::Test {
 protected:
  ClusterClientTest() {
    options_.min_refresh_interval = absl::ZeroDuration();
    options_.operation_timeout = absl::Minutes(10);
    options_.sleep = [this](absl::Duration pause) {
      absl::MutexLock lock(&mu_);
      pauses_.push_back(pause);
    };
    for (uint32_t shard = 1; shard <= 3; ++shard) {
      endpoints_.push_back(std::make_shared<ScriptedEndpoint>());
      At(shard).GiveMap(AllOwnedBy(1));
      At(shard).AnswerWith([shard](const Request&) { return WithValue(absl::StrCat(shard)); });
    }
  }

  ScriptedEndpoint& At(uint32_t shard) { return *endpoints_[shard - 1]; }

  absl::StatusOr<std::unique_ptr<ClusterClient>> TryCreate() {
    MapResolver::Endpoints endpoints;
    for (uint32_t shard = 1; shard <= 3; ++shard) {
      endpoints[ShardId(shard)] = endpoints_[shard - 1];
    }
    return ClusterClient::Create(std::make_unique<MapResolver>(endpoints, resolve_error_),
                                 options_);
  }
  void Create() {
    auto client = TryCreate();
    ASSERT_THAT(client, IsOk());
    client_ = *std::move(client);
    for (const auto& endpoint : endpoints_) endpoint->fetches = 0;
  }

  int Fetches() {
    int fetches = 0;
    for (const auto& endpoint : endpoints_) fetches += endpoint->fetches;
    return fetches;
  }
  // Each shard answers by one function of the request and its number.
  template <typename F>
  void AllAnswerWith(F answer) {
    for (uint32_t shard = 1; shard <= 3; ++shard) {
      At(shard).AnswerWith([=](const Request& request) { return answer(shard, request); });
    }
  }

  std::vector<absl::Duration> Pauses() {
    absl::MutexLock lock(&mu_);
    return pauses_;
  }

  std::vector<std::shared_ptr<ScriptedEndpoint>> endpoints_;
  absl::Status resolve_error_ = absl::NotFoundError("no such");
  ClusterClientOptions options_;
  std::unique_ptr<ClusterClient> client_;

 private:
  absl::Mutex mu_;
  std::vector<absl::Duration> pauses_ ABSL_GUARDED_BY(mu_);
};

MATCHER_P(Holds, value, "") {
  *result_listener << StatusOf(arg);
  return arg.ok() && *arg == value;
}

const Slot kFoo = 12182;  // "foo"

// ---- Redirects ----

TEST_F(ClusterClientTest, AsksTheOwnerWithTheSlot) {
  At(1).GiveMap(SlotMap{Epoch(3), {{{0, 12181}, ShardId(1)}, {{12182, 16383}, ShardId(2)}}});
  Create();
  AllAnswerWith([](uint32_t shard, const Request& request) {
    EXPECT_EQ(request.slot, SlotForKey(request.key));
    EXPECT_FALSE(request.asking);
    return WithValue(absl::StrCat(shard, ":", std::string(request.key)));
  });
  EXPECT_THAT(client_->Get("foo"), Holds("2:foo"));
  EXPECT_THAT(client_->Get(""), Holds("1:"));
  EXPECT_EQ(client_->OwnerOf(12181), ShardId(1));
  EXPECT_EQ(client_->OwnerOf(12182), ShardId(2));
  EXPECT_EQ(client_->GetStats().epoch, Epoch(3));
  EXPECT_EQ(Fetches(), 0);
}

TEST_F(ClusterClientTest, FollowsMovedAndRemembersIt) {
  Create();
  AllAnswerWith([](uint32_t shard, const Request& request) {
    if (shard == 2 || request.slot != kFoo) return WithValue(absl::StrCat(shard));
    return WithRedirect(Redirect::kMoved, kFoo, 2);
  });
  // No newer map is to be had: what is remembered is what the redirect has said.
  for (uint32_t shard = 1; shard <= 3; ++shard) At(shard).GiveMap(absl::UnavailableError("no"));
  EXPECT_THAT(client_->Get("foo"), Holds("2"));
  EXPECT_EQ(Fetches(), 1);
  EXPECT_THAT(client_->Get("foo"), Holds("2"));
  EXPECT_EQ(At(1).requests, 1);
  EXPECT_EQ(At(2).requests, 2);
  EXPECT_EQ(client_->OwnerOf(kFoo), ShardId(2));
  EXPECT_EQ(client_->OwnerOf(kFoo + 1), ShardId(1));
  EXPECT_EQ(client_->GetStats().moved, 1u);
  EXPECT_EQ(client_->GetStats().failed_refreshes, 1u);
  EXPECT_THAT(Pauses(), ElementsAre());
}

TEST_F(ClusterClientTest, MovedBringsTheWholeMap) {
  Create();
  At(1).AnswerWith([](const Request&) { return WithRedirect(Redirect::kMoved, kFoo, 2); });
  for (uint32_t shard = 1; shard <= 3; ++shard) At(shard).GiveMap(AllOwnedBy(2, 2));
  EXPECT_THAT(client_->Get("foo"), Holds("2"));
  EXPECT_EQ(client_->GetStats().epoch, Epoch(2));
  EXPECT_THAT(client_->Get("bar"), Holds("2"));
  EXPECT_EQ(At(1).requests, 1);
  EXPECT_EQ(Fetches(), 1);
}

TEST_F(ClusterClientTest, ALoopOfMovedEndsWithAClearError) {
  options_.max_attempts = 6;
  options_.first_pause = absl::Milliseconds(1);
  options_.max_pause = absl::Milliseconds(3);
  Create();
  AllAnswerWith([](uint32_t shard, const Request&) {
    return WithRedirect(Redirect::kMoved, kFoo, 3 - shard);
  });
  const absl::Status status = client_->Set("foo", "v");
  EXPECT_THAT(status, HasError(absl::StatusCode::kUnavailable, "gave up after 6 attempts"));
  EXPECT_THAT(status, HasError(absl::StatusCode::kUnavailable, "MOVED 12182 shard-1"));
  EXPECT_FALSE(GetRedirect(status).has_value());
  EXPECT_EQ(At(1).requests + At(2).requests, 6);
  EXPECT_EQ(client_->GetStats().gave_up, 1u);
  // After the first two redirects.
  const auto about = [](double milliseconds) {
    return AllOf(Ge(absl::Milliseconds(milliseconds / 2)), Le(absl::Milliseconds(milliseconds)));
  };
  EXPECT_THAT(Pauses(), ElementsAre(about(1), about(2), about(3)));
}

TEST_F(ClusterClientTest, AskIsFollowedOnceAndNotRemembered) {
  Create();
  At(1).AnswerWith([](const Request& request) {
    EXPECT_FALSE(request.asking);
    return WithRedirect(Redirect::kAsk, kFoo, 2);
  });
  At(2).AnswerWith([](const Request& request) {
    if (request.asking) return WithValue("asked");
    ADD_FAILURE() << "not marked";
    return WithRedirect(Redirect::kMoved, kFoo, 1);
  });
  for (int i = 1; i <= 2; ++i) {
    EXPECT_THAT(client_->Get("foo"), Holds("asked"));
    EXPECT_EQ(At(1).requests, i);
    EXPECT_EQ(At(2).asking, i);
  }
  EXPECT_EQ(client_->OwnerOf(kFoo), ShardId(1));
  EXPECT_EQ(client_->GetStats().asked, 2u);
  EXPECT_EQ(client_->GetStats().moved, 0u);
  EXPECT_EQ(Fetches(), 0) << "ASK is no reason to fetch the map";
}

// MOVED, ASK, and from there TRYAGAIN: back to the owner, and no longer marked.
TEST_F(ClusterClientTest, TryAgainAfterAskBeginsAtTheOwner) {
  Create();
  for (uint32_t shard = 1; shard <= 3; ++shard) At(shard).GiveMap(AllOwnedBy(2, 2));
  At(1).AnswerWith([](const Request&) { return WithRedirect(Redirect::kMoved, kFoo, 2); });
  At(2).AnswerWith([](const Request& request) {
    EXPECT_FALSE(request.asking);
    return WithRedirect(Redirect::kAsk, kFoo, 3);
  });
  At(3).AnswerWith([this](const Request& request) {
    EXPECT_TRUE(request.asking);
    if (At(3).requests < 3) return WithRedirect(Redirect::kTryAgain, kFoo, 3);
    return WithValue("3");
  });
  EXPECT_THAT(client_->Get("foo"), Holds("3"));
  EXPECT_EQ(At(1).requests, 1);
  EXPECT_EQ(At(2).requests, 3);
  EXPECT_EQ(client_->GetStats().try_again, 2u);
  EXPECT_GE(Pauses().size(), 2u);
}

TEST_F(ClusterClientTest, AbortedWithoutARedirectIsAnAnswer) {
  Create();
  At(1).AnswerWith([](const Request&) { return WithStatus(absl::AbortedError("other")); });
  EXPECT_THAT(client_->Get("foo"), HasError(absl::StatusCode::kAborted, "other"));
  EXPECT_EQ(At(1).requests, 1);
}

TEST_F(ClusterClientTest, ARedirectToAShardThatNobodyKnowsIsTriedAgainByTheMap) {
  Create();
  At(1).AnswerWith([this](const Request&) {
    return At(1).requests == 1 ? WithRedirect(Redirect::kMoved, kFoo, 99) : WithValue("1");
  });
  EXPECT_THAT(client_->Get("foo"), Holds("1"));
  EXPECT_EQ(client_->OwnerOf(kFoo), ShardId(1));
  EXPECT_EQ(Pauses().size(), 1u);
}

// ---- Errors ----

TEST_F(ClusterClientTest, UnavailableIsTriedAgainWhereTheMapNowSays) {
  Create();
  At(1).AnswerWith([](const Request&) { return WithStatus(absl::UnavailableError("down")); });
  for (uint32_t shard = 1; shard <= 3; ++shard) At(shard).GiveMap(AllOwnedBy(3, 2));
  EXPECT_THAT(client_->Set("foo", "v"), IsOk());
  EXPECT_EQ(At(1).requests, 1);
  EXPECT_EQ(At(3).requests, 1);
  EXPECT_EQ(client_->GetStats().retries, 1u);
  EXPECT_EQ(Pauses().size(), 1u);
}

TEST_F(ClusterClientTest, UnavailableForeverIsUnavailable) {
  Create();
  At(1).AnswerWith([](const Request&) { return WithStatus(absl::UnavailableError("down")); });
  EXPECT_THAT(client_->Set("foo", "v"),
              HasError(absl::StatusCode::kUnavailable, "after 16 attempts"));
  EXPECT_EQ(At(1).requests, 16);
}

TEST_F(ClusterClientTest, PausesEndWithTheTimeout) {
  options_.operation_timeout = absl::Milliseconds(20);
  options_.first_pause = options_.max_pause = absl::Milliseconds(50);
  Create();
  At(1).AnswerWith([](const Request&) { return WithRedirect(Redirect::kTryAgain, kFoo, 1); });
  const absl::Status status = client_->Set("foo", "v");
  EXPECT_THAT(status, HasError(absl::StatusCode::kUnavailable, "no time is left"));
  EXPECT_THAT(status, HasError(absl::StatusCode::kUnavailable, "TRYAGAIN"));
  EXPECT_THAT(Pauses(), ElementsAre());
}

TEST_F(ClusterClientTest, ASlotWithoutOwnerIsClusterDown) {
  for (uint32_t shard = 1; shard <= 3; ++shard) {
    At(shard).GiveMap(SlotMap{Epoch(1), {{{0, 12181}, ShardId(1)}, {{12183, 16383}, ShardId(1)}}});
  }
  Create();
  EXPECT_EQ(client_->OwnerOf(kFoo), std::nullopt);
  EXPECT_THAT(client_->Get("foo"),
              HasError(absl::StatusCode::kUnavailable, "CLUSTERDOWN Hash slot not served"));
  EXPECT_EQ(Fetches(), 16);
  EXPECT_THAT(client_->Get("bar"), Holds("1"));
  for (uint32_t shard = 1; shard <= 3; ++shard) At(shard).GiveMap(AllOwnedBy(2, 2));
  EXPECT_THAT(client_->Get("foo"), Holds("2"));
}

TEST_F(ClusterClientTest, AWriteOfUnknownOutcomeIsNotSentAgain) {
  Create();
  At(1).AnswerWith([](const Request&) { return WithStatus(absl::DeadlineExceededError("who")); });
  EXPECT_THAT(client_->Set("foo", "v"), HasError(absl::StatusCode::kDeadlineExceeded, "who"));
  EXPECT_THAT(client_->Increment("foo", 1), HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(client_->GetAndTouch("foo", absl::Seconds(1)),
              HasCode(absl::StatusCode::kDeadlineExceeded));
  WriteBatch batch;
  batch.Set("foo", "v");
  EXPECT_THAT(client_->Write(batch), HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(At(1).requests, 4);
  // A read is.
  At(1).AnswerWith([this](const Request&) {
    return At(1).requests < 7 ? WithStatus(absl::DeadlineExceededError("who")) : WithValue("v");
  });
  EXPECT_THAT(client_->Get("foo"), Holds("v"));
  EXPECT_EQ(At(1).requests, 7);
}

TEST_F(ClusterClientTest, OtherErrorsAreAnswers) {
  Create();
  for (const auto code : {absl::StatusCode::kNotFound, absl::StatusCode::kFailedPrecondition,
                          absl::StatusCode::kResourceExhausted, absl::StatusCode::kDataLoss,
                          absl::StatusCode::kInvalidArgument, absl::StatusCode::kCancelled}) {
    At(1).requests = 0;
    At(1).AnswerWith([code](const Request&) { return WithStatus(absl::Status(code, "")); });
    EXPECT_THAT(client_->Set("foo", "v"), HasError(code, ""));
    EXPECT_EQ(At(1).requests, 1);
  }
  EXPECT_THAT(Pauses(), ElementsAre());
}

TEST_F(ClusterClientTest, EndpointsThatCannotBeHad) {
  resolve_error_ = absl::CancelledError("the cluster is closed");
  for (uint32_t shard = 1; shard <= 3; ++shard) At(shard).GiveMap(AllOwnedBy(7));
  Create();
  EXPECT_THAT(client_->Get("foo"), HasError(absl::StatusCode::kCancelled, "closed"));
  client_.reset();
  resolve_error_ = absl::NotFoundError("no shard-7");
  Create();
  EXPECT_THAT(client_->Get("foo"), HasError(absl::StatusCode::kUnavailable, "no shard-7"));
}

// ---- Answers that take their time ----

TEST_F(ClusterClientTest, NoAnswerIsAnUnknownOutcomeAndALateOneIsHarmless) {
  options_.operation_timeout = absl::Milliseconds(5);
  Create();
  At(1).on_execute = nullptr;
  EXPECT_THAT(client_->Set("foo", "v"),
              HasError(absl::StatusCode::kDeadlineExceeded, "shard-1 has not answered"));
  std::string value = "before";
  EXPECT_THAT(client_->Get("foo", &value), HasCode(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(client_->GetStats().timeouts, 2u);
  std::vector<Answer> late = At(1).AwaitUnanswered(2);
  late[0](WithValue("late"));
  client_.reset();
  late[1](WithValue("late"));
  EXPECT_EQ(value, "before");
}

TEST_F(ClusterClientTest, AnswersFromAnotherThread) {
  Create();
  At(1).on_execute = nullptr;
  constexpr int kCalls = 200;
  std::thread answerer([&] {
    for (int i = 0; i < kCalls; ++i) {
      for (Answer& answer : At(1).AwaitUnanswered(1)) answer(WithValue(absl::StrCat(i)));
    }
  });
  for (int i = 0; i < kCalls; ++i) EXPECT_THAT(client_->Get("foo"), Holds(absl::StrCat(i)));
  answerer.join();
}

// The buffer is the callers' once Execute has returned.
TEST_F(ClusterClientTest, AMissingKeyLeavesTheBufferAsItWas) {
  Create();
  std::string value = "as it was";
  At(1).AnswerWith([](const Request&) { return WithStatus(absl::NotFoundError("")); });
  EXPECT_THAT(client_->Get("foo", &value), HasCode(absl::StatusCode::kNotFound));
  EXPECT_EQ(value, "as it was");
  At(1).on_execute = nullptr;
  std::thread answerer([&] { At(1).AwaitUnanswered(1)[0](WithStatus(absl::NotFoundError(""))); });
  EXPECT_THAT(client_->Get("foo", &value), HasCode(absl::StatusCode::kNotFound));
  EXPECT_EQ(value, "as it was");
  answerer.join();
}

TEST_F(ClusterClientTest, ItsEndWaitsForRunningCalls) {
  options_.operation_timeout = absl::Hours(1);
  Create();
  At(1).on_execute = nullptr;
  for (uint32_t shard = 1; shard <= 3; ++shard) At(shard).on_fetch = nullptr;
  std::thread reader([&] { EXPECT_THAT(client_->Get("foo"), Holds("v")); });
  std::vector<Answer> get = At(1).AwaitUnanswered(1);
  absl::Notification refresh_ended;
  std::thread refresher([&] {
    // What waits for a map alone does not hold it up.
    EXPECT_THAT(client_->Refresh(), HasCode(absl::StatusCode::kCancelled));
    refresh_ended.Notify();
  });
  while (Fetches() == 0) std::this_thread::yield();
  std::atomic<bool> answered{false};
  std::thread destroyer([&] {
    client_.reset();
    EXPECT_TRUE(answered);
  });
  refresh_ended.WaitForNotification();
  answered = true;
  get[0](WithValue("v"));
  for (std::thread* thread : {&reader, &refresher, &destroyer}) thread->join();
  // Nobody is there to take it.
  for (uint32_t shard = 1; shard <= 3; ++shard) {
    for (MapAnswer& answer : At(shard).AwaitUnansweredFetches(0)) answer(AllOwnedBy(2, 9));
  }
}

// ---- Many keys ----

// Every request is on its way before the first answer, which comes last.
TEST_F(ClusterClientTest, MultiGetAsksForAllSlotsAtOnce) {
  At(1).GiveMap(SlotMap{Epoch(1), {{{0, 8000}, ShardId(1)}, {{8001, 16383}, ShardId(2)}}});
  Create();
  absl::Mutex mu;
  std::vector<std::pair<std::string, Answer>> asked;
  for (uint32_t shard = 1; shard <= 2; ++shard) {
    At(shard).on_execute = [&](const Request& request, Answer done) {
      EXPECT_EQ(request.command, Command::kGet);
      absl::MutexLock lock(&mu);
      asked.emplace_back(request.key, std::move(done));
    };
  }
  constexpr size_t kKeys = 500;
  std::vector<std::string> keys;
  std::vector<bool> seen(kSlotCount);
  for (int i = 0; keys.size() < kKeys; ++i) {
    std::string key = absl::StrCat("key:", i);
    if (seen[SlotForKey(key)]) continue;
    seen[SlotForKey(key)] = true;
    keys.push_back(std::move(key));
  }
  std::thread answerer([&] {
    const auto all = [&] { return asked.size() == kKeys; };
    absl::MutexLock lock(&mu);
    mu.Await(absl::Condition(&all));
    for (auto it = asked.rbegin(); it != asked.rend(); ++it)
      it->second(WithValue("of " + it->first));
  });
  const auto values = client_->MultiGet(std::vector<std::string_view>(keys.begin(), keys.end()));
  answerer.join();
  ASSERT_EQ(values.size(), kKeys);
  for (size_t i = 0; i < kKeys; ++i) EXPECT_THAT(values[i], Holds("of " + keys[i]));
}

TEST_F(ClusterClientTest, MultiGetSaysOfEachKeyWhatBecameOfIt) {
  Create();
  // {a}: two keys of one slot, one missing. {b}: moved. {c}: refused. "d": alone, missing.
  const Slot of_b = SlotForKey("b"), of_c = SlotForKey("c");
  AllAnswerWith([&](uint32_t shard, const Request& request) {
    if (request.slot == of_b && shard == 1) return WithRedirect(Redirect::kMoved, of_b, 2);
    if (request.slot == of_c) return WithStatus(absl::DataLossError("bad block"));
    if (request.command == Command::kGet) return WithStatus(absl::NotFoundError(""));
    Response response;
    for (const std::string_view name : request.names) {
      EXPECT_EQ(SlotForKey(name), request.slot);
      if (name == "{a}none") {
        response.values.emplace_back(absl::NotFoundError(""));
      } else {
        response.values.emplace_back(absl::StrCat(shard, ":", std::string(name)));
      }
    }
    return response;
  });
  const std::vector<std::string_view> keys = {"{b}1", "{a}1",    "{c}1", "{b}2",
                                              "d",    "{a}none", "{c}2", "{a}1"};
  std::vector<std::string> values(keys.size(), "before");
  std::vector<absl::Status> statuses(keys.size());
  client_->MultiGet(keys, absl::MakeSpan(values), absl::MakeSpan(statuses));
  EXPECT_THAT(values, ElementsAre("2:{b}1", "1:{a}1", "before", "2:{b}2", "before", "before",
                                  "before", "1:{a}1"));
  for (const size_t i : {0, 1, 3, 7}) EXPECT_THAT(statuses[i], IsOk());
  for (const size_t i : {2, 6}) EXPECT_THAT(statuses[i], HasCode(absl::StatusCode::kDataLoss));
  for (const size_t i : {4, 5}) EXPECT_THAT(statuses[i], HasCode(absl::StatusCode::kNotFound));
  EXPECT_EQ(client_->GetStats().moved, 1u);
  EXPECT_THAT(client_->MultiGet({}), testing::IsEmpty());
}

TEST_F(ClusterClientTest, AnAnswerForOtherKeysThanAskedIsRefused) {
  Create();
  EXPECT_THAT(client_->MultiGet({"{a}1", "{a}2"}),
              testing::Each(HasCode(absl::StatusCode::kInternal)));
}

TEST_F(ClusterClientTest, MultiGetOfAShardThatDoesNotAnswerLosesNoOthers) {
  options_.operation_timeout = absl::Milliseconds(5);
  At(1).GiveMap(SlotMap{Epoch(1), {{{0, 8000}, ShardId(1)}, {{8001, 16383}, ShardId(2)}}});
  Create();
  At(1).on_execute = nullptr;
  const auto values = client_->MultiGet({"foo", ""});
  EXPECT_THAT(values[0], Holds("2"));
  EXPECT_THAT(values[1], HasCode(absl::StatusCode::kDeadlineExceeded));
}

TEST_F(ClusterClientTest, ABatchGoesToTheOwnerOfItsFirstKey) {
  Create();
  At(1).AnswerWith([](const Request& request) {
    EXPECT_EQ(request.slot, kFoo);
    EXPECT_EQ(request.batch->size(), 2u);
    EXPECT_TRUE(request.batch->entry(0).is_set);
    EXPECT_EQ(request.batch->entry(0).key, "foo");
    EXPECT_EQ(request.batch->entry(0).value, "v");
    EXPECT_EQ(request.batch->entry(0).options.ttl, absl::Seconds(3));
    EXPECT_FALSE(request.batch->entry(1).is_set);
    EXPECT_EQ(request.batch->entry(1).key, "bar");
    return WithStatus(absl::InvalidArgumentError("CROSSSLOT"));
  });
  SetOptions options;
  options.ttl = absl::Seconds(3);
  WriteBatch batch;
  EXPECT_THAT(client_->Write(batch), IsOk());
  EXPECT_EQ(At(1).requests, 0);
  batch.Set("foo", "v", options);
  batch.Delete("bar");
  EXPECT_THAT(client_->Write(batch), HasError(absl::StatusCode::kInvalidArgument, "CROSSSLOT"));
}

// ---- The slot map ----

TEST_F(ClusterClientTest, ManyThreadsThatMeetMovedFetchTheMapOnce) {
  Create();
  constexpr int kThreads = 32;
  At(1).on_execute = nullptr;
  for (uint32_t shard = 1; shard <= 3; ++shard) At(shard).on_fetch = nullptr;
  std::thread answerer([&] {
    std::vector<Answer> waiting;
    while (waiting.size() < kThreads) {
      for (Answer& answer : At(1).AwaitUnanswered(1)) waiting.push_back(std::move(answer));
    }
    for (Answer& answer : waiting) answer(WithRedirect(Redirect::kMoved, kFoo, 2));
  });
  // The map stays on its way until all have gone on without it.
  OnThreads(kThreads, [&](int) { EXPECT_THAT(client_->Get("foo"), Holds("2")); });
  answerer.join();
  EXPECT_EQ(Fetches(), 1);
  EXPECT_EQ(At(2).requests, kThreads);
  EXPECT_EQ(client_->GetStats().moved, uint64_t{kThreads});
  EXPECT_EQ(client_->GetStats().refreshes, 1u);
  for (uint32_t shard = 1; shard <= 3; ++shard) {
    for (MapAnswer& answer : At(shard).AwaitUnansweredFetches(0)) answer(AllOwnedBy(2, 2));
  }
  EXPECT_EQ(client_->GetStats().refreshes, 2u);
  EXPECT_EQ(client_->OwnerOf(0), ShardId(2));
}

TEST_F(ClusterClientTest, FetchesThatAnswersCauseAreNotMoreFrequentThanAllowed) {
  options_.min_refresh_interval = absl::Hours(1);
  Create();
  AllAnswerWith([](uint32_t shard, const Request& request) {
    if (shard == 2) return WithValue("2");
    return WithRedirect(Redirect::kMoved, request.slot, 2);
  });
  for (int i = 0; i < 100; ++i) EXPECT_THAT(client_->Get(absl::StrCat(i)), Holds("2"));
  EXPECT_EQ(Fetches(), 1);
  EXPECT_THAT(client_->Refresh(), IsOk());
  EXPECT_EQ(Fetches(), 2);
}

TEST_F(ClusterClientTest, AnOlderMapIsNotTaken) {
  At(1).GiveMap(AllOwnedBy(1, 5));
  Create();
  for (uint32_t shard = 1; shard <= 3; ++shard) At(shard).GiveMap(AllOwnedBy(2, 4));
  EXPECT_THAT(client_->Refresh(), HasError(absl::StatusCode::kUnavailable, "4 is older than 5"));
  EXPECT_EQ(Fetches(), 3) << "all are asked";
  EXPECT_EQ(client_->OwnerOf(0), ShardId(1));
  EXPECT_EQ(client_->GetStats().epoch, Epoch(5));
  At(3).GiveMap(AllOwnedBy(2, 6));
  EXPECT_THAT(client_->Refresh(), IsOk());
  EXPECT_EQ(client_->OwnerOf(0), ShardId(2));
}

// What a redirect says after the map was read is newer than the map, and then older than the next.
TEST_F(ClusterClientTest, AMapOnItsWayDoesNotUndoACorrection) {
  Create();
  for (uint32_t shard = 1; shard <= 3; ++shard) At(shard).on_fetch = nullptr;
  At(1).AnswerWith([](const Request&) { return WithRedirect(Redirect::kMoved, kFoo, 2); });
  std::thread refresher([&] { EXPECT_THAT(client_->Refresh(), IsOk()); });
  while (Fetches() == 0) std::this_thread::yield();
  EXPECT_THAT(client_->Get("foo"), Holds("2"));
  for (uint32_t shard = 1; shard <= 3; ++shard) {
    for (MapAnswer& answer : At(shard).AwaitUnansweredFetches(0)) answer(AllOwnedBy(3, 2));
  }
  refresher.join();
  EXPECT_EQ(client_->OwnerOf(kFoo), ShardId(2));
  EXPECT_EQ(client_->OwnerOf(kFoo + 1), ShardId(3));
  for (uint32_t shard = 1; shard <= 3; ++shard) At(shard).GiveMap(AllOwnedBy(3, 3));
  EXPECT_THAT(client_->Refresh(), IsOk());
  EXPECT_EQ(client_->OwnerOf(kFoo), ShardId(3));
}

// The map that the redirect has contradicted: whoever gives it again does not know of the change.
TEST_F(ClusterClientTest, AMapThatIsNotNewerDoesNotUndoACorrectionThatHolds) {
  Create();
  At(1).AnswerWith([](const Request&) { return WithRedirect(Redirect::kMoved, kFoo, 2); });
  EXPECT_THAT(client_->Get("foo"), Holds("2"));
  EXPECT_THAT(client_->Refresh(), IsOk());
  EXPECT_EQ(client_->OwnerOf(kFoo), ShardId(2));
  // It does if the owner that the redirect has named is not there.
  At(1).AnswerWith([](const Request&) { return WithValue("1"); });
  At(2).AnswerWith([](const Request&) { return WithStatus(absl::UnavailableError("down")); });
  EXPECT_THAT(client_->Get("foo"), Holds("1"));
  EXPECT_EQ(client_->OwnerOf(kFoo), ShardId(1));
}

TEST_F(ClusterClientTest, AFetchThatIsNotAnsweredIsPassedOver) {
  options_.operation_timeout = absl::Milliseconds(400);  // a fourth of which a fetch has
  Create();
  At(2).on_fetch = nullptr;
  At(1).GiveMap(AllOwnedBy(3, 7));
  At(3).GiveMap(AllOwnedBy(3, 7));
  for (int i = 0; i < 3; ++i) EXPECT_THAT(client_->Refresh(), IsOk());
  EXPECT_EQ(client_->OwnerOf(0), ShardId(3));
  // The late one was asked before the map that is there.
  std::vector<MapAnswer> late = At(2).AwaitUnansweredFetches(1);
  for (MapAnswer& answer : late) answer(AllOwnedBy(1, 7));
  EXPECT_EQ(client_->OwnerOf(0), ShardId(3));
}

TEST_F(ClusterClientTest, MapsThatMakeNoSenseAreRefused) {
  Create();
  const std::vector<std::pair<SlotMap, const char*>> bad = {
      {{Epoch(2), {{{5, 4}, ShardId(2)}}}, "range 5 to 4"},
      {{Epoch(2), {{{0, 16384}, ShardId(2)}}}, "range 0 to 16384"},
      {{Epoch(2), {{{0, 7}, ShardId(2)}, {{7, 9}, ShardId(3)}}}, "slot 7 twice"},
  };
  for (const auto& [map, text] : bad) {
    for (uint32_t shard = 1; shard <= 3; ++shard) At(shard).GiveMap(map);
    EXPECT_THAT(client_->Refresh(), HasError(absl::StatusCode::kUnavailable, text));
    EXPECT_EQ(client_->OwnerOf(0), ShardId(1));
    EXPECT_EQ(client_->GetStats().epoch, Epoch(1));
  }
}

TEST_F(ClusterClientTest, TheFirstMapComesFromAnySeed) {
  At(1).GiveMap(absl::UnavailableError("down"));
  At(2).GiveMap(absl::UnavailableError("down too"));
  ASSERT_THAT(TryCreate(), IsOk());
  At(3).GiveMap(absl::UnavailableError("all are down"));
  EXPECT_THAT(TryCreate(), HasError(absl::StatusCode::kUnavailable, "all are down"));
  EXPECT_THAT(ClusterClient::Create(std::make_unique<MapResolver>(MapResolver::Endpoints{})),
              HasCode(absl::StatusCode::kUnavailable));
}

TEST_F(ClusterClientTest, FetchesTheMapPeriodically) {
  options_.refresh_period = absl::Microseconds(100);
  Create();
  while (Fetches() < 5) std::this_thread::yield();
  // Its end is the thread's.
  client_.reset();
}

// A fetch that began earlier may bring what was true before the call.
TEST_F(ClusterClientTest, ARefreshCountsOnlyWhatBeginsAfterIt) {
  Create();
  for (uint32_t shard = 1; shard <= 3; ++shard) At(shard).on_fetch = nullptr;
  At(1).AnswerWith([](const Request&) { return WithRedirect(Redirect::kMoved, kFoo, 2); });
  EXPECT_THAT(client_->Get("foo"), Holds("2"));
  const auto answer_next = [&](uint32_t owner) {
    while (true) {
      for (uint32_t shard = 1; shard <= 3; ++shard) {
        for (MapAnswer& answer : At(shard).AwaitUnansweredFetches(0)) {
          answer(AllOwnedBy(owner));
          return;
        }
      }
      std::this_thread::yield();
    }
  };
  ASSERT_EQ(Fetches(), 1);
  std::thread refresher([&] {
    EXPECT_THAT(client_->Refresh(), IsOk());
    EXPECT_EQ(client_->OwnerOf(0), ShardId(3));
  });
  answer_next(1);
  answer_next(3);
  refresher.join();
  EXPECT_EQ(Fetches(), 2);
}

TEST_F(ClusterClientTest, OptionsAreChecked) {
  const auto refused = [&](auto change, const char* name) {
    const ClusterClientOptions before = options_;
    change(&options_);
    EXPECT_THAT(TryCreate(), HasError(absl::StatusCode::kInvalidArgument, name));
    options_ = before;
  };
  using O = ClusterClientOptions*;
  refused([](O o) { o->operation_timeout = absl::Microseconds(999); }, "operation_timeout");
  refused([](O o) { o->operation_timeout = absl::Hours(2); }, "operation_timeout");
  refused([](O o) { o->max_attempts = 0; }, "max_attempts");
  refused([](O o) { o->max_attempts = 1001; }, "max_attempts");
  refused([](O o) { o->first_pause = absl::ZeroDuration(); }, "first_pause");
  refused([](O o) { o->max_pause = absl::Minutes(2); }, "max_pause");
  refused([](O o) { o->min_refresh_interval = -absl::Seconds(1); }, "min_refresh_interval");
  refused([](O o) { o->refresh_period = absl::ZeroDuration(); }, "refresh_period");
}

}  // namespace
}  // namespace slotkv
