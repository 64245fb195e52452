// GetOrLoad by one thread: a loader may itself do what others would do meanwhile. (tests/ has the
// same with many threads.)
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/test_hook.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

using Loaded = absl::StatusOr<std::string>;

class KeyspaceLoadTest : public ClusterFixture {
 protected:
  void SetUp() override { Open(); }

  // A GetOrLoad whose loader first does `meanwhile` and then has `loaded`.
  Loaded Load(
      std::string_view key, const Loaded& loaded, const std::function<void()>& meanwhile = [] {},
      const LoadOptions& options = {}) {
    return cluster_->GetOrLoad(
        key,
        [&](std::string_view asked) -> Loaded {
          EXPECT_EQ(asked, key);
          ++loads_;
          meanwhile();
          return loaded;
        },
        options);
  }

  int loads_ = 0;
};

TEST_F(KeyspaceLoadTest, LoadsWhatIsMissingAndKeepsIt) {
  EXPECT_THAT(Load("k", "loaded"), HoldsValue("loaded"));
  EXPECT_EQ(loads_, 1);
  EXPECT_THAT(cluster_->Get("k"), HoldsValue("loaded"));
  EXPECT_THAT(cluster_->TimeToLive("k"), HoldsValue(absl::InfiniteDuration()));
  EXPECT_THAT(Load("k", "other"), HoldsValue("loaded"));
  EXPECT_EQ(loads_, 1);
  Open();
  EXPECT_THAT(Load("k", "other"), HoldsValue("loaded"));
  EXPECT_EQ(loads_, 1);
  ASSERT_THAT(cluster_->Delete("k"), HoldsValue(true));
  EXPECT_THAT(Load("k", ""), HoldsValue("")) << "an empty value is one";
  EXPECT_THAT(Load("k", "other"), HoldsValue(""));
  EXPECT_EQ(loads_, 2);
  EXPECT_THAT(Load("", "of the empty key"), HoldsValue("of the empty key"));
  EXPECT_THAT(cluster_->Get(""), HoldsValue("of the empty key"));
}

TEST_F(KeyspaceLoadTest, WhatIsLoadedExpires) {
  LoadOptions options;
  options.ttl = absl::Seconds(5);
  EXPECT_THAT(Load(
                  "k", "1", [] {}, options),
              HoldsValue("1"));
  EXPECT_THAT(cluster_->TimeToLive("k"), HoldsValue(absl::Seconds(5)));
  clock_->Advance(absl::Seconds(4));
  EXPECT_THAT(Load(
                  "k", "2", [] {}, options),
              HoldsValue("1"));
  EXPECT_THAT(cluster_->TimeToLive("k"), HoldsValue(absl::Seconds(1))) << "a hit is no touch";
  clock_->Advance(absl::Seconds(1));
  // It lives from when it was stored.
  EXPECT_THAT(Load(
                  "k", "3", [&] { clock_->Advance(absl::Seconds(2)); }, options),
              HoldsValue("3"));
  EXPECT_THAT(cluster_->TimeToLive("k"), HoldsValue(absl::Seconds(5)));
  EXPECT_EQ(loads_, 2);
  options_.default_ttl = absl::Seconds(7);
  Open();
  EXPECT_THAT(Load("default", "4"), HoldsValue("4"));
  EXPECT_THAT(cluster_->TimeToLive("default"), HoldsValue(absl::Seconds(7)));
}

TEST_F(KeyspaceLoadTest, RefusesWrongOptionsAndKeys) {
  LoadOptions options;
  options.ttl = absl::ZeroDuration();
  EXPECT_THAT(Load(
                  "k", "v", [] {}, options),
              HasError(absl::StatusCode::kInvalidArgument, "LoadOptions.ttl"));
  options = LoadOptions();
  options.wait_timeout = absl::Nanoseconds(-1);
  EXPECT_THAT(Load(
                  "k", "v", [] {}, options),
              HasError(absl::StatusCode::kInvalidArgument, "LoadOptions.wait_timeout"));
  EXPECT_THAT(Load(std::string(kMaxKeyBytes + 1, 'k'), "v"),
              HasError(absl::StatusCode::kInvalidArgument, "a key of 65537 bytes"));
  EXPECT_EQ(loads_, 0);
  for (const absl::Duration timeout : {absl::ZeroDuration(), absl::InfiniteDuration()}) {
    options.wait_timeout = timeout;
    EXPECT_THAT(Load(
                    absl::FormatDuration(timeout), "v", [] {}, options),
                HoldsValue("v"));
  }
}

// ---- Loaders that fail ----

TEST_F(KeyspaceLoadTest, AnErrorIsTheCallersAndNothingIsStored) {
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(Load("k", absl::UnavailableError("the origin is down")),
                HasError(absl::StatusCode::kUnavailable, "the origin is down"));
    EXPECT_THAT(cluster_->Get("k"), IsMissing());
  }
  EXPECT_THAT(Load("k", absl::NotFoundError("no such user")),
              HasError(absl::StatusCode::kNotFound, "no such user"));
  EXPECT_EQ(loads_, 3);
  EXPECT_THAT(Load("k", "loaded"), HoldsValue("loaded"));
}

TEST_F(KeyspaceLoadTest, AnExceptionIsTheCallersAndFreesTheKey) {
  EXPECT_THROW(Load("k", "v", [] { throw std::runtime_error("thrown"); }).IgnoreError(),
               std::runtime_error);
  EXPECT_THAT(cluster_->Get("k"), IsMissing());
  // Neither the key nor the cluster is held.
  LoadOptions at_once;
  at_once.wait_timeout = absl::ZeroDuration();
  EXPECT_THAT(Load(
                  "k", "v", [] {}, at_once),
              HoldsValue("v"));
  EXPECT_THAT(cluster_->Close(), IsOk());
}

TEST_F(KeyspaceLoadTest, ForItsOwnKeyALoaderWouldWaitForItself) {
  LoadOptions brief;
  brief.wait_timeout = absl::Milliseconds(1);
  Loaded inner, other;
  EXPECT_THAT(Load("k", "outer",
                   [&] {
                     inner = Load(
                         "k", "inner", [] {}, brief);
                     other = Load("other", "of another key");
                   }),
              HoldsValue("outer"));
  EXPECT_THAT(inner, HasError(absl::StatusCode::kDeadlineExceeded, "LoadOptions.wait_timeout"));
  EXPECT_THAT(other, HoldsValue("of another key"));
  EXPECT_EQ(cluster_->GetStats().load_waits, 1u);
}

// ---- Writes meanwhile ----

struct Meanwhile {
  std::string name;
  std::function<void(Cluster*)> write;
  // What the key holds afterwards; "": nothing.
  std::string holds;
};

void Expect(const absl::Status& status) { EXPECT_THAT(status, IsOk()); }

// Every write that there is, of "{t}k".
std::vector<Meanwhile> EveryWrite() {
  static constexpr const char* kKey = "{t}k";
  const auto batch = [](const std::function<void(WriteBatch*)>& fill) {
    return [fill](Cluster* c) {
      WriteBatch batch;
      fill(&batch);
      Expect(c->Write(batch));
    };
  };
  return {
      {"Set", [](Cluster* c) { Expect(c->Set(kKey, "written")); }, "written"},
      {"Set and Delete",
       [](Cluster* c) {
         Expect(c->Set(kKey, "written"));
         Expect(c->Delete(kKey).status());
       },
       ""},
      {"Delete of nothing", [](Cluster* c) { EXPECT_THAT(c->Delete(kKey), HoldsValue(false)); },
       ""},
      {"Increment", [](Cluster* c) { Expect(c->Increment(kKey, 5).status()); }, "5"},
      {"Append", [](Cluster* c) { Expect(c->Append(kKey, "tail").status()); }, "tail"},
      {"SetRange", [](Cluster* c) { Expect(c->SetRange(kKey, 1, "x").status()); },
       std::string("\0x", 2)},
      {"Expire of nothing",
       [](Cluster* c) { EXPECT_THAT(c->Expire(kKey, absl::Seconds(1)), HoldsValue(false)); }, ""},
      {"Expire by zero",
       [](Cluster* c) { EXPECT_THAT(c->Expire(kKey, absl::ZeroDuration()), HoldsValue(false)); },
       ""},
      {"Persist of nothing", [](Cluster* c) { EXPECT_THAT(c->Persist(kKey), HoldsValue(false)); },
       ""},
      {"GetAndTouch of nothing",
       [](Cluster* c) { EXPECT_THAT(c->GetAndTouch(kKey, absl::Seconds(1)), IsMissing()); }, ""},
      {"MultiSet",
       [](Cluster* c) {
         for (const absl::Status& s : c->MultiSet({{"{t}a", "1"}, {kKey, "2"}})) Expect(s);
       },
       "2"},
      {"WriteBatch that sets", batch([](WriteBatch* b) {
         b->Set("{t}a", "1");
         b->Set(kKey, "2");
       }),
       "2"},
      {"WriteBatch that deletes", batch([](WriteBatch* b) {
         b->Set("{t}a", "1");
         b->Delete(kKey);
       }),
       ""},
      {"HashSet and HashDelete",
       [](Cluster* c) {
         Expect(c->HashSet(kKey, {{"f", "v"}}).status());
         Expect(c->HashDelete(kKey, {"f"}).status());
       },
       ""},
      {"HashDelete of nothing",
       [](Cluster* c) { EXPECT_THAT(c->HashDelete(kKey, {"f"}), HoldsValue(0u)); }, ""},
      {"DeletePrefix with a tag", [](Cluster* c) { Expect(c->DeletePrefix("{t}")); }, ""},
      {"DeletePrefix of the key", [](Cluster* c) { Expect(c->DeletePrefix(kKey)); }, ""},
      {"DeletePrefix without a tag", [](Cluster* c) { Expect(c->DeletePrefix("{")); }, ""},
      {"DeletePrefix of all", [](Cluster* c) { Expect(c->DeletePrefix("")); }, ""},
      {"DeleteAll", [](Cluster* c) { Expect(c->DeleteAll()); }, ""},
      {"DeleteAll of its shard",
       [](Cluster* c) {
         const ShardId id = c->GetTopology().OwnerOf(SlotForKey(kKey));
         Expect(c->shard(id)->DeleteAll());
       },
       ""},
      {"Set by its shard",
       [](Cluster* c) {
         const ShardId id = c->GetTopology().OwnerOf(SlotForKey(kKey));
         Expect(c->shard(id)->Set(kKey, "by shard"));
       },
       "by shard"},
  };
}

TEST_F(KeyspaceLoadTest, EveryWriteMeanwhileWins) {
  for (const Meanwhile& meanwhile : EveryWrite()) {
    SCOPED_TRACE(meanwhile.name);
    ASSERT_THAT(cluster_->DeleteAll(), IsOk());
    const Loaded result = Load("{t}k", "loaded", [&] { meanwhile.write(cluster_.get()); });
    if (meanwhile.holds.empty()) {
      EXPECT_THAT(result, HoldsValue("loaded"));
      EXPECT_THAT(cluster_->Get("{t}k"), IsMissing()) << "what was loaded is older";
    } else {
      EXPECT_THAT(result, HoldsValue(meanwhile.holds));
      EXPECT_THAT(cluster_->Get("{t}k"), HoldsValue(meanwhile.holds));
    }
    // The next load is not overtaken by it.
    ASSERT_THAT(cluster_->Delete("{t}k"), IsOk());
    EXPECT_THAT(Load("{t}k", "again"), HoldsValue("again"));
    EXPECT_THAT(cluster_->Get("{t}k"), HoldsValue("again"));
  }
}

TEST_F(KeyspaceLoadTest, AHashMeanwhileIsOfAnotherType) {
  EXPECT_THAT(Load("k", "loaded",
                   [&] {
                     Expect(cluster_->HashSet("k", {{"f", "v"}}).status());
                   }),
              HasError(absl::StatusCode::kFailedPrecondition, "another type"));
  EXPECT_THAT(cluster_->HashGet("k", "f"), HoldsValue("v"));
}

TEST_F(KeyspaceLoadTest, AWriteThatHasExpiredBeforeTheLoadsEndStillWins) {
  EXPECT_THAT(Load("k", "loaded",
                   [&] {
                     SetOptions brief;
                     brief.ttl = absl::Seconds(1);
                     Expect(cluster_->Set("k", "brief", brief));
                     clock_->Advance(absl::Seconds(1));
                   }),
              HoldsValue("loaded"));
  EXPECT_THAT(cluster_->Get("k"), IsMissing());
}

TEST_F(KeyspaceLoadTest, WritesOfOtherKeysDoNotMatter) {
  // In the same slot, in the same stripe of the table, and anywhere.
  EXPECT_THAT(Load("{t}k", "loaded",
                   [&] {
                     Expect(cluster_->Set("{t}j", "1"));
                     Expect(cluster_->Set("{t}k2", "1"));
                     Expect(cluster_->DeletePrefix("{t}k2"));
                     Expect(cluster_->DeletePrefix("{u"));
                     WriteBatch batch;
                     batch.Delete("{t}");
                     Expect(cluster_->Write(batch));
                     for (int i = 0; i < 2000; ++i) Expect(cluster_->Set(absl::StrCat(i), "1"));
                     for (const ShardInfo& shard : cluster_->GetTopology().shards()) {
                       if (shard.id == cluster_->GetTopology().OwnerOf(SlotForKey("{t}k")))
                         continue;
                       Expect(cluster_->shard(shard.id)->DeleteAll());
                     }
                   }),
              HoldsValue("loaded"));
  EXPECT_THAT(cluster_->Get("{t}k"), HoldsValue("loaded"));
}

TEST_F(KeyspaceLoadTest, ReadsMeanwhileDoNotMatter) {
  EXPECT_THAT(Load("k", "loaded",
                   [&] {
                     EXPECT_THAT(cluster_->Get("k"), IsMissing());
                     EXPECT_THAT(cluster_->Exists("k"), HoldsValue(false));
                     EXPECT_THAT(cluster_->TimeToLive("k"), IsMissing());
                     cluster_->MultiGet({"k", "l"});
                     EXPECT_THAT(cluster_->Scan(), IsOk());
                   }),
              HoldsValue("loaded"));
  EXPECT_THAT(cluster_->Get("k"), HoldsValue("loaded"));
}

// ---- What cannot be stored ----

TEST_F(KeyspaceLoadTest, AValueThatIsTooLargeIsReturnedAllTheSame) {
  const std::string huge(kMaxValueBytes + 1, '\0');
  const Loaded result = cluster_->GetOrLoad("k", [&](std::string_view) -> Loaded { return huge; });
  ASSERT_THAT(result, IsOk());
  EXPECT_TRUE(*result == huge);
  EXPECT_THAT(cluster_->Get("k"), IsMissing());
  EXPECT_EQ(cluster_->GetStats().loads_not_stored, 1u);
}

TEST_F(KeyspaceLoadTest, OnAFullDiskWhatWasLoadedIsReturned) {
  Close();
  const auto hook = std::make_shared<TestHook>();
  absl::StatusOr<std::unique_ptr<Cluster>> cluster = OpenClusterWithHook(options_, path_, hook);
  ASSERT_THAT(cluster, IsOk());
  cluster_ = *std::move(cluster);
  hook->Fail(FileOp::kReserve, absl::ResourceExhaustedError("no space"));
  const std::string large(size_t{3} << 20, 'v');
  EXPECT_THAT(Load("k", large), HoldsValue(large));
  EXPECT_THAT(cluster_->Get("k"), IsMissing());
  EXPECT_EQ(cluster_->GetStats().loads_not_stored, 1u);
  hook->Heal();
  EXPECT_THAT(Load("k", large), HoldsValue(large));
  EXPECT_THAT(cluster_->Exists("k"), HoldsValue(true));
  const ClusterStats stats = cluster_->GetStats();
  EXPECT_EQ(stats.loads, 2u);
  EXPECT_EQ(stats.loads_not_stored, 1u);
}

TEST_F(KeyspaceLoadTest, AClosedClusterLoadsNothing) {
  ASSERT_THAT(cluster_->Close(), IsOk());
  EXPECT_THAT(Load("k", "v"), HasCode(absl::StatusCode::kCancelled));
  EXPECT_EQ(loads_, 0);
}

}  // namespace
}  // namespace slotkv
