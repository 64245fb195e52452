// One byte of one file of a closed cluster is changed, or a file is cut short or gone. The cluster
// then says which file it is, or it still has all data: never wrong data, never less without a
// word.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "shard/cluster_testing.h"
#include "slotkv/cluster.h"
#include "tests/directory_tree.h"
#include "tests/fake_clock.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

namespace fs = std::filesystem;

constexpr int kKeys = 40;

std::string Key(int i) { return absl::StrCat("key", i); }
std::string Value(int i) { return absl::StrCat(i, std::string(static_cast<size_t>(50 + i), 'v')); }

class DamageTest : public testing::Test {
 protected:
  DamageTest() {
    options_.shards = 2;
    options_.replicas_per_shard = 0;
    options_.memory_bytes = size_t{16} << 20;
    options_.clock = clock_;
    options_.operation_timeout = absl::Seconds(5);
  }

  // A cluster whose stores have tables and whose logs have records that no table has. With
  // `truncated`, the logs no longer reach back to the beginning.
  void Create(bool truncated) {
    absl::StatusOr<std::unique_ptr<Cluster>> cluster = Cluster::Open(options_, sound_);
    ASSERT_THAT(cluster, IsOk());
    for (int i = 0; i < kKeys; ++i) {
      ASSERT_THAT((*cluster)->Set(Key(i), i < kKeys / 2 ? Value(i) : "to be replaced"), IsOk());
      if (i == kKeys / 2) {
        ASSERT_THAT(FlushStores(cluster->get()), IsOk());
      }
    }
    for (int opens = 0; truncated && opens < 3; ++opens) {
      ASSERT_THAT((*cluster)->Close(), IsOk());
      cluster = Cluster::Open(options_, sound_);
      ASSERT_THAT(cluster, IsOk());
      ASSERT_THAT(FlushStores(cluster->get()), IsOk());
    }
    for (int i = kKeys / 2; i < kKeys; ++i) {
      ASSERT_THAT((*cluster)->Set(Key(i), Value(i)), IsOk());
    }
    ASSERT_THAT((*cluster)->Set("deleted", "v"), IsOk());
    ASSERT_THAT((*cluster)->Delete("deleted"), HoldsTrue());
    ASSERT_THAT((*cluster)->Verify(), IsOk());
    ASSERT_THAT((*cluster)->Close(), IsOk());
  }

  // What an open of the damaged cluster and a look at all it has come to: ok if all is there. A
  // value that is wrong or missing without an error fails the test.
  absl::Status OpenAndReadAll() {
    absl::StatusOr<std::unique_ptr<Cluster>> opened = Cluster::Open(options_, path_);
    if (!opened.ok()) return opened.status();
    Cluster* const cluster = opened->get();
    absl::Status found;
    for (int i = 0; i < kKeys; ++i) {
      const absl::StatusOr<std::string> value = cluster->Get(Key(i));
      if (value.ok()) {
        EXPECT_EQ(*value, Value(i));
      } else {
        EXPECT_FALSE(absl::IsNotFound(value.status())) << Key(i) << " is gone";
        found.Update(value.status());
      }
    }
    const absl::StatusOr<bool> exists = cluster->Exists("deleted");
    if (exists.ok()) {
      EXPECT_FALSE(*exists) << "a deleted key is back";
    } else {
      found.Update(exists.status());
    }
    const absl::Status verified = cluster->Verify();
    // What a read has met, Verify finds as well.
    EXPECT_TRUE(found.ok() || !verified.ok());
    found.Update(verified);
    found.Update(cluster->Close());
    return found;
  }

  // Whether the error leads a person to the file: by its name, or by the store it belongs to. Of a
  // log segment that is empty or gone, the rest of its node tells.
  bool Names(const absl::Status& status, const std::string& file) const {
    const fs::path path = fs::path(path_) / file;
    const fs::path directory = path.parent_path();
    std::string found_by = path.filename().string();
    if (directory.filename() == "store") found_by = directory.string();
    if (directory.filename() == "log" && BytesOf(path.string()).empty()) {
      found_by = directory.parent_path().string();
    }
    return absl::StrContains(status.message(), path.filename().string()) ||
           absl::StrContains(status.message(), found_by);
  }

  // `damage(path)` is done to one file of a copy of the sound cluster.
  template <typename Damage>
  absl::Status After(const std::string& file, const Damage& damage) {
    CopyTree(sound_, path_);
    damage(path_ + "/" + file);
    absl::Status status = OpenAndReadAll();
    if (status.ok()) return status;
    EXPECT_TRUE(absl::IsDataLoss(status) || absl::IsUnavailable(status) ||
                absl::IsUnimplemented(status) || absl::IsFailedPrecondition(status))
        << status;
    EXPECT_TRUE(Names(status, file)) << file << ": " << status;
    // It says the same again: the first attempt has not papered over it.
    EXPECT_EQ(OpenAndReadAll().code(), status.code()) << status;
    return status;
  }

  static testing::Matcher<const absl::StatusOr<bool>&> HoldsTrue() {
    return testing::Truly(
        [](const absl::StatusOr<bool>& result) { return result.ok() && *result; });
  }

  // Some offsets in the file, from all of its sections.
  std::vector<size_t> Offsets(const std::string& file, size_t size) {
    const bool segment = absl::EndsWith(file, ".log") && absl::StrContains(file, "/log/");
    // The part of a segment that is in use; the rest is zeros and more zeros.
    const size_t used = segment ? std::min<size_t>(size, 3000) : size;
    std::vector<size_t> offsets = {0,   8,   12,  20,  40,  64,  72,       100,     128,
                                   140, 150, 192, 512, 516, 524, used - 1, size - 1};
    for (int i = 0; i < 8 && used > 0; ++i) offsets.push_back(random_() % used);
    offsets.erase(std::remove_if(offsets.begin(), offsets.end(),
                                 [size](size_t offset) { return offset >= size; }),
                  offsets.end());
    std::shuffle(offsets.begin(), offsets.end(), random_);
    if (!all_ && offsets.size() > 2) offsets.resize(2);
    return offsets;
  }

  const bool all_ = std::getenv("SLOTKV_TEST_ALL") != nullptr;
  std::mt19937_64 random_{TestSeed()};
  const TemporaryDirectory directory_{/*in_memory=*/true};
  const std::string sound_ = directory_.Path("sound");
  const std::string path_ = directory_.Path("cluster");
  const std::shared_ptr<ManualClock> clock_ = std::make_shared<ManualClock>();
  Options options_;
};

bool IsLock(const std::string& file) { return absl::EndsWith(file, "LOCK"); }

// Half of the files of the three zones are alike: one zone's will do.
bool IsOfOtherZone(const std::string& file) {
  return absl::StartsWith(file, "zone-b") || absl::StartsWith(file, "zone-c");
}

TEST_F(DamageTest, OneByteChanged) {
  for (const bool truncated : {false, true}) {
    fs::remove_all(sound_);
    Create(truncated);
    if (HasFailure()) return;
    int noticed = 0;
    for (const std::string& file : FilesBelow(sound_)) {
      if (IsLock(file) || IsOfOtherZone(file)) continue;
      for (const size_t offset : Offsets(file, fs::file_size(sound_ + "/" + file))) {
        SCOPED_TRACE(absl::StrCat(file, " at ", offset, truncated ? ", truncated log" : ""));
        const absl::Status status = After(file, [&](const std::string& path) {
          std::string bytes = BytesOf(path);
          bytes[offset] = static_cast<char>(bytes[offset] ^ (1 << random_() % 8));
          SetFileBytes(path, bytes);
        });
        noticed += status.ok() ? 0 : 1;
        if (HasFailure()) return;
      }
    }
    EXPECT_GT(noticed, 2);
  }
}

TEST_F(DamageTest, FilesCutShort) {
  Create(/*truncated=*/true);
  for (const std::string& file : FilesBelow(sound_)) {
    if (IsLock(file) || IsOfOtherZone(file)) continue;
    const size_t size = fs::file_size(sound_ + "/" + file);
    for (const size_t left :
         {size_t{0}, size / 2, size > 0 ? size - 1 : 0, random_() % (size + 1)}) {
      SCOPED_TRACE(absl::StrCat(file, " cut to ", left, " of ", size));
      After(file, [&](const std::string& path) { fs::resize_file(path, left); }).IgnoreError();
      if (HasFailure()) return;
    }
  }
}

TEST_F(DamageTest, FilesGone) {
  Create(/*truncated=*/true);
  for (const std::string& file : FilesBelow(sound_)) {
    // Without its pointer the directory holds no cluster (tests/open_test.cc).
    if (IsLock(file) || IsOfOtherZone(file) || file == "CLUSTER") continue;
    SCOPED_TRACE(file);
    After(file, [&](const std::string& path) { fs::remove(path); }).IgnoreError();
    if (HasFailure()) return;
  }
}

// What one byte does to the files that cannot be repaired from another copy.
TEST_F(DamageTest, IsCalledDataLoss) {
  Create(/*truncated=*/true);
  const auto flip = [](size_t offset) {
    return [offset](const std::string& path) {
      std::string bytes = BytesOf(path);
      bytes[offset] = static_cast<char>(bytes[offset] ^ 1);
      SetFileBytes(path, bytes);
    };
  };
  for (const std::string& file : FilesBelow(sound_)) {
    SCOPED_TRACE(file);
    if (absl::EndsWith(file, ".sst")) {
      EXPECT_THAT(After(file, flip(30)), HasCode(absl::StatusCode::kDataLoss));
    } else if (file == "CLUSTER") {
      EXPECT_THAT(After(file, flip(14)), HasCode(absl::StatusCode::kDataLoss));
    } else if (absl::StrContains(file, "MANIFEST")) {
      EXPECT_THAT(After(file, flip(20)), HasCode(absl::StatusCode::kDataLoss));
    }
  }
}

}  // namespace
}  // namespace slotkv
