#include "shard/topology_keeper.h"

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gtest/gtest.h"
#include "shard/placement.h"

namespace slotkv {
namespace {

// One copy's disk: it can be made to fail, or to hang.
class TestHook : public FileHook {
 public:
  absl::Status Before(FileOp op, const std::string&) override {
    if (failing) return absl::UnavailableError("injected failure");
    if (op == FileOp::kWrite && hanging.exchange(false)) {
      hangs.Notify();
      resume.WaitForNotification();
    }
    return absl::OkStatus();
  }

  std::atomic<bool> failing = false;
  std::atomic<bool> hanging = false;  // the next write, once
  absl::Notification hangs;
  absl::Notification resume;
};

class TopologyKeeperTest : public testing::Test {
 protected:
  TopologyKeeperTest() : root_(testing::TempDir() + "/topology_keeper_test") {
    EXPECT_TRUE(plain_.DeleteTree(root_).ok());
    options_.timeout = absl::Seconds(60);
    options_.attempts = 1;
    SetCopies(3);
    initial_ = *InitialState(ClusterId::Random(), {{"zone-a", RandomZoneId()}}, 3);
  }
  ~TopologyKeeperTest() override { EXPECT_TRUE(plain_.DeleteTree(root_).ok()); }

  void SetCopies(int count) {
    hooks_.clear();
    disks_.clear();
    copies_.clear();
    for (int i = 0; i < count; ++i) {
      hooks_.push_back(std::make_shared<TestHook>());
      disks_.push_back(std::make_unique<Disk>(hooks_.back()));
      const std::string name = std::string("copy-") + static_cast<char>('a' + i);
      copies_.push_back({name, JoinPath(root_, name), disks_.back().get(), absl::OkStatus()});
      EXPECT_TRUE(plain_.MakeDirectory(copies_.back().directory).ok());
    }
  }

  std::string File(size_t copy) const { return copies_[copy].directory + "/TOPOLOGY"; }
  std::string Bytes(size_t copy) const { return plain_.Read(File(copy)).value(); }
  void SetBytes(size_t copy, const std::string& bytes) {
    ASSERT_TRUE(plain_.Replace(File(copy), bytes).ok());
  }

  absl::StatusOr<std::unique_ptr<TopologyKeeper>> Create() {
    return TopologyKeeper::Create(initial_, copies_, options_);
  }
  absl::StatusOr<std::unique_ptr<TopologyKeeper>> Open() {
    return TopologyKeeper::Open(initial_.id, copies_, options_);
  }

  // A topology that may follow the current one.
  static ClusterState Next(const TopologyKeeper& keeper) {
    ClusterState next = *keeper.Current();
    next.epoch = next.epoch.Next();
    next.shards[0].epoch = next.shards[0].epoch.Next();
    return next;
  }
  static absl::Status Advance(TopologyKeeper* keeper) {
    const ClusterState next = Next(*keeper);
    return keeper->ChangeTopology(keeper->Current()->epoch, next);
  }
  // Creates, and changes until `epoch` is current; closes.
  void Prepare(uint64_t epoch) {
    auto keeper = Create();
    ASSERT_TRUE(keeper.ok()) << keeper.status();
    while ((*keeper)->Current()->epoch < Epoch(epoch)) {
      const absl::Status status = Advance(keeper->get());
      ASSERT_TRUE(status.ok()) << status;
    }
  }

  static bool Mentions(const absl::Status& status, const std::string& text) {
    return status.ToString().find(text) != std::string::npos;
  }

  const std::string root_;
  const Disk plain_;
  TopologyKeeperOptions options_;
  std::vector<std::shared_ptr<TestHook>> hooks_;
  std::vector<std::unique_ptr<Disk>> disks_;
  std::vector<TopologyCopy> copies_;
  ClusterState initial_;
};

TEST_F(TopologyKeeperTest, CreatesChangesAndReopens) {
  ClusterState last;
  {
    const auto keeper = Create();
    ASSERT_TRUE(keeper.ok()) << keeper.status();
    EXPECT_TRUE(*(*keeper)->Current() == initial_);
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(Advance(keeper->get()).ok());
    last = *(*keeper)->Current();
    EXPECT_EQ(last.epoch, Epoch(6));
    for (const TopologyCopyHealth& copy : (*keeper)->Copies()) {
      EXPECT_TRUE(copy.status.ok()) << copy.name << copy.status;
    }
  }
  for (int i = 0; i < 3; ++i) {
    const auto keeper = Open();
    ASSERT_TRUE(keeper.ok()) << keeper.status();
    EXPECT_TRUE(*(*keeper)->Current() == last);
    ASSERT_TRUE(Advance(keeper->get()).ok());
    last = *(*keeper)->Current();
  }
}

TEST_F(TopologyKeeperTest, RefusesStaleAndInvalidChanges) {
  const auto keeper = Create();
  ASSERT_TRUE(keeper.ok()) << keeper.status();
  const ClusterState stale = Next(**keeper);
  ASSERT_TRUE(Advance(keeper->get()).ok());
  EXPECT_TRUE(absl::IsAborted((*keeper)->ChangeTopology(Epoch(1), stale)));
  EXPECT_TRUE(absl::IsInvalidArgument((*keeper)->ChangeTopology(Epoch(2), stale)));
  ClusterState orphaned = Next(**keeper);
  orphaned.shards.pop_back();
  EXPECT_TRUE(absl::IsInvalidArgument((*keeper)->ChangeTopology(Epoch(2), orphaned)));
  EXPECT_EQ((*keeper)->Current()->epoch, Epoch(2));
}

TEST_F(TopologyKeeperTest, CreateNeedsEveryCopyAndBlankOnes) {
  hooks_[2]->failing = true;
  absl::Status status = Create().status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_TRUE(Mentions(status, "copy-c")) << status;
  hooks_[2]->failing = false;
  // A creation that was cut short leaves some copies written; it can be repeated.
  ASSERT_TRUE(Create().ok());
  ASSERT_TRUE(plain_.Delete(File(1)).ok());
  {
    const auto keeper = Create();
    ASSERT_TRUE(keeper.ok()) << keeper.status();
    ASSERT_TRUE(Advance(keeper->get()).ok());
  }
  status = Create().status();
  EXPECT_TRUE(absl::IsAlreadyExists(status)) << status;
  EXPECT_TRUE(Mentions(status, File(0))) << status;
}

TEST_F(TopologyKeeperTest, AnyOneCopyMayBeMissing) {
  Prepare(3);
  for (size_t lost = 0; lost < 3; ++lost) {
    ASSERT_TRUE(plain_.Delete(File(lost)).ok());
    const auto keeper = Open();
    ASSERT_TRUE(keeper.ok()) << keeper.status();
    EXPECT_EQ((*keeper)->Current()->epoch, Epoch(3));
    EXPECT_TRUE((*keeper)->Copies()[lost].status.ok()) << (*keeper)->Copies()[lost].status;
  }
}

TEST_F(TopologyKeeperTest, AnyByteOfOneCopyMayFlip) {
  Prepare(3);
  const std::string good = Bytes(1);
  const std::array<std::string, 3> all = {Bytes(0), good, Bytes(2)};
  for (size_t i = 0; i < good.size(); ++i) {
    for (size_t copy = 0; copy < 3; ++copy) SetBytes(copy, all[copy]);
    std::string flipped = good;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x20);
    SetBytes(1, flipped);
    const auto keeper = Open();
    ASSERT_TRUE(keeper.ok()) << i << ": " << keeper.status();
    ASSERT_EQ((*keeper)->Current()->epoch, Epoch(3)) << i;
    ASSERT_TRUE((*keeper)->Copies()[1].status.ok()) << i;
  }
}

TEST_F(TopologyKeeperTest, TwoDamagedCopiesAreRefused) {
  Prepare(3);
  std::string bad = Bytes(0);
  bad[60] = static_cast<char>(bad[60] ^ 1);
  SetBytes(0, bad);
  SetBytes(2, "x");
  const std::string untouched = Bytes(1);
  const absl::Status status = Open().status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_TRUE(Mentions(status, "copy-a: " + File(0) + ": offset 40")) << status;
  EXPECT_TRUE(Mentions(status, "copy-c: " + File(2) + ": offset 0")) << status;
  EXPECT_FALSE(Mentions(status, "copy-b")) << status;
  EXPECT_EQ(Bytes(0), bad);
  EXPECT_EQ(Bytes(1), untouched);
  EXPECT_EQ(Bytes(2), "x");
}

TEST_F(TopologyKeeperTest, WithoutAMajorityOpenSaysWhichAndWhy) {
  Prepare(2);
  copies_[0].reachable = absl::UnavailableError("its disk is not mounted");
  {
    const auto keeper = Open();
    ASSERT_TRUE(keeper.ok()) << keeper.status();
    EXPECT_TRUE(Mentions((*keeper)->Copies()[0].status, "not mounted"));
    ASSERT_TRUE(Advance(keeper->get()).ok());
  }
  hooks_[2]->failing = true;
  const absl::Status status = Open().status();
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_TRUE(Mentions(status, "copy-a: its disk is not mounted")) << status;
  EXPECT_TRUE(Mentions(status, "copy-c: ")) << status;
  EXPECT_TRUE(Mentions(status, "injected failure")) << status;
  // The copy that was away is brought up to date by whoever sees it next.
  copies_[0].reachable = absl::OkStatus();
  const auto keeper = Open();
  ASSERT_TRUE(keeper.ok()) << keeper.status();
  EXPECT_EQ((*keeper)->Current()->epoch, Epoch(3));
}

TEST_F(TopologyKeeperTest, AnotherClustersCopyIsLeftAlone) {
  Prepare(2);
  const ClusterId other = ClusterId::Random();
  const std::string foreign =
      EncodeJournal({Term(9), {{Term(9), Epoch(9)}, RecordName(), "x"}}, other);
  SetBytes(1, foreign);
  {
    const auto keeper = Open();
    ASSERT_TRUE(keeper.ok()) << keeper.status();
    ASSERT_TRUE(Advance(keeper->get()).ok());
    EXPECT_FALSE((*keeper)->Copies()[1].status.ok());
  }
  EXPECT_EQ(Bytes(1), foreign);
}

TEST_F(TopologyKeeperTest, AFailedCopyIsCaughtUpByALaterChange) {
  {
    const auto keeper = Create();
    ASSERT_TRUE(keeper.ok()) << keeper.status();
    hooks_[1]->failing = true;
    ASSERT_TRUE(Advance(keeper->get()).ok());
    EXPECT_TRUE(Mentions((*keeper)->Copies()[1].status, "injected failure"));
    EXPECT_TRUE((*keeper)->Copies()[0].status.ok());
    ASSERT_TRUE(Advance(keeper->get()).ok());
    hooks_[1]->failing = false;
    ASSERT_TRUE(Advance(keeper->get()).ok());
    EXPECT_TRUE((*keeper)->Copies()[1].status.ok()) << (*keeper)->Copies()[1].status;
  }
  // It is as good as the others now.
  ASSERT_TRUE(plain_.Delete(File(0)).ok());
  const auto keeper = Open();
  ASSERT_TRUE(keeper.ok()) << keeper.status();
  EXPECT_EQ((*keeper)->Current()->epoch, Epoch(4));
}

TEST_F(TopologyKeeperTest, AnUnresolvedChangeBlocksOthersUntilItIsFinished) {
  const auto keeper = Create();
  ASSERT_TRUE(keeper.ok()) << keeper.status();
  const ClusterState first = Next(**keeper);
  ClusterState other = first;
  other.shards[1].epoch = ShardEpoch(7);
  hooks_[0]->failing = hooks_[1]->failing = true;
  absl::Status status = (*keeper)->ChangeTopology(Epoch(1), first);
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_TRUE(Mentions(status, "copy-a: ") && Mentions(status, "copy-b: ")) << status;
  EXPECT_EQ((*keeper)->Current()->epoch, Epoch(1));
  status = (*keeper)->ChangeTopology(Epoch(1), other);
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  status = (*keeper)->ChangeTopology(Epoch(1), first);
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_EQ((*keeper)->Current()->epoch, Epoch(1));

  hooks_[0]->failing = false;
  status = (*keeper)->ChangeTopology(Epoch(1), other);
  EXPECT_TRUE(absl::IsAborted(status)) << status;
  EXPECT_TRUE(*(*keeper)->Current() == first);
  // The other caller was told; nobody is told twice.
  EXPECT_TRUE(absl::IsAborted((*keeper)->ChangeTopology(Epoch(1), first)));
  ASSERT_TRUE(Advance(keeper->get()).ok());
}

TEST_F(TopologyKeeperTest, AnUnresolvedChangeCanBeRepeated) {
  const auto keeper = Create();
  ASSERT_TRUE(keeper.ok()) << keeper.status();
  const ClusterState next = Next(**keeper);
  for (const auto& hook : hooks_) hook->failing = true;
  ASSERT_TRUE(absl::IsDeadlineExceeded((*keeper)->ChangeTopology(Epoch(1), next)));
  for (const auto& hook : hooks_) hook->failing = false;
  EXPECT_TRUE((*keeper)->ChangeTopology(Epoch(1), next).ok());
  EXPECT_TRUE(*(*keeper)->Current() == next);
  EXPECT_TRUE(absl::IsAborted((*keeper)->ChangeTopology(Epoch(1), next)));
}

TEST_F(TopologyKeeperTest, FailuresAreRetriedWithinTheCall) {
  options_.attempts = 100;
  const auto keeper = Create();
  ASSERT_TRUE(keeper.ok()) << keeper.status();
  hooks_[0]->failing = hooks_[1]->failing = true;
  std::thread healer([this, &keeper] {
    while ((*keeper)->Copies()[0].status.ok()) std::this_thread::yield();
    hooks_[0]->failing = false;
  });
  EXPECT_TRUE(Advance(keeper->get()).ok());
  healer.join();
  EXPECT_EQ((*keeper)->Current()->epoch, Epoch(2));
}

TEST_F(TopologyKeeperTest, AHangingCopyDelaysOneChangeByThePatience) {
  options_.patience = absl::Milliseconds(20);
  {
    const auto keeper = Create();
    ASSERT_TRUE(keeper.ok()) << keeper.status();
    hooks_[2]->hanging = true;
    ASSERT_TRUE(Advance(keeper->get()).ok());
    hooks_[2]->hangs.WaitForNotification();
    EXPECT_TRUE(Mentions((*keeper)->Copies()[2].status, "does not answer"));
    ASSERT_TRUE(Advance(keeper->get()).ok());
    EXPECT_EQ((*keeper)->Current()->epoch, Epoch(3));
    hooks_[2]->resume.Notify();
    // What the copy was late with is written, and it is behind; the next change finds it so.
    while (Mentions((*keeper)->Copies()[2].status, "does not answer")) std::this_thread::yield();
    EXPECT_TRUE(Mentions((*keeper)->Copies()[2].status, "fallen behind"));
  }
  const auto keeper = Open();
  ASSERT_TRUE(keeper.ok()) << keeper.status();
  EXPECT_EQ((*keeper)->Current()->epoch, Epoch(3));
}

TEST_F(TopologyKeeperTest, AChangeThatHangsIsMadeWhenItsCopiesReturn) {
  options_.timeout = absl::Seconds(2);
  const auto keeper = Create();
  ASSERT_TRUE(keeper.ok()) << keeper.status();
  hooks_[0]->hanging = hooks_[1]->hanging = true;
  const ClusterState next = Next(**keeper);
  const absl::Status status = (*keeper)->ChangeTopology(Epoch(1), next);
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_TRUE(Mentions(status, "copy-a: does not answer")) << status;
  EXPECT_EQ((*keeper)->Current()->epoch, Epoch(1));
  hooks_[0]->resume.Notify();
  while ((*keeper)->Current()->epoch == Epoch(1)) std::this_thread::yield();
  // Its caller, asking again, learns that it is made.
  EXPECT_TRUE((*keeper)->ChangeTopology(Epoch(1), next).ok());
  hooks_[1]->resume.Notify();
}

TEST_F(TopologyKeeperTest, ConcurrentChangesAreMadeOneAfterTheOther) {
  const auto keeper = Create();
  ASSERT_TRUE(keeper.ok()) << keeper.status();
  constexpr int kThreads = 4;
  constexpr int kEach = 20;
  std::atomic<int> made = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&keeper, &made] {
      for (int n = 0; n < kEach;) {
        const std::shared_ptr<const ClusterState> current = (*keeper)->Current();
        ClusterState next = *current;
        next.epoch = next.epoch.Next();
        next.shards[0].epoch = next.shards[0].epoch.Next();
        const absl::Status status = (*keeper)->ChangeTopology(current->epoch, next);
        ASSERT_TRUE(status.ok() || absl::IsAborted(status)) << status;
        if (status.ok()) ++n, ++made;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(made, kThreads * kEach);
  // Each was computed from the one before it.
  EXPECT_EQ((*keeper)->Current()->shards[0].epoch, ShardEpoch(kThreads * kEach));
  EXPECT_EQ((*keeper)->Current()->epoch, Epoch(1 + kThreads * kEach));
}

TEST_F(TopologyKeeperTest, OtherNumbersOfCopies) {
  const std::vector<std::pair<int, int>> cases = {{1, 0}, {2, 0}, {4, 1}, {5, 2}};
  for (const auto& [copies, spare] : cases) {
    ASSERT_TRUE(plain_.DeleteTree(root_).ok());
    SetCopies(copies);
    Prepare(3);
    for (int i = 0; i < spare; ++i) ASSERT_TRUE(plain_.Delete(File(static_cast<size_t>(i))).ok());
    const auto keeper = Open();
    ASSERT_TRUE(keeper.ok()) << copies << ": " << keeper.status();
    EXPECT_EQ((*keeper)->Current()->epoch, Epoch(3));
    for (int i = 0; i <= spare; ++i) hooks_[static_cast<size_t>(i)]->failing = true;
    EXPECT_TRUE(absl::IsDeadlineExceeded(Advance(keeper->get()))) << copies;
  }
}

// ---- Copies that come and go ----

TEST_F(TopologyKeeperTest, ADetachedCopyIsLeftAloneUntilItIsAttached) {
  Prepare(3);
  auto keeper = Open();
  ASSERT_TRUE(keeper.ok()) << keeper.status();
  ASSERT_TRUE((*keeper)->Detach("copy-b", absl::UnavailableError("it was stopped")).ok());
  const std::string left = Bytes(1);
  ASSERT_TRUE(Advance(keeper->get()).ok());
  ASSERT_TRUE(Advance(keeper->get()).ok());
  EXPECT_EQ(Bytes(1), left);
  EXPECT_TRUE(Mentions((*keeper)->Copies()[1].status, "it was stopped"));
  ASSERT_TRUE((*keeper)->Attach(copies_[1]).ok());
  EXPECT_TRUE((*keeper)->Copies()[1].status.ok());
  ASSERT_TRUE(Advance(keeper->get()).ok());
  const ClusterState last = *(*keeper)->Current();
  // It counts: with the first copy gone it is one of the majority.
  keeper->reset();
  ASSERT_TRUE(plain_.DeleteTree(copies_[0].directory).ok());
  ASSERT_TRUE(plain_.MakeDirectory(copies_[0].directory).ok());
  keeper = Open();
  ASSERT_TRUE(keeper.ok()) << keeper.status();
  EXPECT_EQ((*keeper)->Current()->epoch, last.epoch);
}

// The copy that is detached has the last change, one of the others does not.
TEST_F(TopologyKeeperTest, DetachingFirstBringsTheOthersUpToDate) {
  Prepare(3);
  auto keeper = Open();
  ASSERT_TRUE(keeper.ok()) << keeper.status();
  hooks_[0]->failing = true;
  ASSERT_TRUE(Advance(keeper->get()).ok());
  EXPECT_TRUE(absl::IsUnavailable((*keeper)->Detach("copy-b", absl::UnavailableError("stopped"))));
  EXPECT_TRUE((*keeper)->Copies()[1].status.ok());
  hooks_[0]->failing = false;
  ASSERT_TRUE((*keeper)->Detach("copy-b", absl::UnavailableError("stopped")).ok());
  const Epoch last = (*keeper)->Current()->epoch;
  keeper->reset();
  ASSERT_TRUE(plain_.DeleteTree(copies_[1].directory).ok());
  ASSERT_TRUE(plain_.MakeDirectory(copies_[1].directory).ok());
  keeper = Open();
  ASSERT_TRUE(keeper.ok()) << keeper.status();
  EXPECT_EQ((*keeper)->Current()->epoch, last);
}

TEST_F(TopologyKeeperTest, WithoutAMajorityOfOthersNoCopyIsDetached) {
  Prepare(3);
  auto keeper = Open();
  ASSERT_TRUE(keeper.ok()) << keeper.status();
  ASSERT_TRUE((*keeper)->Detach("copy-a", absl::UnavailableError("stopped")).ok());
  const absl::Status status = (*keeper)->Detach("copy-b", absl::UnavailableError("stopped"));
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_TRUE(Advance(keeper->get()).ok());
  EXPECT_TRUE(absl::IsNotFound((*keeper)->Detach("copy-x", absl::UnavailableError("stopped"))));
}

TEST_F(TopologyKeeperTest, AnotherPlaceCanBeAttached) {
  Prepare(3);
  auto keeper = Open();
  ASSERT_TRUE(keeper.ok()) << keeper.status();
  ASSERT_TRUE((*keeper)->Detach("copy-c", absl::UnavailableError("replaced")).ok());
  TopologyCopy place = copies_[2];
  place.directory = JoinPath(root_, "another");
  // Not there yet.
  EXPECT_TRUE(absl::IsUnavailable((*keeper)->Attach(place)));
  EXPECT_FALSE((*keeper)->Copies()[2].status.ok());
  ASSERT_TRUE(plain_.MakeDirectory(place.directory).ok());
  ASSERT_TRUE((*keeper)->Attach(place).ok());
  const std::string former = Bytes(2);
  ASSERT_TRUE(Advance(keeper->get()).ok());
  EXPECT_EQ(Bytes(2), former);
  const absl::StatusOr<JournalContents> written =
      ReadJournal(plain_.Read(JoinPath(place.directory, "TOPOLOGY")).value(), initial_.id);
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_EQ(written->head.last.name.epoch, (*keeper)->Current()->epoch);
}

TEST_F(TopologyKeeperTest, ACopyIsAttachedWhileAnUnresolvedChangeComesThrough) {
  Prepare(3);
  options_.timeout = absl::Seconds(2);
  auto keeper = Open();
  ASSERT_TRUE(keeper.ok()) << keeper.status();
  ASSERT_TRUE((*keeper)->Detach("copy-c", absl::UnavailableError("stopped")).ok());
  hooks_[0]->hanging = true;
  EXPECT_TRUE(absl::IsDeadlineExceeded(Advance(keeper->get())));
  const Epoch before = (*keeper)->Current()->epoch;
  hooks_[2]->hanging = true;
  absl::Status attached;
  std::thread attacher([&] { attached = (*keeper)->Attach(copies_[2]); });
  hooks_[2]->hangs.WaitForNotification();
  hooks_[0]->resume.Notify();
  while ((*keeper)->Current()->epoch == before) std::this_thread::yield();
  hooks_[2]->resume.Notify();
  attacher.join();
  EXPECT_TRUE(attached.ok()) << attached;
  EXPECT_TRUE((*keeper)->Copies()[2].status.ok()) << (*keeper)->Copies()[2].status;
}

// What is under way then touches nothing that is gone (for the sanitizers).
TEST_F(TopologyKeeperTest, IsDestroyedWhileCopiesHang) {
  Prepare(3);
  options_.patience = absl::Milliseconds(1);
  auto keeper = Open();
  ASSERT_TRUE(keeper.ok()) << keeper.status();
  hooks_[2]->hanging = true;
  while (!hooks_[2]->hangs.HasBeenNotified()) ASSERT_TRUE(Advance(keeper->get()).ok());
  ASSERT_TRUE((*keeper)->Detach("copy-c", absl::UnavailableError("hangs")).ok());
  std::thread healer([this] { hooks_[2]->resume.Notify(); });
  keeper->reset();
  healer.join();
}

// What hangs in it ends later, and changes nothing.
TEST_F(TopologyKeeperTest, ACopyThatHangsCanBeDetached) {
  Prepare(3);
  options_.patience = absl::Milliseconds(1);
  auto keeper = Open();
  ASSERT_TRUE(keeper.ok()) << keeper.status();
  hooks_[2]->hanging = true;
  // It may still be busy with what came before.
  while (!hooks_[2]->hangs.HasBeenNotified()) ASSERT_TRUE(Advance(keeper->get()).ok());
  ASSERT_TRUE((*keeper)->Detach("copy-c", absl::UnavailableError("hangs")).ok());
  ASSERT_TRUE(Advance(keeper->get()).ok());
  TopologyCopy place = copies_[2];
  place.directory = JoinPath(root_, "another");
  ASSERT_TRUE(plain_.MakeDirectory(place.directory).ok());
  ASSERT_TRUE((*keeper)->Attach(place).ok());
  hooks_[2]->resume.Notify();
  // Within the patience, sooner or later.
  while (!(*keeper)->Copies()[2].status.ok()) ASSERT_TRUE(Advance(keeper->get()).ok());
}

}  // namespace
}  // namespace slotkv
