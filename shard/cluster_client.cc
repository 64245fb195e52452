#include "slotkv/cluster_client.h"

#include <algorithm>
#include <cstddef>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/fixed_array.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "engine/check.h"
#include "engine/text.h"
#include "shard/call_gate.h"
#include "shard/multi_get_results.h"
#include "shard/request_runner.h"
#include "shard/slot_map_cache.h"

namespace slotkv {
namespace {

using Task = RequestRunner::Task;

// A fetch of the slot map that has not been answered after this part of operation_timeout no longer
// keeps others from being sent.
constexpr int kFetchesInTime = 4;

absl::Status CheckDuration(std::string_view name, absl::Duration value, absl::Duration least,
                           absl::Duration most) {
  if (value >= least && value <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("ClusterClientOptions.", ToAbsl(name), " is ", absl::FormatDuration(value),
                   ", must be ", absl::FormatDuration(least), " to ", absl::FormatDuration(most)));
}

absl::Status CheckOptions(const ClusterClientOptions& options) {
  absl::Status status = CheckDuration("operation_timeout", options.operation_timeout,
                                      absl::Milliseconds(1), absl::Hours(1));
  status.Update(
      CheckDuration("first_pause", options.first_pause, absl::Microseconds(1), absl::Minutes(1)));
  status.Update(
      CheckDuration("max_pause", options.max_pause, absl::Microseconds(1), absl::Minutes(1)));
  status.Update(CheckDuration("min_refresh_interval", options.min_refresh_interval,
                              absl::ZeroDuration(), absl::InfiniteDuration()));
  status.Update(CheckDuration("refresh_period", options.refresh_period, absl::Nanoseconds(1),
                              absl::InfiniteDuration()));
  if (options.max_attempts < 1 || options.max_attempts > 1000) {
    status.Update(absl::InvalidArgumentError(absl::StrCat(
        "ClusterClientOptions.max_attempts is ", options.max_attempts, ", must be 1 to 1000")));
  }
  return status;
}

// A request for the one key.
Task TaskFor(Command command, std::string_view key) {
  Task task;
  task.request.command = command;
  task.request.slot = SlotForKey(key);
  task.request.key = key;
  return task;
}

}  // namespace

class ClusterClient::Impl {
 public:
  Impl(std::unique_ptr<EndpointResolver> resolver, const ClusterClientOptions& options)
      : options_(options),
        slots_(std::move(resolver), options.operation_timeout / kFetchesInTime,
               options.min_refresh_interval),
        runner_(&options_, &slots_) {}

  ~Impl() {
    slots_.Stop();
    gate_.Close();
    if (!refresher_.joinable()) return;
    {
      absl::MutexLock lock(&mu_);
      stopping_ = true;
    }
    refresher_.join();
  }

  void StartRefreshing() {
    if (options_.refresh_period == absl::InfiniteDuration()) return;
    refresher_ = std::thread([this] {
      while (!AwaitStop(options_.refresh_period)) {
        slots_.Refresh(options_.operation_timeout).IgnoreError();
      }
    });
  }

  void Run(absl::Span<Task> tasks) {
    const CallGate::Pass pass(&gate_);
    if (pass.open()) {
      runner_.Run(tasks);
    } else {
      for (Task& task : tasks) task.response.status = Closed();
    }
  }

  // Runs the one task; its status.
  const absl::Status& Run(Task* task) {
    Run(absl::MakeSpan(task, 1));
    return task->response.status;
  }

  // Runs the task and picks its result out of the response.
  template <typename Result, typename Value>
  absl::StatusOr<Result> RunFor(Task task, Value Response::*value) {
    if (const absl::Status& status = Run(&task); !status.ok()) return status;
    return static_cast<Result>(std::move(task.response.*value));
  }

  absl::Status Refresh() {
    const CallGate::Pass pass(&gate_);
    return pass.open() ? slots_.Refresh(options_.operation_timeout) : Closed();
  }

  const SlotMapCache& slots() const { return slots_; }
  const RequestRunner& runner() const { return runner_; }

 private:
  static absl::Status Closed() { return absl::CancelledError("the client is closed"); }

  bool AwaitStop(absl::Duration timeout) {
    absl::MutexLock lock(&mu_);
    return mu_.AwaitWithTimeout(absl::Condition(&stopping_), timeout);
  }

  const ClusterClientOptions options_;
  CallGate gate_;
  SlotMapCache slots_;
  RequestRunner runner_;
  std::thread refresher_;
  absl::Mutex mu_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
};

absl::StatusOr<std::unique_ptr<ClusterClient>> ClusterClient::Create(
    std::unique_ptr<EndpointResolver> resolver, const ClusterClientOptions& options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  auto impl = std::make_unique<Impl>(std::move(resolver), options);
  if (absl::Status status = impl->Refresh(); !status.ok()) return status;
  impl->StartRefreshing();
  return std::unique_ptr<ClusterClient>(new ClusterClient(std::move(impl)));
}

ClusterClient::ClusterClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ClusterClient::~ClusterClient() = default;

// ---- Strings ----

absl::Status ClusterClient::Set(std::string_view key, std::string_view value,
                                const SetOptions& options) {
  Task task = TaskFor(Command::kSet, key);
  task.request.value = value;
  task.request.set_options = options;
  return impl_->Run(&task);
}

absl::StatusOr<std::string> ClusterClient::Get(std::string_view key) {
  return impl_->RunFor<std::string>(TaskFor(Command::kGet, key), &Response::value);
}

absl::Status ClusterClient::Get(std::string_view key, std::string* value) {
  Task task = TaskFor(Command::kGet, key);
  task.request.spare = value;
  impl_->Run(&task);
  if (task.response.status.ok()) *value = std::move(task.response.value);
  return std::move(task.response.status);
}

absl::StatusOr<bool> ClusterClient::Delete(std::string_view key) {
  return impl_->RunFor<bool>(TaskFor(Command::kDelete, key), &Response::count);
}

absl::StatusOr<bool> ClusterClient::Exists(std::string_view key) {
  return impl_->RunFor<bool>(TaskFor(Command::kExists, key), &Response::count);
}

absl::StatusOr<int64_t> ClusterClient::Increment(std::string_view key, int64_t delta) {
  Task task = TaskFor(Command::kIncrement, key);
  task.request.delta = delta;
  return impl_->RunFor<int64_t>(std::move(task), &Response::sum);
}

absl::StatusOr<uint64_t> ClusterClient::Append(std::string_view key, std::string_view suffix) {
  Task task = TaskFor(Command::kAppend, key);
  task.request.value = suffix;
  return impl_->RunFor<uint64_t>(std::move(task), &Response::count);
}

absl::StatusOr<uint64_t> ClusterClient::SetRange(std::string_view key, uint64_t offset,
                                                 std::string_view bytes) {
  Task task = TaskFor(Command::kSetRange, key);
  task.request.offset = offset;
  task.request.value = bytes;
  return impl_->RunFor<uint64_t>(std::move(task), &Response::count);
}

absl::Status ClusterClient::CompareAndSet(std::string_view key, std::string_view expected,
                                          std::string_view desired) {
  Task task = TaskFor(Command::kCompareAndSet, key);
  task.request.expected = expected;
  task.request.value = desired;
  return impl_->Run(&task);
}

// ---- Many keys ----

void ClusterClient::MultiGet(absl::Span<const std::string_view> keys,
                             absl::Span<std::string> values, absl::Span<absl::Status> statuses) {
  SLOTKV_CHECK(keys.size() == values.size() && keys.size() == statuses.size());
  absl::FixedArray<Slot, 64> slots(keys.size());
  SlotsForKeys(keys, absl::MakeSpan(slots));
  // By slot; a slot's keys are names[begin, begin of the next).
  absl::FixedArray<size_t, 64> order(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return slots[a] < slots[b]; });
  absl::FixedArray<std::string_view, 64> names(keys.size());
  std::vector<Task> tasks;
  std::vector<size_t> begins;
  for (size_t i = 0; i < keys.size(); ++i) {
    names[i] = keys[order[i]];
    if (i == 0 || slots[order[i]] != slots[order[i - 1]]) {
      tasks.emplace_back().request.slot = slots[order[i]];
      begins.push_back(i);
    }
  }
  begins.push_back(keys.size());
  for (size_t t = 0; t < tasks.size(); ++t) {
    Request& request = tasks[t].request;
    const size_t begin = begins[t], count = begins[t + 1] - begin;
    if (count == 1) {
      request.command = Command::kGet;
      request.key = names[begin];
      request.spare = &values[order[begin]];
    } else {
      request.command = Command::kMultiGet;
      request.names = absl::MakeConstSpan(&names[begin], count);
    }
  }
  impl_->Run(absl::MakeSpan(tasks));
  for (size_t t = 0; t < tasks.size(); ++t) {
    Response& response = tasks[t].response;
    for (size_t i = begins[t]; i < begins[t + 1]; ++i) {
      std::string& value = values[order[i]];
      absl::Status& status = statuses[order[i]];
      status = response.status;
      if (!status.ok()) continue;
      if (tasks[t].request.command == Command::kGet) {
        value = std::move(response.value);
        continue;
      }
      absl::StatusOr<std::string>& found = response.values[i - begins[t]];
      status = found.status();
      if (status.ok()) value = *std::move(found);
    }
  }
}

std::vector<absl::StatusOr<std::string>> ClusterClient::MultiGet(
    absl::Span<const std::string_view> keys) {
  return MultiGetResults(keys.size(),
                         [&](absl::Span<std::string> values, absl::Span<absl::Status> statuses) {
                           MultiGet(keys, values, statuses);
                         });
}

absl::Status ClusterClient::Write(const WriteBatch& batch) {
  if (batch.empty()) return absl::OkStatus();
  Task task;
  task.request.command = Command::kWrite;
  // Whoever owns the first key's slot says what is wrong with the others.
  task.request.slot = SlotForKey(batch.entry(0).key);
  task.request.batch = &batch;
  return impl_->Run(&task);
}

// ---- Expiry ----

absl::StatusOr<bool> ClusterClient::Expire(std::string_view key, absl::Duration ttl) {
  Task task = TaskFor(Command::kExpire, key);
  task.request.ttl = ttl;
  return impl_->RunFor<bool>(std::move(task), &Response::count);
}

absl::StatusOr<bool> ClusterClient::Persist(std::string_view key) {
  return impl_->RunFor<bool>(TaskFor(Command::kPersist, key), &Response::count);
}

absl::StatusOr<absl::Duration> ClusterClient::TimeToLive(std::string_view key) {
  return impl_->RunFor<absl::Duration>(TaskFor(Command::kTimeToLive, key), &Response::ttl);
}

absl::StatusOr<std::string> ClusterClient::GetAndTouch(std::string_view key, absl::Duration ttl) {
  Task task = TaskFor(Command::kGetAndTouch, key);
  task.request.ttl = ttl;
  return impl_->RunFor<std::string>(std::move(task), &Response::value);
}

// ---- Hashes ----

absl::StatusOr<uint64_t> ClusterClient::HashSet(std::string_view key,
                                                absl::Span<const Field> fields,
                                                const HashSetOptions& options) {
  Task task = TaskFor(Command::kHashSet, key);
  task.request.fields = fields;
  task.request.ttl = options.ttl;
  return impl_->RunFor<uint64_t>(std::move(task), &Response::count);
}

absl::StatusOr<std::string> ClusterClient::HashGet(std::string_view key, std::string_view field) {
  Task task = TaskFor(Command::kHashGet, key);
  task.request.names = absl::MakeConstSpan(&field, 1);
  return impl_->RunFor<std::string>(std::move(task), &Response::value);
}

absl::StatusOr<std::vector<HashField>> ClusterClient::HashGetAll(std::string_view key) {
  return impl_->RunFor<std::vector<HashField>>(TaskFor(Command::kHashGetAll, key),
                                               &Response::fields);
}

absl::StatusOr<uint64_t> ClusterClient::HashDelete(std::string_view key,
                                                   absl::Span<const std::string_view> fields) {
  Task task = TaskFor(Command::kHashDelete, key);
  task.request.names = fields;
  return impl_->RunFor<uint64_t>(std::move(task), &Response::count);
}

// ---- The slot map ----

absl::Status ClusterClient::Refresh() { return impl_->Refresh(); }

std::optional<ShardId> ClusterClient::OwnerOf(Slot slot) const {
  SLOTKV_CHECK(slot < kSlotCount);
  const SlotMapCache::Peer* const owner = impl_->slots().Owner(slot);
  return owner == nullptr ? std::nullopt : std::optional<ShardId>(owner->id);
}

ClusterClientStats ClusterClient::GetStats() const {
  ClusterClientStats stats;
  impl_->runner().AddTo(&stats);
  const SlotMapCache::Counts counts = impl_->slots().GetCounts();
  stats.refreshes = counts.refreshes;
  stats.failed_refreshes = counts.failed_refreshes;
  stats.epoch = counts.epoch;
  return stats;
}

}  // namespace slotkv
