// Committed records on their way to a copy that is about to join, kept in memory from one moment
// on, so that the last of them need not be read from the log while writers wait.
#ifndef SLOTKV_REPLICATION_RECORD_TAP_H_
#define SLOTKV_REPLICATION_RECORD_TAP_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "engine/record.h"

namespace slotkv {

// Consecutive records, with their payloads.
class RecordBuffer {
 public:
  void Add(const Record& record) {
    payloads_.append(record.payload.data(), record.payload.size());
    records_.push_back(record);
    ends_.push_back(payloads_.size());
  }
  bool empty() const { return records_.empty(); }
  size_t bytes() const { return payloads_.size() + records_.size() * kRecordHeaderBytes; }
  void Clear() {
    payloads_.clear();
    records_.clear();
    ends_.clear();
  }
  // Until the next Add or Clear.
  absl::Span<const Record> View() {
    size_t begin = 0;
    for (size_t i = 0; i < records_.size(); ++i) {
      records_[i].payload = std::string_view(payloads_).substr(begin, ends_[i] - begin);
      begin = ends_[i];
    }
    return records_;
  }

 private:
  std::string payloads_;
  std::vector<Record> records_;
  std::vector<size_t> ends_;
};

// Thread-safe.
class RecordTap {
 public:
  static constexpr size_t kMaxBytes = size_t{32} << 20;

  void Add(absl::Span<const Record> records) {
    absl::MutexLock lock(&mu_);
    if (overflowed_) return;
    for (const Record& record : records) buffer_.Add(record);
    overflowed_ = buffer_.bytes() > kMaxBytes;
    if (overflowed_) buffer_ = RecordBuffer();
  }
  // What has come since the last call. False: more came than it can keep.
  bool Take(RecordBuffer* taken) {
    taken->Clear();
    absl::MutexLock lock(&mu_);
    std::swap(*taken, buffer_);
    return !overflowed_;
  }

 private:
  absl::Mutex mu_;
  RecordBuffer buffer_ ABSL_GUARDED_BY(mu_);
  bool overflowed_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace slotkv

#endif  // SLOTKV_REPLICATION_RECORD_TAP_H_
