#include "tests/keyspace_model.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/answer_text.h"

namespace slotkv {
namespace {

std::string Missing() { return "NOT_FOUND"; }
std::string Failed() { return "FAILED_PRECONDITION"; }

// The keys of which this call counts as a write, be it of nothing.
bool IsWriteOf(const Operation& operation, const std::string& key) {
  switch (operation.kind) {
    case Operation::kMultiSet:
    case Operation::kWrite:
      return std::any_of(operation.writes.begin(), operation.writes.end(),
                         [&](const Operation::KeyWrite& write) { return write.key == key; });
    case Operation::kDeletePrefix:
      return absl::StartsWith(key, operation.key);
    case Operation::kDeleteAll:
      return true;
    case Operation::kGet:
    case Operation::kExists:
    case Operation::kTimeToLive:
    case Operation::kCount:
    case Operation::kKeys:
    case Operation::kMultiGet:
    case Operation::kHashGet:
    case Operation::kHashGetAll:
    case Operation::kScan:
      return false;
    default:
      return operation.key == key;
  }
}

}  // namespace

// ---- What is there ----

void KeyspaceModel::Witness() { witnessed_ms_ = std::max(witnessed_ms_, now_ms_); }

KeyspaceModel::Entry* KeyspaceModel::Find(const std::string& key) {
  const auto it = entries_.find(key);
  if (it == entries_.end()) return nullptr;
  if (it->second.expiry_ms == 0 || it->second.expiry_ms > now_ms_) return &it->second;
  Witness();
  return nullptr;
}

KeyspaceModel::Found KeyspaceModel::FindString(const std::string& key, Entry** entry) {
  *entry = Find(key);
  if (*entry == nullptr) return Found::kMissing;
  return (*entry)->is_hash ? Found::kHash : Found::kString;
}

void KeyspaceModel::Put(const std::string& key, const std::string& value, uint64_t expiry_ms) {
  entries_[key] = Entry{false, value, {}, expiry_ms};
  Witness();
}

void KeyspaceModel::Erase(const std::string& key) {
  entries_.erase(key);
  Witness();
}

uint64_t KeyspaceModel::After(absl::Duration ttl) const {
  if (ttl == absl::InfiniteDuration()) return 0;
  return now_ms_ + static_cast<uint64_t>(absl::ToInt64Milliseconds(ttl));
}

std::vector<std::string> KeyspaceModel::WithPrefix(const std::string& prefix) {
  std::vector<std::string> keys;
  for (auto it = entries_.lower_bound(prefix); it != entries_.end(); ++it) {
    if (!absl::StartsWith(it->first, prefix)) break;
    if (Find(it->first) != nullptr) keys.push_back(it->first);
  }
  return keys;
}

std::vector<std::string> KeyspaceModel::Keys() { return WithPrefix(""); }

void KeyspaceModel::Adopt(const std::string& key, const KeyspaceModel& from) {
  const auto it = from.entries_.find(key);
  if (it == from.entries_.end()) {
    entries_.erase(key);
  } else {
    entries_[key] = it->second;
  }
  witnessed_ms_ = std::max(witnessed_ms_, from.witnessed_ms_);
}

std::vector<KeyspaceModel> KeyspaceModel::Stages(const Operation& operation) const {
  std::vector<KeyspaceModel> stages = {*this};
  if (operation.kind == Operation::kMultiSet) {
    for (const Operation::KeyWrite& write : operation.writes) {
      stages.push_back(stages.back());
      stages.back().Set(write.key, write.value, operation.options);
    }
    return stages;
  }
  if (operation.kind == Operation::kGetOrLoad && operation.meanwhile != nullptr) {
    // Whether it ran at all shows at the end.
    for (KeyspaceModel& stage : Stages(*operation.meanwhile)) stages.push_back(std::move(stage));
  }
  stages.push_back(*this);
  stages.back().Answer(operation);
  return stages;
}

std::string KeyspaceModel::Describe(const std::string& key) {
  Operation get, all, left;
  get.key = all.key = left.key = key;
  all.kind = Operation::kHashGetAll;
  left.kind = Operation::kTimeToLive;
  return absl::StrCat(Answer(get), " ", Answer(all), " for ", Answer(left));
}

std::string KeyspaceModel::Describe(Keyspace* keyspace, const std::string& key) {
  return absl::StrCat(Text(keyspace->Get(key)), " ", Text(keyspace->HashGetAll(key)), " for ",
                      Text(keyspace->TimeToLive(key)));
}

// ---- One key ----

std::string KeyspaceModel::Set(const std::string& key, const std::string& value,
                               const SetOptions& options) {
  Entry* entry = nullptr;
  if (options.condition != SetCondition::kAlways || options.keep_ttl) entry = Find(key);
  if (options.condition == SetCondition::kIfAbsent && entry != nullptr) return Failed();
  if (options.condition == SetCondition::kIfPresent && entry == nullptr) return Failed();
  uint64_t expiry_ms = After(options.ttl);
  if (options.keep_ttl) expiry_ms = entry == nullptr ? 0 : entry->expiry_ms;
  Put(key, value, expiry_ms);
  return "ok";
}

std::string KeyspaceModel::Increment(const Operation& operation) {
  Entry* entry = nullptr;
  int64_t number = 0;
  switch (FindString(operation.key, &entry)) {
    case Found::kMissing:
      break;
    case Found::kHash:
      return Failed();
    case Found::kString:
      if (!absl::SimpleAtoi(entry->value, &number) || absl::StrCat(number) != entry->value) {
        return Failed();
      }
  }
  int64_t sum = 0;
  if (__builtin_add_overflow(number, operation.number, &sum)) return "OUT_OF_RANGE";
  Put(operation.key, absl::StrCat(sum), entry == nullptr ? 0 : entry->expiry_ms);
  return Text(sum);
}

// Append and SetRange.
std::string KeyspaceModel::Extend(const Operation& operation) {
  Entry* entry = nullptr;
  if (FindString(operation.key, &entry) == Found::kHash) return Failed();
  std::string value = entry == nullptr ? "" : entry->value;
  if (operation.kind == Operation::kAppend) {
    value += operation.value;
  } else if (operation.value.empty()) {
    return Text(uint64_t{value.size()});
  } else {
    const auto offset = static_cast<size_t>(operation.number);
    value.resize(std::max(value.size(), offset + operation.value.size()));
    value.replace(offset, operation.value.size(), operation.value);
  }
  const size_t size = value.size();
  Put(operation.key, value, entry == nullptr ? 0 : entry->expiry_ms);
  return Text(uint64_t{size});
}

// Expire, Persist and GetAndTouch.
std::string KeyspaceModel::Touch(const Operation& operation) {
  const bool reads = operation.kind == Operation::kGetAndTouch;
  Entry* const entry = Find(operation.key);
  if (entry == nullptr) return reads ? Missing() : Text(false);
  if (reads && entry->is_hash) return Failed();
  const uint64_t before_ms = entry->expiry_ms;
  const std::string value = entry->value;
  if (operation.kind != Operation::kPersist && operation.ttl <= absl::ZeroDuration()) {
    Erase(operation.key);
  } else {
    entry->expiry_ms = operation.kind == Operation::kPersist ? 0 : After(operation.ttl);
    if (entry->expiry_ms != before_ms) Witness();
  }
  if (operation.kind == Operation::kPersist) return Text(before_ms != 0);
  return reads ? Text(value) : Text(true);
}

std::string KeyspaceModel::Slot(const Operation& operation) {
  // Keys of one slot have one tag.
  const std::string tag = operation.key.substr(0, operation.key.find('}') + 1);
  std::vector<std::string> in_slot;
  for (auto it = entries_.lower_bound(tag);
       it != entries_.end() && absl::StartsWith(it->first, tag); ++it) {
    in_slot.push_back(it->first);
  }
  std::vector<std::string> keys;
  for (const std::string& key : in_slot) {
    if (operation.kind == Operation::kKeys && keys.size() == kModelKeysAtMost) break;
    if (Find(key) != nullptr) keys.push_back(key);
  }
  return operation.kind == Operation::kCount ? Text(uint64_t{keys.size()}) : Text(keys);
}

std::string KeyspaceModel::Answer(const Operation& operation) {
  const std::string& key = operation.key;
  Entry* entry = nullptr;
  switch (operation.kind) {
    case Operation::kSet:
      return Set(key, operation.value, operation.options);
    case Operation::kGet:
      switch (FindString(key, &entry)) {
        case Found::kMissing:
          return Missing();
        case Found::kHash:
          return Failed();
        case Found::kString:
          return Text(entry->value);
      }
      break;
    case Operation::kDelete: {
      const bool existed = Find(key) != nullptr;
      if (existed) Erase(key);
      return Text(existed);
    }
    case Operation::kExists:
      return Text(Find(key) != nullptr);
    case Operation::kIncrement:
      return Increment(operation);
    case Operation::kAppend:
    case Operation::kSetRange:
      return Extend(operation);
    case Operation::kCompareAndSet: {
      if (FindString(key, &entry) != Found::kString) return Failed();
      if (entry->value != operation.expected) return Failed();
      Put(key, operation.value, entry->expiry_ms);
      return "ok";
    }
    case Operation::kExpire:
    case Operation::kPersist:
    case Operation::kGetAndTouch:
      return Touch(operation);
    case Operation::kTimeToLive:
      entry = Find(key);
      if (entry == nullptr) return Missing();
      if (entry->expiry_ms == 0) return Text(absl::InfiniteDuration());
      return Text(absl::Milliseconds(static_cast<int64_t>(entry->expiry_ms - now_ms_)));
    case Operation::kCount:
    case Operation::kKeys:
      return Slot(operation);
    default:
      return AnswerMany(operation);
  }
  return "";
}

// ---- Many keys ----

std::string KeyspaceModel::MultiGet(const Operation& operation) {
  return absl::StrJoin(operation.keys, ",", [this](std::string* out, const std::string& key) {
    Operation get;
    get.key = key;
    *out += Answer(get);
  });
}

std::string KeyspaceModel::MultiSet(const Operation& operation) {
  std::vector<std::string> answers;
  for (const Operation::KeyWrite& write : operation.writes) {
    answers.push_back(Set(write.key, write.value, operation.options));
  }
  return absl::StrJoin(answers, ",");
}

std::string KeyspaceModel::Write(const Operation& operation) {
  std::map<std::string, std::optional<Entry>> before;
  const uint64_t witnessed_ms = witnessed_ms_;
  for (const Operation::KeyWrite& write : operation.writes) {
    const auto it = entries_.find(write.key);
    before.try_emplace(write.key, it == entries_.end() ? std::nullopt : std::optional(it->second));
    if (!write.is_set) {
      Erase(write.key);
    } else if (Set(write.key, write.value, write.options) != "ok") {
      for (auto& [key, entry] : before) {
        if (entry.has_value()) {
          entries_[key] = *std::move(entry);
        } else {
          entries_.erase(key);
        }
      }
      witnessed_ms_ = witnessed_ms;
      return Failed();
    }
  }
  return "ok";
}

std::string KeyspaceModel::DeletePrefix(const std::string& prefix) {
  for (const std::string& key : WithPrefix(prefix)) Erase(key);
  return "ok";
}

std::string KeyspaceModel::Scan(const Operation& operation) {
  std::vector<std::pair<slotkv::Slot, std::string>> keys;
  for (std::string& key : WithPrefix(operation.key)) {
    keys.emplace_back(SlotForKey(key), std::move(key));
  }
  std::sort(keys.begin(), keys.end());
  std::vector<ScanEntry> entries;
  for (const auto& [slot, key] : keys) {
    const Entry& entry = entries_[key];
    entries.push_back({key, entry.is_hash ? KeyType::kHash : KeyType::kString, entry.value});
  }
  return Text(entries);
}

std::string KeyspaceModel::GetOrLoad(const Operation& operation) {
  const std::string& key = operation.key;
  Entry* entry = nullptr;
  switch (FindString(key, &entry)) {
    case Found::kHash:
      return Failed();
    case Found::kString:
      return Text(entry->value);
    case Found::kMissing:
      break;
  }
  std::string text = "loaded ";
  bool overtaken = false;
  if (operation.meanwhile != nullptr) {
    text += Answer(*operation.meanwhile);
    overtaken = IsWriteOf(*operation.meanwhile, key);
  }
  if (operation.fails) return text + "OUT_OF_RANGE";
  switch (FindString(key, &entry)) {
    case Found::kHash:
      return text + Failed();
    case Found::kString:
      return text + Text(entry->value);
    case Found::kMissing:
      break;
  }
  if (!overtaken) Put(key, operation.value, After(operation.ttl));
  return text + Text(operation.value);
}

// ---- Hashes ----

std::string KeyspaceModel::HashSet(const Operation& operation) {
  Entry* entry = Find(operation.key);
  if (entry != nullptr && !entry->is_hash) return Failed();
  if (entry == nullptr) {
    entry = &entries_[operation.key];
    *entry = Entry{true, "", {}, After(operation.ttl)};
  } else if (operation.ttl != absl::InfiniteDuration()) {
    entry->expiry_ms = After(operation.ttl);
  }
  uint64_t added = 0;
  for (const HashField& field : operation.fields) {
    added += entry->fields.insert_or_assign(field.name, field.value).second ? 1 : 0;
  }
  Witness();
  return Text(added);
}

// HashGet and HashGetAll.
std::string KeyspaceModel::HashRead(const Operation& operation) {
  const Entry* const entry = Find(operation.key);
  if (entry == nullptr) return Missing();
  if (!entry->is_hash) return Failed();
  if (operation.kind == Operation::kHashGet) {
    const auto it = entry->fields.find(operation.keys.front());
    return it == entry->fields.end() ? Missing() : Text(it->second);
  }
  std::vector<HashField> fields;
  for (const auto& [name, value] : entry->fields) fields.push_back({name, value});
  return Text(fields);
}

std::string KeyspaceModel::HashDelete(const Operation& operation) {
  Entry* const entry = Find(operation.key);
  if (entry == nullptr) return Text(uint64_t{0});
  if (!entry->is_hash) return Failed();
  uint64_t removed = 0;
  for (const std::string& name : operation.keys) removed += entry->fields.erase(name);
  if (removed != 0) Witness();
  if (entry->fields.empty()) Erase(operation.key);
  return Text(removed);
}

std::string KeyspaceModel::AnswerMany(const Operation& operation) {
  switch (operation.kind) {
    case Operation::kMultiGet:
      return MultiGet(operation);
    case Operation::kMultiSet:
      return MultiSet(operation);
    case Operation::kWrite:
      return Write(operation);
    case Operation::kDeletePrefix:
      return DeletePrefix(operation.key);
    case Operation::kDeleteAll:
      entries_.clear();
      Witness();
      return "ok";
    case Operation::kGetOrLoad:
      return GetOrLoad(operation);
    case Operation::kHashSet:
      return HashSet(operation);
    case Operation::kHashGet:
    case Operation::kHashGetAll:
      return HashRead(operation);
    case Operation::kHashDelete:
      return HashDelete(operation);
    case Operation::kScan:
      return Scan(operation);
    default:
      return "";
  }
}

}  // namespace slotkv
