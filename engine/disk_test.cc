#include "engine/disk.h"

#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/file_io.h"
#include "engine/log_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/test_hook.h"
#include "tests/test_support.h"

namespace slotkv {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr absl::StatusCode kUnavailable = absl::StatusCode::kUnavailable;

unsigned ModeOf(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 ? info.st_mode & 0777 : 0;
}

class DiskTest : public testing::Test {
 protected:
  const TemporaryDirectory root_;
  const std::shared_ptr<TestHook> hook_ = std::make_shared<TestHook>();
  const Disk disk_{hook_};
};

TEST_F(DiskTest, ReplaceAndRead) {
  const std::string path = root_.Path("file");
  EXPECT_FALSE(disk_.Exists(path));
  ASSERT_THAT(disk_.Replace(path, "first"), IsOk());
  EXPECT_TRUE(disk_.Exists(path));
  EXPECT_EQ(*disk_.Read(path), "first");
  const std::string large(300000, 'x');
  ASSERT_THAT(disk_.Replace(path, large), IsOk());
  EXPECT_EQ(*disk_.Read(path), large);
  ASSERT_THAT(disk_.Replace(path, ""), IsOk());
  EXPECT_EQ(*disk_.Read(path), "");
  EXPECT_THAT(*disk_.List(root_.path()), ElementsAre("file"));
}

TEST_F(DiskTest, ReplaceIsAllOrNothing) {
  const std::string path = root_.Path("file");
  ASSERT_THAT(disk_.Replace(path, "old"), IsOk());
  for (const FileOp op : {FileOp::kCreate, FileOp::kWrite, FileOp::kSync, FileOp::kRename}) {
    hook_->Fail(op, absl::UnavailableError("broken"));
    EXPECT_THAT(disk_.Replace(path, "new"), HasError(kUnavailable, path));
    EXPECT_EQ(BytesOf(path), "old") << static_cast<int>(op);
  }
  hook_->Fail(FileOp::kWrite, absl::ResourceExhaustedError("full"));
  EXPECT_THAT(disk_.Replace(path, "new"), HasError(absl::StatusCode::kResourceExhausted, path));
  // Behind the rename it is the new one, but not known to be durable.
  hook_->Fail(FileOp::kSyncDirectory, absl::UnavailableError("broken"));
  EXPECT_THAT(disk_.Replace(path, "new"), HasError(kUnavailable, root_.path()));
  EXPECT_EQ(BytesOf(path), "new");
  hook_->Heal();
  ASSERT_THAT(disk_.Replace(path, "newer"), IsOk());
  EXPECT_EQ(BytesOf(path), "newer");
}

TEST_F(DiskTest, ReplaceSyncsFileThenRenamesThenSyncsDirectory) {
  std::string order;
  hook_->SetAfter([&](FileOp op, const std::string&) {
    order += op == FileOp::kWrite           ? "write "
             : op == FileOp::kSync          ? "sync "
             : op == FileOp::kRename        ? "rename "
             : op == FileOp::kSyncDirectory ? "directory "
                                            : "";
  });
  ASSERT_THAT(disk_.Replace(root_.Path("file"), "bytes"), IsOk());
  EXPECT_EQ(order, "write sync rename directory ");
  hook_->SetAfter(nullptr);
}

TEST_F(DiskTest, ErrorsNamePathAndKind) {
  const std::string missing = root_.Path("missing");
  EXPECT_THAT(disk_.Read(missing), HasError(absl::StatusCode::kNotFound, missing));
  EXPECT_THAT(disk_.List(missing), HasError(absl::StatusCode::kNotFound, missing));
  EXPECT_THAT(disk_.OpenForAppend(missing), HasError(absl::StatusCode::kNotFound, missing));
  EXPECT_THAT(disk_.ReadWritten(missing), HasError(absl::StatusCode::kNotFound, missing));
  EXPECT_THAT(disk_.RewriteAndSync(missing, 1), HasError(absl::StatusCode::kNotFound, missing));
  EXPECT_FALSE(disk_.SyncDirectory(missing).ok());
  EXPECT_THAT(disk_.Rename(missing, root_.Path("to")), HasError(absl::StatusCode::kNotFound, "to"));
  EXPECT_THAT(disk_.Replace(missing + "/file", ""), HasError(absl::StatusCode::kNotFound, missing));
  ASSERT_THAT(disk_.Replace(root_.Path("file"), ""), IsOk());
  EXPECT_THAT(disk_.MakeDirectory(root_.Path("file")),
              HasError(absl::StatusCode::kFailedPrecondition, root_.Path("file")));
  hook_->Fail(FileOp::kRead, absl::DataLossError("rotten"));
  EXPECT_THAT(disk_.Read(root_.Path("file")),
              HasError(absl::StatusCode::kDataLoss, root_.Path("file")));
}

TEST_F(DiskTest, ErrnoBecomesACode) {
  EXPECT_THAT(ErrnoStatus(ENOSPC, "path", "write"),
              HasError(absl::StatusCode::kResourceExhausted, "path: write: No space left"));
  EXPECT_THAT(ErrnoStatus(EDQUOT, "path", "write"), HasCode(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(ErrnoStatus(ENOENT, "path", "open"), HasCode(absl::StatusCode::kNotFound));
  EXPECT_THAT(ErrnoStatus(EIO, "path", "fsync"), HasError(kUnavailable, "path: fsync: Input"));
}

TEST_F(DiskTest, MakeDirectoryMakesEveryEntryDurable) {
  std::string synced;
  hook_->SetAfter([&](FileOp op, const std::string& path) {
    if (op == FileOp::kSyncDirectory) synced += path.substr(root_.path().size()) + ";";
  });
  ASSERT_THAT(disk_.MakeDirectory(root_.Path("a/b/c")), IsOk());
  EXPECT_EQ(synced, ";/a;/a/b;");
  ASSERT_THAT(disk_.MakeDirectory(root_.Path("a/b/c")), IsOk());
  hook_->SetAfter(nullptr);
  hook_->Fail(FileOp::kMakeDirectory, absl::ResourceExhaustedError("full"));
  EXPECT_THAT(disk_.MakeDirectory(root_.Path("x/y")),
              HasError(absl::StatusCode::kResourceExhausted, root_.Path("x")));
}

TEST_F(DiskTest, EverythingIsPrivate) {
  const mode_t old_mask = umask(0);
  ASSERT_THAT(disk_.MakeDirectory(root_.Path("a/b")), IsOk());
  ASSERT_THAT(disk_.Replace(root_.Path("a/b/file"), "x"), IsOk());
  const auto lock = disk_.Lock(root_.Path("a/LOCK"));
  umask(old_mask);
  ASSERT_THAT(lock, IsOk());
  EXPECT_EQ(ModeOf(root_.Path("a")), 0700u);
  EXPECT_EQ(ModeOf(root_.Path("a/b")), 0700u);
  EXPECT_EQ(ModeOf(root_.Path("a/b/file")), 0600u);
  EXPECT_EQ(ModeOf(root_.Path("a/LOCK")), 0600u);
}

TEST_F(DiskTest, AppendsGoToTheEnd) {
  const std::string path = root_.Path("file");
  ASSERT_THAT(disk_.Replace(path, "one "), IsOk());
  for (const char* const piece : {"two ", "three "}) {
    auto file = disk_.OpenForAppend(path);
    ASSERT_THAT(file, IsOk());
    EXPECT_EQ((*file)->path(), path);
    ASSERT_THAT((*file)->Append(piece), IsOk());
    ASSERT_THAT((*file)->Sync(), IsOk());
    ASSERT_THAT((*file)->Close(), IsOk());
  }
  EXPECT_EQ(BytesOf(path), "one two three ");
  auto file = disk_.OpenForAppend(path);
  ASSERT_THAT(file, IsOk());
  hook_->Fail(FileOp::kSync, absl::UnavailableError("broken"));
  EXPECT_THAT((*file)->Sync(), HasError(kUnavailable, path));
}

TEST_F(DiskTest, ReadWrittenLeavesOffWhatWasOnlyReserved) {
  const std::string path = root_.Path("file");
  for (const size_t written : {size_t{0}, size_t{1}, size_t{5000}, size_t{200000}}) {
    auto file = LogFile::Create(path, size_t{1} << 20, LogIo::kAuto, nullptr);
    ASSERT_THAT(file, IsOk());
    const std::string bytes(written, 'b');
    ASSERT_THAT((*file)->Append(bytes), IsOk());
    for (const bool synced : {false, true}) {
      if (synced) {
        ASSERT_THAT((*file)->Sync(), IsOk());
      }
      const auto read = disk_.ReadWritten(path);
      ASSERT_THAT(read, IsOk());
      ASSERT_GE(read->view().size(), written);
      EXPECT_EQ(read->view().substr(0, written), bytes);
      EXPECT_EQ(read->view().find_first_not_of('\0', written), std::string_view::npos);
      EXPECT_EQ(disk_.ReadWritten(path, 1)->view(), bytes.substr(0, 1));
    }
    std::filesystem::remove(path);
  }
}

TEST_F(DiskTest, RewriteAndSyncChangesNothing) {
  const std::string path = root_.Path("file");
  std::string bytes(100000, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
  ASSERT_THAT(disk_.Replace(path, bytes), IsOk());
  const int syncs = hook_->done(FileOp::kSync);
  for (const size_t size : {size_t{0}, size_t{1}, size_t{50001}, bytes.size()}) {
    ASSERT_THAT(disk_.RewriteAndSync(path, size), IsOk());
    EXPECT_EQ(BytesOf(path), bytes);
  }
  EXPECT_EQ(hook_->done(FileOp::kSync), syncs + 4);
  for (const FileOp op : {FileOp::kRead, FileOp::kWrite, FileOp::kSync}) {
    hook_->Fail(op, absl::UnavailableError("broken"));
    EXPECT_THAT(disk_.RewriteAndSync(path, 10), HasCode(kUnavailable));
  }
}

TEST_F(DiskTest, RenameAndDelete) {
  ASSERT_THAT(disk_.Replace(root_.Path("a"), "x"), IsOk());
  ASSERT_THAT(disk_.Rename(root_.Path("a"), root_.Path("b")), IsOk());
  EXPECT_EQ(BytesOf(root_.Path("b")), "x");
  EXPECT_FALSE(disk_.Exists(root_.Path("a")));
  EXPECT_THAT(disk_.Delete(root_.Path("a")), IsOk()) << "missing is no error";
  ASSERT_THAT(disk_.Delete(root_.Path("b")), IsOk());
  EXPECT_FALSE(disk_.Exists(root_.Path("b")));
}

// What a CURRENT of RocksDB's names is durable before it does: a power failure would else leave a
// store that names a file which is not there.
TEST_F(DiskTest, WhatCurrentNamesIsDurableBeforeIt) {
  ASSERT_THAT(disk_.Replace(root_.Path("000001.dbtmp"), "MANIFEST-000001\n"), IsOk());
  std::vector<FileOp> ops;
  hook_->SetBefore([&ops](FileOp op, const std::string&) {
    if (op == FileOp::kSyncDirectory || op == FileOp::kRename) ops.push_back(op);
    return absl::OkStatus();
  });
  ASSERT_THAT(disk_.Rename(root_.Path("000001.dbtmp"), root_.Path("CURRENT")), IsOk());
  EXPECT_THAT(ops, ElementsAre(FileOp::kSyncDirectory, FileOp::kRename));
}

// The space of a large file is given back in steps, but not while it has another name: snapshots
// are made of links.
TEST_F(DiskTest, DeleteLeavesOtherNamesAlone) {
  const std::string contents(size_t{3} << 20, 'x');
  ASSERT_THAT(disk_.Replace(root_.Path("a"), contents), IsOk());
  std::filesystem::create_hard_link(root_.Path("a"), root_.Path("b"));
  ASSERT_THAT(disk_.Delete(root_.Path("a")), IsOk());
  EXPECT_FALSE(disk_.Exists(root_.Path("a")));
  EXPECT_TRUE(BytesOf(root_.Path("b")) == contents);
  hook_->Fail(FileOp::kDelete, absl::UnavailableError("broken"), "/b");
  EXPECT_THAT(disk_.Delete(root_.Path("b")), HasError(kUnavailable, root_.Path("b")));
  EXPECT_TRUE(BytesOf(root_.Path("b")) == contents);
}

TEST_F(DiskTest, DeleteTree) {
  EXPECT_THAT(disk_.DeleteTree(root_.Path("missing")), IsOk());
  ASSERT_THAT(disk_.MakeDirectory(root_.Path("a/b/c")), IsOk());
  ASSERT_THAT(disk_.Replace(root_.Path("a/1"), "x"), IsOk());
  ASSERT_THAT(disk_.Replace(root_.Path("a/b/2"), "x"), IsOk());
  ASSERT_THAT(disk_.Replace(root_.Path("kept"), "x"), IsOk());
  hook_->Fail(FileOp::kDelete, absl::UnavailableError("broken"), "/a/b/2");
  EXPECT_THAT(disk_.DeleteTree(root_.Path("a")), HasError(kUnavailable, root_.Path("a/b/2")));
  hook_->Heal();
  ASSERT_THAT(disk_.DeleteTree(root_.Path("a")), IsOk());
  EXPECT_THAT(*disk_.List(root_.path()), ElementsAre("kept"));
}

// A symbolic link is deleted, and what it points to is not.
TEST_F(DiskTest, DeleteTreeStaysInItsTree) {
  ASSERT_THAT(disk_.MakeDirectory(root_.Path("a")), IsOk());
  ASSERT_THAT(disk_.MakeDirectory(root_.Path("elsewhere")), IsOk());
  ASSERT_THAT(disk_.Replace(root_.Path("elsewhere/precious"), "x"), IsOk());
  std::filesystem::create_directory_symlink(root_.Path("elsewhere"), root_.Path("a/link"));
  disk_.DeleteTree(root_.Path("a")).IgnoreError();
  EXPECT_EQ(BytesOf(root_.Path("elsewhere/precious")), "x");
}

TEST_F(DiskTest, DeleteIfEmpty) {
  EXPECT_THAT(disk_.DeleteIfEmpty(root_.Path("missing")), IsOk());
  ASSERT_THAT(disk_.MakeDirectory(root_.Path("a")), IsOk());
  ASSERT_THAT(disk_.Replace(root_.Path("a/file"), ""), IsOk());
  EXPECT_THAT(disk_.DeleteIfEmpty(root_.Path("a")), IsOk());
  EXPECT_TRUE(disk_.Exists(root_.Path("a/file")));
  ASSERT_THAT(disk_.Delete(root_.Path("a/file")), IsOk());
  EXPECT_THAT(disk_.DeleteIfEmpty(root_.Path("a")), IsOk());
  EXPECT_THAT(*disk_.List(root_.path()), IsEmpty());
}

TEST_F(DiskTest, ALockHasOneHolder) {
  const std::string path = root_.Path("LOCK");
  auto first = disk_.Lock(path);
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(disk_.Lock(path), HasError(kUnavailable, path));
  EXPECT_THAT(Disk().Lock(path), HasError(kUnavailable, path)) << "through another Disk";
  first->reset();
  EXPECT_THAT(disk_.Lock(path), IsOk());
}

TEST_F(DiskTest, ALockHoldsUnderAnyNameOfItsFile) {
  ASSERT_THAT(disk_.MakeDirectory(root_.Path("a")), IsOk());
  std::filesystem::create_directory_symlink(root_.Path("a"), root_.Path("alias"));
  const auto first = disk_.Lock(root_.Path("a/LOCK"));
  ASSERT_THAT(first, IsOk());
  EXPECT_THAT(disk_.Lock(root_.Path("alias/LOCK")), HasCode(kUnavailable));
  EXPECT_THAT(disk_.Lock(root_.Path("a/./LOCK")), HasCode(kUnavailable));
}

TEST_F(DiskTest, JoinPath) { EXPECT_EQ(JoinPath("a/b", "c"), "a/b/c"); }

}  // namespace
}  // namespace slotkv
