// The calls on many keys.
#include <algorithm>
#include <deque>
#include <utility>

#include "absl/container/fixed_array.h"
#include "absl/strings/str_cat.h"
#include "engine/check.h"
#include "engine/store_format.h"
#include "shard/batch_mutations.h"
#include "shard/checks.h"
#include "shard/keyspace_calls.h"
#include "shard/multi_get_results.h"
#include "slotkv/keyspace.h"

namespace slotkv {
namespace {

constexpr Slot kLastSlot = kSlotCount - 1;

// The bounds of one step of DeletePrefix and DeleteAll.
constexpr size_t kMaxStepKeys = 1000;
constexpr size_t kMaxStepBytes = size_t{256} << 10;
constexpr size_t kMaxStepSlots = 128;

// Of one page of a scan.
constexpr size_t kMaxPageBytes = size_t{8} << 20;
// Room for so many entries is made before they are found.
constexpr size_t kMaxReservedEntries = 1024;

// A cursor is this byte, the slot (2 bytes big-endian) and the last key that was seen.
constexpr char kCursorVersion = 1;

std::string EncodeCursor(Slot slot, std::string_view key) {
  std::string cursor(1, kCursorVersion);
  AppendSlot(slot, &cursor);
  return cursor.append(key.data(), key.size());
}

// The slots that can hold a key that begins with `prefix`: one, if it has a whole hash tag.
SlotRange SlotsOf(std::string_view prefix) {
  if (HashTag(prefix).size() == prefix.size()) return {0, kLastSlot};
  const Slot slot = SlotForKey(prefix);
  return {slot, slot};
}

// All keys with this prefix that the caller is not barred from are being deleted.
void NoteWrites(ClusterImpl* impl, OnlyShard only, std::string_view prefix) {
  impl->loads()->NoteWrites([&](std::string_view key) {
    return key.substr(0, prefix.size()) == prefix &&
           impl->router().CheckServed(only, SlotForKey(key)).ok();
  });
}

bool OfOneSlot(absl::Span<const std::string_view> keys) {
  return std::all_of(keys.begin(), keys.end(), [&](std::string_view key) {
    return SlotForKey(key) == SlotForKey(keys.front());
  });
}

}  // namespace

// ---- MultiGet and MultiSet ----

void Keyspace::MultiGet(absl::Span<const std::string_view> keys, absl::Span<std::string> values,
                        absl::Span<absl::Status> statuses) {
  SLOTKV_CHECK(keys.size() == values.size() && keys.size() == statuses.size());
  const CallGate::Pass pass(impl_->gate());
  if (!pass.open()) {
    std::fill(statuses.begin(), statuses.end(), Closed());
    return;
  }
  // A server's client sends its keys slot by slot.
  if (only_.has_value() && !OfOneSlot(keys)) {
    std::fill(statuses.begin(), statuses.end(), CrossSlot());
    return;
  }
  absl::FixedArray<Router::KeyRead, 64> reads(keys.size());
  absl::FixedArray<Slot, 64> slots(keys.size());
  SlotsForKeys(keys, absl::MakeSpan(slots));
  size_t count = 0;
  absl::FixedArray<size_t, 64> indexes(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    statuses[i] = CheckKey(keys[i]);
    if (!statuses[i].ok()) continue;
    Router::KeyRead& read = reads[count];
    read.slot = slots[i];
    read.key = keys[i];
    read.payload = &values[i];
    indexes[count++] = i;
  }
  impl_->router().ReadMany(only_, absl::MakeSpan(reads.data(), count));
  for (size_t i = 0; i < count; ++i) {
    absl::Status& status = statuses[indexes[i]];
    status = std::move(reads[i].status);
    if (status.ok() && reads[i].header.type != ValueType::kString) {
      values[indexes[i]].clear();
      status = WrongType();
    }
  }
}

std::vector<absl::StatusOr<std::string>> Keyspace::MultiGet(
    absl::Span<const std::string_view> keys) {
  return MultiGetResults(keys.size(),
                         [&](absl::Span<std::string> values, absl::Span<absl::Status> statuses) {
                           MultiGet(keys, values, statuses);
                         });
}

std::vector<absl::Status> Keyspace::MultiSet(absl::Span<const KeyValue> entries,
                                             const SetOptions& options) {
  std::vector<absl::Status> statuses(entries.size());
  const CallGate::Pass pass(impl_->gate());
  absl::Status common = pass.open() ? CheckSetOptions(options) : Closed();
  if (only_.has_value() && common.ok()) {
    const bool one_slot = std::all_of(entries.begin(), entries.end(), [&](const KeyValue& entry) {
      return SlotForKey(entry.key) == SlotForKey(entries.front().key);
    });
    if (!one_slot) common = CrossSlot();
  }
  if (!common.ok()) {
    std::fill(statuses.begin(), statuses.end(), common);
    return statuses;
  }
  SetOptions applied = options;
  if (applied.ttl == absl::InfiniteDuration()) applied.ttl = impl_->options().default_ttl;
  std::deque<SetMutation> mutations;
  std::vector<Router::SlotWrite> writes;
  std::vector<size_t> indexes;
  for (size_t i = 0; i < entries.size(); ++i) {
    statuses[i] = CheckKey(entries[i].key);
    if (statuses[i].ok()) statuses[i] = CheckValue(entries[i].value);
    if (!statuses[i].ok()) continue;
    const KeyTarget target = Target(impl_.get(), entries[i].key);
    mutations.emplace_back(target, entries[i].value, applied);
    writes.push_back({target.slot, &mutations.back(), absl::OkStatus(), SlotWord()});
    indexes.push_back(i);
  }
  impl_->router().WriteMany(only_, absl::MakeSpan(writes));
  for (size_t i = 0; i < writes.size(); ++i) statuses[indexes[i]] = std::move(writes[i].status);
  return statuses;
}

// ---- Batches ----

absl::Status Keyspace::Write(const WriteBatch& batch) {
  if (absl::Status status = BatchMutation::Validate(batch); !status.ok()) return status;
  const CallGate::Pass pass(impl_->gate());
  if (!pass.open()) return Closed();
  if (batch.empty()) return absl::OkStatus();
  BatchMutation mutation(&batch, impl_->options().default_ttl, impl_->loads());
  return impl_->router().Write(only_, mutation.slot(), &mutation);
}

// ---- Deleting many ----

absl::Status Keyspace::DeletePrefix(std::string_view prefix) {
  if (prefix.empty()) return DeleteAll();
  if (absl::Status status = CheckKey(prefix); !status.ok()) return status;
  const CallGate::Pass pass(impl_->gate());
  if (!pass.open()) return Closed();
  const SlotRange range = SlotsOf(prefix);
  if (range.first == range.last) {
    absl::Status status = impl_->router().CheckServed(only_, range.first);
    if (!status.ok()) return status;
  }
  // What loads under way are about to store, and what they have had evaluated, goes as well.
  NoteWrites(impl_.get(), only_, prefix);
  if (absl::Status status = impl_->router().Barrier(only_, range); !status.ok()) return status;
  Slot first = range.first;
  std::string from;
  for (bool more = true; more;) {
    std::deque<std::pair<Slot, std::vector<std::string>>> found;
    size_t keys = 0, bytes = 0;
    more = false;
    absl::Status status = impl_->router().VisitKeys(
        only_, first, from, range.last, prefix,
        [&](Slot slot, std::string_view key, const ValueHeader&, std::string_view) {
          if (found.empty() || found.back().first != slot) found.emplace_back().first = slot;
          found.back().second.emplace_back(key);
          bytes += key.size();
          more = ++keys >= kMaxStepKeys || bytes >= kMaxStepBytes || found.size() > kMaxStepSlots;
          return more ? Router::Visit::kEnd : Router::Visit::kNextKey;
        },
        [&](Slot slot) {
          if (!found.empty() && found.back().first == slot) found.pop_back();
          more = false;
        });
    if (!status.ok()) return status;
    if (found.empty()) break;
    first = found.back().first;
    from = found.back().second.back() + '\0';
    std::deque<DeleteKeysMutation> mutations;
    std::vector<Router::SlotWrite> writes;
    for (const auto& [slot, slot_keys] : found) {
      mutations.emplace_back(slot, &slot_keys);
      writes.push_back({slot, &mutations.back(), absl::OkStatus(), SlotWord()});
    }
    impl_->router().WriteMany(only_, absl::MakeSpan(writes));
    for (Router::SlotWrite& write : writes) {
      if (!write.status.ok()) return std::move(write.status);
    }
  }
  return absl::OkStatus();
}

absl::Status Keyspace::DeleteAll() {
  const CallGate::Pass pass(impl_->gate());
  if (!pass.open()) return Closed();
  // What loads under way have had evaluated comes before the clears.
  NoteWrites(impl_.get(), only_, /*prefix=*/"");
  return impl_->router().ClearSlots(only_);
}

// ---- Scans ----

absl::StatusOr<ScanPage> Keyspace::Scan(const ScanOptions& options) {
  if (options.limit < 1 || options.limit > kMaxScanLimit) {
    return absl::InvalidArgumentError(
        absl::StrCat("ScanOptions.limit is ", options.limit, ", must be 1 to ", kMaxScanLimit));
  }
  if (absl::Status status = CheckKey(options.prefix); !status.ok()) return status;
  SlotRange range = SlotsOf(options.prefix);
  std::string from;
  if (!options.cursor.empty()) {
    const std::string& cursor = options.cursor;
    const size_t key_offset = 1 + kSlotBytes;
    if (cursor[0] != kCursorVersion || cursor.size() < key_offset ||
        SlotOf(std::string_view(cursor).substr(1)) >= kSlotCount ||
        cursor.size() - key_offset > kMaxKeyBytes) {
      return absl::InvalidArgumentError("ScanOptions.cursor is not one that Scan has given");
    }
    range.first = SlotOf(std::string_view(cursor).substr(1));
    from = cursor.substr(key_offset) + '\0';
  }
  const CallGate::Pass pass(impl_->gate());
  if (!pass.open()) return Closed();
  ScanPage page;
  page.entries.reserve(std::min(options.limit, kMaxReservedEntries));
  // Of the entries from `slot_begin` on.
  Slot slot = range.first;
  size_t slot_begin = 0, bytes = 0;
  bool full = false;
  const auto visit = [&](Slot at, std::string_view key, const ValueHeader& header,
                         std::string_view payload) {
    if (at != slot) {
      slot = at;
      slot_begin = page.entries.size();
    }
    ScanEntry& entry = page.entries.emplace_back();
    entry.key.assign(key.data(), key.size());
    entry.type = header.type == ValueType::kHash ? KeyType::kHash : KeyType::kString;
    if (options.values && entry.type == KeyType::kString) {
      entry.value.assign(payload.data(), payload.size());
    }
    bytes += key.size() + entry.value.size();
    full = page.entries.size() == options.limit || bytes > kMaxPageBytes;
    return full ? Router::Visit::kEnd : Router::Visit::kNextKey;
  };
  const auto undo = [&](Slot at) {
    if (at == slot) page.entries.resize(slot_begin);
    full = false;
  };
  if (range.first <= range.last) {
    absl::Status status = impl_->router().VisitKeys(only_, range.first, from, range.last,
                                                    options.prefix, visit, undo);
    // What was read before a shard that cannot be is not lost: the next page begins at the gap.
    if (!status.ok() && page.entries.empty()) return status;
    full = full || !status.ok();
  }
  if (full) page.cursor = EncodeCursor(slot, page.entries.back().key);
  return page;
}

namespace {

// Calls `visit(key)` for the live keys of a slot until it returns false; `restart()` says that what
// was seen so far does not count.
absl::Status VisitSlot(ClusterImpl* impl, OnlyShard only, Slot slot,
                       absl::FunctionRef<bool(std::string_view)> visit,
                       absl::FunctionRef<void()> restart) {
  if (slot >= kSlotCount) {
    return absl::InvalidArgumentError(absl::StrCat("slot ", slot, " is not below ", kSlotCount));
  }
  const CallGate::Pass pass(impl->gate());
  if (!pass.open()) return Closed();
  if (absl::Status status = impl->router().CheckServed(only, slot); !status.ok()) return status;
  return impl->router().VisitKeys(
      only, slot, "", slot, "",
      [&](Slot, std::string_view key, const ValueHeader&, std::string_view) {
        return visit(key) ? Router::Visit::kNextKey : Router::Visit::kEnd;
      },
      [&](Slot) { restart(); });
}

}  // namespace

absl::StatusOr<uint64_t> Keyspace::CountKeysInSlot(Slot slot) {
  uint64_t count = 0;
  absl::Status status = VisitSlot(
      impl_.get(), only_, slot,
      [&](std::string_view) {
        ++count;
        return true;
      },
      [&] { count = 0; });
  if (!status.ok()) return status;
  return count;
}

absl::StatusOr<std::vector<std::string>> Keyspace::KeysInSlot(Slot slot, size_t limit) {
  std::vector<std::string> keys;
  absl::Status status = VisitSlot(
      impl_.get(), only_, slot,
      [&](std::string_view key) {
        if (keys.size() < limit) keys.emplace_back(key);
        return keys.size() < limit;
      },
      [&] { keys.clear(); });
  if (!status.ok()) return status;
  return keys;
}

}  // namespace slotkv
