// A cluster's keyspace as a map: what every call should answer.
#ifndef SLOTKV_TESTS_KEYSPACE_MODEL_H_
#define SLOTKV_TESTS_KEYSPACE_MODEL_H_

#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "slotkv/cluster.h"

namespace slotkv {

// One call. Which fields count depends on the kind.
struct Operation {
  enum Kind {
    kSet,
    kGet,
    kDelete,
    kExists,
    kIncrement,
    kAppend,
    kCompareAndSet,
    kExpire,
    kPersist,
    kTimeToLive,
    kGetAndTouch,
    kCount,
    kKeys,
    kKinds
  };
  Kind kind = kGet;
  std::string key;
  std::string value;
  std::string expected;
  int64_t number = 0;
  absl::Duration ttl = absl::InfiniteDuration();
  SetOptions options;

  std::string ToString() const;
};

// Keys that begin with `prefix`, a few to a slot, so that operations meet.
std::vector<std::string> ModelKeys(const std::string& prefix);
Operation RandomOperation(const std::string& prefix, std::mt19937_64* random);

// What the call answers, as text.
std::string Answer(Cluster* cluster, const Operation& operation);

// Copyable.
class KeyspaceModel {
 public:
  explicit KeyspaceModel(uint64_t now_ms) : now_ms_(now_ms) {}

  // The same text that the other Answer gives for a cluster with the same history.
  std::string Answer(const Operation& operation);

  // Value and time to live of `key`, or that it is missing; and the same of a cluster.
  std::string Describe(const std::string& key);
  static std::string Describe(Cluster* cluster, const std::string& key);

  uint64_t now_ms() const { return now_ms_; }
  void set_now_ms(uint64_t now_ms) { now_ms_ = now_ms; }
  // The latest time at which a write was made or a key was seen to have expired: the cluster's
  // clock must not fall behind it, whatever happens.
  uint64_t witnessed_ms() const { return witnessed_ms_; }

 private:
  struct Entry {
    std::string value;
    uint64_t expiry_ms = 0;
  };

  // Null: missing.
  Entry* Find(const std::string& key);
  void Put(const std::string& key, const std::string& value, uint64_t expiry_ms);
  uint64_t After(absl::Duration ttl) const;
  std::string Set(const Operation& operation);
  std::string Increment(const Operation& operation);
  std::string Touch(const Operation& operation);
  std::string Slot(const Operation& operation);

  std::map<std::string, Entry> entries_;
  uint64_t now_ms_;
  uint64_t witnessed_ms_ = 0;
};

}  // namespace slotkv

#endif  // SLOTKV_TESTS_KEYSPACE_MODEL_H_
