// Which of several copies of a counter a thread is to use, so that threads on different cores do
// not fight over one.
#ifndef SLOTKV_ENGINE_THREAD_STRIPE_H_
#define SLOTKV_ENGINE_THREAD_STRIPE_H_

#include <atomic>
#include <cstddef>

namespace slotkv {

// The calling thread's number: threads that start one after the other have different remainders by
// any number of stripes.
inline size_t ThreadStripe() {
  static std::atomic<size_t> next_thread{0};
  thread_local const size_t stripe = next_thread.fetch_add(1, std::memory_order_relaxed);
  return stripe;
}

}  // namespace slotkv

#endif  // SLOTKV_ENGINE_THREAD_STRIPE_H_
