#include "replication/copies.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/check.h"

namespace slotkv {

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

// For those whose records certainly have not been written.
absl::Status Copies::Refusal(const absl::Status& why) {
  return why.ok() || absl::IsResourceExhausted(why) ? why : absl::UnavailableError(why.message());
}

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

void Copies::End(const absl::Status& why) {
  ended_.Update(why);
  needs_care_.store(true, std::memory_order_release);
}

void Copies::RemoveTap(const RecordTap* tap) {
  taps_.erase(std::remove_if(taps_.begin(), taps_.end(),
                             [tap](const auto& other) { return other.get() == tap; }),
              taps_.end());
}

uint64_t Copies::UnsyncedForMs() const {
  uint64_t longest = 0;
  for (const std::shared_ptr<Member>& member : in_sync_) {
    if (member->copy.local == nullptr) continue;
    longest = std::max(longest, member->copy.local->node()->UnsyncedForMs());
  }
  return longest;
}

}  // namespace slotkv
