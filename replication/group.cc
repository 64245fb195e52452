#include "replication/group.h"

#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/check.h"
#include "engine/effects.h"
#include "engine/text.h"

namespace slotkv {

// One caller in Write. Lives on its stack; the leader lets go of it when it sets `done`.
struct Group::Writer {
  Mutation* mutation = nullptr;
  Guard guard;
  absl::Status status;
  bool has_effects = false;  // the leader's
  bool grouped = false;      // guarded by the group's mutex, as are the two below
  bool done = false;
  absl::CondVar wake;
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
      const absl::Status status = node_->store().Get(slot, key, now_ms_, header, payload);
      if (absl::IsNotFound(status) && header->expiry_ms != 0) clock_->NoteObserved(now_ms_);
      return status;
    }
    if (!effect->is_put) return absl::Status(absl::StatusCode::kNotFound, "");
    *header = *DecodeValueHeader(effect->store_value);
    if (header->ExpiredAt(now_ms_)) return absl::Status(absl::StatusCode::kNotFound, "");
    const std::string_view stored = PayloadOf(effect->store_value);
    payload->assign(stored.data(), stored.size());
    return absl::OkStatus();
  }

  uint64_t now_ms() const override { return now_ms_; }

 private:
  const Effect* FindEffect(uint16_t slot, std::string_view key) const {
    if (latest_.empty()) return nullptr;
    const StoreKey store_key(slot, key);
    const auto it = latest_.find(ToAbsl(store_key.view()));
    return it == latest_.end() ? nullptr : &it->second;
  }

  void Index(std::string_view effects) {
    EffectReader reader(effects);
    Effect effect;
    while (reader.Next(&effect)) latest_[ToAbsl(effect.store_key)] = effect;
  }

  const Node* const node_;
  ExpiryClock* const clock_;
  const uint64_t now_ms_;
  const std::vector<Record>* const records_;
  size_t indexed_ = 0;  // records whose effects are in latest_
  absl::flat_hash_map<absl::string_view, Effect> latest_;
};

Group::Group(std::unique_ptr<Node> node, ExpiryClock* clock, const GroupOptions& options)
    : node_(std::move(node)),
      clock_(clock),
      options_(options),
      payloads_(kMaxWriters),
      last_(node_->log().last()) {
  group_.reserve(kMaxWriters);
  records_.reserve(kMaxWriters);
}

Group::~Group() {
  absl::MutexLock lock(&mu_);
  SLOTKV_CHECK(queue_.empty());
}

absl::Status Group::StartEpoch(ShardEpoch epoch) {
  SLOTKV_CHECK(last_.epoch < epoch);
  Record record;
  record.position = {epoch, last_.index.Next()};
  record.commit = last_.index;
  record.clock_ms = clock_->NowMs();
  record.kind = RecordKind::kEpochStart;
  if (absl::Status status = node_->Reserve(EncodedRecordSize(0), options_.operation_timeout);
      !status.ok()) {
    return status;
  }
  if (absl::Status status = node_->Append({record}); !status.ok()) return Fail(status);
  last_ = record.position;
  return node_->Apply({record});
}

absl::Status Group::Write(Mutation* mutation, Guard guard) {
  Writer writer;
  writer.mutation = mutation;
  writer.guard = guard;
  {
    absl::MutexLock lock(&mu_);
    queue_.push_back(&writer);
    if (leading_ || queue_.front() != &writer) {
      const absl::Time deadline = absl::Now() + options_.operation_timeout;
      const auto waits = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
        return !writer.done && (writer.grouped || leading_ || queue_.front() != &writer);
      };
      while (waits()) {
        if (writer.grouped) {
          writer.wake.Wait(&mu_);
        } else if (writer.wake.WaitWithDeadline(&mu_, deadline) && waits() && !writer.grouped) {
          return LeaveQueue(&writer);
        }
      }
      if (writer.done) return std::move(writer.status);
    }
    leading_ = true;
    health_ = failure_;
    CollectGroup();
  }
  RunGroup();
  absl::MutexLock lock(&mu_);
  for (Writer* const member : group_) {
    member->done = true;
    if (member != &writer) member->wake.Signal();
  }
  group_.clear();
  leading_ = false;
  if (!queue_.empty()) queue_.front()->wake.Signal();
  return std::move(writer.status);
}

// A writer that gives up before any leader has taken it.
absl::Status Group::LeaveQueue(Writer* writer) {
  for (auto it = queue_.begin(); it != queue_.end(); ++it) {
    if (*it != writer) continue;
    queue_.erase(it);
    break;
  }
  if (!leading_ && !queue_.empty()) queue_.front()->wake.Signal();
  return absl::UnavailableError(absl::StrCat(
      node_->directory(), ": other writes did not finish within the operation timeout"));
}

void Group::CollectGroup() {
  size_t bytes = 0;
  while (!queue_.empty() && group_.size() < kMaxWriters) {
    Writer* const next = queue_.front();
    bytes += next->mutation->EstimatedBytes();
    if (!group_.empty() && bytes > kMaxGroupBytes) break;
    next->grouped = true;
    group_.push_back(next);
    queue_.pop_front();
  }
}

// Leaves each writer's outcome in its status.
void Group::RunGroup() {
  if (absl::Status status = CheckHealth(); !status.ok()) {
    for (Writer* const writer : group_) writer->status = status;
    return;
  }
  // Announced before the group takes its own time, which is therefore not earlier.
  group_time_ms_.store(clock_->NowMs(), std::memory_order_seq_cst);
  const size_t bytes = EvaluateGroup();
  if (!records_.empty()) {
    bool logged = false;
    absl::Status status = LogAndApply(bytes, &logged);
    if (logged && !status.ok()) {
      status = absl::DeadlineExceededError(absl::StrCat("outcome unknown: ", status.message()));
    }
    if (!status.ok()) FailFrom(status);
  }
  group_time_ms_.store(std::numeric_limits<uint64_t>::max(), std::memory_order_seq_cst);
}

// The first writer with effects and all behind it: what they were told may rest on effects that
// did not happen.
void Group::FailFrom(const absl::Status& status) {
  bool found = false;
  for (Writer* const writer : group_) {
    found = found || writer->has_effects;
    if (found && !absl::IsAborted(writer->status)) writer->status = status;
  }
}

absl::Status Group::CheckHealth() {
  if (!health_.ok()) return health_;
  if (absl::Status status = node_->WriteError(); !status.ok()) return status;
  // What a full disk kept from being applied comes before anything else.
  if (absl::Status status = node_->ApplyRest(); !status.ok()) return status;
  // Behind the log there is no turning back, so the store must be willing before.
  if (node_->store().stalled()) {
    if (absl::Status status = AwaitStoreWilling(); !status.ok()) return status;
  }
  return AwaitSyncedEnough();
}

absl::Status Group::AwaitStoreWilling() {
  const absl::Time deadline = absl::Now() + options_.operation_timeout;
  while (node_->store().stalled()) {
    if (absl::Now() >= deadline) {
      return absl::UnavailableError(
          absl::StrCat(node_->directory(), ": the store stalls writes while it compacts"));
    }
    absl::SleepFor(absl::Milliseconds(1));
  }
  return absl::OkStatus();
}

// With kEverySecond a power failure may cost one second, not more.
absl::Status Group::AwaitSyncedEnough() {
  if (options_.sync != SyncPolicy::kEverySecond) return absl::OkStatus();
  if (node_->UnsyncedForMs() < 1000) return absl::OkStatus();
  const absl::Status status = node_->Sync();
  return status.ok() ? status : Fail(status);
}

// Fills records_, and payloads_ behind them; returns their size in the log.
size_t Group::EvaluateGroup() {
  records_.clear();
  View view(node_.get(), clock_, &records_);
  const LogIndex commit = last_.index;
  LogPosition position = last_;
  size_t bytes = 0;
  for (size_t i = 0; i < group_.size(); ++i) {
    Writer* const writer = group_[i];
    if (!writer->guard.Holds()) {
      writer->status = absl::Status(absl::StatusCode::kAborted, "");
      continue;
    }
    std::string* const payload = &payloads_[i];
    payload->clear();
    writer->status = writer->mutation->Evaluate(&view, payload);
    if (!writer->status.ok() || payload->empty()) continue;
    if (payload->size() > kMaxPayloadBytes) {
      writer->status = absl::ResourceExhaustedError(
          absl::StrCat("a write of ", payload->size(), " bytes exceeds ", kMaxPayloadBytes));
      continue;
    }
    position.index = position.index.Next();
    Record record;
    record.position = position;
    record.commit = commit;
    record.clock_ms = view.now_ms();
    record.payload = *payload;
    records_.push_back(record);
    writer->has_effects = true;
    bytes += EncodedRecordSize(payload->size());
    // The estimate knew only what the caller brought, not what the key held.
    if (bytes >= kMaxGroupBytes && i + 1 < group_.size()) {
      ReturnToQueue(i + 1);
      break;
    }
  }
  return bytes;
}

// The writers from `first` on have not been evaluated: they lead the next group.
void Group::ReturnToQueue(size_t first) {
  absl::MutexLock lock(&mu_);
  while (group_.size() > first) {
    group_.back()->grouped = false;
    queue_.push_front(group_.back());
    group_.pop_back();
  }
}

// `*logged`: some of the records may be in the log.
absl::Status Group::LogAndApply(size_t bytes, bool* logged) {
  if (absl::Status status = node_->Reserve(bytes, options_.operation_timeout); !status.ok()) {
    // Certainly not applied, whatever the system call behind it was about.
    return absl::IsResourceExhausted(status) ? status : absl::UnavailableError(status.message());
  }
  *logged = true;
  if (absl::Status status = node_->Append(records_); !status.ok()) return Fail(status);
  last_ = records_.back().position;
  if (options_.sync == SyncPolicy::kAlways) {
    if (absl::Status status = node_->Sync(); !status.ok()) return Fail(status);
  }
  if (absl::Status status = node_->Apply(records_); !status.ok()) {
    // A disk that is full fails no node: the records are applied when there is room again.
    return absl::IsResourceExhausted(node_->WriteError()) ? status : Fail(status);
  }
  // One huge value should not hold its memory for good.
  for (size_t i = 0; i < group_.size(); ++i) {
    if (payloads_[i].capacity() > kMaxGroupBytes) payloads_[i] = std::string();
  }
  return absl::OkStatus();
}

absl::Status Group::Fail(const absl::Status& status) {
  absl::MutexLock lock(&mu_);
  if (failure_.ok()) {
    failure_ = absl::UnavailableError(
        absl::StrCat("the shard takes no writes since this error: ", status.message()));
  }
  return status;
}

absl::Status Group::Sync() {
  const absl::Status status = node_->Sync();
  return status.ok() ? status : Fail(status);
}

}  // namespace slotkv
