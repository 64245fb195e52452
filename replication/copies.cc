#include "replication/copies.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/check.h"

namespace slotkv {
namespace {

constexpr absl::Duration kPause = absl::Milliseconds(1);
// A learner may hold up writers for so long before it is left behind.
constexpr absl::Duration kLearnerPatience = absl::Milliseconds(100);
// The same for the sync of its last records.
constexpr absl::Duration kJoinTimeout = absl::Seconds(1);

// That its files are damaged; ok: not as far as is known.
absl::Status DamageOf(const Copy& copy) {
  return copy.local == nullptr ? absl::OkStatus() : copy.local->node()->Damage();
}

size_t EncodedSize(absl::Span<const Record> records) {
  size_t bytes = 0;
  for (const Record& record : records) bytes += EncodedRecordSize(record.payload.size());
  return bytes;
}

// For those whose records certainly have not been written.
absl::Status Refusal(const absl::Status& why) {
  return why.ok() || absl::IsResourceExhausted(why) ? why : absl::UnavailableError(why.message());
}

}  // namespace

Copies::Copies(std::vector<Copy> copies, MembershipKeeper* keeper, const ExpiryClock* clock,
               const CopiesOptions& options)
    : keeper_(keeper), clock_(clock), options_(options) {
  SLOTKV_CHECK(!copies.empty() && copies.front().local != nullptr);
  SLOTKV_CHECK(copies.size() == 1 || keeper != nullptr);
  for (Copy& copy : copies) {
    in_sync_.push_back(std::make_shared<Member>());
    in_sync_.back()->copy = std::move(copy);
  }
  LocalReplica* const primary = in_sync_.front()->copy.local.get();
  SLOTKV_CHECK(primary->BecomePrimary(absl::ZeroDuration()).ok());  // nothing waits to be applied
  last_ = primary->node()->log().last();
  epoch_ = asked_epoch_ = last_.epoch;
  committed_.store(last_.index.value(), std::memory_order_release);
  primary_.store(primary->node(), std::memory_order_release);
  absl::MutexLock lock(&mu_);
  published_ = in_sync_;
}

Copies::~Copies() = default;

// ---- The leader's: what was left unfinished, and what keeps writers waiting ----

absl::Status Copies::StartEpoch(ShardEpoch epoch) {
  SLOTKV_CHECK(last_.epoch < epoch);
  epoch_ = asked_epoch_ = epoch;
  return LogEpochStart();
}

absl::Status Copies::LogEpochStart() {
  Record record;
  record.clock_ms = clock_->NowMs();
  record.kind = RecordKind::kEpochStart;
  const absl::Status status = Reserve(EncodedRecordSize(0));
  return status.ok() ? Commit(absl::MakeSpan(&record, 1), /*sync=*/false) : status;
}

void Copies::TakeCare() {
  // Whoever is still to answer may take for ever; a writer would wait, for it is told something.
  if (round_ != nullptr && !round_->Await(options_.node_timeout, absl::Now())) return;
  const absl::Status status = primary()->WriteError();
  if (!status.ok() && !absl::IsResourceExhausted(status)) FailPrimary(status);
  if (needs_care_.load(std::memory_order_acquire)) Settle().IgnoreError();
}

// Whoever is read from.
void Copies::FailPrimary(const absl::Status& why) {
  for (const std::shared_ptr<Member>& member : in_sync_) {
    if (IsPrimary(*member)) Fail(member.get(), why);
  }
}

absl::Status Copies::Prepare() {
  Node* node = primary();
  absl::Status status = node->WriteError();
  // What a full disk kept from being applied comes before anything else.
  if (status.ok()) status = node->ApplyRest();
  if (!status.ok() && !absl::IsResourceExhausted(status)) FailPrimary(status);
  if (needs_care_.load(std::memory_order_acquire)) {
    if (absl::Status settled = Settle(); !settled.ok()) return settled;
  }
  if (absl::Status ready = AwaitReady(); !ready.ok()) return ready;
  // It may not have been possible before.
  return Refusal(primary()->ApplyRest());
}

absl::Status Copies::Settle() {
  if (!ended_.ok()) return Refusal(ended_);
  absl::Status status;
  do {
    // Before the look at failures: what is noted after it is for the next round.
    needs_care_.store(false, std::memory_order_release);
    status = FinishShipped();
    if (!status.ok()) break;
  } while (needs_care_.load(std::memory_order_acquire));
  if (status.ok()) return status;
  needs_care_.store(true, std::memory_order_release);
  return Refusal(status);
}

absl::Status Copies::FinishShipped() {
  if (round_ != nullptr && !AwaitAnswers()) {
    return absl::UnavailableError("it is still being decided whether an earlier write is done");
  }
  if (absl::Status status = DropFailed(options_.auto_failover); !status.ok()) return status;
  if (unfinished_.has_value()) {
    const Unfinished shipped = *std::move(unfinished_);
    unfinished_.reset();
    if (absl::Status status = Conclude(shipped.records); !status.ok()) return status;
  }
  if (PrimaryChanged()) {
    if (absl::Status status = TakeOver(); !status.ok()) return status;
  }
  return last_.epoch < epoch_ ? LogEpochStart() : absl::OkStatus();
}

absl::Status Copies::EnoughInSync() const {
  return in_sync_.size() > options_.min_in_sync_replicas ? absl::OkStatus()
                                                         : TooFewInSync(in_sync_.size());
}

absl::Status Copies::TooFewInSync(size_t copies) const {
  return absl::UnavailableError(
      absl::StrCat(copies - 1, " replicas are in sync, Options.min_in_sync_replicas asks for ",
                   options_.min_in_sync_replicas));
}

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

// ---- The leader's: records ----

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

// ---- The leader's: who is in sync, and who leads ----

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

void Copies::End(const absl::Status& why) {
  ended_.Update(why);
  needs_care_.store(true, std::memory_order_release);
}

// ---- The leader's: copies that join ----

void Copies::RemoveTap(const RecordTap* tap) {
  taps_.erase(std::remove_if(taps_.begin(), taps_.end(),
                             [tap](const auto& other) { return other.get() == tap; }),
              taps_.end());
}

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

uint64_t Copies::UnsyncedForMs() const {
  uint64_t longest = 0;
  for (const std::shared_ptr<Member>& member : in_sync_) {
    if (member->copy.local == nullptr) continue;
    longest = std::max(longest, member->copy.local->node()->UnsyncedForMs());
  }
  return longest;
}

// ---- Anybody's ----

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
