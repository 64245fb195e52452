// A cluster's keyspace as a map: what every call should answer.
#ifndef SLOTKV_TESTS_KEYSPACE_MODEL_H_
#define SLOTKV_TESTS_KEYSPACE_MODEL_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "slotkv/cluster.h"
#include "tests/model_operation.h"

namespace slotkv {

// Copyable.
class KeyspaceModel {
 public:
  explicit KeyspaceModel(uint64_t now_ms) : now_ms_(now_ms) {}

  // The same text that the other Answer gives for a cluster with the same history.
  std::string Answer(const Operation& operation);

  // What it may be while the operation is under way and afterwards, from the first state to the
  // last; of an operation that is not atomic each key may be in any of them.
  std::vector<KeyspaceModel> Stages(const Operation& operation) const;
  // Makes the key what it is there.
  void Adopt(const std::string& key, const KeyspaceModel& from);

  // Value, fields and time to live of `key`, or that it is missing; and the same of a cluster.
  std::string Describe(const std::string& key);
  static std::string Describe(Keyspace* keyspace, const std::string& key);
  // The keys that are there.
  std::vector<std::string> Keys();

  uint64_t now_ms() const { return now_ms_; }
  void set_now_ms(uint64_t now_ms) { now_ms_ = now_ms; }
  // The latest time at which a write was made or a key was seen to have expired: the cluster's
  // clock must not fall behind it, whatever happens.
  uint64_t witnessed_ms() const { return witnessed_ms_; }

 private:
  struct Entry {
    bool is_hash = false;
    std::string value;
    std::map<std::string, std::string> fields;
    uint64_t expiry_ms = 0;
  };

  void Witness();
  // Null: missing.
  Entry* Find(const std::string& key);
  enum class Found { kMissing, kString, kHash };
  Found FindString(const std::string& key, Entry** entry);
  void Put(const std::string& key, const std::string& value, uint64_t expiry_ms);
  void Erase(const std::string& key);
  uint64_t After(absl::Duration ttl) const;
  // The live keys that begin so.
  std::vector<std::string> WithPrefix(const std::string& prefix);

  std::string Set(const std::string& key, const std::string& value, const SetOptions& options);
  std::string Increment(const Operation& operation);
  std::string Extend(const Operation& operation);
  std::string Touch(const Operation& operation);
  std::string Slot(const Operation& operation);
  std::string AnswerMany(const Operation& operation);
  std::string MultiGet(const Operation& operation);
  std::string MultiSet(const Operation& operation);
  std::string Write(const Operation& operation);
  std::string DeletePrefix(const std::string& prefix);
  std::string Scan(const Operation& operation);
  std::string GetOrLoad(const Operation& operation);
  std::string HashSet(const Operation& operation);
  std::string HashRead(const Operation& operation);
  std::string HashDelete(const Operation& operation);

  std::map<std::string, Entry> entries_;
  uint64_t now_ms_;
  uint64_t witnessed_ms_ = 0;
};

}  // namespace slotkv

#endif  // SLOTKV_TESTS_KEYSPACE_MODEL_H_
