#include "tools/parallel.h"

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"

namespace slotkv::tools {

absl::Status InParallel(int threads, uint64_t count, const Interrupt& interrupt,
                        absl::FunctionRef<absl::Status(uint64_t)> work) {
  std::atomic<bool> stop{false};
  absl::Mutex mutex;
  absl::Status first;
  const auto run = [&](uint64_t begin, uint64_t end) {
    for (uint64_t i = begin; i < end && !stop.load(std::memory_order_relaxed); ++i) {
      absl::Status done = interrupt.raised() ? absl::CancelledError("interrupted") : work(i);
      if (done.ok()) continue;
      absl::MutexLock lock(&mutex);
      first.Update(std::move(done));
      stop = true;
    }
  };
  std::vector<std::thread> running;
  const uint64_t parts = static_cast<uint64_t>(threads);
  for (uint64_t part = 0; part < parts; ++part) {
    running.emplace_back(run, count * part / parts, count * (part + 1) / parts);
  }
  for (std::thread& thread : running) thread.join();
  absl::MutexLock lock(&mutex);
  return first;
}

}  // namespace slotkv::tools
