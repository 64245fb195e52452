// Brings events to the listener, on a thread of its own.
#ifndef SLOTKV_SHARD_EVENT_QUEUE_H_
#define SLOTKV_SHARD_EVENT_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "slotkv/event_listener.h"
#include "slotkv/logger.h"

namespace slotkv {

// Thread-safe.
class EventQueue {
 public:
  using Event = std::function<void(EventListener*)>;

  static constexpr size_t kMaxEvents = 1024;

  // Either may be null; without a listener there is no thread and events go nowhere.
  EventQueue(std::shared_ptr<EventListener> listener, std::shared_ptr<Logger> logger);
  // Delivers what is queued.
  ~EventQueue();
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;

  void Add(Event event) ABSL_LOCKS_EXCLUDED(mu_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mu_);

  const std::shared_ptr<EventListener> listener_;
  const std::shared_ptr<Logger> logger_;

  absl::Mutex mu_;
  std::deque<Event> events_ ABSL_GUARDED_BY(mu_);
  uint64_t dropped_ ABSL_GUARDED_BY(mu_) = 0;  // and not told of yet
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::thread thread_;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_EVENT_QUEUE_H_
