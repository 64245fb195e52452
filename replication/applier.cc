#include "replication/applier.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace slotkv {
namespace {

// Batches of so many bytes are worth a worker's while; Start takes less.
constexpr size_t kBatchBytes = Applier::kMaxLagBytes / 4;

// Buffers keep no more memory than this when they are empty.
constexpr size_t kMaxIdleBytes = 2 * Applier::kMaxLagBytes;

// What a record weighs besides its payload. The first of an epoch has no effects to wait for.
size_t WeightOf(RecordKind kind) { return kind == RecordKind::kEpochStart ? 0 : 16; }

}  // namespace

Applier::Applier(Node* node, WorkerPool* workers)
    : node_(node), workers_(workers), committed_(node->applied().value()) {}

Applier::~Applier() {
  absl::MutexLock lock(&mu_);
  const auto idle = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) { return !applying_; };
  mu_.Await(absl::Condition(&idle));
}

void Applier::Add(absl::Span<const Record> records) {
  absl::MutexLock lock(&mu_);
  size_t bytes = 0;
  for (const Record& record : records) {
    waiting_.payloads.append(record.payload.data(), record.payload.size());
    waiting_.records.push_back({record.position.index, record.kind, waiting_.payloads.size()});
    bytes += record.payload.size() + WeightOf(record.kind);
  }
  lag_bytes_.fetch_add(bytes, std::memory_order_relaxed);
}

void Applier::Commit(LogIndex index) {
  committed_.store(index.value(), std::memory_order_release);
  if (lag_bytes() >= kBatchBytes) Start();
}

absl::Status Applier::Room() const {
  absl::MutexLock lock(&mu_);
  return RoomLocked();
}

absl::Status Applier::RoomLocked() const {
  if (!status_.ok() || lag_bytes() < kMaxLagBytes) return status_;
  return absl::UnavailableError(
      absl::StrCat(node_->directory(), ": the store does not keep up with the log"));
}

absl::Status Applier::AwaitRoom(absl::Duration timeout) {
  absl::MutexLock lock(&mu_);
  StartLocked();
  const auto decided = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return !absl::IsUnavailable(RoomLocked()) || !status_.ok();
  };
  mu_.AwaitWithTimeout(absl::Condition(&decided), timeout);
  return RoomLocked();
}

void Applier::Start() {
  absl::MutexLock lock(&mu_);
  StartLocked();
}

void Applier::StartLocked() {
  // A full disk is tried again, with what could not be applied.
  const bool was_full = absl::IsResourceExhausted(status_);
  if (applying_ || (!status_.ok() && !was_full)) return;
  if (was_full || HasCommitted()) ScheduleLocked();
}

void Applier::ScheduleLocked() {
  applying_ = true;
  workers_->Schedule([this] { RunJob(); });
}

absl::Status Applier::Drain(absl::Duration timeout) {
  absl::MutexLock lock(&mu_);
  StartLocked();
  const auto done = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
    return !applying_ && (!status_.ok() || !HasCommitted());
  };
  if (!mu_.AwaitWithTimeout(absl::Condition(&done), timeout)) {
    return absl::UnavailableError(
        absl::StrCat(node_->directory(), ": the store is not brought up to the log in time"));
  }
  return status_;
}

absl::Status Applier::status() const {
  absl::MutexLock lock(&mu_);
  return status_;
}

bool Applier::HasCommitted() const {
  return !waiting_.records.empty() && waiting_.records.front().index <= committed();
}

void Applier::TakeCommitted() {
  const LogIndex committed = this->committed();
  if (waiting_.records.back().index <= committed) {
    std::swap(taken_, waiting_);
    return;
  }
  // The last write group has not been acknowledged by everybody yet.
  const auto rest =
      std::upper_bound(waiting_.records.begin(), waiting_.records.end(), committed,
                       [](LogIndex index, const Waiting& record) { return index < record.index; });
  const size_t bytes = (rest - 1)->end;
  taken_.payloads.assign(waiting_.payloads, 0, bytes);
  taken_.records.assign(waiting_.records.begin(), rest);
  waiting_.payloads.erase(0, bytes);
  waiting_.records.erase(waiting_.records.begin(), rest);
  for (Waiting& record : waiting_.records) record.end -= bytes;
}

void Applier::RunJob() {
  bool rest = false;
  {
    absl::MutexLock lock(&mu_);
    rest = !status_.ok();
    if (!rest) TakeCommitted();
  }
  absl::Status status = rest ? node_->ApplyRest() : ApplyTaken();
  if (status.ok()) {
    size_t bytes = taken_.payloads.size();
    for (const Waiting& waiting : taken_.records) bytes += WeightOf(waiting.kind);
    lag_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    taken_.payloads.clear();
    taken_.records.clear();
    if (taken_.payloads.capacity() > kMaxIdleBytes) taken_ = Buffer();
  }
  absl::MutexLock lock(&mu_);
  status_ = std::move(status);
  applying_ = false;
  if (status_.ok() && HasCommitted()) ScheduleLocked();
}

absl::Status Applier::ApplyTaken() {
  records_.clear();
  size_t begin = 0;
  for (const Waiting& waiting : taken_.records) {
    Record record;
    record.position.index = waiting.index;
    record.kind = waiting.kind;
    record.payload = std::string_view(taken_.payloads).substr(begin, waiting.end - begin);
    begin = waiting.end;
    records_.push_back(record);
  }
  return node_->ApplySorted(records_);
}

}  // namespace slotkv
