// Counts the calls that run, so that closing can wait for them. Striped, so that readers on
// different cores do not fight over one counter.
#ifndef SLOTKV_SHARD_CALL_GATE_H_
#define SLOTKV_SHARD_CALL_GATE_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/thread_stripe.h"

namespace slotkv {

class CallGate {
 public:
  // Holds the gate open for one call, unless it is closed already.
  class Pass {
   public:
    explicit Pass(CallGate* gate) : count_(gate->Stripe()) {
      // Sequentially consistent, as are Close and AwaitRunningCalls: either the one who waits sees
      // this call or this call sees what came before the wait.
      count_->fetch_add(1, std::memory_order_seq_cst);
      open_ = !gate->closed_.load(std::memory_order_seq_cst);
    }
    ~Pass() { count_->fetch_sub(1, std::memory_order_release); }
    Pass(const Pass&) = delete;
    Pass& operator=(const Pass&) = delete;

    // False: the gate is closed, and the call must not go on.
    bool open() const { return open_; }

   private:
    std::atomic<int64_t>* const count_;
    bool open_ = false;
  };

  // Refuses new calls and waits for running ones. False if it was closed before.
  bool Close() {
    if (closed_.exchange(true, std::memory_order_seq_cst)) return false;
    AwaitNone(0, absl::InfiniteFuture());
    AwaitNone(1, absl::InfiniteFuture());
    return true;
  }

  // Waits until every call that runs now has ended; later ones do not matter. False: some have not
  // by the deadline. One caller at a time.
  bool AwaitRunningCalls(absl::Time deadline) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    // What is counted from here on sees what came before. A side that new calls avoid comes to
    // rest, so they change sides in between; stragglers of the change before are waited for first.
    const unsigned side = side_.load(std::memory_order_relaxed);
    if (!AwaitNone(1 - side, deadline)) return false;
    side_.store(1 - side, std::memory_order_seq_cst);
    if (!AwaitNone(side, deadline)) return false;
    return true;
  }

 private:
  static constexpr size_t kStripes = 64;

  struct alignas(64) Counter {
    std::array<std::atomic<int64_t>, 2> calls{};
  };

  std::atomic<int64_t>* Stripe() {
    return &counters_[ThreadStripe() % kStripes].calls[side_.load(std::memory_order_relaxed)];
  }

  bool AwaitNone(unsigned side, absl::Time deadline) const {
    for (const Counter& counter : counters_) {
      while (counter.calls[side].load(std::memory_order_seq_cst) != 0) {
        if (absl::Now() >= deadline) return false;
        absl::SleepFor(absl::Milliseconds(1));
      }
    }
    return true;
  }

  std::atomic<bool> closed_{false};
  std::atomic<unsigned> side_{0};  // where new calls are counted
  std::array<Counter, kStripes> counters_;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_CALL_GATE_H_
