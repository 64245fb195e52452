#include "engine/progress_note.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "engine/coding.h"
#include "engine/rocksdb_status.h"
#include "engine/store_format.h"

namespace slotkv {

std::string ProgressNoteKey(ProgressNote note) {
  std::string key;
  AppendSlot(kFirstMetadataSlot, &key);
  return key + (note == ProgressNote::kApplied ? "progress.applied" : "progress.flushed");
}

// 8 bytes little-endian.
std::string EncodeProgressNote(LogIndex index) {
  std::string note;
  PutFixed<uint64_t>(&note, index.value());
  return note;
}

absl::StatusOr<LogIndex> ReadProgressNotes(rocksdb::DB* db, const rocksdb::ReadOptions& options,
                                           const std::string& directory) {
  LogIndex progress;
  for (const ProgressNote which : {ProgressNote::kApplied, ProgressNote::kFlushed}) {
    std::string note;
    const rocksdb::Status status = db->Get(options, ProgressNoteKey(which), &note);
    if (status.IsNotFound()) continue;
    if (!status.ok()) return StoreStatus(status, directory);
    if (note.size() != sizeof(uint64_t)) {
      return absl::DataLossError(absl::StrCat(directory, ": a progress note is damaged"));
    }
    progress = std::max(progress, LogIndex(LoadFixed<uint64_t>(note.data())));
  }
  return progress;
}

}  // namespace slotkv
