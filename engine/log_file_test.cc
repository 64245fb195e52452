#include "engine/log_file.h"

#include <sys/stat.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "gtest/gtest.h"
#include "tests/test_hook.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

constexpr uint64_t kCapacity = 16384;

class LogFileTest : public testing::TestWithParam<LogIo> {
 protected:
  absl::StatusOr<std::unique_ptr<LogFile>> Create(uint64_t capacity = kCapacity) {
    return LogFile::Create(path_, capacity, GetParam(), &hook_);
  }

  // What Create leaves when it fails: nothing.
  void ExpectNoFile() { EXPECT_FALSE(std::filesystem::exists(path_)); }

  const TemporaryDirectory root_;
  const std::string path_ = root_.Path("file.log");
  TestHook hook_;
};

TEST_P(LogFileTest, AppendsFillReservedSpace) {
  auto file = Create();
  ASSERT_THAT(file, IsOk());
  EXPECT_EQ((*file)->path(), path_);
  EXPECT_EQ((*file)->size(), 0u);
  EXPECT_EQ((*file)->capacity(), kCapacity);
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_GE(info.st_blocks * 512, static_cast<int64_t>(kCapacity)) << "the file is sparse";
  EXPECT_EQ(BytesOf(path_), std::string(kCapacity, '\0'));

  std::string expected;
  for (char c = 'a'; c <= 'z'; ++c) {
    const std::string piece(100, c);
    ASSERT_THAT((*file)->Append(piece), IsOk());
    expected += piece;
    EXPECT_EQ((*file)->size(), expected.size());
    EXPECT_EQ((*file)->left(), kCapacity - expected.size());
  }
  ASSERT_THAT((*file)->Sync(), IsOk());
  expected.resize(kCapacity);
  EXPECT_EQ(BytesOf(path_), expected);
  file->reset();
  EXPECT_EQ(BytesOf(path_), expected);
}

TEST_P(LogFileTest, FillsToTheLastByteAndNotBeyond) {
  auto file = Create(1000);
  ASSERT_THAT(file, IsOk());
  ASSERT_THAT((*file)->Append(std::string(999, 'a')), IsOk());
  ASSERT_THAT((*file)->Append("b"), IsOk());
  EXPECT_EQ((*file)->left(), 0u);
  EXPECT_DEATH((*file)->Append("c").IgnoreError(), "check failed");
  EXPECT_EQ(BytesOf(path_), std::string(999, 'a') + "b");
}

TEST_P(LogFileTest, OverwriteReplacesInPlace) {
  auto file = Create(1000);
  ASSERT_THAT(file, IsOk());
  ASSERT_THAT((*file)->Append("0123456789"), IsOk());
  ASSERT_THAT((*file)->Overwrite(2, "abc"), IsOk());
  EXPECT_EQ((*file)->size(), 10u);
  ASSERT_THAT((*file)->Append("!"), IsOk());
  EXPECT_EQ(BytesOf(path_).substr(0, 12), std::string("01abc56789!\0", 12));
  EXPECT_DEATH((*file)->Overwrite(998, "abc").IgnoreError(), "check failed");
}

TEST_P(LogFileTest, ExistingFileIsNotTouched) {
  SetFileBytes(path_, "precious");
  EXPECT_THAT(Create(), HasError(absl::StatusCode::kUnavailable, path_));
  EXPECT_EQ(BytesOf(path_), "precious");
}

TEST_P(LogFileTest, FullDiskLeavesNoFile) {
  hook_.Fail(FileOp::kReserve, absl::ResourceExhaustedError("no space"));
  EXPECT_THAT(Create(), HasCode(absl::StatusCode::kResourceExhausted));
  ExpectNoFile();
  hook_.Fail(FileOp::kCreate, absl::UnavailableError("broken"));
  EXPECT_THAT(Create(), HasCode(absl::StatusCode::kUnavailable));
  ExpectNoFile();
  hook_.Heal();
  EXPECT_THAT(Create(), IsOk());
}

TEST_P(LogFileTest, RealReservationBeyondTheFileSystemFails) {
  // More than any file may hold: the machine's own error, not a hook's.
  EXPECT_FALSE(Create(uint64_t{1} << 62).ok());
  ExpectNoFile();
}

TEST_P(LogFileTest, FailedOperationsNameTheirErrorAndWriteNothing) {
  auto file = Create();
  ASSERT_THAT(file, IsOk());
  ASSERT_THAT((*file)->Append("sound"), IsOk());
  hook_.Fail(FileOp::kWrite, absl::UnavailableError("broken write"));
  EXPECT_THAT((*file)->Append("lost"), HasError(absl::StatusCode::kUnavailable, "broken write"));
  EXPECT_THAT((*file)->Overwrite(0, "S"), HasError(absl::StatusCode::kUnavailable, "broken write"));
  EXPECT_EQ((*file)->size(), 5u);
  EXPECT_EQ(BytesOf(path_).substr(0, 9), std::string("sound\0\0\0\0", 9));
  hook_.Fail(FileOp::kSync, absl::UnavailableError("broken sync"));
  EXPECT_THAT((*file)->Sync(), HasError(absl::StatusCode::kUnavailable, "broken sync"));
  EXPECT_EQ(hook_.done(FileOp::kSync), 0);
}

TEST_P(LogFileTest, WritingBegunBesideAppend) {
  auto file = Create(uint64_t{1} << 20);
  ASSERT_THAT(file, IsOk());
  const std::string piece(size_t{4} << 10, 'x');
  std::string expected;
  std::thread begins([&] {
    for (int i = 0; i < 50; ++i) (*file)->BeginWriting();
  });
  while ((*file)->left() >= piece.size()) {
    ASSERT_THAT((*file)->Append(piece), IsOk());
    expected += piece;
  }
  begins.join();
  (*file)->BeginWriting();
  ASSERT_THAT((*file)->Sync(), IsOk());
  EXPECT_TRUE(BytesOf(path_).substr(0, expected.size()) == expected);
}

TEST_P(LogFileTest, SyncBesideAppend) {
  auto file = Create(uint64_t{1} << 20);
  ASSERT_THAT(file, IsOk());
  std::thread syncing([&] {
    for (int i = 0; i < 50; ++i) EXPECT_THAT((*file)->Sync(), IsOk());
  });
  std::string expected;
  for (int i = 0; i < 10000; ++i) {
    const std::string piece = std::to_string(i) + ",";
    ASSERT_THAT((*file)->Append(piece), IsOk());
    expected += piece;
  }
  syncing.join();
  EXPECT_EQ(BytesOf(path_).substr(0, expected.size()), expected);
}

INSTANTIATE_TEST_SUITE_P(Io, LogFileTest,
                         testing::Values(LogIo::kAuto, LogIo::kMapped, LogIo::kWrite),
                         [](const testing::TestParamInfo<LogIo>& info) {
                           return info.param == LogIo::kAuto     ? "Auto"
                                  : info.param == LogIo::kMapped ? "Mapped"
                                                                 : "Write";
                         });

}  // namespace
}  // namespace slotkv
