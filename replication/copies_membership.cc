// Who is in sync, and who leads: copies that fail leave, another takes over, and others join.
#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "replication/copies.h"

namespace slotkv {
namespace {

// For the sync of a learner's last records: writers wait.
constexpr absl::Duration kJoinTimeout = absl::Seconds(1);

}  // namespace

bool Copies::IsPrimary(const Member& member) const {
  return member.copy.local != nullptr && member.copy.local->node() == primary();
}

void Copies::Fail(Member* member, const absl::Status& why) {
  absl::MutexLock lock(&mu_);
  member->failure.Update(why);
  needs_care_.store(true, std::memory_order_release);
}

// Members that have failed leave, durably; another takes the primary's place if need be. Also asks
// again for what may not have been made durable.
absl::Status Copies::DropFailed(bool may_fail_over) {
  if (!ended_.ok()) return ended_;
  const Members& wanted = asked_.has_value() ? *asked_ : in_sync_;
  Members next;
  absl::Status why;
  bool primary_failed = false;
  {
    absl::MutexLock lock(&mu_);
    for (const std::shared_ptr<Member>& member : wanted) {
      if (member->failure.ok()) {
        next.push_back(member);
        continue;
      }
      why.Update(member->failure);
      primary_failed = primary_failed || member == wanted.front();
    }
  }
  if (next.empty()) {
    return absl::UnavailableError(
        absl::StrCat("the shard takes no writes since this error: ", why.message()));
  }
  absl::Status status;
  if (primary_failed && !may_fail_over) {
    status = absl::UnavailableError(
        absl::StrCat("the primary has failed, and Options.auto_failover is off: ", why.message()));
    next.insert(next.begin(), wanted.front());
  } else if (primary_failed) {
    const std::string& lost_zone = wanted.front()->copy.zone;
    const auto rank = [&](const std::shared_ptr<Member>& member) {
      const Copy& copy = member->copy;
      return std::make_tuple(copy.local == nullptr, copy.zone == lost_zone,
                             keeper_->PrimariesIn(copy.zone));
    };
    std::swap(next.front(), *std::min_element(next.begin(), next.end(),
                                              [&](auto& a, auto& b) { return rank(a) < rank(b); }));
    if (next.front()->copy.local == nullptr) return why;
  }
  if (asked_.has_value() || next != in_sync_) {
    if (absl::Status changed = ChangeMembership(std::move(next)); !changed.ok()) return changed;
  }
  return status;
}

Copies::Members Copies::Without(const Members& members, const Members& others) {
  Members rest;
  for (const std::shared_ptr<Member>& member : members) {
    if (std::find(others.begin(), others.end(), member) == others.end()) rest.push_back(member);
  }
  return rest;
}

// Makes `next`, the primary first, the in-sync set, durably.
absl::Status Copies::ChangeMembership(Members next) {
  // Where another may have been given a higher epoch, the primary needs a still higher one, too.
  const bool leads_on = next.front() == in_sync_.front() && asked_epoch_ == epoch_;
  const bool asks_again = asked_.has_value() && asked_->front() == next.front();
  if (!leads_on && !(asks_again && epoch_ < asked_epoch_)) asked_epoch_ = asked_epoch_.Next();
  Membership membership;
  membership.epoch = leads_on ? epoch_ : asked_epoch_;
  membership.primary = next.front()->copy.id;
  for (const std::shared_ptr<Member>& member : next) {
    membership.in_sync.push_back({member->copy.id, member->copy.incarnation, member->copy.disk});
  }
  std::sort(membership.in_sync.begin(), membership.in_sync.end(),
            [](const InSyncCopy& a, const InSyncCopy& b) { return a.id < b.id; });
  const Members leaving = Without(in_sync_, next);
  {
    absl::MutexLock lock(&mu_);
    for (const std::shared_ptr<Member>& member : leaving) {
      const Copy& copy = member->copy;
      if (DamageOf(copy).ok() && !absl::IsDataLoss(member->failure)) continue;
      membership.discarded.push_back({copy.id, copy.incarnation + 1});
    }
  }
  const bool in_doubt = asked_.has_value();
  asked_ = next;
  const absl::Status status = keeper_->Change(membership, options_.operation_timeout);
  if (!status.ok()) {
    if (!in_doubt && !absl::IsDeadlineExceeded(status)) asked_.reset();  // certainly not made
    needs_care_.store(true, std::memory_order_release);
    return status;
  }
  asked_.reset();
  if (epoch_ != membership.epoch) needs_care_.store(true, std::memory_order_release);
  epoch_ = membership.epoch;
  absl::MutexLock lock(&mu_);
  dropped_.insert(dropped_.end(), leaving.begin(), leaving.end());
  for (const std::shared_ptr<Member>& member : next) {
    learners_.erase(std::remove(learners_.begin(), learners_.end(), member), learners_.end());
  }
  in_sync_ = std::move(next);
  published_ = in_sync_;
  return absl::OkStatus();
}

// The first of in_sync_ is the primary, and its epoch durable: from here on it serves.
absl::Status Copies::TakeOver() {
  while (true) {
    Member* const member = in_sync_.front().get();
    LocalReplica* const local = member->copy.local.get();
    const absl::Status status = local->BecomePrimary(options_.node_timeout);
    if (status.ok()) break;
    const bool slow = local->applier()->status().ok() ||  //
                      absl::IsResourceExhausted(local->applier()->status());
    if (slow && in_sync_.size() == 1) return status;
    const bool another = std::any_of(in_sync_.begin() + 1, in_sync_.end(), [](const auto& other) {
      return other->copy.local != nullptr && other->copy.local->applier()->Room().ok();
    });
    if (absl::IsResourceExhausted(status) && !another) return status;
    Fail(member, status);
    if (absl::Status dropped = DropFailed(/*may_fail_over=*/true); !dropped.ok()) return dropped;
  }
  for (size_t i = 1; i < in_sync_.size(); ++i) {
    if (in_sync_[i]->copy.local != nullptr) in_sync_[i]->copy.local->BecomeReplica();
  }
  primary_.store(in_sync_.front()->copy.local->node(), std::memory_order_release);
  term_.fetch_add(1, std::memory_order_acq_rel);
  return absl::OkStatus();
}

absl::Status Copies::Promote(std::optional<NodeId> id) {
  // Finishes what can be without another primary; not ok if that has failed.
  const absl::Status prepared = Prepare();
  if (!prepared.ok()) {
    if (round_ != nullptr) return prepared;
    const Member* const old = in_sync_.front().get();
    if (absl::Status status = DropFailed(/*may_fail_over=*/true); !status.ok()) return status;
    if (in_sync_.front().get() == old) return prepared;
    if (absl::Status status = Settle(); !status.ok()) return status;
    if (!id.has_value()) return absl::OkStatus();
  }
  Members next = in_sync_;
  const auto wanted = [&](const std::shared_ptr<Member>& member) {
    return id.has_value() ? member->copy.id == *id
                          : member != in_sync_.front() && member->copy.local != nullptr;
  };
  const auto it = std::find_if(next.begin(), next.end(), wanted);
  if (it == next.end()) {
    return absl::FailedPreconditionError(
        id.has_value() ? absl::StrCat(id->ToString(), " is not in sync") : "no replica is in sync");
  }
  if (it == next.begin()) return absl::OkStatus();
  if ((*it)->copy.local == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat((*it)->copy.id.ToString(), " is not in this process"));
  }
  std::iter_swap(next.begin(), it);
  if (absl::Status status = ChangeMembership(std::move(next)); !status.ok()) return status;
  return Settle();
}

// ---- Copies that join ----

absl::Status Copies::AddLearner(Copy copy) {
  const LogPosition at = copy.local->node()->log().last();
  if (!(at == last_)) {
    return absl::FailedPreconditionError(absl::StrCat(
        copy.id.ToString(), " has record ", at.index.ToString(), " of epoch ", at.epoch.ToString(),
        " last, the shard ", last_.index.ToString(), " of epoch ", last_.epoch.ToString()));
  }
  RemoveLearner(copy.id);  // of an attempt that hangs, on a disk that was replaced since
  learners_.push_back(std::make_shared<Member>());
  learners_.back()->copy = std::move(copy);
  return absl::OkStatus();
}

absl::Status Copies::Join(NodeId id) {
  const auto it = std::find_if(learners_.begin(), learners_.end(),
                               [id](const auto& member) { return member->copy.id == id; });
  if (it == learners_.end()) {
    return absl::UnavailableError(absl::StrCat(id.ToString(), " did not keep up"));
  }
  const std::shared_ptr<Member> learner = *it;
  const std::unique_ptr<Round, RoundUnref> round(new Round(1));
  learner->copy.link->Sync(Round::Receiver(round.get(), 0));
  absl::Status synced = absl::UnavailableError(absl::StrCat(id.ToString(), " cannot be synced"));
  if (round->Await(kJoinTimeout, absl::Now() + kJoinTimeout)) synced = round->AnswerOf(0);
  if (!synced.ok()) return Refusal(synced);
  Members next = in_sync_;
  next.push_back(learner);
  return ChangeMembership(std::move(next));
}

void Copies::RemoveLearner(NodeId id) {
  learners_.erase(std::remove_if(learners_.begin(), learners_.end(),
                                 [id](const auto& member) { return member->copy.id == id; }),
                  learners_.end());
}

}  // namespace slotkv
