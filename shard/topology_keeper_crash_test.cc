// Kills a TopologyKeeper at its file operations and checks that no acknowledged topology is lost.
//
// A crash is simulated copy by copy: each copy fails from one operation on, and the keeper is then
// thrown away. That covers every moment at which a process can die, since the copies are written
// independently, and also disks that fail at different times. A power failure is simulated by
// giving the files back what they held at their last sync. Three copies; those that an Open may
// reach are any majority.
#include <algorithm>
#include <array>
#include <fstream>
#include <iostream>
#include <iterator>
#include <limits>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "shard/placement.h"
#include "shard/topology_keeper.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

constexpr size_t kCopies = 3;
constexpr int kNever = std::numeric_limits<int>::max();

// The number of operations each copy still performs; then all of them fail.
using Budgets = std::array<int, kCopies>;
using Reach = std::array<bool, kCopies>;

const Reach kMajorities[] = {
    {true, true, false}, {true, false, true}, {false, true, true}, {true, true, true}};

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// Fails from the n-th operation on, remembers what it let through, and knows what a power failure
// would leave of one file: what was in it when it was synced last, or, if it was replaced, what was
// synced of the replacement, once the directory is synced.
class CrashHook : public FileHook {
 public:
  explicit CrashHook(std::string path) : path_(std::move(path)) {}

  absl::Status Before(FileOp op, const std::string&) override {
    if (left_ == 0) return absl::UnavailableError("crashed");
    if (left_ != kNever) --left_;
    trace_.push_back(op);
    return absl::OkStatus();
  }

  void After(FileOp op, const std::string& path) override {
    if (op == FileOp::kCreate && path == path_ + ".new") replacement_.clear();
    if (op == FileOp::kSync && path == path_ + ".new") replacement_ = ReadFile(path);
    if (op == FileOp::kRename && path == path_) renamed_ = true;
    if (op == FileOp::kSync && path == path_ && !renamed_) durable_ = ReadFile(path);
    if (op == FileOp::kSyncDirectory && renamed_) {
      durable_ = replacement_;
      renamed_ = false;
    }
  }

  void SetBudget(int budget) {
    left_ = budget;
    trace_.clear();
  }
  void SetDurable(const std::string& bytes) {
    durable_ = bytes;
    renamed_ = false;
  }
  const std::string& durable() const { return durable_; }
  const std::vector<FileOp>& trace() const { return trace_; }

 private:
  const std::string path_;
  // Used by one job at a time, and between jobs.
  int left_ = kNever;
  std::vector<FileOp> trace_;
  std::string replacement_;
  bool renamed_ = false;
  std::string durable_;
};

// A topology is known by one number that each change raises: its first shard's epoch.
using Tag = uint64_t;

Tag TagOf(const ClusterState& state) { return state.shards[0].epoch.value(); }

// The files between two runs, and what the next run may find.
struct World {
  std::array<std::string, kCopies> files;
  Tag certain = 0;          // the last one acknowledged, or found by an Open that succeeded
  std::set<Tag> attempted;  // later ones of unknown outcome

  bool Allows(Tag tag) const { return tag == certain || attempted.count(tag) > 0; }
  Tag NextTag() const {
    return 1 + (attempted.empty() ? certain : std::max(certain, *attempted.rbegin()));
  }
  friend bool operator<(const World& a, const World& b) {
    return std::tie(a.files, a.certain, a.attempted) < std::tie(b.files, b.certain, b.attempted);
  }
};

class TopologyKeeperCrashTest : public testing::Test {
 protected:
  TopologyKeeperCrashTest() {
    options_.timeout = absl::Seconds(60);
    options_.patience = absl::Seconds(60);
    options_.attempts = 1;
    for (size_t i = 0; i < kCopies; ++i) {
      hooks_[i] = std::make_shared<CrashHook>(File(i));
      disks_[i] = std::make_unique<Disk>(hooks_[i]);
      EXPECT_TRUE(plain_.MakeDirectory(Directory(i)).ok());
    }
    const ClusterState initial =
        *InitialState(ClusterId::FromBytes("0123456789abcdef"), {{"zone-a", ZoneId(1)}}, 1);
    cluster_ = initial.id;
    EXPECT_TRUE(TopologyKeeper::Create(initial, Copies(kMajorities[3]), options_).ok());
    first_.files = Files();
  }

  std::string Directory(size_t copy) const { return root_.Path(std::to_string(copy)); }
  std::string File(size_t copy) const { return Directory(copy) + "/TOPOLOGY"; }

  std::array<std::string, kCopies> Files() const {
    std::array<std::string, kCopies> files;
    for (size_t i = 0; i < kCopies; ++i) files[i] = ReadFile(File(i));
    return files;
  }
  void SetFiles(const World& world) const {
    for (size_t i = 0; i < kCopies; ++i) {
      std::ofstream(File(i), std::ios::binary | std::ios::trunc) << world.files[i];
      hooks_[i]->SetDurable(world.files[i]);
    }
  }
  void SetBudgets(const Budgets& budgets) {
    for (size_t i = 0; i < kCopies; ++i) hooks_[i]->SetBudget(budgets[i]);
  }

  std::vector<TopologyCopy> Copies(const Reach& reach) const {
    std::vector<TopologyCopy> copies;
    for (size_t i = 0; i < kCopies; ++i) {
      copies.push_back({"copy-" + std::to_string(i), Directory(i), disks_[i].get(),
                        reach[i] ? absl::OkStatus() : absl::UnavailableError("away")});
    }
    return copies;
  }

  // Opens what `world` left; the copies in reach fail as `budgets` says. Updates what is certain
  // if the Open succeeds; otherwise returns null.
  std::unique_ptr<TopologyKeeper> Open(const Reach& reach, const Budgets& budgets, World* world) {
    SetFiles(*world);
    SetBudgets(budgets);
    auto keeper = TopologyKeeper::Open(cluster_, Copies(reach), options_);
    if (!keeper.ok()) {
      EXPECT_TRUE(absl::IsUnavailable(keeper.status())) << keeper.status();
      return nullptr;
    }
    const Tag found = TagOf(*(*keeper)->Current());
    EXPECT_TRUE(world->Allows(found)) << "found " << found << ", certain is " << world->certain;
    world->certain = found;
    world->attempted.clear();
    return *std::move(keeper);
  }

  void Change(const Budgets& budgets, TopologyKeeper* keeper, World* world) {
    ClusterState next = *keeper->Current();
    next.epoch = next.epoch.Next();
    const Tag tag = world->NextTag();
    next.shards[0].epoch = ShardEpoch(tag);
    SetBudgets(budgets);
    const absl::Status status = keeper->ChangeTopology(keeper->Current()->epoch, next);
    if (status.ok()) {
      world->certain = tag;
      world->attempted.clear();
    } else {
      EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
      world->attempted.insert(tag);
    }
  }

  // What an Open that is cut short leaves: first if only the process dies, then the ways in which
  // copies lose what they had not synced.
  std::vector<World> CrashInOpen(World world, const Reach& reach, const Budgets& budgets) {
    Open(reach, budgets, &world);
    return Left(world);
  }
  // The same for a change.
  std::vector<World> CrashInChange(World world, const Reach& reach, const Budgets& budgets) {
    {
      const auto keeper = Open(reach, {kNever, kNever, kNever}, &world);
      EXPECT_NE(keeper, nullptr);
      if (keeper != nullptr) Change(budgets, keeper.get(), &world);
    }
    return Left(world);
  }
  std::vector<World> Left(World world) const {
    world.files = Files();
    std::vector<World> worlds = {world};
    for (size_t i = 0; i < kCopies; ++i) {
      const std::string& durable = hooks_[i]->durable();
      if (durable == world.files[i]) continue;
      for (size_t n = worlds.size(); n > 0; --n) {
        worlds.push_back(worlds[n - 1]);
        worlds.back().files[i] = durable;
      }
    }
    return worlds;
  }

  // Whatever majority is reached next, it finds what it may find.
  void Check(const World& world) {
    for (const Reach& reach : kMajorities) {
      World copy = world;
      EXPECT_NE(Open(reach, {kNever, kNever, kNever}, &copy), nullptr);
    }
  }

  // How many operations a copy performs in Open and then in one change.
  std::pair<std::vector<FileOp>, std::vector<FileOp>> Traces() {
    World world = first_;
    const auto keeper = Open(kMajorities[3], {kNever, kNever, kNever}, &world);
    const std::vector<FileOp> open = hooks_[0]->trace();
    Change({kNever, kNever, kNever}, keeper.get(), &world);
    return {open, hooks_[0]->trace()};
  }

  // Calls `visit` with each choice of budgets for the copies in reach.
  template <typename Visit>
  static void ForEachBudget(const Reach& reach, const std::vector<int>& points,
                            const Visit& visit) {
    const std::vector<int> one = {0};
    for (int a : reach[0] ? points : one) {
      for (int b : reach[1] ? points : one) {
        for (int c : reach[2] ? points : one) visit(Budgets{a, b, c});
      }
    }
  }

  static std::vector<int> EveryPoint(const std::vector<FileOp>& trace) {
    std::vector<int> points;
    for (size_t i = 0; i <= trace.size(); ++i) points.push_back(static_cast<int>(i));
    return points;
  }

  // One point for each state that a copy can be left in: before and after each operation by which
  // a file changes for a reader, and after everything.
  static std::vector<int> ChangingPoints(const std::vector<FileOp>& trace) {
    std::set<int> points = {0, kNever};
    bool replaced = false;
    for (size_t i = 0; i < trace.size(); ++i) {
      if (trace[i] == FileOp::kRename) replaced = true;
      const bool appends = trace[i] == FileOp::kWrite && replaced;
      if (trace[i] != FileOp::kRename && !appends) continue;
      points.insert(static_cast<int>(i));
      points.insert(static_cast<int>(i) + 1);
    }
    return {points.begin(), points.end()};
  }

  // Crashes are simulated, not suffered.
  const TemporaryDirectory root_{/*in_memory=*/true};
  const Disk plain_;
  TopologyKeeperOptions options_;
  std::array<std::shared_ptr<CrashHook>, kCopies> hooks_;
  std::array<std::unique_ptr<Disk>, kCopies> disks_;
  ClusterId cluster_;
  World first_;
};

TEST_F(TopologyKeeperCrashTest, EveryOperationOfAChange) {
  const auto [open, change] = Traces();
  ASSERT_FALSE(change.empty());
  std::set<World> worlds;
  for (const Reach& reach : kMajorities) {
    ForEachBudget(reach, EveryPoint(change), [&](const Budgets& budgets) {
      const std::vector<World> left = CrashInChange(first_, reach, budgets);
      worlds.insert(left.begin(), left.end());
    });
  }
  for (const World& world : worlds) Check(world);
  std::cout << worlds.size() << " worlds after a crash in a change" << std::endl;
}

TEST_F(TopologyKeeperCrashTest, EveryOperationOfAnOpen) {
  const auto [open, change] = Traces();
  // Begins with a change that only one copy has.
  const World begin = CrashInChange(first_, kMajorities[3], {kNever, 0, 0})[0];
  ASSERT_EQ(begin.attempted.size(), 1u);
  std::set<World> worlds;
  for (const Reach& reach : kMajorities) {
    ForEachBudget(reach, EveryPoint(open), [&](const Budgets& budgets) {
      const std::vector<World> left = CrashInOpen(begin, reach, budgets);
      worlds.insert(left.begin(), left.end());
    });
  }
  for (const World& world : worlds) Check(world);
  std::cout << worlds.size() << " worlds after a crash in Open" << std::endl;
}

// A change that is cut short, two Opens that are cut short, a change that is acknowledged, in all
// their ways: where a protocol without the promise round loses that last change.
TEST_F(TopologyKeeperCrashTest, TwoCrashesInsideOpen) {
  const auto [open, change] = Traces();
  const std::vector<int> points = ChangingPoints(open);
  std::set<World> worlds = {CrashInChange(first_, kMajorities[3], {kNever, 0, 0})[0]};
  for (int crash = 0; crash < 2; ++crash) {
    std::set<World> next = worlds;
    for (const World& world : worlds) {
      for (const Reach& reach : kMajorities) {
        ForEachBudget(reach, points, [&](const Budgets& budgets) {
          const std::vector<World> left = CrashInOpen(world, reach, budgets);
          next.insert(left.begin(), left.end());
        });
      }
    }
    worlds = std::move(next);
    std::cout << worlds.size() << " worlds after crash " << crash + 1 << std::endl;
  }
  for (const World& world : worlds) {
    for (const Reach& reach : kMajorities) {
      for (const World& left : CrashInChange(world, reach, {kNever, kNever, kNever})) Check(left);
    }
  }
}

// Longer histories, at random.
TEST_F(TopologyKeeperCrashTest, RandomHistories) {
  const auto [open, change] = Traces();
  std::mt19937_64 random(TestSeed());
  const auto budget = [&random](const std::vector<FileOp>& trace) {
    return random() % 3 == 0 ? kNever : static_cast<int>(random() % (trace.size() + 1));
  };
  for (int history = 0; history < 300 && !HasFailure(); ++history) {
    World world = first_;
    for (int step = 0; step < 12 && !HasFailure(); ++step) {
      const Reach& reach = kMajorities[random() % 4];
      const bool in_open = random() % 2 == 0;
      const std::vector<FileOp>& trace = in_open ? open : change;
      const Budgets budgets = {budget(trace), budget(trace), budget(trace)};
      const std::vector<World> left =
          in_open ? CrashInOpen(world, reach, budgets) : CrashInChange(world, reach, budgets);
      world = left[random() % left.size()];
    }
    Check(world);
  }
}

}  // namespace
}  // namespace slotkv
