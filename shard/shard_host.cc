#include "shard/shard_host.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/check.h"
#include "engine/text.h"
#include "replication/loss.h"

namespace slotkv {
namespace {

// How long calls that may read a copy that was dropped are waited for at a time.
constexpr absl::Duration kClosePatience = absl::Minutes(1);

// How often it is looked whether a zone in which something hangs was stopped.
constexpr absl::Duration kLook = absl::Milliseconds(10);

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
  OpenLogsWith(state, shard, [](const NodeOptions& options, bool /*in_sync*/, Place* /*place*/) {
    return Node::Open(options);
  });
}

void ShardHost::ReopenLogs(const ClusterState& state, const ShardState& shard) {
  OpenLogsWith(state, shard, [this](const NodeOptions& options, bool in_sync, Place* place) {
    // It will do without one that is not.
    const absl::Duration patience =
        in_sync ? absl::InfiniteDuration() : context_->options->operation_timeout;
    return OpenAside(options, absl::Now() + patience, place);
  });
}

// On a thread of the zone. If the disk hangs it is waited for until the deadline, or until the zone
// is stopped or replaced; what comes later is closed.
absl::StatusOr<std::unique_ptr<Node>> ShardHost::OpenAside(const NodeOptions& options,
                                                           absl::Time deadline, Place* place) {
  struct Opening {
    absl::Mutex mu;
    std::optional<absl::StatusOr<std::unique_ptr<Node>>> node ABSL_GUARDED_BY(mu);
    std::shared_ptr<NodeClaims::Claim> claim ABSL_GUARDED_BY(mu);  // nobody waits any more
  };
  const auto opening = std::make_shared<Opening>();
  place->zone->closers.Schedule([opening, options, zone = place->zone] {
    absl::StatusOr<std::unique_ptr<Node>> node = Node::Open(options);
    std::shared_ptr<NodeClaims::Claim> claim;
    {
      absl::MutexLock lock(&opening->mu);
      claim = std::move(opening->claim);
      if (claim == nullptr) {
        opening->node = std::move(node);
        return;
      }
    }
    node = absl::CancelledError("");  // closed before the claim is given back
  });
  const auto opened = [&opening]() ABSL_SHARED_LOCKS_REQUIRED(opening->mu) {
    return opening->node.has_value();
  };
  const std::string& name = place->zone->state.name;
  absl::MutexLock lock(&opening->mu);
  while (true) {
    const absl::Time look = std::min(deadline, absl::Now() + kLook);
    if (opening->mu.AwaitWithDeadline(absl::Condition(&opened), look)) {
      return *std::move(opening->node);
    }
    const bool gone = context_->FindZone(name) != place->zone;
    if (!gone && absl::Now() < deadline) continue;
    opening->claim = std::move(place->claim);
    return absl::UnavailableError(
        absl::StrCat(options.directory, gone ? ": its zone was stopped" : ": does not answer"));
  }
}

void ShardHost::OpenLogsWith(const ClusterState& state, const ShardState& shard, Opener open) {
  ForgetRecovering();
  for (const NodeState& node_state : shard.nodes) {
    RecoveringCopy& copy = recovering_.emplace_back();
    copy.id = node_state.id;
    copy.in_sync = node_state.in_sync;
    Place& place = places_.emplace_back();
    place.zone = context_->FindZone(node_state.zone);
    copy.status = Claim(node_state, &place);
    // Of those in sync it may be all that is left.
    if (const Rebuild known = KnownRebuild(copy.id); !copy.in_sync && known.damaged) {
      copy.status.Update(known.why);
    }
    if (!copy.status.ok()) continue;
    absl::StatusOr<std::unique_ptr<Node>> node =
        open(context_->MakeNodeOptions(state, shard, node_state, place.zone.get()),
             node_state.in_sync, &place);
    copy.status = node.status();
    if (node.ok()) RaiseClock(**node);
    if (node.ok()) copy.node = *std::move(node);
    // Its log can be looked at.
    if (node.ok() && IsStopped(copy.id)) copy.status = absl::UnavailableError(kStopped);
  }
}

void ShardHost::ForgetRecovering() {
  recovering_.clear();  // before their claims, and the zones they are in
  places_.clear();
}

absl::Status ShardHost::Claim(const NodeState& node, Place* place) {
  const OpenZone& zone = *place->zone;
  if (!zone.status.ok()) {
    return absl::UnavailableError(
        absl::StrCat("zone ", zone.state.name, " is down: ", zone.status.message()));
  }
  place->claim = claims_.Take(node.id, place->zone);
  if (place->claim != nullptr) return absl::OkStatus();
  return absl::UnavailableError(IsStopped(node.id) ? kStopped : "its files are still in use");
}

// Before anything is read of the node: what had expired by its log stays so.
void ShardHost::RaiseClock(const Node& node) const {
  // At Open there is none yet: it begins at the highest of all.
  if (context_->clock != nullptr) context_->clock->RaiseTo(node.highest_clock_ms());
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

// Copies that are known to be damaged are not served if there is another; else they are, and still
// known to be.
void ShardHost::PassOverDamaged() {
  const auto is_sound = [this](const RecoveringCopy& copy) {
    return copy.status.ok() && !KnownRebuild(copy.id).damaged;
  };
  const bool sound_left = std::any_of(recovering_.begin(), recovering_.end(), is_sound);
  for (RecoveringCopy& copy : recovering_) {
    if (!copy.status.ok() || is_sound(copy)) continue;
    const absl::Status damage = copy.node->store().damage().Pass(KnownRebuild(copy.id).why);
    if (sound_left) copy.status = damage;
  }
}

// With the copies that were recovered.
Membership ShardHost::NextMembership(const ShardState& shard) const {
  Membership membership;
  membership.epoch = shard.epoch.Next();
  for (size_t i = 0; i < recovering_.size(); ++i) {
    const NodeState& node = shard.nodes[i];
    if (!recovering_[i].status.ok()) {
      const Rebuild known = KnownRebuild(node.id);
      if (known.damaged) membership.discarded.push_back({node.id, known.incarnation + 1});
      continue;
    }
    membership.in_sync.push_back({node.id, node.incarnation, places_[i].zone->state.id.value()});
    // It stays the primary if it can.
    if (membership.in_sync.size() == 1 || node.role == Role::kPrimary) membership.primary = node.id;
  }
  return membership;
}

void ShardHost::ApplyTo(ShardState* shard) const { ApplyMembership(NextMembership(*shard), shard); }

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
    copy.disk = places_[i].zone->state.id.value();
    copy.local = Wrap(places_[i], std::move(recovering_[i].node));
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
std::shared_ptr<LocalReplica> ShardHost::Wrap(const Place& place, std::unique_ptr<Node> node) {
  return std::shared_ptr<LocalReplica>(
      new LocalReplica(std::move(node), &place.zone->workers, &place.zone->syncers),
      [place](LocalReplica* replica) {
        place.zone->closers.Schedule([replica, place] {
          delete replica;
          place.claim->Release();
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

bool ShardHost::IsClosed(const NodeState& node) const {
  return !claims_.IsTaken(node.id, *context_->FindZone(node.zone));
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
        [this](const Doomed& doomed) { return claims_.IsTaken(doomed.node, *doomed.zone); });
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
    // Nobody reads them any more, and so finds more.
    for (const std::shared_ptr<Group>& group : retired_) NoteDamageOf(*group);
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
  ReopenLogs(*state, *state->FindShard(id_));
  bool can_force = false;
  const absl::Status status = Recover(&can_force);
  return status.ok() ? ServeRecovered(*state->FindShard(id_)) : status;
}

// The shard, which was as `before`, goes on with the copies that were recovered.
absl::Status ShardHost::ServeRecovered(const ShardState& before) {
  PassOverDamaged();
  const Membership next = NextMembership(before);
  ShardState shard = before;
  ApplyMembership(next, &shard);
  absl::Status status =
      membership_.ChangeFrom(MembershipOf(before), next, context_->options->operation_timeout);
  if (status.ok()) status = Serve(shard);
  if (!status.ok()) {
    ForgetRecovering();
    return status;
  }
  {
    absl::MutexLock lock(&mu_);
    for (const InSyncCopy& copy : next.in_sync) rebuilds_.erase(copy.id);
    context_->router->SetGroup(id_, group_.get(), status_);
  }
  context_->tell_topology();
  return absl::OkStatus();
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
