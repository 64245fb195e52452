#include "replication/group.h"

#include <algorithm>
#include <new>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/check.h"
#include "engine/effects.h"
#include "engine/text.h"

namespace slotkv {
namespace {

// What the payloads of one group keep of their memory for the next.
constexpr size_t kMaxIdlePayloads = 64;
constexpr size_t kMaxIdlePayloadBytes = size_t{1} << 20;
// While somebody waits for another copy to take over.
constexpr absl::Duration kPause = absl::Milliseconds(1);

}  // namespace

// One caller. Lives on its stack; the leader lets go of it when it sets `done`.
struct Group::Writer {
  absl::Span<GroupWrite> writes;
  bool alone = false;    // goes along with no other
  bool grouped = false;  // guarded by the group's mutex, as are the two below
  bool done = false;
  absl::CondVar wake;

  void SetStatus(const absl::Status& status) {
    for (GroupWrite& write : writes) write.status = status;
  }
};

// The store as the write group so far has changed it. Effects are indexed only once somebody
// reads: groups of plain sets never do.
class Group::View final : public GroupView {
 public:
  // `records`: those of the group so far; it grows while the view is used.
  View(const Node* node, ExpiryClock* clock, const std::vector<Record>* records)
      : node_(node), clock_(clock), now_ms_(clock->NowMs()), records_(records) {}

  absl::Status Get(uint16_t slot, std::string_view key, ValueHeader* header,
                   std::string* payload) override {
    while (indexed_ < records_->size()) Index((*records_)[indexed_++].payload);
    const Effect* const effect = FindEffect(slot, key);
    if (effect == nullptr) {
      if (IsCleared(slot)) return absl::Status(absl::StatusCode::kNotFound, "");
      const absl::Status status = node_->store().Get(slot, key, now_ms_, header, payload);
      if (absl::IsNotFound(status) && header->expiry_ms != 0) clock_->NoteObserved(now_ms_);
      if (absl::IsDataLoss(status)) met_damage_ = true;
      return status;
    }
    if (effect->kind != Effect::kPut) return absl::Status(absl::StatusCode::kNotFound, "");
    *header = *DecodeValueHeader(effect->store_value);
    if (header->ExpiredAt(now_ms_)) return absl::Status(absl::StatusCode::kNotFound, "");
    const std::string_view stored = PayloadOf(effect->store_value);
    payload->assign(stored.data(), stored.size());
    return absl::OkStatus();
  }

  uint64_t now_ms() const override { return now_ms_; }
  // The store could not be read.
  bool met_damage() const { return met_damage_; }

 private:
  const Effect* FindEffect(uint16_t slot, std::string_view key) const {
    if (latest_.empty()) return nullptr;
    const StoreKey store_key(slot, key);
    const auto it = latest_.find(ToAbsl(store_key.view()));
    return it == latest_.end() ? nullptr : &it->second;
  }

  bool IsCleared(uint16_t slot) const {
    return std::any_of(cleared_.begin(), cleared_.end(), [slot](const ClearedSlots& slots) {
      return slots.first <= slot && slot <= slots.last;
    });
  }

  void Index(std::string_view effects) {
    EffectReader reader(effects);
    Effect effect;
    while (reader.Next(&effect)) {
      if (effect.kind == Effect::kClear) {
        const ClearedSlots slots(effect.store_key);
        absl::erase_if(latest_, [&](const auto& entry) {
          const uint16_t slot = SlotOf(ToStd(entry.first));
          return slots.first <= slot && slot <= slots.last;
        });
        cleared_.push_back(slots);
      } else {
        latest_[ToAbsl(effect.store_key)] = effect;
      }
    }
  }

  const Node* const node_;
  ExpiryClock* const clock_;
  const uint64_t now_ms_;
  const std::vector<Record>* const records_;
  size_t indexed_ = 0;  // records whose effects are in latest_
  // Of each key the last put or delete that no clear of its slot follows.
  absl::flat_hash_map<absl::string_view, Effect> latest_;
  std::vector<ClearedSlots> cleared_;  // the store has nothing to say of them
  bool met_damage_ = false;
};

Group::Group(std::unique_ptr<Copies> copies, ExpiryClock* clock, const GroupOptions& options)
    : copies_(std::move(copies)), clock_(clock), options_(options) {
  group_.reserve(kMaxWrites);
  writes_.reserve(kMaxWrites);
  records_.reserve(kMaxWrites);
}

Group::~Group() {
  absl::MutexLock lock(&mu_);
  SLOTKV_CHECK(queue_.empty());
}

absl::Status Group::StartEpoch(ShardEpoch epoch) { return copies_->StartEpoch(epoch); }

absl::Status Group::Write(Mutation* mutation, Guard guard) {
  GroupWrite write = {mutation, guard, absl::OkStatus(), 0};
  WriteMany(absl::MakeSpan(&write, 1));
  return std::move(write.status);
}

void Group::WriteMany(absl::Span<GroupWrite> writes) {
  SLOTKV_CHECK(!writes.empty() && writes.size() <= kMaxWrites);
  Writer writer;
  writer.writes = writes;
  if (!BecomeLeader(&writer)) return;
  RunGroup();
  EndLeading(&writer);
}

absl::Status Group::RunAsLeader(absl::FunctionRef<absl::Status()> task) {
  GroupWrite outcome;
  Writer writer;
  writer.writes = absl::MakeSpan(&outcome, 1);
  writer.alone = true;
  if (!BecomeLeader(&writer)) return std::move(outcome.status);
  absl::Status status = task();
  EndLeading(&writer);
  return status;
}

void Group::TakeCare() {
  RunAsLeader([this] {
    copies_->TakeCare();
    return absl::OkStatus();
  }).IgnoreError();
}

absl::Status Group::Promote(std::optional<NodeId> id) {
  // What the replicas have not applied yet need not be waited for by writers.
  for (const Copies::CopyInfo& copy : copies_->InSync()) {
    if (copy.local != nullptr) copy.local->applier()->Start();
  }
  return RunAsLeader([&] { return copies_->Promote(id); });
}

absl::Status Group::End(const absl::Status& why) {
  return RunAsLeader([&] {
    copies_->End(why);
    return absl::OkStatus();
  });
}

absl::Status Group::ReadElsewhere(const ReadPoint& point, const absl::Status& damage) {
  const absl::Time deadline = absl::Now() + options_.operation_timeout;
  while (StillServes(point)) {
    if (!copies_->FailDamaged(point.node) || !copies_->auto_failover()) return damage;
    TakeCare();
    if (!StillServes(point)) break;
    if (absl::Now() >= deadline) {
      return absl::UnavailableError(
          absl::StrCat("no other copy could take over in time: ", damage.message()));
    }
    absl::SleepFor(kPause);
  }
  return absl::OkStatus();
}

// Waits until the writer leads, with those behind it that can go along. False: another led for it,
// or it has given up; its outcome is in its writes.
bool Group::BecomeLeader(Writer* writer) {
  absl::MutexLock lock(&mu_);
  queue_.push_back(writer);
  if (leading_ || queue_.front() != writer) {
    const absl::Time deadline = absl::Now() + options_.operation_timeout;
    const auto waits = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
      return !writer->done && (writer->grouped || leading_ || queue_.front() != writer);
    };
    while (waits()) {
      if (writer->grouped) {
        writer->wake.Wait(&mu_);
      } else if (writer->wake.WaitWithDeadline(&mu_, deadline) && waits() && !writer->grouped) {
        LeaveQueue(writer);
        return false;
      }
    }
    if (writer->done) return false;
  }
  leading_ = true;
  CollectGroup();
  return true;
}

void Group::EndLeading(Writer* writer) {
  absl::MutexLock lock(&mu_);
  for (Writer* const member : group_) {
    member->done = true;
    if (member != writer) member->wake.Signal();
  }
  group_.clear();
  leading_ = false;
  if (!queue_.empty()) queue_.front()->wake.Signal();
}

// A writer that gives up before any leader has taken it.
void Group::LeaveQueue(Writer* writer) {
  for (auto it = queue_.begin(); it != queue_.end(); ++it) {
    if (*it != writer) continue;
    queue_.erase(it);
    break;
  }
  if (!leading_ && !queue_.empty()) queue_.front()->wake.Signal();
  writer->SetStatus(
      absl::UnavailableError("other writes did not finish within the operation timeout"));
}

void Group::CollectGroup() {
  size_t bytes = 0, writes = 0;
  while (!queue_.empty()) {
    Writer* const next = queue_.front();
    writes += next->writes.size();
    if (next->alone && !group_.empty()) break;
    if (!next->alone) {
      for (const GroupWrite& write : next->writes) bytes += write.mutation->EstimatedBytes();
    }
    if (!group_.empty() && (bytes > kMaxGroupBytes || writes > kMaxWrites)) break;
    next->grouped = true;
    group_.push_back(next);
    queue_.pop_front();
    if (next->alone) break;
  }
}

// Leaves each writer's outcome in its status.
void Group::RunGroup() {
  size_t bytes = 0;
  if (absl::Status status = PrepareAndEvaluate(&bytes); !status.ok()) {
    for (Writer* const writer : group_) writer->SetStatus(status);
  } else if (!records_.empty()) {
    status = LogAndApply(bytes);
    if (!status.ok()) FailFrom(status);
  }
  group_time_ms_.store(std::numeric_limits<uint64_t>::max(), std::memory_order_seq_cst);
  TrimPayloads();
}

// An error: nothing may be written. `*bytes`: as EvaluateGroup's.
absl::Status Group::PrepareAndEvaluate(size_t* bytes) {
  while (true) {
    if (absl::Status status = Prepare(); !status.ok()) return status;
    // Announced before the group takes its own time, which is therefore not earlier.
    group_time_ms_.store(clock_->NowMs(), std::memory_order_seq_cst);
    bool met_damage = false;
    *bytes = EvaluateGroup(&met_damage);
    // Nothing is logged yet: the store of another copy decides. As often as there are copies.
    if (!met_damage || !copies_->FailDamaged(node())) return absl::OkStatus();
  }
}

// Much was written at once now and then: its memory is not kept for good.
void Group::TrimPayloads() {
  if (payloads_.size() > kMaxIdlePayloads) payloads_.resize(kMaxIdlePayloads);
  size_t kept = 0;
  for (std::string& payload : payloads_) {
    kept += payload.capacity();
    if (kept > kMaxIdlePayloadBytes) payload = std::string();
  }
}

// The first write with effects and all behind it: what they were told may rest on effects that
// did not happen.
void Group::FailFrom(const absl::Status& status) {
  bool found = false;
  for (GroupWrite* const write : writes_) {
    found = found || write->effect_bytes != 0;
    if (found && !absl::IsAborted(write->status)) write->status = status;
  }
}

absl::Status Group::Prepare() {
  if (absl::Status status = copies_->Prepare(); !status.ok()) return status;
  // With kEverySecond a power failure may cost one second, not more.
  while (options_.sync == SyncPolicy::kEverySecond && copies_->UnsyncedForMs() >= 1000) {
    if (absl::Status status = Sync(); !status.ok()) return absl::UnavailableError(status.message());
    // Those that could not be synced go.
    if (absl::Status status = copies_->Prepare(); !status.ok()) return status;
  }
  return copies_->EnoughInSync();
}

// Fills writes_, records_ and payloads_ behind them; returns the records' size in the log.
// `*met_damage`: some of it failed because the store is damaged.
size_t Group::EvaluateGroup(bool* met_damage) {
  records_.clear();
  writes_.clear();
  size_t count = 0;
  for (const Writer* const writer : group_) count += writer->writes.size();
  // Before any record looks into them: they must not move.
  if (payloads_.size() < count) payloads_.resize(count);
  View view(node(), clock_, &records_);
  size_t bytes = 0;
  for (size_t i = 0; i < group_.size(); ++i) {
    for (GroupWrite& write : group_[i]->writes) {
      bytes += Evaluate(&write, &view, &payloads_[writes_.size()]);
      writes_.push_back(&write);
    }
    // The estimate knew only what the caller brought, not what the key held.
    if (bytes >= kMaxGroupBytes && i + 1 < group_.size()) {
      ReturnToQueue(i + 1);
      break;
    }
  }
  *met_damage = view.met_damage();
  return bytes;
}

// The record's size in the log; 0: there is none.
size_t Group::Evaluate(GroupWrite* write, View* view, std::string* payload) {
  if (!write->guard.Holds()) {
    write->status = absl::Status(absl::StatusCode::kAborted, "");
    return 0;
  }
  payload->clear();
  write->effect_bytes = 0;
  // Values and hashes may be large. A leader that unwound would leave the others waiting for ever.
  try {
    write->status = write->mutation->Evaluate(view, payload);
  } catch (const std::bad_alloc&) {
    write->status = absl::ResourceExhaustedError("there is not enough memory for the write");
  }
  if (!write->status.ok() || payload->empty()) return 0;
  if (payload->size() > kMaxPayloadBytes) {
    write->status = absl::ResourceExhaustedError(
        absl::StrCat("a write of ", payload->size(), " bytes exceeds ", kMaxPayloadBytes));
    return 0;
  }
  Record record;
  record.clock_ms = view->now_ms();
  record.payload = *payload;
  records_.push_back(record);
  write->effect_bytes = payload->size();
  return EncodedRecordSize(payload->size());
}

// The writers from `first` on have not been evaluated: they lead the next group.
void Group::ReturnToQueue(size_t first) {
  absl::MutexLock lock(&mu_);
  while (group_.size() > first) {
    // It waits with a deadline again.
    group_.back()->grouped = false;
    group_.back()->wake.Signal();
    queue_.push_front(group_.back());
    group_.pop_back();
  }
}

absl::Status Group::LogAndApply(size_t bytes) {
  absl::Status reserved = copies_->Reserve(bytes);
  if (reserved.ok()) reserved = copies_->EnoughInSync();
  log_full_.store(absl::IsResourceExhausted(reserved), std::memory_order_relaxed);
  if (!reserved.ok()) return reserved;
  absl::Status status =
      copies_->Commit(absl::MakeSpan(records_), options_.sync == SyncPolicy::kAlways);
  // Copies may have been dropped.
  if (status.ok()) status = copies_->EnoughInSync();
  if (status.ok()) return status;
  return absl::DeadlineExceededError(absl::StrCat("outcome unknown: ", status.message()));
}

absl::Status Group::WriteError() const {
  if (absl::Status status = copies_->WriteError(); !status.ok()) return status;
  if (!log_full_.load(std::memory_order_relaxed)) return absl::OkStatus();
  return absl::ResourceExhaustedError("there is no room for the log");
}

absl::Status Group::Sync() { return copies_->Sync(); }

}  // namespace slotkv
