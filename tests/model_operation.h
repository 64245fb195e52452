// Random calls, of every kind that a Keyspace has.
#ifndef SLOTKV_TESTS_MODEL_OPERATION_H_
#define SLOTKV_TESTS_MODEL_OPERATION_H_

#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "slotkv/keyspace.h"

namespace slotkv {

// The keys that calls are about, several to a slot, so that calls meet.
struct ModelKeys {
  // All of them begin so, and no others do.
  std::string prefix;
  // With their braces; each of a slot of its own. Behind a tag comes a number.
  std::vector<std::string> tags;
  int keys_per_tag = 4;
  // Whatever expires does so after a multiple of `ttl_step`, at the latest after `max_ttl`.
  absl::Duration ttl_step = absl::Milliseconds(1);
  absl::Duration max_ttl = absl::Milliseconds(500);
  // Of the prefixes that calls are about, one in so many is that of all keys.
  uint64_t whole_prefix_one_in = 8;
  // There are no other keys, so that calls may be about all there are.
  bool alone = false;

  std::vector<std::string> All() const;
};

// `taken`: slots that are others'; those of the new tags are added.
ModelKeys MakeModelKeys(const std::string& name, int tags, std::set<Slot>* taken);

// One call. Which fields count depends on the kind.
struct Operation {
  enum Kind {
    kSet,
    kGet,
    kDelete,
    kExists,
    kIncrement,
    kAppend,
    kSetRange,
    kCompareAndSet,
    kExpire,
    kPersist,
    kTimeToLive,
    kGetAndTouch,
    kCount,
    kKeys,
    kMultiGet,
    kMultiSet,
    kWrite,
    kDeletePrefix,
    kDeleteAll,  // only by those who are alone
    kGetOrLoad,
    kHashSet,
    kHashGet,
    kHashGetAll,
    kHashDelete,
    kScan,
    kKinds
  };
  struct KeyWrite {
    bool is_set = true;
    std::string key;
    std::string value;
    SetOptions options;
  };

  Kind kind = kGet;
  std::string key;  // or a prefix
  std::string value;
  std::string expected;
  int64_t number = 0;
  absl::Duration ttl = absl::InfiniteDuration();
  SetOptions options;
  std::vector<std::string> keys;  // or names of fields
  std::vector<KeyWrite> writes;
  std::vector<HashField> fields;
  bool fails = false;                          // the loader does
  std::shared_ptr<const Operation> meanwhile;  // what the loader does first; null: nothing

  // All of it happens at once, or nothing.
  bool IsAtomic() const;
  std::string ToString() const;
};

// How many keys KeysInSlot is asked for.
inline constexpr size_t kModelKeysAtMost = 3;

Operation RandomOperation(const ModelKeys& keys, std::mt19937_64* random);

// What the call answers, as text.
std::string Answer(Keyspace* keyspace, const Operation& operation);

}  // namespace slotkv

#endif  // SLOTKV_TESTS_MODEL_OPERATION_H_
