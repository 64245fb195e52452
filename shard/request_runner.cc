#include "shard/request_runner.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "slotkv/clock.h"
#include "slotkv/redirect.h"

namespace slotkv {
namespace {

// Redirects of one task that are followed without a pause: a map that is out of date, and a slot
// that is on its way. More of them mean that the shards do not agree yet.
constexpr int kRedirectsAtOnce = 2;

void Count(std::atomic<uint64_t>* counter) { counter->fetch_add(1, std::memory_order_relaxed); }

}  // namespace

class RequestRunner::Deadline {
 public:
  explicit Deadline(absl::Duration timeout) : timeout_(timeout) {}

  absl::Duration Left() {
    const absl::Duration now = Clock::System()->Monotonic();
    if (!end_.has_value()) end_ = now + timeout_;
    return *end_ - now;
  }

 private:
  const absl::Duration timeout_;
  std::optional<absl::Duration> end_;
};

void RequestRunner::Run(absl::Span<Task> tasks) {
  Deadline deadline(options_.operation_timeout);
  for (int pauses = 0;;) {
    for (Task& task : tasks) {
      if (!task.settled) Send(&task);
    }
    bool again = false, pause = false;
    for (Task& task : tasks) {
      if (task.settled) continue;
      Receive(&task, &deadline);
      if (task.settled || task.response.status.ok()) {
        task.settled = true;
        continue;
      }
      pause = Judge(&task) == Again::kAfterPause || pause;
      again = again || !task.settled;
    }
    if (!again) return;
    if (!pause) continue;
    const absl::Duration length = Pause(pauses++);
    if (length >= deadline.Left()) {
      for (Task& task : tasks) {
        if (!task.settled) GiveUp(&task, "no time is left");
      }
      return;
    }
    options_.sleep ? options_.sleep(length) : absl::SleepFor(length);
  }
}

// ---- One attempt ----

void RequestRunner::Send(Task* task) {
  Request& request = task->request;
  SlotMapCache::Peer* const peer = task->next != nullptr ? task->next : slots_.Owner(request.slot);
  request.asking = task->next_is_ask;
  task->next = nullptr;
  task->next_is_ask = false;
  task->sent_to = peer;
  task->exchange = nullptr;
  ++task->attempts;
  if (peer == nullptr) {
    task->response.status = absl::UnavailableError("CLUSTERDOWN Hash slot not served");
    return;
  }
  const absl::StatusOr<Endpoint*> endpoint = slots_.EndpointOf(peer);
  if (!endpoint.ok()) {
    task->response.status = endpoint.status();
    return;
  }
  task->exchange = std::make_shared<Exchange>();
  // Small enough to be kept within the AnyInvocable.
  (*endpoint)->Execute(request, [exchange = task->exchange](Response&& response) {
    exchange->Answer(std::move(response));
  });
}

void RequestRunner::Receive(Task* task, Deadline* deadline) {
  Exchange* const exchange = task->exchange.get();
  if (exchange == nullptr) return;
  if (!exchange->answered() && !exchange->Await(deadline->Left())) {
    Count(&timeouts_);
    slots_.Doubt(task->request.slot, task->sent_to);
    task->response.status = absl::DeadlineExceededError(
        absl::StrCat(task->sent_to->id.ToString(), " has not answered"));
    task->settled = true;
    return;
  }
  task->response = std::move(exchange->response());
  const Request& request = task->request;
  if (request.command == Command::kMultiGet && task->response.status.ok() &&
      task->response.values.size() != request.names.size()) {
    task->response.status = absl::InternalError(
        absl::StrCat(task->sent_to->id.ToString(), " has answered ", task->response.values.size(),
                     " of ", request.names.size(), " keys"));
  }
}

// ---- What an error means ----

RequestRunner::Again RequestRunner::Judge(Task* task) {
  Again again = Again::kAfterPause;
  switch (task->response.status.code()) {
    case absl::StatusCode::kAborted:
      again = Follow(task);
      break;
    case absl::StatusCode::kUnavailable:
      slots_.Doubt(task->request.slot, task->sent_to);
      Count(&retries_);
      break;
    case absl::StatusCode::kDeadlineExceeded:
      task->settled = !IsRead(task->request.command);
      if (!task->settled) Count(&retries_);
      break;
    default:
      task->settled = true;
  }
  if (!task->settled && task->attempts >= options_.max_attempts) {
    GiveUp(task, "no attempt is left");
  }
  // One that is settled needs no pause.
  return task->settled ? Again::kNow : again;
}

RequestRunner::Again RequestRunner::Follow(Task* task) {
  const std::optional<Redirect> redirect = GetRedirect(task->response.status);
  if (!redirect.has_value()) {
    task->settled = true;
    return Again::kNow;
  }
  if (redirect->kind == Redirect::kTryAgain) {
    Count(&try_again_);
    return Again::kAfterPause;
  }
  const absl::StatusOr<SlotMapCache::Peer*> peer = slots_.FindPeer(redirect->shard);
  if (!peer.ok()) {
    task->response.status = peer.status();
    task->settled = true;
    return Again::kNow;
  }
  task->next = *peer;
  if (redirect->kind == Redirect::kAsk) {
    Count(&asked_);
    task->next_is_ask = true;
  } else {
    Count(&moved_);
    slots_.Correct(redirect->slot, *peer);
  }
  return ++task->redirects <= kRedirectsAtOnce ? Again::kNow : Again::kAfterPause;
}

void RequestRunner::GiveUp(Task* task, absl::string_view why) {
  Count(&gave_up_);
  task->settled = true;
  absl::Status& status = task->response.status;
  // A redirect is no answer: whoever gets one here could do nothing with it.
  const absl::StatusCode code =
      absl::IsAborted(status) ? absl::StatusCode::kUnavailable : status.code();
  status = absl::Status(code, absl::StrCat("gave up after ", task->attempts, " attempts, as ", why,
                                           "; the last answer: ", status.message()));
}

absl::Duration RequestRunner::Pause(int pauses) const {
  absl::Duration pause = options_.first_pause;
  for (; pauses > 0 && pause < options_.max_pause; --pauses) pause *= 2;
  absl::InsecureBitGen random;
  return std::min(pause, options_.max_pause) * absl::Uniform(random, 0.5, 1.0);
}

void RequestRunner::AddTo(ClusterClientStats* stats) const {
  const auto add = [](const std::atomic<uint64_t>& counter, uint64_t* sum) {
    *sum += counter.load(std::memory_order_relaxed);
  };
  add(moved_, &stats->moved);
  add(asked_, &stats->asked);
  add(try_again_, &stats->try_again);
  add(retries_, &stats->retries);
  add(timeouts_, &stats->timeouts);
  add(gave_up_, &stats->gave_up);
}

}  // namespace slotkv
