// What a few keys may hold when some writes have failed, and nobody knows of some what became of
// them.
#ifndef SLOTKV_TESTS_OUTCOME_MODEL_H_
#define SLOTKV_TESTS_OUTCOME_MODEL_H_

#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "slotkv/cluster.h"

namespace slotkv {

// Everything that is written to the keys is written through this. Copying one copies what it knows.
class OutcomeModel {
 public:
  // `random` outlives this.
  OutcomeModel(std::vector<std::string> keys, std::mt19937_64* random)
      : keys_(std::move(keys)), random_(random) {}

  // Sets a key to a new value, or deletes it. An error but one of those that Cluster knows for a
  // disk that fails is a failure of the test.
  void Write(Cluster* cluster);
  // Reads one key, or all of them. What is found must be possible. `may_fail`: it may also be that
  // a key cannot be read.
  void ReadOne(Cluster* cluster, bool may_fail);
  void ReadAll(Cluster* cluster, bool may_fail);
  // From here on the keys hold what they hold now, which must be possible.
  void Learn(Cluster* cluster);

 private:
  void Check(const std::string& key, const absl::StatusOr<std::string>& found, bool may_fail);

  const std::vector<std::string> keys_;
  std::mt19937_64* const random_;
  int version_ = 0;
  // What each key may hold, if it was ever written; "" is nothing.
  std::map<std::string, std::set<std::string>> possible_;
  std::map<std::string, std::string> history_;  // for failures
};

}  // namespace slotkv

#endif  // SLOTKV_TESTS_OUTCOME_MODEL_H_
