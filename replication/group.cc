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
  View(const Node* node, ExpiryClock* clock)
      : node_(node), clock_(clock), now_ms_(clock->NowMs()) {}

  void AddEffects(std::string_view payload) { pending_.push_back(payload); }

  absl::Status Get(uint16_t slot, std::string_view key, ValueHeader* header,
                   std::string* payload) override {
    for (const std::string_view effects : pending_) Index(effects);
    pending_.clear();
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
  std::vector<std::string_view> pending_;
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
  const absl::Time deadline = absl::Now() + options_.operation_timeout;
  if (absl::Status status = node_->Reserve(EncodedRecordSize(0), deadline); !status.ok()) {
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
  const absl::Time deadline = absl::Now() + options_.operation_timeout;
  if (absl::Status status = CheckHealth(deadline); !status.ok()) {
    for (Writer* const writer : group_) writer->status = status;
    return;
  }
  const size_t bytes = EvaluateGroup();
  if (records_.empty()) return;
  bool logged = false;
  absl::Status status = LogAndApply(bytes, deadline, &logged);
  if (status.ok()) return;
  if (logged) {
    // Writers without effects may have seen those of others, so theirs is unknown as well.
    status = absl::DeadlineExceededError(absl::StrCat("outcome unknown: ", status.message()));
  }
  for (Writer* const writer : group_) {
    if (writer->status.ok()) writer->status = status;
  }
}

absl::Status Group::CheckHealth(absl::Time deadline) {
  {
    absl::MutexLock lock(&mu_);
    if (!failure_.ok()) return failure_;
  }
  if (absl::Status status = node_->WriteError(); !status.ok()) return status;
  // Behind the log there is no turning back, so the store must be willing before.
  while (node_->store().stalled()) {
    if (absl::Now() >= deadline) {
      return absl::UnavailableError(
          absl::StrCat(node_->directory(), ": the store stalls writes while it compacts"));
    }
    absl::SleepFor(absl::Milliseconds(1));
  }
  return AwaitSyncedEnough();
}

// With kEverySecond a power failure may cost one second, not more.
absl::Status Group::AwaitSyncedEnough() {
  if (options_.sync != SyncPolicy::kEverySecond) return absl::OkStatus();
  const uint64_t since_ms = node_->log().unsynced_since_ms();
  if (since_ms == 0 || clock_->NowMs() < since_ms + 1000) return absl::OkStatus();
  const absl::Status status = node_->Sync();
  return status.ok() ? status : Fail(status);
}

// Fills records_, and payloads_ behind them; returns their size in the log.
size_t Group::EvaluateGroup() {
  View view(node_.get(), clock_);
  const LogIndex commit = last_.index;
  LogPosition position = last_;
  size_t bytes = 0;
  records_.clear();
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
    view.AddEffects(*payload);
    position.index = position.index.Next();
    Record record;
    record.position = position;
    record.commit = commit;
    record.clock_ms = view.now_ms();
    record.payload = *payload;
    records_.push_back(record);
    bytes += EncodedRecordSize(payload->size());
  }
  return bytes;
}

// `*logged`: some of the records may be in the log.
absl::Status Group::LogAndApply(size_t bytes, absl::Time deadline, bool* logged) {
  if (absl::Status status = node_->Reserve(bytes, deadline); !status.ok()) return status;
  *logged = true;
  if (absl::Status status = node_->Append(records_); !status.ok()) return Fail(status);
  last_ = records_.back().position;
  if (options_.sync == SyncPolicy::kAlways) {
    if (absl::Status status = node_->Sync(); !status.ok()) return Fail(status);
  }
  if (absl::Status status = node_->Apply(records_); !status.ok()) return Fail(status);
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

absl::Status Group::Maintain() { return node_->Maintain(); }

}  // namespace slotkv
