// Records: room for them, on which copies they are put, and when they are applied.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "replication/copies.h"

namespace slotkv {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(1);
// A learner may hold up writers for so long before it is left behind.
constexpr absl::Duration kLearnerPatience = absl::Milliseconds(100);

size_t EncodedSize(absl::Span<const Record> records) {
  size_t bytes = 0;
  for (const Record& record : records) bytes += EncodedRecordSize(record.payload.size());
  return bytes;
}

}  // namespace

// ---- What keeps writers waiting ----

// Why the copy keeps writers from going on. Whoever is not ResourceExhausted may be waited for.
absl::Status Copies::Readiness(const Member& member) const {
  LocalReplica* const local = member.copy.local.get();
  if (local == nullptr) return absl::OkStatus();
  if (!IsPrimary(member)) {
    return local->applier()->lag_bytes() < Applier::kMaxLagBytes ? absl::OkStatus()
                                                                 : local->applier()->Room();
  }
  // Behind the log there is no turning back, so the store must be willing before.
  if (absl::Status status = local->node()->WriteError(); !status.ok()) return status;
  if (!local->node()->store().stalled()) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat(local->node()->directory(), ": the store stalls writes while it compacts"));
}

absl::Status Copies::AwaitReady() {
  if (std::all_of(in_sync_.begin(), in_sync_.end(), [this](const auto& member) {
        return member->unready_since == absl::InfiniteFuture() && Readiness(*member).ok();
      })) {
    return absl::OkStatus();
  }
  const absl::Time deadline = absl::Now() + options_.operation_timeout;
  while (true) {
    const absl::Time now = absl::Now();
    absl::Status why;
    std::vector<Member*> unready;
    for (const std::shared_ptr<Member>& member : in_sync_) {
      const absl::Status status = Readiness(*member);
      if (status.ok()) {
        member->unready_since = absl::InfiniteFuture();
        continue;
      }
      if (why.ok() || absl::IsResourceExhausted(status)) why = status;
      member->unready_since = std::min(member->unready_since, now);
      unready.push_back(member.get());
    }
    if (unready.empty()) return absl::OkStatus();
    bool failed = false;
    for (Member* const member : unready) {
      if (unready.size() == in_sync_.size()) break;
      if (now - member->unready_since < options_.node_timeout) continue;
      Fail(member, Readiness(*member));
      failed = true;
    }
    if (failed) {
      if (absl::Status status = Settle(); !status.ok()) return status;
      continue;
    }
    if (absl::IsResourceExhausted(why) || now >= deadline) return Refusal(why);
    if (IsPrimary(*unready.front())) {
      absl::SleepFor(kPause);
    } else {
      unready.front()->copy.local->applier()->AwaitRoom(kPause).IgnoreError();
    }
  }
}

absl::Status Copies::Reserve(size_t bytes) {
  while (true) {
    bool room = true;
    for (const std::shared_ptr<Member>& member : in_sync_) {
      LocalReplica* const local = member->copy.local.get();
      // This asks for it: disks make room at the same time.
      if (local != nullptr) room = local->Reserve(bytes, absl::ZeroDuration()).ok() && room;
    }
    if (room) return absl::OkStatus();

    const absl::Time deadline =
        absl::Now() + (in_sync_.size() > 1
                           ? std::min(options_.node_timeout, options_.operation_timeout)
                           : options_.operation_timeout);
    absl::Status why;
    size_t ready = 0;
    std::vector<std::pair<Member*, absl::Status>> given_up;
    for (const std::shared_ptr<Member>& member : in_sync_) {
      LocalReplica* const local = member->copy.local.get();
      const absl::Time begin = absl::Now();
      const absl::Duration timeout = std::max(deadline - begin, absl::ZeroDuration());
      const absl::Status status =
          local == nullptr ? absl::OkStatus() : local->Reserve(bytes, timeout);
      const absl::Time now = absl::Now();
      if (status.ok()) {
        member->no_room_since = absl::InfiniteFuture();
        ++ready;
        continue;
      }
      member->no_room_since = std::min(member->no_room_since, begin);
      const bool full = absl::IsResourceExhausted(status);
      if (why.ok() || full) why = status;
      // An error that came before its time is not for being slow.
      const bool broken = !full && now < deadline;
      if (broken || now - member->no_room_since >= options_.node_timeout) {
        given_up.emplace_back(member.get(), status);
      }
    }
    if (why.ok()) return why;
    if (ready == 0 || given_up.empty()) return Refusal(why);
    for (const auto& [member, status] : given_up) Fail(member, status);
    if (absl::Status status = Settle(); !status.ok()) return status;
  }
}

// ---- Records ----

absl::Status Copies::Commit(absl::Span<Record> records, bool sync) {
  LogIndex index = last_.index;
  for (Record& record : records) {
    index = index.Next();
    record.position = {epoch_, index};
    record.commit = last_.index;
  }
  if (!Ship(records, sync)) {
    Keep(records);
    return absl::DeadlineExceededError("not every copy has answered");
  }
  if (needs_care_.load(std::memory_order_acquire)) {
    if (absl::Status status = DropFailed(options_.auto_failover); !status.ok()) {
      Keep(records);
      return status;
    }
  }
  return Conclude(records);
}

// Appends to every in-sync copy. False: not everybody who matters has answered yet.
bool Copies::Ship(absl::Span<const Record> records, bool sync) {
  if (!learners_.empty()) ShipToLearners(records);
  const bool answers_at_once =
      !sync && std::all_of(in_sync_.begin(), in_sync_.end(),
                           [](const auto& member) { return member->copy.local != nullptr; });
  if (answers_at_once) {
    for (const std::shared_ptr<Member>& member : in_sync_) {
      const absl::Status status = member->copy.local->AppendNow(last_, records);
      if (!status.ok()) Fail(member.get(), status);
    }
    return true;
  }
  round_.reset(new Round(in_sync_.size()));
  // The primary is the last: the others may be further away.
  for (size_t i = in_sync_.size(); i-- > 0;) {
    in_sync_[i]->copy.link->Append(last_, records, sync,
                                   Round::Receiver(round_.get(), static_cast<uint32_t>(i)));
  }
  return AwaitAnswers();
}

// Of those that round_ has asked. False: it is not decided yet.
bool Copies::AwaitAnswers() {
  if (!round_->Await(options_.node_timeout, absl::Now() + options_.operation_timeout)) return false;
  for (size_t i = 0; i < in_sync_.size(); ++i) {
    const absl::Status answer = round_->AnswerOf(i);
    if (!answer.ok()) Fail(in_sync_[i].get(), answer);
  }
  round_.reset();
  return true;
}

void Copies::ShipToLearners(absl::Span<const Record> records) {
  const size_t bytes = EncodedSize(records);
  for (auto it = learners_.begin(); it != learners_.end();) {
    LocalReplica* const learner = (*it)->copy.local.get();
    absl::Status status = learner->Reserve(bytes, kLearnerPatience);
    if (status.ok() && learner->applier()->lag_bytes() >= Applier::kMaxLagBytes) {
      status = learner->applier()->AwaitRoom(kLearnerPatience);
    }
    if (status.ok()) status = learner->AppendNow(last_, records);
    if (status.ok()) {
      ++it;
      continue;
    }
    Fail(it->get(), status);
    absl::MutexLock lock(&mu_);
    dropped_.push_back(*it);
    it = learners_.erase(it);
  }
}

// Everybody who is in sync has the records.
absl::Status Copies::Conclude(absl::Span<const Record> records) {
  last_ = records.back().position;
  committed_.store(last_.index.value(), std::memory_order_release);
  for (const std::shared_ptr<Member>& member : in_sync_) member->copy.link->Commit(last_.index);
  for (const std::shared_ptr<Member>& member : learners_) member->copy.link->Commit(last_.index);
  for (const std::shared_ptr<RecordTap>& tap : taps_) tap->Add(records);
  return PrimaryChanged() ? TakeOver() : ApplyOnPrimary(records);
}

absl::Status Copies::ApplyOnPrimary(absl::Span<const Record> records) {
  Node* const node = primary();
  absl::Status status = node->Apply(records);
  if (status.ok()) return status;
  // It may have begun to stall writes a moment ago.
  const absl::Time deadline =
      absl::Now() + (in_sync_.size() > 1 ? options_.node_timeout : options_.operation_timeout);
  while (absl::IsResourceExhausted(status) && node->WriteError().ok() && absl::Now() < deadline) {
    absl::SleepFor(kPause);
    status = node->ApplyRest();
  }
  if (status.ok()) return status;
  // On a disk that is full the records wait, with the node, until there is room again.
  if (absl::IsResourceExhausted(status)) return status;
  if (absl::IsResourceExhausted(node->WriteError())) return node->WriteError();
  Fail(in_sync_.front().get(), status);
  if (absl::Status dropped = DropFailed(options_.auto_failover); !dropped.ok()) return dropped;
  return TakeOver();
}

// For Settle. The caller's payloads are its own again.
void Copies::Keep(absl::Span<const Record> records) {
  unfinished_.emplace();
  unfinished_->records.assign(records.begin(), records.end());
  unfinished_->payloads.reserve(records.size());
  for (Record& record : unfinished_->records) {
    record.payload = unfinished_->payloads.emplace_back(record.payload);
  }
  needs_care_.store(true, std::memory_order_release);
}

}  // namespace slotkv
