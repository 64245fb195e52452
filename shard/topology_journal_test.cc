#include "shard/topology_journal.h"

#include <algorithm>
#include <memory>
#include <string>

#include "absl/strings/escaping.h"
#include "engine/coding.h"
#include "engine/text.h"
#include "gtest/gtest.h"

#define XXH_INLINE_ALL
#include "xxhash.h"

namespace slotkv {
namespace {

const ClusterId kCluster = ClusterId::FromBytes("0123456789abcdef");

RecordName Name(uint64_t term, uint64_t epoch) { return {Term(term), Epoch(epoch)}; }

class TopologyJournalTest : public testing::Test {
 protected:
  TopologyJournalTest() : directory_(testing::TempDir() + "/topology_journal_test") {
    EXPECT_TRUE(disk_.DeleteTree(directory_).ok());
    EXPECT_TRUE(disk_.MakeDirectory(directory_).ok());
  }
  ~TopologyJournalTest() override { EXPECT_TRUE(disk_.DeleteTree(directory_).ok()); }

  std::string Path() const { return directory_ + "/TOPOLOGY"; }
  std::string Bytes() const { return disk_.Read(Path()).value(); }
  void SetBytes(const std::string& bytes) { ASSERT_TRUE(disk_.Replace(Path(), bytes).ok()); }

  absl::StatusOr<JournalHead> Load() const {
    return TopologyJournal(&disk_, directory_, kCluster).Load();
  }

  // A record of each kind: {1, 1} whole, a promise of 2, then {2, 1} and {2, 2}.
  void WriteSample() {
    TopologyJournal journal(&disk_, directory_, kCluster);
    ASSERT_TRUE(journal.Write({Name(1, 1), Name(0, 0), "one"}).ok());
    ASSERT_TRUE(journal.Promise(Term(2)).ok());
    ASSERT_TRUE(journal.Write({Name(2, 1), Name(1, 1), "one"}).ok());
    ASSERT_TRUE(journal.Write({Name(2, 2), Name(2, 1), "two"}).ok());
  }

  Disk disk_;
  const std::string directory_;
};

TEST_F(TopologyJournalTest, AppendsAndReadsBack) {
  EXPECT_TRUE(absl::IsNotFound(Load().status()));
  WriteSample();
  const auto head = Load();
  ASSERT_TRUE(head.ok()) << head.status();
  EXPECT_EQ(head->promised, Term(2));
  EXPECT_EQ(head->last, (TopologyRecord{Name(2, 2), Name(2, 1), "two"}));
}

TEST_F(TopologyJournalTest, GoldenBytes) {
  WriteSample();
  const std::string bytes = Bytes();
  const auto checksum = [&bytes](size_t offset) {
    const uint32_t length = LoadFixed<uint32_t>(bytes.data() + offset + 4);
    const std::string covered = bytes.substr(offset + 4, 4) + bytes.substr(offset + 16, length);
    std::string out;
    PutFixed(&out, static_cast<uint64_t>(XXH3_64bits_withSeed(
                       covered.data(), covered.size(), LoadFixed<uint64_t>("01234567") + offset)));
    return absl::BytesToHexString(out);
  };
  std::string header_sum;
  PutFixed(&header_sum, static_cast<uint64_t>(XXH3_64bits(bytes.data(), 32)));
  const std::string frame = absl::BytesToHexString("TFRM");
  EXPECT_EQ(absl::BytesToHexString(bytes),
            absl::BytesToHexString("SLOTKVTP") + "01000000" + "00000000" +
                absl::BytesToHexString("0123456789abcdef") + absl::BytesToHexString(header_sum) +
                // record {1, 1} after {0, 0}
                frame + "24000000" + checksum(40) + "02" + "0100000000000000" + "0100000000000000" +
                "0000000000000000" + "0000000000000000" + "6f6e65" +
                // promise 2
                frame + "09000000" + checksum(92) + "01" + "0200000000000000" +
                // record {2, 1} after {1, 1}
                frame + "24000000" + checksum(117) + "02" + "0200000000000000" +
                "0100000000000000" + "0100000000000000" + "0100000000000000" + "6f6e65" +
                // record {2, 2} after {2, 1}
                frame + "24000000" + checksum(169) + "02" + "0200000000000000" +
                "0200000000000000" + "0200000000000000" + "0100000000000000" + "74776f");
}

TEST_F(TopologyJournalTest, TheFirstWriteAfterLoadReplacesTheFile) {
  WriteSample();
  TopologyJournal journal(&disk_, directory_, kCluster);
  ASSERT_TRUE(journal.Load().ok());
  const auto head = journal.Promise(Term(7));
  ASSERT_TRUE(head.ok()) << head.status();
  EXPECT_EQ(Bytes(), EncodeJournal(*head, kCluster));
  EXPECT_EQ(Load()->promised, Term(7));
  EXPECT_EQ(Load()->last.name, Name(2, 2));
}

TEST_F(TopologyJournalTest, ATornTailIsDroppedAndOverwritten) {
  WriteSample();
  const std::string whole = Bytes();
  constexpr size_t kLastFrame = 169;
  for (size_t size = kLastFrame; size < whole.size(); ++size) {
    for (const std::string& tail : {std::string(), std::string(whole.size() - size, '\0')}) {
      SetBytes(whole.substr(0, size) + tail);
      TopologyJournal journal(&disk_, directory_, kCluster);
      const auto head = journal.Load();
      ASSERT_TRUE(head.ok()) << size << ": " << head.status();
      EXPECT_EQ(head->last.name, Name(2, 1));
      ASSERT_TRUE(journal.Promise(Term(3)).ok());
      ASSERT_TRUE(journal.Write({Name(3, 1), Name(2, 1), "one"}).ok());
      const auto again = Load();
      ASSERT_TRUE(again.ok()) << size << ": " << again.status();
      EXPECT_EQ(again->last.name, Name(3, 1));
    }
  }
}

TEST_F(TopologyJournalTest, EveryFlippedBitIsNoticed) {
  WriteSample();
  const std::string whole = Bytes();
  for (size_t i = 0; i < whole.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = whole;
      flipped[i] = static_cast<char>(flipped[i] ^ (1 << bit));
      const auto contents = ReadJournal(flipped, kCluster);
      if (i >= 169) {
        ASSERT_TRUE(contents.ok()) << i << ": " << contents.status();
        EXPECT_TRUE(contents->torn);
        EXPECT_EQ(contents->head.last.name, Name(2, 1));
      } else {
        ASSERT_TRUE(absl::IsDataLoss(contents.status())) << i << ": " << contents.status();
      }
    }
  }
}

TEST_F(TopologyJournalTest, EveryTruncationIsTornOrDamaged) {
  WriteSample();
  const std::string whole = Bytes();
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto contents = ReadJournal(std::string_view(whole).substr(0, size), kCluster);
    if (size < 92) {
      EXPECT_TRUE(absl::IsDataLoss(contents.status())) << size << ": " << contents.status();
    } else {
      ASSERT_TRUE(contents.ok()) << size << ": " << contents.status();
      EXPECT_EQ(contents->torn, size != 92 && size != 117 && size != 169);
    }
  }
}

TEST_F(TopologyJournalTest, ErrorsNameFileAndOffset) {
  WriteSample();
  std::string bytes = Bytes();
  bytes[100] = static_cast<char>(bytes[100] ^ 1);
  SetBytes(bytes);
  const absl::Status status = Load().status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_NE(status.ToString().find(Path() + ": offset 92"), std::string::npos) << status;
}

TEST_F(TopologyJournalTest, AnotherClustersFileIsNeverWrittenTo) {
  WriteSample();
  const std::string before = Bytes();
  TopologyJournal journal(&disk_, directory_, ClusterId::FromBytes("fedcba9876543210"));
  const absl::Status status = journal.Load().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_NE(status.ToString().find(kCluster.ToString()), std::string::npos) << status;
  EXPECT_TRUE(absl::IsFailedPrecondition(journal.Promise(Term(9)).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(journal.Write({Name(9, 9), Name(0, 0), "x"})));
  EXPECT_EQ(Bytes(), before);
}

TEST_F(TopologyJournalTest, ALaterReleasesFileIsNeverWrittenTo) {
  WriteSample();
  std::string bytes = Bytes();
  bytes[8] = 7;
  const uint64_t checksum = XXH3_64bits(bytes.data(), 32);
  StoreFixed(bytes.data() + 32, checksum);
  SetBytes(bytes);
  TopologyJournal journal(&disk_, directory_, kCluster);
  const absl::Status status = journal.Load().status();
  EXPECT_TRUE(absl::IsUnimplemented(status)) << status;
  EXPECT_NE(status.ToString().find("version 7"), std::string::npos) << status;
  EXPECT_TRUE(absl::IsFailedPrecondition(journal.Write({Name(9, 9), Name(0, 0), "x"})));
  EXPECT_EQ(Bytes(), bytes);
}

TEST_F(TopologyJournalTest, OffTheChainIsOverwritten) {
  WriteSample();
  TopologyJournal journal(&disk_, directory_, kCluster);
  ASSERT_TRUE(journal.Load().ok());
  ASSERT_TRUE(journal.Promise(Term(5)).ok());
  // This copy ends with {2, 2}; the majority chose {4, 2}.
  ASSERT_TRUE(journal.Write({Name(5, 2), Name(4, 2), "other"}).ok());
  const auto contents = ReadJournal(Bytes(), kCluster);
  ASSERT_TRUE(contents.ok()) << contents.status();
  EXPECT_EQ(contents->head.last, (TopologyRecord{Name(5, 2), Name(4, 2), "other"}));
  EXPECT_EQ(Bytes(), EncodeJournal(contents->head, kCluster));
  // And appended to from there.
  ASSERT_TRUE(journal.Write({Name(5, 3), Name(5, 2), "three"}).ok());
  EXPECT_EQ(Load()->last.content, "three");
}

TEST_F(TopologyJournalTest, DamageIsOverwritten) {
  SetBytes("garbage");
  TopologyJournal journal(&disk_, directory_, kCluster);
  ASSERT_TRUE(absl::IsDataLoss(journal.Load().status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(journal.Promise(Term(9)).status()));
  ASSERT_TRUE(journal.Write({Name(3, 4), Name(3, 3), "x"}).ok());
  const auto head = Load();
  ASSERT_TRUE(head.ok()) << head.status();
  EXPECT_EQ(head->promised, Term(3));
  EXPECT_EQ(head->last.name, Name(3, 4));
}

TEST_F(TopologyJournalTest, StaysShort) {
  TopologyJournal journal(&disk_, directory_, kCluster);
  const std::string content(10000, 'c');
  RecordName last = Name(1, 1);
  ASSERT_TRUE(journal.Write({last, Name(0, 0), content}).ok());
  size_t longest = 0;
  for (uint64_t epoch = 2; epoch < 100; ++epoch) {
    const RecordName next = Name(1, epoch);
    ASSERT_TRUE(journal.Write({next, last, content}).ok());
    last = next;
    const std::string bytes = Bytes();
    longest = std::max(longest, bytes.size());
    ASSERT_LE(bytes.size(), TopologyJournal::kBytesMax);
    ASSERT_EQ(ReadJournal(bytes, kCluster)->head.last.name, last);
  }
  EXPECT_GT(longest, TopologyJournal::kBytesMax / 2);
  // A promise survives being moved into a new file with the record that it stands behind.
  for (uint64_t term = 2; term < 12000; ++term) ASSERT_TRUE(journal.Promise(Term(term)).ok());
  EXPECT_LE(Bytes().size(), TopologyJournal::kBytesMax);
  EXPECT_EQ(Load()->promised, Term(11999));
  EXPECT_EQ(Load()->last.name, last);
}

// ---- Failing operations ----

class FailingHook : public FileHook {
 public:
  absl::Status Before(FileOp op, const std::string&) override {
    return op == failing ? absl::UnavailableError("injected") : absl::OkStatus();
  }
  FileOp failing = FileOp::kList;
};

TEST_F(TopologyJournalTest, AFailedAppendIsNeverAppendedTo) {
  const auto hook = std::make_shared<FailingHook>();
  const Disk disk(hook);
  for (FileOp op : {FileOp::kCreate, FileOp::kWrite, FileOp::kSync}) {
    TopologyJournal journal(&disk, directory_, kCluster);
    ASSERT_TRUE(journal.Write({Name(2, 2), Name(2, 1), "two"}).ok());
    const TopologyRecord record = {Name(2, 3), Name(2, 2), "three"};
    hook->failing = op;
    const absl::Status status = journal.Write(record);
    EXPECT_TRUE(absl::IsUnavailable(status)) << status;
    EXPECT_NE(status.ToString().find(Path()), std::string::npos) << status;
    hook->failing = FileOp::kList;
    EXPECT_TRUE(absl::IsFailedPrecondition(journal.Promise(Term(9)).status()));
    ASSERT_TRUE(journal.Write(record).ok());
    EXPECT_EQ(Bytes(), EncodeJournal({Term(2), record}, kCluster));
    ASSERT_TRUE(journal.Write({Name(2, 4), Name(2, 3), "four"}).ok());
    EXPECT_EQ(Load()->last.content, "four");
  }
}

}  // namespace
}  // namespace slotkv
