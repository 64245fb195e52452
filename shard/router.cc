#include "shard/router.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/check.h"
#include "engine/text.h"
#include "shard/batch_mutations.h"
#include "slotkv/redirect.h"

namespace slotkv {
namespace {

// What is brought to a group at a time, so that other writers are not held up for long.
constexpr size_t kMaxWritesAtOnce = Group::kMaxWrites;
constexpr size_t kMaxBytesAtOnce = Group::kMaxGroupBytes;

// Slots that one reader of a store visits.
constexpr size_t kMaxSlotsInRun = 256;

// The guard of what concerns no slot in particular.
const std::atomic<uint64_t> kUnguarded{0};

void Add(std::atomic<uint64_t>* counter, uint64_t n) {
  counter->fetch_add(n, std::memory_order_relaxed);
}

// An item, or what a pointer to one points to.
template <typename Item>
Item& Deref(Item& item) {
  return item;
}
template <typename Item>
Item& Deref(Item* item) {
  return *item;
}

}  // namespace

void Router::AddShard(ShardId shard, Group* group, const absl::Status& why_not) {
  if (shards_.size() <= shard.value()) shards_.resize(shard.value() + 1);
  auto served = std::make_unique<Served>();
  served->id = shard;
  shards_[shard.value()] = std::move(served);
  SetGroup(shard, group, why_not);
}

void Router::SetGroup(ShardId shard, Group* group, const absl::Status& why_not) {
  Served* const served = shards_[shard.value()].get();
  {
    absl::MutexLock lock(&served->mu);
    served->why_not = why_not;
  }
  served->group.store(group, std::memory_order_seq_cst);
}

absl::Status Router::NotServed(Served* shard, Slot slot) {
  absl::MutexLock lock(&shard->mu);
  return absl::UnavailableError(absl::StrCat("slot ", slot, ": ", shard->id.ToString(),
                                             " is not served: ", shard->why_not.message()));
}

Group* Router::group(ShardId shard) const {
  return shard.value() < shards_.size() && shards_[shard.value()] != nullptr
             ? shards_[shard.value()]->group.load(std::memory_order_acquire)
             : nullptr;
}

absl::StatusOr<Router::Served*> Router::Find(OnlyShard only, Slot slot, SlotWord word) const {
  if (only.has_value() && *only != word.shard()) {
    return RedirectStatus({Redirect::kMoved, slot, word.shard()});
  }
  Served* const shard = shards_[word.shard().value()].get();
  if (shard->group.load(std::memory_order_acquire) != nullptr) return shard;
  return NotServed(shard, slot);
}

absl::Status Router::CheckServed(OnlyShard only, Slot slot) const {
  return Find(only, slot, slots_.Load(slot)).status();
}

// ---- Writes ----

void Router::CountWrite(Served* shard, Slot slot, const GroupWrite& write, uint64_t latency_ns) {
  if (!write.status.ok() || write.effect_bytes == 0) return;
  const size_t keys = write.mutation->KeyCount();
  shard->counters.NoteWrite(keys, write.effect_bytes, latency_ns);
  Add(&slot_counters_[slot].writes, keys);
}

absl::Status Router::Write(OnlyShard only, Slot slot, Mutation* mutation) {
  const LatencyTimer timer;
  while (true) {
    const SlotWord word = slots_.Load(slot);
    const absl::StatusOr<Served*> shard = Find(only, slot, word);
    if (!shard.ok()) return shard.status();
    Group* const group = (*shard)->group.load(std::memory_order_acquire);
    if (group == nullptr) return NotServed(*shard, slot);
    GroupWrite write;
    write.mutation = mutation;
    write.guard = {slots_.word(slot), word.bits()};
    group->WriteMany(absl::MakeSpan(&write, 1));
    // Aborted: the slot's word changed on the way; it says now where to go.
    if (absl::IsAborted(write.status)) continue;
    CountWrite(*shard, slot, write, timer.ElapsedNs());
    return std::move(write.status);
  }
}

void Router::WriteMany(OnlyShard only, absl::Span<SlotWrite> writes) {
  std::vector<SlotWrite*> pending;
  for (SlotWrite& write : writes) pending.push_back(&write);
  while (!pending.empty()) {
    LoadWords(absl::MakeSpan(pending));
    // Those of one shard, in their order, at a time.
    std::vector<SlotWrite*> routed, again;
    for (SlotWrite* const write : pending) {
      write->status = Find(only, write->slot, write->word).status();
      if (write->status.ok()) routed.push_back(write);
    }
    std::stable_sort(routed.begin(), routed.end(), [](const SlotWrite* a, const SlotWrite* b) {
      return a->word.shard() < b->word.shard();
    });
    std::vector<SlotWrite*> together;
    size_t bytes = 0;
    for (size_t i = 0; i < routed.size(); ++i) {
      const ShardId shard = routed[i]->word.shard();
      together.push_back(routed[i]);
      bytes += routed[i]->mutation->EstimatedBytes();
      const bool last = i + 1 == routed.size() || routed[i + 1]->word.shard() != shard;
      if (!last && together.size() < kMaxWritesAtOnce && bytes < kMaxBytesAtOnce) continue;
      WriteToShard(shards_[shard.value()].get(), together, &again);
      const absl::Status status = together.front()->status;
      const bool refused = (absl::IsUnavailable(status) || absl::IsResourceExhausted(status)) &&
                           std::all_of(together.begin(), together.end(), [&](const auto* write) {
                             return write->status.code() == status.code();
                           });
      // Each of the shard's others would wait as long for the same answer.
      for (; refused && i + 1 < routed.size() && routed[i + 1]->word.shard() == shard; ++i) {
        routed[i + 1]->status = status;
      }
      together.clear();
      bytes = 0;
    }
    pending.swap(again);
  }
}

// All items of one slot get the same word: if it changes they fail together, so that the order of a
// slot's writes is kept and what is read of a slot is of one moment.
template <typename Item>
void Router::LoadWords(absl::Span<Item> items) const {
  for (bool changed = true; changed;) {
    for (auto& item : items) Deref(item).word = slots_.Load(Deref(item).slot);
    changed = std::any_of(items.begin(), items.end(), [this](const auto& item) {
      return slots_.Load(Deref(item).slot) != Deref(item).word;
    });
  }
}

// Those whose slot has changed hands go to `*again`.
void Router::WriteToShard(Served* shard, absl::Span<SlotWrite* const> writes,
                          std::vector<SlotWrite*>* again) {
  const LatencyTimer timer;
  Group* const group = shard->group.load(std::memory_order_acquire);
  if (group == nullptr) {
    for (SlotWrite* const write : writes) write->status = NotServed(shard, write->slot);
    return;
  }
  std::vector<GroupWrite> group_writes(writes.size());
  for (size_t i = 0; i < writes.size(); ++i) {
    group_writes[i].mutation = writes[i]->mutation;
    group_writes[i].guard = {slots_.word(writes[i]->slot), writes[i]->word.bits()};
  }
  group->WriteMany(absl::MakeSpan(group_writes));
  uint64_t keys = 0, bytes = 0;
  for (size_t i = 0; i < writes.size(); ++i) {
    GroupWrite& write = group_writes[i];
    writes[i]->status = std::move(write.status);
    if (absl::IsAborted(writes[i]->status)) again->push_back(writes[i]);
    if (!writes[i]->status.ok() || write.effect_bytes == 0) continue;
    keys += write.mutation->KeyCount();
    bytes += write.effect_bytes;
    Add(&slot_counters_[writes[i]->slot].writes, write.mutation->KeyCount());
  }
  if (keys != 0) shard->counters.NoteWrite(keys, bytes, timer.ElapsedNs());
}

absl::Status Router::ClearSlots(OnlyShard only) {
  // The word under which a slot was cleared; at first that of no slot.
  std::vector<SlotWord> done(kSlotCount);
  absl::Status result;
  for (bool again = true; again;) {
    again = false;
    for (int first = 0; first < kSlotCount;) {
      const SlotWord word = slots_.Load(static_cast<Slot>(first));
      const bool foreign = only.has_value() && *only != word.shard();
      if (foreign || word == done[first]) {
        ++first;
        continue;
      }
      if (word.state() != SlotState::kServing) {
        again = true;  // when it is served again
        ++first;
        continue;
      }
      // It and those behind it that are to be cleared there, too.
      int last = first;
      done[first] = word;
      for (; last + 1 < kSlotCount; ++last) {
        const SlotWord next = slots_.Load(static_cast<Slot>(last + 1));
        if (next.shard() != word.shard() || next.state() != SlotState::kServing ||
            next == done[last + 1]) {
          break;
        }
        done[last + 1] = next;
      }
      const SlotRange range = {static_cast<Slot>(first), static_cast<Slot>(last)};
      first = last + 1;
      // A slot whose word changes before its clear is evaluated is found changed in the next round.
      again = true;
      const absl::StatusOr<Served*> shard = Find(only, range.first, word);
      if (!shard.ok()) {
        result.Update(shard.status());
        continue;
      }
      Group* const owner = group(word.shard());
      if (owner == nullptr) {
        result.Update(NotServed(*shard, range.first));
        continue;
      }
      ClearSlotsMutation clear(&slots_, word.shard(), range);
      result.Update(owner->Write(&clear, {&kUnguarded, 0}));
    }
    if (again) absl::SleepFor(absl::Microseconds(100));
  }
  return result;
}

absl::Status Router::Barrier(OnlyShard only, SlotRange range) {
  std::vector<bool> passed(shards_.size());
  for (int slot = range.first; slot <= range.last; ++slot) {
    const ShardId owner = slots_.Load(static_cast<Slot>(slot)).shard();
    if (passed[owner.value()] || (only.has_value() && *only != owner)) continue;
    passed[owner.value()] = true;
    Group* const owning = group(owner);
    if (owning == nullptr) continue;
    BarrierMutation barrier;
    if (absl::Status status = owning->Write(&barrier, {&kUnguarded, 0}); !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

// ---- Reads ----

absl::Status Router::Read(OnlyShard only, Slot slot, std::string_view key, ValueHeader* header,
                          std::string* payload, uint64_t* now_ms) {
  const LatencyTimer timer;
  while (true) {
    const SlotWord word = slots_.Load(slot);
    const absl::StatusOr<Served*> shard = Find(only, slot, word);
    if (!shard.ok()) return shard.status();
    Group* const group = (*shard)->group.load(std::memory_order_acquire);
    if (group == nullptr) return NotServed(*shard, slot);
    const Group::ReadPoint point = group->BeginRead();
    // Before the store is read: what expires while it is being read was still there at first.
    *now_ms = group->ReadTimeMs();
    absl::Status status = point.store().Get(slot, key, *now_ms, header, payload);
    if (slots_.Load(slot) != word || !group->StillServes(point)) continue;
    if (absl::IsDataLoss(status)) {
      status = group->ReadElsewhere(point, status);
      if (status.ok()) continue;
    }
    if (absl::IsNotFound(status) && header->expiry_ms != 0) group->NoteExpired(*now_ms);
    (*shard)->counters.NoteRead(1, status.ok() ? 1 : 0,
                                status.ok() && payload != nullptr ? payload->size() : 0,
                                timer.ElapsedNs());
    Add(&slot_counters_[slot].reads, 1);
    return status;
  }
}

void Router::ReadMany(OnlyShard only, absl::Span<KeyRead> reads) {
  struct Pending {
    Slot slot;
    SlotWord word;
    uint64_t order;  // slot and the key's first bytes
    KeyRead* read;
  };
  absl::InlinedVector<Pending, 64> pending, again;
  for (KeyRead& read : reads) {
    uint64_t head = 0;
    if (!read.key.empty()) {
      std::memcpy(&head, read.key.data(), std::min<size_t>(read.key.size(), 6));
    }
    pending.push_back(
        {read.slot, SlotWord(), uint64_t{read.slot} << 48 | __builtin_bswap64(head) >> 16, &read});
  }
  // As a store has them.
  std::sort(pending.begin(), pending.end(), [](const Pending& a, const Pending& b) {
    return a.order != b.order ? a.order < b.order : a.read->key < b.read->key;
  });
  while (!pending.empty()) {
    LoadWords(absl::MakeSpan(pending));
    const auto not_served = [&](const Pending& item) {
      item.read->status = Find(only, item.slot, item.word).status();
      return !item.read->status.ok();
    };
    pending.erase(std::remove_if(pending.begin(), pending.end(), not_served), pending.end());
    std::stable_sort(pending.begin(), pending.end(), [](const Pending& a, const Pending& b) {
      return a.word.shard() < b.word.shard();
    });
    absl::InlinedVector<KeyRead*, 64> together;
    for (size_t i = 0; i < pending.size(); ++i) {
      together.push_back(pending[i].read);
      const ShardId shard = pending[i].word.shard();
      if (i + 1 < pending.size() && pending[i + 1].word.shard() == shard) continue;
      // One whose primary has changed is read again.
      while (!ReadFromShard(shards_[shard.value()].get(), together)) {
      }
      together.clear();
    }
    again.clear();
    for (size_t i = 0; i < pending.size();) {
      const Slot slot = pending[i].slot;
      const bool changed = slots_.Load(slot) != pending[i].word;
      for (; i < pending.size() && pending[i].slot == slot; ++i) {
        if (changed) again.push_back(pending[i]);
      }
    }
    pending.swap(again);
  }
}

// `reads` ascend by slot and key. False: what was read may be old.
bool Router::ReadFromShard(Served* shard, absl::Span<KeyRead* const> reads) {
  const LatencyTimer timer;
  Group* const group = shard->group.load(std::memory_order_acquire);
  if (group == nullptr) {
    for (KeyRead* const read : reads) read->status = NotServed(shard, read->slot);
    return true;
  }
  size_t bytes = 0;
  for (const KeyRead* const read : reads) bytes += kSlotBytes + read->key.size();
  std::string store_keys;
  store_keys.reserve(bytes);
  absl::InlinedVector<Store::Lookup, 64> lookups(reads.size());
  for (size_t i = 0; i < reads.size(); ++i) {
    const size_t begin = store_keys.size();
    AppendSlot(reads[i]->slot, &store_keys);
    store_keys.append(reads[i]->key.data(), reads[i]->key.size());
    lookups[i].store_key = {store_keys.data() + begin, store_keys.size() - begin};
    lookups[i].payload = reads[i]->payload;
  }
  const Group::ReadPoint point = group->BeginRead();
  const uint64_t now_ms = group->ReadTimeMs();
  point.store().MultiGet(absl::MakeSpan(lookups), now_ms);
  if (!group->StillServes(point)) return false;
  const auto damaged = [](const Store::Lookup& lookup) { return absl::IsDataLoss(lookup.status); };
  if (const auto it = std::find_if(lookups.begin(), lookups.end(), damaged); it != lookups.end()) {
    const absl::Status status = group->ReadElsewhere(point, it->status);
    if (status.ok()) return false;
    // Each that is DataLoss for good names what it has met itself.
    if (!absl::IsDataLoss(status)) {
      for (Store::Lookup& lookup : lookups) {
        if (damaged(lookup)) lookup.status = status;
      }
    }
  }
  uint64_t hits = 0, bytes_read = 0;
  for (size_t i = 0; i < reads.size(); ++i) {
    KeyRead* const read = reads[i];
    read->status = std::move(lookups[i].status);
    read->header = lookups[i].header;
    Add(&slot_counters_[read->slot].reads, 1);
    if (read->status.ok()) {
      ++hits;
      if (read->payload != nullptr) bytes_read += read->payload->size();
    } else if (absl::IsNotFound(read->status) && read->header.expiry_ms != 0) {
      group->NoteExpired(now_ms);
    }
  }
  shard->counters.NoteRead(reads.size(), hits, bytes_read, timer.ElapsedNs());
  return true;
}

// ---- Visits ----

absl::Status Router::VisitKeys(OnlyShard only, Slot first, std::string_view from, Slot last,
                               std::string_view prefix, KeyVisitor visit,
                               absl::FunctionRef<void(Slot)> undo) {
  SLOTKV_CHECK(last < kSlotCount);
  std::vector<SlotWord> words;
  bool ended = false;
  for (int slot = first; slot <= last && !ended;) {
    // The words of a run of slots of one shard, before its store is read.
    words.clear();
    for (int next = slot; next <= last && words.size() < kMaxSlotsInRun; ++next) {
      const SlotWord word = slots_.Load(static_cast<Slot>(next));
      if (!words.empty() && word.shard() != words.front().shard()) break;
      words.push_back(word);
    }
    if (only.has_value() && *only != words.front().shard()) {
      slot += static_cast<int>(words.size());
      from = {};
      continue;
    }
    const absl::StatusOr<Served*> shard = Find(only, static_cast<Slot>(slot), words.front());
    if (!shard.ok()) return shard.status();
    Slot next = 0;
    if (absl::Status status = VisitRun(*shard, words, static_cast<Slot>(slot), from, prefix, visit,
                                       undo, &next, &ended);
        !status.ok()) {
      return status;
    }
    if (next != slot) from = {};
    slot = next;
  }
  return absl::OkStatus();
}

// `*next`: the first slot that is still to be visited.
absl::Status Router::VisitRun(Served* shard, absl::Span<const SlotWord> words, Slot first,
                              std::string_view from, std::string_view prefix, KeyVisitor visit,
                              absl::FunctionRef<void(Slot)> undo, Slot* next, bool* ended) {
  Group* const group = shard->group.load(std::memory_order_acquire);
  if (group == nullptr) return NotServed(shard, first);
  const Group::ReadPoint point = group->BeginRead();
  const uint64_t now_ms = group->ReadTimeMs();
  const std::unique_ptr<Store::Reader> reader = point.store().NewReader();
  bool expired = false;
  for (size_t i = 0; i < words.size() && !*ended; ++i) {
    const Slot slot = static_cast<Slot>(first + i);
    reader->Seek(slot, i == 0 ? std::max(from, prefix) : prefix);
    for (; reader->Valid() && absl::StartsWith(ToAbsl(reader->key()), ToAbsl(prefix)) && !*ended;
         reader->Next()) {
      if (reader->header().ExpiredAt(now_ms)) {
        expired = true;
        continue;
      }
      *ended = visit(slot, reader->key(), reader->header(), reader->payload()) == Visit::kEnd;
    }
    bool moved = slots_.Load(slot) != words[i] || !group->StillServes(point);
    if (!reader->status().ok() && !moved) {
      absl::Status status = reader->status();
      if (absl::IsDataLoss(status)) status = group->ReadElsewhere(point, status);
      if (!status.ok()) return status;
      moved = true;
    }
    *next = slot;
    if (moved) {
      undo(slot);
      *ended = false;
      break;
    }
    ++*next;
  }
  if (expired) group->NoteExpired(now_ms);
  return absl::OkStatus();
}

// ---- Statistics ----

void Router::AddTo(ShardStats* stats) const { shards_[stats->id.value()]->counters.AddTo(stats); }

void Router::AddTo(Slot slot, SlotStats* stats) const {
  stats->reads += slot_counters_[slot].reads.load(std::memory_order_relaxed);
  stats->writes += slot_counters_[slot].writes.load(std::memory_order_relaxed);
}

}  // namespace slotkv
