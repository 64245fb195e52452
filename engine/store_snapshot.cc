#include "engine/store_snapshot.h"

#define XXH_INLINE_ALL
#include <algorithm>
#include <functional>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/progress_note.h"
#include "engine/rocksdb_status.h"
#include "rocksdb/file_system.h"
#include "rocksdb/sst_file_reader.h"
#include "rocksdb/table.h"
#include "rocksdb/utilities/checkpoint.h"
#include "xxhash.h"

namespace slotkv {
namespace {

// Of one write, and of one read but for a block that is larger.
constexpr size_t kPieceBytes = size_t{1} << 20;
// The disk is told to begin writing whenever there is so much for it, so that the sync at the end
// of a file need not wait for all of it.
constexpr uint64_t kHandOnBytes = uint64_t{8} << 20;
// RocksDB takes no fewer than 20, ten of which are not for tables.
constexpr int kMaxOpenFiles = 20;

const rocksdb::IOOptions kIo;

// Reads past the stores' block cache: its keys come from the tables' own names for themselves, so
// that a block of the store would hide what happened to the file of the snapshot.
rocksdb::Options OptionsForReading(const rocksdb::DB& db) {
  rocksdb::BlockBasedTableOptions table;
  table.no_block_cache = true;
  rocksdb::Options options;
  options.env = db.GetEnv();
  options.info_log = db.GetDBOptions().info_log;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  options.max_open_files = kMaxOpenFiles;
  options.max_file_opening_threads = 1;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.skip_stats_update_on_db_open = true;
  return options;
}

// A hash over bytes that come in pieces.
class StreamHash {
 public:
  StreamHash() : state_(XXH3_createState(), &XXH3_freeState) { XXH3_64bits_reset(state_.get()); }
  void Add(const rocksdb::Slice& piece) {
    XXH3_64bits_update(state_.get(), piece.data(), piece.size());
  }
  uint64_t value() const { return XXH3_64bits_digest(state_.get()); }

 private:
  // Not a member: it wants more alignment than a stack frame gives under sanitizers.
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state_;
};

// Sees what is read from a file, before the reader does; may fail the read.
using Tap = std::function<rocksdb::IOStatus(uint64_t offset, const rocksdb::Slice& bytes)>;

class TappedFile final : public rocksdb::FSRandomAccessFileOwnerWrapper {
 public:
  TappedFile(std::unique_ptr<rocksdb::FSRandomAccessFile>&& file, const Tap& tap)
      : FSRandomAccessFileOwnerWrapper(std::move(file)), tap_(tap) {}

  rocksdb::IOStatus Read(uint64_t offset, size_t size, const rocksdb::IOOptions& options,
                         rocksdb::Slice* result, char* scratch,
                         rocksdb::IODebugContext* debug) const override {
    rocksdb::IOStatus status = target()->Read(offset, size, options, result, scratch, debug);
    return status.ok() ? tap_(offset, *result) : status;
  }

 private:
  const Tap& tap_;
};

class TappedFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  TappedFileSystem(const std::shared_ptr<rocksdb::FileSystem>& files, Tap tap)
      : FileSystemWrapper(files), tap_(std::move(tap)) {}

  const char* Name() const override { return "slotkv.tapped"; }

  rocksdb::IOStatus NewRandomAccessFile(const std::string& path,
                                        const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                        rocksdb::IODebugContext* debug) override {
    rocksdb::IOStatus status = target()->NewRandomAccessFile(path, options, file, debug);
    if (status.ok()) *file = std::make_unique<TappedFile>(std::move(*file), tap_);
    return status;
  }

 private:
  const Tap tap_;
};

}  // namespace

// The copying of one file. RocksDB reads a table from front to back to check it, and what it reads
// is written as it comes: one reading serves both, and what is copied is what was checked.
class StoreSnapshot::FileCopy {
 public:
  // `wrote(bytes)` is told of each piece.
  FileCopy(std::string from, std::string to, uint64_t bytes, char* buffer,
           absl::FunctionRef<absl::Status(uint64_t bytes)> wrote)
      : from_(std::move(from)), to_(std::move(to)), bytes_(bytes), buffer_(buffer), wrote_(wrote) {}

  absl::Status Run(const StoreSnapshot& snapshot, const Disk& target) {
    rocksdb::IOStatus status = target.files()->NewWritableFile(to_, {}, &writer_, nullptr);
    if (!status.ok()) return FromRocksDb(status, to_);
    if (absl::EndsWith(from_, ".sst")) {
      if (absl::Status table = CopyTable(snapshot.read_options_); !table.ok()) return table;
    }
    if (absl::Status rest = CopyRest(*snapshot.disk_); !rest.ok()) return rest;
    status = writer_->Fsync(kIo, nullptr);
    if (status.ok()) status = writer_->Close(kIo, nullptr);
    return status.ok() ? ReadBack(target) : FromRocksDb(status, to_);
  }

 private:
  // Checks every block, and writes what is read in the course of it, up to the first gap.
  absl::Status CopyTable(rocksdb::Options options) {
    absl::Status write_status;
    const auto tap = [&](uint64_t offset, const rocksdb::Slice& bytes) {
      if (offset > copied_ || offset + bytes.size() <= copied_) return rocksdb::IOStatus::OK();
      const size_t had = copied_ - offset;
      write_status = Write({bytes.data() + had, bytes.size() - had});
      return ToIoStatus(write_status);
    };
    const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(
        std::make_shared<TappedFileSystem>(options.env->GetFileSystem(), tap));
    options.env = env.get();
    rocksdb::SstFileReader table(options);
    rocksdb::Status status = table.Open(from_);
    rocksdb::ReadOptions read_options;
    read_options.readahead_size = kPieceBytes;
    if (status.ok()) status = table.VerifyChecksum(read_options);
    return write_status.ok() ? StoreStatus(status, from_) : write_status;
  }

  absl::Status CopyRest(const Disk& source) {
    if (copied_ == bytes_) return absl::OkStatus();
    std::unique_ptr<rocksdb::FSRandomAccessFile> reader;
    rocksdb::IOStatus status = source.files()->NewRandomAccessFile(from_, {}, &reader, nullptr);
    if (!status.ok()) return StoreStatus(status, from_);
    while (copied_ < bytes_) {
      const size_t size = static_cast<size_t>(std::min<uint64_t>(kPieceBytes, bytes_ - copied_));
      rocksdb::Slice piece;
      status = reader->Read(copied_, size, kIo, &piece, buffer_, nullptr);
      if (!status.ok()) return StoreStatus(status, from_);
      if (piece.empty()) {
        return absl::DataLossError(
            absl::StrCat(from_, ": ends at ", copied_, ", had ", bytes_, " bytes"));
      }
      if (absl::Status written = Write(piece); !written.ok()) return written;
    }
    return absl::OkStatus();
  }

  absl::Status Write(rocksdb::Slice bytes) {
    while (!bytes.empty()) {
      const rocksdb::Slice piece(bytes.data(), std::min(bytes.size(), kPieceBytes));
      bytes.remove_prefix(piece.size());
      hash_.Add(piece);
      rocksdb::IOStatus status = writer_->Append(piece, kIo, nullptr);
      if (!status.ok()) return FromRocksDb(status, to_);
      copied_ += piece.size();
      if (copied_ - handed_on_ >= kHandOnBytes) {
        status = writer_->RangeSync(handed_on_, copied_ - handed_on_, kIo, nullptr);
        if (!status.ok()) return FromRocksDb(status, to_);
        handed_on_ = copied_;
      }
      if (absl::Status go_on = wrote_(piece.size()); !go_on.ok()) return go_on;
    }
    return absl::OkStatus();
  }

  absl::Status ReadBack(const Disk& target) const {
    std::unique_ptr<rocksdb::FSSequentialFile> reader;
    rocksdb::IOStatus status = target.files()->NewSequentialFile(to_, {}, &reader, nullptr);
    if (!status.ok()) return FromRocksDb(status, to_);
    StreamHash hash;
    uint64_t bytes = 0;
    while (true) {
      rocksdb::Slice piece;
      status = reader->Read(kPieceBytes, kIo, &piece, buffer_, nullptr);
      if (!status.ok()) return FromRocksDb(status, to_);
      if (piece.empty()) break;
      hash.Add(piece);
      bytes += piece.size();
    }
    if (bytes == bytes_ && hash.value() == hash_.value()) return absl::OkStatus();
    // Not DataLoss: nothing is lost, and the source is not at fault.
    return absl::UnavailableError(absl::StrCat(to_, ": does not read back as it was written"));
  }

  const std::string from_;
  const std::string to_;
  const uint64_t bytes_;
  char* const buffer_;  // of kPieceBytes
  const absl::FunctionRef<absl::Status(uint64_t)> wrote_;
  std::unique_ptr<rocksdb::FSWritableFile> writer_;
  StreamHash hash_;  // of what was written
  uint64_t copied_ = 0;
  uint64_t handed_on_ = 0;
};

StoreSnapshot::StoreSnapshot(const Disk* disk, rocksdb::DB* db, std::string directory,
                             std::atomic<bool>* in_use)
    : disk_(disk),
      directory_(std::move(directory)),
      read_options_(OptionsForReading(*db)),
      in_use_(in_use) {}

absl::StatusOr<std::unique_ptr<StoreSnapshot>> StoreSnapshot::Create(const Disk* disk,
                                                                     rocksdb::DB* db,
                                                                     const std::string& directory,
                                                                     std::atomic<bool>* in_use) {
  if (in_use->exchange(true, std::memory_order_acquire)) {
    return absl::UnavailableError(
        absl::StrCat(directory, ": there is another snapshot of this store"));
  }
  std::unique_ptr<StoreSnapshot> snapshot(new StoreSnapshot(disk, db, directory, in_use));
  if (absl::Status status = DeleteDebris(*disk, directory); !status.ok()) return status;
  if (absl::Status status = snapshot->Link(db); !status.ok()) return status;
  if (absl::Status status = snapshot->ReadProgress(); !status.ok()) return status;
  return snapshot;
}

StoreSnapshot::~StoreSnapshot() {
  // What stays is debris, for the next one to delete.
  DeleteDebris(*disk_, directory_).IgnoreError();
  in_use_->store(false, std::memory_order_release);
}

absl::Status StoreSnapshot::DeleteDebris(const Disk& disk, const std::string& directory) {
  // RocksDB gathers a checkpoint under the second name.
  const absl::Status status = disk.DeleteTree(directory);
  const absl::Status unfinished = disk.DeleteTree(directory + ".tmp");
  return status.ok() ? unfinished : status;
}

absl::Status StoreSnapshot::Link(rocksdb::DB* db) {
  rocksdb::Checkpoint* made = nullptr;
  rocksdb::Status status = rocksdb::Checkpoint::Create(db, &made);
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  if (status.ok()) {
    // Without a flush: that is the node's, which writes a note first.
    status = checkpoint->CreateCheckpoint(
        directory_, /*log_size_for_flush=*/std::numeric_limits<uint64_t>::max());
  }
  return StoreStatus(status, directory_);
}

// Of the snapshot itself: the store may have gone on.
absl::Status StoreSnapshot::ReadProgress() {
  rocksdb::DB* opened = nullptr;
  const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(read_options_, directory_, &opened);
  const std::unique_ptr<rocksdb::DB> db(opened);
  if (!status.ok()) return StoreStatus(status, directory_);
  const absl::StatusOr<LogIndex> progress =
      ReadProgressNotes(db.get(), rocksdb::ReadOptions(), directory_);
  if (!progress.ok()) return progress.status();
  progress_ = *progress;
  return absl::OkStatus();
}

absl::Status StoreSnapshot::CopyTo(const Disk& target, const std::string& directory,
                                   CopyProgress progress) const {
  const absl::StatusOr<std::vector<std::string>> names = disk_->List(directory_);
  if (!names.ok()) return names.status();
  std::vector<uint64_t> sizes;
  uint64_t bytes_total = 0;
  for (const std::string& name : *names) {
    const std::string path = JoinPath(directory_, name);
    uint64_t size = 0;
    const rocksdb::IOStatus status = disk_->files()->GetFileSize(path, kIo, &size, nullptr);
    if (!status.ok()) return StoreStatus(status, path);
    sizes.push_back(size);
    bytes_total += size;
  }
  if (absl::Status status = target.MakeDirectory(directory); !status.ok()) return status;
  uint64_t bytes_done = 0;
  const auto wrote = [&](uint64_t bytes) {
    bytes_done += bytes;
    return progress(bytes_done, bytes_total);
  };
  const std::unique_ptr<char[]> buffer(new char[kPieceBytes]);
  for (size_t i = 0; i < names->size(); ++i) {
    FileCopy copy(JoinPath(directory_, (*names)[i]), JoinPath(directory, (*names)[i]), sizes[i],
                  buffer.get(), wrote);
    if (absl::Status status = copy.Run(*this, target); !status.ok()) return status;
  }
  return target.SyncDirectory(directory);
}

}  // namespace slotkv
