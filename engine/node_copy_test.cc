// A node made of another's store and log, while that one goes on, and on disks that fail.
#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/coding.h"
#include "engine/node.h"
#include "engine/node_test_support.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace slotkv {
namespace {

constexpr absl::StatusCode kDataLoss = absl::StatusCode::kDataLoss;
constexpr absl::StatusCode kUnavailable = absl::StatusCode::kUnavailable;
constexpr absl::StatusCode kResourceExhausted = absl::StatusCode::kResourceExhausted;

absl::Status GoOn(uint64_t, uint64_t) { return absl::OkStatus(); }

// Fails the operation number `nth` (from 0) of those that `counts` picks; `fired`: it came to it.
void FailNth(TestHook* hook, int nth, std::atomic<bool>* fired,
             const std::function<bool(FileOp, const std::string&)>& counts) {
  const auto left = std::make_shared<std::atomic<int>>(nth);
  hook->SetBefore([=](FileOp op, const std::string& path) {
    if (!counts(op, path) || left->fetch_sub(1) != 0) return absl::OkStatus();
    fired->store(true);
    return absl::UnavailableError("planted " + std::to_string(static_cast<int>(op)) + " " + path);
  });
}

class NodeCopyTest : public testing::Test {
 protected:
  NodeCopyTest() {
    copy_.options.identity.shard = source_.options.identity.shard;
    EXPECT_THAT(source_.Create(), IsOk());
  }

  absl::Status Copy(CopyProgress progress = GoOn) {
    pin_ = Log::Pin();
    absl::StatusOr<Log::Pin> pin = Node::CreateCopy(copy_.options, source_.node.get(), progress);
    if (!pin.ok()) return pin.status();
    pin_ = *std::move(pin);
    return absl::OkStatus();
  }

  // Appends to the copy what it has not, and applies it there.
  absl::Status Ship() {
    absl::Status status =
        source_.node->log().Read(copy_.node->log().last().index.Next(), [&](const Record& record) {
          absl::Status shipped =
              copy_.node->Reserve(EncodedRecordSize(record.payload.size()), absl::Seconds(60));
          if (shipped.ok()) shipped = copy_.node->Append({record});
          if (shipped.ok()) shipped = copy_.node->Apply({record});
          return shipped;
        });
    pin_.Advance(copy_.node->log().last().index.Next());
    return status;
  }

  // All that callers may see, and what has expired.
  static std::map<std::string, std::string> Contents(const Node& node) {
    std::map<std::string, std::string> entries;
    EXPECT_THAT(node.store().VisitAll([&](std::string_view key, std::string_view value) {
      if (SlotOf(key) < kFirstMetadataSlot) entries[std::string(key)] = std::string(value);
      return absl::OkStatus();
    }),
                IsOk());
    return entries;
  }

  static std::vector<std::string> FilesBelow(const std::string& directory) {
    std::vector<std::string> paths;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
      if (entry.is_regular_file()) paths.push_back(entry.path());
    }
    return paths;
  }
  static std::set<std::pair<dev_t, ino_t>> InodesBelow(const std::string& directory) {
    std::set<std::pair<dev_t, ino_t>> inodes;
    for (const std::string& path : FilesBelow(directory)) {
      struct stat info;
      EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
      inodes.emplace(info.st_dev, info.st_ino);
    }
    return inodes;
  }
  void ExpectNoSharedInodes() {
    const auto ours = InodesBelow(copy_.options.directory);
    for (const auto& inode : InodesBelow(source_.options.directory)) {
      EXPECT_EQ(ours.count(inode), 0u);
    }
  }

  // Nothing of a failed or finished copy is beside the source.
  void ExpectNoDebris() {
    const absl::StatusOr<std::vector<std::string>> names = Disk().List(source_.options.directory);
    EXPECT_THAT(*names, testing::ElementsAre("log", "store"));
  }
  void ExpectNothingLeft() {
    EXPECT_FALSE(std::filesystem::exists(copy_.options.directory));
    ExpectNoDebris();
  }
  // The source takes writes, flushes and lets its log go.
  void ExpectSourceGoesOn() {
    EXPECT_THAT(source_.PutMany(1), IsOk());
    EXPECT_THAT(source_.node->Flush(/*wait=*/true), IsOk());
    EXPECT_THAT(source_.node->Maintain(), IsOk());
    EXPECT_THAT(source_.node->store().WriteError(), IsOk());
  }
  void ExpectEqual() {
    EXPECT_EQ(copy_.node->applied(), source_.node->applied());
    EXPECT_EQ(copy_.node->log().last(), source_.node->log().last());
    EXPECT_EQ(Contents(*copy_.node), Contents(*source_.node));
  }

  TestNode source_;
  TestNode copy_{2};
  Log::Pin pin_;  // goes before the node whose log it is on
};

TEST_F(NodeCopyTest, ACopyHasAllThatItsSourceHas) {
  const uint64_t now_ms = source_.expiry_clock->NowMs();
  for (uint16_t i = 0; i < 3000; ++i) {
    const std::string key = "key" + std::to_string(i);
    ASSERT_THAT(source_.Put(i % 50, key, std::string(i % 300, static_cast<char>('a' + i % 26)),
                            i % 7 == 0 ? now_ms + 1000 : 0),
                IsOk());
    if (i % 5 == 0) {
      ASSERT_THAT(source_.Write(DeleteEffect(i % 50, key)), IsOk());
    }
    if (i == 1000 || i == 2000) {
      ASSERT_THAT(source_.node->Flush(/*wait=*/true), IsOk());
    }
  }
  std::string hash;
  AppendPut(7, "hash", {ValueType::kHash, 0}, std::string("\0field\0value", 12), &hash);
  ASSERT_THAT(source_.Write(hash), IsOk());
  ASSERT_THAT(source_.Write(ClearEffect(10, 12)), IsOk());
  source_.epoch = ShardEpoch(2);
  ASSERT_THAT(source_.Write("", RecordKind::kEpochStart), IsOk());
  source_.clock.Advance(absl::Seconds(2));
  const std::map<std::string, std::string> contents = Contents(*source_.node);

  ASSERT_THAT(Copy(), IsOk());
  ExpectNoDebris();
  const LogIndex last = source_.node->log().last().index;
  EXPECT_EQ(pin_.from(), last.Next());
  ASSERT_THAT(copy_.Open(), IsOk());
  EXPECT_EQ(copy_.node->applied(), last);
  EXPECT_EQ(copy_.node->persisted(), last);
  EXPECT_EQ(copy_.node->replayed(), 0u);
  EXPECT_EQ(copy_.node->log().first(), last.Next());
  EXPECT_EQ(Contents(*copy_.node), contents);
  ExpectEqual();
  EXPECT_THAT(copy_.Get(0, "key350"), HasCode(absl::StatusCode::kNotFound)) << "expired";

  // And it stays so.
  ASSERT_THAT(source_.PutMany(100), IsOk());
  ASSERT_THAT(source_.Write(DeleteEffect(1, "key1")), IsOk());
  ASSERT_THAT(Ship(), IsOk());
  ExpectEqual();
  ASSERT_THAT(copy_.Open(), IsOk());
  EXPECT_EQ(copy_.node->replayed(), 101u);
  ExpectEqual();
  EXPECT_THAT(copy_.node->Verify([](uint16_t, std::string_view) { return absl::OkStatus(); }),
              IsOk());
}

TEST_F(NodeCopyTest, ACopyOfAnEmptyNodeIsEmpty) {
  ASSERT_THAT(Copy(), IsOk());
  ASSERT_THAT(copy_.Open(), IsOk());
  EXPECT_EQ(copy_.node->applied(), LogIndex(0));
  EXPECT_EQ(copy_.node->log().first(), LogIndex(1));
  ASSERT_THAT(source_.PutMany(3), IsOk());
  ASSERT_THAT(Ship(), IsOk());
  ExpectEqual();
}

TEST_F(NodeCopyTest, ACopyOfACopy) {
  ASSERT_THAT(source_.PutMany(300), IsOk());
  ASSERT_THAT(Copy(), IsOk());
  ASSERT_THAT(copy_.Open(), IsOk());
  TestNode third(3);
  absl::StatusOr<Log::Pin> pin = Node::CreateCopy(third.options, copy_.node.get(), GoOn);
  ASSERT_THAT(pin, IsOk());
  ASSERT_THAT(third.Open(), IsOk());
  EXPECT_EQ(third.node->log().last(), source_.node->log().last());
  EXPECT_EQ(Contents(*third.node), Contents(*source_.node));
}

TEST_F(NodeCopyTest, ThePinKeepsWhatTheCopyNeedsNext) {
  ASSERT_THAT(source_.PutMany(300), IsOk());
  ASSERT_THAT(Copy(), IsOk());
  // The source does all it can to forget what comes next.
  for (int i = 0; i < 3; ++i) {
    ASSERT_THAT(source_.PutMany(300), IsOk());
    ASSERT_THAT(source_.node->Flush(/*wait=*/true), IsOk());
    ASSERT_THAT(source_.node->Maintain(), IsOk());
  }
  EXPECT_GT(source_.node->log().first(), LogIndex(1));
  EXPECT_LE(source_.node->log().first(), LogIndex(301));
  ASSERT_THAT(copy_.Open(), IsOk());
  ASSERT_THAT(Ship(), IsOk());
  ExpectEqual();
  ASSERT_THAT(source_.node->Maintain(), IsOk());
  EXPECT_GT(source_.node->log().first(), LogIndex(301)) << "the pin has advanced";
}

// RocksDB flushes when it likes, also what no note speaks of yet.
TEST_F(NodeCopyTest, TheCopysLogReachesAsFarAsItsStore) {
  ASSERT_THAT(source_.PutMany(100), IsOk());
  bool wrote = false;
  source_.hook->SetBefore([&](FileOp op, const std::string& path) {
    if (op == FileOp::kMakeDirectory && path.find(".snapshot") != std::string::npos && !wrote) {
      wrote = true;
      EXPECT_THAT(source_.PutMany(40), IsOk());
      EXPECT_THAT(const_cast<Store&>(source_.node->store()).Flush(/*wait=*/true), IsOk());
    }
    return absl::OkStatus();
  });
  ASSERT_THAT(Copy(), IsOk());
  source_.hook->Heal();
  ASSERT_TRUE(wrote);
  EXPECT_EQ(pin_.from(), LogIndex(141));
  ASSERT_THAT(copy_.Open(), IsOk());
  EXPECT_EQ(copy_.node->log().first(), LogIndex(101)) << "the note says no more";
  EXPECT_EQ(copy_.node->log().last().index, LogIndex(140)) << "the store has more";
  EXPECT_EQ(copy_.node->replayed(), 40u);
  ExpectEqual();
  // A copy made by a note that came to the store after the first flush is the same.
  wrote = false;
  copy_.node.reset();
  source_.hook->SetBefore([&](FileOp op, const std::string& path) {
    if (op == FileOp::kMakeDirectory && path.find(".snapshot") != std::string::npos && !wrote) {
      wrote = true;
      EXPECT_THAT(source_.PutMany(40), IsOk());
      EXPECT_THAT(source_.node->Flush(/*wait=*/true), IsOk());
      EXPECT_THAT(source_.node->Maintain(), IsOk());
    }
    return absl::OkStatus();
  });
  ASSERT_THAT(Copy(), IsOk());
  source_.hook->Heal();
  ASSERT_THAT(copy_.Open(), IsOk());
  EXPECT_EQ(copy_.node->log().first(), LogIndex(181));
  ExpectEqual();
}

// An expired key that the source has dropped must not seem alive to a copy's clock.
TEST_F(NodeCopyTest, ACopyKnowsHowLateItWas) {
  ASSERT_THAT(source_.PutMany(1), IsOk());
  const uint64_t then_ms = source_.expiry_clock->NowMs();
  source_.clock.Advance(absl::Seconds(1000));
  ASSERT_THAT(Copy(), IsOk());
  ASSERT_THAT(copy_.Open(), IsOk());
  EXPECT_GE(copy_.node->highest_clock_ms(), then_ms + 1000000);
}

TEST_F(NodeCopyTest, CopiesBesideAWorkingSource) {
  std::atomic<bool> done{false};
  ASSERT_THAT(source_.PutMany(200), IsOk());
  std::thread writing([&] {
    for (uint64_t i = 0; !done.load(); ++i) {
      // Each value is its record's index.
      const std::string index = std::to_string(source_.node->log().last().index.value() + 1);
      const std::string key = "k" + std::to_string(i % 5000);
      EXPECT_THAT(source_.Write(i % 9 == 0 ? DeleteEffect(2, key) : PutEffect(2, key, index)),
                  IsOk());
    }
  });
  std::thread maintaining([&] {
    while (!done.load()) {
      EXPECT_THAT(source_.node->Flush(/*wait=*/true), IsOk());
      EXPECT_THAT(source_.node->Maintain(), IsOk());
      EXPECT_THAT(source_.node->NoteExpiry(), IsOk());
      EXPECT_GE(source_.node->applied(), source_.node->persisted());
    }
  });
  for (int round = 0; round < 5; ++round) {
    copy_.node.reset();
    ASSERT_THAT(Copy(), IsOk());
    absl::StatusOr<std::unique_ptr<Node>> opened = Node::Open(copy_.options);
    ASSERT_THAT(opened, IsOk());
    ExpiryClock clock(&copy_.clock, (*opened)->highest_clock_ms());
    ASSERT_THAT((*opened)->OpenStore(&clock), IsOk());
    const LogIndex last = (*opened)->log().last().index;
    EXPECT_EQ(pin_.from(), last.Next());
    EXPECT_THAT((*opened)->store().VisitSlot(
                    2,
                    [&](std::string_view, const ValueHeader&, std::string_view payload) {
                      EXPECT_LE(std::stoull(std::string(payload)), last.value());
                      return true;
                    }),
                IsOk());
    EXPECT_THAT((*opened)->Replay(), IsOk());
    EXPECT_EQ((*opened)->applied(), last);
    opened->reset();
    ASSERT_THAT(copy_.Open(), IsOk());
    ASSERT_THAT(Ship(), IsOk());
  }
  done = true;
  writing.join();
  maintaining.join();
  ASSERT_THAT(Ship(), IsOk());
  ExpectEqual();
  ExpectNoDebris();
  pin_ = Log::Pin();
  ASSERT_THAT(source_.Open(), IsOk());
  ASSERT_THAT(copy_.Open(), IsOk());
  ExpectEqual();
}

// Its store may have records that its log has not: a crash must not leave it to be taken for a
// node.
TEST_F(NodeCopyTest, ACopyIsNoNodeBeforeItIsWhole) {
  ASSERT_THAT(source_.PutMany(300), IsOk());
  int looks = 0;
  copy_.hook->SetBefore([&](FileOp op, const std::string&) {
    if (op != FileOp::kSync && op != FileOp::kWrite && op != FileOp::kRename)
      return absl::OkStatus();
    ++looks;
    EXPECT_FALSE(std::filesystem::exists(copy_.log_directory()));
    return absl::OkStatus();
  });
  ASSERT_THAT(Copy(), IsOk());
  copy_.hook->Heal();
  EXPECT_GT(looks, 3);
  ASSERT_THAT(copy_.Open(), IsOk());
  ExpectEqual();
}

TEST_F(NodeCopyTest, NoFileIsSharedAndAllArePrivate) {
  ASSERT_THAT(source_.PutMany(300), IsOk());
  ASSERT_THAT(Copy([&](uint64_t, uint64_t) {
                // The snapshot's are among the source's.
                ExpectNoSharedInodes();
                return absl::OkStatus();
              }),
              IsOk());
  ExpectNoSharedInodes();
  EXPECT_FALSE(TableFiles(copy_.store_directory()).empty());
  for (const auto& entry : std::filesystem::recursive_directory_iterator(copy_.options.directory)) {
    struct stat info;
    ASSERT_EQ(stat(entry.path().c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, entry.is_directory() ? 0700u : 0600u) << entry.path();
  }
  ASSERT_THAT(copy_.Open(), IsOk());
  ExpectNoSharedInodes();
}

// Every file and directory of the copy is synced after the last change of it.
TEST_F(NodeCopyTest, AFinishedCopyIsDurable) {
  ASSERT_THAT(source_.PutMany(300), IsOk());
  std::set<std::string> dirty;
  copy_.hook->SetAfter([&](FileOp op, const std::string& path) {
    if (op == FileOp::kWrite || op == FileOp::kCreate) dirty.insert(path);
    if (op == FileOp::kCreate || op == FileOp::kMakeDirectory) {
      dirty.insert(path.substr(0, path.find_last_of('/')));
    }
    if (op == FileOp::kSync || op == FileOp::kSyncDirectory) dirty.erase(path);
  });
  ASSERT_THAT(Copy(), IsOk());
  copy_.hook->SetAfter(nullptr);
  EXPECT_THAT(dirty, testing::IsEmpty());
}

TEST_F(NodeCopyTest, ARottenTableIsNotCopied) {
  ASSERT_THAT(source_.PutMany(300), IsOk());
  ASSERT_THAT(source_.node->Flush(/*wait=*/true), IsOk());
  const auto tables = TableFiles(source_.store_directory());
  ASSERT_FALSE(tables.empty());
  EXPECT_EQ(source_.Get(1, "key0")->size(), 1000u);  // its block is cached
  const std::string sound = BytesOf(tables.front());
  for (const size_t offset : {size_t{100}, sound.size() / 2, sound.size() - 300}) {
    // In place, as the links to it see it.
    std::string bytes = sound;
    bytes[offset] ^= 1;
    SetFileBytes(tables.front(), bytes);
    EXPECT_THAT(Copy(), HasError(kDataLoss, source_.options.directory)) << offset;
    ExpectNothingLeft();
  }
  SetFileBytes(tables.front(), sound);
  ASSERT_THAT(Copy(), IsOk());
  ASSERT_THAT(copy_.Open(), IsOk());
  ExpectEqual();
}

TEST_F(NodeCopyTest, ARottenManifestIsNotCopied) {
  ASSERT_THAT(source_.PutMany(100), IsOk());
  ASSERT_THAT(source_.node->Flush(/*wait=*/true), IsOk());
  std::string manifest = BytesOf(source_.store_directory() + "/CURRENT");
  manifest.pop_back();  // its newline
  manifest = JoinPath(source_.store_directory(), manifest);
  std::string bytes = BytesOf(manifest);
  bytes[20] ^= 1;
  SetFileBytes(manifest, bytes);
  EXPECT_THAT(Copy(), HasError(kDataLoss, source_.options.directory));
  ExpectNothingLeft();
}

TEST_F(NodeCopyTest, ABadWriteIsNoticed) {
  ASSERT_THAT(source_.PutMany(300), IsOk());
  copy_.hook->SetAfter([&](FileOp op, const std::string& path) {
    if (op != FileOp::kSync || path.find(".sst") == std::string::npos) return;
    std::string bytes = BytesOf(path);
    bytes[bytes.size() / 2] ^= 1;
    SetFileBytes(path, bytes);
  });
  EXPECT_THAT(Copy(), HasError(kUnavailable, copy_.store_directory()));
  copy_.hook->SetAfter(nullptr);
  ExpectNothingLeft();
  ExpectSourceGoesOn();
  EXPECT_THAT(Copy(), IsOk());
}

TEST_F(NodeCopyTest, WhateverFailsOnTheTargetLeavesNothing) {
  ASSERT_THAT(source_.PutMany(300), IsOk());
  std::atomic<bool> fired{true};
  int nth = 0;
  for (; fired.load() && nth < 1000; ++nth) {
    fired = false;
    FailNth(copy_.hook.get(), nth, &fired, [](FileOp op, const std::string&) {
      return op != FileOp::kDelete;  // else something stays, as after a crash
    });
    const absl::Status status = Copy();
    copy_.hook->Heal();
    EXPECT_EQ(status.ok(), !fired.load()) << nth << ": " << status;
    if (!fired.load()) break;
    EXPECT_THAT(status, HasError(kUnavailable, copy_.root.path()));
    ExpectNothingLeft();
    EXPECT_THAT(source_.PutMany(1), IsOk());
  }
  EXPECT_GT(nth, 30);
  ExpectSourceGoesOn();
  ASSERT_THAT(copy_.Open(), IsOk());
  ASSERT_THAT(Ship(), IsOk());
  ExpectEqual();
}

TEST_F(NodeCopyTest, WhateverFailsInTheSnapshotLeavesNothing) {
  ASSERT_THAT(source_.PutMany(300), IsOk());
  std::atomic<bool> fired{true};
  int nth = 0;
  for (; fired.load() && nth < 1000; ++nth) {
    fired = false;
    FailNth(source_.hook.get(), nth, &fired, [](FileOp op, const std::string& path) {
      return op != FileOp::kDelete && op != FileOp::kList &&
             path.find(".snapshot") != std::string::npos;
    });
    const absl::Status status = Copy();
    source_.hook->Heal();
    EXPECT_EQ(status.ok(), !fired.load()) << nth << ": " << status;
    if (!fired.load()) break;
    EXPECT_THAT(status, HasError(kUnavailable, source_.options.directory));
    ExpectNothingLeft();
    ExpectSourceGoesOn();
  }
  EXPECT_GT(nth, 15);
  ASSERT_THAT(copy_.Open(), IsOk());
  ASSERT_THAT(Ship(), IsOk());
  ExpectEqual();
}

TEST_F(NodeCopyTest, AFullTargetLeavesNothing) {
  ASSERT_THAT(source_.PutMany(300), IsOk());
  for (const FileOp op : {FileOp::kWrite, FileOp::kReserve, FileOp::kMakeDirectory}) {
    copy_.hook->Fail(op, absl::ResourceExhaustedError("no space"));
    EXPECT_THAT(Copy(), HasError(kResourceExhausted, "no space"));
    copy_.hook->Heal();
    ExpectNothingLeft();
    ExpectSourceGoesOn();
  }
}

TEST_F(NodeCopyTest, ProgressIsTold) {
  std::mt19937_64 random(TestSeed());
  for (int i = 0; i < 3000; ++i) {
    std::string value;  // that no compression makes smaller
    while (value.size() < 1000) PutFixed<uint64_t>(&value, random());
    ASSERT_THAT(source_.Put(1, "key" + std::to_string(i), value), IsOk());
  }
  uint64_t last = 0, total = 0;
  ASSERT_THAT(Copy([&](uint64_t bytes_done, uint64_t bytes_total) {
                EXPECT_GT(bytes_done, last);
                EXPECT_LE(bytes_done - last, uint64_t{1} << 20);
                EXPECT_TRUE(total == 0 || total == bytes_total);
                last = bytes_done;
                total = bytes_total;
                return absl::OkStatus();
              }),
              IsOk());
  EXPECT_EQ(last, total);
  EXPECT_GT(total, uint64_t{1} << 20);
}

TEST_F(NodeCopyTest, ACancelledCopyLeavesNothing) {
  ASSERT_THAT(source_.PutMany(3000), IsOk());
  for (int calls = 0; calls < 4; ++calls) {
    int left = calls;
    EXPECT_THAT(Copy([&](uint64_t, uint64_t) {
                  return left-- == 0 ? absl::CancelledError("enough") : absl::OkStatus();
                }),
                HasError(absl::StatusCode::kCancelled, "enough"));
    ExpectNothingLeft();
    ExpectSourceGoesOn();
  }
}

TEST_F(NodeCopyTest, OneCopyOfANodeAtATime) {
  ASSERT_THAT(source_.PutMany(300), IsOk());
  TestNode other(3);
  int calls = 0;
  ASSERT_THAT(Copy([&](uint64_t, uint64_t) {
                ++calls;
                EXPECT_THAT(Node::CreateCopy(other.options, source_.node.get(), GoOn),
                            HasError(kUnavailable, source_.options.directory));
                return absl::OkStatus();
              }),
              IsOk());
  EXPECT_GT(calls, 0);
  EXPECT_FALSE(std::filesystem::exists(other.options.directory));
  EXPECT_THAT(Node::CreateCopy(other.options, source_.node.get(), GoOn), IsOk());
}

// What a process that is killed in the middle leaves: both disks refuse to delete anything more.
TEST_F(NodeCopyTest, ACrashInTheMiddleLeavesDebrisThatGoes) {
  ASSERT_THAT(source_.PutMany(300), IsOk());
  const auto crash = [&] {
    EXPECT_THAT(Copy([&](uint64_t bytes_done, uint64_t bytes_total) {
                  if (bytes_done * 2 < bytes_total) return absl::OkStatus();
                  copy_.hook->Fail(FileOp::kDelete, absl::UnavailableError("crash"));
                  source_.hook->Fail(FileOp::kDelete, absl::UnavailableError("crash"));
                  return absl::CancelledError("crash");
                }),
                HasCode(absl::StatusCode::kCancelled));
    copy_.hook->Heal();
    source_.hook->Heal();
    EXPECT_TRUE(std::filesystem::exists(copy_.store_directory()));
    EXPECT_TRUE(std::filesystem::exists(source_.store_directory() + ".snapshot"));
  };
  crash();
  EXPECT_THAT(copy_.Open(), HasCode(kDataLoss)) << "half a copy was opened";
  std::filesystem::create_directory(source_.store_directory() + ".snapshot.tmp");
  ASSERT_THAT(Copy(), IsOk());
  ExpectNoDebris();
  ASSERT_THAT(copy_.Open(), IsOk());
  ExpectEqual();

  copy_.node.reset();
  crash();
  pin_ = Log::Pin();
  ASSERT_THAT(source_.Open(), IsOk());
  ExpectNoDebris();
  ASSERT_THAT(Copy(), IsOk());
  ASSERT_THAT(copy_.Open(), IsOk());
  ExpectEqual();
}

}  // namespace
}  // namespace slotkv
