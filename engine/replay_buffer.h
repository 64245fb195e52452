// Effects of consecutive log records, on their way into a store that is being recovered.
//
// A memtable takes keys in order two to three times as fast as at random, and a hot key is written
// many times but needed once: so replay gathers the effects of some megabytes of log, keeps the
// last of each key, and applies them sorted. What the store holds afterwards is the same.
#ifndef SLOTKV_ENGINE_REPLAY_BUFFER_H_
#define SLOTKV_ENGINE_REPLAY_BUFFER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "engine/effects.h"
#include "engine/store.h"

namespace slotkv {

class ReplayBuffer {
 public:
  // Copies the payload of the record that follows those added before. DataLoss if it is not made
  // of effects.
  absl::Status Add(std::string_view payload);

  // Of payloads gathered.
  size_t bytes() const { return payloads_.size(); }

  // Puts everything into `*batch` and empties the buffer.
  absl::Status DrainInto(Store::Batch* batch);

 private:
  struct Entry {
    uint64_t prefix;  // of the key, for comparing without following the pointer
    size_t key_offset;
    uint32_t key_size;
    Effect::Kind kind;
    size_t value_offset;
    size_t value_size;
  };

  void SortAndPut(std::vector<Entry>::iterator first, std::vector<Entry>::iterator last,
                  Store::Batch* batch, absl::Status* status);

  std::string_view Key(const Entry& entry) const {
    return {payloads_.data() + entry.key_offset, entry.key_size};
  }

  std::string payloads_;
  std::vector<Entry> entries_;
};

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_REPLAY_BUFFER_H_
