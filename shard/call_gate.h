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
      // Sequentially consistent, as is Close: either the closer sees this call or this call sees
      // the closer.
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
    for (const Counter& counter : counters_) {
      while (counter.calls.load(std::memory_order_seq_cst) != 0) {
        absl::SleepFor(absl::Milliseconds(1));
      }
    }
    return true;
  }

 private:
  static constexpr size_t kStripes = 64;

  struct alignas(64) Counter {
    std::atomic<int64_t> calls{0};
  };

  std::atomic<int64_t>* Stripe() { return &counters_[ThreadStripe() % kStripes].calls; }

  std::atomic<bool> closed_{false};
  std::array<Counter, kStripes> counters_;
};

}  // namespace slotkv

#endif  // SLOTKV_SHARD_CALL_GATE_H_
