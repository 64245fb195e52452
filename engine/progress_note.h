// The notes in a store that say how far the log has been applied to it (engine/store.h, invariant
// 3). There are two: whoever applies and whoever flushes write one each.
#ifndef SLOTKV_ENGINE_PROGRESS_NOTE_H_
#define SLOTKV_ENGINE_PROGRESS_NOTE_H_

#include <string>

#include "absl/status/statusor.h"
#include "engine/ids.h"
#include "rocksdb/db.h"
#include "rocksdb/options.h"

namespace slotkv {

enum class ProgressNote {
  kApplied,  // of the thread that applies records
  kFlushed,  // of whoever flushes
};

// As the store knows it.
std::string ProgressNoteKey(ProgressNote note);
std::string EncodeProgressNote(LogIndex index);

// The higher of the notes that a read with `options` finds; 0: there is none. `directory` is named
// in errors; damage is DataLoss.
absl::StatusOr<LogIndex> ReadProgressNotes(rocksdb::DB* db, const rocksdb::ReadOptions& options,
                                           const std::string& directory);

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_PROGRESS_NOTE_H_
