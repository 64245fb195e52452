// One copy of the topology journal: the file TOPOLOGY in a zone (or in the cluster's directory).
//
// It holds promises and records. A promise of term T says: no record of a lower term will be
// written here any more. A record is one epoch of the topology, as bytes. What they are for, and
// when which copy may be believed, is the keeper's business (shard/topology_keeper.h); this class
// knows one file: that its end may be torn, that it may be damaged, and how to keep it short.
#ifndef SLOTKV_SHARD_TOPOLOGY_JOURNAL_H_
#define SLOTKV_SHARD_TOPOLOGY_JOURNAL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/disk.h"
#include "shard/cluster_id.h"
#include "slotkv/ids.h"

namespace slotkv {

struct TermTag {
  static constexpr const char* kPrefix = "";
};
// One more for each Open of the cluster; 0 before the first.
using Term = StrongId<TermTag, uint64_t>;

// Names a record. Records are ordered by term, then epoch. {0, 0} stands before all of them.
struct RecordName {
  Term term;
  Epoch epoch;

  // "term 3 epoch 9"
  std::string ToString() const;

  friend bool operator==(const RecordName& a, const RecordName& b) {
    return a.term == b.term && a.epoch == b.epoch;
  }
  friend bool operator!=(const RecordName& a, const RecordName& b) { return !(a == b); }
  friend bool operator<(const RecordName& a, const RecordName& b) {
    return std::tie(a.term, a.epoch) < std::tie(b.term, b.epoch);
  }
};

struct TopologyRecord {
  RecordName name;
  RecordName predecessor;
  std::string content;

  friend bool operator==(const TopologyRecord& a, const TopologyRecord& b) {
    return a.name == b.name && a.predecessor == b.predecessor && a.content == b.content;
  }
};

// What a journal comes down to.
struct JournalHead {
  // At least the last record's term.
  Term promised;
  TopologyRecord last;
};

// What the bytes of a TOPOLOGY file say.
struct JournalContents {
  JournalHead head;
  // At the end stands a frame that was never finished; it is not part of `head`.
  bool torn = false;
};

// Reads any bytes. DataLoss, with the offset, if they are damaged; FailedPrecondition if they are
// another cluster's; Unimplemented if a later release wrote them.
absl::StatusOr<JournalContents> ReadJournal(std::string_view bytes, const ClusterId& cluster);

// A whole file that holds just `head`.
std::string EncodeJournal(const JournalHead& head, const ClusterId& cluster);

// Not thread-safe. Its methods do I/O; each is durable when it returns ok.
class TopologyJournal {
 public:
  static constexpr const char* kName = "TOPOLOGY";
  // An append that would make the file longer replaces it by its head instead.
  static constexpr size_t kBytesMax = size_t{256} << 10;

  // `disk` must outlive the journal.
  TopologyJournal(const Disk* disk, const std::string& directory, ClusterId cluster);
  TopologyJournal(const TopologyJournal&) = delete;
  TopologyJournal& operator=(const TopologyJournal&) = delete;

  // Reads the file. NotFound if there is none; otherwise as ReadJournal, naming the file.
  absl::StatusOr<JournalHead> Load();

  // Adds a promise. Needs a sound journal (FailedPrecondition): one that was loaded or written,
  // with no failure since. Returns what the journal then holds.
  absl::StatusOr<JournalHead> Promise(Term term);

  // Makes `record` the last one and its term the highest promise: by an append if the journal was
  // written before, without a failure since, has promised just this term and ends with the
  // record's predecessor; by replacing the file otherwise. May be repeated with the same record
  // after a failure. FailedPrecondition, and nothing written, if the file was found to be another
  // cluster's or a later release's.
  absl::Status Write(const TopologyRecord& record);

  const std::string& path() const { return path_; }

 private:
  // Makes the file end at `next`, by appending a frame of `payload` if that fits.
  absl::Status Append(JournalHead next, const std::string& payload);
  absl::Status AppendFrame(const std::string& frame);
  absl::Status Replace(JournalHead next);

  const Disk* const disk_;
  const std::string path_;
  const ClusterId cluster_;
  // What the file durably holds; nullopt while that is unknown.
  std::optional<JournalHead> head_;
  // The file's length if this object wrote it and may append to it.
  std::optional<size_t> appendable_bytes_;
  bool foreign_ = false;
  std::unique_ptr<AppendFile> file_;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_TOPOLOGY_JOURNAL_H_
