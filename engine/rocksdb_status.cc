#include "engine/rocksdb_status.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "engine/text.h"

namespace slotkv {

absl::Status FromRocksDb(const rocksdb::Status& status, std::string_view context) {
  if (status.ok()) return absl::OkStatus();
  const std::string text = absl::StrCat(ToAbsl(context), ": ", status.ToString());
  if (status.IsNotFound() || status.IsPathNotFound()) return absl::NotFoundError(text);
  // Incomplete: a write that was not to wait for one that stalls.
  if (status.IsNoSpace() || status.IsIncomplete()) return absl::ResourceExhaustedError(text);
  if (status.IsCorruption()) return absl::DataLossError(text);
  if (status.IsInvalidArgument()) return absl::InvalidArgumentError(text);
  return absl::UnavailableError(text);
}

absl::Status StoreStatus(const rocksdb::Status& status, std::string_view directory) {
  absl::Status result = FromRocksDb(status, directory);
  return absl::IsNotFound(result) ? absl::DataLossError(result.message()) : result;
}

rocksdb::IOStatus ToIoStatus(const absl::Status& status) {
  if (status.ok()) return rocksdb::IOStatus::OK();
  const std::string text(status.message().data(), status.message().size());
  if (absl::IsResourceExhausted(status)) return rocksdb::IOStatus::NoSpace(text);
  if (absl::IsNotFound(status)) return rocksdb::IOStatus::PathNotFound(text);
  if (absl::IsDataLoss(status)) return rocksdb::IOStatus::Corruption(text);
  return rocksdb::IOStatus::IOError(text);
}

}  // namespace slotkv
