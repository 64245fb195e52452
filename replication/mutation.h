// What a caller asks of a replication group: a change, still to be decided.
#ifndef SLOTKV_REPLICATION_MUTATION_H_
#define SLOTKV_REPLICATION_MUTATION_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "engine/store_format.h"

namespace slotkv {

// What a mutation sees: the store, and the effects of the mutations before it in its write group.
class GroupView {
 public:
  virtual ~GroupView() = default;

  // The live value. NotFound without text if there is none or it has expired.
  virtual absl::Status Get(uint16_t slot, std::string_view key, ValueHeader* header,
                           std::string* payload) = 0;
  // The expiry clock, the same for the whole write group.
  virtual uint64_t now_ms() const = 0;
};

// One write. The group calls Evaluate on some caller's thread and keeps nothing of it afterwards.
class Mutation {
 public:
  virtual ~Mutation() = default;

  // Decides against what `view` shows and appends effects (engine/effects.h) to `*effects`. With
  // no effects nothing is logged. An error leaves `*effects` unused and is the write's outcome.
  // Called once; or again, as if for the first time, if a damaged store had to be replaced before
  // anything was logged.
  virtual absl::Status Evaluate(GroupView* view, std::string* effects) = 0;

  // About how many bytes the effects will be, for the bound on a write group.
  virtual size_t EstimatedBytes() const = 0;
  // How many keys it is about, for statistics.
  virtual size_t KeyCount() const { return 1; }
};

// A word that must still hold what it held when the caller chose this group; somebody who wants
// the group's writers elsewhere changes the word, then passes a barrier.
struct Guard {
  const std::atomic<uint64_t>* word = nullptr;
  uint64_t expected = 0;

  bool Holds() const { return word->load(std::memory_order_acquire) == expected; }
};

// One of the writes that a caller brings to a group.
struct GroupWrite {
  Mutation* mutation = nullptr;
  Guard guard;
  absl::Status status;      // the outcome: see Group::Write
  size_t effect_bytes = 0;  // of what was logged; 0: there was nothing to log
};

}  // namespace slotkv

#endif  // SLOTKV_REPLICATION_MUTATION_H_
