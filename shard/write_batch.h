// Writes on keys of one slot that are applied together or not at all (Keyspace::Write).
//
//   slotkv::WriteBatch batch;
//   batch.Set("{user:42}:name", "alice");
//   batch.Delete("{user:42}:draft");
//   absl::Status status = cluster->Write(batch);
//
// A hash tag, the text between { and }, puts keys into one slot (slot.h).
#ifndef SLOTKV_SHARD_WRITE_BATCH_H_
#define SLOTKV_SHARD_WRITE_BATCH_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "slotkv/options.h"

namespace slotkv {

// Not thread-safe. Copies keys and values. Nothing is checked before the batch is written.
class WriteBatch {
 public:
  // In the order of these calls; each sees what those before it have done. A condition that does
  // not hold fails the whole batch.
  void Set(std::string_view key, std::string_view value, const SetOptions& options = {});
  void Delete(std::string_view key);

  // Empties it; the memory is kept for the next use.
  void Clear();

  // How many writes there are.
  size_t size() const { return operations_.size(); }
  bool empty() const { return operations_.empty(); }
  // What counts against kMaxBatchBytes (limits.h).
  size_t ByteSize() const;

  // One write of a batch; views that last until the batch is changed.
  struct Entry {
    bool is_set = false;  // else a delete, without value and options
    std::string_view key;
    std::string_view value;
    SetOptions options;
  };
  // The write of that index, which is below size(): for those who bring batches to shards that are
  // elsewhere (endpoint.h).
  Entry entry(size_t index) const {
    const Operation& operation = operations_[index];
    return {operation.is_set, Key(operation), Value(operation), operation.options};
  }

 private:
  friend class BatchMutation;

  struct Operation {
    bool is_set = false;
    size_t offset = 0;  // of the key in bytes_; the value follows it
    size_t key_size = 0;
    size_t value_size = 0;
    SetOptions options;
  };

  std::string_view Key(const Operation& operation) const {
    return {bytes_.data() + operation.offset, operation.key_size};
  }
  std::string_view Value(const Operation& operation) const {
    return {bytes_.data() + operation.offset + operation.key_size, operation.value_size};
  }

  std::string bytes_;
  std::vector<Operation> operations_;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_WRITE_BATCH_H_
