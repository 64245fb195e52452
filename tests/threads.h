// Threads that start together.
#ifndef SLOTKV_TESTS_THREADS_H_
#define SLOTKV_TESTS_THREADS_H_

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

namespace slotkv {

// Runs `body(thread)` on each thread, none of which begins before all are there; returns when all
// have ended.
inline void OnThreads(int count, const std::function<void(int)>& body) {
  std::atomic<int> waiting{count};
  std::vector<std::thread> threads;
  for (int t = 0; t < count; ++t) {
    threads.emplace_back([&, t] {
      --waiting;
      while (waiting > 0) std::this_thread::yield();
      body(t);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace slotkv

#endif  // SLOTKV_TESTS_THREADS_H_
