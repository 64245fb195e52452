#include "replication/join.h"

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "replication/catch_up.h"
#include "replication/copies.h"
#include "replication/record_tap.h"

namespace slotkv {
namespace {

// So near the end, what is left comes out of memory.
constexpr uint64_t kNearRecords = 10'000;
constexpr int kMaxRounds = 50;
// What may be appended while writers wait: the more, the longer it takes to get so near.
constexpr size_t kFirstLastBytes = size_t{64} << 10;
constexpr size_t kMaxLastBytes = size_t{4} << 20;
constexpr absl::Duration kFeedTimeout = absl::Seconds(60);

absl::Status TooSlow(NodeId id) {
  return absl::UnavailableError(
      absl::StrCat(id.ToString(), " does not catch up with what is being written"));
}

// However long its turn takes to come.
void AsLeader(Group* group, absl::FunctionRef<void()> task) {
  const auto run = [&] {
    task();
    return absl::OkStatus();
  };
  while (!group->RunAsLeader(run).ok()) {
  }
}

// For a replica that nobody else appends to yet, and that has room in its log: its store gets the
// committed records behind its back.
absl::Status Feed(RecordBuffer* buffer, LocalReplica* replica) {
  if (buffer->empty()) return absl::OkStatus();
  const absl::Span<const Record> records = buffer->View();
  const absl::Status status = replica->AppendNow(replica->node()->log().last(), records);
  if (status.ok()) replica->Commit(records.back().position.index);
  return status;
}

absl::Status FeedInTime(RecordBuffer* buffer, LocalReplica* replica) {
  size_t bytes = 0;
  for (const Record& record : buffer->View()) bytes += EncodedRecordSize(record.payload.size());
  absl::Status status = replica->Reserve(bytes, kFeedTimeout);
  if (status.ok()) status = Feed(buffer, replica);
  return status.ok() ? replica->applier()->AwaitRoom(kFeedTimeout) : status;
}

}  // namespace

absl::Status JoinCopy(Group* group, JoiningCopy joining,
                      absl::FunctionRef<std::shared_ptr<LocalReplica>(std::unique_ptr<Node>)> make,
                      absl::FunctionRef<absl::Status()> go_on) {
  Copies* const copies = group->copies();
  Node* const node = joining.node.get();
  const std::shared_ptr<LocalReplica> source = copies->InSync().front().local;
  const Log& log = source->node()->log();
  absl::StatusOr<Log::Pin> pin = log.PinFrom(node->log().last().index.Next());
  // Truncated away meanwhile: no damage.
  if (!pin.ok()) return absl::UnavailableError(pin.status().message());
  for (int round = 0;; ++round) {
    const LogIndex target = copies->committed();
    const LogIndex last = node->log().last().index;
    if (target < last || target.value() - last.value() <= kNearRecords) break;
    if (round == kMaxRounds) return TooSlow(joining.id);
    if (absl::Status s = CatchUp(log, target, node, /*apply=*/true, go_on); !s.ok()) return s;
    pin->Advance(node->log().last().index.Next());
  }

  const auto tap = std::make_shared<RecordTap>();
  LogIndex tapped_from;
  absl::Status status = group->RunAsLeader([&]() -> absl::Status {
    if (absl::Status prepared = copies->Prepare(); !prepared.ok()) return prepared;
    if (copies->primary() != source->node()) {
      return absl::UnavailableError("the primary has changed meanwhile");
    }
    copies->AddTap(tap);
    tapped_from = copies->last().index;
    return absl::OkStatus();
  });
  if (!status.ok()) return status;
  absl::Cleanup remove_tap = [&] { AsLeader(group, [&] { copies->RemoveTap(tap.get()); }); };
  if (absl::Status s = CatchUp(log, tapped_from, node, /*apply=*/true, go_on); !s.ok()) return s;

  Copy copy;
  copy.id = joining.id;
  copy.incarnation = joining.incarnation;
  copy.zone = joining.zone;
  copy.disk = joining.disk;
  copy.local = make(std::move(joining.node));
  copy.link = copy.local;
  RecordBuffer buffer;
  bool is_learner = false;
  size_t last_bytes = kFirstLastBytes;
  for (int round = 0; !is_learner; ++round, last_bytes = std::min(2 * last_bytes, kMaxLastBytes)) {
    if (!tap->Take(&buffer) || round == kMaxRounds) return TooSlow(joining.id);
    if (absl::Status s = FeedInTime(&buffer, copy.local.get()); !s.ok()) return s;
    if (absl::Status s = go_on(); !s.ok()) return s;
    if (buffer.bytes() > last_bytes) continue;
    if (absl::Status s = copy.local->Reserve(2 * last_bytes, kFeedTimeout); !s.ok()) return s;
    status = group->RunAsLeader([&]() -> absl::Status {
      if (absl::Status prepared = copies->Prepare(); !prepared.ok()) return prepared;
      if (!tap->Take(&buffer)) return TooSlow(joining.id);
      if (buffer.bytes() > last_bytes) return absl::OkStatus();  // not while writers wait
      if (absl::Status s = Feed(&buffer, copy.local.get()); !s.ok()) return s;
      is_learner = true;
      return copies->AddLearner(copy);
    });
    if (!status.ok()) return status;
    if (is_learner) break;
    if (absl::Status s = FeedInTime(&buffer, copy.local.get()); !s.ok()) return s;
  }
  std::move(remove_tap).Invoke();

  status = copy.local->node()->Sync();
  if (status.ok()) {
    status = group->RunAsLeader([&]() -> absl::Status {
      if (absl::Status s = go_on(); !s.ok()) return s;
      const absl::Status prepared = copies->Prepare();
      return prepared.ok() ? copies->Join(joining.id) : prepared;
    });
    if (status.ok() || absl::IsDeadlineExceeded(status)) return status;
  }
  AsLeader(group, [&] { copies->RemoveLearner(joining.id); });
  return status;
}

}  // namespace slotkv
