#include "tools/operation_pool.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "slotkv/slot.h"

namespace slotkv::tools {
namespace {

// A batch is handed over at either bound; a queue takes more while it is below either.
constexpr size_t kBatchOperations = 128;
constexpr size_t kBatchBytes = size_t{64} << 10;
constexpr size_t kQueueOperations = 4096;
constexpr size_t kQueueBytes = size_t{8} << 20;

size_t BytesOf(const Operation& operation) {
  size_t bytes = sizeof(operation) + operation.key.size() + operation.value.size();
  for (const HashField& field : operation.fields) {
    bytes += sizeof(field) + field.name.size() + field.value.size();
  }
  return bytes;
}

// Both set fields of one hash, whatever it holds.
bool SetSameHash(const Operation& a, const Operation& b) {
  return a.kind == Operation::Kind::kHashSet && b.kind == Operation::Kind::kHashSet &&
         a.condition == SetCondition::kAlways && b.condition == SetCondition::kAlways &&
         a.key == b.key;
}

bool IsCommandError(const absl::Status& status) {
  return absl::IsFailedPrecondition(status) || absl::IsOutOfRange(status) ||
         absl::IsInvalidArgument(status);
}

}  // namespace

void FailureLog::Add(CommandFailure failure) {
  absl::MutexLock lock(&mutex_);
  ++count_;
  const uint64_t offset = failure.offset;
  first_.emplace(offset, std::move(failure));
  if (first_.size() > kKept) first_.erase(std::prev(first_.end()));
}

uint64_t FailureLog::count() const {
  absl::MutexLock lock(&mutex_);
  return count_;
}

std::vector<CommandFailure> FailureLog::first() const {
  absl::MutexLock lock(&mutex_);
  std::vector<CommandFailure> first;
  for (const auto& [offset, failure] : first_) first.push_back(failure);
  return first;
}

OperationPool::OperationPool(std::vector<Apply> workers, FailureLog* failures)
    : failures_(failures) {
  for (Apply& apply : workers) {
    workers_.push_back(std::make_unique<Worker>());
    Worker* const worker = workers_.back().get();
    worker->apply = std::move(apply);
    worker->thread = std::thread([this, worker] { Run(worker); });
  }
}

OperationPool::~OperationPool() {
  for (const std::unique_ptr<Worker>& worker : workers_) {
    HandOver(worker.get());
    absl::MutexLock lock(&worker->mutex);
    worker->closed = true;
  }
  for (const std::unique_ptr<Worker>& worker : workers_) worker->thread.join();
}

size_t OperationPool::WorkerIndex(const Operation& operation) const {
  return SlotForKey(operation.key) % workers_.size();
}

const OperationPool::Apply& OperationPool::WorkerFor(const Operation& operation) const {
  return workers_[WorkerIndex(operation)]->apply;
}

void OperationPool::Submit(Operation operation) {
  Worker* const worker = workers_[WorkerIndex(operation)].get();
  worker->pending_bytes += BytesOf(operation);
  worker->pending.push_back(std::move(operation));
  if (worker->pending.size() >= kBatchOperations || worker->pending_bytes >= kBatchBytes) {
    HandOver(worker);
  }
}

void OperationPool::HandOver(Worker* worker) {
  if (worker->pending.empty()) return;
  {
    absl::MutexLock lock(&worker->mutex);
    const auto has_room = [worker]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(worker->mutex) {
      return worker->queue.size() < kQueueOperations && worker->queue_bytes < kQueueBytes;
    };
    worker->mutex.Await(absl::Condition(&has_room));
    for (Operation& operation : worker->pending) worker->queue.push_back(std::move(operation));
    worker->queue_bytes += worker->pending_bytes;
  }
  worker->pending.clear();
  worker->pending_bytes = 0;
}

void OperationPool::Drain() {
  for (const std::unique_ptr<Worker>& worker : workers_) HandOver(worker.get());
  for (const std::unique_ptr<Worker>& owned : workers_) {
    Worker* const worker = owned.get();
    absl::MutexLock lock(&worker->mutex);
    const auto is_idle = [worker]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(worker->mutex) {
      return worker->queue.empty() && !worker->busy;
    };
    worker->mutex.Await(absl::Condition(&is_idle));
  }
}

void OperationPool::Run(Worker* worker) {
  const auto has_work = [worker]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(worker->mutex) {
    return !worker->queue.empty() || worker->closed;
  };
  Batch batch;
  for (;;) {
    batch.clear();
    {
      absl::MutexLock lock(&worker->mutex);
      worker->busy = false;
      worker->mutex.Await(absl::Condition(&has_work));
      if (worker->queue.empty()) return;
      batch.swap(worker->queue);
      worker->queue_bytes = 0;
      worker->busy = true;
    }
    absl::Span<const Operation> rest = batch;
    while (!rest.empty()) rest.remove_prefix(ApplySome(worker, rest));
  }
}

size_t OperationPool::ApplySome(Worker* worker, absl::Span<const Operation> operations) {
  size_t count = 1;
  while (count < operations.size() && SetSameHash(operations[0], operations[count])) ++count;
  ApplyTogether(worker, operations.first(count));
  return count;
}

void OperationPool::ApplyTogether(Worker* worker, absl::Span<const Operation> operations) {
  if (operations.size() == 1 || stopped_.load(std::memory_order_relaxed)) {
    for (const Operation& operation : operations) ApplyOne(worker, operation);
    return;
  }
  Operation merged = operations[0];
  for (const Operation& operation : operations.subspan(1)) {
    merged.fields.insert(merged.fields.end(), operation.fields.begin(), operation.fields.end());
  }
  absl::Status applied = worker->apply(merged);
  if (IsCommandError(applied)) {
    // Of one of them, while others succeed.
    const size_t half = operations.size() / 2;
    ApplyTogether(worker, operations.first(half));
    ApplyTogether(worker, operations.subspan(half));
  } else if (!applied.ok()) {
    for (const Operation& operation : operations) NoteUnapplied(operation.offset);
    Stop(merged.offset, std::move(applied));
  }
}

void OperationPool::ApplyOne(Worker* worker, const Operation& operation) {
  // After an error that stops the pool the rest is only counted, so that Drain returns soon.
  if (stopped_.load(std::memory_order_relaxed)) {
    NoteUnapplied(operation.offset);
    return;
  }
  absl::Status applied = worker->apply(operation);
  if (applied.ok()) return;
  if (IsCommandError(applied)) {
    failures_->Add({operation.offset, operation.command, std::string(applied.message())});
    return;
  }
  Stop(operation.offset, std::move(applied));
}

void OperationPool::RunAlone(uint64_t offset, absl::FunctionRef<absl::Status()> work) {
  Drain();
  if (stopped_.load()) {
    NoteUnapplied(offset);
    return;
  }
  absl::Status done = work();
  if (!done.ok()) Stop(offset, std::move(done));
}

void OperationPool::Stop(uint64_t offset, absl::Status status) {
  NoteUnapplied(offset);
  absl::MutexLock lock(&status_mutex_);
  status_.Update(std::move(status));
  stopped_ = true;
}

void OperationPool::NoteUnapplied(uint64_t offset) {
  absl::MutexLock lock(&status_mutex_);
  unapplied_.insert(offset);
}

uint64_t OperationPool::first_unapplied() const {
  absl::MutexLock lock(&status_mutex_);
  const auto first = std::min_element(unapplied_.begin(), unapplied_.end());
  return first == unapplied_.end() ? std::numeric_limits<uint64_t>::max() : *first;
}

uint64_t OperationPool::unapplied() const {
  absl::MutexLock lock(&status_mutex_);
  return unapplied_.size();
}

absl::Status OperationPool::status() const {
  if (!stopped_.load()) return absl::OkStatus();
  absl::MutexLock lock(&status_mutex_);
  return status_;
}

}  // namespace slotkv::tools
