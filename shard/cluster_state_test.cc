#include "shard/cluster_state.h"

#include <cstdlib>
#include <functional>
#include <iostream>
#include <random>
#include <sstream>
#include <string>
#include <utility>

#include "absl/strings/escaping.h"
#include "engine/text.h"
#include "gtest/gtest.h"
#include "shard/placement.h"

namespace slotkv {
namespace {

uint64_t Seed() {
  const char* given = std::getenv("SLOTKV_TEST_SEED");
  const uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  std::cout << "SLOTKV_TEST_SEED=" << seed << std::endl;
  return seed;
}

// Two shards with two nodes each, and a third that owns nothing.
ClusterState Sample() {
  ClusterState state;
  state.id = ClusterId::FromBytes("0123456789abcdef");
  state.epoch = Epoch(9);
  state.zones = {{"zone-a", ZoneId(0xa1)}, {"zone-b", ZoneId(0xb2)}};
  state.next_shard_id = 8;
  state.next_node_id = 17;
  ShardState low;
  low.id = ShardId(1);
  low.epoch = ShardEpoch(4);
  low.slots = {{0, 99}, {101, 8191}};
  low.nodes = {{NodeId(1), Role::kPrimary, "zone-a", true, 1},
               {NodeId(2), Role::kReplica, "zone-b", false, 3}};
  ShardState high;
  high.id = ShardId(2);
  high.epoch = ShardEpoch(5);
  high.slots = {{100, 100}, {8192, 16383}};
  high.nodes = {{NodeId(4), Role::kReplica, "zone-a", true, 1},
                {NodeId(3), Role::kPrimary, "zone-b", true, 2}};
  ShardState empty;
  empty.id = ShardId(7);
  empty.nodes = {{NodeId(16), Role::kPrimary, "zone-a", true, 1}};
  state.shards = {low, high, empty};
  return state;
}

TEST(ClusterIdTest, RandomAndPrinted) {
  EXPECT_NE(ClusterId::Random(), ClusterId::Random());
  EXPECT_NE(ClusterId::Random(), ClusterId());
  EXPECT_NE(RandomZoneId(), ZoneId());
  EXPECT_EQ(ClusterId::FromBytes("0123456789abcdef").ToString(),
            "30313233343536373839616263646566");
  EXPECT_EQ(ClusterId().ToString(), std::string(32, '0'));
}

TEST(ClusterStateTest, RoundTrips) {
  ASSERT_TRUE(Validate(Sample()).ok()) << Validate(Sample());
  const auto decoded = DecodeClusterState(EncodeClusterState(Sample()));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_TRUE(*decoded == Sample());
  for (int shards : {1, 3, 1024}) {
    const auto state = InitialState(ClusterId::Random(), {{"z", RandomZoneId()}}, shards);
    ASSERT_TRUE(state.ok()) << state.status();
    const auto again = DecodeClusterState(EncodeClusterState(*state));
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_TRUE(*again == *state);
  }
}

TEST(ClusterStateTest, GoldenBytes) {
  ClusterState state = Sample();
  state.zones.pop_back();
  state.shards.resize(1);
  state.shards[0].slots = {{0, 16383}};
  state.shards[0].nodes.resize(1);
  ASSERT_TRUE(Validate(state).ok()) << Validate(state);
  EXPECT_EQ(absl::BytesToHexString(EncodeClusterState(state)),
            "01"                                // format version
            "30313233343536373839616263646566"  // cluster
            "0900000000000000"                  // epoch
            "08000000"
            "11000000"  // next shard, next node
            "01"        // zones
            "06"
            "7a6f6e652d61"      // "zone-a"
            "a100000000000000"  // its id
            "01"                // shards
            "01000000"
            "0400000000000000"  // id, epoch
            "01"
            "0000"
            "ff3f"  // ranges: 0-16383
            "01"    // nodes
            "01000000"
            "00"
            "01"
            "01000000"  // id, primary, in sync, incarnation
            "06"
            "7a6f6e652d61");  // "zone-a"
}

TEST(ClusterStateTest, LaterVersionsAreRefusedByName) {
  std::string bytes = EncodeClusterState(Sample());
  bytes[0] = 2;
  const absl::Status status = DecodeClusterState(bytes).status();
  EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
  EXPECT_NE(status.ToString().find("version 2"), std::string::npos) << status;
}

TEST(ClusterStateTest, ToTopology) {
  const Topology topology = Sample().ToTopology([](NodeId node) { return node != NodeId(3); });
  std::ostringstream out;
  out << topology;
  EXPECT_EQ(out.str(),
            "epoch 9: shard-1 [0-99 101-8191] node-1 primary zone-a, node-2 replica zone-b "
            "out-of-sync; shard-2 [100 8192-16383] node-4 replica zone-a, node-3 primary zone-b "
            "down; shard-7 [] node-16 primary zone-a");
  EXPECT_EQ(topology.OwnerOf(100), ShardId(2));
}

struct Break {
  const char* what;  // in the error's text
  std::function<void(ClusterState*)> apply;
};

TEST(ClusterStateTest, ValidateNamesWhatIsWrong) {
  const Break breaks[] = {
      {"no cluster id", [](ClusterState* s) { s->id = ClusterId(); }},
      {"epoch 0", [](ClusterState* s) { s->epoch = Epoch(); }},
      {"0 zones", [](ClusterState* s) { s->zones.clear(); }},
      {"zone name", [](ClusterState* s) { s->zones[0].name = "a/b"; }},
      {"zone-a is there twice", [](ClusterState* s) { s->zones[1].name = "zone-a"; }},
      {"another one's id", [](ClusterState* s) { s->zones[1].id = s->zones[0].id; }},
      {"zone-b has no id", [](ClusterState* s) { s->zones[1].id = ZoneId(); }},
      {"0 shards", [](ClusterState* s) { s->shards.clear(); }},
      {"ids do not ascend", [](ClusterState* s) { std::swap(s->shards[0], s->shards[1]); }},
      {"ids do not ascend", [](ClusterState* s) { s->shards[1].id = ShardId(1); }},
      {"ids do not ascend", [](ClusterState* s) { s->shards[0].id = ShardId(0); }},
      {"next shard id", [](ClusterState* s) { s->next_shard_id = 7; }},
      {"next shard id", [](ClusterState* s) { s->next_shard_id = 1u << 25; }},
      {"slot 100 has no owner",
       [](ClusterState* s) { s->shards[1].slots.erase(s->shards[1].slots.begin()); }},
      {"slot 16383 has no owner", [](ClusterState* s) { s->shards[1].slots[1].last = 16382; }},
      {"slot 0 has no owner", [](ClusterState* s) { s->shards[0].slots[0].first = 1; }},
      {"slot 100 is owned by shard-1 and shard-2",
       [](ClusterState* s) {
         s->shards[0].slots = {{0, 8191}};
       }},
      {"bad slot range 99-8191", [](ClusterState* s) { s->shards[0].slots[1].first = 99; }},
      {"bad slot range 100-8191", [](ClusterState* s) { s->shards[0].slots[1].first = 100; }},
      {"bad slot range 9-8",
       [](ClusterState* s) {
         s->shards[0].slots[0] = {9, 8};
       }},
      {"bad slot range 8192-16384", [](ClusterState* s) { s->shards[1].slots[1].last = 16384; }},
      {"shard-7: 0 nodes", [](ClusterState* s) { s->shards[2].nodes.clear(); }},
      {"shard-1: 0 primaries",
       [](ClusterState* s) { s->shards[0].nodes[0].role = Role::kReplica; }},
      {"shard-2: 2 primaries",
       [](ClusterState* s) { s->shards[1].nodes[0].role = Role::kPrimary; }},
      {"node-16: not between", [](ClusterState* s) { s->next_node_id = 16; }},
      {"node-0: not between", [](ClusterState* s) { s->shards[0].nodes[0].id = NodeId(0); }},
      {"node-1 is there twice", [](ClusterState* s) { s->shards[1].nodes[0].id = NodeId(1); }},
      {"node-2: its zone is unknown",
       [](ClusterState* s) { s->shards[0].nodes[1].zone = "zone-c"; }},
      {"node-2: incarnation 0", [](ClusterState* s) { s->shards[0].nodes[1].incarnation = 0; }},
      {"node-1: a primary that is not in sync",
       [](ClusterState* s) { s->shards[0].nodes[0].in_sync = false; }},
  };
  for (const Break& broken : breaks) {
    ClusterState state = Sample();
    broken.apply(&state);
    const absl::Status status = Validate(state);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << broken.what << ": " << status;
    EXPECT_NE(status.ToString().find(broken.what), std::string::npos) << status;
    const absl::Status decoded = DecodeClusterState(EncodeClusterState(state)).status();
    EXPECT_TRUE(absl::IsDataLoss(decoded)) << broken.what << ": " << decoded;
  }
}

TEST(ClusterStateTest, SuccessorsGoForward) {
  ClusterState next = Sample();
  next.epoch = Epoch(10);
  EXPECT_TRUE(ValidateSuccessor(Sample(), next).ok());
  const Break breaks[] = {
      {"cannot follow cluster", [](ClusterState* s) { s->id = ClusterId::Random(); }},
      {"epoch 9 cannot follow", [](ClusterState* s) { s->epoch = Epoch(9); }},
      {"epoch 11 cannot follow", [](ClusterState* s) { s->epoch = Epoch(11); }},
      {"shard-1: epoch 3 is below 4", [](ClusterState* s) { s->shards[0].epoch = ShardEpoch(3); }},
      {"went back", [](ClusterState* s) { s->shards.pop_back(), s->next_shard_id = 7; }},
      {"went back", [](ClusterState* s) { s->shards.pop_back(), s->next_node_id = 16; }},
      {"shard-6: its id was used", [](ClusterState* s) { s->shards[2].id = ShardId(6); }},
      {"node-15: its id was used", [](ClusterState* s) { s->shards[2].nodes[0].id = NodeId(15); }},
      {"node-2: incarnation went", [](ClusterState* s) { s->shards[0].nodes[1].incarnation = 2; }},
      {"no owner", [](ClusterState* s) { s->shards[1].slots.pop_back(); }},
  };
  for (const Break& broken : breaks) {
    ClusterState state = next;
    broken.apply(&state);
    const absl::Status status = ValidateSuccessor(Sample(), state);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << broken.what << ": " << status;
    EXPECT_NE(status.ToString().find(broken.what), std::string::npos) << status;
  }
  ClusterState grown = next;
  grown.shards.push_back(grown.shards[2]);
  grown.shards[3].id = ShardId(grown.next_shard_id++);
  grown.shards[3].nodes[0].id = NodeId(grown.next_node_id++);
  EXPECT_TRUE(ValidateSuccessor(Sample(), grown).ok()) << ValidateSuccessor(Sample(), grown);
}

// ---- Bytes that nobody wrote ----

// Whatever decodes is valid and is the only way to write it.
void Try(const std::string& bytes) {
  const auto state = DecodeClusterState(bytes);
  if (!state.ok()) {
    ASSERT_TRUE(absl::IsDataLoss(state.status()) || absl::IsUnimplemented(state.status()))
        << state.status();
    return;
  }
  ASSERT_TRUE(Validate(*state).ok());
  ASSERT_TRUE(*DecodeClusterState(EncodeClusterState(*state)) == *state);
}

TEST(ClusterStateFuzzTest, EveryTruncationAndEveryFlippedBit) {
  const std::string good = EncodeClusterState(Sample());
  for (size_t i = 0; i < good.size(); ++i) {
    EXPECT_FALSE(DecodeClusterState(good.substr(0, i)).ok()) << i;
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = good;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      ASSERT_NO_FATAL_FAILURE(Try(flipped)) << i;
    }
  }
  EXPECT_TRUE(absl::IsDataLoss(DecodeClusterState(good + '\0').status()));
}

TEST(ClusterStateFuzzTest, Garbage) {
  std::mt19937_64 random(Seed());
  const std::string good = EncodeClusterState(Sample());
  for (int round = 0; round < 8000; ++round) {
    std::string bytes = good;
    if (round % 4 == 0) {
      bytes.resize(random() % 200);
      for (char& byte : bytes) byte = static_cast<char>(random());
      if (!bytes.empty()) bytes[0] = 1;
    }
    for (uint64_t edits = random() % 6; edits > 0 && !bytes.empty(); --edits) {
      const size_t at = random() % bytes.size();
      switch (random() % 4) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes[at] = static_cast<char>(0xff);
          break;
        case 2:
          bytes.insert(at, 1, static_cast<char>(random()));
          break;
        default:
          bytes.erase(at, 1 + random() % 8);
      }
    }
    ASSERT_NO_FATAL_FAILURE(Try(bytes)) << "round " << round;
  }
}

}  // namespace
}  // namespace slotkv
