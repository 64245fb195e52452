// What a call answers, as text: of a cluster and of a model alike.
#ifndef SLOTKV_TESTS_ANSWER_TEXT_H_
#define SLOTKV_TESTS_ANSWER_TEXT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "slotkv/keyspace.h"

namespace slotkv {

inline std::string Text(const absl::Status& status) {
  if (status.ok()) return "ok";
  // Of errors nobody expects, all is told.
  if (absl::IsNotFound(status) || absl::IsFailedPrecondition(status) ||
      absl::IsOutOfRange(status)) {
    return absl::StatusCodeToString(status.code());
  }
  return std::string(status.ToString());
}
inline std::string Text(bool value) { return value ? "true" : "false"; }
inline std::string Text(const std::string& value) { return absl::StrCat("=", value); }
inline std::string Text(int64_t value) { return absl::StrCat(value); }
inline std::string Text(uint64_t value) { return absl::StrCat(value); }
inline std::string Text(absl::Duration value) { return absl::FormatDuration(value); }
inline std::string Text(const HashField& field) {
  return absl::StrCat(field.name, ":", field.value);
}
inline std::string Text(const ScanEntry& entry) {
  return absl::StrCat(entry.key, entry.type == KeyType::kHash ? " hash " : " string ", entry.value);
}
template <typename T>
std::string Text(const absl::StatusOr<T>& result);
template <typename T>
std::string Text(const std::vector<T>& values) {
  return absl::StrJoin(values, ",", [](std::string* out, const T& value) { *out += Text(value); });
}
template <typename T>
std::string Text(const absl::StatusOr<T>& result) {
  return result.ok() ? Text(*result) : Text(result.status());
}

}  // namespace slotkv

#endif  // SLOTKV_TESTS_ANSWER_TEXT_H_
