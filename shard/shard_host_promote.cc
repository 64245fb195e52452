// Promotions, by force too.
//
// By force, a copy that is not in sync goes on alone with what its log has, and the shard's history
// is from then on this one. In this order, so that a crash leaves the one or the other:
//
//   its log opened, its store recovered from it ─▶ the last group ended, so that nobody is told of
//     a write any more ─▶ the topology: it alone is in sync, and the primary of a new epoch,
//     durably ─▶ Serve
#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/text.h"
#include "replication/loss.h"
#include "shard/shard_host.h"

namespace slotkv {
namespace {

// One that has not failed; nullopt: there is none.
std::optional<NodeId> HealthyOf(const Group& group) {
  for (const Copies::CopyInfo& copy : group.copies()->InSync()) {
    if (copy.failure.ok()) return copy.id;
  }
  return std::nullopt;
}

bool IsOutOfSync(const ShardState& shard, NodeId id) {
  return std::any_of(shard.nodes.begin(), shard.nodes.end(),
                     [id](const NodeState& node) { return node.id == id && !node.in_sync; });
}

}  // namespace

ShardHost::Turn::Turn(ShardHost* host, absl::Duration patience) : host_(host) {
  const auto is_free = [host]()
                           ABSL_SHARED_LOCKS_REQUIRED(host->mu_) { return !host->turn_taken_; };
  absl::MutexLock lock(&host->mu_);
  taken_ = host->mu_.AwaitWithTimeout(absl::Condition(&is_free), patience);
  if (taken_) host->turn_taken_ = true;
}

ShardHost::Turn::~Turn() {
  if (!taken_) return;
  absl::MutexLock lock(&host_->mu_);
  host_->turn_taken_ = false;
}

absl::Status ShardHost::Promote(std::optional<NodeId> node, bool force) {
  const absl::Status status = PromoteAny(node, force);
  if (status.ok() || absl::StrContains(status.message(), id_.ToString())) return status;
  return absl::Status(status.code(), absl::StrCat(id_.ToString(), ": ", status.message()));
}

absl::Status ShardHost::PromoteAny(std::optional<NodeId> node, bool force) {
  if (const std::shared_ptr<Group> group = this->group();
      group != nullptr && HealthyOf(*group).has_value()) {
    return PromoteServed(group.get(), node);
  }
  const Turn turn(this, context_->options->operation_timeout);
  if (!turn.taken()) {
    return absl::UnavailableError("a copy is being brought back, which takes its time");
  }
  const absl::Cleanup close_copies = [this] { ForgetRecovering(); };
  // Another may have brought a copy back meanwhile.
  if (const std::shared_ptr<Group> group = this->group();
      group != nullptr && HealthyOf(*group).has_value()) {
    return PromoteServed(group.get(), node);
  }
  return PromoteUnserved(node, force);
}

absl::Status ShardHost::PromoteServed(Group* group, std::optional<NodeId> node) {
  const std::shared_ptr<const ClusterState> state = context_->keeper->Current();
  const ShardState* const shard = state->FindShard(id_);
  const std::optional<NodeId> healthy = HealthyOf(*group);
  if (node.has_value() && healthy.has_value() && IsOutOfSync(*shard, *node)) {
    return absl::FailedPreconditionError(absl::StrCat(
        node->ToString(), " is not in sync, ", healthy->ToString(),
        " is, and serves: a promotion would lose writes for nothing; wait until ", node->ToString(),
        " is in sync, or stop ", healthy->ToString(), " if it cannot go on"));
  }
  return group->Promote(node);
}

absl::Status ShardHost::PromoteUnserved(std::optional<NodeId> node, bool force) {
  const std::shared_ptr<const ClusterState> state = context_->keeper->Current();
  const ShardState& shard = *state->FindShard(id_);
  const std::shared_ptr<Group> failed = group();
  if (absl::Status status = AwaitsClosing(shard, node); !status.ok()) return status;
  ReopenLogs(*state, shard);
  const bool maybe = std::any_of(recovering_.begin(), recovering_.end(),
                                 [](const auto& copy) { return copy.in_sync && copy.status.ok(); });
  if (failed != nullptr) {
    NoteFailuresOf(*failed);
  } else if (maybe) {
    // Nothing is lost with a copy that is in sync.
    if (RecoverCopies(absl::MakeSpan(recovering_), context_->clock).ok()) {
      if (absl::Status status = ServeRecovered(shard); !status.ok()) return status;
      const std::shared_ptr<Group> revived = group();
      return revived == nullptr ? status() : PromoteServed(revived.get(), node);
    }
    std::vector<absl::Status> why;
    for (const RecoveringCopy& copy : recovering_) why.push_back(copy.status);
    ReopenLogs(*state, shard);
    for (size_t i = 0; i < why.size(); ++i) {
      if (recovering_[i].in_sync) recovering_[i].status.Update(why[i]);
    }
  }
  const absl::StatusOr<RecoveringCopy*> chosen = Choose(shard, node);
  if (!chosen.ok()) return chosen.status();
  if (!force) {
    return absl::FailedPreconditionError(
        DescribeLoss(id_, **chosen, recovering_,
                     failed != nullptr ? std::optional<LogIndex>(failed->copies()->committed())
                                       : acknowledged()));
  }
  return Force(shard, *chosen);
}

// Aborted: a copy that could be promoted by force still has its files open.
absl::Status ShardHost::AwaitsClosing(const ShardState& shard, std::optional<NodeId> node) {
  absl::MutexLock lock(&mu_);
  for (const NodeState& candidate : shard.nodes) {
    if (candidate.in_sync || (node.has_value() && candidate.id != *node)) continue;
    if (IsClosed(candidate) || stopped_.count(candidate.id) != 0) continue;
    return absl::AbortedError(
        absl::StrCat(candidate.id.ToString(), ": its files are still in use"));
  }
  return absl::OkStatus();
}

// They are why its copies are not opened.
void ShardHost::NoteFailuresOf(const Group& group) {
  for (const Copies::CopyInfo& info : group.copies()->InSync()) {
    for (RecoveringCopy& copy : recovering_) {
      if (copy.id == info.id && !info.failure.ok()) copy.status = info.failure;
    }
  }
}

// The copy to be promoted by force, of those in recovering_.
absl::StatusOr<RecoveringCopy*> ShardHost::Choose(const ShardState& shard,
                                                  std::optional<NodeId> node) {
  std::vector<std::string> others;
  for (size_t i = 0; i < recovering_.size(); ++i) {
    RecoveringCopy& copy = recovering_[i];
    if (node.has_value() && copy.id != *node) continue;
    if (copy.in_sync) {
      others.push_back(absl::StrCat(copy.id.ToString(),
                                    " is in sync, but cannot be served: ", copy.status.message()));
      continue;
    }
    if (copy.status.ok() && !HasRecords(copy)) {
      copy.status = absl::FailedPreconditionError(
          absl::StrCat(copy.node->directory(), ": it has no records to go on with"));
    }
    if (copy.status.ok()) {
      if (node.has_value()) return &copy;
      continue;
    }
    const std::string text = absl::StrCat(copy.id.ToString(), ": ", copy.status.message());
    if (node.has_value()) return absl::Status(copy.status.code(), text);
    others.push_back(text);
  }
  RecoveringCopy* const last =
      node.has_value() ? nullptr : LastOutOfSync(absl::MakeSpan(recovering_));
  if (last != nullptr) return last;
  if (others.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(node->ToString(), " is no copy of ", shard.id.ToString()));
  }
  return absl::UnavailableError(
      absl::StrCat("no copy can be promoted: ", absl::StrJoin(others, "; ")));
}

absl::Status ShardHost::Force(const ShardState& before, RecoveringCopy* chosen) {
  const NodeId id = chosen->id;
  const LogPosition last = chosen->node->log().last();
  for (RecoveringCopy& copy : recovering_) {
    if (&copy == chosen) continue;
    copy.node.reset();
    copy.status.Update(
        absl::UnavailableError(absl::StrCat(id.ToString(), " was promoted by force")));
  }
  chosen->in_sync = true;
  absl::Status status = RecoverCopies(absl::MakeSpan(recovering_), context_->clock);
  if (status.ok()) status = EndLastGroup();
  if (!status.ok()) return status;
  const auto text = [&](std::string_view what) {
    return absl::StrCat(id_.ToString(), ": ", id.ToString(), ToAbsl(what),
                        "; forced: records after ", PositionText(last), " may be lost");
  };
  status = ServeRecovered(before);
  if (status.ok()) {
    context_->log(LogLevel::kWarning, text(" is the primary now"));
    return status;
  }
  const std::shared_ptr<const ClusterState> now = context_->keeper->Current();
  const ShardState* const shard = now->FindShard(id_);
  if (absl::IsDeadlineExceeded(status) || !IsOutOfSync(*shard, id)) {
    status = absl::DeadlineExceededError(absl::StrCat(
        text(" may be the primary now, and then is served by itself"), ": ", status.message()));
    context_->log(LogLevel::kWarning, std::string(status.message()));
  }
  return status;
}

// Nobody is told of a write any more, whoever still waits for one.
absl::Status ShardHost::EndLastGroup() {
  std::shared_ptr<Group> last;
  {
    absl::MutexLock lock(&mu_);
    if (group_ != nullptr) RetireLocked(group_->WriteError());
    last = last_group_.lock();
  }
  if (last == nullptr) return absl::OkStatus();
  NoteDamageOf(*last);
  return last->End(absl::UnavailableError("another copy is promoted by force"));
}

}  // namespace slotkv
