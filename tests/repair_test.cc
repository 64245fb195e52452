// Files of one copy are damaged while the cluster is open: another copy answers, and the damaged
// one is built anew. Without another the damage is named, and never served.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/cluster_fixture.h"
#include "tests/directory_tree.h"
#include "tests/test_hook.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

namespace fs = std::filesystem;

constexpr absl::StatusCode kDataLoss = absl::StatusCode::kDataLoss;
constexpr absl::StatusCode kUnavailable = absl::StatusCode::kUnavailable;
constexpr int kKeys = 200;
constexpr int kHashes = 20;  // of kKeys

std::string Key(int i) { return absl::StrCat("key", i); }
std::string HashKey(int i) { return absl::StrCat("hash", i); }

// Bytes that do not compress, so that a table has many blocks.
std::string Value(int i) {
  std::mt19937 random(static_cast<uint32_t>(i));
  std::string value(1000, '\0');
  for (char& c : value) c = static_cast<char>(random());
  return value;
}

std::vector<absl::StatusOr<std::string>> GetMany(Cluster* cluster,
                                                 const std::vector<std::string>& keys) {
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  return cluster->MultiGet(views);
}

class Recorder final : public EventListener {
 public:
  void OnNodeOutOfSync(NodeId node, const absl::Status& why) override {
    Add(absl::StrCat(node.ToString(), " out: ", absl::StatusCodeToString(why.code())));
  }
  void OnNodeInSync(NodeId node, bool rebuilt) override {
    Add(absl::StrCat(node.ToString(), " in", rebuilt ? ", rebuilt" : ""));
  }
  void OnNodeRepaired(NodeId node, const absl::Status& damage) override {
    Add(absl::StrCat(node.ToString(), " repaired: ", absl::StatusCodeToString(damage.code())));
  }
  std::vector<std::string> events() {
    absl::MutexLock lock(&mu_);
    return events_;
  }

 private:
  void Add(std::string event) {
    absl::MutexLock lock(&mu_);
    events_.push_back(std::move(event));
  }
  absl::Mutex mu_;
  std::vector<std::string> events_ ABSL_GUARDED_BY(mu_);
};

class RepairTest : public ClusterFixture {
 protected:
  RepairTest() {
    options_.shards = 1;
    options_.replicas_per_shard = 1;
    options_.listener = recorder_;
    // Nothing fails here because the machine is slow.
    options_.node_timeout = options_.operation_timeout = absl::Minutes(1);
  }

  void OpenHooked() {
    Close();
    absl::StatusOr<std::unique_ptr<Cluster>> cluster = OpenClusterWithHook(options_, path_, hook_);
    ASSERT_THAT(cluster, IsOk());
    cluster_ = *std::move(cluster);
  }
  // An open cluster with all keys in tables, of which nothing is cached.
  void OpenFilled() {
    OpenHooked();
    for (int i = 0; i < kKeys; ++i) {
      ASSERT_THAT(cluster_->Set(Key(i), Value(i), {absl::Hours(i + 1)}), IsOk());
    }
    for (int i = 0; i < kHashes; ++i) {
      ASSERT_THAT(cluster_->HashSet(HashKey(i), {{"a", Value(i)}, {"b", "2"}}), IsOk());
    }
    // Replicas have applied all of it before they are compared.
    ASSERT_THAT(cluster_->Verify(), IsOk());
    ASSERT_THAT(FlushStores(cluster_.get()), IsOk());
    OpenHooked();
  }

  static bool Eventually(const std::function<bool()>& condition) {
    const absl::Time give_up = absl::Now() + absl::Minutes(1);
    while (!condition()) {
      if (absl::Now() > give_up) return false;
      absl::SleepFor(absl::Milliseconds(5));
    }
    return true;
  }
  std::vector<NodeInfo> Nodes() {
    std::vector<NodeInfo> nodes;
    const Topology topology = cluster_->GetTopology();
    for (const ShardInfo& shard : topology.shards()) {
      nodes.insert(nodes.end(), shard.nodes.begin(), shard.nodes.end());
    }
    return nodes;
  }
  bool EverythingInSync() {
    const std::vector<NodeInfo> nodes = Nodes();
    return std::all_of(nodes.begin(), nodes.end(),
                       [](const NodeInfo& node) { return node.in_sync && node.up; });
  }
  // Of the first shard.
  NodeInfo NodeOf(Role role) {
    const Topology topology = cluster_->GetTopology();
    for (const NodeInfo& node : topology.shards()[0].nodes) {
      if (node.role == role) return node;
    }
    ADD_FAILURE() << "no such node";
    return {};
  }
  uint64_t Repairs() {
    uint64_t repairs = 0;
    for (const ShardStats& shard : cluster_->GetStats().shards) repairs += shard.repairs;
    return repairs;
  }
  // So many repairs, and nothing left to be done.
  bool Repaired(uint64_t repairs) {
    return Eventually([&] { return Repairs() >= repairs && EverythingInSync(); }) &&
           Repairs() == repairs;
  }

  // The directories of all its incarnations.
  std::vector<std::string> DirectoriesOf(const NodeInfo& node) {
    std::vector<std::string> directories;
    for (const auto& entry : fs::directory_iterator(absl::StrCat(path_, "/", node.zone))) {
      if (absl::StartsWith(entry.path().filename().string(),
                           absl::StrCat("node-", node.id.value(), "."))) {
        directories.push_back(entry.path().string());
      }
    }
    return directories;
  }
  std::vector<std::string> FilesOf(const NodeInfo& node, const std::string& ending) {
    std::vector<std::string> files;
    for (const std::string& directory : DirectoriesOf(node)) {
      for (const std::string& file : FilesBelow(directory)) {
        if (absl::EndsWith(file, ending)) files.push_back(absl::StrCat(directory, "/", file));
      }
    }
    return files;
  }
  // In place: the cluster has the file open, perhaps mapped.
  static void Flip(const std::string& file, size_t begin, size_t end, size_t stride) {
    const std::string bytes = BytesOf(file);
    std::fstream out(file, std::ios::binary | std::ios::in | std::ios::out);
    for (size_t i = begin; i < std::min(end, bytes.size()); i += stride) {
      out.seekp(static_cast<std::streamoff>(i));
      out.put(static_cast<char>(bytes[i] ^ 1));
    }
    ASSERT_TRUE(out.flush());
  }
  // Every block of values, but not what RocksDB has in memory already.
  void DamageTables(const NodeInfo& node) {
    const std::vector<std::string> tables = FilesOf(node, ".sst");
    ASSERT_FALSE(tables.empty());
    for (const std::string& table : tables) Flip(table, 0, fs::file_size(table) * 8 / 10, 500);
  }

  void ExpectAllKeys() {
    for (int i = 0; i < kKeys; ++i) ASSERT_THAT(cluster_->Get(Key(i)), HoldsValue(Value(i))) << i;
    for (int i = 0; i < kHashes; ++i) {
      ASSERT_THAT(cluster_->HashGet(HashKey(i), "a"), HoldsValue(Value(i))) << i;
    }
  }
  // The copy was dropped, came back as a new one, and holds what it should.
  void ExpectRepairedAfter(const NodeInfo& damaged) {
    ASSERT_TRUE(Repaired(1));
    EXPECT_THAT(cluster_->Verify(), IsOk());
    const std::string node = damaged.id.ToString();
    ASSERT_TRUE(Eventually([&] { return recorder_->events().size() >= 3; }));
    EXPECT_THAT(recorder_->events(),
                testing::ElementsAre(absl::StrCat(node, " out: DATA_LOSS"),
                                     absl::StrCat(node, " in, rebuilt"),
                                     absl::StrCat(node, " repaired: DATA_LOSS")));
    EXPECT_TRUE(Eventually([&] { return DirectoriesOf(damaged).size() == 1; }));
    if (NodeOf(Role::kPrimary).id != damaged.id) {
      ASSERT_THAT(cluster_->Promote(ShardId(1)), IsOk());
    }
    EXPECT_EQ(NodeOf(Role::kPrimary).id, damaged.id);
    ExpectAllKeys();
  }

  const std::shared_ptr<TestHook> hook_ = std::make_shared<TestHook>();
  const std::shared_ptr<Recorder> recorder_ = std::make_shared<Recorder>();
};

// Each call that reads is the first to meet the damage.
struct Call {
  std::string name;
  std::function<void(Cluster*)> run;
};
class RepairByCallTest : public RepairTest, public testing::WithParamInterface<Call> {};

TEST_P(RepairByCallTest, IsAnsweredByAnotherCopy) {
  OpenFilled();
  const NodeInfo primary = NodeOf(Role::kPrimary), replica = NodeOf(Role::kReplica);
  DamageTables(primary);
  GetParam().run(cluster_.get());
  if (HasFailure()) return;
  EXPECT_EQ(NodeOf(Role::kPrimary).id, replica.id);
  ExpectAllKeys();
  ExpectRepairedAfter(primary);
}

INSTANTIATE_TEST_SUITE_P(
    Calls, RepairByCallTest,
    testing::Values(
        Call{"Get",
             [](Cluster* cluster) { EXPECT_THAT(cluster->Get(Key(7)), HoldsValue(Value(7))); }},
        Call{"Exists",
             [](Cluster* cluster) {
               EXPECT_TRUE(cluster->Exists(Key(7)).value());
               EXPECT_FALSE(cluster->Exists("absent").value());
             }},
        Call{"TimeToLive",
             [](Cluster* cluster) {
               EXPECT_EQ(cluster->TimeToLive(Key(7)).value(), absl::Hours(8));
             }},
        Call{"MultiGet",
             [](Cluster* cluster) {
               std::vector<std::string> keys;
               for (int i = 0; i < kKeys; ++i) keys.push_back(Key(i));
               const auto values = GetMany(cluster, keys);
               for (int i = 0; i < kKeys; ++i) EXPECT_THAT(values[i], HoldsValue(Value(i)));
             }},
        Call{"Scan",
             [](Cluster* cluster) {
               ScanOptions options;
               options.limit = 30;
               options.values = true;
               int found = 0;
               do {
                 const absl::StatusOr<ScanPage> page = cluster->Scan(options);
                 ASSERT_THAT(page, IsOk());
                 for (const ScanEntry& entry : page->entries) {
                   if (entry.type != KeyType::kString) continue;
                   EXPECT_EQ(entry.value, Value(std::stoi(entry.key.substr(3))));
                   ++found;
                 }
                 options.cursor = page->cursor;
               } while (!options.cursor.empty());
               EXPECT_EQ(found, kKeys);
             }},
        Call{"CountKeysInSlot",
             [](Cluster* cluster) {
               EXPECT_EQ(cluster->CountKeysInSlot(SlotForKey(Key(7))).value(), 1u);
             }},
        Call{"HashGetAll",
             [](Cluster* cluster) { EXPECT_EQ(cluster->HashGetAll(HashKey(3))->size(), 2u); }},
        // The conditions of writes.
        Call{"HashSet",
             [](Cluster* cluster) {
               EXPECT_EQ(cluster->HashSet(HashKey(3), {{"b", "3"}, {"c", "3"}, {"d", "4"}}).value(),
                         2u);
             }},
        Call{"CompareAndSet",
             [](Cluster* cluster) {
               EXPECT_THAT(cluster->CompareAndSet(Key(7), Value(7), Value(7)), IsOk());
             }},
        Call{"Delete",
             [](Cluster* cluster) {
               EXPECT_TRUE(cluster->Delete(HashKey(3)).value());
               EXPECT_EQ(cluster->HashSet(HashKey(3), {{"a", Value(3)}}).value(), 1u);
             }},
        // Some of one write group meet it, others do not.
        Call{"MultiSet",
             [](Cluster* cluster) {
               std::vector<std::string> keys, values;
               for (int i = 0; i < kKeys; ++i) {
                 keys.push_back(i % 2 == 0 ? Key(i) : absl::StrCat("new", i));
                 values.push_back(Value(i));
               }
               std::vector<KeyValue> entries;
               for (int i = 0; i < kKeys; ++i) entries.push_back({keys[i], values[i]});
               SetOptions if_absent;
               if_absent.condition = SetCondition::kIfAbsent;
               const std::vector<absl::Status> statuses = cluster->MultiSet(entries, if_absent);
               for (int i = 0; i < kKeys; ++i) {
                 EXPECT_THAT(statuses[i], HasCode(i % 2 == 0 ? absl::StatusCode::kFailedPrecondition
                                                             : absl::StatusCode::kOk));
                 EXPECT_THAT(cluster->Get(keys[i]), HoldsValue(Value(i)));
               }
             }}),
    [](const testing::TestParamInfo<Call>& info) { return info.param.name; });

TEST_F(RepairTest, VerifyFindsADamagedReplica) {
  OpenFilled();
  const NodeInfo primary = NodeOf(Role::kPrimary), replica = NodeOf(Role::kReplica);
  const std::string table = FilesOf(replica, ".sst").front();
  DamageTables(replica);
  ExpectAllKeys();
  EXPECT_EQ(NodeOf(Role::kPrimary).id, primary.id);
  EXPECT_THAT(cluster_->Verify(), HasError(kDataLoss, table));
  EXPECT_EQ(NodeOf(Role::kPrimary).id, primary.id);
  ExpectRepairedAfter(replica);
}

// It does not stop at the first one that it finds.
TEST_F(RepairTest, VerifyLooksAtEveryCopy) {
  options_.shards = 3;
  OpenFilled();
  const Topology topology = cluster_->GetTopology();
  DamageTables(topology.shards()[0].primary());
  for (const NodeInfo& node : topology.shards()[2].nodes) {
    if (node.role == Role::kReplica) DamageTables(node);
  }
  EXPECT_THAT(cluster_->Verify(), HasCode(kDataLoss));
  ASSERT_TRUE(Repaired(2));
  EXPECT_EQ(cluster_->GetStats().shards[0].repairs, 1u);
  EXPECT_EQ(cluster_->GetStats().shards[1].repairs, 0u);
  EXPECT_THAT(cluster_->Verify(), IsOk());
  ExpectAllKeys();
}

// Nobody reads: RocksDB itself meets the damage when it merges tables.
TEST_F(RepairTest, ACompactionFindsIt) {
  OpenFilled();
  const NodeInfo primary = NodeOf(Role::kPrimary);
  DamageTables(primary);
  for (int round = 0; round < 6; ++round) {
    for (int i = 0; i < kKeys; ++i) ASSERT_THAT(cluster_->Set(Key(i), Value(i)), IsOk());
    FlushStores(cluster_.get()).IgnoreError();
  }
  ASSERT_TRUE(Repaired(1));
  EXPECT_THAT(cluster_->Verify(), IsOk());
  ExpectAllKeys();
}

TEST_F(RepairTest, TheOnlyCopyNamesTheDamageAndServesTheRest) {
  options_.replicas_per_shard = 0;
  OpenFilled();
  const std::string table = FilesOf(NodeOf(Role::kPrimary), ".sst").front();
  const size_t middle = fs::file_size(table) / 2;
  Flip(table, middle, middle + 1, 1);
  for (int round = 0; round < 2; ++round) {
    int damaged = 0;
    for (int i = 0; i < kKeys; ++i) {
      const absl::StatusOr<std::string> value = cluster_->Get(Key(i));
      if (value.ok()) {
        EXPECT_EQ(*value, Value(i));
        continue;
      }
      ++damaged;
      EXPECT_THAT(value, HasError(kDataLoss, table));
      EXPECT_THAT(GetMany(cluster_.get(), {Key(i)})[0], HasError(kDataLoss, table));
      EXPECT_THAT(cluster_->Append(Key(i), "x"), HasError(kDataLoss, table));
    }
    EXPECT_GT(damaged, 0);
    EXPECT_LT(damaged, 20);
    EXPECT_THAT(cluster_->Set("new", "value"), IsOk());
    EXPECT_THAT(cluster_->Verify(), HasError(kDataLoss, table));
  }
  EXPECT_TRUE(EverythingInSync());
  EXPECT_EQ(Repairs(), 0u);
}

// The first is dropped for it, the second is all that is left.
TEST_F(RepairTest, TheLastSoundCopyIsKeptWhateverIsFoundInIt) {
  OpenFilled();
  for (const NodeInfo& node : Nodes()) DamageTables(node);
  EXPECT_THAT(cluster_->Get(Key(7)), HasCode(kDataLoss));
  EXPECT_THAT(cluster_->Get(Key(8)), HasCode(kDataLoss));
  EXPECT_THAT(cluster_->Set("new", "value"), IsOk());
  EXPECT_THAT(cluster_->Get("new"), HoldsValue("value"));
  EXPECT_THAT(cluster_->Verify(), HasCode(kDataLoss));
  EXPECT_TRUE(NodeOf(Role::kPrimary).in_sync);
  EXPECT_TRUE(NodeOf(Role::kPrimary).up);
  EXPECT_EQ(Repairs(), 0u);
}

TEST_F(RepairTest, TwoOfThreeAreDamaged) {
  options_.replicas_per_shard = 2;
  OpenFilled();
  std::vector<NodeInfo> nodes = Nodes();
  nodes.pop_back();
  for (const NodeInfo& node : nodes) DamageTables(node);
  ExpectAllKeys();
  cluster_->Verify().IgnoreError();  // a replica's damage is found only so
  ASSERT_TRUE(Repaired(2));
  EXPECT_THAT(cluster_->Verify(), IsOk());
  ExpectAllKeys();
}

TEST_F(RepairTest, WithoutAutomaticFailoverSomebodyPromotes) {
  options_.auto_failover = false;
  OpenFilled();
  const NodeInfo primary = NodeOf(Role::kPrimary);
  DamageTables(primary);
  EXPECT_THAT(cluster_->Get(Key(7)), HasError(kDataLoss, ".sst"));
  EXPECT_THAT(cluster_->Append(Key(7), "x"), HasError(kUnavailable, "auto_failover"));
  EXPECT_EQ(NodeOf(Role::kPrimary).id, primary.id);
  ASSERT_THAT(cluster_->Promote(ShardId(1)), IsOk());
  ExpectAllKeys();
  ExpectRepairedAfter(primary);
}

// Between the dropping and the repair the process ends: the damaged files are not used again, not
// even to catch up from, for which they would do.
TEST_F(RepairTest, ARestartDoesNotBringTheDamagedFilesBack) {
  OpenFilled();
  const NodeInfo primary = NodeOf(Role::kPrimary);
  const std::string damaged = DirectoriesOf(primary).front();
  DamageTables(primary);
  // It cannot be built anew.
  hook_->SetBefore([&](FileOp op, const std::string& path) {
    const bool fails = op == FileOp::kWrite && !absl::StrContains(path, damaged) &&
                       absl::StrContains(path, absl::StrCat("/node-", primary.id.value(), "."));
    return fails ? absl::UnavailableError("planted") : absl::OkStatus();
  });
  ASSERT_THAT(cluster_->Get(Key(7)), HoldsValue(Value(7)));
  for (int open = 0; open < 3; ++open) {
    // Attempts are made.
    const int begun = hook_->begun(FileOp::kMakeDirectory);
    ASSERT_TRUE(Eventually([&] { return hook_->begun(FileOp::kMakeDirectory) > begun + 2; }));
    EXPECT_FALSE(EverythingInSync());
    // What is left of it is kept as long as there is nothing better.
    EXPECT_TRUE(fs::exists(damaged));
    OpenHooked();
    EXPECT_FALSE(EverythingInSync());
    EXPECT_NE(NodeOf(Role::kPrimary).id, primary.id);
  }
  hook_->Heal();
  ASSERT_TRUE(Repaired(1));
  EXPECT_TRUE(Eventually([&] { return !fs::exists(damaged); }));
  EXPECT_THAT(cluster_->Verify(), IsOk());
  ASSERT_THAT(cluster_->Promote(ShardId(1)), IsOk());
  EXPECT_EQ(NodeOf(Role::kPrimary).id, primary.id);
  ExpectAllKeys();
}

// The last copy in sync is damaged, and leaves for one that is promoted by force: it does not come
// back as it was, though its log is a beginning of the shard's.
TEST_F(RepairTest, DamageIsRememberedWhenAnotherCopyIsForced) {
  for (const bool restart : {false, true}) {
    SCOPED_TRACE(restart);
    OpenFilled();
    const NodeInfo primary = NodeOf(Role::kPrimary), replica = NodeOf(Role::kReplica);
    ASSERT_THAT(cluster_->StopNode(replica.id), IsOk());
    DamageTables(primary);
    EXPECT_THAT(cluster_->Get(Key(7)), HasCode(kDataLoss));
    ASSERT_THAT(cluster_->StopNode(primary.id), IsOk());
    ASSERT_THAT(cluster_->StartNode(replica.id), IsOk());
    PromoteOptions force;
    force.force = true;
    ASSERT_THAT(cluster_->Promote(ShardId(1), force), IsOk());
    ExpectAllKeys();
    if (restart) {
      OpenHooked();
    } else {
      ASSERT_THAT(cluster_->StartNode(primary.id), IsOk());
    }
    ASSERT_TRUE(Repaired(1));
    EXPECT_THAT(cluster_->Verify(), IsOk());
    ASSERT_THAT(cluster_->Promote(ShardId(1)), IsOk());
    EXPECT_EQ(NodeOf(Role::kPrimary).id, primary.id);
    ExpectAllKeys();
    Close();
    ASSERT_THAT(Cluster::Destroy(path_), IsOk());
  }
}

// Nobody has to meet it again: it is repaired as soon as there is somebody to repair it from.
TEST_F(RepairTest, DamageOfTheLastCopyIsRememberedWhileItIsStopped) {
  OpenFilled();
  const NodeInfo primary = NodeOf(Role::kPrimary), replica = NodeOf(Role::kReplica);
  ASSERT_THAT(cluster_->StopNode(replica.id), IsOk());
  DamageTables(primary);
  EXPECT_THAT(cluster_->Get(Key(7)), HasCode(kDataLoss));
  ASSERT_THAT(cluster_->StopNode(primary.id), IsOk());
  ASSERT_THAT(cluster_->StartNode(primary.id), IsOk());
  ASSERT_TRUE(Eventually([&] { return cluster_->Set("new", "value").ok(); }));
  EXPECT_EQ(NodeOf(Role::kPrimary).id, primary.id);
  ASSERT_THAT(cluster_->StartNode(replica.id), IsOk());
  ASSERT_TRUE(Repaired(1));
  EXPECT_EQ(NodeOf(Role::kPrimary).id, replica.id);
  EXPECT_THAT(cluster_->Verify(), IsOk());
  ExpectAllKeys();
}

// What was never there is built, not repaired.
TEST_F(RepairTest, ANewReplicaIsNoRepair) {
  options_.replicas_per_shard = 0;
  OpenFilled();
  for (const std::string zone : {"zone-a", "zone-b", "zone-c"}) {
    cluster_->AddReplica(ShardId(1), zone).IgnoreError();
  }
  ASSERT_TRUE(Eventually([&] { return EverythingInSync(); }));
  EXPECT_EQ(Nodes().size(), 3u);
  EXPECT_EQ(Repairs(), 0u);
}

class LogRepairTest : public RepairTest {
 protected:
  // A replica misses more than a segment, and that segment of the primary is damaged.
  void DamageWhatAReplicaMisses() {
    OpenHooked();
    for (int i = 0; i < kKeys; ++i) ASSERT_THAT(cluster_->Set(Key(i), "old"), IsOk());
    primary_ = NodeOf(Role::kPrimary);
    stopped_ = NodeOf(Role::kReplica);
    ASSERT_THAT(cluster_->StopNode(stopped_.id), IsOk());
    for (int round = 0; round < 8; ++round) {
      for (int i = 0; i < kKeys; ++i) ASSERT_THAT(cluster_->Set(Key(i), Value(i)), IsOk());
    }
    for (int i = 0; i < kHashes; ++i) {
      ASSERT_THAT(cluster_->HashSet(HashKey(i), {{"a", Value(i)}}), IsOk());
    }
    // The cluster's creation left the first one empty.
    segment_ = absl::StrCat(DirectoriesOf(primary_).front(), "/log/0000000002.log");
    ASSERT_GT(fs::file_size(segment_), 500'000u);
    Flip(segment_, 500'000, 500'001, 1);
  }

  NodeInfo primary_, stopped_;
  std::string segment_;
};

TEST_F(LogRepairTest, ThePrimarysLogIsDamagedAndAnotherIsInSync) {
  options_.replicas_per_shard = 2;
  DamageWhatAReplicaMisses();
  ASSERT_THAT(cluster_->StartNode(stopped_.id), IsOk());
  ASSERT_TRUE(Repaired(1));
  EXPECT_NE(NodeOf(Role::kPrimary).id, primary_.id);
  EXPECT_THAT(cluster_->Verify(), IsOk());
  ExpectAllKeys();
  EXPECT_TRUE(Eventually([&] {
    const std::vector<std::string> events = recorder_->events();
    return std::count(events.begin(), events.end(),
                      absl::StrCat(primary_.id.ToString(), " repaired: DATA_LOSS")) == 1 &&
           std::count(events.begin(), events.end(), absl::StrCat(stopped_.id.ToString(), " in")) ==
               1;
  })) << testing::PrintToString(recorder_->events());
}

// The replica gets a snapshot instead; then there is somebody to repair the primary from.
TEST_F(LogRepairTest, TheOnlyCopysLogIsDamaged) {
  DamageWhatAReplicaMisses();
  ASSERT_THAT(cluster_->StartNode(stopped_.id), IsOk());
  ASSERT_TRUE(Repaired(1));
  EXPECT_THAT(cluster_->Verify(), IsOk());
  ExpectAllKeys();
  EXPECT_TRUE(Eventually([&] {
    const std::vector<std::string> events = recorder_->events();
    return std::count(events.begin(), events.end(),
                      absl::StrCat(primary_.id.ToString(), " repaired: DATA_LOSS")) == 1 &&
           std::count(events.begin(), events.end(),
                      absl::StrCat(stopped_.id.ToString(), " in, rebuilt")) == 1;
  })) << testing::PrintToString(recorder_->events());
}

TEST_F(LogRepairTest, VerifyFindsIt) {
  DamageWhatAReplicaMisses();
  EXPECT_THAT(cluster_->Verify(), HasError(kDataLoss, segment_));
  EXPECT_THAT(cluster_->Get(Key(7)), HoldsValue(Value(7))) << "the store is sound";
}

// The tables from which a replica is to be built are damaged.
TEST_F(RepairTest, TheSourceOfACopyIsDamaged) {
  options_.replicas_per_shard = 2;
  OpenFilled();
  const NodeInfo primary = NodeOf(Role::kPrimary), replica = NodeOf(Role::kReplica);
  ASSERT_THAT(cluster_->StopNode(replica.id), IsOk());
  ASSERT_TRUE(Eventually([&] {
    const std::vector<std::string> events = recorder_->events();
    return !events.empty();
  }));
  for (const std::string& directory : DirectoriesOf(replica)) fs::remove_all(directory);
  DamageTables(primary);
  ASSERT_THAT(cluster_->StartNode(replica.id), IsOk());
  ASSERT_TRUE(Repaired(1));
  EXPECT_NE(NodeOf(Role::kPrimary).id, primary.id);
  EXPECT_THAT(cluster_->Verify(), IsOk());
  ExpectAllKeys();
}

// Primaries are damaged one after the other under readers and writers: nobody notices.
TEST_F(RepairTest, UnderLoad) {
  options_.shards = 3;
  options_.replicas_per_shard = 2;
  OpenFilled();
  std::atomic<bool> stop{false};
  std::atomic<int> calls{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<uint32_t>(t));
      while (!stop) {
        const int i = static_cast<int>(random() % kKeys);
        ASSERT_THAT(cluster_->Get(Key(i)), HoldsValue(Value(i)));
        ASSERT_THAT(GetMany(cluster_.get(), {Key(i), HashKey(i % kHashes)})[0],
                    HoldsValue(Value(i)));
        ++calls;
      }
    });
    threads.emplace_back([&, t] {
      std::mt19937 random(static_cast<uint32_t>(t));
      for (int64_t n = 1; !stop; ++n) {
        const int i = static_cast<int>(random() % kKeys);
        ASSERT_THAT(cluster_->CompareAndSet(Key(i), Value(i), Value(i)), IsOk());
        const absl::StatusOr<int64_t> sum = cluster_->Increment(absl::StrCat("counter", t), 1);
        ASSERT_THAT(sum, IsOk());
        ASSERT_EQ(*sum, n);
        ++calls;
      }
    });
  }
  for (uint64_t round = 1; round <= 3; ++round) {
    DamageTables(cluster_->GetTopology().shards()[round - 1].primary());
    // Readers may have in memory all they ask for.
    cluster_->Verify().IgnoreError();
    EXPECT_TRUE(Repaired(round));
    const int until = calls + 100;
    EXPECT_TRUE(Eventually([&] { return calls >= until; }));
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(cluster_->Verify(), IsOk());
  ExpectAllKeys();
}

}  // namespace
}  // namespace slotkv
