#include "tests/keyspace_model.h"

#include <algorithm>
#include <limits>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace slotkv {
namespace {

constexpr size_t kKeysAtMost = 3;  // asked of KeysInSlot

std::string Missing() { return "NOT_FOUND"; }
std::string Failed() { return "FAILED_PRECONDITION"; }

std::string Text(const absl::Status& status) {
  if (status.ok()) return "ok";
  // Of errors nobody expects, all is told.
  if (absl::IsNotFound(status) || absl::IsFailedPrecondition(status) ||
      absl::IsOutOfRange(status)) {
    return absl::StatusCodeToString(status.code());
  }
  return std::string(status.ToString());
}
std::string Text(bool value) { return value ? "true" : "false"; }
std::string Text(const std::string& value) { return absl::StrCat("=", value); }
std::string Text(int64_t value) { return absl::StrCat(value); }
std::string Text(uint64_t value) { return absl::StrCat(value); }
std::string Text(absl::Duration value) { return absl::FormatDuration(value); }
std::string Text(const std::vector<std::string>& values) { return absl::StrJoin(values, ","); }
template <typename T>
std::string Text(const absl::StatusOr<T>& result) {
  return result.ok() ? Text(*result) : Text(result.status());
}

}  // namespace

std::string Operation::ToString() const {
  return absl::StrCat("operation ", static_cast<int>(kind), " key ", key, " value ", value,
                      " expected ", expected, " number ", number, " ttl ",
                      absl::FormatDuration(ttl), " options ", absl::FormatDuration(options.ttl),
                      " ", options.keep_ttl, " ", static_cast<int>(options.condition));
}

std::vector<std::string> ModelKeys(const std::string& prefix) {
  std::vector<std::string> keys;
  for (int tag = 0; tag < 3; ++tag) {
    for (int i = 0; i < 4; ++i) keys.push_back(absl::StrCat("{", prefix, tag, "}", i));
  }
  return keys;
}

Operation RandomOperation(const std::string& prefix, std::mt19937_64* random) {
  const auto below = [&](uint64_t bound) { return (*random)() % bound; };
  const auto duration = [&] { return absl::Milliseconds(static_cast<int64_t>(1 + below(500))); };
  const auto value = [&]() -> std::string {
    switch (below(4)) {
      case 0:
        return absl::StrCat(static_cast<int64_t>(below(200)) - 100);
      case 1:
        return absl::StrCat(std::numeric_limits<int64_t>::max() - static_cast<int64_t>(below(9)));
      case 2:
        return "";
      default:
        return std::string(below(300), static_cast<char>('a' + below(3)));
    }
  };
  Operation operation;
  // Half of all are plain sets and gets.
  operation.kind =
      static_cast<Operation::Kind>(below(2) == 0 ? below(2) : below(Operation::kKinds));
  const std::vector<std::string> keys = ModelKeys(prefix);
  operation.key = keys[below(keys.size())];
  operation.value = value();
  operation.expected = below(2) == 0 ? "" : value();
  operation.number = static_cast<int64_t>(below(20)) - 10;
  if (below(4) != 0) operation.ttl = duration();
  if (operation.kind == Operation::kExpire && below(5) == 0) operation.ttl = absl::ZeroDuration();
  if (below(3) == 0) operation.options.ttl = duration();
  if (operation.options.ttl == absl::InfiniteDuration()) operation.options.keep_ttl = below(3) == 0;
  operation.options.condition = static_cast<SetCondition>(below(2) == 0 ? 0 : below(3));
  return operation;
}

std::string Answer(Cluster* cluster, const Operation& operation) {
  const std::string& key = operation.key;
  switch (operation.kind) {
    case Operation::kSet:
      return Text(cluster->Set(key, operation.value, operation.options));
    case Operation::kGet:
      return Text(cluster->Get(key));
    case Operation::kDelete:
      return Text(cluster->Delete(key));
    case Operation::kExists:
      return Text(cluster->Exists(key));
    case Operation::kIncrement:
      return Text(cluster->Increment(key, operation.number));
    case Operation::kAppend:
      return Text(cluster->Append(key, operation.value));
    case Operation::kCompareAndSet:
      return Text(cluster->CompareAndSet(key, operation.expected, operation.value));
    case Operation::kExpire:
      return Text(cluster->Expire(key, operation.ttl));
    case Operation::kPersist:
      return Text(cluster->Persist(key));
    case Operation::kTimeToLive:
      return Text(cluster->TimeToLive(key));
    case Operation::kGetAndTouch:
      return Text(cluster->GetAndTouch(key, operation.ttl));
    case Operation::kCount:
      return Text(cluster->CountKeysInSlot(SlotForKey(key)));
    case Operation::kKeys:
      return Text(cluster->KeysInSlot(SlotForKey(key), kKeysAtMost));
    case Operation::kKinds:
      break;
  }
  return "";
}

KeyspaceModel::Entry* KeyspaceModel::Find(const std::string& key) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) return nullptr;
  if (it->second.expiry_ms == 0 || it->second.expiry_ms > now_ms_) return &it->second;
  witnessed_ms_ = std::max(witnessed_ms_, now_ms_);
  return nullptr;
}

void KeyspaceModel::Put(const std::string& key, const std::string& value, uint64_t expiry_ms) {
  entries_[key] = Entry{value, expiry_ms};
  witnessed_ms_ = std::max(witnessed_ms_, now_ms_);
}

uint64_t KeyspaceModel::After(absl::Duration ttl) const {
  if (ttl == absl::InfiniteDuration()) return 0;
  return now_ms_ + static_cast<uint64_t>(absl::ToInt64Milliseconds(ttl));
}

std::string KeyspaceModel::Set(const Operation& operation) {
  const SetOptions& options = operation.options;
  Entry* entry = nullptr;
  if (options.condition != SetCondition::kAlways || options.keep_ttl) entry = Find(operation.key);
  if (options.condition == SetCondition::kIfAbsent && entry != nullptr) return Failed();
  if (options.condition == SetCondition::kIfPresent && entry == nullptr) return Failed();
  uint64_t expiry_ms = After(options.ttl);
  if (options.keep_ttl) expiry_ms = entry == nullptr ? 0 : entry->expiry_ms;
  Put(operation.key, operation.value, expiry_ms);
  return "ok";
}

std::string KeyspaceModel::Increment(const Operation& operation) {
  const Entry* const entry = Find(operation.key);
  int64_t number = 0;
  if (entry != nullptr &&
      (!absl::SimpleAtoi(entry->value, &number) || absl::StrCat(number) != entry->value)) {
    return Failed();
  }
  int64_t sum = 0;
  if (__builtin_add_overflow(number, operation.number, &sum)) return "OUT_OF_RANGE";
  Put(operation.key, absl::StrCat(sum), entry == nullptr ? 0 : entry->expiry_ms);
  return Text(sum);
}

// Expire, Persist and GetAndTouch.
std::string KeyspaceModel::Touch(const Operation& operation) {
  const bool reads = operation.kind == Operation::kGetAndTouch;
  Entry* const entry = Find(operation.key);
  if (entry == nullptr) return reads ? Missing() : Text(false);
  const Entry before = *entry;
  if (operation.kind == Operation::kPersist) {
    if (before.expiry_ms != 0) Put(operation.key, before.value, 0);
    return Text(before.expiry_ms != 0);
  }
  if (operation.ttl <= absl::ZeroDuration()) {
    entries_.erase(operation.key);
    witnessed_ms_ = std::max(witnessed_ms_, now_ms_);
  } else if (After(operation.ttl) != before.expiry_ms) {
    Put(operation.key, before.value, After(operation.ttl));
  }
  return reads ? Text(before.value) : Text(true);
}

std::string KeyspaceModel::Slot(const Operation& operation) {
  // Keys of one slot have one tag.
  const std::string tag = operation.key.substr(0, operation.key.find('}') + 1);
  std::vector<std::string> keys;
  uint64_t count = 0;
  std::vector<std::string> in_slot;
  for (auto it = entries_.lower_bound(tag); it != entries_.end(); ++it) {
    if (it->first.substr(0, tag.size()) != tag) break;
    in_slot.push_back(it->first);
  }
  for (const std::string& key : in_slot) {
    const bool full = operation.kind == Operation::kKeys && keys.size() == kKeysAtMost;
    if (full || Find(key) == nullptr) continue;
    ++count;
    keys.push_back(key);
  }
  return operation.kind == Operation::kCount ? Text(count) : Text(keys);
}

std::string KeyspaceModel::Answer(const Operation& operation) {
  const std::string& key = operation.key;
  switch (operation.kind) {
    case Operation::kSet:
      return Set(operation);
    case Operation::kGet: {
      const Entry* const entry = Find(key);
      return entry == nullptr ? Missing() : Text(entry->value);
    }
    case Operation::kDelete: {
      const bool existed = Find(key) != nullptr;
      if (existed) {
        entries_.erase(key);
        witnessed_ms_ = std::max(witnessed_ms_, now_ms_);
      }
      return Text(existed);
    }
    case Operation::kExists:
      return Text(Find(key) != nullptr);
    case Operation::kIncrement:
      return Increment(operation);
    case Operation::kAppend: {
      const Entry* const entry = Find(key);
      const std::string value = (entry == nullptr ? "" : entry->value) + operation.value;
      Put(key, value, entry == nullptr ? 0 : entry->expiry_ms);
      return Text(uint64_t{value.size()});
    }
    case Operation::kCompareAndSet: {
      const Entry* const entry = Find(key);
      if (entry == nullptr || entry->value != operation.expected) return Failed();
      Put(key, operation.value, entry->expiry_ms);
      return "ok";
    }
    case Operation::kExpire:
    case Operation::kPersist:
    case Operation::kGetAndTouch:
      return Touch(operation);
    case Operation::kTimeToLive: {
      const Entry* const entry = Find(key);
      if (entry == nullptr) return Missing();
      if (entry->expiry_ms == 0) return Text(absl::InfiniteDuration());
      return Text(absl::Milliseconds(static_cast<int64_t>(entry->expiry_ms - now_ms_)));
    }
    case Operation::kCount:
    case Operation::kKeys:
      return Slot(operation);
    case Operation::kKinds:
      break;
  }
  return "";
}

std::string KeyspaceModel::Describe(const std::string& key) {
  Operation get, left;
  get.key = left.key = key;
  left.kind = Operation::kTimeToLive;
  return absl::StrCat(Answer(get), " for ", Answer(left));
}

std::string KeyspaceModel::Describe(Cluster* cluster, const std::string& key) {
  return absl::StrCat(Text(cluster->Get(key)), " for ", Text(cluster->TimeToLive(key)));
}

}  // namespace slotkv
