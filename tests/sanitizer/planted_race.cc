// One thread changes a number under a lock, the other forgets the lock.
#include <cstdio>
#include <thread>

#include "absl/synchronization/mutex.h"

int main() {
  absl::Mutex mutex;
  int shared = 0;
  std::thread careful([&] {
    absl::MutexLock lock(&mutex);
    ++shared;
  });
  ++shared;  // The race.
  careful.join();
  std::printf("%d\n", shared);
}
