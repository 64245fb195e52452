#include "tests/model_operation.h"

#include <iterator>
#include <limits>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/answer_text.h"

namespace slotkv {
namespace {

std::vector<std::string_view> Views(const std::vector<std::string>& texts) {
  return {texts.begin(), texts.end()};
}

// Makes up what a call needs.
class Maker {
 public:
  Maker(const ModelKeys& keys, std::mt19937_64* random) : keys_(keys), random_(random) {}

  uint64_t Below(uint64_t bound) { return (*random_)() % bound; }
  bool OneIn(uint64_t n) { return Below(n) == 0; }

  const std::string& Tag() { return keys_.tags[Below(keys_.tags.size())]; }
  std::string KeyOf(const std::string& tag) {
    return absl::StrCat(tag, Below(static_cast<uint64_t>(keys_.keys_per_tag)));
  }
  std::string Key() { return KeyOf(Tag()); }

  std::string Value() {
    switch (Below(4)) {
      case 0:
        return absl::StrCat(static_cast<int64_t>(Below(200)) - 100);
      case 1:
        return absl::StrCat(std::numeric_limits<int64_t>::max() - static_cast<int64_t>(Below(9)));
      case 2:
        return "";
      default:
        return std::string(Below(300), static_cast<char>('a' + Below(3)));
    }
  }
  std::string FieldName() { return std::string(Below(3), static_cast<char>('f' + Below(3))); }
  absl::Duration Ttl() {
    const auto steps = static_cast<uint64_t>(keys_.max_ttl / keys_.ttl_step);
    return keys_.ttl_step * static_cast<int64_t>(1 + Below(steps));
  }
  SetOptions Options() {
    SetOptions options;
    if (OneIn(3)) {
      options.ttl = Ttl();
    } else {
      options.keep_ttl = OneIn(3);
    }
    options.condition = static_cast<SetCondition>(OneIn(2) ? 0 : Below(3));
    return options;
  }

  // Of one slot, if a tag is given.
  std::vector<Operation::KeyWrite> Writes(const std::string& tag, bool deletes, bool conditions) {
    std::vector<Operation::KeyWrite> writes;
    for (uint64_t i = Below(7); i > 0; --i) {
      Operation::KeyWrite& write = writes.emplace_back();
      write.is_set = !deletes || !OneIn(3);
      write.key = tag.empty() ? Key() : KeyOf(tag);
      if (!write.is_set) continue;
      write.value = Value();
      write.options = Options();
      // One that fails fails them all, and there are many.
      if (!conditions || !OneIn(3)) write.options.condition = SetCondition::kAlways;
    }
    return writes;
  }

  // Something that counts as a write of `key`, or has nothing to do with it.
  Operation Meanwhile(const std::string& key) {
    static constexpr Operation::Kind kKinds[] = {
        Operation::kSet,         Operation::kDelete,    Operation::kIncrement,
        Operation::kAppend,      Operation::kExpire,    Operation::kPersist,
        Operation::kGetAndTouch, Operation::kHashSet,   Operation::kHashDelete,
        Operation::kMultiSet,    Operation::kWrite,     Operation::kDeletePrefix,
        Operation::kGet,         Operation::kGetOrLoad, Operation::kMultiGet};
    Operation operation = OfKind(kKinds[Below(std::size(kKinds))]);
    operation.options.condition = SetCondition::kAlways;
    for (Operation::KeyWrite& write : operation.writes) {
      write.options.condition = SetCondition::kAlways;
    }
    operation.meanwhile = nullptr;
    if (operation.kind == Operation::kGetOrLoad) {
      // For its own key it would wait for itself.
      if (operation.key == key) operation.kind = Operation::kGet;
    } else if (operation.kind == Operation::kDeletePrefix) {
      operation.key = OneIn(2) ? key : key.substr(0, key.find('}') + 1);
    } else if (OneIn(2)) {
      operation.key = key;
    }
    return operation;
  }

  Operation OfKind(Operation::Kind kind) {
    Operation operation;
    operation.kind = kind;
    operation.key = Key();
    operation.value = Value();
    operation.expected = OneIn(2) ? "" : Value();
    operation.number = static_cast<int64_t>(Below(20)) - 10;
    if (!OneIn(4)) operation.ttl = Ttl();
    if (kind == Operation::kExpire && OneIn(5)) operation.ttl = absl::ZeroDuration();
    operation.options = Options();
    switch (kind) {
      case Operation::kSetRange:
        operation.number = static_cast<int64_t>(Below(400));
        break;
      case Operation::kMultiGet:
        for (uint64_t i = Below(12); i > 0; --i) operation.keys.push_back(Key());
        break;
      case Operation::kMultiSet:
        operation.writes = Writes("", /*deletes=*/false, /*conditions=*/false);
        break;
      case Operation::kWrite:
        operation.writes = Writes(Tag(), /*deletes=*/true, /*conditions=*/true);
        break;
      case Operation::kHashSet:
        do {
          operation.fields.push_back({FieldName(), Value()});
        } while (!OneIn(3));
        break;
      case Operation::kHashGet:
        operation.keys = {FieldName()};
        break;
      case Operation::kHashDelete:
        while (!OneIn(3)) operation.keys.push_back(FieldName());
        break;
      case Operation::kDeletePrefix:
      case Operation::kScan:
        operation.key = Prefix();
        operation.number = static_cast<int64_t>(1 + Below(10));
        break;
      case Operation::kGetOrLoad:
        operation.fails = OneIn(5);
        if (OneIn(2)) {
          operation.meanwhile = std::make_shared<const Operation>(Meanwhile(operation.key));
        }
        break;
      case Operation::kDeleteAll:
        if (!keys_.alone) operation.kind = Operation::kGet;
        break;
      default:
        break;
    }
    return operation;
  }

 private:
  // Of one slot mostly: for others all slots are looked at.
  std::string Prefix() {
    if (OneIn(3)) return Key();
    if (!OneIn(keys_.whole_prefix_one_in)) return Tag();
    if (keys_.alone && OneIn(2)) return "";
    return keys_.prefix;
  }

  const ModelKeys& keys_;
  std::mt19937_64* const random_;
};

// All pages.
absl::StatusOr<std::vector<ScanEntry>> ScanAll(Keyspace* keyspace, const Operation& operation) {
  std::vector<ScanEntry> entries;
  ScanOptions options;
  options.prefix = operation.key;
  options.values = true;
  options.limit = static_cast<size_t>(operation.number);
  do {
    absl::StatusOr<ScanPage> page = keyspace->Scan(options);
    if (!page.ok()) return page.status();
    for (ScanEntry& entry : page->entries) entries.push_back(std::move(entry));
    options.cursor = page->cursor;
  } while (!options.cursor.empty());
  return entries;
}

absl::Status WriteAll(Keyspace* keyspace, const std::vector<Operation::KeyWrite>& writes) {
  WriteBatch batch;
  for (const Operation::KeyWrite& write : writes) {
    if (write.is_set) {
      batch.Set(write.key, write.value, write.options);
    } else {
      batch.Delete(write.key);
    }
  }
  return keyspace->Write(batch);
}

// The calls on many keys, on hashes, and what loads.
std::string AnswerMany(Keyspace* keyspace, const Operation& operation) {
  const std::string& key = operation.key;
  switch (operation.kind) {
    case Operation::kMultiGet:
      return Text(keyspace->MultiGet(Views(operation.keys)));
    case Operation::kMultiSet: {
      std::vector<KeyValue> entries;
      for (const Operation::KeyWrite& write : operation.writes) {
        entries.push_back({write.key, write.value});
      }
      return Text(keyspace->MultiSet(entries, operation.options));
    }
    case Operation::kWrite:
      return Text(WriteAll(keyspace, operation.writes));
    case Operation::kDeletePrefix:
      return Text(keyspace->DeletePrefix(key));
    case Operation::kDeleteAll:
      return Text(keyspace->DeleteAll());
    case Operation::kGetOrLoad: {
      LoadOptions options;
      options.ttl = operation.ttl;
      std::string meanwhile;
      const auto result = keyspace->GetOrLoad(
          key,
          [&](std::string_view) -> absl::StatusOr<std::string> {
            meanwhile = "loaded ";
            if (operation.meanwhile != nullptr) meanwhile += Answer(keyspace, *operation.meanwhile);
            if (operation.fails) return absl::OutOfRangeError("of the loader");
            return operation.value;
          },
          options);
      return absl::StrCat(meanwhile, Text(result));
    }
    case Operation::kHashSet: {
      std::vector<Field> fields;
      for (const HashField& field : operation.fields) fields.push_back({field.name, field.value});
      HashSetOptions options;
      options.ttl = operation.ttl;
      return Text(keyspace->HashSet(key, fields, options));
    }
    case Operation::kHashGet:
      return Text(keyspace->HashGet(key, operation.keys.front()));
    case Operation::kHashGetAll:
      return Text(keyspace->HashGetAll(key));
    case Operation::kHashDelete:
      return Text(keyspace->HashDelete(key, Views(operation.keys)));
    case Operation::kScan:
      return Text(ScanAll(keyspace, operation));
    default:
      return "";
  }
}

std::string ToText(const SetOptions& options) {
  return absl::StrCat(absl::FormatDuration(options.ttl), options.keep_ttl ? " keep " : " ",
                      static_cast<int>(options.condition));
}

}  // namespace

std::vector<std::string> ModelKeys::All() const {
  std::vector<std::string> keys;
  for (const std::string& tag : tags) {
    for (int i = 0; i < keys_per_tag; ++i) keys.push_back(absl::StrCat(tag, i));
  }
  return keys;
}

ModelKeys MakeModelKeys(const std::string& name, int tags, std::set<Slot>* taken) {
  ModelKeys keys;
  keys.prefix = absl::StrCat("{", name, ".");
  for (int i = 0; static_cast<int>(keys.tags.size()) < tags; ++i) {
    const std::string tag = absl::StrCat(keys.prefix, i, "}");
    if (taken->insert(SlotForKey(tag)).second) keys.tags.push_back(tag);
  }
  return keys;
}

bool Operation::IsAtomic() const {
  return kind != kMultiSet && kind != kDeletePrefix && kind != kDeleteAll &&
         (kind != kGetOrLoad || meanwhile == nullptr);
}

std::string Operation::ToString() const {
  std::string text = absl::StrCat(
      "operation ", static_cast<int>(kind), " key ", key, " value ", value, " expected ", expected,
      " number ", number, " ttl ", absl::FormatDuration(ttl), " options ", ToText(options),
      fails ? " fails" : "", " keys ", Text(keys), " fields ", Text(fields), " writes");
  for (const KeyWrite& write : writes) {
    absl::StrAppend(
        &text, " ", write.key,
        write.is_set ? absl::StrCat("=", write.value, " ", ToText(write.options)) : " deleted");
  }
  if (meanwhile != nullptr) absl::StrAppend(&text, " meanwhile (", meanwhile->ToString(), ")");
  return text;
}

Operation RandomOperation(const ModelKeys& keys, std::mt19937_64* random) {
  Maker maker(keys, random);
  // A third of all are plain sets and gets.
  const uint64_t kind = maker.OneIn(3) ? maker.Below(2) : maker.Below(Operation::kKinds);
  return maker.OfKind(static_cast<Operation::Kind>(kind));
}

std::string Answer(Keyspace* keyspace, const Operation& operation) {
  const std::string& key = operation.key;
  switch (operation.kind) {
    case Operation::kSet:
      return Text(keyspace->Set(key, operation.value, operation.options));
    case Operation::kGet:
      return Text(keyspace->Get(key));
    case Operation::kDelete:
      return Text(keyspace->Delete(key));
    case Operation::kExists:
      return Text(keyspace->Exists(key));
    case Operation::kIncrement:
      return Text(keyspace->Increment(key, operation.number));
    case Operation::kAppend:
      return Text(keyspace->Append(key, operation.value));
    case Operation::kSetRange:
      return Text(
          keyspace->SetRange(key, static_cast<uint64_t>(operation.number), operation.value));
    case Operation::kCompareAndSet:
      return Text(keyspace->CompareAndSet(key, operation.expected, operation.value));
    case Operation::kExpire:
      return Text(keyspace->Expire(key, operation.ttl));
    case Operation::kPersist:
      return Text(keyspace->Persist(key));
    case Operation::kTimeToLive:
      return Text(keyspace->TimeToLive(key));
    case Operation::kGetAndTouch:
      return Text(keyspace->GetAndTouch(key, operation.ttl));
    case Operation::kCount:
      return Text(keyspace->CountKeysInSlot(SlotForKey(key)));
    case Operation::kKeys:
      return Text(keyspace->KeysInSlot(SlotForKey(key), kModelKeysAtMost));
    default:
      return AnswerMany(keyspace, operation);
  }
}

}  // namespace slotkv
