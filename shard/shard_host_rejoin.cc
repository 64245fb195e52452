// Copies that are brought back: they catch up from the primary's log, or are built anew.
#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "replication/catch_up.h"
#include "replication/join.h"
#include "shard/shard_host.h"

namespace slotkv {
namespace {

constexpr absl::Duration kFirstRetry = absl::Milliseconds(100);
constexpr absl::Duration kLastRetry = absl::Seconds(10);

}  // namespace

// Without a group any copy that is in sync will do; with one, those that are not are wanted. None
// that is stopped, or in a zone that is down.
bool ShardHost::WantsBack(const NodeState& node) const {
  return node.in_sync != (group_ != nullptr) && stopped_.count(node.id) == 0 &&
         context_->FindZone(node.zone)->status.ok();
}

std::vector<NodeState> ShardHost::ToRejoin() const {
  std::vector<NodeState> nodes;
  const std::shared_ptr<const ClusterState> state = context_->keeper->Current();
  const ShardState* const shard = state->FindShard(id_);
  if (shard == nullptr) return nodes;
  absl::MutexLock lock(&mu_);
  for (const NodeState& node : shard->nodes) {
    if (!WantsBack(node) || !IsClosed(node)) continue;
    const auto attempts = attempts_.find(node.id);
    if (attempts == attempts_.end() || attempts->second.next <= absl::Now()) nodes.push_back(node);
  }
  return nodes;
}

// Nothing has come in between, a promotion by force for one. What it is to join; null: it is to be
// revived.
std::optional<std::shared_ptr<Group>> ShardHost::GroupToJoin(const NodeState& node) const {
  const std::shared_ptr<const ClusterState> state = context_->keeper->Current();
  const ShardState* const shard = state->FindShard(id_);
  if (shard == nullptr) return std::nullopt;
  absl::MutexLock lock(&mu_);
  for (const NodeState& now : shard->nodes) {
    if (now == node && WantsBack(now)) return group_;
  }
  return std::nullopt;
}

void ShardHost::Rejoin(const NodeState& node, absl::FunctionRef<absl::Status()> go_on) {
  if (group() == nullptr) {
    const Turn turn(this, absl::ZeroDuration());
    if (!turn.taken()) return;  // it will be asked for again
    const std::optional<std::shared_ptr<Group>> group = GroupToJoin(node);
    if (group.has_value() && *group == nullptr) NoteAttempt(node.id, Revive());
    return;
  }
  Place place;
  place.zone = context_->FindZone(node.zone);
  place.claim = claims_.Take(node.id, place.zone);
  if (place.claim == nullptr) return;
  const std::optional<std::shared_ptr<Group>> group = GroupToJoin(node);
  if (!group.has_value() || *group == nullptr) return;
  NoteAttempt(node.id, RejoinNode(group->get(), node, place, go_on));
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

absl::Status ShardHost::RejoinNode(Group* group, const NodeState& node, const Place& place,
                                   absl::FunctionRef<absl::Status()> go_on) {
  const std::shared_ptr<const ClusterState> state = context_->keeper->Current();
  const ShardState& shard = *state->FindShard(id_);
  const std::shared_ptr<OpenZone>& zone = place.zone;
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
  joining.disk = zone->state.id.value();
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
      [&](std::unique_ptr<Node> joined) { return Wrap(place, std::move(joined)); }, may_go_on);
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

// What is known to be damaged is to be built anew, should another copy go on without it.
void ShardHost::NoteDamageOf(const Group& group) {
  for (const Copies::CopyInfo& copy : group.copies()->InSync()) {
    const absl::Status damage =
        absl::IsDataLoss(copy.failure) ? copy.failure : copy.local->node()->Damage();
    if (!damage.ok()) NoteRebuild(copy.id, {damage, /*damaged=*/true, copy.incarnation});
  }
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
  RaiseClock(**node);
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

}  // namespace slotkv
