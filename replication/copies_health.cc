// What any thread may ask of the copies, and tell of their health.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "replication/copies.h"

namespace slotkv {

// That its files are damaged; ok: not as far as is known.
absl::Status Copies::DamageOf(const Copy& copy) {
  return copy.local == nullptr ? absl::OkStatus() : copy.local->node()->Damage();
}

Copies::Members Copies::Published() const {
  absl::MutexLock lock(&mu_);
  return published_;
}

bool Copies::AllFailedLocked() const {
  return std::none_of(published_.begin(), published_.end(),
                      [](const auto& member) { return member->failure.ok(); });
}

absl::Status Copies::Sync() {
  const Members members = Published();
  const std::unique_ptr<Round, RoundUnref> round(new Round(members.size()));
  for (size_t i = 0; i < members.size(); ++i) {
    members[i]->copy.link->Sync(Round::Receiver(round.get(), static_cast<uint32_t>(i)));
  }
  if (!round->Await(options_.node_timeout, absl::Now() + options_.operation_timeout)) {
    return absl::UnavailableError("no copy could be synced within the operation timeout");
  }
  absl::Status why;
  size_t failed = 0;
  for (size_t i = 0; i < members.size(); ++i) {
    const absl::Status answer = round->AnswerOf(i);
    if (answer.ok()) continue;
    ++failed;
    why.Update(answer);
    absl::MutexLock lock(&mu_);
    members[i]->failure.Update(answer);
    needs_care_.store(true, std::memory_order_release);
  }
  return failed == members.size() ? why : absl::OkStatus();
}

std::vector<Copies::CopyInfo> Copies::InSync() const {
  absl::MutexLock lock(&mu_);
  std::vector<CopyInfo> infos;
  for (const std::shared_ptr<Member>& member : published_) {
    const Copy& copy = member->copy;
    infos.push_back(
        {copy.id, copy.incarnation, copy.zone, copy.local, copy.link->Progress(), member->failure});
  }
  return infos;
}

void Copies::NoteFailure(NodeId id, const absl::Status& status) {
  absl::MutexLock lock(&mu_);
  for (const std::shared_ptr<Member>& member : published_) {
    if (member->copy.id != id) continue;
    member->failure.Update(status);
    needs_care_.store(true, std::memory_order_release);
  }
}

void Copies::NoteSlow(absl::Span<const NodeId> slow) {
  if (slow.empty()) return;
  const auto is_slow = [slow](const std::shared_ptr<Member>& member) {
    return std::find(slow.begin(), slow.end(), member->copy.id) != slow.end();
  };
  absl::MutexLock lock(&mu_);
  if (std::none_of(published_.begin(), published_.end(),
                   [&](const auto& member) { return member->failure.ok() && !is_slow(member); })) {
    return;
  }
  for (const std::shared_ptr<Member>& member : published_) {
    if (!is_slow(member)) continue;
    member->failure.Update(absl::DeadlineExceededError(absl::StrCat(
        member->copy.id.ToString(), ": an operation takes longer than Options.node_timeout")));
    needs_care_.store(true, std::memory_order_release);
  }
}

void Copies::FailDamagedLocked() {
  const bool sound_left = std::any_of(published_.begin(), published_.end(), [](const auto& member) {
    const Copy& copy = member->copy;
    return copy.local != nullptr && member->failure.ok() && DamageOf(copy).ok();
  });
  if (!sound_left) return;
  for (const std::shared_ptr<Member>& member : published_) {
    const absl::Status damage = DamageOf(member->copy);
    if (damage.ok() || !member->failure.ok()) continue;
    member->failure = damage;
    needs_care_.store(true, std::memory_order_release);
  }
}

bool Copies::FailDamaged(const Node* node) {
  absl::MutexLock lock(&mu_);
  FailDamagedLocked();
  if (AllFailedLocked()) return false;
  return std::none_of(published_.begin(), published_.end(), [node](const auto& member) {
    const Copy& copy = member->copy;
    return copy.local != nullptr && copy.local->node() == node && member->failure.ok();
  });
}

bool Copies::NeedsCare() {
  absl::MutexLock lock(&mu_);
  FailDamagedLocked();
  for (const std::shared_ptr<Member>& member : published_) {
    LocalReplica* const local = member->copy.local.get();
    if (local == nullptr || !member->failure.ok()) continue;
    for (const absl::Status& status : {local->applier()->status(), local->node()->WriteError()}) {
      if (status.ok() || absl::IsResourceExhausted(status)) continue;
      member->failure.Update(status);
      needs_care_.store(true, std::memory_order_release);
    }
  }
  // Nothing can be done before somebody promotes another.
  if (!options_.auto_failover && !published_.front()->failure.ok()) return false;
  return needs_care_.load(std::memory_order_acquire) && !AllFailedLocked();
}

absl::Status Copies::WriteError() const {
  absl::MutexLock lock(&mu_);
  if (AllFailedLocked()) {
    return absl::UnavailableError(absl::StrCat("the shard takes no writes since this error: ",
                                               published_.front()->failure.message()));
  }
  if (!options_.auto_failover && !published_.front()->failure.ok()) {
    return absl::UnavailableError(
        absl::StrCat("the primary has failed, and Options.auto_failover is off: ",
                     published_.front()->failure.message()));
  }
  if (published_.size() <= options_.min_in_sync_replicas) return TooFewInSync(published_.size());
  return Refusal(published_.front()->copy.local->node()->WriteError());
}

LogIndex Copies::PersistedEverywhere() const {
  LogIndex least(UINT64_MAX);
  for (const std::shared_ptr<Member>& member : Published()) {
    least = std::min(least, member->copy.link->Progress().persisted);
  }
  return least;
}

std::vector<Copies::Dropped> Copies::TakeDropped() {
  absl::MutexLock lock(&mu_);
  std::vector<Dropped> dropped;
  // One that still serves reads, because nobody has taken over yet, stays.
  for (auto it = dropped_.begin(); it != dropped_.end();) {
    if (IsPrimary(**it)) {
      ++it;
      continue;
    }
    dropped.push_back({(*it)->copy, (*it)->failure});
    it = dropped_.erase(it);
  }
  return dropped;
}

bool Copies::HasDropped() const {
  absl::MutexLock lock(&mu_);
  return !dropped_.empty();
}

}  // namespace slotkv
