// Invariants
//   1. A record of term T is written only after a majority has durably promised T, and T is above
//      every promise and record read from that majority: so two Opens never write under one term.
//   2. What Open chooses is the highest record of a majority that has promised its term; nothing
//      of a lower term can reach a majority any more.
//   3. One record at a time. A record is current when a majority holds it durably; until then
//      nobody learns of it, and no other record is given to any copy.
//   4. A copy that fails is not appended to again: it is replaced whole by the next record.
//   5. A journal is touched by one job at a time, on its copy's own worker: a copy that hangs
//      delays nobody but itself, once a majority has answered.
//
// Without the promise round of invariant 1 two crashes inside Open lose a change: a first Open
// rewrites what it chose on one copy only; a second one, which does not see that copy, chooses
// something else under the same term and has it acknowledged; a third sees both and may choose the
// first.
#include "shard/topology_keeper.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/check.h"
#include "engine/text.h"

namespace slotkv {
namespace {

constexpr Term kFirstTerm(1);
constexpr Epoch kFirstEpoch(1);
constexpr absl::Duration kFirstPause = absl::Milliseconds(10);

absl::StatusOr<ClusterState> DecodeRecord(const TopologyRecord& record, const ClusterId& cluster) {
  absl::StatusOr<ClusterState> state = DecodeClusterState(record.content);
  if (!state.ok()) return state;
  if (state->id != cluster || state->epoch != record.name.epoch) {
    return absl::DataLossError(absl::StrCat("a record of epoch ", record.name.epoch.ToString(),
                                            " holds epoch ", state->epoch.ToString(),
                                            " of cluster ", state->id.ToString()));
  }
  return state;
}

}  // namespace

// Takes the turn, if it comes before the deadline; gives it back.
class TopologyKeeper::Turn {
 public:
  Turn(TopologyKeeper* keeper, absl::Time deadline) : keeper_(keeper) {
    absl::MutexLock lock(&keeper_->mu_);
    while (keeper_->turn_taken_) {
      if (keeper_->changed_.WaitWithDeadline(&keeper_->mu_, deadline)) break;
    }
    taken_ = !keeper_->turn_taken_;
    if (taken_) keeper_->turn_taken_ = true;
  }
  ~Turn() {
    if (!taken_) return;
    absl::MutexLock lock(&keeper_->mu_);
    keeper_->turn_taken_ = false;
    keeper_->changed_.SignalAll();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  bool taken() const { return taken_; }

 private:
  TopologyKeeper* const keeper_;
  bool taken_ = false;
};

TopologyKeeper::TopologyKeeper(const ClusterId& cluster, const std::vector<TopologyCopy>& copies,
                               const TopologyKeeperOptions& options)
    : cluster_(cluster),
      options_(options),
      majority_(copies.size() / 2 + 1),
      states_(copies.size()) {
  for (const TopologyCopy& place : copies) copies_.push_back(MakeCopy(place));
}

std::shared_ptr<TopologyKeeper::Copy> TopologyKeeper::MakeCopy(const TopologyCopy& place) const {
  auto copy = std::make_shared<Copy>();
  copy->place = place;
  if (place.reachable.ok()) {
    copy->journal = std::make_unique<TopologyJournal>(place.disk, place.directory, cluster_);
    copy->worker = std::make_unique<WorkerPool>(1);
  }
  return copy;
}

TopologyKeeper::~TopologyKeeper() {
  // Joined while what their jobs touch is whole.
  std::vector<std::unique_ptr<WorkerPool>> workers;
  {
    absl::MutexLock lock(&mu_);
    for (const std::shared_ptr<Copy>& copy : copies_) workers.push_back(std::move(copy->worker));
    for (const LeftCopy& left : left_) workers.push_back(std::move(left.copy->worker));
  }
  workers.clear();
}

// ---- Create ----

absl::StatusOr<std::unique_ptr<TopologyKeeper>> TopologyKeeper::Create(
    const ClusterState& initial, const std::vector<TopologyCopy>& copies,
    const TopologyKeeperOptions& options) {
  if (absl::Status status = Validate(initial); !status.ok()) return status;
  if (initial.epoch != kFirstEpoch || copies.empty()) {
    return absl::InvalidArgumentError("a new topology has epoch 1 and at least one copy");
  }
  std::unique_ptr<TopologyKeeper> keeper(new TopologyKeeper(initial.id, copies, options));
  if (absl::Status status = keeper->CreateAll(initial); !status.ok()) return status;
  return keeper;
}

absl::Status TopologyKeeper::CreateAll(const ClusterState& initial) {
  const absl::Time deadline = absl::Now() + options_.timeout;
  const auto any = [](const CopyState& state) { return !state.head.has_value(); };
  const auto never = [](const CopyState&) { return false; };
  absl::MutexLock lock(&mu_);
  RunRound([](TopologyJournal* journal) { return journal->Load(); }, any, never, copies_.size(),
           deadline);
  if (absl::Status status = CheckBlank(); !status.ok()) return status;
  const RecordName name = {kFirstTerm, kFirstEpoch};
  pending_ = Pending{std::make_shared<const ClusterState>(initial),
                     std::make_shared<const TopologyRecord>(
                         TopologyRecord{name, RecordName(), EncodeClusterState(initial)})};
  FinishPending(copies_.size(), deadline);
  const auto holds = [&name](const CopyState& state) { return Holds(state, name); };
  if (Count(holds) == copies_.size()) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("cannot create the topology on every copy: ", Describe(holds)));
}

absl::Status TopologyKeeper::CheckBlank() {
  for (size_t i = 0; i < copies_.size(); ++i) {
    const CopyState& state = states_[i];
    const absl::Status health = Health(i);
    if (absl::IsNotFound(health)) continue;
    if (!state.head.has_value()) {
      return absl::Status(health.code(),
                          absl::StrCat("cannot create the topology: ", copies_[i]->place.name, ": ",
                                       health.message()));
    }
    if (state.head->promised == kFirstTerm && state.head->last.name.epoch == kFirstEpoch) continue;
    return absl::AlreadyExistsError(absl::StrCat(copies_[i]->journal->path(),
                                                 ": holds a topology already, of ",
                                                 state.head->last.name.ToString()));
  }
  return absl::OkStatus();
}

// ---- Open ----

absl::StatusOr<std::unique_ptr<TopologyKeeper>> TopologyKeeper::Open(
    const ClusterId& cluster, const std::vector<TopologyCopy>& copies,
    const TopologyKeeperOptions& options) {
  if (copies.empty()) return absl::InvalidArgumentError("a topology has at least one copy");
  std::unique_ptr<TopologyKeeper> keeper(new TopologyKeeper(cluster, copies, options));
  if (absl::Status status = keeper->Recover(); !status.ok()) return status;
  return keeper;
}

absl::Status TopologyKeeper::Recover() {
  const absl::Time deadline = absl::Now() + options_.timeout;
  absl::MutexLock lock(&mu_);
  if (absl::Status status = ReadAll(deadline); !status.ok()) return status;
  const absl::StatusOr<Term> term = PromiseAll(deadline);
  if (!term.ok()) return term.status();
  absl::StatusOr<Pending> chosen = Choose(*term);
  if (!chosen.ok()) return chosen.status();
  const RecordName name = chosen->record->name;
  pending_ = *std::move(chosen);
  if (FinishPending(majority_, deadline)) return absl::OkStatus();
  const auto holds = [&name](const CopyState& state) { return Holds(state, name); };
  return absl::UnavailableError(
      absl::StrCat("the topology cannot be made durable: ", Describe(holds)));
}

absl::Status TopologyKeeper::ReadAll(absl::Time deadline) {
  const auto unread = [](const CopyState& state) { return !state.head.has_value(); };
  const auto sound = [](const CopyState& state) { return state.head.has_value(); };
  RunRound([](TopologyJournal* journal) { return journal->Load(); }, unread, sound, majority_,
           deadline);
  if (Count(sound) >= majority_) return absl::OkStatus();
  // Damage and loss are final; a copy that is out of reach or misplaced may return.
  size_t hopeful = 0;
  for (size_t i = 0; i < copies_.size(); ++i) {
    const absl::Status health = Health(i);
    if (!absl::IsDataLoss(health) && !absl::IsNotFound(health)) ++hopeful;
    if (absl::IsUnimplemented(health)) return absl::UnimplementedError(Describe(sound));
  }
  const std::string text = absl::StrCat("the topology cannot be read: ", Describe(sound));
  return hopeful >= majority_ ? absl::UnavailableError(text) : absl::DataLossError(text);
}

absl::StatusOr<Term> TopologyKeeper::PromiseAll(absl::Time deadline) {
  Term highest;
  for (const CopyState& state : states_) {
    if (state.head.has_value()) highest = std::max(highest, state.head->promised);
  }
  const Term term = highest.Next();
  // A copy that was read too late to be counted above may have promised more; it is left out.
  const auto may_promise = [term](const CopyState& state) {
    return state.head.has_value() && state.head->promised < term;
  };
  const auto promised = [term](const CopyState& state) {
    return state.head.has_value() && state.head->promised == term;
  };
  const Job promise = [term](TopologyJournal* journal) { return journal->Promise(term); };
  RunRound(promise, may_promise, promised, majority_, deadline);
  if (Count(promised) >= majority_) return term;
  return absl::UnavailableError(
      absl::StrCat("the topology's copies cannot be written: ", Describe(promised)));
}

absl::StatusOr<TopologyKeeper::Pending> TopologyKeeper::Choose(Term term) {
  size_t best = copies_.size();
  for (size_t i = 0; i < copies_.size(); ++i) {
    const std::optional<JournalHead>& head = states_[i].head;
    if (!head.has_value() || head->promised != term) continue;
    if (best == copies_.size() || states_[best].head->last.name < head->last.name) best = i;
  }
  SLOTKV_CHECK(best < copies_.size());
  const TopologyRecord& chosen = states_[best].head->last;
  absl::StatusOr<ClusterState> state = DecodeRecord(chosen, cluster_);
  if (!state.ok()) {
    return absl::Status(state.status().code(), absl::StrCat(copies_[best]->journal->path(), ": ",
                                                            state.status().message()));
  }
  return Pending{std::make_shared<const ClusterState>(*std::move(state)),
                 std::make_shared<const TopologyRecord>(
                     TopologyRecord{{term, chosen.name.epoch}, chosen.name, chosen.content})};
}

// ---- Changes ----

std::shared_ptr<const ClusterState> TopologyKeeper::Current() const {
  absl::ReaderMutexLock lock(&mu_);
  return current_;
}

absl::Status TopologyKeeper::ChangeTopology(Epoch expected, const ClusterState& next) {
  const absl::Time deadline = absl::Now() + options_.timeout;
  const Turn turn(this, deadline);
  if (!turn.taken()) {
    return absl::UnavailableError("another change of the topology is still running");
  }
  return Change(expected, next, deadline);
}

absl::Status TopologyKeeper::Change(Epoch expected, const ClusterState& next, absl::Time deadline) {
  const absl::StatusOr<bool> made = Resolve(next, deadline);
  if (!made.ok()) return made.status();
  if (*made) return absl::OkStatus();
  // Only the turn's holder changes the topology, so that this stays current.
  const std::shared_ptr<const ClusterState> current = Current();
  if (current->epoch != expected) {
    return absl::AbortedError(absl::StrCat("the topology is at epoch ", current->epoch.ToString(),
                                           ", no longer at ", expected.ToString()));
  }
  if (absl::Status status = ValidateSuccessor(*current, next); !status.ok()) return status;
  std::string content = EncodeClusterState(next);
  absl::MutexLock lock(&mu_);
  const RecordName name = {current_record_->name.term, next.epoch};
  pending_ = Pending{std::make_shared<const ClusterState>(next),
                     std::make_shared<const TopologyRecord>(
                         TopologyRecord{name, current_record_->name, std::move(content)})};
  const std::shared_ptr<const ClusterState> state = pending_->state;
  if (FinishPending(majority_, deadline)) return absl::OkStatus();
  unresolved_ = state;
  return absl::DeadlineExceededError(absl::StrCat(
      "the outcome of the change to topology epoch ", name.epoch.ToString(),
      " is unknown: ", Describe([&name](const CopyState& copy) { return Holds(copy, name); })));
}

// Finishes an earlier change of unknown outcome. True if it is `next`, which is thereby made.
absl::StatusOr<bool> TopologyKeeper::Resolve(const ClusterState& next, absl::Time deadline) {
  absl::MutexLock lock(&mu_);
  if (unresolved_ == nullptr) return false;
  const bool same = *unresolved_ == next;
  if (pending_.has_value()) {
    const RecordName name = pending_->record->name;
    if (!FinishPending(majority_, deadline)) {
      const std::string text =
          absl::StrCat("the change to topology epoch ", name.epoch.ToString(), " is unresolved: ",
                       Describe([&name](const CopyState& copy) { return Holds(copy, name); }));
      return same ? absl::DeadlineExceededError(text) : absl::UnavailableError(text);
    }
  }
  // One call is told of it; for the next one it is the past.
  unresolved_.reset();
  return same;
}

TopologyKeeper::Job TopologyKeeper::WriteJob(std::shared_ptr<const TopologyRecord> record) {
  return [record = std::move(record)](TopologyJournal* journal) -> absl::StatusOr<JournalHead> {
    if (absl::Status status = journal->Write(*record); !status.ok()) return status;
    return JournalHead{record->name.term, *record};
  };
}

bool TopologyKeeper::FinishPending(size_t enough, absl::Time deadline) {
  const std::shared_ptr<const TopologyRecord> record = pending_->record;
  const auto holds = [&record](const CopyState& state) { return Holds(state, record->name); };
  const auto lacks = [&holds](const CopyState& state) { return !holds(state); };
  const Job write = WriteJob(record);
  absl::Duration pause = kFirstPause;
  for (int attempt = 1;; ++attempt, pause *= 2) {
    RunRound(write, lacks, holds, enough, deadline);
    if (Count(holds) >= enough || attempt >= options_.attempts) break;
    const absl::Time next = std::min(deadline, absl::Now() + pause);
    while (!changed_.WaitWithDeadline(&mu_, next)) {
    }
    if (next == deadline) break;
  }
  return !pending_.has_value();
}

// ---- Rounds ----

void TopologyKeeper::RunRound(const Job& job, Test wants, Test done, size_t enough,
                              absl::Time deadline) {
  const uint64_t round = ++round_;
  absl::Time limit = deadline;
  bool reached = false;
  while (true) {
    StartIdle(round, job, wants);
    if (!reached && Count(done) >= enough) {
      reached = true;
      limit = std::min(deadline, absl::Now() + options_.patience);
    }
    // Copies that hang since an earlier round are waited for only if they are needed.
    const bool running =
        std::any_of(states_.begin(), states_.end(), [round, reached](const CopyState& state) {
          return state.busy && (state.round == round || !reached);
        });
    if (!running || absl::Now() >= limit) return;
    changed_.WaitWithDeadline(&mu_, limit);
  }
}

void TopologyKeeper::StartIdle(uint64_t round, const Job& job, Test wants) {
  for (size_t i = 0; i < copies_.size(); ++i) {
    Copy* const copy = copies_[i].get();
    CopyState& state = states_[i];
    if (copy->journal == nullptr || state.busy || state.round == round || !wants(state)) continue;
    state.busy = true;
    state.round = round;
    copy->worker->Schedule([this, i, job, copy] { Finish(i, copy, job(copy->journal.get())); });
  }
}

void TopologyKeeper::Finish(size_t index, const Copy* copy, absl::StatusOr<JournalHead> head) {
  // Destroyed behind the lock, the journal first.
  std::shared_ptr<const void> owner;
  std::unique_ptr<TopologyJournal> journal;
  absl::MutexLock lock(&mu_);
  if (copies_[index].get() != copy) {  // it was left meanwhile
    for (LeftCopy& left : left_) {
      if (left.copy.get() != copy) continue;
      left.busy = false;
      journal = std::move(left.copy->journal);
      owner = std::move(left.copy->place.owner);
    }
    return;
  }
  CopyState& state = states_[index];
  state.busy = false;
  state.status = head.status();
  state.head = head.ok() ? std::optional<JournalHead>(*std::move(head)) : std::nullopt;
  CommitIfDurable();
  changed_.SignalAll();
}

void TopologyKeeper::CommitIfDurable() {
  if (!pending_.has_value()) return;
  const RecordName name = pending_->record->name;
  const auto holds = [&name](const CopyState& state) { return Holds(state, name); };
  if (Count(holds) < majority_) return;
  current_ = pending_->state;
  current_record_ = pending_->record;
  pending_.reset();
}

// ---- Copies that come and go ----

std::optional<size_t> TopologyKeeper::IndexOf(std::string_view name) const {
  for (size_t i = 0; i < copies_.size(); ++i) {
    if (copies_[i]->place.name == name) return i;
  }
  return std::nullopt;
}

std::vector<std::shared_ptr<TopologyKeeper::Copy>> TopologyKeeper::Leave(size_t copy,
                                                                         const absl::Status& why) {
  TopologyCopy place = copies_[copy]->place;
  place.reachable = why;
  place.disk = nullptr;
  place.owner = nullptr;
  left_.push_back({std::move(copies_[copy]), states_[copy].busy});
  copies_[copy] = MakeCopy(place);
  states_[copy] = CopyState();
  std::vector<std::shared_ptr<Copy>> idle;
  for (LeftCopy& left : left_) {
    if (!left.busy) idle.push_back(std::move(left.copy));
  }
  left_.erase(std::remove_if(left_.begin(), left_.end(),
                             [](const LeftCopy& left) { return left.copy == nullptr; }),
              left_.end());
  return idle;
}

absl::Status TopologyKeeper::Detach(std::string_view name, const absl::Status& why) {
  const absl::Time deadline = absl::Now() + options_.timeout;
  const Turn turn(this, deadline);
  if (!turn.taken()) {
    return absl::UnavailableError("a change of the topology is still running");
  }
  std::vector<std::shared_ptr<Copy>> idle;  // destroyed behind the lock
  absl::MutexLock lock(&mu_);
  const std::optional<size_t> index = IndexOf(name);
  if (!index.has_value()) {
    return absl::NotFoundError(absl::StrCat("no copy of the topology is named ", ToAbsl(name)));
  }
  if (pending_.has_value() && !FinishPending(majority_, deadline)) {
    return absl::UnavailableError("an earlier change of the topology is unresolved");
  }
  const CopyState* const own = &states_[*index];
  const auto other_holds = [own, this](const CopyState& state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return &state != own && Holds(state, current_record_->name);
  };
  const auto other_lacks = [own, this](const CopyState& state) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return &state != own && !Holds(state, current_record_->name);
  };
  RunRound(WriteJob(current_record_), other_lacks, other_holds, majority_, deadline);
  if (Count(other_holds) < majority_) {
    return absl::UnavailableError(
        absl::StrCat("the topology has no majority without it: ", Describe(other_holds)));
  }
  idle = Leave(*index, why);
  return absl::OkStatus();
}

absl::Status TopologyKeeper::Attach(const TopologyCopy& place) {
  const absl::Time deadline = absl::Now() + options_.timeout;
  const Turn turn(this, deadline);
  if (!turn.taken()) {
    return absl::UnavailableError("a change of the topology is still running");
  }
  std::vector<std::shared_ptr<Copy>> idle;  // destroyed behind the lock
  absl::MutexLock lock(&mu_);
  const std::optional<size_t> index = IndexOf(place.name);
  if (!index.has_value()) {
    return absl::NotFoundError(absl::StrCat("no copy of the topology is named ", place.name));
  }
  SLOTKV_CHECK(copies_[*index]->journal == nullptr);
  copies_[*index] = MakeCopy(place);
  const CopyState* const own = &states_[*index];
  const auto is_it = [own](const CopyState& state) { return &state == own; };
  // Not counted before it holds the topology: a majority with it is one that has that. A change
  // that was unresolved may come through meanwhile; then once more.
  std::shared_ptr<const TopologyRecord> record;
  const auto holds = [own, &record](const CopyState& state) {
    return &state == own && Holds(state, record->name);
  };
  do {
    record = current_record_;
    RunRound(WriteJob(record), is_it, holds, 1, deadline);
  } while (holds(*own) && current_record_ != record);
  if (holds(*own)) return absl::OkStatus();
  const absl::Status health = Health(*index);
  idle = Leave(*index, absl::UnavailableError(health.message()));
  return absl::UnavailableError(absl::StrCat(place.name, ": ", health.message()));
}

// ---- What the copies are like ----

bool TopologyKeeper::Holds(const CopyState& state, const RecordName& name) {
  return state.head.has_value() && state.head->last.name == name;
}

size_t TopologyKeeper::Count(Test test) const {
  return static_cast<size_t>(std::count_if(states_.begin(), states_.end(), test));
}

absl::Status TopologyKeeper::Health(size_t copy) const {
  if (!copies_[copy]->place.reachable.ok()) return copies_[copy]->place.reachable;
  if (states_[copy].busy) return absl::UnavailableError("does not answer");
  return states_[copy].status;
}

std::string TopologyKeeper::Describe(Test good) const {
  std::string text = absl::StrCat(Count(good), " of ", copies_.size(), " copies are good, ",
                                  majority_, " are needed");
  for (size_t i = 0; i < copies_.size(); ++i) {
    if (good(states_[i])) continue;
    const absl::Status health = Health(i);
    absl::StrAppend(&text, "; ", copies_[i]->place.name, ": ",
                    health.ok() ? "has fallen behind" : health.message());
  }
  return text;
}

std::vector<TopologyCopyHealth> TopologyKeeper::Copies() const {
  absl::ReaderMutexLock lock(&mu_);
  std::vector<TopologyCopyHealth> copies;
  for (size_t i = 0; i < copies_.size(); ++i) {
    absl::Status health = Health(i);
    if (health.ok() && !Holds(states_[i], current_record_->name)) {
      health = absl::UnavailableError("has fallen behind");
    }
    copies.push_back({copies_[i]->place.name, std::move(health)});
  }
  return copies;
}

}  // namespace slotkv
