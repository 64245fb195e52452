// Power failures, simulated: of every file, each sector or page that was not synced may hold what
// was written last or what was synced last, in any mixture. What the log had called durable must
// be there, what it gives back must be a prefix of what was appended, and so again after the next
// failure.
#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/coding.h"
#include "engine/log.h"
#include "engine/log_test_support.h"
#include "gtest/gtest.h"

namespace slotkv {
namespace {

class PowerFailureTest : public testing::TestWithParam<std::pair<LogIo, size_t>> {
 protected:
  PowerFailureTest() : random_(TestSeed()) {
    t_.options.io = GetParam().first;
    // Some runs with segments so large that the next one is prepared in the background.
    t_.options.min_segment_bytes = Below(2) == 0 ? 4096 : 131072;
    t_.options.max_segment_bytes = t_.options.min_segment_bytes * 8;
    t_.hook->SetAfter([this](FileOp op, const std::string& path) { Note(op, path); });
  }
  ~PowerFailureTest() override {
    t_.log.reset();
    t_.hook->SetAfter(nullptr);
  }

  uint64_t Below(uint64_t limit) { return random_() % limit; }

  // The hook: what a power failure cannot take any more.
  void Note(FileOp op, const std::string& path) {
    absl::MutexLock lock(&mu_);
    if (op == FileOp::kSync || op == FileOp::kReserve) durable_[path] = BytesOf(path);
    if (op == FileOp::kDelete) deleted_.push_back(path);
    if (op != FileOp::kSyncDirectory) return;
    for (const std::string& gone : deleted_) durable_.erase(gone);
    deleted_.clear();
  }

  // Values that look like log records, some with the checksum seed of a file that is there.
  std::string RandomPayload() {
    const size_t size = Below(5) == 0 ? Below(9000) : Below(600);
    std::string payload(size, static_cast<char>('a' + Below(26)));
    if (Below(3) == 0) {
      for (char& c : payload) c = static_cast<char>(random_());
    }
    if (Below(3) != 0) return payload;
    uint64_t seed = random_();
    // Any segment's but that of the one this record goes to, which nobody can know.
    std::vector<uint64_t> seeds;
    for (const std::string& path : t_.Files()) {
      const uint64_t found = LoadFixed<uint64_t>(BytesOf(path).data() + 64);
      if (found != 0) seeds.push_back(found);
    }
    if (seeds.size() > 1) seed = seeds[Below(seeds.size() - 1)];
    Record record;
    record.position = {t_.epoch, LogIndex(t_.log->last().index.value() + Below(3))};
    record.payload = "a record within a value";
    payload.resize(payload.size() / 8 * 8 + 3);  // with the header's 53 bytes: a multiple of 8
    EncodeRecord(record, LogIndex(record.position.index.value() + 100), seed, &payload);
    return payload;
  }

  void AppendSome() {
    std::vector<std::string> group;
    for (uint64_t i = Below(4) + 1; i > 0; --i) group.push_back(RandomPayload());
    const absl::Status status = t_.Append(group);
    if (absl::IsUnavailable(status)) {  // too many unsynced segments
      Sync();
      return;
    }
    ASSERT_THAT(status, IsOk());
    appended_.insert(appended_.end(), group.begin(), group.end());
  }

  void Sync() {
    ASSERT_THAT(t_.Sync(), IsOk());
    synced_ = appended_.size();
    ASSERT_EQ(t_.log->synced().value(), synced_);
  }

  void Truncate() {
    const uint64_t upto = Below(2) == 0 ? synced_ : Below(synced_ + 1);
    ASSERT_THAT(t_.log->TruncateFront(LogIndex(upto)), IsOk());
  }

  // Leaves the files as a power failure may.
  void Fail() {
    t_.log.reset();
    absl::MutexLock lock(&mu_);
    // Deletions reach the disk in order, not necessarily all of them.
    const size_t kept_deletions = Below(deleted_.size() + 1);
    for (size_t i = 0; i < kept_deletions; ++i) durable_.erase(deleted_[i]);
    deleted_.clear();
    for (const std::string& path : t_.Files()) {
      if (durable_.count(path) == 0) std::filesystem::remove(path);
    }
    const size_t unit = GetParam().second;
    const uint64_t odds = Below(5);  // of four: how much of what was not synced survives
    for (auto& [path, bytes] : durable_) {
      const std::string written = BytesOf(path);
      for (size_t at = 0; at < written.size(); at += unit) {
        if (Below(4) < odds) bytes.replace(at, unit, written.substr(at, unit));
      }
      SetFileBytes(path, bytes);
    }
  }

  void Reopen() {
    ASSERT_THAT(t_.Open(), IsOk());
    const uint64_t last = t_.recovery.last.index.value();
    ASSERT_GE(last, synced_) << "durable records were lost";
    ASSERT_LE(last, appended_.size()) << "records came from nowhere";
    appended_.resize(last);
    synced_ = last;
    ASSERT_LE(t_.log->first().value(), last + 1);
    const auto read = t_.ReadAll();
    ASSERT_THAT(read, IsOk());
    ASSERT_EQ(*read, std::vector<std::string>(
                         appended_.begin() + static_cast<int64_t>(t_.log->first().value()) - 1,
                         appended_.end()));
  }

  std::mt19937_64 random_;
  absl::Mutex mu_;
  std::map<std::string, std::string> durable_;  // files by path
  std::vector<std::string> deleted_;            // since the last sync of the directory
  std::vector<std::string> appended_;
  size_t synced_ = 0;
  TestLog t_;
};

TEST_P(PowerFailureTest, NothingSyncedIsLostAndNothingHasAHole) {
  ASSERT_THAT(t_.Create(), IsOk());
  for (int round = 0; round < 40; ++round) {
    for (uint64_t step = Below(40); step > 0; --step) {
      const uint64_t choice = Below(100);
      if (choice < 80) {
        AppendSome();
      } else if (choice < 90) {
        Sync();
      } else if (choice < 94) {
        Truncate();
      } else if (choice < 96) {
        ASSERT_THAT(t_.log->NoteClock(random_() >> 20), IsOk());
      } else if (choice < 98) {
        t_.epoch = t_.epoch.Next();
      } else {
        Reopen();  // the process was killed: what it wrote is all there
        ASSERT_EQ(synced_, appended_.size());
      }
      ASSERT_FALSE(HasFatalFailure());
    }
    Fail();
    Reopen();
    if (Below(2) == 0) Truncate();
    ASSERT_FALSE(HasFatalFailure()) << "round " << round;
  }
}

INSTANTIATE_TEST_SUITE_P(IoAndUnit, PowerFailureTest,
                         testing::Values(std::make_pair(LogIo::kMapped, size_t{4096}),
                                         std::make_pair(LogIo::kMapped, size_t{512}),
                                         std::make_pair(LogIo::kWrite, size_t{4096}),
                                         std::make_pair(LogIo::kWrite, size_t{512})),
                         [](const testing::TestParamInfo<std::pair<LogIo, size_t>>& info) {
                           return (info.param.first == LogIo::kMapped ? "Mapped" : "Write") +
                                  std::to_string(info.param.second);
                         });

}  // namespace
}  // namespace slotkv
