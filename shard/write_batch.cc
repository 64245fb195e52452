#include "slotkv/write_batch.h"

namespace slotkv {

void WriteBatch::Set(std::string_view key, std::string_view value, const SetOptions& options) {
  operations_.push_back({true, bytes_.size(), key.size(), value.size(), options});
  bytes_.append(key.data(), key.size());
  bytes_.append(value.data(), value.size());
}

void WriteBatch::Delete(std::string_view key) {
  operations_.push_back({false, bytes_.size(), key.size(), 0, SetOptions()});
  bytes_.append(key.data(), key.size());
}

void WriteBatch::Clear() {
  bytes_.clear();
  operations_.clear();
}

size_t WriteBatch::ByteSize() const { return bytes_.size() + 32 * operations_.size(); }

}  // namespace slotkv
