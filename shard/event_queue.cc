#include "shard/event_queue.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace slotkv {

EventQueue::EventQueue(std::shared_ptr<EventListener> listener, std::shared_ptr<Logger> logger)
    : listener_(std::move(listener)), logger_(std::move(logger)) {
  if (listener_ != nullptr) thread_ = std::thread([this] { Run(); });
}

EventQueue::~EventQueue() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void EventQueue::Add(Event event) {
  if (listener_ == nullptr) return;
  absl::MutexLock lock(&mu_);
  if (events_.size() < kMaxEvents) {
    events_.push_back(std::move(event));
  } else {
    ++dropped_;
  }
}

void EventQueue::Run() {
  while (true) {
    Event event;
    uint64_t dropped = 0;
    {
      absl::MutexLock lock(&mu_);
      const auto due = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
        return stopping_ || !events_.empty();
      };
      mu_.Await(absl::Condition(&due));
      if (events_.empty()) return;
      event = std::move(events_.front());
      events_.pop_front();
      std::swap(dropped, dropped_);
    }
    if (dropped != 0 && logger_ != nullptr) {
      logger_->Log(LogLevel::kWarning,
                   absl::StrCat(dropped, " events were dropped: the listener is slow"));
    }
    event(listener_.get());
  }
}

}  // namespace slotkv
