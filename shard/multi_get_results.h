// The form of MultiGet that returns its results, by the one that leaves them where it is told.
#ifndef SLOTKV_SHARD_MULTI_GET_RESULTS_H_
#define SLOTKV_SHARD_MULTI_GET_RESULTS_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace slotkv {

// What `get` leaves for so many keys: each one's value if its status is ok, else the status.
inline std::vector<absl::StatusOr<std::string>> MultiGetResults(
    size_t keys, absl::FunctionRef<void(absl::Span<std::string>, absl::Span<absl::Status>)> get) {
  std::vector<std::string> values(keys);
  std::vector<absl::Status> statuses(keys);
  get(absl::MakeSpan(values), absl::MakeSpan(statuses));
  std::vector<absl::StatusOr<std::string>> results;
  results.reserve(keys);
  for (size_t i = 0; i < keys; ++i) {
    if (statuses[i].ok()) {
      results.emplace_back(std::move(values[i]));
    } else {
      results.emplace_back(std::move(statuses[i]));
    }
  }
  return results;
}

}  // namespace slotkv

#endif  // SLOTKV_SHARD_MULTI_GET_RESULTS_H_
