#include "shard/shard_host.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/check.h"
#include "engine/text.h"
#include "replication/catch_up.h"
#include "replication/join.h"
#include "replication/loss.h"

namespace slotkv {
namespace {

constexpr absl::Duration kFirstRetry = absl::Milliseconds(100);
constexpr absl::Duration kLastRetry = absl::Seconds(10);
// How long calls that may read a copy that was dropped are waited for at a time.
constexpr absl::Duration kClosePatience = absl::Minutes(1);

constexpr char kStopped[] = "it is stopped";

SyncPolicy PolicyOf(Fsync fsync) {
  switch (fsync) {
    case Fsync::kAlways:
      return SyncPolicy::kAlways;
    case Fsync::kEverySecond:
      return SyncPolicy::kEverySecond;
    case Fsync::kNever:
      break;
  }
  return SyncPolicy::kNever;
}

}  // namespace

NodeOptions HostContext::MakeNodeOptions(const ClusterState& state, const ShardState& shard,
                                         const NodeState& node, OpenZone* zone) const {
  NodeOptions node_options;
  node_options.disk = zone->disk.get();
  node_options.workers = &zone->workers;
  node_options.resources = resources;
  node_options.directory = zone->directory->NodePath(node.id, node.incarnation);
  node_options.identity = {state.id.bytes(), shard.id, node.id};
  node_options.log.io = options->log_io;
  return node_options;
}

ShardHost::ShardHost(ShardId id, const HostContext* context)
    : id_(id),
      context_(context),
      membership_(id, context->keeper, [this](const ShardState& before, const ShardState& now) {
        TellOfChange(before, now);
      }) {}

ShardHost::~ShardHost() = default;

void ShardHost::TellOfChange(const ShardState& before, const ShardState& now) const {
  const auto primary_of = [](const ShardState& shard) {
    const auto it = std::find_if(shard.nodes.begin(), shard.nodes.end(),
                                 [](const auto& node) { return node.role == Role::kPrimary; });
    return it->id;
  };
  const NodeId primary = primary_of(now);
  if (primary_of(before) != primary) {
    context_->log(LogLevel::kWarning,
                  absl::StrCat(id_.ToString(), ": ", primary.ToString(), " is the primary now"));
    context_->tell(
        [id = id_, primary](EventListener* listener) { listener->OnPromotion(id, primary); });
  }
  context_->tell_topology();
}

// ---- Opening ----

void ShardHost::OpenLogs(const ClusterState& state, const ShardState& shard) {
  ForgetRecovering();
  for (const NodeState& node_state : shard.nodes) {
    RecoveringCopy& copy = recovering_.emplace_back();
    copy.id = node_state.id;
    copy.in_sync = node_state.in_sync;
    const std::shared_ptr<OpenZone> zone =
        recovering_zones_.emplace_back(context_->FindZone(node_state.zone));
    copy.status = WhyNotOpen(node_state, *zone);
    if (!copy.status.ok()) continue;
    absl::StatusOr<std::unique_ptr<Node>> node =
        Node::Open(context_->MakeNodeOptions(state, shard, node_state, zone.get()));
    copy.status = node.status();
    if (node.ok()) copy.node = *std::move(node);
    // Its log can be looked at.
    if (node.ok() && IsStopped(copy.id)) copy.status = absl::UnavailableError(kStopped);
  }
}

void ShardHost::ForgetRecovering() {
  recovering_.clear();  // before the zones they are in
  recovering_zones_.clear();
}

absl::Status ShardHost::WhyNotOpen(const NodeState& node, const OpenZone& zone) {
  if (!zone.status.ok()) {
    return absl::UnavailableError(
        absl::StrCat("zone ", zone.state.name, " is down: ", zone.status.message()));
  }
  absl::MutexLock lock(&mu_);
  if (IsClosed(node.id)) return absl::OkStatus();
  return absl::UnavailableError(stopped_.count(node.id) != 0 ? kStopped
                                                             : "its files are still being closed");
}

uint64_t ShardHost::highest_clock_ms() const {
  uint64_t highest_ms = 0;
  for (const RecoveringCopy& copy : recovering_) {
    if (copy.node != nullptr) highest_ms = std::max(highest_ms, copy.node->highest_clock_ms());
  }
  return highest_ms;
}

absl::Status ShardHost::Recover(bool* can_force) {
  const RecoveringCopy* const last = LastOutOfSync(absl::MakeSpan(recovering_));
  const absl::Status status = RecoverCopies(absl::MakeSpan(recovering_), context_->clock);
  *can_force = !status.ok() && last != nullptr;
  absl::Status shown = status;
  if (*can_force) {
    shown = absl::UnavailableError(DescribeLoss(id_, *last, recovering_, acknowledged()));
  }
  if (!status.ok()) ForgetRecovering();
  absl::MutexLock lock(&mu_);
  status_ = shown;
  return status;
}

void ShardHost::ApplyTo(ShardState* shard) const {
  Membership membership;
  membership.epoch = shard->epoch.Next();
  for (size_t i = 0; i < recovering_.size(); ++i) {
    if (!recovering_[i].status.ok()) continue;
    const NodeState& node = shard->nodes[i];
    membership.in_sync.push_back({node.id, node.incarnation});
    // It stays the primary if it can.
    if (membership.in_sync.size() == 1 || node.role == Role::kPrimary) membership.primary = node.id;
  }
  ApplyMembership(membership, shard);
}

absl::Status ShardHost::Serve(const ShardState& shard) {
  for (const RecoveringCopy& copy : recovering_) {
    if (!copy.status.ok()) {
      context_->log(LogLevel::kWarning, absl::StrCat(id_.ToString(), ": ", copy.id.ToString(),
                                                     " is not in sync: ", copy.status.message()));
      absl::MutexLock lock(&mu_);
      absent_[copy.id].why = copy.status;
    } else if (copy.node->log().last().epoch >= shard.epoch) {
      return absl::DataLossError(absl::StrCat(
          copy.node->directory(), ": the log has epoch ", copy.node->log().last().epoch.ToString(),
          ", the topology has given out ", shard.epoch.ToString()));
    }
  }
  std::shared_ptr<Group> group = MakeGroup(shard);
  replayed_ = group->node()->replayed();
  if (absl::Status status = group->StartEpoch(shard.epoch); !status.ok()) return status;
  absl::MutexLock lock(&mu_);
  group_ = std::move(group);
  status_ = absl::OkStatus();
  acknowledged_.reset();
  return absl::OkStatus();
}

std::unique_ptr<Group> ShardHost::MakeGroup(const ShardState& shard) {
  std::vector<Copy> copies;
  for (size_t i = 0; i < recovering_.size(); ++i) {
    if (!recovering_[i].status.ok()) continue;
    const NodeState& node = shard.nodes[i];
    Copy copy;
    copy.id = node.id;
    copy.incarnation = node.incarnation;
    copy.zone = node.zone;
    copy.local = Wrap(node.id, recovering_zones_[i], std::move(recovering_[i].node));
    copy.link = copy.local;
    copies.push_back(std::move(copy));
    if (node.role == Role::kPrimary) std::swap(copies.front(), copies.back());
  }
  ForgetRecovering();
  const Options& options = *context_->options;
  CopiesOptions copies_options;
  copies_options.node_timeout = options.node_timeout;
  copies_options.operation_timeout = options.operation_timeout;
  copies_options.min_in_sync_replicas = static_cast<size_t>(options.min_in_sync_replicas);
  copies_options.auto_failover = options.auto_failover;
  GroupOptions group_options;
  group_options.operation_timeout = options.operation_timeout;
  group_options.sync = PolicyOf(options.fsync);
  return std::make_unique<Group>(
      std::make_unique<Copies>(std::move(copies), &membership_, context_->clock, copies_options),
      context_->clock, group_options);
}

// The copy is closed on a thread of its zone: that waits for what it has under way.
std::shared_ptr<LocalReplica> ShardHost::Wrap(NodeId id, std::shared_ptr<OpenZone> zone,
                                              std::unique_ptr<Node> node) {
  const auto open = std::make_shared<std::atomic<bool>>(true);
  {
    absl::MutexLock lock(&mu_);
    open_[id] = open;
  }
  return std::shared_ptr<LocalReplica>(
      new LocalReplica(std::move(node), &zone->workers, &zone->syncers),
      [zone, open](LocalReplica* replica) {
        zone->closers.Schedule([replica, open, zone] {
          delete replica;
          open->store(false, std::memory_order_release);
        });
      });
}

// ---- Open ----

std::shared_ptr<Group> ShardHost::group() const {
  absl::MutexLock lock(&mu_);
  return group_;
}

absl::Status ShardHost::status() const {
  absl::MutexLock lock(&mu_);
  return status_;
}

std::optional<LogIndex> ShardHost::acknowledged() const {
  absl::MutexLock lock(&mu_);
  return acknowledged_;
}

std::vector<NodeId> ShardHost::Up() const {
  std::vector<NodeId> nodes;
  const std::shared_ptr<Group> group = this->group();
  if (group == nullptr) return nodes;
  for (const Copies::CopyInfo& copy : group->copies()->InSync()) {
    if (copy.failure.ok()) nodes.push_back(copy.id);
  }
  return nodes;
}

// Neither stopped, nor in a zone that is down, nor still open.
bool ShardHost::MayOpen(const NodeState& node) {
  if (stopped_.count(node.id) != 0) return false;
  if (!context_->FindZone(node.zone)->status.ok()) return false;
  return IsClosed(node.id);
}

// Without a group any copy that is in sync will do; with one, those that are not are wanted.
bool ShardHost::MayRejoin(const NodeState& node) {
  return node.in_sync != (group_ != nullptr) && MayOpen(node);
}

bool ShardHost::IsClosed(NodeId node) const {
  const auto open = open_.find(node);
  return open == open_.end() || !open->second->load(std::memory_order_acquire);
}

std::optional<NodeState> ShardHost::NextToRejoin() {
  const std::shared_ptr<const ClusterState> state = context_->keeper->Current();
  const ShardState* const shard = state->FindShard(id_);
  if (shard == nullptr) return std::nullopt;
  absl::MutexLock lock(&mu_);
  for (const NodeState& node : shard->nodes) {
    if (!MayRejoin(node)) continue;
    const auto attempts = attempts_.find(node.id);
    if (attempts == attempts_.end() || attempts->second.next <= absl::Now()) return node;
  }
  return std::nullopt;
}

void ShardHost::Rejoin(const NodeState& node, absl::FunctionRef<absl::Status()> go_on) {
  const Turn turn(this, absl::ZeroDuration());
  if (!turn.taken()) return;  // it will be asked for again
  std::shared_ptr<Group> group;
  {
    // A promotion by force may have come in between.
    const std::shared_ptr<const ClusterState> state = context_->keeper->Current();
    const ShardState* const shard = state->FindShard(id_);
    absl::MutexLock lock(&mu_);
    if (shard == nullptr || std::none_of(shard->nodes.begin(), shard->nodes.end(),
                                         [&](const NodeState& now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(
                                             mu_) { return now == node && MayRejoin(now); })) {
      return;
    }
    group = group_;
  }
  NoteAttempt(node.id, group == nullptr ? Revive() : RejoinNode(group.get(), node, go_on));
}

void ShardHost::DeleteWhenClosed(NodeId node, std::shared_ptr<const OpenZone> zone) {
  absl::MutexLock lock(&mu_);
  doomed_.push_back({node, std::move(zone)});
}

void ShardHost::DeleteDoomed() {
  std::vector<Doomed> closed;
  {
    absl::MutexLock lock(&mu_);
    const auto first_closed = std::stable_partition(
        doomed_.begin(), doomed_.end(),
        [this](const Doomed& doomed)
            ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return !IsClosed(doomed.node); });
    closed.assign(first_closed, doomed_.end());
    doomed_.erase(first_closed, doomed_.end());
  }
  for (const Doomed& doomed : closed) {
    if (!doomed.zone->status.ok()) continue;
    // Of all its incarnations.
    const std::string prefix = absl::StrCat("node-", doomed.node.value(), ".");
    absl::StatusOr<std::vector<std::string>> names = doomed.zone->disk->List(doomed.zone->path);
    absl::Status status = names.status();
    for (size_t i = 0; names.ok() && i < names->size(); ++i) {
      if (!absl::StartsWith((*names)[i], prefix)) continue;
      status.Update(doomed.zone->disk->DeleteTree(JoinPath(doomed.zone->path, (*names)[i])));
    }
    if (status.ok()) continue;
    context_->log(LogLevel::kWarning, absl::StrCat(doomed.node.ToString(),
                                                   " could not be deleted: ", status.message()));
  }
}

void ShardHost::NoteAttempt(NodeId node, const absl::Status& status) {
  if (!status.ok()) {
    context_->log(LogLevel::kWarning,
                  absl::StrCat(id_.ToString(), ": ", node.ToString(),
                               " could not be brought back: ", status.message()));
  }
  absl::MutexLock lock(&mu_);
  if (status.ok()) {
    attempts_.erase(node);
    absent_.erase(node);
    return;
  }
  absent_[node] = {status, 0, 0};
  Attempts& attempts = attempts_[node];
  attempts.delay = std::min(std::max(attempts.delay * 2, kFirstRetry), kLastRetry);
  attempts.next = absl::Now() + attempts.delay;
}

void ShardHost::AddTo(NodeStats* node) const {
  absl::MutexLock lock(&mu_);
  const auto absent = absent_.find(node->info.id);
  if (absent == absent_.end()) return;
  node->failure = absent->second.why;
  node->copied_bytes = absent->second.copied_bytes;
  node->bytes_to_copy = absent->second.bytes_to_copy;
}

void ShardHost::TellOfDrop(NodeId node, const absl::Status& why) {
  {
    absl::MutexLock lock(&mu_);
    absent_[node].why = why;
  }
  context_->log(LogLevel::kWarning, absl::StrCat(id_.ToString(), ": ", node.ToString(),
                                                 " is not in sync: ", why.message()));
  context_->tell([node, why](EventListener* listener) { listener->OnNodeOutOfSync(node, why); });
}

bool ShardHost::WantsReclaim() {
  absl::MutexLock lock(&mu_);
  if (!to_retire_.empty() || !doomed_.empty()) return true;
  if (group_ != nullptr && group_->copies()->HasDropped()) return true;
  return reclaiming_ || (!stopped_.empty() && group_ != nullptr);
}

void ShardHost::Reclaim() {
  if (const std::shared_ptr<Group> group = this->group(); group != nullptr) {
    // One that was stopped while it came back.
    for (const Copies::CopyInfo& copy : group->copies()->InSync()) {
      if (copy.failure.ok() && IsStopped(copy.id)) StopNode(copy.id).IgnoreError();
    }
    for (Copies::Dropped& dropped : group->copies()->TakeDropped()) {
      TellOfDrop(dropped.copy.id, dropped.why);
      const absl::Status damage =
          absl::IsDataLoss(dropped.why) ? dropped.why : dropped.copy.local->node()->Damage();
      if (!damage.ok()) {
        NoteRebuild(dropped.copy.id, {damage, /*damaged=*/true, dropped.copy.incarnation});
      }
      dropped_.push_back(std::move(dropped.copy));
    }
  }
  {
    absl::MutexLock lock(&mu_);
    for (std::shared_ptr<Group>& group : to_retire_) retired_.push_back(std::move(group));
    to_retire_.clear();
    reclaiming_ = !dropped_.empty() || !retired_.empty();
  }
  if (!dropped_.empty() || !retired_.empty()) {
    absl::MutexLock lock(context_->gate_mu);
    if (!context_->gate->AwaitRunningCalls(absl::Now() + kClosePatience)) return;
    dropped_.clear();
    retired_.clear();
  }
  {
    absl::MutexLock lock(&mu_);
    reclaiming_ = false;
  }
  DeleteDoomed();
}

// No copy is served, and one that is in sync may be opened again.
absl::Status ShardHost::Revive() {
  const std::shared_ptr<const ClusterState> state = context_->keeper->Current();
  OpenLogs(*state, *state->FindShard(id_));
  bool can_force = false;
  const absl::Status status = Recover(&can_force);
  return status.ok() ? ServeRecovered(*state->FindShard(id_)) : status;
}

// The shard, which was as `before`, goes on with the copies that were recovered.
absl::Status ShardHost::ServeRecovered(const ShardState& before) {
  ShardState shard = before;
  ApplyTo(&shard);
  absl::Status status = membership_.ChangeFrom(MembershipOf(before), MembershipOf(shard),
                                               context_->options->operation_timeout);
  if (status.ok()) status = Serve(shard);
  if (!status.ok()) {
    ForgetRecovering();
    return status;
  }
  {
    absl::MutexLock lock(&mu_);
    context_->router->SetGroup(id_, group_.get(), status_);
  }
  context_->tell_topology();
  return absl::OkStatus();
}

absl::Status ShardHost::RejoinNode(Group* group, const NodeState& node,
                                   absl::FunctionRef<absl::Status()> go_on) {
  const std::shared_ptr<const ClusterState> state = context_->keeper->Current();
  const ShardState& shard = *state->FindShard(id_);
  const std::shared_ptr<OpenZone> zone = context_->FindZone(node.zone);
  if (!zone->status.ok()) return zone->status;  // since it was chosen
  NodeOptions options = context_->MakeNodeOptions(*state, shard, node, zone.get());
  const std::shared_ptr<LocalReplica> primary = group->copies()->InSync().front().local;
  // It is replaced, if it can be; then the next attempt is made with another.
  const auto damaged_primary_goes = [&] {
    return !primary->node()->Damage().ok() && group->copies()->FailDamaged(primary->node());
  };
  const auto may_go_on = [&] {
    if (IsStopped(node.id)) return absl::CancelledError("it was stopped");
    if (this->group().get() != group) return absl::CancelledError("no copy serves any more");
    if (context_->FindZone(node.zone) != zone) return absl::CancelledError("its zone was stopped");
    if (damaged_primary_goes()) return absl::CancelledError("the primary is damaged");
    return go_on();
  };
  JoiningCopy joining;
  joining.id = node.id;
  joining.incarnation = node.incarnation;
  joining.zone = node.zone;
  Rebuild rebuild = KnownRebuild(node.id);
  absl::StatusOr<std::unique_ptr<Node>> opened = absl::UnknownError("it was not opened");
  if (rebuild.why.ok()) {
    opened = OpenToCatchUp(options, *group->copies(), primary->node()->log());
    rebuild = WhyAnew(opened.status(), node, *zone);
  }
  const bool anew = !rebuild.why.ok();
  std::optional<Log::Pin> pin;  // what the new copy lacks
  if (anew) {
    context_->log(LogLevel::kInfo,
                  absl::StrCat(node.id.ToString(), " is built anew: ", rebuild.why.message()));
    ++joining.incarnation;
    options.directory = zone->directory->NodePath(node.id, joining.incarnation);
    // An earlier attempt may have come so far.
    if (rebuild.incarnation < joining.incarnation) {
      opened = OpenToCatchUp(options, *group->copies(), primary->node()->log());
    }
  }
  if (anew && !opened.ok()) {
    absl::StatusOr<Log::Pin> copied =
        Node::CreateCopy(options, primary->node(), [&](uint64_t copied, uint64_t whole) {
          {
            absl::MutexLock lock(&mu_);
            Absence& absence = absent_[node.id];
            absence.copied_bytes = copied;
            absence.bytes_to_copy = whole;
          }
          return may_go_on();
        });
    if (!copied.ok()) return copied.status();
    pin = *std::move(copied);
    opened = Node::Open(options);
    if (!opened.ok()) return opened.status();
    if (absl::Status s = (*opened)->Recover(context_->clock); !s.ok()) return s;
  }
  if (!opened.ok()) return opened.status();
  joining.node = *std::move(opened);
  const uint32_t incarnation = joining.incarnation;
  const absl::Status status = JoinCopy(
      group, std::move(joining),
      [&](std::unique_ptr<Node> joined) { return Wrap(node.id, zone, std::move(joined)); },
      may_go_on);
  if (absl::IsDataLoss(status) && !damaged_primary_goes()) {
    // What it has is damaged; or the log of the only copy that there is, and a snapshot of the
    // store may do without the damaged part.
    const bool damaged = primary->node()->Damage().ok() || rebuild.damaged;
    NoteRebuild(node.id, {status, damaged, incarnation});
  }
  if (!status.ok()) return status;
  if (IsStopped(node.id)) return StopNode(node.id);  // meanwhile
  TellOfReturn(node.id, rebuild);
  // Nothing names them any more. What cannot be deleted now is at the next Open.
  for (uint32_t i = 1; i < incarnation; ++i) {
    zone->disk->DeleteTree(zone->directory->NodePath(node.id, i)).IgnoreError();
  }
  return status;
}

// Whether what was opened, with this outcome, can be used; or what there is instead.
ShardHost::Rebuild ShardHost::WhyAnew(const absl::Status& opened, const NodeState& node,
                                      const OpenZone& zone) {
  Rebuild rebuild;
  if (!absl::IsDataLoss(opened) && !absl::IsNotFound(opened) && !absl::IsOutOfRange(opened)) {
    return rebuild;
  }
  rebuild.why = opened;
  rebuild.incarnation = node.incarnation;
  // If there is nothing at all it is a new one, or its disk is. An earlier incarnation alone was
  // found damaged, by a process that has ended since.
  for (uint32_t i = 1; absl::IsDataLoss(opened) && i <= node.incarnation; ++i) {
    rebuild.damaged = rebuild.damaged || zone.disk->Exists(zone.directory->NodePath(node.id, i));
  }
  return rebuild;
}

ShardHost::Rebuild ShardHost::KnownRebuild(NodeId node) const {
  absl::MutexLock lock(&mu_);
  const auto it = rebuilds_.find(node);
  return it == rebuilds_.end() ? Rebuild() : it->second;
}

void ShardHost::NoteRebuild(NodeId node, const Rebuild& rebuild) {
  absl::MutexLock lock(&mu_);
  rebuilds_[node] = rebuild;
}

void ShardHost::TellOfReturn(NodeId node, const Rebuild& rebuild) {
  {
    absl::MutexLock lock(&mu_);
    rebuilds_.erase(node);
  }
  context_->log(LogLevel::kInfo,
                absl::StrCat(id_.ToString(), ": ", node.ToString(), " is in sync again",
                             rebuild.damaged ? ", repaired" : ""));
  context_->tell([node, rebuilt = !rebuild.why.ok()](EventListener* listener) {
    listener->OnNodeInSync(node, rebuilt);
  });
  if (!rebuild.damaged) return;
  ++repairs_;
  context_->tell([node, damage = rebuild.why](EventListener* listener) {
    listener->OnNodeRepaired(node, damage);
  });
}

// DataLoss: what it has is damaged, or gone. OutOfRange: its log is not a beginning of the shard's,
// or it cannot be told whether it is.
absl::StatusOr<std::unique_ptr<Node>> ShardHost::OpenToCatchUp(const NodeOptions& options,
                                                               const Copies& copies,
                                                               const Log& log) const {
  absl::StatusOr<std::unique_ptr<Node>> node = Node::Open(options);
  if (!node.ok()) return node;
  const LogPosition last = (*node)->log().last();
  if (copies.committed() < last.index) {
    return absl::OutOfRangeError(
        absl::StrCat("its log has record ", last.index.ToString(), ", the shard's ends before"));
  }
  absl::Status status = CheckHas(log, last);
  if (absl::IsDataLoss(status)) return absl::OutOfRangeError(status.message());
  if (status.ok()) status = (*node)->Recover(context_->clock);
  if (!status.ok()) return status;
  return node;
}

bool ShardHost::IsStopped(NodeId node) const {
  absl::MutexLock lock(&mu_);
  return stopped_.count(node) != 0;
}

absl::Status ShardHost::StopNode(NodeId node) {
  {
    absl::MutexLock lock(&mu_);
    stopped_.insert(node);
  }
  const std::shared_ptr<Group> group = this->group();
  if (group == nullptr) return absl::OkStatus();
  const absl::Status why = absl::UnavailableError(absl::StrCat(node.ToString(), " was stopped"));
  group->copies()->NoteFailure(node, why);
  group->TakeCare();
  const std::vector<Copies::CopyInfo> copies = group->copies()->InSync();
  const bool dropped = std::none_of(copies.begin(), copies.end(),
                                    [node](const auto& copy) { return copy.id == node; });
  if (dropped) return absl::OkStatus();
  const bool none_left = std::none_of(copies.begin(), copies.end(),
                                      [](const auto& copy) { return copy.failure.ok(); });
  if (!none_left) {
    return absl::UnavailableError(
        absl::StrCat(node.ToString(), " is not dropped yet: ", group->WriteError().message()));
  }
  // The last one. It stays in sync, but nobody serves it.
  absl::MutexLock lock(&mu_);
  if (group_ == group) RetireLocked(why);
  return absl::OkStatus();
}

// There is a group. It is served no more.
void ShardHost::RetireLocked(const absl::Status& why) {
  status_ = why;
  last_group_ = group_;
  acknowledged_ = group_->copies()->committed();
  to_retire_.push_back(std::move(group_));
  group_ = nullptr;
  context_->router->SetGroup(id_, nullptr, why);
}

void ShardHost::StartNode(NodeId node) {
  absl::MutexLock lock(&mu_);
  stopped_.erase(node);
  attempts_.erase(node);
}

}  // namespace slotkv
